"""Whether what a results file says agrees with itself: nothing is looked up, nothing computed anew.

Each check gives a list of sentences, empty where all is well.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from typing import Any

from simgpt.report.results import TASKS, suite_of, task_names

# Sums of few numbers, and correlations by way of sums instead of ranks.
ROUNDING = 1e-6
# The paper prints this average, which its own seven figures do not give.
MISPRINTED = {"SBERT-base": 74.89}


class Kind(StrEnum):
    """What a results file holds."""

    RESULT = "result"  # of `simgpt evaluate`
    COMPARISON = "comparison"  # of `simgpt evaluate compare`
    PAPER = "paper"
    OTHER = "other"  # a measurement of something else: a time, a yield


def kind_of(content: Any) -> Kind:
    """Tell a results file by its keys."""
    keys = content.keys() if isinstance(content, dict) else set()
    if {"model", "tasks", "development"} <= keys:
        return Kind.RESULT
    if {"models", "tasks", "average"} <= keys:
        return Kind.COMPARISON
    return Kind.PAPER if {"source", "measure", "rows"} <= keys else Kind.OTHER


def problems_of(content: Any) -> list[str]:
    """In what a file's pieces contradict each other; what is no result or table says nothing."""
    check: dict[Kind, Callable[[dict[str, Any]], Iterator[str]]] = {
        Kind.RESULT: _result,
        Kind.COMPARISON: _comparison,
        Kind.PAPER: _paper,
    }
    kind = kind_of(content)
    if kind is Kind.OTHER:
        return []
    try:
        return list(check[kind](content))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        return [f"not in the form of a {kind}: {told}"]


def published_average(scores: Sequence[float]) -> float:
    """Mean of scores x 100, each first rounded to two decimals, as papers print it."""
    return round(sum(round(score, 2) for score in scores) / len(scores), 2)


def git_states(content: Any) -> Iterator[Mapping[str, Any]]:
    """What a file says of the commits it was made with; empty for an installed package's."""
    if isinstance(content, dict):
        if isinstance(content.get("git"), dict):
            yield content["git"]
        yield from chain.from_iterable(git_states(value) for value in content.values())
    elif isinstance(content, list):
        yield from chain.from_iterable(git_states(value) for value in content)


def _result(content: dict[str, Any]) -> Iterator[str]:
    tasks, aggregation = content["tasks"], content.get("aggregation", "all")
    if tasks:
        _check_names(content)
        scores = [tasks[name]["spearman"] for name in task_names(suite_of(content))]
        average = published_average([100 * score for score in scores])
        yield from _equal("average", content["average"], average)
        if "average_unrounded" in content:
            mean = statistics.fmean(scores)
            yield from _equal("average_unrounded", content["average_unrounded"], mean)
            yield from _interval("average_interval", content["average_interval"])
    elif content["average"] is not None:
        yield "there is an average, but no task"
    for name, score in {**tasks, **content["development"]}.items():
        yield from _score(name, score, aggregation)
    if content["model"].get("config"):
        training = content["model"]["training"]
        for key in (training["triplets"]["sha256"], training["development"]["sha256"]):
            if len(key) != 64:
                yield f"{key!r} is no SHA-256 of training data"


def _check_names(content: dict[str, Any]) -> None:
    expected, found = set(task_names(suite_of(content))), content["tasks"].keys()
    if missing := expected - found:
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    if more := found - expected:
        raise ValueError(f"{', '.join(sorted(more))}: no task of the suite {suite_of(content)}")


def _score(name: str, score: dict[str, Any], aggregation: str) -> Iterator[str]:
    value, subsets = score["spearman"], list(score["subsets"].values())
    if not -1 <= value <= 1:
        yield f"{name}: Spearman is {value}"
    yield from _signature(name, score, f"pairs:{score['pairs']}", f"agg:{aggregation}")
    if "aggregations" in score:
        held = score["aggregations"]
        mean = None if None in subsets else statistics.fmean(subsets)
        yield from _equal(f"{name}: {aggregation}", held[aggregation], value)
        yield from _equal(f"{name}: mean", held["mean"], mean)
    if len(subsets) == 1:
        yield from _equal(f"{name}: its only subset", subsets[0], value)
    if "interval" in score:
        yield from _interval(name, score["interval"])


def _signature(name: str, score: dict[str, Any], *expected: str) -> Iterator[str]:
    first, *fields = score["signature"].split("|")
    for field in [one for one in expected if one not in fields] + [name] * (first != name):
        yield f"{name}: the signature {score['signature']} does not say {field}"


def _comparison(content: dict[str, Any]) -> Iterator[str]:
    tasks, average = content["tasks"], content["average"]
    for name, row in tasks.items():
        difference = row["first"] - row["second"]
        yield from _equal(f"{name}: difference", row["difference"], difference)
        yield from _interval(name, row["interval"])
        yield from _signature(name, row)
        for key in ("p_bootstrap", "p_randomisation", "p_holm"):
            if not 0 < row[key] <= 1:
                yield f"{name}: {key} is {row[key]}"
    if average is not None:
        for key in ("first", "second", "difference"):
            mean = statistics.fmean(row[key] for row in tasks.values())
            yield from _equal(f"average: {key}", average[key], mean)
    for one in ("first", "second"):
        if not isinstance(content["models"][one], dict):
            yield f"says nothing of the {one} model"


def _paper(content: dict[str, Any]) -> Iterator[str]:
    for row in content["rows"]:
        if len(row["scores"]) != len(TASKS):
            yield f"{row['model']}: {len(row['scores'])} scores instead of {len(TASKS)}"
        average = MISPRINTED.get(row["model"], statistics.fmean(row["scores"]))
        if abs(row["average"] - average) > 0.011:
            yield f"{row['model']}: average is {row['average']}, its scores give {average:.2f}"


def _equal(what: str, stored: float | None, given: float | None) -> Iterator[str]:
    if stored is None or given is None:
        same = stored is given
    else:
        same = math.isclose(stored, given, rel_tol=0, abs_tol=ROUNDING)
    if not same:
        yield f"{what} is {stored}, and the other numbers give {given}"


def _interval(name: str, held: dict[str, float]) -> Iterator[str]:
    if not -2 <= held["low"] <= held["high"] <= 2:
        yield f"{name}: the interval goes from {held['low']} to {held['high']}"
