"""The book's figures: one style, colour-blind-safe, drawn for light and for dark pages."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from simgpt.files import staged
from simgpt.report.results import TASKS, Headline, Measured, Published

LABELS = dict(
    zip(TASKS, ("STS12", "STS13", "STS14", "STS15", "STS16", "STS-B", "SICK-R"), strict=True)
)
# Other suites' scores never stand under the paper's names.
LABELS |= {f"senteval_raw_{task}": f"{LABELS[task]} (raw)" for task in TASKS} | {
    f"mteb_{task}": f"MTEB {LABELS[task]}" for task in TASKS
}
DEVELOPMENT_LABELS = {
    "bundled_dev": "bundled pairs",
    "stsb_dev": "STS-B dev",
    "sickr_dev": "SICK dev",
    "mean": "mean of the three",
}


_CODE = "simgpt/report/figures.py"


@dataclass(frozen=True)
class Colours:
    """Colours that readers with any colour vision tell apart (Okabe and Ito), by page."""

    ink: str
    blue: str
    orange: str
    green: str
    purple: str


_COLOURS = {
    "light": Colours("#1f2328", "#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    "dark": Colours("#e6edf3", "#56B4E9", "#E69F00", "#2BC49A", "#CC79A7"),
}


@dataclass(frozen=True)
class Drawing:
    """A drawn figure.

    Attributes:
        name: Its files', without what tells light from dark.
        alt: Alternative text; it states the finding.
        caption: How to read it.
        origin: What it was made of, as paths in the repository: data first, the code last.
    """

    name: str
    alt: str
    caption: str
    origin: tuple[str, ...] = ()


@contextmanager
def figure_style(mode: str = "light") -> Iterator[Colours]:
    """Set matplotlib's style for a `light` or `dark` page; yield its colours.

    A notebook shows its figures as SVG from then on.
    """
    if "ipykernel" in sys.modules:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]
    colours = _COLOURS[mode]
    ink = colours.ink
    cycle = [colours.blue, colours.orange, colours.green, colours.purple]
    with mpl.rc_context(
        {
            "axes.edgecolor": ink,
            "axes.labelcolor": ink,
            "axes.prop_cycle": cycler(color=cycle),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlecolor": ink,
            "axes.titlelocation": "left",
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none" if mode == "dark" else "white",
            "axes.facecolor": "none" if mode == "dark" else "white",
            "font.size": 11,
            "legend.frameon": False,
            "legend.labelcolor": ink,
            "savefig.facecolor": "none" if mode == "dark" else "white",
            "svg.hashsalt": "simgpt",
            "text.color": ink,
            "xtick.color": ink,
            "ytick.color": ink,
        }
    ):
        yield colours


def save(folder: Path, name: str, draw: Callable[[Colours], Figure]) -> None:
    """Write `NAME-light.svg` and `NAME-dark.svg`; `draw` takes the page's colours."""
    for mode in _COLOURS:
        with figure_style(mode) as colours, staged(folder / f"{name}-{mode}.svg") as temporary:
            draw(colours).savefig(temporary, format="svg", metadata={"Date": None})


def draw_idea(folder: Path) -> Drawing:
    """The method in one picture."""
    boxes = [
        ("sentence", "A dog runs\nalong the beach."),
        ("LLM, once", "+ A dog is running\non the sand.\n\N{MINUS SIGN} A dog sleeps\non a sofa."),
        ("train", "small encoder:\npull +, push \N{MINUS SIGN}"),
        ("score pairs", "cosine,\nno LLM\nany more"),
    ]

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(9, 2.2))
        axes = figure.add_subplot()
        axes.set(xlim=(0, 40), ylim=(0, 9))
        axes.axis("off")
        for column, (title, body) in enumerate(boxes):
            left = 10 * column + 0.3
            colour = (colours.blue, colours.orange, colours.green, colours.purple)[column]
            frame = FancyBboxPatch(
                (left, 0.8), 7.4, 6, boxstyle="round,pad=0.2", facecolor="none", edgecolor=colour
            )
            frame.set_linewidth(2)
            axes.add_patch(frame)
            axes.text(left + 3.7, 7.8, title, ha="center", weight="bold")
            axes.text(left + 3.7, 3.8, body, ha="center", va="center", fontsize=10)
            if column < len(boxes) - 1:
                axes.annotate(
                    "",
                    xy=(left + 9.6, 3.8),
                    xytext=(left + 8.0, 3.8),
                    arrowprops={"arrowstyle": "-|>", "color": colours.ink, "linewidth": 2},
                )
        return figure

    save(folder, "idea", draw)
    return Drawing(
        "idea",
        "Four steps from left to right: a sentence; a large language model writes one similar and "
        "one dissimilar sentence, once; a small encoder is trained to pull the similar and push "
        "the dissimilar; from then on pairs are scored by cosine without the language model.",
        "The idea of Sim-GPT: pay a large language model once, for training data.",
        (_CODE,),
    )


def draw_headline(
    folder: Path,
    result: Headline,
    paper: list[Published],
    further: Mapping[str, Sequence[Measured]],
) -> Drawing:
    """Average of seven: the paper's rows and ours, told apart by shape and by side.

    Args:
        folder: Gets the two files.
        result: Ours.
        paper: The paper's rows.
        further: What else was made of the bundled triplets, by its label.
    """
    rows = [(row.model, [row.average], "paper") for row in paper]
    rows.append(("all-MiniLM-L6-v2, untouched", [result.untouched.average], "ours"))
    labelled = {"all-MiniLM-L6-v2 + LLM triplets, waves 1 to 3": result.trained, **further}
    for label, runs in labelled.items():
        rows.append((label, [run.average for run in runs], "ours"))
    rows.sort(key=lambda row: float(np.mean(row[1])))

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(8, 5))
        axes = figure.add_subplot()
        for height, (_, values, whose) in enumerate(rows):
            ours = whose == "ours"
            axes.plot(
                values,
                [height] * len(values),
                "D" if ours else "o",
                color=colours.orange if ours else colours.blue,
                fillstyle="full" if ours else "none",
                markersize=8,
            )
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        for label, (_, _, whose) in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if whose == "ours" else "normal")
        axes.set_xlabel("average of seven, Spearman x 100")
        axes.plot([], [], "o", color=colours.blue, fillstyle="none", label="published in the paper")
        axes.plot([], [], "D", color=colours.orange, label="measured here (a mark a seed)")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1))
        axes.grid(axis="y", color=colours.ink, alpha=0.15)
        return figure

    save(folder, "headline", draw)
    return Drawing(
        "headline",
        "Dot plot of the average over seven benchmarks. Training the small encoder on LLM-written "
        f"triplets moves it from {result.untouched.average:.2f} to {result.mean_average:.2f}; the "
        "paper's much larger models lie above.",
        "Average of the seven benchmarks: hollow circles are the paper's numbers, filled diamonds "
        "are measured here.",
        ("book/results/headline", "book/results/paper.json", _CODE),
    )


def draw_gains(folder: Path, result: Headline) -> Drawing:
    """Each task's gain over the untouched encoder, a mark for each seed and a bar for the mean."""
    gains = np.array([run.scores for run in result.trained]) - np.array(result.untouched.scores)

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(8, 3.4))
        axes = figure.add_subplot()
        places = np.arange(len(TASKS))
        axes.bar(
            places, gains.mean(axis=0), width=0.6, color=colours.blue, alpha=0.55, label="mean"
        )
        for seed, row in enumerate(gains):
            label = "seed" if seed == 0 else None
            axes.plot(places, row, "D", color=colours.orange, markersize=5, label=label)
        axes.axhline(0, color=colours.ink, linewidth=0.8)
        axes.set_xticks(places, [LABELS[task] for task in TASKS])
        axes.set_ylabel("gain, Spearman x 100")
        axes.legend()
        return figure

    save(folder, "gains", draw)
    means = gains.mean(axis=0)
    most, least = LABELS[TASKS[int(means.argmax())]], LABELS[TASKS[int(means.argmin())]]
    return Drawing(
        "gains",
        f"Bar chart of the gain on each benchmark. {most} gains most ({means.max():+.2f}), "
        f"{least} least ({means.min():+.2f}); the seeds lie close together.",
        "Gain over the untouched encoder on each benchmark.",
        ("book/results/headline", _CODE),
    )


def draw_selection(folder: Path, runs: list[Measured]) -> Drawing:
    """Development scores against the average of seven, a mark for each run."""
    averages = [run.average for run in runs]
    correlations = {
        name: float(np.corrcoef([run.development(name) for run in runs], averages)[0, 1])
        for name in DEVELOPMENT_LABELS
    }

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(8, 6))
        panels = figure.subplots(2, 2, sharey=True).flat
        for axes, (name, label) in zip(panels, DEVELOPMENT_LABELS.items(), strict=True):
            for run in runs:
                untouched = run.config is None
                axes.plot(
                    run.development(name),
                    run.average,
                    "s" if untouched else "o",
                    color=colours.orange if untouched else colours.blue,
                )
            axes.set_xlabel(f"{label}, Spearman x 100")
            axes.set_title(f"r = {correlations[name]:.2f}")
            axes.grid(color=colours.ink, alpha=0.15)
        figure.supylabel("average of seven, Spearman x 100", color=colours.ink, fontsize=11)
        return figure

    save(folder, "selection", draw)
    found = ", ".join(
        f"{correlations[name]:.2f} for {label}" for name, label in DEVELOPMENT_LABELS.items()
    )
    return Drawing(
        "selection",
        "Four scatter plots of a development score against the average of the seven benchmarks. "
        f"The correlations over these runs are {found}.",
        "Which development set follows the benchmarks? Each circle is a training run; the square "
        "is the untouched encoder.",
        ("book/results/selection", _CODE),
    )
