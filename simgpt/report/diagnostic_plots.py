"""Figures and tables of what a diagnosis found, each from plain data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simgpt.report.figures import LABELS
from simgpt.report.markdown import markdown_table

_MARKS = ("o", "D", "s", "^")


def subset_plot(subsets: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Each subset's Spearman x 100 with its interval, a colour a task."""
    rows = [
        (f"{task_label(task)} {row['subset']} ({row['pairs']:,})", row, number)
        for number, (task, of_task) in enumerate(subsets.items())
        for row in of_task
        if row["spearman"] is not None
    ]
    figure = Figure(figsize=(8, 1.2 + 0.27 * len(rows)))
    axes = figure.add_subplot()
    for height, (_, row, number) in enumerate(rows):
        _with_interval(axes, row, height, _colour(number), _MARKS[number % 4], across=True)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("Spearman x 100, with 95 % interval")
    axes.grid(axis="x", alpha=0.3)
    return figure


def bin_plot(bins: Mapping[str, Sequence[Mapping[str, Any]]], *, value: str) -> Figure:
    """Spearman x 100 by bins of a value of the pairs, a line a model.

    Args:
        bins: By model, as `length` and `overlap` of a diagnosis hold them.
        value: What the bins are made of, with its unit.
    """
    figure = Figure(figsize=(7, 3.4))
    axes = figure.add_subplot()
    for number, (label, rows) in enumerate(bins.items()):
        shown = [(place, row) for place, row in enumerate(rows) if row["spearman"] is not None]
        places = [place + 0.12 * (number - (len(bins) - 1) / 2) for place, _ in shown]
        colour = _colour(number)
        axes.plot(places, [100 * row["spearman"] for _, row in shown], color=colour, alpha=0.5)
        for place, (_, row) in zip(places, shown, strict=True):
            _with_interval(axes, row, place, colour, _MARKS[number % 4])
        axes.plot([], [], _MARKS[number % 4], color=colour, label=label)
    rows = next(iter(bins.values()))
    axes.set_xticks(range(len(rows)), [f"{bin_range(row)}\n{row['pairs']:,} pairs" for row in rows])
    axes.tick_params(axis="x", labelsize=9)
    axes.set(xlabel=value, ylabel="Spearman x 100")
    axes.grid(axis="y", alpha=0.3)
    if len(bins) > 1:
        axes.legend(fontsize=9)
    return figure


def baseline_plot(baseline: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Spearman x 100 of counting shared words, and of the model, by task."""
    figure = Figure(figsize=(7, 1.4 + 0.32 * len(baseline)))
    axes = figure.add_subplot()
    for height, row in enumerate(baseline.values()):
        axes.plot(100 * row["model"], height, "D", color=_colour(1))
        if row["spearman"] is not None:
            _with_interval(axes, row, height, _colour(0), "o", across=True)
    axes.plot([], [], "o", color=_colour(0), label="word overlap")
    axes.plot([], [], "D", color=_colour(1), label="model")
    axes.set_yticks(range(len(baseline)), [task_label(name) for name in baseline])
    axes.set_ylim(len(baseline) - 0.5, -0.5)
    axes.set_xlabel("Spearman x 100")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    return figure


def error_plot(errors: Sequence[Mapping[str, Any]]) -> Figure:
    """The worst errors, without their text: rank by the raters and rank by cosine, joined."""
    figure = Figure(figsize=(8, 1.5 + 0.3 * len(errors)))
    axes = figure.add_subplot()
    for height, row in enumerate(errors):
        ranks = [100 * row["gold_rank"], 100 * row["cosine_rank"]]
        axes.plot(ranks, [height, height], color=_colour(3), alpha=0.6)
        axes.plot(ranks[0], height, "o", color=_colour(0))
        axes.plot(ranks[1], height, "D", color=_colour(1))
    axes.plot([], [], "o", color=_colour(0), label="raters")
    axes.plot([], [], "D", color=_colour(1), label="cosine")
    axes.set_yticks(range(len(errors)), [_pair(row) for row in errors], fontsize=9)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="pairs of the task that rank lower (%)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    return figure


def geometry_plot(geometries: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Alignment and uniformity of each task, a mark a model; the lower left is best.

    Args:
        geometries: By model, as `geometry` of a diagnosis that has vectors.
    """
    figure = Figure(figsize=(6, 4.2))
    axes = figure.add_subplot()
    for number, (label, geometry) in enumerate(geometries.items()):
        rows = {k: row for k, row in geometry["tasks"].items() if row["alignment"] is not None}
        axes.plot(
            [row["uniformity"] for row in rows.values()],
            [row["alignment"] for row in rows.values()],
            _MARKS[number % 4],
            label=label,
        )
        for name, row in rows.items():
            place = (row["uniformity"], row["alignment"])
            axes.annotate(task_label(name), place, (5, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="uniformity (lower: more even)", ylabel="alignment (lower: closer)")
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    if len(geometries) > 1:
        axes.legend(fontsize=9)
    return figure


def calibration_plot(calibration: Mapping[str, Any]) -> Figure:
    """Mean gold score against mean prediction, before and after isotonic regression.

    Thin lines are tasks, the thick one is all of their pairs; the diagonal is right.
    """
    figure = Figure(figsize=(8, 4))
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"plain": "cosine", "fitted": "after isotonic regression"}
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
        for row in calibration["tasks"].values():
            _curve(axes, row[kind], color=_colour(0), linewidth=0.8, alpha=0.6)
        overall = calibration["overall"][kind]
        _curve(axes, overall, color=_colour(1), marker="D", linewidth=2)
        axes.set_title(f"{title}: error {overall['error']:.3f}", fontsize=11)
        axes.set_xlabel("prediction")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("gold score, 0 to 1")
    panels[0].plot([], [], color=_colour(0), linewidth=0.8, label="a task")
    panels[0].plot([], [], "D-", color=_colour(1), label="all pairs")
    panels[0].legend(fontsize=9)
    return figure


def agreement_plot(
    agreement: Mapping[str, Any], *, names: tuple[str, str] = ("first", "second")
) -> Figure:
    """Rank correlation of two models' cosines, and which is closer to the raters, by task.

    Args:
        agreement: Of a diagnosis.
        names: Of the two models.
    """
    tasks = agreement["tasks"]
    figure = Figure(figsize=(8, 1.6 + 0.32 * len(tasks)))
    left, right = figure.subplots(1, 2, sharey=True)
    heights = range(len(tasks))
    for kind, label, mark in (("spearman", "Spearman", "o"), ("kendall", "Kendall's tau-b", "D")):
        left.plot([row[kind] for row in tasks.values()], heights, mark, label=label)
    left.set_xlabel("agreement of the two models")
    left.set_yticks(heights, [task_label(name) for name in tasks])
    left.set_ylim(len(tasks) - 0.5, -0.5)
    left.locator_params(axis="x", nbins=5)
    left.grid(axis="x", alpha=0.3)
    begins = np.zeros(len(tasks))
    for side, name, hatch in zip(
        ("first_closer", "second_closer"), names, ("", "///"), strict=True
    ):
        counts = [row[side] for row in tasks.values()]
        right.barh(
            heights,
            counts,
            left=begins,
            label=f"{name} is closer",
            height=0.6,
            hatch=hatch,
            edgecolor="white",
        )
        begins += counts
    right.set_xlabel("pairs, by the model that is closer to the raters")
    for axes in (left, right):
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    return figure


def error_table(errors: Iterable[Mapping[str, Any]], texts: Iterable[tuple[str, str]]) -> str:
    """The worst errors with their texts, which must be ours to show."""
    rows = [
        [
            " / ".join(text.replace("|", r"\|") for text in pair),
            f"{error['gold']:g}",
            f"{error['cosine']:.2f}",
            f"{100 * error['gold_rank']:.0f} %",
            f"{100 * error['cosine_rank']:.0f} %",
        ]
        for error, pair in zip(errors, texts, strict=True)
    ]
    return markdown_table(["pair", "gold", "cosine", "rank by raters", "rank by cosine"], rows)


def geometry_table(geometries: Mapping[str, Mapping[str, Any]]) -> str:
    """Alignment and uniformity of each model on the task that stands for all."""
    rows = []
    for label, geometry in geometries.items():
        row = geometry["tasks"][geometry["stands_for_all"]]
        rows.append([label, *(decimals(row[key]) for key in ("alignment", "uniformity"))])
    return markdown_table(["model", "alignment", "uniformity"], rows)


def aggregation_table(result: Mapping[str, Any]) -> str:
    """Spearman x 100 of one model under each way of making one score of a task's subsets.

    Args:
        result: As `simgpt.evaluate.evaluate_model` returns it.
    """
    scores = result["tasks"] or result["development"]
    kinds = list(next(iter(scores.values()))["aggregations"])
    rows = [
        [
            task_label(name),
            str(len(score["subsets"])),
            *map(percent, score["aggregations"].values()),
        ]
        for name, score in scores.items()
    ]
    return markdown_table(["task", "subsets", *kinds], rows)


def _with_interval(
    axes: Axes,
    row: Mapping[str, Any],
    place: float,
    colour: str,
    mark: str,
    *,
    across: bool = False,
) -> None:
    score, held = 100 * row["spearman"], row["interval"]
    ends = [100 * held["low"], 100 * held["high"]]
    if across:
        axes.plot(ends, [place, place], color=colour, linewidth=1.5)
        axes.plot(score, place, mark, color=colour)
    else:
        axes.plot([place, place], ends, color=colour, linewidth=1.5)
        axes.plot(place, score, mark, color=colour)


def _curve(axes: Axes, calibration: Mapping[str, Any], **style: Any) -> None:
    bins = calibration["bins"]
    axes.plot([row["predicted"] for row in bins], [row["gold"] for row in bins], **style)


def _colour(number: int) -> str:
    """Of the style in force now: "C0" would be looked up when a page shows the figure, too late."""
    cycle: list[str] = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    return cycle[number % len(cycle)]


def task_label(task: str) -> str:
    """The name that papers print, or what comes closest."""
    return LABELS.get(task, task.replace("_", " "))


def _pair(row: Mapping[str, Any]) -> str:
    return f"{task_label(row['task'])} {row['subset']} {row['pair']}"


def bin_range(row: Mapping[str, Any]) -> str:
    """From the lowest to the highest value of a bin."""
    low, high = (f"{round(row[end], 2):g}" for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


def percent(score: float | None) -> str:
    """Spearman x 100 with two decimals, as papers print it; a dash where there is none."""
    return "-" if score is None else f"{100 * score:.2f}"


def decimals(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"
