"""A study's results: its rows by seed, what other seeds would give, and how far the rows differ.

The grid says which rows there are; a row that has not been measured yet stays among them.
"""

import re
import statistics
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.files import read_json, read_text
from simgpt.holm import holm
from simgpt.report.results import Measured, protocol_of, score_of, suite_of, task_names
from simgpt.report.spread import Spread, p_of_no_difference, seed_spread

_GRIDS = Path(str(resources.files("simgpt") / "study" / "grids"))


@dataclass(frozen=True)
class Difference:
    """One row against another on the same seeds, x 100.

    Attributes:
        mean: Mean over the seeds.
        spread: Of the differences; None for a single model.
        p: Two-sided, by a paired t test; None for a single model.
        p_holm: The same, corrected for all rows of the study that are tested.
        seeds: How many both have.
    """

    mean: float
    spread: Spread | None
    p: float | None
    seeds: int
    p_holm: float | None = None


@dataclass(frozen=True)
class StudyRow:
    """A line of a study's table.

    Attributes:
        name: In file names.
        label: What tables and figures print.
        untouched: Not trained: one result, without a seed.
        averaged: The mean of another row's weights: one result, without a seed.
        runs: By seed, those that are there; that of a row without seeds stands under None.
        command: What measures it again.
    """

    name: str
    label: str
    untouched: bool
    averaged: bool
    runs: Mapping[int | None, Measured]
    command: str

    @property
    def scores(self) -> list[float]:
        """Each run's score, x 100."""
        return [score_of(run) for run in self.runs.values()]

    @property
    def mean(self) -> float:
        """Over the seeds that are there."""
        return statistics.mean(self.scores)

    @property
    def spread(self) -> Spread | None:
        """Over seeds; None where there are fewer than two."""
        return seed_spread(self.scores) if len(self.runs) > 1 else None

    @property
    def task_means(self) -> dict[str, float]:
        """Each task's mean over the seeds, x 100."""
        by_run = [task_scores(run) for run in self.runs.values()]
        return {name: statistics.mean(scores[name] for scores in by_run) for name in by_run[0]}

    @property
    def is_trained(self) -> bool:
        """Whether it has a run for each seed."""
        return not self.untouched and not self.averaged

    def against(
        self, other: "StudyRow", value: Callable[[Measured], float] | None = None
    ) -> list[float]:
        """This row minus another, seed by seed; one without seeds stands against every seed.

        Args:
            other: Another row of the study.
            value: What is compared; `score_of` if nothing is said.
        """
        value = value or score_of
        seeds = self.runs if self.is_trained else other.runs
        pairs = [(self._run(seed), other._run(seed)) for seed in seeds]
        return [value(one) - value(two) for one, two in pairs if one and two]

    def _run(self, seed: int | None) -> Measured | None:
        return self.runs.get(seed if self.is_trained else None)


@dataclass(frozen=True)
class StudyResults:
    """What has been measured of a study.

    Attributes:
        name: The study's.
        question: What it asks, in one sentence.
        seeds: Those that the grid wants of each trained row.
        reference: The row that the others are compared with.
        rows: In the grid's order.
    """

    name: str
    question: str
    seeds: Sequence[int]
    reference: StudyRow
    rows: Sequence[StudyRow]

    @property
    def measured(self) -> list[StudyRow]:
        """Rows that have a result."""
        return [row for row in self.rows if row.runs]

    @property
    def others(self) -> list[StudyRow]:
        """All rows but the reference."""
        return [row for row in self.rows if row.name != self.reference.name]

    @property
    def signature(self) -> str:
        """That of the first score; the others' differ in task, pairs and data. Empty for none."""
        for row in self.measured:
            for run in row.runs.values():
                scores = run.content["tasks"] or run.content["development"]
                return str(scores[next(iter(task_scores(run)))]["signature"])
        return ""

    @property
    def of_benchmarks(self) -> bool:
        """Whether scores are averages of the seven, and not of development sets."""
        return all(run.content["tasks"] for row in self.rows for run in row.runs.values())

    def differences(self) -> dict[str, Difference]:
        """Of each row from the reference, by name; rows without a common seed are left out."""
        found = {
            row.name: difference
            for row in self.others
            if (difference := difference_of(row, self.reference))
        }
        tested = {name: one.p for name, one in found.items() if one.p is not None}
        corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
        return {
            name: Difference(one.mean, one.spread, one.p, one.seeds, corrected.get(name))
            for name, one in found.items()
        }

    def row(self, name: str) -> StudyRow:
        """A row by its name.

        Raises:
            SimgptError: the grid has no such row.
        """
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.rows)
        raise SimgptError(f"study {self.name} has no row {name}; its rows: {known}")


def study_names() -> list[str]:
    """Names of the bundled grids."""
    return sorted(path.stem for path in _GRIDS.glob("*.toml"))


def row_labels(study: str) -> dict[str, str]:
    """What a study's rows are called in tables and figures, by their names."""
    return {row["name"]: row["label"] for row in _grid(study)[1]["rows"]}


def load_study_results(results: Path, study: str) -> StudyResults:
    """What has been measured of a study's rows, from `results/STUDY/`.

    Args:
        results: The folder that `simgpt study run` writes to.
        study: Name of a bundled study, or a .toml file, as that command takes it.

    Raises:
        SimgptError: there is no such study, or its results were not all scored alike.
    """
    name, grid = _grid(study)
    rows = [_row(row, results / name, study) for row in grid["rows"]]
    (reference,) = (row for row in rows if row.name == grid["reference"])
    runs = [run for row in rows for run in row.runs.values()]
    for run in runs[1:]:
        if _protocol(run) != _protocol(runs[0]):
            raise SimgptError(
                f"{runs[0].path} and {run.path} were not scored alike; their signatures differ"
            )
    return StudyResults(name, grid["question"], grid["seeds"], reference, rows)


def difference_of(row: StudyRow, other: StudyRow) -> Difference | None:
    """One row against another, seed by seed; None where they have no seed in common."""
    values = row.against(other)
    if not values:
        return None
    # How far another average would be from this one, no seed of the other row says.
    if len(values) == 1 or row.averaged or other.averaged:
        return Difference(statistics.mean(values), None, None, len(values))
    spread = seed_spread(values)
    return Difference(spread.mean, spread, p_of_no_difference(values), len(values))


def task_scores(run: Measured) -> dict[str, float]:
    """Spearman x 100 by task, in their order; by development set, if nothing else was scored."""
    content = run.content
    scores = content["tasks"] or content["development"]
    names = task_names(suite_of(content)) if content["tasks"] else scores
    return {name: 100 * scores[name]["spearman"] for name in names}


def _grid(study: str) -> tuple[str, dict[str, Any]]:
    """A study's name and its file's content."""
    path = Path(study) if study.endswith(".toml") else _GRIDS / f"{study}.toml"
    if path.parent == _GRIDS and study not in study_names():
        raise SimgptError(f"unknown study {study!r}; known: {', '.join(study_names())}")
    return path.stem, tomllib.loads(read_text(path))


def _protocol(run: Measured) -> dict[str, str]:
    return protocol_of(run.content["tasks"] or run.content["development"])


def _row(row: Mapping[str, Any], folder: Path, study: str) -> StudyRow:
    name, untouched, averaged = row["name"], row.get("untouched", False), "average_of" in row
    pattern = re.compile(re.escape(name) + (r"()" if untouched or averaged else r"-seed(\d+)"))
    runs = {
        int(match[1]) if match[1] else None: Measured(path, read_json(path))
        for path in folder.glob("*.json")
        if (match := pattern.fullmatch(path.stem))
    }
    command = f"simgpt study run {study} --rows {name}"
    by_seed = dict(sorted(runs.items(), key=lambda item: item[0] or 0))
    return StudyRow(name, row["label"], untouched, averaged, by_seed, command)
