"""One model against another on the same pairs."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import find_tasks
from simgpt.evaluate.scored import score_model
from simgpt.evaluate.scores import resample_task, score_task, signature
from simgpt.evaluate.uncertainty import compare, interval, p_of
from simgpt.holm import holm
from simgpt.progress import progress as progress_bar


def compare_models(
    first: str, second: str, *, benchmarks: str = "auto", progress: bool = False
) -> dict[str, Any]:
    """Test whether two models differ on the seven benchmarks, or on the development pairs.

    Args:
        first: As `simgpt.evaluate.score_model` takes it: a model, or a result of one.
        second: The model it is compared with.
        benchmarks: As `evaluate_model` takes it.
        progress: Show progress bars.

    Returns:
        `tasks` (by name: `first` and `second`, Spearman from -1 to 1, their `difference`, its
        paired bootstrap `interval`, `p_bootstrap`, `p_randomisation`, and `p_holm`: the latter,
        corrected for as many tests as there are tasks), `average` (the same of the mean over
        seven, None without them), `suite`, `models`, `environment`, `seconds`.

    Raises:
        SimgptError: a model or a benchmark file is missing or unsound, or the two were scored in
            different precisions.
    """
    environment, started = describe_environment(), time.monotonic()
    found = find_tasks(benchmarks)
    tasks = found.tasks or found.development
    scored = [score_model(name, tasks, progress=progress) for name in (first, second)]
    precision, other = (model.precision for model in scored)
    if precision is not other:
        raise SimgptError(
            f"{first} was scored in {precision} and {second} in {other}; score both alike"
        )
    rows: dict[str, dict[str, Any]] = {}
    resampled = []
    with progress_bar("comparing", len(tasks), show=progress) as advance:
        for task in tasks:
            cosines = [model.cosines[task.name] for model in scored]
            drawn = resample_task(task, cosines)
            tested = compare(cosines[0], cosines[1], task.gold, drawn)
            first_score, second_score = (score_task(task, one).spearman for one in cosines)
            rows[task.name] = {
                "first": first_score,
                "second": second_score,
                **asdict(tested),
                "signature": signature(task, precision=precision),
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
        "suite": str(found.suite),
        "models": dict(zip(("first", "second"), (model.model for model in scored), strict=True)),
        "tasks": rows,
        "average": average,
        "environment": environment,
        "seconds": round(time.monotonic() - started, 1),
    }
