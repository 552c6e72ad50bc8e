"""Tables of `simgpt evaluate contamination`."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from simgpt.evaluate import TASK_NAMES


def show_contamination(result: Mapping[str, Any]) -> None:
    """What was touched, and the models' scores without the touched pairs."""
    console = Console(width=180)
    settings, triplets = result["settings"], result["triplets"]
    console.print(
        f"Sentences found in {triplets['name']} ({triplets['count']:,} entries): "
        "the same text (exact), the same letters and digits (normalised), "
        f"{settings['ngram_words']} words in a row (ngram), {settings['threshold']:g} or more "
        "of the shingles (near). Pairs: touched at any level."
    )
    console.print(_counts(result))
    for model in result["models"]:
        console.print(f"\n[bold]{model['name']}[/bold]")
        console.print(_scores(model["scores"], result["tasks"]))
    if result["suite"] == "development":
        sys.stderr.write("simgpt: these are development pairs, NOT a benchmark\n")


def _counts(result: Mapping[str, Any]) -> Table:
    levels = list(result["total"]["levels"])
    columns = ("pairs", "one side", "both sides", "together")
    table = Table("task", "sentences", *levels, *columns, box=None)
    for name, row in (*result["tasks"].items(), ("all", result["total"])):
        table.add_row(*_cells(_label(name), row))
        if len(subsets := row.get("subsets", {})) > 1:
            for subset, counts in subsets.items():
                table.add_row(*_cells(f"  {subset}", counts))
    return table


def _cells(label: str, row: Mapping[str, Any]) -> list[str]:
    touched = row["levels"]["any"]
    return [
        label,
        f"{row['sentences']:,}",
        *(f"{counts['sentences']:,}" for counts in row["levels"].values()),
        f"{row['pairs']:,}",
        *(f"{touched[key]:,}" for key in ("one_side", "both_sides", "together")),
    ]


def _scores(scores: Mapping[str, Any], tasks: Mapping[str, Any]) -> Table:
    columns = ("all pairs", "without", "pairs left", "clean pairs", "change", "95 % interval")
    table = Table("Spearman x 100", *columns, "signature of all pairs", box=None)
    rows = dict(scores["tasks"])
    if scores["average"] is not None:
        rows["average"] = scores["average"]
    for name, row in rows.items():
        for place, (level, rest) in enumerate(reversed(row["without"].items())):
            first = place == 0
            table.add_row(
                _label(name) if first else "",
                f"{100 * row['spearman']:.2f}" if first else "",
                level,
                f"{rest['pairs']:,}",
                *_rest(rest),
                tasks.get(name, {}).get("signature", "") if first else "",
            )
    return table


def _rest(rest: Mapping[str, Any]) -> list[str]:
    if rest["spearman"] is None:
        return ["no score: too few pairs left", "", ""]
    low, high = (100 * rest["interval"][key] for key in ("low", "high"))
    change = f"{100 * rest['change']:+.2f}"
    return [f"{100 * rest['spearman']:.2f}", change, f"{low:+.2f} to {high:+.2f}"]


def _label(name: str) -> str:
    known = {**TASK_NAMES, "all": "all of them", "average": "average (not rounded)"}
    return known.get(name, f"{name} (development)")
