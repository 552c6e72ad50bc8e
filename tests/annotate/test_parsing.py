import pytest

from simgpt import SimgptError
from simgpt.annotate import AnswerError, parse_answer

TEXTS = ("A dog runs.", "A cat sleeps.")


@pytest.mark.parametrize(
    "answer",
    [
        "1. A dog runs.\n2. A cat sleeps.",
        "1) A dog runs.\n2) A cat sleeps.",
        "1: A dog runs.\n2: A cat sleeps.",
        "1 . A dog runs.\n2 . A cat sleeps.",
        "1.A dog runs.\n2.A cat sleeps.",
        "\n\n  1.   A dog runs.  \r\n\n\t2. A cat sleeps.\n\n",
        "1. Similar: A dog runs.\n2. Dissimilar: A cat sleeps.",
        "1. similar sentence: A dog runs.\n2. DISSIMILAR SENTENCE : A cat sleeps.",
    ],
)
def test_two_numbered_lines_are_read_in_their_usual_spellings(answer):
    assert parse_answer(answer) == TEXTS


def test_numbers_colons_and_quotes_inside_a_sentence_stay():
    answer = '1. 1.5 million people, 2) of them "new": yes.\n2. Note: 3. May is late.'
    assert parse_answer(answer) == (
        '1.5 million people, 2) of them "new": yes.',
        "Note: 3. May is late.",
    )


def test_a_sentence_that_only_begins_with_the_word_similar_stays_whole():
    assert parse_answer("1. Similar dogs run.\n2. A cat sleeps.")[0] == "Similar dogs run."


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("", "the answer is empty"),
        (" \n\t\n", "the answer is empty"),
        ("I'm sorry, but I can't help with that.", "a refusal: "),
        ("I cannot write this.", "a refusal: "),
        ("I\u2019m unable to do that.", "a refusal: "),
        ("As an AI model, I would rather not.", "a refusal: "),
        ("A dog runs.\nA cat sleeps.", "no numbered line: 'A dog runs.'"),
        ("1.5 million people came.\n2.5 million left.", "no numbered line: "),
        ("1. A dog runs.", 'line "2." is missing'),
        ("2. A cat sleeps.", 'expected line "1." but found'),
        ("2. A cat sleeps.\n1. A dog runs.", 'expected line "1." but found'),
        ("1. A dog runs.\n1. A cat sleeps.", 'expected line "2." but found'),
        ("1. A dog runs.\n12. A cat sleeps.", 'expected line "2." but found'),
        ("1. A dog\nruns.\n2. A cat sleeps.", "expected line \"2.\" but found 'runs.'"),
        ("Sure!\n1. A dog runs.\n2. A cat sleeps.", "expected line \"1.\" but found 'Sure!'"),
        ("1.\n2. A cat sleeps.", 'line "1." is empty'),
        ("1. A dog runs.\n2.", 'line "2." is empty'),
        ("1. A dog runs.\n2. Dissimilar:", 'line "2." is empty'),
        ("1. Dissimilar: A cat sleeps.\n2. Similar: A dog runs.", 'line "1." is labelled'),
        ("1. A dog runs.\n2. A cat sleeps.\n3. More.", "more than two lines; the third is"),
        ("1. A dog runs.\n2. A cat sleeps.\n\nInput: Next", "more than two lines"),
        ("1. A dog runs.\n2. a DOG runs.", "both lines say 'A dog runs.'"),
    ],
)
def test_any_other_answer_is_refused_with_the_reason(answer, complaint):
    with pytest.raises(AnswerError) as caught:
        parse_answer(answer)
    assert str(caught.value).startswith(complaint)


def test_a_long_bad_line_is_quoted_in_part():
    with pytest.raises(AnswerError) as caught:
        parse_answer("word " * 1000)
    assert len(str(caught.value)) < 100


def test_an_answer_error_is_an_error_that_users_read():
    assert issubclass(AnswerError, SimgptError)
