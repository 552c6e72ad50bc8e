"""The results store: `book/results/`, the paper's numbers and ours."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.files import read_json

# The committed ones, where the package runs from a checkout; notebooks run in any folder.
RESULTS = Path(__file__).parent.parent.parent / "book" / "results"

DEVELOPMENT_SETS = ("bundled_dev", "stsb_dev", "sickr_dev")
TASKS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr")


@dataclass(frozen=True)
class Published:
    """A row of the paper's table, Spearman x 100 as printed there."""

    model: str
    scores: list[float]
    average: float


@dataclass(frozen=True)
class Measured:
    """One of our evaluations, as `simgpt evaluate --output` wrote it."""

    name: str
    content: dict[str, Any]

    @property
    def scores(self) -> list[float]:
        """Spearman x 100 on the seven tasks."""
        return [100 * self.content["tasks"][task]["spearman"] for task in TASKS]

    @property
    def average(self) -> float:
        """Average of the seven, each first rounded to two decimals."""
        return float(self.content["average"])

    @property
    def config(self) -> dict[str, Any] | None:
        """The training config; None for an encoder that was not trained here."""
        config: dict[str, Any] | None = self.content["model"].get("config")
        return config

    def development(self, name: str) -> float:
        """Spearman x 100 on a development set, or the `mean` of the three."""
        if name == "mean":
            return statistics.mean(self.development(one) for one in DEVELOPMENT_SETS)
        return 100 * float(self.content["development"][name]["spearman"])


@dataclass(frozen=True)
class Headline:
    """The first result: the encoder untouched, and trained on all bundled triplets by seed."""

    untouched: Measured
    trained: list[Measured]

    @property
    def mean_scores(self) -> list[float]:
        """Mean over seeds of each task's score."""
        columns = zip(*(run.scores for run in self.trained), strict=True)
        return [statistics.mean(column) for column in columns]

    @property
    def mean_average(self) -> float:
        """Mean over seeds of the average of seven."""
        return statistics.mean(run.average for run in self.trained)

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds of the average of seven."""
        return statistics.stdev(run.average for run in self.trained)

    @property
    def gain(self) -> float:
        """Mean average of the trained runs minus the untouched encoder's."""
        return self.mean_average - self.untouched.average


def load_paper(results: Path) -> list[Published]:
    """The paper's table (its results section), from `paper.json`."""
    return [Published(**row) for row in read_json(results / "paper.json")["rows"]]


def load_measured(folder: Path) -> list[Measured]:
    """All evaluations in one study's folder, by file name.

    Raises:
        SimgptError: the folder holds none, or one lacks a task.
    """
    measured = [Measured(path.stem, read_json(path)) for path in sorted(folder.glob("*.json"))]
    if not measured:
        raise SimgptError(f"{folder}: holds no results")
    for result in measured:
        missing = set(TASKS) - result.content["tasks"].keys()
        if missing:
            raise SimgptError(f"{folder / result.name}.json: lacks {', '.join(sorted(missing))}")
    return measured


def headline(results: Path) -> Headline:
    """The runs behind the landing page, from `headline/`."""
    measured = load_measured(results / "headline")
    untouched = [result for result in measured if result.config is None]
    trained = [result for result in measured if result.config is not None]
    if len(untouched) != 1 or len(trained) < 2:
        raise SimgptError(f"{results / 'headline'}: needs one untouched and two trained results")
    return Headline(untouched[0], trained)


def differing_settings(runs: Sequence[Measured]) -> list[str]:
    """Names of the settings in which `runs` differ, in the config's order."""
    configs = [run.config or {} for run in runs]
    return [name for name in configs[0] if len({str(config.get(name)) for config in configs}) > 1]
