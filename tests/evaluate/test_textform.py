"""The signature's text field is what the files are, not what they should be."""

import logging
from pathlib import Path

import pytest

from simgpt import SimgptError
from simgpt.evaluate.rows import Row
from simgpt.evaluate.textform import text_form

PUBLISHED = [
    "It's late, isn't it?",
    'The "dog" doesn\'t bark, he said.',
    "We'll see.",
    "They've gone to Rome, haven't they?",
]
# By Moses' tokenizer, by hand.
ONCE = [
    "It 's late , isn 't it ?",
    'The " dog " doesn \'t bark , he said .',
    "We 'll see .",
    "They 've gone to Rome , haven 't they ?",
]
# Its output put through it once more: the apostrophe is now a token of its own.
TWICE = [
    "It ' s late , isn ' t it ?",
    'The " dog " doesn \' t bark , he said .',
    "We ' ll see .",
    "They ' ve gone to Rome , haven ' t they ?",
]
ESCAPED = [text.replace("'", "&apos;").replace('"', "&quot;") for text in ONCE]
ESCAPED_TWICE = [text.replace("&", "& ").replace(";", " ;") for text in ESCAPED]
PTB = [
    "It 's late , is n't it ?",
    "The `` dog '' does n't bark , he said .",
    "We 'll see .",
    "They 've gone to Rome , have n't they ?",
]
PTB_THEN_MOSES = [text.replace("n't", "n ' t").replace("'s", "' s") for text in PTB]


def rows(sentences, path="a.txt"):
    pairs = zip(sentences[::2], sentences[1::2], strict=True)
    return [Row(*pair, 1.0, f"{path}, line {line}") for line, pair in enumerate(pairs, start=1)]


def form(*files):
    return text_form("sts99", {Path(f"{n}.txt"): rows(text) for n, text in enumerate(files)})


def lower(sentences):
    return [text.lower() for text in sentences]


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (PUBLISHED, "raw"),
        (lower(PUBLISHED), "raw-lower"),
        (ONCE, "moses-cased"),
        (lower(ONCE), "moses-lower"),
        (ESCAPED, "moses-escaped-cased"),
        (TWICE, "moses-twice-cased"),
        (lower(TWICE), "moses-twice-lower"),
        (lower(ESCAPED_TWICE), "moses-twice-lower"),
        (lower(PTB), "ptb-lower"),
        (lower(PTB_THEN_MOSES), "moses-twice-lower"),
    ],
)
def test_each_preparation_is_told_from_the_text_alone(sentences, expected, caplog):
    assert form(sentences) == expected
    assert ("tokenised twice" in caplog.text) == ("twice" in expected)


def test_a_copy_tokenised_twice_is_warned_of_with_task_file_line_and_text(caplog):
    text = ["The dog barks .", "The cat sleeps .", "It ' s late .", "We ' re off ."]
    form(lower(ONCE), lower(text))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "sts99: its text was tokenised twice" in record.getMessage()
    assert "a.txt, line 2: it ' s late ." in record.getMessage()


def test_a_few_apostrophes_that_stand_alone_are_no_second_pass(caplog):
    assert form(lower(ONCE * 5 + TWICE[:2])) == "moses-lower"
    assert form([*PUBLISHED, "Bob ' s dog .", "He said , no ."] + PUBLISHED * 8) == "raw"
    assert caplog.records == []


def test_a_file_without_punctuation_is_what_the_other_files_are():
    silent = ["a dog runs", "a cat sleeps"]
    assert form(silent, PUBLISHED) == "raw"
    assert form(silent, lower(ONCE)) == "moses-lower"
    with pytest.raises(SimgptError, match=r"0\.txt: no punctuation tells whether sts99"):
        form(silent)


def test_files_of_which_some_are_tokenised_are_refused():
    with pytest.raises(SimgptError, match=r"sts99: 1\.txt is tokenised and 0\.txt is not"):
        form(PUBLISHED, ONCE)
    with pytest.raises(SimgptError, match=r"0\.txt: neither tokenised nor .* in 50% of the"):
        form(PUBLISHED + ONCE)
