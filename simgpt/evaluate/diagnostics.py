"""What one number hides: where a model is right, where it errs, and how its vectors lie."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from simgpt.config import Pooling
from simgpt.environment import describe_environment
from simgpt.evaluate.benchmarks import find_tasks
from simgpt.evaluate.calibration import recalibrate
from simgpt.evaluate.geometry import GOLD_ABOVE, geometry
from simgpt.evaluate.ranks import agreement, worst_errors, worst_of_all
from simgpt.evaluate.scored import Scored, score_model, score_with_vectors
from simgpt.evaluate.scores import Vectors, score_task, signature
from simgpt.evaluate.slices import (
    FEWEST,
    RESAMPLES,
    longer_length,
    score_by,
    spearman_with_interval,
    subset_scores,
    word_overlap,
)
from simgpt.evaluate.tasks import Benchmarks, Task

ERRORS = 5


def diagnose_model(
    name: str,
    *,
    against: str | None = None,
    benchmarks: str = "auto",
    pooling: Pooling = Pooling.AUTO,
    errors: int = ERRORS,
    progress: bool = False,
) -> dict[str, Any]:
    """Look behind a model's scores on the seven benchmarks, or on the development pairs.

    Args:
        name: As `simgpt.evaluate.score_model` takes it. A result holds no vectors: uniformity is
            then left out.
        against: Another model or result, to see where the two agree.
        benchmarks: As `evaluate_model` takes it.
        pooling: Replaces the model's own, and that of `against`.
        errors: How many of the worst errors and largest moves to name in each task.
        progress: Show progress bars.

    Returns:
        `subsets`, `length`, `overlap`, `errors`, `geometry`, `calibration`, `agreement` (None
        without `against`), each plain data that `simgpt.report.diagnostics` draws; `suite`,
        `signatures`, `model`, `environment`, `seconds` and `seconds_scoring`, its part that went
        into encoding. No sentence is in it: benchmarks are not ours to publish.

    Raises:
        SimgptError: a model or a benchmark file is missing or unsound.
    """
    environment, started = describe_environment(), time.monotonic()
    found = find_tasks(benchmarks)
    tasks = found.tasks or found.development
    model, vectors = score_with_vectors(name, found.all_tasks, pooling=pooling, progress=progress)
    other = score_model(against, tasks, pooling=pooling, progress=progress) if against else None
    scoring = time.monotonic() - started
    return {
        "suite": str(found.suite),
        "signatures": {task.name: signature(task, precision=model.precision) for task in tasks},
        "resamples": RESAMPLES,
        "subsets": {
            task.name: [asdict(row) for row in subset_scores(task, model.cosines[task.name])]
            for task in tasks
        },
        "length": _by_length(tasks, model),
        "overlap": _by_overlap(tasks, model),
        "errors": _errors(tasks, model, errors),
        "geometry": _geometry(found, model, vectors),
        "calibration": _calibration(found, model),
        "agreement": _agreement(tasks, model, other, errors) if other else None,
        "model": model.model,
        "environment": environment,
        "seconds": round(time.monotonic() - started, 1),
        "seconds_scoring": round(scoring, 1),
    }


def _by_length(tasks: Sequence[Task], model: Scored) -> dict[str, Any]:
    values = {task.name: longer_length(task) for task in tasks}
    bins = score_by(tasks, model.cosines, values)
    return {"bins": [asdict(row) for row in bins], "fewest_pairs": FEWEST}


def _by_overlap(tasks: Sequence[Task], model: Scored) -> dict[str, Any]:
    values = {task.name: word_overlap(task) for task in tasks}
    bins = score_by(tasks, model.cosines, values)
    baseline = {}
    for task in tasks:
        score, interval = spearman_with_interval(values[task.name], task.gold, task.sizes)
        baseline[task.name] = {
            "spearman": score,
            "interval": interval and asdict(interval),
            "model": score_task(task, model.cosines[task.name]).spearman,
        }
    return {
        "bins": [asdict(row) for row in bins],
        "fewest_pairs": FEWEST,
        "baseline": baseline,
    }


def _errors(tasks: Sequence[Task], model: Scored, count: int) -> dict[str, Any]:
    of_tasks = {
        task.name: worst_errors(task, model.cosines[task.name], count=count) for task in tasks
    }
    return {
        "tasks": {name: [asdict(error) for error in rows] for name, rows in of_tasks.items()},
        "overall": [asdict(error) for error in worst_of_all(of_tasks, count=count)],
    }


def _geometry(found: Benchmarks, model: Scored, vectors: Vectors | None) -> dict[str, Any]:
    """Of every task; `stands_for_all` is STS-B, as in SimCSE, or else the first there is."""
    tasks = found.tasks or found.development
    names = [task.name for task in tasks]
    stsb = found.suite.task("stsb")
    return {
        "stands_for_all": stsb if stsb in names else names[0],
        "gold_above": GOLD_ABOVE,
        "tasks": {
            task.name: asdict(geometry(task, model.cosines[task.name], vectors)) for task in tasks
        },
        "note": None
        if vectors is not None
        else "no uniformity: a result holds cosines and no vectors; name the model instead",
    }


def _calibration(found: Benchmarks, model: Scored) -> dict[str, Any]:
    tasks = found.tasks or found.development
    calibrated = recalibrate(tasks, found.development, model.cosines)
    overall = asdict(calibrated.pop("overall"))
    return {
        "fitted_on": [task.name for task in found.development],
        "by_halves": not found.tasks,
        "tasks": {name: asdict(row) for name, row in calibrated.items()},
        "overall": overall,
    }


def _agreement(tasks: Sequence[Task], first: Scored, second: Scored, count: int) -> dict[str, Any]:
    rows = {
        task.name: asdict(
            agreement(task, first.cosines[task.name], second.cosines[task.name], count=count)
        )
        for task in tasks
    }
    kinds = ("spearman", "kendall", "ordered_alike")
    return {
        "second": second.model,
        "tasks": rows,
        "mean": {kind: float(np.mean([row[kind] for row in rows.values()])) for kind in kinds},
        "pairs": sum(task.pairs for task in tasks),
    } | {
        side: sum(row[side] for row in rows.values()) for side in ("first_closer", "second_closer")
    }
