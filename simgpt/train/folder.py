"""The run folder: whose it is, whether it is finished, and what changed on the way."""

import json
import logging
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simgpt.config import RunConfig
from simgpt.environment import git_state
from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, read_json, read_jsonl, write_json, write_text
from simgpt.train.checkpoints import checkpoints, is_sealed, newest_checkpoint, step_of

logger = logging.getLogger(__name__)

CONFIG, ENVIRONMENT, LOG, TRAINER = "config.json", "environment.json", "train_log.jsonl", "trainer"
LOCK, DATA = ".lock", "triplets.arrow"
# What `simgpt.files.staged` leaves behind in a kill.
_LEFTOVER = re.compile(r"\..+\.\d+\.tmp(\..+)?")
_HOW_TO_CHANGE = (
    "give another --output, or add --allow-config-change to go on with the new settings"
)


def is_finished(cfg: RunConfig, output: Path, *, allow_config_change: bool) -> bool:
    """Whether `output` holds this run, whole.

    Raises:
        SimgptError: it holds something else.
    """
    if not output.exists():
        return False
    if output.is_dir() and all(_is_left_by_a_kill(entry) for entry in output.iterdir()):
        return False
    held = read_json(output / CONFIG) if (output / CONFIG).is_file() else None
    # Model folders have a config.json, too.
    if not isinstance(held, dict) or not {"profile", "backbone", "triplets"} <= held.keys():
        raise SimgptError(f"{output}: not empty and no run folder; give another --output")
    finished = (output / COMPLETE).is_file()
    changed = _changed(held, cfg)
    if changed and finished:
        raise SimgptError(
            f"{output}: holds another run, finished (it differs in {', '.join(changed)}); give "
            "another --output"
        )
    if changed and not allow_config_change and has_checkpoint(output):
        raise SimgptError(
            f"{output}: holds another run, under way (it differs in {', '.join(changed)}); "
            f"{_HOW_TO_CHANGE}"
        )
    return finished


def open_run(
    cfg: RunConfig, output: Path, facts: dict[str, Any], *, allow_config_change: bool
) -> Path | None:
    """Make `output` ready for a sitting, the first or a later one, and note it down.

    Args:
        cfg: The run's config.
        output: The run folder.
        facts: What `environment.json` says of this sitting: versions, machine, data,
            `processes`.
        allow_config_change: Go on although settings or data differ; the change is recorded.

    Returns:
        The checkpoint to go on from; None starts at the beginning.

    Raises:
        SimgptError: the data is not what the run began with.
    """
    output.mkdir(parents=True, exist_ok=True)
    for entry in output.iterdir():
        if _LEFTOVER.fullmatch(entry.name):
            _remove(entry)
    checkpoint = newest_checkpoint(output / TRAINER)
    if checkpoint is None:
        for leftover in (TRAINER, "checkpoint"):
            shutil.rmtree(output / leftover, ignore_errors=True)
        (output / LOG).unlink(missing_ok=True)
        write_json(output / CONFIG, cfg.to_dict())
        write_json(output / ENVIRONMENT, facts | {"resumed": [], "config_changes": []})
        return None
    environment = read_json(output / ENVIRONMENT)
    step = step_of(checkpoint)
    _note_changes(cfg, output, environment, facts, step, allowed=allow_config_change)
    before, now = environment["processes"], facts["processes"]
    if environment["resumed"]:
        before = environment["resumed"][-1]["processes"]
    if before != now:
        logger.warning(
            "this run was on %d process%s and goes on on %d: full batches and their gradients stay "
            "the same, dropout draws other masks",
            before,
            "" if before == 1 else "es",
            now,
        )
    environment["resumed"].append(
        {
            "step": step,
            "processes": now,
            "git": git_state(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    write_json(output / ENVIRONMENT, environment)
    _cut_log(output / LOG, step)
    logger.info("%s: going on after step %d", output, step)
    return checkpoint


def remove_working_files(output: Path) -> None:
    """Leave the results of a finished run only; a kill may have come before."""
    for name in (TRAINER, DATA):
        _remove(output / name)


def logged_seconds(output: Path) -> float:
    """Training time of the sittings so far, as far as the log tells."""
    if not (output / LOG).is_file():
        return 0.0
    return max((row["seconds"] for _, row in read_jsonl(output / LOG)), default=0.0)


def _note_changes(
    cfg: RunConfig,
    output: Path,
    environment: dict[str, Any],
    facts: dict[str, Any],
    step: int,
    *,
    allowed: bool,
) -> None:
    held = read_json(output / CONFIG)
    changes = {name: [held.get(name), getattr(cfg, name)] for name in _changed(held, cfg)}
    for kind in ("triplets", "development"):
        if environment[kind] != facts[kind]:
            changes[f"{kind} data"] = [environment[kind], facts[kind]]
    if not changes:
        return
    if not allowed:
        raise SimgptError(
            f"{output}: the {' and the '.join(changes)} changed since this run began; "
            f"{_HOW_TO_CHANGE}"
        )
    environment["config_changes"].append({"step": step, "changes": changes})
    environment.update({kind: facts[kind] for kind in ("triplets", "development")})
    write_json(output / ENVIRONMENT, environment)
    write_json(output / CONFIG, cfg.to_dict())


def _is_left_by_a_kill(entry: Path) -> bool:
    """Whether a folder of nothing else is that of a run killed before it wrote its config."""
    return entry.name == LOCK or (
        entry.name.startswith(f".{Path(CONFIG).stem}.")
        and _LEFTOVER.fullmatch(entry.name) is not None
    )


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def has_checkpoint(output: Path) -> bool:
    """Whether anything was trained that a change of settings could spoil."""
    return any(is_sealed(path) for path in checkpoints(output / TRAINER))


def _changed(held: dict[str, Any], cfg: RunConfig) -> list[str]:
    return sorted(name for name, value in cfg.to_dict().items() if held.get(name) != value)


def _cut_log(path: Path, step: int) -> None:
    """Drop what was logged after `step`, and a last line that a kill tore: it is done again."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if row["step"] <= step:
            kept.append(line)
    write_text(path, "".join(f"{line}\n" for line in kept))
