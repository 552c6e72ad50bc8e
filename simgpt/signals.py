"""Ctrl-C and SIGTERM as a wish to stop at the next safe point."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """A wish to stop: what is under way is finished, nothing new is begun."""

    reason: str = ""
    signal: int = 0

    def __call__(self, reason: str) -> None:
        """Stop, for this reason; the first one counts."""
        self.reason = self.reason or reason.rstrip(". ")

    def __bool__(self) -> bool:
        return bool(self.reason)

    @property
    def exit_status(self) -> int:
        """The status to leave with, as a shell reports a signal."""
        return 128 + self.signal if self.signal else 1


@contextmanager
def stopping_on_signals(stop: Stop) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`; a second Ctrl-C interrupts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: Any) -> None:
        if stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop("interrupted")
        stop.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
