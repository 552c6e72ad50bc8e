"""A study's tables on its page: rows open to what repeats them."""

from collections.abc import Sequence

from simgpt.report.book_table import BookCell, BookRow, BookTable
from simgpt.report.details import row_details
from simgpt.report.figures import LABELS
from simgpt.report.results import TASKS, Measured
from simgpt.report.study import Difference, StudyResults, StudyRow
from simgpt.report.study_text import NOT_YET, told_interval, told_p, told_seeds
from simgpt.report.tables import OF_PAIRS, OF_SEEDS, mean_cells


def scores_table(study: StudyResults, again: Sequence[Measured] = ()) -> BookTable:
    """Each row's scores with their intervals, and how many of its seeds are there.

    Args:
        study: Its results.
        again: Reruns, which a row's details compare its runs with.
    """
    if study.of_benchmarks:
        names = [*(LABELS[name] for name in TASKS), "avg."]
    else:
        names = [*study.measured[0].task_means, "mean"]
    rows = []
    for row in study.rows:
        cells = [BookCell(NOT_YET), *[BookCell("")] * (len(names) - 1)]
        if row.runs and study.of_benchmarks:
            cells = mean_cells(list(row.runs.values()))
        elif row.runs:
            cells = [BookCell(f"{mean:.2f}") for mean in (*row.task_means.values(), row.mean)]
        cells.append(BookCell(told_seeds(row, study)))
        rows.append(BookRow(row.label, cells, _details(row, again)))
    header = ["row", *names, "seeds"]
    return BookTable(f"{study.question} Spearman x 100", header, rows, [OF_SEEDS, OF_PAIRS])


def differences_table(study: StudyResults) -> BookTable:
    """Each row's difference from the reference, and its test."""
    found = study.differences()
    rows = []
    for row in study.rows:
        cells = [BookCell(NOT_YET), *[BookCell("")] * 3]
        if row.name == study.reference.name and row.runs:
            cells[0] = BookCell("reference")
        elif one := found.get(row.name):
            cells = _cells(one)
        rows.append(BookRow(row.label, cells))
    return BookTable(
        f"Differences from {study.reference.label}",
        ["row", "difference", "p", "p (Holm)", "seeds"],
        rows,
        ["In brackets: 95 % interval over seeds by Student's t. p: paired t test."],
    )


def _cells(one: Difference) -> list[BookCell]:
    return [
        BookCell(f"{one.mean:+.2f}", told_interval(one.spread, "+")),
        BookCell(told_p(one.p)),
        BookCell(told_p(one.p_holm)),
        BookCell(str(one.seeds)),
    ]


def _details(row: StudyRow, again: Sequence[Measured]) -> str:
    """Nothing but the command of a row that is not measured yet."""
    if not row.runs:
        return f"<p>To measure it: <code>{row.command}</code></p>"
    runs = list(row.runs.values())
    return row_details(row.label, runs, again=again, command=row.command)
