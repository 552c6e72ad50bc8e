"""What others have published, beside what is measured here: labels, settings, gains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from simgpt.config import RunConfig
from simgpt.files import read_json
from simgpt.report.book_table import BookTable, text_table
from simgpt.report.figures import Colours, Drawing, save
from simgpt.report.markdown import markdown_table
from simgpt.report.results import Headline, Published
from simgpt.report.study_plots import paper_gains

_RUNS = {
    "paper-simcse-base": "SimCSE base",
    "paper-simcse-large": "SimCSE large",
    "paper-promcse-base": "PromCSE base",
    "paper-promcse-large": "PromCSE large",
    "laptop": "`laptop`",
}
# In the order of the text, which explains them one by one; what all four share comes first.
_SETTINGS = {
    "backbone": "encoder",
    "pooling": "sentence vector",
    "temperature": r"temperature $\tau$",
    "max_tokens": "tokens read",
    "hard_negative_weight": "hard-negative weight $w$",
    "prefix_tokens": "prefix $P$",
    "energy_weight": r"weight of the hinge $\lambda_e$",
    "energy_margin": "its margin $m$",
    "mlm_weight": r"weight of hidden words $\lambda_m$",
    "mlm_rate": "share of words hidden",
    "batch_size": "batch $N$, over all GPUs",
    "contrastive_weight": r"$\lambda_c$",
    "learning_rate": "learning rate",
    "epochs": "epochs",
    "trained_share": r"share of the trained weights $\alpha$",
    "selector": "checkpoint chosen by",
    "seed": "seed",
}
_NEEDS = {"energy_margin": "energy_weight", "mlm_rate": "mlm_weight"}


def load_published(results: Path) -> dict[str, Any]:
    """The paper's file: besides its rows, sizes of training sets and averages from elsewhere."""
    published: dict[str, Any] = read_json(results / "paper.json")
    return published


def settings_table() -> str:
    """The four published runs and `laptop`, setting by setting."""
    configs = [RunConfig.from_params({"profile": name}).to_dict() for name in _RUNS]
    rows = [
        [label, *(_setting(config, name) for config in configs)]
        for name, label in _SETTINGS.items()
    ]
    return markdown_table(["", *_RUNS.values()], rows)


def gains_table(paper: Sequence[Published]) -> BookTable:
    """The paper's averages with its annotations and without, baseline by baseline."""
    averages = {row.model: row.average for row in paper}
    rows = [
        [
            name,
            f"{averages[name]:.2f}",
            f"{averages[f'Sim-GPT {name}']:.2f}",
            f"{gain:+.2f}",
        ]
        for name, gain in paper_gains(paper).items()
    ]
    header = ["model", "its own data", "Sim-GPT's annotations", "gain"]
    return text_table("The paper's averages of seven: Spearman x 100", header, rows)


def elsewhere_table(published: Mapping[str, Any]) -> str:
    """Averages of the paper's baselines that are printed otherwise somewhere else."""
    averages = {row["model"]: row["average"] for row in published["rows"]}
    rows = [
        [row["model"], f"{averages[row['model']]:.2f}", f"{row['average']:.2f}", row["source"]]
        for row in published["elsewhere"]
    ]
    return markdown_table(["model", "Sim-GPT's table", "elsewhere", "where"], rows)


def draw_labels(
    folder: Path, published: Mapping[str, Any], result: Headline, sizes: Mapping[str, Any]
) -> Drawing:
    """How many labelled examples there are to train on, and to test on, by who made them."""
    pairs = sizes["total"]["pairs"]
    shown = [("the seven test sets", "rated pairs", pairs)]
    shown += [(row["name"], row["kind"], row["count"]) for row in published["data"]]
    shown += [("bundled here", "LLM-written triplets", _bundled(result))]
    kinds = list(dict.fromkeys(kind for _, kind, _ in shown))
    shown.sort(key=lambda row: (kinds.index(row[1]), row[2]))

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(8, 3.2))
        axes = figure.add_subplot()
        shades = dict(zip(kinds, (colours.blue, colours.green, colours.orange), strict=True))
        labels = [f"{name}: {kind}" for name, kind, _ in shown]
        counts = [count for *_, count in shown]
        axes.xaxis.set_major_locator(MultipleLocator(100_000))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        bars = axes.barh(labels, counts, color=[shades[kind] for _, kind, _ in shown], height=0.65)
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=4)
        axes.set(xlim=(0, 1.15 * max(counts)), xlabel="labelled examples")
        axes.invert_yaxis()
        return figure

    save(folder, "labels", draw)
    rated = max(count for name, kind, count in shown if kind == kinds[0] and "training" in name)
    most = max(count for *_, count in shown)
    return Drawing(
        "labels",
        f"Bar chart of labelled examples. The largest training set of rated pairs has {rated:,}, "
        f"all seven test sets together {pairs:,}; triplets written by a language model come to "
        f"{most:,} in the paper.",
        "Examples by who labelled them. Sizes of the training sets are as published; the test "
        "sets and the bundled triplets are counted here.",
        ("book/results/paper.json", "simgpt/report/published.py"),
    )


def published_facts(published: Mapping[str, Any], result: Headline) -> dict[str, str]:
    """What pages say of the paper's numbers, and of ours beside them."""
    sizes = {row["name"]: row["count"] for row in published["data"]}
    gains = paper_gains([Published(**row) for row in published["rows"]])
    odd = max(published["rows"], key=_misprint)
    return {
        "stsb_training": f"{sizes['STS-B, training split']:,}",
        "sick_training": f"{sizes['SICK, training split']:,}",
        "human_triplets": f"{sizes['NLI triplets of SimCSE']:,}",
        "paper_triplets": f"{sizes['Sim-GPT']:,}",
        "paper_least_gain": f"{min(gains.values()):+.2f}",
        "paper_most_gain": f"{max(gains.values()):+.2f}",
        "paper_odd_row": odd["model"],
        "paper_odd_printed": f"{odd['average']:.2f}",
        "paper_odd_mean": f"{sum(odd['scores']) / len(odd['scores']):.2f}",
        "paper_share": f"{sizes['Sim-GPT'] / _bundled(result):.0f}",
    }


def _bundled(result: Headline) -> int:
    return int(result.trained[0].content["model"]["training"]["triplets"]["count"])


def _misprint(row: Mapping[str, Any]) -> float:
    scores: list[float] = row["scores"]
    return abs(float(row["average"]) - sum(scores) / len(scores))


def _setting(config: Mapping[str, Any], name: str) -> str:
    if name in _NEEDS and not config[_NEEDS[name]]:
        return "-"
    value = config[name]
    return value if isinstance(value, str) else f"{value:g}"
