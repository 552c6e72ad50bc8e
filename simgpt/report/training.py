"""What training came to: SimCSE against PromCSE, and what a step and the data cost."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from simgpt.files import read_json
from simgpt.report.book_table import BookTable, text_table
from simgpt.report.figures import Colours, Drawing, save
from simgpt.report.results import Headline, Measured
from simgpt.report.tables import runs_table


def load_training_benchmarks(results: Path) -> dict[str, dict[str, Any]]:
    """The measurements of a step's time, of memory, and of the estimate, from `benchmarks/`."""
    folder = results / "benchmarks"
    names = ("train_throughput", "train_memory", "train_estimate")
    return {name: read_json(folder / f"{name}.json") for name in names}


def objectives_table(
    result: Headline, promcse: Sequence[Measured], again: Sequence[Measured]
) -> BookTable:
    """The same encoder and triplets under both objectives, a row for each seed."""
    labelled = [
        ("untouched", result.untouched),
        *((f"SimCSE, seed {_seed(run)}", run) for run in result.trained),
        *((f"PromCSE, seed {_seed(run)}", run) for run in promcse),
    ]
    return runs_table("SimCSE and PromCSE on the same triplets", labelled, again)


def draw_objectives(folder: Path, result: Headline, promcse: Sequence[Measured]) -> Drawing:
    """Average of seven under each objective, a mark for each seed."""
    groups = {
        "untouched": [result.untouched.average],
        "PromCSE": [run.average for run in promcse],
        "SimCSE": [run.average for run in result.trained],
    }

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(8, 2.2))
        axes = figure.add_subplot()
        for height, values in enumerate(groups.values()):
            axes.plot(values, [height] * len(values), "D", color=colours.orange, markersize=8)
        axes.set_yticks(range(len(groups)), list(groups))
        axes.set_ylim(-0.6, len(groups) - 0.4)
        axes.set_xlabel("average of seven, Spearman x 100")
        axes.grid(axis="y", color=colours.ink, alpha=0.15)
        return figure

    save(folder, "objectives", draw)
    told = ", ".join(f"{name} {statistics.mean(v):.2f}" for name, v in groups.items())
    return Drawing(
        "objectives",
        f"Dot plot of the average over the seven benchmarks by objective: {told}.",
        "The same encoder on the same triplets; a mark for each seed.",
        ("book/results/headline", "book/results/promcse", "simgpt/report/training.py"),
    )


def training_facts(
    result: Headline, promcse: Sequence[Measured], measured: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Measured numbers that the chapter on training refers to by name."""
    average = statistics.mean(run.average for run in promcse)
    step, memory = measured["train_throughput"], measured["train_memory"]
    few, many = sorted(memory["triplets"], key=int)
    small, large = memory["triplets"][few], memory["triplets"][many]
    config = promcse[0].config or {}
    return {
        "promcse_average": f"{average:.2f}",
        "promcse_gain": f"{average - result.untouched.average:+.2f}",
        "promcse_against_simcse": f"{average - result.mean_average:+.2f}",
        "promcse_seeds": str(len(promcse)),
        "promcse_learning_rate": f"{config['learning_rate']:g}",
        "promcse_energy_weight": f"{config['energy_weight']:g}",
        "promcse_prefix": str(config["prefix_tokens"]),
        "step_ratio": f"{step['ratio']:.2f}",
        "step_ours": f"{step['median_s']['ours']:.2f}",
        "step_plain": f"{step['median_s']['plain']:.2f}",
        "step_batch": str(step["config"]["batch_size"]),
        "padding_ours": f"{100 * step['padding']['ours']:.1f}",
        "padding_plain": f"{100 * step['padding']['plain']:.1f}",
        "step_gradient_difference": f"{step['largest_difference']['gradient']:.1e}",
        "memory_few": f"{int(few):,}",
        "memory_many": f"{int(many):,}",
        "memory_small": f"{small['anonymous_mib']:.0f}",
        "memory_large": f"{large['anonymous_mib']:.0f}",
        "memory_file": f"{large['file_mb']:.0f}",
    }


def estimate_table(measured: Mapping[str, Any]) -> BookTable:
    """Estimated against measured memory and time, by case."""
    header = ["case", "memory, GiB", "estimated, GiB", "seconds", "estimated, s"]
    rows = []
    for name, case in measured["cases"].items():
        memory, time = case["memory"], case["wall"]
        low, high = time["estimate_seconds"]
        rows.append(
            [
                name,
                f"{memory['measured_gib']:.2f}",
                f"{memory['estimate_gib']:.2f}",
                f"{time['measured_seconds']:.1f}",
                f"{low:.1f} to {high:.1f}",
            ]
        )
    return text_table("Memory and time of training, measured and estimated", header, rows)


def _seed(run: Measured) -> int:
    return int((run.config or {})["seed"])
