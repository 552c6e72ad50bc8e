"""Weights in 8 bits: a file that a browser maps into memory as it is, and back again."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simgpt.errors import SimgptError
from simgpt.files import staged

Floats = NDArray[np.float32]

_LARGEST = 127
# One outlier makes the steps of all numbers that share its scale coarse. Groups of 64 change
# cosines about half as much as whole rows do, for 6 % more bytes.
_GROUP = 64
_ALIGNED = 4  # bytes: where an array of 32-bit floats may begin


def quantise(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Round to 255 steps, each group of 64 neighbours in a row to steps of its own.

    Args:
        matrix: Shape (outputs, inputs). Where 64 does not divide a row, groups are as large as
            the greatest common divisor of the two.

    Returns:
        `steps`, shape (groups, group), from -127 to 127, and `scales`, shape (groups,), so that
        `steps * scales[:, None]` is close to `matrix`, group by group. A group of zeros has the
        scale 0.
    """
    groups = matrix.reshape(-1, math.gcd(matrix.shape[1], _GROUP))
    scales = np.abs(groups).max(axis=1) / np.float32(_LARGEST)
    steps = np.zeros_like(groups)
    np.divide(groups, scales[:, None], out=steps, where=scales[:, None] > 0)
    return np.rint(steps).astype(np.int8), scales


def write_weights(path: Path, weights: Mapping[str, Floats]) -> dict[str, dict[str, Any]]:
    """Write matrices in 8 bits and vectors in 32, one after the other; return where each is.

    Returns:
        By name: `shape`, `offset` in bytes, and of a matrix `scales`, the offset of its scales,
        and `group`, how many neighbours share one; both None of a vector. Little-endian.
    """
    table: dict[str, dict[str, Any]] = {}
    with staged(path) as temporary, temporary.open("wb") as file:

        def put(array: NDArray[Any]) -> int:
            file.write(bytes(-file.tell() % _ALIGNED))
            at = file.tell()
            file.write(array.tobytes())
            return at

        for name, weight in weights.items():
            entry: dict[str, Any] = {"shape": list(weight.shape), "scales": None, "group": None}
            if weight.ndim == 2:
                steps, scales = quantise(weight)
                entry |= {"offset": put(steps), "scales": put(scales.astype("<f4"))}
                entry["group"] = steps.shape[1]
            else:
                entry["offset"] = put(weight.astype("<f4"))
            table[name] = entry
    return table


def read_weights(path: Path, table: Mapping[str, dict[str, Any]]) -> dict[str, Floats]:
    """Read what `write_weights` wrote, as 32-bit floats.

    Raises:
        SimgptError: the file is too short for its table.
    """
    content = path.read_bytes()

    def take(kind: str, count: int, offset: int) -> NDArray[Any]:
        try:
            return np.frombuffer(content, kind, count, offset)
        except ValueError as error:
            raise SimgptError(f"{path}: cut short; build the book again") from error

    weights: dict[str, Floats] = {}
    for name, entry in table.items():
        shape, offset = entry["shape"], entry["offset"]
        count = int(np.prod(shape))
        if entry["scales"] is None:
            weights[name] = take("<f4", count, offset).reshape(shape)
        else:
            steps = take("i1", count, offset).reshape(-1, entry["group"]).astype(np.float32)
            scales = take("<f4", len(steps), entry["scales"])
            weights[name] = (steps * scales[:, None]).reshape(shape)
    return weights
