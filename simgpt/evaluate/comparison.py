"""One model against another on the same pairs."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from simgpt.encoder import load_encoder
from simgpt.environment import describe_environment
from simgpt.evaluate.run import describe_model, find_tasks
from simgpt.evaluate.scores import encode_tasks, score_task, signature, task_cosines
from simgpt.evaluate.uncertainty import bootstrap_spearman, compare, holm, interval, p_of
from simgpt.progress import progress as progress_bar


def compare_models(
    first: str, second: str, *, benchmarks: str = "auto", progress: bool = False
) -> dict[str, Any]:
    """Test whether two models differ on the seven benchmarks, or on the development pairs.

    Args:
        first: As `simgpt.encoder.load_encoder` takes it.
        second: The model it is compared with.
        benchmarks: As `evaluate_model` takes it.
        progress: Show progress bars.

    Returns:
        `tasks` (by name: `first` and `second`, Spearman from -1 to 1, their `difference`, its
        paired bootstrap `interval`, `p_bootstrap`, `p_randomisation`, and `p_holm`: the latter,
        corrected for as many tests as there are tasks), `average` (the same of the mean over
        seven, None without them), `models`, `environment`, `seconds`.

    Raises:
        SimgptError: a model or a benchmark file is missing or unsound.
    """
    environment, started = describe_environment(), time.monotonic()
    tasks, development = find_tasks(benchmarks)
    tasks = tasks or development
    models = [first, second]
    vectors = [encode_tasks(load_encoder(name), tasks, progress=progress) for name in models]
    rows: dict[str, dict[str, Any]] = {}
    resampled = []
    with progress_bar("comparing", len(tasks)) as advance:
        for task in tasks:
            cosines = [task_cosines(task, found) for found in vectors]
            drawn = bootstrap_spearman(cosines, task.gold, task.sizes)
            scores = [score_task(task, found).spearman for found in vectors]
            rows[task.name] = {
                "first": scores[0],
                "second": scores[1],
                **asdict(compare(cosines[0], cosines[1], task.gold, drawn)),
                "signature": signature(task),
            }
            resampled.append(drawn[0] - drawn[1])
            advance()
    for row, p in zip(
        rows.values(), holm([row["p_randomisation"] for row in rows.values()]), strict=True
    ):
        row["p_holm"] = p
    average = None
    if len(tasks) > 1:
        differences = np.mean(resampled, axis=0)
        means = [float(np.mean([row[key] for row in rows.values()])) for key in ("first", "second")]
        average = {
            "first": means[0],
            "second": means[1],
            "difference": means[0] - means[1],
            "interval": asdict(interval(differences)),
            "p_bootstrap": p_of(differences),
        }
    return {
        "models": {"first": describe_model(first), "second": describe_model(second)},
        "tasks": rows,
        "average": average,
        "environment": environment,
        "seconds": round(time.monotonic() - started, 1),
    }
