"""Tables and figures that notebooks draw of the run on the page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simgpt.errors import SimgptError
from simgpt.report.figures import LABELS
from simgpt.report.markdown import markdown_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Result = Mapping[str, Any]  # as `simgpt.evaluate.evaluate_model` returns it

_SCORED_ON = {
    "senteval": "Scored on the seven benchmarks.",
    "senteval_raw": "Scored on the seven benchmarks as they were published, untokenised. "
    "**The paper's scores are of tokenised text and are not to be set beside these.**",
    "mteb": "Scored on MTEB's seven STS tasks. **The paper's scores are of other files and are not "
    "to be set beside these.**",
}


def scored_on(result: Result) -> str:
    """Say plainly what was scored: the seven benchmarks, or development pairs only."""
    if result["tasks"]:
        return _SCORED_ON[result["suite"]]
    return (
        "**Scored on the bundled development pairs, which are not a benchmark.** Set "
        '`SIMGPT_SENTEVAL` to a folder in SentEval\'s layout and choose `benchmarks = "auto"` for '
        "the seven."
    )


def score_table(results: Mapping[str, Result]) -> str:
    """Spearman x 100 by model (rows) and task or development set (columns), as Markdown.

    Raises:
        SimgptError: the results are of several suites.
    """
    first = _of_one_suite(results)
    header = ["model", *(LABELS[task] for task in first["tasks"])]
    header += [_average_label(first)] if first["tasks"] else []
    header += [f"{name} (development)" for name in first["development"]]
    rows = []
    for label, result in results.items():
        cells = [f"{100 * score['spearman']:.2f}" for score in result["tasks"].values()]
        cells += [f"{result['average']:.2f}"] if first["tasks"] else []
        cells += [f"{100 * score['spearman']:.2f}" for score in result["development"].values()]
        rows.append([label, *cells])
    return markdown_table(header, rows)


def interval_table(results: Mapping[str, Result]) -> str:
    """Each task's Spearman x 100 with its bootstrap interval, a column for each model.

    Raises:
        SimgptError: the results are of several suites.
    """
    first = _of_one_suite(results)
    group = "tasks" if first["tasks"] else "development"
    rows = [
        [LABELS.get(name, name), *(_with_interval(r[group][name]) for r in results.values())]
        for name in first[group]
    ]
    if first["tasks"]:
        means = (
            f"{result['average']:.2f} ({_interval(result['average_interval'])})"
            for result in results.values()
        )
        rows.append([_average_label(first), *means])
    return markdown_table(["task", *results], rows)


def comparison_table(compared: Mapping[str, Any]) -> str:
    """Differences of two models, x 100, with their intervals and p values.

    Args:
        compared: As `simgpt.evaluate.compare_models` returns it.
    """
    header = [
        "task",
        "difference",
        "95 % interval",
        "p (bootstrap)",
        "p (randomisation)",
        "p (Holm)",
    ]
    rows = [
        [
            LABELS.get(name, name),
            f"{100 * row['difference']:+.2f}",
            _interval(row["interval"]),
            *(f"{row[key]:.4f}" for key in ("p_bootstrap", "p_randomisation", "p_holm")),
        ]
        for name, row in compared["tasks"].items()
    ]
    if average := compared["average"]:
        difference = f"{100 * average['difference']:+.2f}"
        p = f"{average['p_bootstrap']:.4f}"
        interval = _interval(average["interval"])
        rows.append([_average_label(compared), difference, interval, p, "", ""])
    return markdown_table(header, rows)


def _of_one_suite(results: Mapping[str, Result]) -> Result:
    """The first of the results."""
    suites = sorted({result["suite"] for result in results.values()})
    if len(suites) > 1:
        raise SimgptError(f"results of several suites ({', '.join(suites)}); a table shows one")
    return next(iter(results.values()))


def _average_label(result: Result) -> str:
    return "avg." if result["suite"] == "senteval" else f"avg. ({result['suite']})"


def _with_interval(score: Mapping[str, Any]) -> str:
    return f"{100 * score['spearman']:.2f} ({_interval(score['interval'])})"


def _interval(interval: Mapping[str, float]) -> str:
    return f"{100 * interval['low']:.2f} to {100 * interval['high']:.2f}"


def training_curves(log: "pd.DataFrame") -> Figure:
    """Loss (left axis) and development Spearman (right axis) over the steps of one run.

    Args:
        log: `train_log.jsonl`: columns `step`, `eval_development_spearman`, and the loss's parts
            before their weights: `contrastive`, and `energy` and `mlm` where they take part.
    """
    figure = Figure(figsize=(7, 3.2))
    left = figure.add_subplot()
    right = left.twinx()
    losses = log.dropna(subset="loss")
    scores = log.dropna(subset="eval_development_spearman")
    parts = [name for name in ("contrastive", "energy", "mlm") if name in losses]
    for name, style in zip(parts, ("-", ":", "-."), strict=False):
        left.plot(losses["step"], losses[name], style, color="C0", label=name)
    if len(parts) > 1:
        left.legend(loc="upper right", fontsize=9)
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


def score_grid(logits: "NDArray[np.float32]") -> Figure:
    """The scores of a small batch: a sentence a row, its candidates the columns.

    Args:
        logits: Shape (batch, 2 batch): the similar sentences of all, then the dissimilar ones. The
            right answers, outlined, are on the diagonal of the left half.
    """
    count = len(logits)
    figure = Figure(figsize=(7, 3))
    axes = figure.add_subplot()
    image = axes.imshow(logits, cmap="cividis")
    for row in range(count):
        axes.add_patch(Rectangle((row - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="C1", lw=3))
        for column in range(2 * count):
            bright = logits[row, column] > (logits.max() + logits.min()) / 2
            axes.text(
                column,
                row,
                f"{logits[row, column]:.1f}",
                ha="center",
                va="center",
                color="black" if bright else "white",
            )
    numbers = range(1, count + 1)
    labels = [f"{kind}{n}" for kind in ("similar ", "dissimilar ") for n in numbers]
    axes.set_xticks(range(2 * count), labels, rotation=30, ha="right")
    axes.set_yticks(range(count), [f"sentence {n}" for n in numbers])
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label="score")
    return figure
