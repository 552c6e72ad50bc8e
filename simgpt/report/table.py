"""A table of any results: models or runs by tasks, with intervals and marks of difference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.report.figures import LABELS
from simgpt.report.mixing import by_seed, each_once, joined_labels, refuse_mixtures
from simgpt.report.results import Measured, identity, suite_of, task_names
from simgpt.report.spread import seed_spread
from simgpt.report.store import Compared, Store, read_results

RESAMPLES = 10_000  # of every interval and test that `simgpt evaluate` writes
SIGNIFICANT = 0.05
MARKS = "†‡§¶"
OF_THE_AVERAGE = "mean of rounded scores"


@dataclass(frozen=True)
class Cell:
    """A score, Spearman x 100.

    Attributes:
        score: Of one run, or the mean of several.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        deviation: Of single runs, where several are joined.
        p: By baseline's mark, p of the difference from it, corrected for seven tasks.
        signature: What another must do alike to get the same number.
    """

    score: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    p: dict[str, float] = field(default_factory=dict)
    signature: str = ""

    @property
    def text(self) -> str:
        """The score with two decimals, and the deviation over seeds."""
        return f"{self.score:.2f}" + ("" if self.deviation is None else f" ± {self.deviation:.2f}")

    @property
    def interval(self) -> str:
        """As `80.12 to 82.91`; empty where there is none."""
        return "" if self.low is None or self.high is None else f"{self.low:.2f} to {self.high:.2f}"

    @property
    def marks(self) -> str:
        """The marks of the baselines from which the score differs."""
        return "".join(mark for mark, p in self.p.items() if p < SIGNIFICANT)


@dataclass(frozen=True)
class Row:
    """A model or run, or several runs: the seven tasks, then the average."""

    label: str
    cells: list[Cell]
    runs: int = 1
    published: bool = False


@dataclass(frozen=True)
class Table:
    """Rows, and all that must be said of them.

    Attributes:
        caption: What the numbers are.
        columns: The seven tasks' names and the average's.
        rows: In the order of the files; the paper's first.
        notes: Sentences to be printed below.
        baselines: Label by mark.
    """

    caption: str
    columns: list[str]
    rows: list[Row]
    notes: list[str]
    baselines: dict[str, str]


def build_table(paths: Sequence[Path], *, seeds: bool = False) -> Table:
    """The table of all results among `paths`.

    Args:
        paths: Results, comparisons and the paper's numbers: files, or folders that hold them.
        seeds: Join runs that differ in nothing but the seed.

    Raises:
        SimgptError: a file is unsound, there is no result, or two of them cannot stand in one
            table; what they differ in is named.
    """
    store = read_results(paths)
    measured = list(each_once(store.measured))
    if not measured and not store.published:
        raise SimgptError(f"{', '.join(map(str, paths))}: no results here")
    refuse_mixtures(measured, store)
    groups = list(by_seed(measured).values()) if seeds else [[run] for run in measured]
    labels = _labels(measured) | joined_labels([group for group in groups if len(group) > 1])
    baselines, tests = _tests(groups, store.compared, labels)
    rows = [
        Row(f"paper: {row.model}", [*map(Cell, row.scores), Cell(row.average)], published=True)
        for row in store.published
    ]
    for group in groups:
        first = group[0]
        cells = (
            _spread_cells(group) if len(group) > 1 else _cells(first, tests.get(first.identity, {}))
        )
        rows.append(Row(labels[first.path], cells, len(group)))
    suite = suite_of(measured[0].content) if measured else "senteval"
    aggregation = measured[0].content.get("aggregation", "all") if measured else "all"
    return Table(
        f"Spearman x 100 on the seven STS benchmarks (suite {suite}, aggregation {aggregation})",
        [*(LABELS[name] for name in task_names(suite)), "avg."],
        rows,
        list(_notes(groups, store, baselines)),
        baselines,
    )


def _labels(measured: Sequence[Measured]) -> dict[Path, str]:
    """The file's name, with the folder's where two files have the same."""
    names = [run.name for run in measured]
    return {
        run.path: run.name
        if names.count(run.name) == 1
        else f"{run.path.resolve().parent.name}/{run.name}"
        for run in measured
    }


def _tests(
    groups: Sequence[Sequence[Measured]],
    compared: Sequence[Compared],
    labels: Mapping[Path, str],
) -> tuple[dict[str, str], dict[tuple[str, ...], dict[str, Mapping[str, Any]]]]:
    """The comparisons whose first model has a row to itself.

    Returns:
        The baselines' labels by mark, and by model and mark the compared tasks.
    """
    known = {group[0].identity: labels[group[0].path] for group in groups if len(group) == 1}
    fitting = [one for one in compared if identity(one.content["models"]["first"]) in known]
    baselines = {
        identity(model): model for model in (one.content["models"]["second"] for one in fitting)
    }
    if len(baselines) > len(MARKS):
        raise SimgptError(
            f"comparisons with {len(baselines)} different models; a table has marks for "
            f"{len(MARKS)}"
        )
    marks = dict(zip(baselines, MARKS, strict=False))
    tests: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for one in fitting:
        first, second = (identity(one.content["models"][key]) for key in ("first", "second"))
        tests.setdefault(first, {})[marks[second]] = one.content["tasks"]
    return {marks[key]: known.get(key, describe(model)) for key, model in baselines.items()}, tests


def describe(model: Mapping[str, Any]) -> str:
    """A model that has no row, in a few words."""
    config = model.get("config")
    return f"{config['profile']}, seed {config['seed']}" if config else str(model.get("name"))


def cells_of(group: Sequence[Measured]) -> list[Cell]:
    """The seven tasks' cells and the average's: of one run, or joined of several seeds."""
    return _spread_cells(group) if len(group) > 1 else _cells(group[0], {})


def _cells(run: Measured, tests: Mapping[str, Mapping[str, Any]]) -> list[Cell]:
    cells = [
        Cell(
            100 * task["spearman"],
            *_ends(task.get("interval")),
            p={mark: tasks[name]["p_holm"] for mark, tasks in tests.items()},
            signature=task["signature"],
        )
        for name, task in zip(task_names(suite_of(run.content)), run.seven, strict=True)
    ]
    ends = _ends(run.content.get("average_interval"))
    return [*cells, Cell(run.average, *ends, signature=OF_THE_AVERAGE)]


def _ends(interval: Mapping[str, float] | None) -> tuple[float | None, float | None]:
    return (100 * interval["low"], 100 * interval["high"]) if interval else (None, None)


def _spread_cells(group: Sequence[Measured]) -> list[Cell]:
    columns = zip(*([*run.scores, run.average] for run in group), strict=True)
    signatures = [*(task["signature"] for task in group[0].seven), OF_THE_AVERAGE]
    spreads = [seed_spread(values) for values in columns]
    return [
        Cell(spread.mean, spread.low, spread.high, spread.deviation, signature=signature)
        for spread, signature in zip(spreads, signatures, strict=True)
    ]


def _notes(
    groups: Sequence[Sequence[Measured]], store: Store, baselines: Mapping[str, str]
) -> Iterator[str]:
    with_interval = ["average_interval" in group[0].content for group in groups if len(group) == 1]
    if any(with_interval):
        yield f"In brackets: 95 % interval, bootstrap of the pairs, {RESAMPLES:,} resamples."
    if not all(with_interval):
        yield "Where there is no interval, the result was written before intervals were computed."
    if any(len(group) > 1 for group in groups):
        yield (
            "Several seeds: mean ± standard deviation over runs that differ in nothing but the "
            "seed; in brackets the 95 % interval of this mean, by Student's t. A test is of one "
            "run, so such rows bear no marks."
        )
    for mark, label in baselines.items():
        yield f"{mark} differs from {label}, for better or worse (p < {SIGNIFICANT})."
    if baselines:
        yield (
            f"Differences: paired randomisation test, {RESAMPLES:,} exchanges, corrected for seven "
            "tasks by Holm's method. The average is not tested."
        )
    if store.published:
        yield f"Rows of the paper as printed there: {' '.join(store.sources)}."
    if groups:
        yield f"Signatures: {_signatures([run for group in groups for run in group])}."


def _signatures(measured: Sequence[Measured]) -> str:
    """What all signatures have in common, then what each task's has besides."""
    told = [task["signature"].split("|") for task in measured[0].seven]
    versions = sorted(
        {task["signature"].rpartition("|")[2] for run in measured for task in run.seven}
    )
    common = [part for part in told[0][:-1] if all(part in parts for parts in told)]
    own = ["|".join(part for part in parts[:-1] if part not in common) for parts in told]
    return f"{'|'.join(common)}|{' and '.join(versions)} for all; {', '.join(own)}"
