"""Tables and figures that notebooks draw of the run on the page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from simgpt.report.figures import LABELS
from simgpt.report.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

Result = Mapping[str, Any]  # as `simgpt.evaluate.evaluate_model` returns it


def scored_on(result: Result) -> str:
    """Say plainly what was scored: the seven benchmarks, or development pairs only."""
    if result["tasks"]:
        return "Scored on the seven benchmarks."
    return (
        "**Scored on the bundled development pairs, which are not a benchmark.** Set "
        '`SIMGPT_SENTEVAL` to a folder in SentEval\'s layout and choose `benchmarks = "auto"` for '
        "the seven."
    )


def score_table(results: Mapping[str, Result]) -> str:
    """Spearman x 100 by model (rows) and task or development set (columns), as Markdown."""
    first = next(iter(results.values()))
    header = ["model", *(LABELS[task] for task in first["tasks"])]
    header += ["avg."] if first["tasks"] else []
    header += [f"{name} (development)" for name in first["development"]]
    rows = []
    for label, result in results.items():
        cells = [f"{100 * score['spearman']:.2f}" for score in result["tasks"].values()]
        cells += [f"{result['average']:.2f}"] if first["tasks"] else []
        cells += [f"{100 * score['spearman']:.2f}" for score in result["development"].values()]
        rows.append([label, *cells])
    return markdown_table(header, rows)


def training_curves(log: "pd.DataFrame") -> Figure:
    """Loss (left axis) and development Spearman (right axis) over the steps of one run.

    Args:
        log: `train_log.jsonl`: columns `step`, `loss` and `eval_development_spearman`.
    """
    figure = Figure(figsize=(7, 3.2))
    left = figure.add_subplot()
    right = left.twinx()
    losses = log.dropna(subset="loss")
    scores = log.dropna(subset="eval_development_spearman")
    left.plot(losses["step"], losses["loss"], color="C0")
    left.set_xlabel("step")
    left.set_ylabel("loss", color="C0")
    right.plot(scores["step"], scores["eval_development_spearman"], "D--", color="C1")
    right.set_ylabel("development Spearman", color="C1")
    right.spines["right"].set_visible(True)
    return figure


def subset_scatter(before: Result, after: Result) -> Figure:
    """Each subset's Spearman x 100 before (horizontal) and after training (vertical)."""
    group = "tasks" if before["tasks"] else "development"
    figure = Figure(figsize=(5, 4.6))
    axes = figure.add_subplot()
    values: list[float] = []
    for name, score in before[group].items():
        x = [100 * value for value in score["subsets"].values()]
        y = [100 * value for value in after[group][name]["subsets"].values()]
        axes.plot(x, y, "o", label=LABELS.get(name, name))
        values += x + y
    limits = (min(values) - 3, max(values) + 3)
    axes.plot(limits, limits, color="grey", linewidth=1)
    axes.set(xlim=limits, ylim=limits, xlabel="untouched encoder", ylabel="trained encoder")
    axes.legend(fontsize=9)
    return figure
