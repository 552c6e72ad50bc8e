"""What scoring the seven benchmarks takes, by the way it is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from simgpt.files import read_json
from simgpt.report.book_table import BookTable, text_table
from simgpt.report.figures import Colours, Drawing, save

_WAYS = {
    "senteval": "SentEval's loop",
    "per_task": "`SentenceTransformer.encode`, task by task",
    "ours": "`simgpt evaluate`",
    "onnx": "`simgpt evaluate`, ONNX Runtime",
    "bf16": "`simgpt evaluate`, bf16",
}


def load_scoring(results: Path) -> dict[str, Any]:
    """The measurement of all seven tasks' time, from `benchmarks/`."""
    measured: dict[str, Any] = read_json(results / "benchmarks" / "evaluate_throughput.json")
    return measured


def scoring_table(measured: Mapping[str, Any]) -> BookTable:
    """Seconds for all seven tasks, by way: the median of the rounds, memory, change of a score."""
    header = ["way", "seconds", "times ours", "largest change of a score", "peak MiB"]
    rows = [
        [
            label.replace("`", ""),
            f"{measured['median_s'][way]:.1f}",
            f"{measured['ratio'][way]:.2f}",
            f"{measured['largest_change'][way]:.4f}",
            f"{measured['peak_mib'][way]:,.0f}",
        ]
        for way, label in _WAYS.items()
    ]
    return text_table("Scoring the seven benchmarks", header, rows)


def draw_scoring(folder: Path, measured: Mapping[str, Any]) -> Drawing:
    """Seconds for all seven tasks, a bar for each way."""
    labels = [label.replace("`", "") for label in _WAYS.values()]
    seconds = [measured["median_s"][way] for way in _WAYS]

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(8, 2.8))
        axes = figure.add_subplot()
        shades = [colours.blue if "simgpt" in label else colours.orange for label in labels]
        bars = axes.barh(labels, seconds, color=shades, height=0.6)
        axes.bar_label(bars, [f"{value:.0f} s" for value in seconds], padding=4)
        axes.set(xlim=(0, 1.12 * max(seconds)), xlabel="seconds for all seven benchmarks")
        axes.invert_yaxis()
        return figure

    save(folder, "scoring", draw)
    told = ", ".join(f"{label} {value:.0f}" for label, value in zip(labels, seconds, strict=True))
    return Drawing(
        "scoring",
        f"Bar chart of the seconds that scoring all seven benchmarks takes: {told}.",
        "All seven benchmarks, the bundled encoder. Median of rounds in turns.",
        ("book/results/benchmarks/evaluate_throughput.json", "simgpt/report/scoring.py"),
    )


def scoring_facts(measured: Mapping[str, Any]) -> dict[str, str]:
    """Measured numbers that prose refers to by name."""
    counted = measured["sentences"]
    return {
        "scoring_sentences": f"{counted['all']['sentences']:,}",
        "scoring_different": f"{counted['different']['sentences']:,}",
        "scoring_seconds": f"{measured['median_s']['ours']:.0f}",
        "scoring_against_senteval": f"{measured['ratio']['senteval']:.2f}",
        "scoring_against_per_task": f"{measured['ratio']['per_task']:.2f}",
        "scoring_bf16": f"{1 / measured['ratio']['bf16']:.2f}",
        "scoring_bf16_change": f"{measured['largest_change']['bf16']:.3f}",
        "scoring_onnx": f"{1 / measured['ratio']['onnx']:.2f}",
        "scoring_peak": f"{measured['multiply_flop_per_s'] / 1e9:.0f}",
        "scoring_fraction": f"{100 * measured['fraction_of_peak']:.0f} %",
        "scoring_mib": f"{measured['peak_mib']['ours']:,.0f}",
        "scoring_layers": f"{measured['layers']['ratio']:.2f}",
        "scoring_threads": str(measured["threads"]),
        "scoring_rounds": str(len(measured["seconds"]["ours"])),
    }
