"""Evaluate models: scores with intervals and provenance, or an error."""

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from simgpt.config import Aggregation, Pooling, ScoringPrecision
from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import find_tasks
from simgpt.evaluate.scored import (
    Scored,
    cosines_file,
    cosines_sha256,
    describe_model,
    read_cosines,
    score_model,
    write_cosines,
)
from simgpt.evaluate.scores import (
    TaskScore,
    published_average,
    resample_task,
    score_task,
    signature,
)
from simgpt.evaluate.tasks import Benchmarks, Task
from simgpt.evaluate.uncertainty import Floats, interval
from simgpt.files import read_json, write_json
from simgpt.hub import HubError
from simgpt.progress import progress as progress_bar

logger = logging.getLogger(__name__)


def evaluate_model(
    name: str,
    *,
    benchmarks: str = "auto",
    pooling: Pooling = Pooling.AUTO,
    precision: ScoringPrecision = ScoringPrecision.FP32,
    aggregation: Aggregation = Aggregation.ALL,
    output: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Score a model and say how it was done.

    Args:
        name: As `simgpt.evaluate.score_model` takes it; a run folder brings its config along.
        benchmarks: `auto`, a place or `mteb` as `simgpt.evaluate.benchmarks.find_tasks` takes
            it, or `bundled` for the development pairs alone, which are no benchmark: `tasks` and
            `average` then stay empty.
        pooling: Replaces the model's own. Published SimCSE models need `cls`: they are plain
            transformers and do not say how they pool.
        precision: In what the sentences are embedded. The protocol's is fp32; the signature names
            any.
        aggregation: How the subsets of a task become one score.
        output: Write the result here, and its cosines beside it. Where a killed or finished run
            left either for the same weights and the same files, nothing is computed again.
        progress: Show progress bars.

    Returns:
        `suite`, `aggregation`; `tasks` and `development` (by name: what `TaskScore` holds, and the
        bootstrap `interval`); `average` (the published form, x 100), `average_unrounded` and
        `average_interval` (-1 to 1); `cosines_sha256`, `model`, `environment`, `seconds`.

    Raises:
        SimgptError: the model or a benchmark file is missing or unsound.
    """
    environment, started = describe_environment(), time.monotonic()
    found = find_tasks(benchmarks)
    scored = None
    if output is not None:
        wanted = None if name.endswith(".json") else _identity(name, pooling, precision)
        if wanted and (finished := _finished(output, wanted, found, aggregation)):
            logger.info("%s: finished before; delete it to score %s anew", output, name)
            return finished
        scored = _kept(output, wanted, found.all_tasks) if wanted else None
    if scored is None:
        scored = score_model(
            name, found.all_tasks, pooling=pooling, precision=precision, progress=progress
        )
        if output is not None:
            write_cosines(output, scored, found.all_tasks)
    result = {
        "suite": str(found.suite),
        "aggregation": str(aggregation),
        **_scores(found, scored, aggregation, progress),
        "cosines_sha256": cosines_sha256(scored.cosines),
        "model": scored.model,
        "environment": environment,
        "seconds": round(time.monotonic() - started, 1),
    }
    if output is not None:
        write_json(output, result)
    return result


def evaluate_models(names: Sequence[str], folder: Path, **settings: Any) -> dict[str, Any]:
    """Score several models, one result file each in `folder`; finished ones are not scored again.

    Args:
        names: As `evaluate_model` takes them.
        folder: Gets `NAME.json` and its cosines for each model.
        settings: As `evaluate_model` takes them.

    Returns:
        The results by file name.

    Raises:
        SimgptError: as `evaluate_model`, or two models would get the same file.
    """
    files: dict[str, str] = {}
    for name in names:
        stem = Path(name).resolve().name if Path(name).is_dir() else name.replace("/", "--")
        stem = stem.removesuffix(".json")
        if stem in files:
            raise SimgptError(
                f"{files[stem]} and {name} would both be written to {folder / stem}.json; "
                "score them one at a time"
            )
        files[stem] = name
    return {
        stem: evaluate_model(name, output=folder / f"{stem}.json", **settings)
        for stem, name in files.items()
    }


def evaluate_or_fall_back(
    name: str, *, benchmarks: str = "auto", output: Path | None = None
) -> dict[str, Any]:
    """As `evaluate_model`; where no benchmarks can be had at all, score the development pairs.

    For pages that should run anywhere. The result then has no `tasks`, and a warning is logged.
    Benchmarks that are there but torn are still an error.
    """
    try:
        return evaluate_model(name, benchmarks=benchmarks, output=output)
    except HubError as error:
        logger.warning("%s; scoring the bundled development pairs, NOT a benchmark", error)
        return evaluate_model(name, benchmarks="bundled", output=output)


def _scores(
    found: Benchmarks, scored: Scored, aggregation: Aggregation, progress: bool
) -> dict[str, Any]:
    scores = {
        task.name: score_task(
            task, scored.cosines[task.name], aggregation=aggregation, precision=scored.precision
        )
        for task in found.all_tasks
    }
    resampled: dict[str, Floats] = {}
    with progress_bar("resampling", len(scores), show=progress) as advance:
        for task in found.all_tasks:
            cosines = [scored.cosines[task.name]]
            (resampled[task.name],) = resample_task(task, cosines, aggregation=aggregation)
            advance()
    seven = {task.name: scores[task.name] for task in found.tasks}
    average: dict[str, Any] = dict.fromkeys(("average", "average_unrounded", "average_interval"))
    if seven:
        average = {
            "average": published_average(seven),
            "average_unrounded": float(np.mean([score.spearman for score in seven.values()])),
            "average_interval": asdict(interval(_mean([resampled[name] for name in seven]))),
        }
    return {
        "tasks": _plain(found.tasks, scores, resampled),
        "development": _plain(found.development, scores, resampled),
        **average,
    }


def _plain(
    tasks: Iterable[Task], scores: Mapping[str, TaskScore], resampled: Mapping[str, Floats]
) -> dict[str, Any]:
    return {
        task.name: asdict(scores[task.name]) | {"interval": asdict(interval(resampled[task.name]))}
        for task in tasks
    }


def _mean(resampled: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(resampled, axis=0)
    return mean


def _identity(name: str, pooling: Pooling, precision: ScoringPrecision) -> dict[str, Any] | None:
    """What tells a model from all others, as a result holds it; None where its hash is not known.

    Two poolings of the same weights are two models.
    """
    model = describe_model(name, pooling=pooling, precision=precision)
    known = model["weights_sha256"] or model.get("revision")
    return json.loads(json.dumps(model)) if known else None


def _kept(output: Path, model: Mapping[str, Any], tasks: Sequence[Task]) -> Scored | None:
    """Cosines that a killed run of the same model on the same files has left."""
    if not cosines_file(output).is_file():
        return None
    try:
        scored = read_cosines(output, tasks)
    except SimgptError as error:
        logger.info("%s", error)
        return None
    return scored if scored.model == model else None


def _finished(
    output: Path, model: Mapping[str, Any], found: Benchmarks, aggregation: Aggregation
) -> dict[str, Any] | None:
    """The result of the same model on the same files, where a run has finished it."""
    scored = _kept(output, model, found.all_tasks)
    if scored is None or not output.is_file():
        return None
    result: dict[str, Any] = read_json(output)
    held = {**result.get("tasks", {}), **result.get("development", {})}
    signatures = {name: score["signature"] for name, score in held.items()}
    told = {
        task.name: signature(task, aggregation=aggregation, precision=scored.precision)
        for task in found.all_tasks
    }
    same = (
        result.get("model") == model
        and result.get("cosines_sha256") == cosines_sha256(scored.cosines)
        and signatures == told
    )
    return result if same else None
