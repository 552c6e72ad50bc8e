"""The picture of the package: which folder stands on which, from one list that a test holds to."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from simgpt.report.figures import Colours, Drawing, save

# Modules that any other may import.
GROUND = (
    "config",
    "environment",
    "errors",
    "files",
    "holm",
    "hub",
    "markdown",
    "progress",
    "signals",
    "triplets",
    "version",
)
# What the folders between ground and top import besides; in the order of the paper's steps.
STAGES: dict[str, tuple[str, ...]] = {
    "sentences": (),
    "annotate": (),
    "encoder": (),
    "train": ("encoder", "evaluate"),
    "evaluate": ("encoder",),
    "report": (),
}
# All other modules stand on top and may import any. The picture shows these.
_TOP = ("cli", "study", "notebooks", "verify", "savings", "...")
_SAYS = {
    "sentences": "source\nsentences",
    "annotate": "an LLM writes\ntriplets",
    "encoder": "load, pool,\nprefix",
    "train": "SimCSE,\nPromCSE",
    "evaluate": "benchmarks,\nscores",
    "report": "tables,\nfigures",
}


def draw_architecture(folder: Path) -> Drawing:
    """Three floors: what composes, the stages, and what all of them stand on."""

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(9, 4.6))
        axes = figure.add_subplot()
        axes.set(xlim=(0, 60), ylim=(0, 30))
        axes.axis("off")
        _box(axes, 0.5, 25, 59, 4, colours.purple)
        axes.text(30, 27, "on top:  " + "   ".join(_TOP), ha="center", va="center")
        for place, stage in enumerate(STAGES):
            left = 0.5 + 10 * place
            _box(axes, left, 11, 8.5, 9, colours.orange if stage == "encoder" else colours.blue)
            axes.text(left + 4.25, 18.2, stage, ha="center", va="center", weight="bold")
            axes.text(left + 4.25, 14.4, _SAYS[stage], ha="center", va="center", fontsize=9)
            _arrow(axes, colours, (left + 4.25, 24.7), (left + 4.25, 20.6))
            _arrow(axes, colours, (left + 4.25, 10.6), (left + 4.25, 6.2))
        _arrow(axes, colours, (30.2, 15.5), (29.4, 15.5))
        _arrow(axes, colours, (39.2, 15.5), (40.3, 15.5))
        _arrow(axes, colours, (44.75, 10.6), (27.5, 10.6), bend=-0.16)
        _box(axes, 0.5, 0.8, 59, 5, colours.green)
        ground = "ground floor:  " + "   ".join(GROUND)
        axes.text(30, 3.3, ground, ha="center", va="center", fontsize=9)
        return figure

    save(folder, "architecture", draw)
    crossing = "; ".join(
        f"{stage} imports {' and '.join(others)} too" for stage, others in STAGES.items() if others
    )
    return Drawing(
        "architecture",
        f"Three floors, each of which imports only from below. On top, {', '.join(_TOP[:-1])} and "
        f"others compose. In the middle stand the steps {', '.join(STAGES)}; {crossing}. On the "
        f"ground floor are {', '.join(GROUND)}.",
        "Who imports whom. An arrow points at what is imported.",
        ("simgpt/report/architecture.py",),
    )


def _box(axes: Axes, left: float, low: float, width: float, height: float, colour: str) -> None:
    style = "round,pad=0.2"
    frame = FancyBboxPatch(
        (left, low), width, height, boxstyle=style, facecolor="none", edgecolor=colour, linewidth=2
    )
    axes.add_patch(frame)


def _arrow(
    axes: Axes,
    colours: Colours,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    bend: float = 0.0,
) -> None:
    shape = {
        "arrowstyle": "-|>",
        "color": colours.ink,
        "linewidth": 1.2,
        "shrinkA": 0,
        "shrinkB": 0,
        "connectionstyle": f"arc3,rad={bend}",
    }
    axes.annotate("", xy=end, xytext=start, arrowprops=shape)
