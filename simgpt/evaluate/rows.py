"""Rows of benchmark files: every one is sound or named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simgpt.errors import SimgptError
from simgpt.evaluate.tasks import Subset


class Row(NamedTuple):
    """A scored pair, and the file and line it stands in."""

    left: str
    right: str
    gold: float
    where: str


def sound_row(
    left: str, right: str, gold: Any, where: str, *, gold_where: str | None = None
) -> Row:
    """A row whose sentences are not empty and whose score is one.

    Args:
        left: First sentence.
        right: Second sentence.
        gold: Number, or the text of one.
        where: File and line.
        gold_where: The score's, where that is in another file.

    Raises:
        SimgptError: a sentence is empty, or the score is no number from 0 to 5.
    """
    for place, sentence in (("first", left), ("second", right)):
        if not sentence.strip():
            raise SimgptError(f"{where}: the {place} sentence is empty")
    try:
        score = float(gold)
    except (TypeError, ValueError):
        score = -1.0
    if not 0 <= score <= 5:
        raise SimgptError(
            f"{gold_where or where}: gold score {gold!r}; it must be a number from 0 to 5"
        )
    return Row(left, right, score, where)


def whole_subset(name: str, rows: Sequence[Row], expected: int, path: Path) -> Subset:
    """The rows of `path` as a subset.

    Raises:
        SimgptError: they are not as many as were published.
    """
    if len(rows) != expected:
        raise SimgptError(f"{path}: {len(rows)} scored pairs instead of {expected}; is it torn?")
    return Subset(
        name, [row.left for row in rows], [row.right for row in rows], [row.gold for row in rows]
    )
