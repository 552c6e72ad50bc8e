"""Checkpoints that a kill cannot spoil: a seal, written last, says that a folder is whole."""

import json
import logging
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, read_json, write_text

logger = logging.getLogger(__name__)

_PREFIX = "checkpoint-"
WEIGHTS = "model.safetensors"
STATE = "trainer_state.json"  # the library's


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write the trained parameters; frozen ones come back with the backbone."""
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / WEIGHTS)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Read what `save_weights` wrote into `model`.

    Raises:
        SimgptError: the weights do not fit the model.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    stored = load_file(folder / WEIGHTS)
    if {n: p.shape for n, p in trained.items()} != {n: p.shape for n, p in stored.items()}:
        raise SimgptError(
            f"{folder}: these weights do not fit the model of this config; give another --output"
        )
    for name, parameter in trained.items():
        parameter.data.copy_(stored[name])


def seal(folder: Path) -> None:
    """Call `folder` whole: flush its files to the disk, then write down their sizes."""
    files = [file for file in folder.iterdir() if file.is_file()]
    for file in files:
        with file.open("rb") as written:
            os.fsync(written.fileno())
    write_text(folder / COMPLETE, json.dumps({file.name: file.stat().st_size for file in files}))


def is_sealed(folder: Path) -> bool:
    """Was `folder` sealed, and does it hold what it held then?"""
    try:
        seal = read_json(folder / COMPLETE)
    except SimgptError:
        return False
    if not isinstance(seal, dict):
        return False
    sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
    return all(sizes.get(name) == size for name, size in seal.items())


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, whole or torn, in no order."""
    return [p for p in folder.glob(f"{_PREFIX}*") if p.name.removeprefix(_PREFIX).isdigit()]


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to go on from; torn ones are set aside under another name.

    So is one that was written after the best weights so far, where those are torn: its run would
    have nothing to end with.
    """
    for path in sorted(checkpoints(folder), key=step_of, reverse=True):
        aside = path.with_name(f"torn-{path.name}")
        if not is_sealed(path):
            told = f"{path} was torn while it was written; it is set aside as {aside.name}"
        elif (best := _best_step(path)) and not is_sealed(checkpoint_path(folder, best)):
            told = (
                f"{path} is set aside as {aside.name}: the best weights, of step {best}, are torn"
            )
        else:
            return path
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        logger.warning(told)
    return None


def _best_step(checkpoint: Path) -> int | None:
    """The step of the best development score so far, if there was one."""
    step: int | None = read_json(checkpoint / STATE).get("best_global_step")
    return step


def prune(folder: Path, keep: Collection[int]) -> None:
    """Remove the checkpoints of all other steps."""
    for path in checkpoints(folder):
        if step_of(path) not in keep:
            shutil.rmtree(path)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the trainer puts the checkpoint of a step."""
    return folder / f"{_PREFIX}{step}"


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix(_PREFIX))
