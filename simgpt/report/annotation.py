"""What annotation came to: yields by teacher, and how fast and how flat the engine runs."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from simgpt.errors import SimgptError
from simgpt.files import read_json
from simgpt.report.book_table import BookTable, text_table
from simgpt.report.figures import Drawing, save

Outcomes = Mapping[str, Mapping[str, int]]  # by bar: how many sentences had each outcome
_KEPT = "kept"


def load_yields(results: Path) -> dict[str, dict[str, Any]]:
    """The summaries of annotation runs in `annotation/`, by file name.

    Raises:
        SimgptError: there is none.
    """
    found = {path.stem: read_json(path) for path in sorted((results / "annotation").glob("*.json"))}
    if not found:
        raise SimgptError(f"{results / 'annotation'}: holds no summaries of annotation runs")
    return found


def load_scale(results: Path) -> dict[str, Any]:
    """The measurements of engine and ledger at scale, from `benchmarks/`."""
    return {
        **read_json(results / "benchmarks" / "annotate_scale.json"),
        "ledger": read_json(results / "benchmarks" / "ledger_rows.json"),
    }


def load_reading(results: Path) -> dict[str, Any]:
    """How many of the weak teacher's kept triplets a reader found usable."""
    reading: dict[str, Any] = read_json(results / "teacher" / "reading.json")
    return reading


def yield_bars(outcomes: Mapping[str, Mapping[str, int]]) -> Figure:
    """What became of the sentences: a bar for each kind or teacher, in per cent.

    Args:
        outcomes: For each bar, how many sentences had each outcome; `kept` comes first.
    """
    totals = sum((Counter(counts) for counts in outcomes.values()), Counter[str]())
    names = ["kept", *(name for name, _ in totals.most_common() if name != "kept")]
    figure = Figure(figsize=(8, 1.6 + 0.5 * len(outcomes)))
    axes = figure.add_subplot()
    left = dict.fromkeys(outcomes, 0.0)
    for number, name in enumerate(names):
        shares = {
            label: 100 * counts.get(name, 0) / sum(counts.values())
            for label, counts in outcomes.items()
        }
        axes.barh(
            list(shares),
            list(shares.values()),
            left=list(left.values()),
            height=0.6,
            label=name.replace("_", " "),
            # Four colours tell readers apart whatever they see; beyond that, a pattern does.
            hatch=("", "///", "...", "xxx")[number // 4],
            edgecolor="white",
        )
        left = {label: left[label] + shares[label] for label in outcomes}
    axes.set(xlim=(0, 100), xlabel="sentences (%)")
    axes.invert_yaxis()
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=9)
    return figure


def draw_yields(folder: Path, yields: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """The yield of each committed annotation run."""
    outcomes = {_label(summary): _total(summary) for summary in yields.values()}
    save(folder, "yields", lambda _: yield_bars(outcomes))
    shares = "; ".join(
        f"{label}: {100 * counts[_KEPT] / counts.total():.0f} per cent"
        for label, counts in outcomes.items()
    )
    return Drawing(
        "yields",
        f"Stacked bars of what became of each teacher's answers. Kept as triplets: {shares}.",
        "What became of the answers. Everything to the right of the first colour was kept out.",
        ("book/results/annotation", "simgpt/report/annotation.py"),
    )


def yields_table(yields: Mapping[str, Mapping[str, Any]]) -> BookTable:
    """One column a run, one row an outcome, in per cent of its sentences."""
    outcomes = {_label(summary): _total(summary) for summary in yields.values()}
    names = [_KEPT]
    for counts in outcomes.values():
        names += [name for name, _ in counts.most_common() if name not in names]
    rows = [["sentences", *(f"{counts.total():,}" for counts in outcomes.values())]]
    rows += [
        [name.replace("_", " "), *(f"{100 * c[name] / c.total():.1f} %" for c in outcomes.values())]
        for name in names
    ]
    return text_table("What became of the sentences", ["outcome", *outcomes], rows)


def scale_table(scale: Mapping[str, Any]) -> BookTable:
    """Rows a second, peak memory and time of the runs at 10,000 and at full size."""
    rows = []
    for label, name in (
        ("small", "small"),
        ("full", "full"),
        ("full, once more: nothing to ask or write", "again"),
        ("full, once more: only the files to write", "written_anew"),
    ):
        run = scale[name]
        rows.append(
            [
                label,
                f"{run['rows']:,}",
                f"{run['seconds']:,.1f}",
                f"{run['rows_per_s']:,.0f}",
                f"{run['peak_mib']:,.0f}",
            ]
        )
    header = ["run", "sentences", "seconds", "a second", "peak MiB"]
    return text_table("Annotating at scale", header, rows)


def annotation_facts(
    yields: Mapping[str, Mapping[str, Any]], scale: Mapping[str, Any], reading: Mapping[str, Any]
) -> dict[str, str]:
    """Measured numbers that prose refers to by name."""
    facts = {
        f"kept_{name.replace('-', '_')}": f"{100 * s['triplets'] / s['sentences']:.0f} %"
        for name, s in yields.items()
    }
    facts |= {
        f"usable_{kind}": f"{reading['usable'][kind]} of {read}"
        for kind, read in reading["read"].items()
    }
    tenths = scale["full"]["ms_per_row_by_tenth"]
    return facts | {
        "scale_rows": f"{scale['full']['rows']:,}",
        "scale_ratio": f"{100 * scale['throughput']['median_ratio']:.0f} %",
        "scale_concurrency": str(scale["concurrency"]),
        "scale_extra_mib": f"{scale['full']['peak_mib'] - scale['small']['peak_mib']:.0f}",
        "scale_again_s": f"{scale['again']['seconds']:.1f}",
        "scale_first_tenth_ms": f"{tenths[0]:.2f}",
        "scale_last_tenth_ms": f"{tenths[-1]:.2f}",
        "scale_ledger_mb": f"{scale['full']['ledger_mb']:.0f}",
        "ledger_rows": f"{scale['ledger']['rows']:,}",
        "ledger_write_first_us": f"{scale['ledger']['write_us_per_row_by_tenth'][0]:.0f}",
        "ledger_write_last_us": f"{scale['ledger']['write_us_per_row_by_tenth'][-1]:.0f}",
        "ledger_look_up_us": f"{scale['ledger']['look_up_us_per_row_by_tenth'][-1]:.0f}",
    }


def _label(summary: Mapping[str, Any]) -> str:
    models = {setup["model"] for setup in summary["setups"]}
    kinds = ", ".join(summary["outcomes"]).replace("_", " ")
    return f"{', '.join(sorted(models))}: {kinds}"


def _total(summary: Mapping[str, Any]) -> Counter[str]:
    return sum((Counter(counts) for counts in summary["outcomes"].values()), Counter[str]())
