"""Grids on tiny models: two rows of six steps each, scored on the development pairs."""

import json
import os
import signal
from functools import partial

from tests.train.support import POINTS, kill_at, settings

GRID = {
    "question": "Does it run?",
    "profile": "smoke",
    "seeds": [1, 2],
    "reference": "both",
    "settings": {},
    "rows": [
        {"name": "plain", "label": "as it is", "untouched": True},
        {"name": "cold", "label": "a cold loss", "set": {"temperature": 0.02}},
        {"name": "both", "label": "all of it"},
    ],
}


def write_grid(folder, backbone, *, name="toy", **changes):
    """A grid's file. Its runs are those of the training's tests."""
    given = settings(folder, backbone=backbone, pooling="mean")
    triplets = given.pop("triplets")
    grid = GRID | changes
    if "rows" not in changes:
        rows = [row if "untouched" in row else row | {"data": "few"} for row in grid["rows"]]
        grid |= {"rows": rows, "data": {"few": {"from": triplets}}}
    grid["settings"] = {"benchmarks": "bundled"} | given | grid["settings"]
    path = folder / f"{name}.toml"
    path.write_text(toml(grid))
    return path


def toml(grid):
    """TOML's inline tables are near enough to JSON that one regular form serves."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in grid.items())


def _value(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def inside(folder, point=None, *, count=1, resamples=50):
    """A `prepare`: work in `folder`, resample that often and die where it is told to.

    That is at a point of the training, or when a file with this ending is in place.
    """
    kill = kill_at(point, count=count) if point in POINTS else partial(_kill_after, point)
    return partial(_inside, str(folder), kill if point else None, resamples)


def _kill_after(ending):
    replace = os.replace

    def replaced(source, target, **more):
        replace(source, target, **more)
        if str(target).endswith(ending):
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replaced


def _inside(folder, kill, resamples):
    os.chdir(folder)
    resample(resamples)
    if kill:
        kill()


def resample(times):
    """Make intervals from so many resamples: few are fast, a great many take until a signal."""
    from simgpt.evaluate import uncertainty

    uncertainty.bootstrap_spearman.__kwdefaults__["resamples"] = times


def results(folder, study="toy"):
    """By cell: the hashes of weights and cosines, which say all of a model and of its scores."""
    found = {}
    for path in sorted((folder / study).glob("*.json")):
        result = json.loads(path.read_text())
        found[path.stem] = (result["model"]["weights_sha256"], result["cosines_sha256"])
    return found
