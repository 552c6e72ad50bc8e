"""Run a study: train and score every cell that has no result yet."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simgpt.config import Pooling, ScoringPrecision
from simgpt.files import COMPLETE, writing
from simgpt.progress import span
from simgpt.study.grid import Study, load_study
from simgpt.study.job import RESULTS, RUNS, Job, jobs
from simgpt.study.pace import Pace

logger = logging.getLogger(__name__)

_AT_WORK = "another process is working on it"


def run_study(
    study: str,
    *,
    seeds: Sequence[int] | None = None,
    rows: Sequence[str] | None = None,
    shard: tuple[int, int] = (1, 1),
    output: Path = RESULTS,
    runs: Path = RUNS,
) -> dict[str, str]:
    """Train and score the cells of a study that are not finished.

    After a kill the same call goes on: a training from its newest checkpoint, a scoring from its
    cosines. Processes may share a study; each takes the cells that no other is working on.

    Args:
        study: Name of a bundled study, or a .toml file.
        seeds: Instead of the study's.
        rows: Names of the only rows wanted.
        shard: The i-th of n parts of the cells.
        output: Results go to `output/STUDY/`, each with its cosines beside it.
        runs: Run folders go to `runs/STUDY/`. Their weights are removed once they are scored,
            unless the study keeps its models.

    Returns:
        Cells that were left out, and why: their data is missing, or another process has them.

    Raises:
        SimgptError: the grid or its data is unsound, a result is another run's, the benchmarks are
            not to be had, or a training or a scoring failed.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    grid = load_study(study)
    cells = jobs(grid, grid.cells(seeds=seeds, rows=rows, shard=shard), output=output, runs=runs)
    pending = [job for job in cells if job.finished() is None]
    if not grid.keep_models:
        _tidy(job for job in cells if job not in pending)
    left_out = {job.name: job.missing for job in pending if job.missing}
    pending = [job for job in pending if not job.missing]
    for name, reason in left_out.items():
        logger.info("%s is left out: %s", name, reason)
    _check_benchmarks(pending)
    for position, job in enumerate(pending):
        with _claimed(job) as is_ours:
            if not is_ours:
                left_out[job.name] = _AT_WORK
            elif waits := job.waits_for():
                left_out[job.name] = f"it needs the runs {', '.join(waits)}; run these here first"
            if job.name in left_out:
                logger.info("%s is left out: %s", job.name, left_out[job.name])
                continue
            if job.finished() is None:  # another process may have come first
                _work(job, grid.scoring_precision)
            if not grid.keep_models:
                _remove_weights(job)
        _tell(grid, job, cells, pending[position + 1 :])
    return left_out


def _check_benchmarks(pending: Sequence[Job]) -> None:
    """Fail before hours of training, not after them."""
    from simgpt.evaluate.benchmarks import find_tasks

    for setting in {job.config.benchmarks for job in pending}:
        find_tasks(setting)


def _work(job: Job, precision: ScoringPrecision) -> None:
    from simgpt.evaluate import evaluate_model
    from simgpt.train import train
    from simgpt.train.averaging import average_runs

    cfg = job.config
    if job.parts and not job.folder.is_dir():
        average_runs([part.folder for part in job.parts], job.folder)
    elif job.cell.row.is_trained:
        train(cfg, job.folder)
    untouched = job.cell.row.untouched
    evaluate_model(
        cfg.backbone if untouched else str(job.folder),
        benchmarks=cfg.benchmarks,
        pooling=cfg.pooling if untouched else Pooling.AUTO,
        precision=precision,
        output=job.result,
        progress=True,
    )


@contextmanager
def _claimed(job: Job) -> Iterator[bool]:
    """Whether this process is the only one at a cell, until the block ends.

    The lock is beside the run folder: training has one of its own inside, and lets go of it before
    the scores are there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(job.folder.with_name(f".{job.folder.name}.lock"))
    with writing(job.folder):
        job.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _tidy(finished: Iterable[Job]) -> None:
    """Remove what a kill between a result and the removal of its weights has left."""
    for job in finished:
        if (job.folder / "checkpoint").is_dir():
            with _claimed(job) as is_ours:
                if is_ours:
                    _remove_weights(job)


def _remove_weights(job: Job) -> None:
    """Keep log, settings and environment; without COMPLETE it can be trained anew."""
    (job.folder / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(job.folder / "checkpoint", ignore_errors=True)


def _tell(study: Study, job: Job, cells: Sequence[Job], left: Sequence[Job]) -> None:
    """A line for a finished cell: what it scored, and how long the others will take."""
    result = job.finished() or {}
    if result["average"] is None:
        score = "development pairs only, NOT a benchmark"
    else:
        score = f"average of seven {result['average']:.2f}"
    line = f"{job.name}: {score}"
    if left:
        seconds = Pace(cells).seconds
        line += f"; {len(left)} to go, about {span(sum(map(seconds, left)))} left"
    logger.info("%s", line)
