import pytest

from simgpt import SimgptError
from simgpt.annotate import RecordedTeacher, annotate, load_prompt, parse_answer
from simgpt.sentences import SourceSentence, load_sentences
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets, write_triplets


class Scripted:
    """A teacher that answers from a dict and remembers what it was asked."""

    name = "scripted"

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def answer(self, prompt, sentence):
        self.asked.append((prompt, sentence))
        return self.answers[sentence]


DOG = SourceSentence("A dog runs.", "captions")
WHY = SourceSentence("Why do cats purr?", "questions")


def test_a_usable_answer_becomes_a_triplet_that_says_where_it_comes_from():
    teacher = Scripted({DOG.text: "1. A dog is running.\n2. A cat sleeps."})
    (triplet,) = annotate([DOG], teacher).triplets
    assert triplet.texts == ("A dog runs.", "A dog is running.", "A cat sleeps.")
    assert triplet.source == "captions"
    assert triplet.extra == {"teacher": "scripted", "prompt": load_prompt("captions").hash}


def test_each_kind_of_sentence_gets_its_own_prompt():
    teacher = Scripted({DOG.text: "1. a\n2. b", WHY.text: "1. c\n2. d"})
    annotate([DOG, WHY], teacher)
    assert teacher.asked == [
        (load_prompt("captions").render(DOG.text), DOG.text),
        (load_prompt("questions").render(WHY.text), WHY.text),
    ]


def test_a_sentence_without_a_kind_gets_the_broadest_prompt():
    teacher = Scripted({"It rains a lot.": "1. a\n2. b"})
    (triplet,) = annotate([SourceSentence("It rains a lot.", "")], teacher).triplets
    assert triplet.source == "multi_genre"
    assert teacher.asked[0][0] == load_prompt("multi_genre").render("It rains a lot.")


def test_a_kind_without_a_prompt_is_refused():
    with pytest.raises(SimgptError, match="no prompt for 'poems'"):
        annotate([SourceSentence("Roses are red.", "poems")], Scripted({}))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I'm sorry, I can't.", "a refusal"),
        ("1. A dog is running.", 'line "2." is missing'),
        ("1. a  DOG runs.\n2. A cat sleeps.", 'line "1." repeats the sentence'),
        ("1. A dog is running.\n2. A dog runs.", 'line "2." repeats the sentence'),
    ],
)
def test_a_bad_answer_is_kept_with_its_reason_and_the_rest_goes_on(answer, reason):
    teacher = Scripted({DOG.text: answer, WHY.text: "1. What makes cats purr?\n2. Why me?"})
    annotated = annotate([DOG, WHY], teacher)
    assert [triplet.sentence for triplet in annotated.triplets] == [WHY.text]
    assert list(annotated.failures) == [DOG.text]
    assert reason in annotated.failures[DOG.text]


@pytest.mark.parametrize("answer", ["1. A dog is running.\n2. A cat sleeps.", "oops"])
def test_a_sentence_that_comes_twice_is_asked_for_once(answer):
    teacher = Scripted({DOG.text: answer})
    annotated = annotate([DOG, DOG], teacher)
    assert len(teacher.asked) == 1
    assert len(annotated.triplets) + len(annotated.failures) == 1


def test_what_comes_out_can_be_written_and_read(tmp_path):
    teacher = Scripted({DOG.text: "1. A dog is running.\n2. A cat sleeps."})
    triplets = annotate([DOG], teacher).triplets
    write_triplets(tmp_path / "t.jsonl", triplets)
    assert list(read_triplets(tmp_path / "t.jsonl")) == triplets


def test_the_recorded_teacher_gives_back_the_whole_bundle_through_the_parser():
    recorded = {triplet.id for triplet in read_triplets(BUNDLED_TRIPLETS)}
    loaded = load_sentences()
    annotated = annotate(loaded.sentences, RecordedTeacher())
    assert annotated.failures == {}
    assert len(annotated.triplets) == len(loaded.sentences)
    assert {triplet.id for triplet in annotated.triplets} <= recorded


def test_the_recorded_teacher_answers_in_the_numbered_form(tmp_path):
    write_triplets(tmp_path / "t.csv", [Triplet("A dog runs.", "A dog is running.", "A cat.")])
    answer = RecordedTeacher(tmp_path / "t.csv").answer("any prompt", " a dog  runs. ")
    assert answer == "1. A dog is running.\n2. A cat."


def test_of_two_recorded_answers_the_first_is_replayed(tmp_path):
    triplets = [Triplet("A dog runs.", f"similar {n}", f"dissimilar {n}") for n in (1, 2)]
    write_triplets(tmp_path / "t.jsonl", triplets)
    answer = RecordedTeacher(tmp_path / "t.jsonl").answer("", "A dog runs.")
    assert parse_answer(answer) == ("similar 1", "dissimilar 1")


def test_a_new_sentence_stops_with_what_the_recorded_teacher_knows(tmp_path):
    path = tmp_path / "t.jsonl"
    write_triplets(path, [Triplet("A dog runs.", "b", "c")])
    with pytest.raises(SimgptError) as caught:
        annotate([SourceSentence("Nobody wrote this.", "")], RecordedTeacher(path))
    for part in ("'Nobody wrote this.'", "only the 1 sentences", str(path), "a live teacher"):
        assert part in str(caught.value)
