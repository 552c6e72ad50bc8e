"""Checkpoints as the SimCSE and PromCSE training code saves them."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from simgpt.errors import SimgptError

_HEAD = ("mlp.dense.weight", "mlp.dense.bias")
_PREFIX = "prefix_encoder.embedding.weight"
_PROJECTION = "prefix_encoder.trans."


@dataclass(frozen=True)
class Reference:
    """What such a checkpoint holds besides the encoder, which has a plain checkpoint's names.

    Attributes:
        head: Weight (hidden, hidden) and bias (hidden,) of the `cls` head; None without one, as
            after training with `cls_before_pooler`.
        prefix: PromCSE's table, laid out as in `PrefixTransformer`; None for SimCSE.
    """

    head: tuple[Tensor, Tensor] | None
    prefix: Tensor | None


def read_reference(folder: Path) -> Reference | None:
    """Read the head and the prefix of a training checkpoint; None for any other folder.

    It is told by the names of its weights: `mlp.dense.*`, or `prefix_encoder.*`, which no
    published encoder has. Loaded as a plain encoder, both would be dropped without an error and
    the scores fall by tens of points.

    Raises:
        SimgptError: the prefix goes through PromCSE's optional projection, or half of the head is
            missing.
    """
    names, read = _open(folder)
    if any(name.startswith(_PROJECTION) for name in names):
        raise SimgptError(
            f"{folder}: its prefix goes through a projection ({_PROJECTION}*), which is not "
            "supported; only prefixes trained without one are"
        )
    if not names & {*_HEAD, _PREFIX}:
        return None
    head = None
    if names & {*_HEAD}:
        if missing := sorted({*_HEAD} - names):
            raise SimgptError(f"{folder}: holds half a head; {missing[0]} is missing")
        head = (read(_HEAD[0]), read(_HEAD[1]))
    return Reference(head=head, prefix=read(_PREFIX) if _PREFIX in names else None)


def _open(folder: Path) -> tuple[set[str], Callable[[str], Tensor]]:
    """Names of the weights in a folder, and a function that reads one of them."""
    safe, binary = folder / "model.safetensors", folder / "pytorch_model.bin"
    if safe.is_file():

        def read(name: str) -> Tensor:
            with safe_open(safe, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
                return tensor

        with safe_open(safe, framework="pt") as file:
            return set(file.keys()), read
    if binary.is_file():
        # Files of torch before 1.6 are no archives and cannot be mapped into memory.
        weights: dict[str, Tensor] = torch.load(
            binary, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(binary)
        )
        return set(weights), weights.__getitem__
    return set(), dict[str, Tensor]().__getitem__
