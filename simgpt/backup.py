"""A copy of a folder elsewhere that follows it: what a lost machine leaves of the work."""

import logging
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, staged
from simgpt.train.checkpoints import is_sealed
from simgpt.train.folder import DATA, LOCK

logger = logging.getLogger(__name__)

# Made again in a moment, or not to be copied while it is open: databases.
_LEFT_OUT = re.compile(rf"{re.escape(LOCK)}|{re.escape(DATA)}|\..*|.*\.sqlite(-\w+)?")


def keep_copy(source: Path, target: Path, *, every_s: float = 30.0) -> threading.Event:
    """Fetch what `target` has and `source` lacks; from then on copy what changes in `source`.

    A thread looks every few seconds until the process ends, or the event that is returned is set.
    """
    copy_missing(target, source)
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(every_s):
            try:
                mirror(source, target)
            except (SimgptError, OSError) as error:  # a full or lost drive stops no training
                logger.warning("not copied to %s: %s", target, error)

    threading.Thread(target=follow, name="backup", daemon=True).start()
    return stop


def mirror(source: Path, target: Path) -> None:
    """Bring `target` in step with `source`: whole files and whole checkpoints only.

    A checkpoint's seal is copied last, and the one before goes after that, so that a cut leaves one
    to resume from.

    Raises:
        SimgptError: `target` is full or cannot be written.
    """
    wanted = list(_files(source))
    for name in sorted(wanted, key=lambda name: name.name == COMPLETE):
        _copy(source / name, target / name)
    for path in [path for path in target.rglob("*") if path.is_file()]:
        name = path.relative_to(target)
        # A run that is only in the copy is from another session; it stays.
        if name not in wanted and (source / name.parts[0]).exists():
            path.unlink()
    for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def copy_missing(source: Path, target: Path) -> None:
    """Copy the entries of `source` that `target` does not have at all."""
    for entry in sorted(source.iterdir()) if source.is_dir() else []:
        if not (target / entry.name).exists():
            for name in [entry.name] if entry.is_file() else _files_below(source, entry):
                _copy(source / name, target / name)


def _files_below(root: Path, folder: Path) -> list[Path]:
    return [path.relative_to(root) for path in sorted(folder.rglob("*")) if path.is_file()]


def _files(source: Path) -> Iterator[Path]:
    for name in _files_below(source, source):
        if any(_LEFT_OUT.fullmatch(part) for part in name.parts):
            continue
        folder = next((p for p in name.parents if re.fullmatch(r"checkpoint-\d+", p.name)), None)
        if folder is None or is_sealed(source / folder):
            yield name


def _copy(source: Path, target: Path) -> None:
    """Copy a file that is newer or of another size; one that is gone meanwhile is passed over."""
    try:
        found = source.stat()
        held = target.stat() if target.is_file() else None
        if held and held.st_size == found.st_size and held.st_mtime >= found.st_mtime:
            return
        with staged(target) as temporary:
            shutil.copyfile(source, temporary)
    except FileNotFoundError:
        return
    except SimgptError:
        if source.exists():
            raise
