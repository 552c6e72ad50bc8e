"""Evaluate one model: seven scores with provenance, or an error."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from simgpt.config import Pooling
from simgpt.encoder import load_encoder, weights_sha256
from simgpt.environment import describe_environment
from simgpt.evaluate.benchmarks import (
    Task,
    bundled_dev_task,
    find_benchmarks,
    load_benchmarks,
    load_sick,
    load_stsb,
)
from simgpt.evaluate.scores import (
    TaskScore,
    Vectors,
    encode_tasks,
    published_average,
    score_task,
    task_cosines,
)
from simgpt.evaluate.uncertainty import Floats, bootstrap_spearman, interval
from simgpt.files import read_json
from simgpt.hub import HubError
from simgpt.progress import progress as progress_bar

logger = logging.getLogger(__name__)


def evaluate_model(
    name: str,
    *,
    benchmarks: str = "auto",
    pooling: Pooling = Pooling.AUTO,
    progress: bool = False,
) -> dict[str, Any]:
    """Score a model and say how it was done.

    Args:
        name: As `simgpt.encoder.load_encoder` takes it; a run folder brings its config along.
        benchmarks: `auto`, a folder in SentEval's layout, or `bundled` for the development pairs
            alone, which are no benchmark: `tasks` and `average` then stay empty.
        pooling: Replaces the model's own. Published SimCSE models need `cls`: they are plain
            transformers and do not say how they pool.
        progress: Show a progress bar.

    Returns:
        `tasks` and `development` (by name: `spearman` from -1 to 1, its bootstrap `interval`,
        `pairs`, `signature`, `subsets`), `average` (the published form, x 100),
        `average_interval` (of the unrounded average, -1 to 1), `model`, `environment`, `seconds`.

    Raises:
        SimgptError: the model or a benchmark file is missing or unsound.
    """
    environment, started = describe_environment(), time.monotonic()
    tasks, development = find_tasks(benchmarks)
    model = load_encoder(name, pooling=pooling)
    vectors = encode_tasks(model, [*tasks, *development], progress=progress)
    scores = {task.name: score_task(task, vectors) for task in (*tasks, *development)}
    resampled = resample(vectors, [*tasks, *development])
    seven = {task.name: scores[task.name] for task in tasks}
    average = np.mean([resampled[name] for name in seven], axis=0) if seven else None
    return {
        "model": describe_model(name) | {"pooling": str(pooling)},
        "tasks": _plain(seven, resampled),
        "average": published_average(seven) if seven else None,
        "average_interval": None if average is None else asdict(interval(average)),
        "development": _plain({task.name: scores[task.name] for task in development}, resampled),
        "environment": environment,
        "seconds": round(time.monotonic() - started, 1),
    }


def evaluate_or_fall_back(name: str, *, benchmarks: str = "auto") -> dict[str, Any]:
    """As `evaluate_model`; where no benchmarks can be had at all, score the development pairs.

    For pages that should run anywhere. The result then has no `tasks`, and a warning is logged.
    Benchmarks that are there but torn are still an error.
    """
    try:
        return evaluate_model(name, benchmarks=benchmarks)
    except HubError as error:
        logger.warning("%s; scoring the bundled development pairs, NOT a benchmark", error)
        return evaluate_model(name, benchmarks="bundled")


def describe_model(name: str) -> dict[str, Any]:
    """Hash of the weights and, for a run folder, its config and the data it was trained on."""
    described: dict[str, Any] = {"weights_sha256": weights_sha256(name)}
    folder = Path(name)
    if (folder / "config.json").is_file() and (folder / "environment.json").is_file():
        config = read_json(folder / "config.json")
        # Results are published: of a local file or folder only the name; hashes say which it was.
        local = [k for k in ("backbone", "triplets", "benchmarks") if Path(config[k]).exists()]
        described["config"] = config | {key: Path(config[key]).name for key in local}
        described["training"] = read_json(folder / "environment.json")
    else:
        described["name"] = name if name == "bundled" else folder.name
    return described


def find_tasks(benchmarks: str) -> tuple[list[Task], list[Task]]:
    """The seven test sets and the development sets that are to be had."""
    if benchmarks == "bundled":
        return [], [bundled_dev_task()]
    folder = find_benchmarks(benchmarks)
    development = [bundled_dev_task(), load_stsb(folder, "dev"), load_sick(folder, "trial")]
    return load_benchmarks(folder), development


def resample(vectors: Vectors, tasks: Sequence[Task]) -> dict[str, Floats]:
    """Each task's Spearman on its resampled pairs, shape (resamples,)."""
    found = {}
    with progress_bar("resampling", len(tasks)) as advance:
        for task in tasks:
            cosines = task_cosines(task, vectors)
            (found[task.name],) = bootstrap_spearman([cosines], task.gold, task.sizes)
            advance()
    return found


def _plain(scores: dict[str, TaskScore], resampled: dict[str, Floats]) -> dict[str, Any]:
    return {
        name: asdict(score) | {"interval": asdict(interval(resampled[name]))}
        for name, score in scores.items()
    }
