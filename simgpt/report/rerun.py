"""A stored result and somebody's rerun of it: which belong together, and the command for one."""

import math
import shlex
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from simgpt.config import Pooling, RunConfig, load_profile, profile_names
from simgpt.report.results import Measured, suite_of

# Spearman x 100. The same weights give the same second decimal wherever they are scored.
SAME = 0.01
# Training on another processor or with another version of a library rounds otherwise and ends in
# other weights. How far that moves a task's score is not known well; this bound is a convention,
# about half of what another seed does at most (in the headline's runs).
NEAR = 0.30

# They decide nothing about the trained weights.
_WITHOUT_EFFECT = ("benchmarks", "teacher")
_DEFAULTS = {field.name: field.default for field in fields(RunConfig)}


class Verdict(StrEnum):
    """What came of a check."""

    OK = "OK"
    NEAR = "near"  # a rerun that differs by no more than other rounding does
    FAIL = "FAIL"
    UNCHECKED = "not checked"


def verdict_of(apart: float) -> Verdict:
    """On a rerun, one of whose scores differs by `apart`, x 100, and the others by no more."""
    if apart <= SAME:
        return Verdict.OK
    return Verdict.NEAR if apart <= NEAR else Verdict.FAIL


def is_rerun(stored: Measured, other: Measured) -> bool:
    """Whether `other` is of the same model as `stored`, scored in the same way.

    For a trained one: the same settings and the same triplets. A setting that did not exist when
    `stored` was measured counts as its default, which is how it was done then; paths do not count.
    Others go by the hash of their weights, or by name where a hub model has none.
    """
    if _scored_by(stored) != _scored_by(other):
        return False
    if stored.config is None or other.config is None:
        return stored.config is other.config and stored.identity == other.identity
    one, two = (run.content["model"]["training"]["triplets"]["sha256"] for run in (stored, other))
    return one == two and deciding_settings(stored) == deciding_settings(other)


def difference(stored: Measured, other: Measured) -> tuple[float, str]:
    """The largest difference of a task's score, x 100, and the task; development sets if no more.

    A task that the rerun lacks differs without limit.
    """
    group = "tasks" if stored.content["tasks"] else "development"
    scores, others = stored.content[group], other.content[group]
    return max(
        (
            # The fourth decimal is beyond what is compared; it keeps 0.01 from being 0.0100001.
            round(100 * abs(score["spearman"] - others[name]["spearman"]), 4)
            if name in others
            else float("inf"),
            name,
        )
        for name, score in scores.items()
    )


def command_of(stored: Measured, folder: Path) -> str:
    """What to type to measure `stored` again, into `folder`."""
    pooling, suite, aggregation = _scored_by(stored)
    options = [] if pooling == Pooling.AUTO else ["--pooling", pooling]
    options += [] if aggregation == "all" else ["--aggregation", aggregation]
    options += ["--output", str(folder / f"{stored.name}.json")]
    if stored.config is None:
        return shlex.join(["simgpt", "evaluate", stored.content["model"]["name"], *options])
    run = f"runs/{stored.name}"
    training = ["simgpt", "train", "--profile", stored.config["profile"]]
    for name, value in settings_beside_profile(stored).items():
        told = str(value).lower() if isinstance(value, bool) else str(value)
        training += ["--set", f"{name}={told}"]
    training += ["--output", run]
    return f"{shlex.join(training)} && {shlex.join(['simgpt', 'evaluate', run, *options])}"


def settings_beside_profile(stored: Measured) -> dict[str, Any]:
    """The settings of a trained model that are not its profile's, seed and data among them."""
    profile = (stored.config or {})["profile"]
    known = load_profile(profile) if profile in profile_names() else {}
    untold = _DEFAULTS | {"profile": profile} | known
    return {
        name: value
        for name, value in _settings(stored).items()
        if value != untold[name] and name not in _WITHOUT_EFFECT
    }


def _scored_by(result: Measured) -> tuple[str, str, str]:
    content = result.content
    pooling = content["model"].get("pooling", Pooling.AUTO)
    return pooling, suite_of(content), content.get("aggregation", "all")


def _settings(result: Measured) -> dict[str, Any]:
    """All settings of today, as they would have to be said today to repeat `result`."""
    config, training = result.config or {}, result.content["model"]["training"]
    settings = _DEFAULTS | {name: value for name, value in config.items() if name in _DEFAULTS}
    # The first configs said how often an epoch is stopped, and `mean` for the encoder's own.
    if "evals_per_epoch" in config:
        steps = math.ceil(training["triplets"]["count"] / config["batch_size"])
        settings["eval_steps"] = math.ceil(steps / config["evals_per_epoch"])
    if settings["backbone"] == "bundled" and settings["pooling"] == Pooling.MEAN:
        settings["pooling"] = Pooling.AUTO
    return settings


def deciding_settings(result: Measured) -> dict[str, Any]:
    """Settings that decide the weights; of triplets the hash is compared."""
    settings = _settings(result)
    for name in ("profile", "triplets", *_WITHOUT_EFFECT):
        del settings[name]
    return settings | {"backbone": Path(settings["backbone"]).name}
