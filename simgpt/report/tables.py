"""Tables of the book, as Markdown."""

import statistics
from collections.abc import Iterable, Sequence

from simgpt.report.figures import DEVELOPMENT_LABELS, LABELS
from simgpt.report.results import (
    TASKS,
    Headline,
    Measured,
    Published,
    differing_settings,
    mean_scores,
)
from simgpt.report.study import row_labels


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column left-aligned, the others right-aligned."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def headline_table(result: Headline, paper: Sequence[Published]) -> str:
    """The paper's rows as printed there, then ours; the group stands in every row's name."""
    header = ["model", *(LABELS[task] for task in TASKS), "avg."]
    rows = [
        [f"*paper:* {row.model}", *(f"{score:.2f}" for score in row.scores), f"{row.average:.2f}"]
        for row in paper
    ]
    for added, runs in (
        (", untouched", [result.untouched]),
        (" + all bundled LLM triplets", result.trained),
        *((f": {label}", runs) for label, runs in further_rows(result).items()),
    ):
        numbers = [*(f"{score:.2f}" for score in mean_scores(runs)), _average(runs)]
        label = f"**measured here:** all-MiniLM-L6-v2{added}"
        label += f", mean of {len(runs)} seeds" if len(runs) > 1 else ""
        rows.append([label, *(f"**{number}**" for number in numbers)])
    return markdown_table(header, rows)


def seeds_table(result: Headline) -> str:
    """Every run behind the headline: scores and the commit that was measured."""
    header = ["run", *(LABELS[task] for task in TASKS), "avg.", "commit"]
    rows = []
    groups = {"untouched": [result.untouched], "all LLM triplets": result.trained}
    for label, runs in (groups | further_rows(result)).items():
        for run in runs:
            seed = f", seed {run.config['seed']}" if run.config else ""
            commit = run.content["environment"]["git"].get("commit", "")[:8]
            numbers = [f"{score:.2f}" for score in run.scores]
            rows.append([f"{label}{seed}", *numbers, f"{run.average:.2f}", f"`{commit}`"])
    return markdown_table(header, rows)


def further_rows(result: Headline) -> dict[str, list[Measured]]:
    """What else was made of the bundled triplets, by the label that the study's grid gives it."""
    labels = row_labels("headline")
    names = [*labels, *result.further]  # in the grid's order
    return {labels.get(n, n): result.further[n] for n in names if n in result.further}


def selection_table(runs: Sequence[Measured]) -> str:
    """The tuning runs: what differed, the development scores, then the average of seven."""
    trained = [run for run in runs if run.config is not None]
    names = [name for name in differing_settings(trained) if name not in ("seed", "triplets")]
    header = ["run", *names, *DEVELOPMENT_LABELS.values(), "average of seven"]
    rows = []
    for run in sorted(runs, key=lambda run: run.development("mean")):
        values = [(run.config or {}).get(name, "-") for name in names]
        settings = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        development = [f"{run.development(name):.2f}" for name in DEVELOPMENT_LABELS]
        rows.append([run.name, *settings, *development, f"{run.average:.2f}"])
    return markdown_table(header, rows)


def _average(runs: Sequence[Measured]) -> str:
    averages = [run.average for run in runs]
    deviation = f" ± {statistics.stdev(averages):.2f}" if len(averages) > 1 else ""
    return f"{statistics.mean(averages):.2f}{deviation}"


def environment_line(run: Measured) -> str:
    """Where a result was measured, in one line."""
    environment = run.content["environment"]
    machine, packages = environment["machine"], environment["packages"]
    processor = ", ".join(machine["gpus"]) or f"{machine['cpu']}, {machine['cores']} cores"
    return (
        f"{processor}; Python {environment['python']}, torch {packages['torch']}, "
        f"sentence-transformers {packages['sentence-transformers']}"
    )


def rerun_facts(result: Headline, again: Sequence[Measured]) -> dict[str, str]:
    """The headline's runs, trained again by the same commands: how far the scores are off."""
    by_seed = {(run.config or {})["seed"]: run for run in result.trained}
    again = [run for run in again if (run.config or {})["seed"] in by_seed]
    pairs = [(by_seed[(run.config or {})["seed"]], run) for run in again]
    farthest = max(
        abs(one - other)
        for first, second in pairs
        for one, other in zip(first.scores, second.scores, strict=True)
    )
    return {
        "rerun_seeds": ", ".join(str((run.config or {})["seed"]) for run in again),
        "rerun_average": f"{statistics.mean(run.average for run in again):.2f}",
        "rerun_before": f"{statistics.mean(first.average for first, _ in pairs):.2f}",
        "rerun_largest": f"{farthest:.2f}",
    }


def facts(result: Headline) -> dict[str, str]:
    """Measured numbers that prose refers to by name, as MyST substitutions."""
    training = [run.content["model"]["training"] for run in result.trained]
    config = result.trained[0].config or {}
    minutes = statistics.median(record["seconds"] for record in training) / 60
    return {
        "untouched_average": f"{result.untouched.average:.2f}",
        "trained_average": f"{result.mean_average:.2f}",
        "trained_deviation": f"{result.deviation:.2f}",
        "gain": f"{result.gain:+.2f}",
        "seeds": str(len(result.trained)),
        "triplets": f"{training[0]['triplets']['count']:,}",
        "training_minutes": f"{minutes:.0f}",
        "learning_rate": f"{config['learning_rate']:g}",
        "batch_size": str(config["batch_size"]),
        "epochs": str(config["epochs"]),
        "temperature": f"{config['temperature']:g}",
        "trained_share": f"{config['trained_share']:g}",
        "hard_negative_weight": f"{config['hard_negative_weight']:g}",
        "measured_on": environment_line(result.untouched),
    }
