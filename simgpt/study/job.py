"""A cell as work to do: its settings, its places, and whether it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, read_json, sha256_of
from simgpt.study.data import MissingData, prepare
from simgpt.study.grid import Cell, Study
from simgpt.train.checkpoints import checkpoints, is_sealed, step_of
from simgpt.train.folder import TRAINER
from simgpt.triplets import training_triplets, triplets_path

RESULTS, RUNS = Path("book") / "results", Path("runs") / "study"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell on this machine.

    Attributes:
        cell: Row and seed.
        config: Its settings.
        folder: Its run folder.
        result: What scoring writes; its cosines lie beside it.
        missing: Why its data is not to be had; empty where it is.
        parts: The runs that an average is made of.
    """

    cell: Cell
    config: RunConfig
    folder: Path
    result: Path
    missing: str = ""
    parts: Sequence["Job"] = ()

    @property
    def name(self) -> str:
        """Study and cell, for messages."""
        return f"{self.folder.parent.name}/{self.cell.name}"

    def finished(self) -> dict[str, Any] | None:
        """Its result, where there is one.

        Raises:
            SimgptError: the result is of other settings or other data.
        """
        if not self.result.is_file():
            return None
        result: dict[str, Any] = read_json(self.result)
        model = result.get("model", {})
        differ = _differences(self, model)
        if differ:
            raise SimgptError(
                f"{self.result}: the result of another run (it differs in {', '.join(differ)}); "
                "delete it, or give the study another name"
            )
        return result

    def steps_done(self) -> int:
        """Steps that an unfinished training would go on after."""
        whole = filter(is_sealed, checkpoints(self.folder / TRAINER))
        return max(map(step_of, whole), default=0)

    def is_trained(self) -> bool:
        """Whether only scoring is left."""
        return not self.cell.row.is_trained or (self.folder / COMPLETE).is_file()

    def waits_for(self) -> list[str]:
        """Runs that an average is made of, and that are not there."""
        return [part.name for part in self.parts if not (part.folder / COMPLETE).is_file()]

    def triplets(self) -> int:
        """Triplets that an epoch trains on."""
        if not self.cell.row.is_trained:
            return 0
        count = _different(triplets_path(self.config), self.config.hard_negatives)
        return min(count, self.config.max_triplets or count)


def jobs(study: Study, cells: Sequence[Cell], *, output: Path, runs: Path) -> list[Job]:
    """The cells with their places; derived data is written where it is not there yet.

    Args:
        study: The grid.
        cells: Some or all of its cells.
        output: Gets a folder of results named after the study.
        runs: Gets a folder of run folders named after the study, and `data`.

    Raises:
        SimgptError: a data file is there and unsound.
    """
    prepared: dict[str, str | MissingData] = {}
    rows = {row.name: row for row in study.rows}

    def job(cell: Cell) -> Job:
        source = rows.get(cell.row.average_of)
        parts = [job(Cell(source, seed)) for seed in study.seeds] if source else []
        data = cell.row.data
        if data.name not in prepared:
            try:
                prepared[data.name] = prepare(data, runs / "data")
            except MissingData as error:
                prepared[data.name] = error
        triplets = prepared[data.name]
        missing = str(triplets) if isinstance(triplets, MissingData) else ""
        return Job(
            cell=cell,
            config=study.config(cell, triplets=data.name if missing else str(triplets)),
            folder=runs / study.name / cell.name,
            result=output / study.name / f"{cell.name}.json",
            missing=missing,
            parts=parts,
        )

    return [job(cell) for cell in cells]


def _differences(job: Job, model: dict[str, Any]) -> list[str]:
    """In what a result's model is not this cell's."""
    if job.cell.row.untouched:
        return _of_other_weights(job, model)
    if not job.parts:
        return _changed(job, model)
    held = model.get("averaged", [])
    if len(held) != len(job.parts):
        return ["the number of runs that it averages"]
    pairs = zip(job.parts, held, strict=True)
    return [f"{part.cell.name}: {name}" for part, run in pairs for name in _changed(part, run)]


def _of_other_weights(job: Job, model: dict[str, Any]) -> list[str]:
    """Where an untouched row's result names another model."""
    backbone = job.config.backbone
    wanted = {"name": (backbone, Path(backbone).name), "pooling": (str(job.config.pooling),)}
    return [key for key, values in wanted.items() if model.get(key) not in values]


def _changed(job: Job, model: dict[str, Any]) -> list[str]:
    """Settings in which a result is not this cell's; of a local file or folder it has the name.

    A setting that a result's version did not have yet is taken to be the default.
    """
    held = RunConfig().to_dict() | model.get("config", {"config": None})
    wanted = job.config.to_dict()
    if job.missing:  # nobody knows which file it would have been
        wanted["triplets"] = held["triplets"]
    local = ("backbone", "triplets", "benchmarks")
    differ = [
        name
        for name, value in wanted.items()
        if held[name] != value and not (name in local and held[name] == Path(value).name)
    ]
    trained_on = model.get("training", {}).get("triplets", {}).get("sha256")
    if not job.missing and trained_on != _sha256(triplets_path(job.config)):
        differ.append("the triplets' content")
    return differ


def _sha256(path: Path) -> str:
    return _sha256_at(path, path.stat().st_mtime_ns)


@cache  # every cell of a row asks, and again after each that is finished
def _sha256_at(path: Path, changed_ns: int) -> str:
    return sha256_of(path)


@cache
def _different(path: Path, hard_negatives: bool) -> int:
    cfg = RunConfig(triplets=str(path), hard_negatives=hard_negatives)
    return sum(1 for _ in training_triplets(cfg))
