"""Scores on the pairs that training data has not touched."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simgpt.errors import SimgptError
from simgpt.evaluate.overlap import Level
from simgpt.evaluate.scored import Scored
from simgpt.evaluate.scores import Cosines, resample_task, score_task, spearman
from simgpt.evaluate.tasks import Task
from simgpt.evaluate.uncertainty import Floats, interval
from simgpt.progress import progress as progress_bar

Bits = NDArray[np.uint8]  # sums of levels


def clean_scores(
    tasks: Sequence[Task], scored: Scored, touched: Mapping[str, Bits], *, progress: bool = False
) -> dict[str, Any]:
    """Scores on all pairs, and on those of which neither sentence is touched.

    The interval of a change is the paired bootstrap's: of each resample, the same pairs are scored
    with and without the touched ones.

    Args:
        tasks: What was scored.
        scored: The model's cosines.
        touched: By task, the levels at which each pair is touched, shape (pairs,).
        progress: Show a progress bar.

    Returns:
        `tasks` (by name: `pairs`, `spearman` from -1 to 1, and `without`, by level: `pairs` that
        are left, their `spearman`, its `change` from that of all pairs and the change's `interval`;
        the last three None where fewer than two pairs are left, or none that differ), and `average`
        (the mean of the tasks in the same form; None for a single task).
    """
    rows: dict[str, dict[str, Any]] = {}
    resampled: dict[str, list[Floats]] = defaultdict(list)
    with progress_bar("scoring without touched pairs", len(tasks), show=progress) as advance:
        for task in tasks:
            rows[task.name], changes = _clean(task, scored.cosines[task.name], touched[task.name])
            for level, change in changes.items():
                resampled[level].append(change)
            advance()
    return {"tasks": rows, "average": _average(rows, resampled) if len(tasks) > 1 else None}


def _clean(task: Task, cosines: Cosines, touched: Bits) -> tuple[dict[str, Any], dict[str, Floats]]:
    """One task's row, and the resampled changes by level where there are any."""
    score, gold = score_task(task, cosines).spearman, np.array(task.gold)

    @cache  # levels that touch the same pairs, or none, are resampled once
    def resample(keep: bytes) -> Floats:
        drawn: Floats = resample_task(task, [cosines], keep=np.frombuffer(keep, dtype=bool))[0]
        return drawn

    without: dict[str, dict[str, Any]] = {}
    changes = {}
    for level in Level:
        keep = (touched & level) == 0
        try:
            rest = spearman(cosines[keep], gold[keep])
        except SimgptError:
            without[level.label] = _row(int(keep.sum()), None, score, None)
            continue
        changed = resample(keep.tobytes()) - resample(np.ones_like(keep).tobytes())
        without[level.label] = _row(int(keep.sum()), rest, score, changed)
        changes[level.label] = changed
    return {"pairs": task.pairs, "spearman": score, "without": without}, changes


def _average(
    rows: Mapping[str, Mapping[str, Any]], resampled: Mapping[str, Sequence[Floats]]
) -> dict[str, Any]:
    score = float(np.mean([row["spearman"] for row in rows.values()]))
    without = {}
    for label in (level.label for level in Level):
        clean = [row["without"][label] for row in rows.values()]
        scores = [one["spearman"] for one in clean]
        pairs = sum(one["pairs"] for one in clean)
        known = None not in scores
        without[label] = _row(
            pairs,
            float(np.mean(scores)) if known else None,
            score,
            np.mean(resampled[label], axis=0) if known else None,
        )
    pairs = sum(row["pairs"] for row in rows.values())
    return {"pairs": pairs, "spearman": score, "without": without}


def _row(pairs: int, score: float | None, before: float, changes: Floats | None) -> dict[str, Any]:
    return {
        "pairs": pairs,
        "spearman": score,
        "change": None if score is None else score - before,
        "interval": None if changes is None else asdict(interval(changes)),
    }
