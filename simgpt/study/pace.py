"""How long cells take here: measured on those that are finished, estimated before there are any."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from simgpt.config import Precision
from simgpt.environment import describe_environment
from simgpt.study.job import Job

if TYPE_CHECKING:
    from simgpt.train.devices import Device

# Of the seven benchmarks, by tests/benchmarks/evaluate_throughput.py: different sentences, and
# their mean length in tokens. Resampling them took about half a minute on two cores.
_SENTENCES, _TOKENS, _RESAMPLING_S = 26_083, 14.3, 30.0


class Pace:
    """Seconds that cells take on this machine.

    A row's finished cells count before those of other rows, whose seconds a triplet are taken; the
    estimate of `simgpt train --dry-run` stands in where nothing is finished yet.

    Args:
        cells: Those of a study, finished or not.
    """

    def __init__(self, cells: Sequence[Job]) -> None:
        self.here = _computer(describe_environment()["machine"])
        self.training: dict[str, list[float]] = defaultdict(list)  # seconds a triplet, by row
        self.scoring: list[float] = []
        self._devices: dict[Precision, Device] = {}
        self._estimated: dict[str, tuple[float, float]] = {}
        for job in cells:
            if result := job.finished():
                self._learn(job, result)

    def seconds(self, job: Job) -> float:
        """What is left of a cell: of its training, the steps to go, and its scoring."""
        scoring = median(self.scoring) if self.scoring else self._estimate(job)[1]
        if job.is_trained():
            return scoring
        return self._training(job) * _share_left(job) + scoring

    def _training(self, job: Job) -> float:
        everything = [rate for rates in self.training.values() for rate in rates]
        if rates := self.training.get(job.cell.row.name, everything):
            return median(rates) * job.triplets() * job.config.epochs
        return self._estimate(job)[0]

    def _estimate(self, job: Job) -> tuple[float, float]:
        """Training and scoring, by the package's estimate."""
        from simgpt.train.devices import this_machine
        from simgpt.train.dry_run import estimated_seconds

        row, precision = job.cell.row.name, job.config.precision
        if precision not in self._devices:  # measured once: rows are compared
            self._devices[precision] = this_machine(precision)
        if row not in self._estimated:
            training, scoring = estimated_seconds(
                job.config,
                self._devices[precision],
                count=job.triplets(),
                sentences=_SENTENCES,
                tokens=_TOKENS,
            )
            self._estimated[row] = training, scoring + _RESAMPLING_S
        return self._estimated[row]

    def _learn(self, job: Job, result: dict[str, Any]) -> None:
        if _computer(result["environment"]["machine"]) == self.here:
            self.scoring.append(result["seconds"])
        training = result["model"].get("training")
        if training and _computer(training["machine"]) == self.here:
            trained_on = training["triplets"]["count"] * job.config.epochs
            self.training[job.cell.row.name].append(training["seconds"] / trained_on)


def _computer(machine: dict[str, Any]) -> dict[str, Any]:
    """A machine without what a process makes of it."""
    return {key: value for key, value in machine.items() if key != "threads"}


def _share_left(job: Job) -> float:
    steps = -(-job.triplets() // job.config.batch_size) * job.config.epochs
    return 1 - job.steps_done() / max(steps, 1)
