"""Progress with the time left: a bar on a terminal, a line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)

_EVERY_S = 30.0


class Advance(Protocol):
    """Called with how many more are done."""

    def __call__(self, count: int = 1) -> None:
        """Note that `count` more are done."""
        ...


@contextmanager
def progress(label: str, total: int | None, *, show: bool = True) -> Iterator[Advance]:
    """Show how far something is; yields what to call after each step.

    Without a `total` it shows how much is done, but no time left; without `show`, nothing.
    """
    if not show:
        yield _silent
        return
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, TimeRemainingColumn(elapsed_when_finished=True), console=Console(stderr=True)
        ) as bar:
            task = bar.add_task(label, total=total)

            def advance(count: int = 1) -> None:
                bar.advance(task, count)

            yield advance
        return
    began = last = time.monotonic()
    done = 0

    def note(count: int = 1) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            if total is None:
                logger.info("%s: %s so far", label, f"{done:,}")
            else:
                left = (now - began) / done * (total - done)
                logger.info("%s: %s of %s, %s left", label, f"{done:,}", f"{total:,}", span(left))

    yield note


def _silent(count: int = 1) -> None:
    """Say nothing."""


def span(seconds: float) -> str:
    """A length of time as people say it: 42 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
