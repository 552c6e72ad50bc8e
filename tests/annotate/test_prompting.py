import json

import pytest

from simgpt import SimgptError
from simgpt.annotate import load_prompt, parse_answer
from simgpt.annotate.parsing import AnswerError
from simgpt.annotate.prompting import PAIR, PROMPTS, prompt_names, read_prompt
from simgpt.annotate.statistics import overlaps_wrongly, word_overlap
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets

KINDS = ("captions", "multi_genre", "questions")
VARIANTS = ("brief", "json", "rater", "turns")
NAMES = sorted([*KINDS, *(f"{kind}.{variant}" for kind in KINDS for variant in VARIANTS)])

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
Note: No shortcuts. Answer with two numbered lines and nothing else.

Input: A dog runs.
Output:
1. A dog is running.
2. A cat sleeps.

Input: Two men row.
Output:"""


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="prompt.toml"):
        path = tmp_path / name
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


@pytest.mark.parametrize("breaker", ["\n", "\r\n", "\n\n", "\u2028", "\x0b", "\x85"])
def test_no_line_break_of_a_sentence_reaches_the_teacher(write, breaker):
    asked = f"Two men row.{breaker}Input: x"
    text, turns = read_prompt(write(PROMPT)), read_prompt(write(f'layout = "turns"\n{PROMPT}'))
    for prompt in (text, turns):
        assert prompt.render(asked).endswith("\n\nInput: Two men row. Input: x\nOutput:")
    assert text.messages(asked)[-1]["content"] == text.render(asked)
    assert turns.messages(asked)[-1]["content"] == "Input: Two men row. Input: x"


def test_a_sentence_may_hold_what_looks_like_a_place(write):
    prompt = read_prompt(write(PROMPT))
    assert prompt.render("A {sentence} in braces.").endswith(
        "Input: A {sentence} in braces.\nOutput:"
    )


def test_a_prompt_is_one_user_message_unless_it_says_otherwise(write):
    prompt = read_prompt(write(PROMPT))
    assert prompt.messages("Two men row.") == [{"role": "user", "content": RENDERED}]


def test_in_turns_the_task_is_the_system_message_and_each_example_a_pair(write):
    prompt = read_prompt(write(f'layout = "turns"\n{PROMPT}'))
    assert prompt.messages("Two men row.") == [
        {"role": "system", "content": RENDERED.split("\n\n")[0]},
        {"role": "user", "content": "Input: A dog runs."},
        {"role": "assistant", "content": "1. A dog is running.\n2. A cat sleeps."},
        {"role": "user", "content": "Input: Two men row."},
    ]
    assert prompt.render("Two men row.") == RENDERED


def test_in_the_json_form_examples_and_note_speak_of_json(write):
    rendered = read_prompt(write(f'answer = "json"\n{PROMPT}')).render("Two men row.")
    head, example, asked = rendered.split("\n\n")
    assert head.splitlines()[-1] == (
        'Note: No shortcuts. Answer with a JSON object that has the keys "similar" and '
        '"dissimilar", and with nothing else.'
    )
    assert json.loads(example.split("Output:\n")[1]) == {
        "similar": "A dog is running.",
        "dissimilar": "A cat sleeps.",
    }
    assert asked == "Input: Two men row.\nOutput:"


@pytest.mark.parametrize(
    "changed",
    [
        *(PROMPT.replace(part, "changed.") for part in ("captions.", "Another.", "shortcuts.")),
        *(PROMPT.replace(part, "changed.") for part in ("runs.", "running.", "sleeps.")),
        f'layout = "turns"\n{PROMPT}',
        f'answer = "json"\n{PROMPT}',
    ],
)
def test_the_hash_changes_with_every_part_of_the_prompt(write, changed):
    before = read_prompt(write(PROMPT)).hash
    assert changed != PROMPT
    assert len(before) == 64
    assert read_prompt(write(changed)).hash != before


def test_the_hash_is_that_of_what_is_read_and_not_of_the_file(write):
    same = f"# A remark.\nanswer = 'numbered'\n{PROMPT}"
    one, other = read_prompt(write(PROMPT)), read_prompt(write(same, "other.toml"))
    text = RENDERED.replace("Two men row.", "{sentence}")
    assert (one.name, other.name) == ("prompt", "other")
    assert one.hash == other.hash == read_prompt(write(text, "third.txt")).hash


def test_there_are_five_prompts_for_each_kind_of_sentence():
    assert prompt_names() == NAMES
    assert len({load_prompt(name).hash for name in NAMES}) == 15


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(SimgptError) as caught:
        load_prompt("poems")
    assert str(caught.value) == f"no prompt for 'poems'; known: {', '.join(NAMES)}"


@pytest.mark.parametrize("name", NAMES)
def test_the_worked_examples_do_what_the_prompt_asks_for(name):
    examples = load_prompt(name).examples
    assert len(examples) == 8
    for example in examples:
        texts = (example.sentence, example.similar, example.dissimilar)
        assert len({text.casefold() for text in texts}) == 3
        # Neither a copy with a word swapped nor the sentence with a "not" put in.
        assert word_overlap(example.sentence, example.similar) < 0.6
        assert word_overlap(example.sentence, example.dissimilar) < 0.4


@pytest.mark.parametrize("kind", ["captions", "multi_genre"])
@pytest.mark.parametrize("variant", ["", ".brief"])
def test_counting_words_finds_most_similar_sentences_of_the_examples(kind, variant):
    """Questions are left out: they are so short that words like "the" decide."""
    wrong = sum(
        overlaps_wrongly(Triplet(example.sentence, example.similar, example.dissimilar))
        for example in load_prompt(f"{kind}{variant}").examples
    )
    assert wrong <= 2


def test_the_worked_examples_are_not_in_the_bundle():
    bundled = {text.casefold() for row in read_triplets(BUNDLED_TRIPLETS) for text in row.texts}
    shown = {e.sentence.casefold() for name in NAMES for e in load_prompt(name).examples}
    assert len(shown) == 48  # eight for each kind, and eight more for its brief variant
    assert not shown & bundled


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_brief_variant_has_examples_of_its_own(kind):
    base = load_prompt(kind).examples
    for variant in ("json", "rater", "turns"):
        assert load_prompt(f"{kind}.{variant}").examples == base
    assert not set(load_prompt(f"{kind}.brief").examples) & set(base)


@pytest.mark.parametrize("name", NAMES)
def test_the_parser_reads_the_answers_that_a_prompt_shows(name):
    prompt = load_prompt(name)
    answers = [block.split("Output:\n")[1] for block in prompt.render("x").split("\n\n")[1:-1]]
    assert [parse_answer(answer) for answer in answers] == [
        (example.similar, example.dissimilar) for example in prompt.examples
    ]
    with pytest.raises(AnswerError):
        parse_answer(prompt.render("x"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_changes_what_it_says_and_nothing_else(kind):
    base, *rest = (load_prompt(name) for name in (kind, *(f"{kind}.{v}" for v in VARIANTS)))
    brief, as_json, rater, turns = rest
    head, *examples = base.render("x").split("\n\n")
    assert turns.render("x") == base.render("x")
    roles = [message["role"] for message in turns.messages("x")]
    assert roles == ["system", *["user", "assistant"] * 8, "user"]
    for other in (base, brief, as_json, rater):
        assert [message["role"] for message in other.messages("x")] == ["user"]
    rater_head, *rater_examples = rater.render("x").split("\n\n")
    assert rater_examples == examples
    assert "scale from 0 to 5" in rater_head
    assert "scale" not in head
    assert len(brief.render("x").split("\n\n")[0]) < len(head) / 2
    json_head, *json_examples, _ = as_json.render("x").split("\n\n")
    assert json_head.splitlines()[:-1] == head.splitlines()[:-1]
    assert "JSON" in json_head.splitlines()[-1]
    for block, example in zip(json_examples, base.examples, strict=True):
        answer = json.loads(block.split("Output:\n")[1])
        assert answer == {"similar": example.similar, "dissimilar": example.dissimilar}


def test_a_prompt_of_ones_own_may_build_on_a_bundled_one(write):
    own = read_prompt(write('extends = "questions.turns"\nnote = "Be kind."'))
    base = load_prompt("questions.turns")
    assert own.examples == base.examples
    theirs, mine = base.messages("Why?"), own.messages("Why?")
    assert mine[1:] == theirs[1:]
    assert mine[0]["content"].splitlines()[:-1] == theirs[0]["content"].splitlines()[:-1]
    assert mine[0]["content"].splitlines()[-1].startswith("Note: Be kind. Answer with")


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
        (
            "note =",
            "notes =",
            "unknown notes; known: extends, task, instructions, note, examples, answer, layout",
        ),
        ("note =", 'answer = "xml"\nnote =', "answer is 'xml'; it must be one of: numbered, json"),
        ("note =", "answer = []\nnote =", "answer is []; it must be one of: numbered, json"),
        ("note =", 'layout = "chat"\nnote =', "layout is 'chat'; it must be one of: text, turns"),
        (
            "note =",
            'extends = "poems"\nnote =',
            f"extends is 'poems'; known: {', '.join(NAMES)}",
        ),
        ("note =", "extends = 3\nnote =", "extends is 3; known: captions, "),
        (
            "Another.",
            "Not {sentence}.",
            "only the place for the sentence may be written {sentence}",
        ),
        ("A cat sleeps.", "a {sentence}", "only the place for the sentence may be written {sent"),
        ("A cat sleeps.", "A DOG runs.", "examples, number 1: the three texts must differ"),
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


@pytest.mark.parametrize("name", ["prompt.md", "prompt", "prompt.json"])
def test_a_prompt_file_of_another_kind_is_refused(write, name):
    with pytest.raises(SimgptError, match=r"a prompt file ends in \.toml or \.txt"):
        read_prompt(write(PROMPT, name))


TEXT = """\
Rewrite it, once alike and once not.

Input: A dog runs.
Output:
1. A dog is running.
2. A cat sleeps.

Input: It rains.
Output:
1. Rain falls.
2. The sun
   shines.
"""


def test_a_text_prompt_is_sent_as_it_stands_with_the_sentence_in_its_place(write):
    prompt = read_prompt(write("Say twice: {sentence}\nThank you.\n", "own.txt"))
    assert prompt.render("It  is\nlate.") == "Say twice: It is late.\nThank you."
    assert prompt.messages("a") == [{"role": "user", "content": "Say twice: a\nThank you."}]
    assert (prompt.name, prompt.examples) == ("own", ())


@pytest.mark.parametrize("end", ["\nInput:", "\nInput: \n", "\nInput: {sentence}\nOutput:\n"])
def test_a_text_prompt_that_ends_where_the_sentence_goes_gets_it_appended(write, end):
    prompt = read_prompt(write(TEXT + end, "released.txt"))
    assert prompt.render("Two men row.") == f"{TEXT}\nInput: Two men row.\nOutput:"
    assert [(e.sentence, e.similar, e.dissimilar) for e in prompt.examples] == [
        ("A dog runs.", "A dog is running.", "A cat sleeps."),
        ("It rains.", "Rain falls.", "The sun shines."),
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (TEXT, "the prompt must hold {sentence} once each, .*occurs 0 times"),
        ("", "{sentence} occurs 0 times"),
        ("{sentence} {sentence}", "{sentence} occurs 2 times"),
        (TEXT + "\n{sentence}\nInput:\n{sentence}", "{sentence} occurs 2 times"),
        ("Input: a\nInput: {sentence}", "worked example 1 has no `Output:`"),
        (
            TEXT.replace("2. The sun\n   shines.", "The sun.") + "\nInput:",
            'worked example 2 cannot be read as an answer: line "2." is missing',
        ),
        (TEXT.replace("A dog runs.", "") + "\nInput:", "worked example 1: sentence is missing"),
    ],
)
def test_a_malformed_text_prompt_is_refused_with_file_and_fault(write, content, complaint):
    path = write(content, "own.txt")
    with pytest.raises(SimgptError, match=complaint.replace("{", r"\{")) as caught:
        read_prompt(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_bundled_scoring_prompt_takes_two_sentences():
    prompt = read_prompt(PROMPTS / "score.txt", PAIR)
    rendered = prompt.render("A dog {sentence2} runs.", "It\nrains.")
    assert rendered.endswith("Sentence A: A dog {sentence2} runs.\nSentence B: It rains.\nScore:")
    assert prompt.messages("a", "b") == [{"role": "user", "content": prompt.render("a", "b")}]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("s.txt", "{sentence1}", "must hold {sentence1} and {sentence2} once each"),
        ("s.txt", "{sentence1} {sentence2} {sentence1}", "{sentence1} occurs 2 times"),
        ("s.txt", "{sentence2} {sentence1}", "must come in the order {sentence1} and {sentence2}"),
        ("s.txt", "Score this. Input:", "{sentence1} occurs 0 times"),
        ("s.toml", PROMPT, "must be a .txt file with {sentence1} and {sentence2}"),
    ],
)
def test_a_scoring_prompt_without_two_places_in_order_is_refused(write, name, content, complaint):
    path = write(content, name)
    with pytest.raises(SimgptError) as caught:
        read_prompt(path, PAIR)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", ["captions", "captions.turns"])
def test_an_empty_sentence_makes_no_message_either(name):
    with pytest.raises(SimgptError, match="empty sentence"):
        load_prompt(name).messages("\t")
