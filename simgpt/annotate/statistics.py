"""What the triplets look like, as plain rows for tables and figures.

Every function takes triplets and returns a list of dicts, one a row. Shares are in per cent;
`by` names what to group by: `source`, or a further key of the triplets such as `genre` or `wave`.
"""

import string
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import groupby

import numpy as np

from simgpt.markdown import Row
from simgpt.triplets import TEXTS, Triplet

_PUNCTUATION = string.punctuation + "‘’“”–—…"
_OPENING = 2


def words(text: str) -> list[str]:
    """Lower-cased words without the punctuation around them."""
    stripped = (word.strip(_PUNCTUATION) for word in text.lower().split())
    return [word for word in stripped if word]


def word_overlap(first: str, second: str) -> float:
    """Jaccard overlap of two texts' sets of words, |A & B| / |A | B|: 0 none, 1 the same words."""
    a, b = _word_set(first), _word_set(second)
    return len(a & b) / len(a | b) if a | b else 0.0


def overlaps_wrongly(triplet: Triplet) -> bool:
    """Does the dissimilar sentence share more words with the sentence than the similar one?"""
    sentence, similar, dissimilar = triplet.texts
    return word_overlap(sentence, dissimilar) > word_overlap(sentence, similar)


def opens_alike(first: str, second: str) -> bool:
    """Do two texts begin with the same two words?"""
    return words(first)[:_OPENING] == words(second)[:_OPENING]


def counts(triplets: Iterable[Triplet], *by: str) -> list[Row]:
    """Number of triplets for each combination of the keys `by`."""
    return [
        {**dict(zip(by, values, strict=True)), "triplets": len(group)}
        for values, group in _groups(triplets, by)
    ]


def lengths(triplets: Iterable[Triplet], by: str = "source") -> list[Row]:
    """Length in words of each of the three texts."""
    rows = []
    for (value,), group in _groups(triplets, (by,)):
        for index, name in enumerate(TEXTS):
            size = [len(words(triplet.texts[index])) for triplet in group]
            low, median, high = np.percentile(size, [5, 50, 95])
            rows.append(
                {
                    by: value,
                    "text": name,
                    "mean": float(np.mean(size)),
                    "5th percentile": float(low),
                    "median": float(median),
                    "95th percentile": float(high),
                }
            )
    return rows


def overlaps(triplets: Iterable[Triplet], by: str = "wave") -> list[Row]:
    """Mean word overlap with the sentence, and how often it points the wrong way."""

    def row(group: list[Triplet]) -> Row:
        return {
            "overlap, similar (%)": 100 * _mean(word_overlap(t.sentence, t.similar) for t in group),
            "overlap, dissimilar (%)": 100
            * _mean(word_overlap(t.sentence, t.dissimilar) for t in group),
            "dissimilar overlaps more (%)": 100 * _mean(overlaps_wrongly(t) for t in group),
        }

    return _with_total(triplets, by, row)


def openings(triplets: Iterable[Triplet], by: str = "wave") -> list[Row]:
    """Share of similar and of dissimilar sentences that begin with the sentence's two first words.

    Where the two shares differ, a model can tell similar from dissimilar without reading on.
    """

    def row(group: list[Triplet]) -> Row:
        return {
            "same opening, similar (%)": 100
            * _mean(opens_alike(t.sentence, t.similar) for t in group),
            "same opening, dissimilar (%)": 100
            * _mean(opens_alike(t.sentence, t.dissimilar) for t in group),
        }

    return _with_total(triplets, by, row)


@lru_cache(maxsize=1 << 16)  # every grouping asks for the same texts again
def _word_set(text: str) -> frozenset[str]:
    return frozenset(words(text))


def _with_total(
    triplets: Iterable[Triplet], by: str, row: Callable[[list[Triplet]], Row]
) -> list[Row]:
    triplets = list(triplets)
    rows = [{by: value, **row(group)} for (value,), group in _groups(triplets, (by,))]
    return [*rows, {by: "all", **row(triplets)}]


def _groups(
    triplets: Iterable[Triplet], by: tuple[str, ...]
) -> list[tuple[tuple[str, ...], list[Triplet]]]:
    """Triplets grouped by the values of some keys, in the order of these values."""

    def values(triplet: Triplet) -> tuple[str, ...]:
        content = triplet.to_dict()
        return tuple(str(content.get(key, "")) or "(none)" for key in by)

    return [(key, list(group)) for key, group in groupby(sorted(triplets, key=values), values)]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
