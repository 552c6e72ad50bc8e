import pytest

from simgpt.annotate.statistics import (
    counts,
    lengths,
    openings,
    opens_alike,
    overlaps,
    overlaps_wrongly,
    word_overlap,
    words,
)
from simgpt.markdown import markdown_table
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets


def triplet(*texts, source="captions", **extra):
    return Triplet(*texts, source=source, extra=extra)


# Overlaps with the sentence: similar 1/5 and dissimilar 3/5, then 2/4 and 0.
RUNS = triplet("the dog runs home", "the puppy", "the dog runs away", wave=1)
SLEEPS = triplet("A cat sleeps.", "A cat naps.", "Who knows?", source="questions", wave=2)


def test_words_are_lower_cased_and_stripped_of_punctuation_around_them():
    assert words("“Don’t,” said Ann-Marie – twice (2.5 times)…") == [
        *("don’t", "said", "ann-marie", "twice", "2.5", "times")
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("the dog runs home", "The dog runs away!", 3 / 5),
        ("one two", "two ONE.", 1),
        ("one two", "three", 0),
        ("so so so", "so", 1),
        ("...", "!", 0),
    ],
)
def test_overlap_is_shared_words_over_all_words(first, second, expected):
    assert word_overlap(first, second) == word_overlap(second, first) == expected


def test_a_triplet_overlaps_wrongly_when_its_dissimilar_shares_more():
    assert overlaps_wrongly(RUNS)
    assert not overlaps_wrongly(SLEEPS)
    assert not overlaps_wrongly(triplet("a b", "a c", "b c"))


def test_an_opening_is_the_first_two_words():
    assert opens_alike("The dog runs.", "the DOG, sleeping")
    assert not opens_alike("The dog runs.", "The cat runs.")
    assert not opens_alike("The dog runs.", "The")


def test_counts_are_by_every_combination_of_the_keys_in_order():
    assert counts([SLEEPS, RUNS, RUNS], "source", "wave") == [
        {"source": "captions", "wave": "1", "triplets": 2},
        {"source": "questions", "wave": "2", "triplets": 1},
    ]


def test_a_key_that_a_triplet_lacks_is_a_group_of_its_own():
    assert counts([RUNS, triplet("a", "b", "c", source="")], "genre", "source") == [
        {"genre": "(none)", "source": "(none)", "triplets": 1},
        {"genre": "(none)", "source": "captions", "triplets": 1},
    ]


def test_lengths_are_in_words_for_each_of_the_texts():
    group = [triplet("w " * n, "w " * 2 * n, "w") for n in range(1, 22)]
    sentence, similar, dissimilar = lengths(group)
    assert sentence == {
        "source": "captions",
        "text": "sentence",
        "mean": 11,
        "5th percentile": 2,
        "median": 11,
        "95th percentile": 20,
    }
    assert (similar["text"], similar["mean"]) == ("similar", 22)
    assert (dissimilar["text"], dissimilar["95th percentile"]) == ("dissimilar", 1)


def test_overlaps_are_means_in_per_cent_with_a_line_for_all():
    first, second, both = overlaps([RUNS, SLEEPS], "wave")
    assert first == {
        "wave": "1",
        "overlap, similar (%)": pytest.approx(20),
        "overlap, dissimilar (%)": pytest.approx(60),
        "dissimilar overlaps more (%)": 100,
    }
    assert second["overlap, similar (%)"] == pytest.approx(50)
    assert both == {
        "wave": "all",
        "overlap, similar (%)": pytest.approx(35),
        "overlap, dissimilar (%)": pytest.approx(30),
        "dissimilar overlaps more (%)": 50,
    }


def test_openings_are_shares_in_per_cent():
    assert openings([RUNS, SLEEPS], "source") == [
        {
            "source": "captions",
            "same opening, similar (%)": 0,
            "same opening, dissimilar (%)": 100,
        },
        {
            "source": "questions",
            "same opening, similar (%)": 100,
            "same opening, dissimilar (%)": 0,
        },
        {"source": "all", "same opening, similar (%)": 50, "same opening, dissimilar (%)": 50},
    ]


def test_the_bundle_shows_the_artefact_in_the_first_wave_and_not_in_the_second():
    rows = {row["wave"]: row for row in openings(read_triplets(BUNDLED_TRIPLETS), "wave")}
    shares = {
        wave: (
            round(rows[wave]["same opening, similar (%)"]),
            round(rows[wave]["same opening, dissimilar (%)"]),
        )
        for wave in ("1", "2", "3")
    }
    # Counted independently when the annotations were written.
    assert shares == {"1": (5, 39), "2": (36, 36), "3": (12, 25)}


def test_a_table_aligns_numbers_and_escapes_what_would_end_a_cell():
    rows = [{"name": "a|b", "count": 1234, "share": 5.25}, {"name": "c", "count": 0, "share": 7.0}]
    assert markdown_table(rows) == (
        "| name | count | share |\n| --- | ---: | ---: |\n| a\\|b | 1,234 | 5.2 |\n| c | 0 | 7.0 |"
    )
