"""Whether committed results are older than what they depend on: settings, data, or the package.

A result says with which commit it was made, with which settings, and on which data. Where any of
these is another now, its numbers are those of their time: the pages that show them say so, and
`simgpt report stale` fails.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from simgpt.code_changes import changed_definitions, has_changed
from simgpt.config import ConfigError, RunConfig, profile_names
from simgpt.errors import SimgptError
from simgpt.files import read_json, read_text, sha256_of
from simgpt.report.checks import Kind, git_states, kind_of
from simgpt.report.rerun import deciding_settings
from simgpt.report.results import Measured
from simgpt.report.store import json_files
from simgpt.study.data import BUNDLED_FILES
from simgpt.study.grid import Cell, load_study, study_names
from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS
from simgpt.version import __version__

# Changes of the package that were looked at and found to leave the results as they are, and
# results, files or folders of them, that are kept as they were.
HARMLESS = "harmless.toml"

# What a kind of number is made by. Tables, figures and progress bars decide nothing.
_ENCODER = tuple(f"simgpt/encoder/{n}.py" for n in ("loading", "pooling", "prefix", "reference"))
_TRAINING = (
    *_ENCODER,
    *(
        f"simgpt/train/{name}.py"
        for name in (
            "averaging",
            "data",
            "embedding",
            "mlm",
            "model",
            "objectives",
            "run",
            "selection",
            "trainer",
        )
    ),
    "simgpt/triplets.py",
)
_SCORING = (
    *_ENCODER,
    *(
        f"simgpt/evaluate/{name}.py"
        for name in ("encoding", "scorers", "scores", "senteval", "tasks", "textform")
    ),
)
_AUDIT = ("simgpt/evaluate/contamination.py", "simgpt/evaluate/overlap.py")
_ASKING = tuple(
    f"simgpt/annotate/{name}.py"
    for name in ("asking", "attempts", "export", "ledger", "openai_teacher", "parsing", "run")
)
_OTHERS = {
    "annotation": ("simgpt/annotate/audit.py", "simgpt/annotate/parsing.py"),
    "comparison": (*_SCORING, "simgpt/evaluate/comparison.py", "simgpt/evaluate/uncertainty.py"),
    "contamination": _AUDIT,
    "speed": ("simgpt/speed.py", "simgpt/llm_speed.py", *_SCORING),
    "annotate_scale": _ASKING,
    "contamination_scale": _AUDIT,
    "evaluate_throughput": _SCORING,
    "ledger_rows": ("simgpt/annotate/ledger.py",),
    "train_estimate": ("simgpt/train/estimate.py", "simgpt/train/devices.py"),
    "train_memory": _TRAINING,
    "train_throughput": _TRAINING,
}


class Aspect(StrEnum):
    """What a result depends on."""

    SETTINGS = "settings"
    DATA = "data"
    PACKAGE = "package"


@dataclass
class Freshness:
    """What has changed since a result was measured.

    Attributes:
        path: The result.
        commits: With which it was made, in their first digits.
        changes: By aspect, what is another now; empty for a result that is not stale.
        digests: The package's changes as `harmless.toml` has them: definition and digest.
        harmless: Changes of the package that were judged to leave it as it is, and why.
        untold: What could not be compared here, and why.
        kept: Why it is not measured again although it is stale; empty where it should be.
    """

    path: Path
    commits: list[str]
    changes: dict[Aspect, list[str]] = field(default_factory=dict)
    digests: set[tuple[str, str]] = field(default_factory=set)
    harmless: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    kept: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether anything has changed that was not judged harmless."""
        return bool(self.changes)

    def note(self, aspect: Aspect, what: Sequence[str]) -> None:
        """Add changes, if there are any, each once."""
        for change in what:
            held = self.changes.setdefault(aspect, [])
            if change not in held:
                held.append(change)


def check_freshness(results: Path) -> list[Freshness]:
    """Look at every result below `results` that says with what it was made, by path.

    Raises:
        SimgptError: a file is no JSON, or `harmless.toml` is not in its form.
    """
    judged, kept = _read_harmless(results / HARMLESS)
    contents = ((path, read_json(path)) for path in json_files([results]))
    found = [_check(path, content, judged) for path, content in contents if _says_how(content)]
    for one in found:
        places = (one.path, *one.path.parents) if one.is_stale else ()
        one.kept = next((why for name, why in kept.items() if results / name in places), "")
    return found


def _says_how(content: Any) -> bool:
    return any(git_states(content)) or isinstance(_environment(content).get("simgpt"), str)


def _environment(content: Any) -> dict[str, Any]:
    found = content.get("environment") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _check(path: Path, content: dict[str, Any], judged: dict[tuple[str, str], str]) -> Freshness:
    commits = list(dict.fromkeys(str(state.get("commit", "")) for state in git_states(content)))
    found = Freshness(path, [commit[:9] for commit in commits if commit])
    kind = kind_of(content)
    if kind is Kind.RESULT:
        _check_settings(found, Measured(path, content))
        model = content["model"]
        for run in [model] if model.get("config") else model.get("averaged", []):
            _check_data(found, run)
            _check_package(found, run["training"]["git"].get("commit"), _TRAINING, judged)
        commits, files = [_environment(content).get("git", {}).get("commit")], _SCORING
    else:
        files = _OTHERS.get(path.stem) or _OTHERS.get(path.parent.name) or ()
        if not files:
            found.untold.append("nobody has said which code makes such a result")
        for commit in filter(None, commits):
            _check_bundled(found, commit)
    for commit in commits:
        _check_package(found, commit, files, judged)
    if not found.commits and (version := _environment(content).get("simgpt")) != __version__:
        found.note(Aspect.PACKAGE, [f"measured with version {version}"])
    return found


def _check_settings(found: Freshness, result: Measured) -> None:
    """Hold a result's settings against the grid or the profile that its name refers to."""
    try:
        wanted = _wanted(result.path)
    except ConfigError as error:
        found.note(Aspect.SETTINGS, [str(error)])
        return
    if wanted is None or result.config is None:
        return
    today = wanted.to_dict()
    held = deciding_settings(result)
    found.note(
        Aspect.SETTINGS,
        [
            f"`{name}` was {value}, is {today[name]}"
            for name, value in held.items()
            if value != (Path(today[name]).name if name == "backbone" else today[name])
        ],
    )


def _wanted(path: Path) -> RunConfig | None:
    """Settings that a result of this name has today; None where its name promises nothing."""
    named = re.fullmatch(r"(?P<row>.+?)(?:-seed(?P<seed>\d+))?", path.stem)
    row, seed = (named["row"], named["seed"]) if named else (path.stem, None)
    if path.parent.name in study_names():
        study = load_study(path.parent.name)
        for one in study.rows:
            if one.name == row:
                return study.config(Cell(one, int(seed) if seed else None))
    if row in profile_names() and seed:
        return RunConfig.from_params({"profile": row, "seed": seed})
    if path.parent.name in study_names():
        raise ConfigError(f"the study {path.parent.name} has no row {row} any more")
    return None


def _check_data(found: Freshness, run: dict[str, Any]) -> None:
    """Hold a run's data against what is bundled, where it was trained on that."""
    training, development = run["training"], run["training"]["development"]
    now = _bundled()
    if run["config"]["triplets"] == "bundled":
        if training["triplets"]["sha256"] != now[BUNDLED_TRIPLETS]:
            found.note(Aspect.DATA, ["the bundled triplets"])
    elif commit := training["git"].get("commit"):
        _check_bundled(found, commit, _made_of(found.path))
    if development["task"] == "bundled_dev" and development["sha256"] != now[BUNDLED_DEV_PAIRS]:
        found.note(Aspect.DATA, ["the bundled development pairs"])


def _made_of(path: Path) -> list[Path]:
    """The bundled files that a study makes a result's triplets of."""
    if path.parent.name not in study_names():
        return []
    row = re.sub(r"-seed\d+$", "", path.stem)
    rows = load_study(path.parent.name).rows
    return [
        BUNDLED_FILES[source]
        for one in rows
        if one.name == row
        for source in one.data.sources
        if source in BUNDLED_FILES
    ]


def _check_bundled(
    found: Freshness, commit: str, files: Sequence[Path] = (BUNDLED_TRIPLETS,)
) -> None:
    if any(has_changed(commit, path) for path in files):
        found.note(Aspect.DATA, ["the bundled triplets"])


@cache
def _bundled() -> dict[Path, str]:
    return {path: sha256_of(path) for path in (BUNDLED_TRIPLETS, BUNDLED_DEV_PAIRS)}


def _check_package(
    found: Freshness,
    commit: str | None,
    files: Sequence[str],
    judged: dict[tuple[str, str], str],
) -> None:
    changed = changed_definitions(commit, files) if commit else None
    if changed is None:
        told = f"commit {commit[:9]} is not in this checkout" if commit else "no commit is recorded"
        if told not in found.untold:
            found.untold.append(told)
        return
    for definition, digest in changed.items():
        because = judged.get((definition, digest))
        if because is None:
            found.note(Aspect.PACKAGE, [f"`{definition}`"])
            found.digests.add((definition, digest))
        elif (told := f"`{definition}`: {because}") not in found.harmless:
            found.harmless.append(told)


def _read_harmless(path: Path) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Why: by definition and digest of a harmless change, and by file or folder kept as it was."""
    if not path.is_file():
        return {}, {}
    try:
        judged = tomllib.loads(read_text(path))
        changes, kept = judged.get("change", []), judged.get("kept", [])
        return (
            {(one["definition"], one["digest"]): _reason(one) for one in changes},
            {one["results"]: _reason(one) for one in kept},
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SimgptError(
            f"{path}: every [[change]] has the texts definition, digest and because, every "
            f"[[kept]] results and because ({error})"
        ) from error


def _reason(change: dict[str, Any]) -> str:
    reason = change["because"]
    if not isinstance(reason, str) or not reason.strip():
        raise TypeError("because is empty")
    return reason
