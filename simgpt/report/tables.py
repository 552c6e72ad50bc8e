"""Tables and facts of the headline and of the tuning runs."""

import statistics
from collections.abc import Iterable, Sequence

from simgpt.report.book_table import BookCell, BookRow, BookTable
from simgpt.report.details import environment_line, row_details
from simgpt.report.figures import DEVELOPMENT_LABELS, LABELS
from simgpt.report.results import TASKS, Headline, Measured, Published, differing_settings, row_name
from simgpt.report.study import row_labels
from simgpt.report.table import cells_of

OF_SEEDS = (
    "Of several seeds: mean ± standard deviation; in brackets the mean's 95 % interval by "
    "Student's t."
)
OF_PAIRS = (
    "Of one run, in brackets: 95 % interval, bootstrap of the pairs; the first results have none."
)


def headline_table(
    result: Headline, paper: Sequence[Published], source: str, again: Sequence[Measured]
) -> BookTable:
    """The paper's rows as printed there, then ours; each says whose it is.

    Args:
        result: Ours.
        paper: The paper's rows.
        source: Where they are from.
        again: Reruns, which a row's details compare its runs with.
    """
    rows = [
        BookRow(
            row.model,
            [BookCell(f"{score:.2f}") for score in [*row.scores, row.average]],
            published=True,
        )
        for row in paper
    ]
    for added, runs in (
        (", untouched", [result.untouched]),
        (" + LLM triplets, waves 1 to 3", result.trained),
        *((f": {label}", runs) for label, runs in further_rows(result).items()),
    ):
        label = f"all-MiniLM-L6-v2{added}"
        label += f", mean of {len(runs)} seeds" if len(runs) > 1 else ""
        rows.append(BookRow(label, mean_cells(runs), _details(label, runs, again)))
    notes = [OF_SEEDS, OF_PAIRS, f"The paper's rows as printed there: {source}."]
    header = ["model", *(LABELS[task] for task in TASKS), "avg."]
    return BookTable("Spearman x 100 on the seven STS benchmarks", header, rows, notes)


def seeds_table(result: Headline, again: Sequence[Measured]) -> BookTable:
    """Every run behind the headline."""
    groups = {"untouched": [result.untouched], "LLM triplets, waves 1 to 3": result.trained}
    labelled = [
        (f"{label}, seed {run.config['seed']}" if run.config else label, run)
        for label, runs in (groups | further_rows(result)).items()
        for run in runs
    ]
    return runs_table("The runs behind the headline", labelled, again)


def further_rows(result: Headline) -> dict[str, list[Measured]]:
    """What else was made of the bundled triplets, by the label that the study's grid gives it."""
    labels = row_labels("headline")
    names = [*labels, *result.further]  # in the grid's order
    return {labels.get(n, n): result.further[n] for n in names if n in result.further}


def runs_table(
    caption: str, labelled: Iterable[tuple[str, Measured]], again: Sequence[Measured] = ()
) -> BookTable:
    """A row for each run, with the intervals that it came with."""
    rows = [
        BookRow(label, mean_cells([run]), _details(label, [run], again)) for label, run in labelled
    ]
    header = ["run", *(LABELS[task] for task in TASKS), "avg."]
    return BookTable(f"{caption}: Spearman x 100", header, rows, [OF_PAIRS])


def mean_cells(runs: Sequence[Measured]) -> list[BookCell]:
    """The seven tasks, then the average: one run's, or several seeds' mean with its interval."""
    return [BookCell(cell.text, cell.interval) for cell in cells_of(runs)]


def _details(label: str, runs: Sequence[Measured], again: Sequence[Measured]) -> str:
    """With the study's command where the runs are a row of its."""
    name, command = row_name(runs[0]), ""
    if name in row_labels("headline"):
        command = f"simgpt study run headline --rows {name}"
        command += f" --seeds {runs[0].config['seed']}" if runs[0].config and not runs[1:] else ""
    return row_details(label, runs, again=again, command=command)


def selection_table(runs: Sequence[Measured]) -> BookTable:
    """The tuning runs: what differed, the development scores, then the average of seven."""
    trained = [run for run in runs if run.config is not None]
    names = [name for name in differing_settings(trained) if name not in ("seed", "triplets")]
    header = ["run", *names, *DEVELOPMENT_LABELS.values(), "average of seven"]
    rows = []
    for run in sorted(runs, key=lambda run: run.development("mean")):
        values = [(run.config or {}).get(name, "-") for name in names]
        settings = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        development = [f"{run.development(name):.2f}" for name in DEVELOPMENT_LABELS]
        cells = [*settings, *development, f"{run.average:.2f}"]
        rows.append(BookRow(run.name, [*map(BookCell, cells)], row_details(run.name, [run])))
    return BookTable("Settings and scores of the tuning runs", header, rows)


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
