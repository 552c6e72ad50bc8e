"""Which results may stand in one table, and which of them are one row."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.report.results import Measured, differing_settings, protocol_of, suite_of
from simgpt.report.store import Compared, Store


def each_once(measured: Sequence[Measured]) -> Iterator[Measured]:
    """A model whose result lies in two places is one row."""
    seen = set()
    for run in measured:
        if not run.content["tasks"]:
            raise SimgptError(
                f"{run.path}: scored on development pairs alone, which are no benchmark; leave it "
                "out, or score the model on the seven"
            )
        told = (run.identity, suite_of(run.content), *run.scores)
        if told not in seen:
            seen.add(told)
            yield run


def refuse_mixtures(measured: Sequence[Measured], store: Store) -> None:
    """Scores that were not got alike never stand side by side."""
    files: list[Measured | Compared] = [*measured, *store.compared]
    for other in files[1:]:
        if difference := _difference(files[0].content, other.content):
            raise SimgptError(
                f"{files[0].path} and {other.path} cannot stand in one table: {difference}"
            )
    for file in files if store.published else []:
        suite, aggregation = suite_of(file.content), file.content.get("aggregation", "all")
        if (suite, aggregation) != ("senteval", "all"):
            raise SimgptError(
                f"{file.path} and the paper's rows cannot stand in one table: suite {suite}, "
                f"aggregation {aggregation}, and the paper's are senteval, all"
            )


def _difference(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What tells two files' ways of scoring apart; empty where nothing does."""
    if suite_of(first) != suite_of(other):
        return f"their suites are {suite_of(first)} and {suite_of(other)}"
    one, two = protocol_of(first["tasks"]), protocol_of(other["tasks"])
    for name in sorted(one.keys() | two.keys()):
        left, right = one.get(name, "").split("|"), two.get(name, "").split("|")
        apart = [f"{a} and {b}" for a, b in zip(left, right, strict=False) if a != b]
        if apart:
            return f"their {name} differ in {', '.join(apart)}"
    return ""


def by_seed(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Runs that differ in nothing but the seed; what was not trained stays alone."""
    groups: dict[str, list[Measured]] = {}
    for run in measured:
        model = run.content["model"]
        key = str(run.path)
        if run.config:
            settings = {name: value for name, value in run.config.items() if name != "seed"}
            data = model["training"]["triplets"]["sha256"]
            key = str((sorted(settings.items()), data, model.get("pooling", "auto")))
        groups.setdefault(key, []).append(run)
    for group in groups.values():
        for run, other in combinations(group, 2):
            if _seed(run) == _seed(other):
                raise SimgptError(
                    f"{run.path} and {other.path} are of the same settings and seed, with other "
                    "scores; leave one out"
                )
    return groups


def joined_labels(groups: Sequence[Sequence[Measured]]) -> dict[Path, str]:
    """By the first run's path: the profile, settings in which groups differ, and the seeds."""
    firsts = [group[0] for group in groups]
    differing = [name for name in differing_settings(firsts) if name != "seed"] if firsts else []
    labels = {}
    for group in groups:
        config = group[0].config or {}
        settings = [f"{name}={config.get(name)}" for name in differing if name != "profile"]
        seeds = ", ".join(_seed(run) for run in group)
        labels[group[0].path] = ", ".join([config["profile"], *settings, f"seeds {seeds}"])
    return labels


def _seed(run: Measured) -> str:
    return str((run.config or {}).get("seed"))
