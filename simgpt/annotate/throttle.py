"""How many calls run at once: as many as the server can take."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

from simgpt.annotate.attempts import Outcome
from simgpt.annotate.teachers import CallError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_CUT = 0.7
# Signs that the server has too much to do. A plain 500 or a broken connection is not one.
_OVERLOAD = (Outcome.RATE_LIMITED, Outcome.TIMED_OUT)


class Throttle:
    """Lets calls in: fewer after each sign of overload, slowly more again while all goes well.

    Additive increase, multiplicative decrease, as in TCP. What a server asks for in Retry-After
    holds for every call.
    """

    def __init__(self, most: int, stopped: Callable[[], bool] = lambda: False) -> None:
        """At most `most` calls at once; a wait ends early when `stopped` says so."""
        self.most = most
        self._stopped = stopped
        self.limit = float(most)
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0
        self._last_cut = 0.0

    async def enter(self) -> float:
        """Wait for a place; return the time, which `leave` wants back."""
        while self._active >= max(1, int(self.limit)):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        self._active += 1
        while (wait := self._closed_until - time.monotonic()) > 0 and not self._stopped():
            await asyncio.sleep(min(wait, 0.5))
        return time.monotonic()

    def leave(self, entered: float, error: CallError | None = None) -> None:
        """Give the place back and learn from how the call went."""
        self._active -= 1
        now = time.monotonic()
        if error is None:
            self.limit = min(self.most, self.limit + 1 / self.limit)
        else:
            if error.retry_after_s is not None:
                self._closed_until = max(self._closed_until, now + error.retry_after_s)
            # Of the calls that ran together, only the first to fail counts.
            if error.outcome in _OVERLOAD and entered > self._last_cut:
                self.limit = max(1.0, self.limit * _CUT)
                self._last_cut = now
        free = max(1, int(self.limit)) - self._active
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():  # who waited for it may have been cancelled
                place.set_result(None)
                free -= 1


def wait_before(attempt: int) -> float:
    """Seconds to wait before the attempt of this number: doubling, with some chance in it."""
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (attempt - 1))
    return longest * (1 - 0.25 * random.random())  # noqa: S311
