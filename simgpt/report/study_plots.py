"""Figures of a study, each from its results; what is not measured yet is left out or named."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simgpt.report.figures import LABELS
from simgpt.report.learning_curve import fit_power_law, hold_out
from simgpt.report.results import Measured, Published
from simgpt.report.spread import Spread
from simgpt.report.study import Difference, StudyResults, StudyRow, difference_of, task_scores

SIGNIFICANT = 0.05
FAR = 100_000  # triplets, up to which the learning curve is drawn
# The two rows of the headline that differ in who wrote the triplets, and in nothing else.
LLM, HUMAN = "llm-equal", "human"
# The two that differ in a wave that was written later.
THREE_WAVES, FOUR_WAVES = "llm-all", "llm-four-waves"
# Published rows that are drawn beside ours.
_SHOWN = ("SimCSE-RoBERTa-base", "Sim-GPT SimCSE-RoBERTa-base")
AVERAGE = "average"  # among the tasks of `effects`


def measure_of(study: StudyResults) -> str:
    """What a study's scores are, as an axis says it."""
    if study.of_benchmarks:
        return "average of seven, Spearman x 100"
    return "development pairs (no benchmark), Spearman x 100"


def difference_plot(study: StudyResults) -> Figure:
    """Each row's difference from the reference with its interval; filled where it is no chance."""
    found = study.differences()
    figure = Figure(figsize=(8, 1.6 + 0.4 * len(study.others)))
    axes = figure.add_subplot()
    axes.axvline(0, color=mpl.rcParams["text.color"], linewidth=1)
    for height, row in enumerate(study.others):
        if row.name in found:
            _difference_mark(axes, found[row.name], height)
    if any(difference.spread for difference in found.values()):
        for filled, told in (("full", "differs (p < 0.05, Holm)"), ("none", "may be chance")):
            axes.plot([], [], "D", color="C1", fillstyle=filled, label=told)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    labels = [_tick(row, row.name in found) for row in study.others]
    _rows_axis(axes, labels, f"difference from {study.reference.label}\n{measure_of(study)}")
    return figure


def headline_plot(study: StudyResults, paper: Sequence[Published]) -> Figure:
    """The rows beside two of the paper's (above), and what LLM triplets gain (below)."""
    rows = [row for row in study.rows if not row.untouched]
    published = [row for row in paper if row.model in _SHOWN]
    gains = paper_gains(paper)
    figure = Figure(figsize=(8, 2.6 + 0.36 * (len(rows) + len(published) + len(gains))))
    heights = len(rows) + len(published), 1 + len(gains)
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    for height, row in enumerate(rows):
        upper.plot(row.scores, [height] * len(row.runs), "|", color="C1", alpha=0.8)
        if row.runs:
            _mark(upper, row.mean, row.spread, height)
    for height, line in enumerate(published, start=len(rows)):
        upper.plot(line.average, height, "o", color="C0", fillstyle="none")
    labels = [_tick(row, bool(row.runs)) for row in rows]
    labels += [f"paper: {line.model}" for line in published]
    for untouched in (row for row in study.measured if row.untouched):
        upper.axvline(untouched.mean, color="C2", linestyle="--", label=untouched.label)
        upper.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
    _rows_axis(upper, labels, measure_of(study))
    gain = difference_of(study.row(LLM), study.row(HUMAN))
    if gain:
        _mark(lower, gain.mean, gain.spread, 0)
    lower.plot(list(gains.values()), range(1, 1 + len(gains)), "o", color="C0", fillstyle="none")
    lower.axvline(0, color=mpl.rcParams["text.color"], linewidth=1)
    here = "here: over human triplets" + ("" if gain else " (not measured yet)")
    labels = [here, *(f"paper: over {name}" for name in gains)]
    _rows_axis(lower, labels, "gain of LLM triplets, Spearman x 100")
    return figure


def effect_map(study: StudyResults) -> Figure:
    """Each row's mean difference from the reference, task by task: a heat map with numbers."""
    rows = [row for row in study.others if difference_of(row, study.reference)]
    columns = effects(study)
    values = np.array([[column[row.name] for column in columns.values()] for row in rows])
    figure = Figure(figsize=(8.5, 1.6 + 0.5 * len(rows)))
    axes = figure.add_subplot()
    limit = float(np.abs(values).max()) or 1.0
    # Orange is worse, purple is better: told apart with any colour vision.
    image = axes.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    for (height, place), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 * limit else "black"
        axes.text(place, height, f"{value:+.2f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(columns)), [task_label(name) for name in columns])
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label=f"difference from\n{study.reference.label}")
    return figure


def effects(study: StudyResults) -> dict[str, dict[str, float]]:
    """By task, then by row: the mean difference from the reference, x 100; the average comes last.

    Rows that have no seed in common with the reference are left out.
    """
    shown = [row for row in study.others if difference_of(row, study.reference)]
    columns: dict[str, dict[str, float]] = {}
    for task in shown[0].task_means if shown else ():

        def of_task(run: Measured, task: str = task) -> float:
            return task_scores(run)[task]

        columns[task] = {
            row.name: float(np.mean(row.against(study.reference, of_task))) for row in shown
        }
    columns[AVERAGE] = {row.name: float(np.mean(row.against(study.reference))) for row in shown}
    return columns


def curve_plot(study: StudyResults, later: StudyRow | None = None) -> Figure:
    """Scores by number of triplets, on a logarithmic axis, with a fitted curve and its limits.

    Args:
        study: The study of data sizes.
        later: A row with triplets that the sizes do not draw from; the curve does not fit it.
    """
    counts, scores = curve_points(study)
    ink = mpl.rcParams["text.color"]
    figure = Figure(figsize=(8, 4.2))
    axes = figure.add_subplot()
    axes.plot(counts, scores, ".", color="C0", alpha=0.5)
    for row in (row for row in study.measured if row.is_trained):
        count, spread = triplets_of(row), row.spread
        if spread:
            axes.plot([count] * 2, [spread.low, spread.high], color="C0", linewidth=2)
        axes.plot(count, row.mean, "o", color="C0")
    if later and later.runs:
        count = triplets_of(later)
        if later.spread:
            axes.plot([count] * 2, [later.spread.low, later.spread.high], color="C3", linewidth=2)
        axes.plot(count, later.mean, "D", color="C3", label=f"{later.label} (not fitted)")
    for row in (row for row in study.measured if row.untouched):
        axes.axhline(row.mean, color="C2", linestyle=":", label=row.label)
    if law := fit_power_law(counts, scores):
        inside = np.geomspace(min(counts), max(counts))
        beyond = np.geomspace(max(counts), max(FAR, max(counts)))
        axes.plot(inside, law(inside), color="C1", label="power law through all sizes")
        axes.plot(beyond, law(beyond), "--", color="C1", label="extrapolated, not measured")
    if held := hold_out(counts, scores):
        axes.plot(
            held.count,
            held.predicted,
            "x",
            color=ink,
            markersize=9,
            markeredgewidth=2,
            label="predicted from the smaller sizes",
        )
    axes.set(xscale="log", xlabel="triplets (logarithmic)", ylabel=measure_of(study))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9)
    return figure


def curve_points(study: StudyResults) -> tuple[list[int], list[float]]:
    """Of each trained run the number of triplets, and its score x 100."""
    rows = [row for row in study.measured if row.is_trained]
    points = [(triplets_of(row), score) for row in rows for score in row.scores]
    return [count for count, _ in points], [score for _, score in points]


def triplets_of(row: StudyRow) -> int:
    """How many triplets a measured row's runs were trained on."""
    run = next(iter(row.runs.values()))
    return int(run.content["model"]["training"]["triplets"]["count"])


def paper_gains(paper: Sequence[Published]) -> dict[str, float]:
    """By baseline: what the paper's annotations gain over the same model without them."""
    averages = {row.model: row.average for row in paper}
    return {
        name: averages[f"Sim-GPT {name}"] - average
        for name, average in averages.items()
        if f"Sim-GPT {name}" in averages
    }


def clean_plot(rows: Mapping[str, tuple[float, float]]) -> Figure:
    """Average of seven by row: on all pairs (filled), and on those that no text touches (hollow).

    Args:
        rows: By label, both scores x 100.
    """
    figure = Figure(figsize=(8, 1.6 + 0.4 * len(rows)))
    axes = figure.add_subplot()
    for height, (everything, clean) in enumerate(rows.values()):
        axes.plot(everything, height, "o", color="C0")
        axes.plot(clean, height, "D", color="C1", fillstyle="none", markersize=9)
    axes.plot([], [], "o", color="C0", label="all pairs")
    axes.plot([], [], "D", color="C1", fillstyle="none", label="clean pairs")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    _rows_axis(axes, list(rows), "average of seven, Spearman x 100")
    return figure


def _difference_mark(axes: Axes, difference: Difference, height: float) -> None:
    sure = difference.p_holm is not None and difference.p_holm < SIGNIFICANT
    _mark(axes, difference.mean, difference.spread, height, fillstyle="full" if sure else "none")


def _mark(
    axes: Axes, mean: float, spread: Spread | None, height: float, fillstyle: str = "full"
) -> None:
    if spread:
        axes.plot([spread.low, spread.high], [height, height], color="C1", linewidth=2)
    face = "C1" if fillstyle == "full" else mpl.rcParams["figure.facecolor"]
    axes.plot(mean, height, "D", color="C1", markerfacecolor=face, markersize=7)


def _rows_axis(axes: Axes, labels: Sequence[str], measure: str) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(measure)
    axes.grid(axis="x", alpha=0.3)


def _tick(row: StudyRow, measured: bool) -> str:
    return row.label if measured else f"{row.label} (not measured yet)"


def task_label(name: str) -> str:
    """What a column is called."""
    return "avg." if name == AVERAGE else LABELS.get(name, name)
