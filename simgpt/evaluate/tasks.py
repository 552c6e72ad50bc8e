"""What is scored: pairs of sentences with the raters' scores, in subsets, in tasks, in a suite."""

from dataclasses import dataclass
from enum import StrEnum

# The seven of the paper's table, by the names that results and signatures use.
TASK_NAMES = {
    "sts12": "STS12",
    "sts13": "STS13",
    "sts14": "STS14",
    "sts15": "STS15",
    "sts16": "STS16",
    "stsb": "STS-B",
    "sickr": "SICK-R",
}


class Suite(StrEnum):
    """Where the test sets come from. Scores of two suites are never put into one column."""

    SENTEVAL = "senteval"  # the paper's: SentEval's tokenised files
    SENTEVAL_RAW = "senteval_raw"  # the same pairs as they were published, untokenised
    MTEB = "mteb"  # MTEB's own versions; its SICK-R is another set of pairs
    DEVELOPMENT = "development"  # the bundled pairs alone: no benchmark

    def task(self, name: str) -> str:
        """The name under which one of the seven goes in this suite, as in `mteb_sts12`."""
        return name if self is Suite.SENTEVAL else f"{self}_{name}"


# How the tasks of all suites are shown; only the paper's go by the plain name.
TASK_LABELS = TASK_NAMES | {
    suite.task(name): form.format(label)
    for suite, form in ((Suite.SENTEVAL_RAW, "{} (raw)"), (Suite.MTEB, "MTEB {}"))
    for name, label in TASK_NAMES.items()
}


@dataclass(frozen=True)
class Subset:
    """Scored pairs of one file: two parallel lists of sentences and their gold scores (0 to 5)."""

    name: str
    left: list[str]
    right: list[str]
    gold: list[float]


@dataclass(frozen=True)
class Task:
    """One benchmark: its subsets, how its text was prepared, and the hash of its files."""

    name: str
    subsets: list[Subset]
    text: str
    sha256: str

    @property
    def pairs(self) -> int:
        """Number of scored pairs."""
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Scored pairs of each subset."""
        return [len(subset.gold) for subset in self.subsets]

    @property
    def left(self) -> list[str]:
        """The first sentence of each pair, the subsets one after the other."""
        return [sentence for subset in self.subsets for sentence in subset.left]

    @property
    def right(self) -> list[str]:
        """The second sentence of each pair."""
        return [sentence for subset in self.subsets for sentence in subset.right]

    @property
    def gold(self) -> list[float]:
        """The raters' scores of the pairs."""
        return [score for subset in self.subsets for score in subset.gold]

    @property
    def is_development(self) -> bool:
        """Whether checkpoints and settings may be chosen by it: it is a test set of no suite."""
        return self.name.endswith("_dev")


@dataclass(frozen=True)
class Benchmarks:
    """The test sets of one suite, seven or none, and the development sets that are to be had."""

    suite: Suite
    tasks: list[Task]
    development: list[Task]

    @property
    def all_tasks(self) -> list[Task]:
        """Test sets first."""
        return [*self.tasks, *self.development]
