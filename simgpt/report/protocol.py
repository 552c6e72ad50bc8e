"""What the seven benchmarks hold, and what the way of scoring does to one model's scores."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.files import read_json
from simgpt.report.book_table import BookTable, text_table
from simgpt.report.figures import LABELS
from simgpt.report.results import TASKS, Measured


def load_sizes(results: Path) -> dict[str, Any]:
    """How many pairs and different sentences the benchmarks have, as an audit counted them."""
    sizes: dict[str, Any] = read_json(results / "contamination" / "bundled-triplets.json")
    return sizes


def load_raw(results: Path) -> Measured:
    """The untouched encoder's scores on the benchmarks as they were published, untokenised.

    Raises:
        SimgptError: the result is of another suite.
    """
    path = results / "textforms" / "untouched-raw.json"
    raw = Measured(path, read_json(path))
    if raw.content["suite"] != "senteval_raw":
        raise SimgptError(f"{path}: suite is {raw.content['suite']}; it must be senteval_raw")
    return raw


def benchmarks_table(sizes: Mapping[str, Any]) -> BookTable:
    """A row for each benchmark: subsets, pairs, different sentences, how its text was prepared."""
    rows = [
        [
            LABELS[name],
            str(len(sizes["tasks"][name]["subsets"])),
            f"{sizes['tasks'][name]['pairs']:,}",
            f"{sizes['tasks'][name]['sentences']:,}",
            _field(sizes["tasks"][name]["signature"], "text"),
        ]
        for name in TASKS
    ]
    total = ["all seven", "", *(f"{sizes['total'][key]:,}" for key in ("pairs", "sentences")), ""]
    header = ["benchmark", "subsets", "pairs", "different sentences", "text"]
    return text_table("The seven benchmarks", header, [*rows, total])


def subsets_table(sizes: Mapping[str, Any], untouched: Measured) -> BookTable:
    """A row for each subset: pairs, different sentences, the untouched encoder's score."""
    scores = untouched.content["tasks"]
    rows = [
        [
            f"{LABELS[name]} {subset}",
            f"{held['pairs']:,}",
            f"{held['sentences']:,}",
            f"{100 * scores[name]['subsets'][subset]:.2f}",
        ]
        for name in TASKS
        for subset, held in sizes["tasks"][name]["subsets"].items()
    ]
    header = ["subset", "pairs", "different sentences", "untouched encoder"]
    return text_table("The benchmarks' subsets", header, rows)


def aggregations_table(untouched: Measured) -> BookTable:
    """The untouched encoder's score of each benchmark, by the way in which subsets become one."""
    tasks = untouched.content["tasks"]
    ways = list(tasks[TASKS[0]]["aggregations"])
    rows = [
        [
            LABELS[name],
            str(len(tasks[name]["subsets"])),
            *(f"{100 * tasks[name]['aggregations'][way]:.2f}" for way in ways),
        ]
        for name in TASKS
    ]
    return text_table("Three ways to one score: Spearman x 100", ["task", "subsets", *ways], rows)


def forms_table(untouched: Measured, raw: Measured) -> BookTable:
    """One model on the same pairs, tokenised as the protocol wants it and as published."""
    rows = [
        [LABELS[task], f"{ours:.2f}", f"{other:.2f}", f"{_gap(ours, other):+.2f}"]
        for task, ours, other in zip(TASKS, untouched.scores, raw.scores, strict=True)
    ]
    averages = untouched.average, raw.average
    rows.append(["average", *(f"{value:.2f}" for value in averages), f"{_gap(*averages):+.2f}"])
    header = ["benchmark", "SentEval's text", "as published", "change"]
    return text_table("Two forms of the text: Spearman x 100", header, rows)


def protocol_facts(sizes: Mapping[str, Any], untouched: Measured, raw: Measured) -> dict[str, str]:
    """What the page on the benchmarks says of them by name."""
    widest, apart = max(_aggregated(untouched), key=lambda told: abs(told[1]))
    moved = {
        task: _gap(*pair) for task, *pair in zip(TASKS, untouched.scores, raw.scores, strict=True)
    }
    most = max(moved, key=lambda task: abs(moved[task]))
    return {
        "pairs_total": f"{sizes['total']['pairs']:,}",
        "sentences_total": f"{sizes['total']['sentences']:,}",
        **{f"pairs_{task}": f"{sizes['tasks'][task]['pairs']:,}" for task in TASKS},
        "aggregation_task": LABELS[widest],
        "aggregation_apart": f"{abs(apart):.2f}",
        "form_task": LABELS[most],
        "form_change": f"{moved[most]:+.2f}",
        "form_average": f"{_gap(untouched.average, raw.average):+.2f}",
    }


def _aggregated(untouched: Measured) -> Iterator[tuple[str, float]]:
    """Each task's `mean` less its `all`, Spearman x 100."""
    for name in TASKS:
        held = untouched.content["tasks"][name]["aggregations"]
        yield name, 100 * (held["mean"] - held["all"])


def _gap(first: float, second: float) -> float:
    """How far the second number is above the first, as they are printed."""
    return round(second, 2) - round(first, 2)


def _field(signature: str, name: str) -> str:
    return next(part for part in signature.split("|") if part.startswith(f"{name}:"))[5:]
