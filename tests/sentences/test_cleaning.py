import pytest

from simgpt.sentences import clean
from simgpt.sentences.cleaning import duplicate_key


def test_white_space_becomes_single_spaces():
    assert clean("  Two\tdogs \n run.  ") == "Two dogs run."


def test_accents_are_composed_whichever_way_they_were_typed():
    assert clean("cafe\u0301") == "caf\u00e9"


@pytest.mark.parametrize("invisible", ["\u200b", "\ufeff", "\x00", "\x85", "\u2060"])
def test_invisible_characters_go(invisible):
    assert clean(f"{invisible}Two{invisible}dogs run.{invisible}") == "Two dogs run."


def test_words_case_and_punctuation_stay():
    text = "“Don’t!” said the U.S. envoy – twice…"
    assert clean(text) == text


def test_cleaning_twice_changes_nothing_more():
    once = clean(" A\u00a0 cafe\u0301\r\n ")
    assert clean(once) == once


def test_duplicates_differ_in_case_spacing_and_punctuation_at_the_ends_only():
    assert duplicate_key("Why do cats purr?") == duplicate_key(clean(" why do  CATS purr "))
    assert duplicate_key("Why do cats purr?") != duplicate_key("Why do cats' purr?")
    assert duplicate_key("Why do cats purr?") != duplicate_key("Why do dogs purr?")
