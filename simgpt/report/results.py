"""The results store: `book/results/`, the paper's numbers and ours."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.files import read_json

# The committed ones, where the package runs from a checkout; notebooks run in any folder.
RESULTS = Path(__file__).parent.parent.parent / "book" / "results"

DEVELOPMENT_SETS = ("bundled_dev", "stsb_dev", "sickr_dev")
TASKS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr")
RUN_SCORES = "scores.json"


@dataclass(frozen=True)
class Published:
    """A row of the paper's table, Spearman x 100 as printed there."""

    model: str
    scores: list[float]
    average: float


@dataclass(frozen=True)
class Measured:
    """One of our evaluations, as `simgpt evaluate --output` wrote it."""

    path: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """The file's name; for a run's own `scores.json`, the run's."""
        return self.path.resolve().parent.name if self.path.name == RUN_SCORES else self.path.stem

    @property
    def seven(self) -> list[dict[str, Any]]:
        """What is known of each of the seven tasks, in their order."""
        return [self.content["tasks"][name] for name in task_names(suite_of(self.content))]

    @property
    def scores(self) -> list[float]:
        """Spearman x 100 on the seven tasks."""
        return [100 * task["spearman"] for task in self.seven]

    @property
    def average(self) -> float:
        """Average of the seven, each first rounded to two decimals."""
        return float(self.content["average"])

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells its model from all others."""
        return identity(self.content["model"])

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
    """The first result: the encoder untouched, and trained on all bundled triplets by seed.

    Attributes:
        untouched: As it was published.
        trained: On all bundled triplets, two seeds or more.
        further: By the row's name, what else was made of these triplets.
    """

    untouched: Measured
    trained: list[Measured]
    further: dict[str, list[Measured]]

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
    measured = [Measured(path, read_json(path)) for path in sorted(folder.glob("*.json"))]
    if not measured:
        raise SimgptError(f"{folder}: holds no results")
    for result in measured:
        missing = set(TASKS) - result.content["tasks"].keys()
        if missing:
            raise SimgptError(f"{folder / result.name}.json: lacks {', '.join(sorted(missing))}")
    return measured


def headline(results: Path) -> Headline:
    """The runs behind the landing page, from `headline/`."""
    rows: dict[str, list[Measured]] = {}
    for result in load_measured(results / "headline"):
        rows.setdefault(row_name(result), []).append(result)
    for runs in rows.values():
        runs.sort(key=lambda run: int((run.config or {}).get("seed", 0)))
    trained = rows.get("llm-all", [])
    if "untouched" not in rows or len(trained) < 2:
        raise SimgptError(f"{results / 'headline'}: needs one untouched and two trained results")
    compared = ("untouched", "human", "llm-equal", "llm-all")
    further = {name: runs for name, runs in rows.items() if name not in compared}
    return Headline(rows["untouched"][0], trained, further)


def row_name(run: Measured) -> str:
    """The study's row that a result is of, by the file's name."""
    return re.sub(r"-seed\d+$", "", run.name)


def score_of(run: Measured) -> float:
    """Average of seven, x 100; where nothing else was scored, the development sets' mean."""
    if run.content["tasks"]:
        return run.average
    development = run.content["development"].values()
    return 100 * statistics.mean(float(one["spearman"]) for one in development)


def suite_of(content: Mapping[str, Any]) -> str:
    """The suite of a result or a comparison; the first ones, which do not say, are SentEval's."""
    return str(content.get("suite", "senteval"))


def task_names(suite: str) -> list[str]:
    """What the seven tasks are called in a suite's results, as in `mteb_sts12`."""
    return [task if suite == "senteval" else f"{suite}_{task}" for task in TASKS]


def protocol_of(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Each task's signature without this package's version, which two results may differ in."""
    return {name: score["signature"].rpartition("|v")[0] for name, score in scores.items()}


def identity(model: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a model from all others: weights, or name and revision; pooling; precision."""
    weights = model.get("weights_sha256") or model.get("name", "")
    how = model.get("pooling", "auto"), model.get("precision", "fp32")
    return weights, model.get("revision") or "", *how


def differing_settings(runs: Sequence[Measured]) -> list[str]:
    """Names of the settings in which `runs` differ, in the config's order."""
    configs = [run.config or {} for run in runs]
    return [name for name in configs[0] if len({str(config.get(name)) for config in configs}) > 1]
