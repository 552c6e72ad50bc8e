"""What a study has done and what is left of it, before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simgpt.study.grid import Cell, load_study
from simgpt.study.job import RESULTS, RUNS, Job, jobs
from simgpt.study.pace import Pace

FINISHED = "finished"


@dataclass(frozen=True)
class Planned:
    """How a cell stands.

    Attributes:
        cell: Row and seed.
        triplets: That it trains on; None where it is not trained or its data is missing.
        state: `finished`, `to do`, how far it is, or why it is skipped.
        seconds: What is left of it, about; None where nothing will be done.
    """

    cell: Cell
    triplets: int | None
    state: str
    seconds: float | None


def plan_study(
    study: str,
    *,
    seeds: Sequence[int] | None = None,
    rows: Sequence[str] | None = None,
    shard: tuple[int, int] = (1, 1),
    output: Path = RESULTS,
    runs: Path = RUNS,
) -> list[Planned]:
    """How every cell of a study stands. Takes what `simgpt.study.run.run_study` takes.

    Derived data is written, so that it can be counted; nothing is trained.

    Raises:
        SimgptError: the grid or its data is unsound, or a result is another run's.
    """
    grid = load_study(study)
    cells = jobs(grid, grid.cells(seeds=seeds, rows=rows, shard=shard), output=output, runs=runs)
    pace = Pace(cells)
    return [_planned(job, pace) for job in cells]


def _planned(job: Job, pace: Pace) -> Planned:
    triplets = None if job.missing or not job.cell.row.is_trained else job.triplets()
    if job.finished():
        return Planned(job.cell, triplets, FINISHED, None)
    if job.missing:
        return Planned(job.cell, None, f"skipped: {job.missing}", None)
    state = "to do"
    if waits := job.waits_for():
        state = f"waits for {len(waits)} runs"
    elif job.is_trained() and job.cell.row.is_trained:
        state = "trained, to be scored"
    elif step := job.steps_done():
        state = f"under way at step {step:,}"
    return Planned(job.cell, triplets, state, pace.seconds(job))
