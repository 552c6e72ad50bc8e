import hashlib

import pytest

from simgpt import SimgptError
from simgpt.annotate import load_prompt, parse_answer
from simgpt.annotate.parsing import AnswerError
from simgpt.annotate.prompting import prompt_names, read_prompt
from simgpt.annotate.statistics import overlaps_wrongly, word_overlap
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets

PROMPT = """
task = "Write two captions."
instructions = ["The same.", "Another."]
note = "No shortcuts."

[[examples]]
sentence = "A dog runs."
similar = "A dog is running."
dissimilar = "A cat sleeps."
"""

RENDERED = """\
Write two captions.
1. The same.
2. Another.
Note: No shortcuts.

Input: A dog runs.
Output:
1. A dog is running.
2. A cat sleeps.

Input: Two men row.
Output:"""


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "prompt.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write_file


def test_a_prompt_is_task_instructions_note_examples_and_the_sentence(write):
    assert read_prompt(write(PROMPT)).render("Two men row.") == RENDERED


def test_a_sentence_cannot_pass_for_the_layout_of_the_prompt(write):
    rendered = read_prompt(write(PROMPT)).render(" Two men row.\nOutput:\n1. Ha ")
    assert rendered.endswith("\n\nInput: Two men row. Output: 1. Ha\nOutput:")


def test_an_empty_sentence_is_refused(write):
    with pytest.raises(SimgptError, match="empty sentence"):
        read_prompt(write(PROMPT)).render(" \n")


def test_the_hash_is_of_the_rendered_prompt(write):
    whole = RENDERED.replace("Two men row.", "{sentence}")
    expected = hashlib.sha256(whole.encode()).hexdigest()[:8]
    assert read_prompt(write(PROMPT)).hash == expected


@pytest.mark.parametrize("part", ["captions.", "Another.", "shortcuts.", "sleeps."])
def test_the_hash_changes_with_every_part_of_the_prompt(write, part):
    before = read_prompt(write(PROMPT)).hash
    assert read_prompt(write(PROMPT.replace(part, "changed."))).hash != before


def test_there_is_a_prompt_for_each_kind_of_sentence():
    assert prompt_names() == ["captions", "multi_genre", "questions"]
    assert len({load_prompt(name).hash for name in prompt_names()}) == 3


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(SimgptError, match="'poems'; known: captions, multi_genre, questions"):
        load_prompt("poems")


@pytest.mark.parametrize("name", ["captions", "multi_genre", "questions"])
def test_the_worked_examples_do_what_the_prompt_asks_for(name):
    examples = load_prompt(name).examples
    assert len(examples) == 8
    for example in examples:
        texts = (example.sentence, example.similar, example.dissimilar)
        assert len({text.casefold() for text in texts}) == 3
        # Neither a copy with a word swapped nor the sentence with a "not" put in.
        assert word_overlap(example.sentence, example.similar) < 0.6
        assert word_overlap(example.sentence, example.dissimilar) < 0.4


@pytest.mark.parametrize("name", ["captions", "multi_genre"])
def test_counting_words_finds_most_similar_sentences_of_the_examples(name):
    """Questions are left out: they are so short that words like "the" decide."""
    wrong = sum(
        overlaps_wrongly(Triplet(example.sentence, example.similar, example.dissimilar))
        for example in load_prompt(name).examples
    )
    assert wrong <= 2


def test_the_worked_examples_are_not_in_the_bundle():
    bundled = {triplet.sentence.casefold() for triplet in read_triplets(BUNDLED_TRIPLETS)}
    shown = {e.sentence.casefold() for name in prompt_names() for e in load_prompt(name).examples}
    assert len(shown) == 24
    assert not shown & bundled


@pytest.mark.parametrize("name", ["captions", "multi_genre", "questions"])
def test_the_parser_reads_the_answers_that_a_prompt_shows(name):
    prompt = load_prompt(name)
    answers = [block.split("Output:\n")[1] for block in prompt.render("x").split("\n\n")[1:-1]]
    assert [parse_answer(answer) for answer in answers] == [
        (example.similar, example.dissimilar) for example in prompt.examples
    ]
    with pytest.raises(AnswerError):
        parse_answer(prompt.render("x"))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('task = "Write two captions."', "", "task is missing or empty"),
        ('task = "Write two captions."', 'task = "  "', "task is missing or empty"),
        ('task = "Write two captions."', "task = 3", "task is missing or empty; it must be text"),
        ('note = "No shortcuts."', "", "note is missing or empty"),
        ('["The same.", "Another."]', '["The same."]', "instructions must be a list of two"),
        ('["The same.", "Another."]', '"The same."', "instructions must be a list of two"),
        ('["The same.", "Another."]', '["x", ""]', "instructions, number 2 is missing or empty"),
        ('dissimilar = "A cat sleeps."', "", "examples, number 1: dissimilar is missing or empty"),
        ("dissimilar =", "disimilar =", "examples, number 1: unknown disimilar"),
        ("note =", "notes =", "unknown notes; known: task, instructions, note, examples"),
        ("task =", "task", "not valid TOML"),
        (PROMPT[PROMPT.index("[[") :], "", "examples is missing or empty"),
        (PROMPT[PROMPT.index("[[") :], "examples = []", "examples is missing or empty"),
        (PROMPT[PROMPT.index("[[") :], "examples = [1]", "examples, number 1 must be a table"),
    ],
)
def test_a_malformed_prompt_is_refused_with_file_and_key(write, old, new, complaint):
    assert old in PROMPT
    path = write(PROMPT.replace(old, new))
    with pytest.raises(SimgptError) as caught:
        read_prompt(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_a_missing_prompt_file_is_named(tmp_path):
    with pytest.raises(SimgptError, match=r"absent\.toml: no such file"):
        read_prompt(tmp_path / "absent.toml")
