"""Ask a teacher many things at once, each noted in the ledger before and after."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from simgpt.annotate.attempts import UNKNOWN_COST, Ending, Outcome
from simgpt.annotate.cost import Budget, BudgetReached, Price
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.prompting import Prompt
from simgpt.annotate.requests import Answer, Api, Request, Setup
from simgpt.annotate.teachers import CallError, Probe, Teacher
from simgpt.annotate.throttle import Throttle, wait_before
from simgpt.progress import span
from simgpt.signals import Stop

ATTEMPTS = 8  # at one request in one run; the next run tries again
FIRST_ANSWERS = 40  # if none of so many can be used, more of them are not worth paying for
LONGEST_WAIT_S = 900.0  # a server that wants to be left alone for longer ends the run

Call = Callable[[Request], Awaitable[Answer]]
_Result = TypeVar("_Result")


@dataclass
class Asker:
    """Asks one teacher, many requests at a time.

    Attributes:
        teacher: Who answers.
        ledger: Where every attempt is noted.
        price: What an answer costs.
        budget: What may be spent.
        concurrency: Calls at once, at most.
        stop: Set to stop early.
        answered: Called after each new answer.
        usable: Can anything be made of an answer?
        given_up: Requests that found no answer although it was asked for many times.
    """

    teacher: Teacher
    ledger: Ledger
    price: Price
    budget: Budget
    concurrency: int = 16
    stop: Stop = field(default_factory=Stop)
    answered: Callable[[], None] = lambda: None
    usable: Callable[[Answer], bool] = lambda answer: True
    given_up: int = 0

    def __post_init__(self) -> None:
        self._throttle = Throttle(self.concurrency, lambda: bool(self.stop))
        self._failures_in_a_row = 0
        self._useless: int | None = 0  # answers of which nothing can be made; None: one was good

    async def ask_all(self, requests: Iterator[Request]) -> None:
        """Ask each request until it is answered, or there is a reason to stop."""

        async def work() -> None:
            for request in requests:  # shared by all workers
                if not self.stop:
                    await self.ask(request, self._ask_and_look)
                if self.stop:
                    return

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self.concurrency):
                    workers.create_task(work())
        except ExceptionGroup as group:
            # Workers fail together, of one cause: a full disk, say. One sentence will do.
            raise group.exceptions[0] from None

    async def probe(self, api: Api) -> None:
        """Find out what the server can do, once for each server and model; noted in the ledger."""
        teacher, ledger = self.teacher, self.ledger
        teacher.abilities.update(ledger.abilities(teacher.endpoint, teacher.model))
        for name, probe in teacher.probes.items() if api is Api.CHAT else ():
            if name in teacher.abilities or self.stop:
                continue
            asked = Prompt(
                f"probe.{name}", "A small request that shows what the server can do: {sentence}"
            )
            request = Setup(teacher.endpoint, teacher.model, asked).request([name])
            await self.ask(request, partial(self._note_ability, name, probe))

    async def _note_ability(self, name: str, probe: Probe, _: Request) -> Answer:
        answer, supported = await probe()
        self.teacher.abilities[name] = supported
        await self.ledger.note_ability(
            self.teacher.endpoint, self.teacher.model, name, supported, answer.text
        )
        return answer

    async def _ask_and_look(self, request: Request) -> Answer:
        """Ask, and stop if the first answers of a run are all useless."""
        answer = await self.teacher.ask(request)
        if self._useless is not None:
            self._useless = None if self.usable(answer) else self._useless + 1
            if self._useless == FIRST_ANSWERS:
                self.stop(
                    f"none of the first {FIRST_ANSWERS} answers can be used; one ends with "
                    f"{answer.finish!r} and says {answer.text[:200]!r}"
                )
        return answer

    async def ask(self, request: Request, call: Call) -> None:
        """Ask one request by `call`, again after failures that may pass."""
        most_usd = self.price.most_usd(request)
        for attempt in range(1, ATTEMPTS + 1):
            entered = await self._throttle.enter()
            error: CallError | None = None
            try:
                if self.stop or not await self._affordable(most_usd):
                    return
                error = await self._call(request, most_usd, call)
            finally:
                self._throttle.leave(entered, error)
            if error is None or not error.retry or self.stop:
                return
            if attempt < ATTEMPTS:
                await self.rest(max(wait_before(attempt), error.retry_after_s or 0.0))
        self.given_up += 1

    async def _call(self, request: Request, most_usd: float, call: Call) -> CallError | None:
        (attempt,) = await self.ledger.begin([request], [most_usd])
        usd: float | None = None
        try:
            answer = await call(request)
        except CallError as error:
            usd = None if error.outcome in UNKNOWN_COST and most_usd else 0.0
            await self.ledger.end([(attempt, Ending(error.outcome, usd=usd, detail=error.detail))])
            self._learn(error)
            return error
        else:
            usd = self.price.usd(answer)
            await self.ledger.end([(attempt, Ending(Outcome.ANSWERED, answer, usd))])
            self._failures_in_a_row = 0
            self.answered()
            return None
        finally:
            self.budget.settle(most_usd, usd)

    async def _affordable(self, most_usd: float) -> bool:
        if not self.ledger.has_room():
            self.stop(f"the disk that holds {self.ledger.path} is nearly full; free some space")
            return False
        try:
            await self.budget.hold(most_usd)
        except BudgetReached:
            self.stop(
                f"the budget of ${self.budget.limit_usd:,.2f} does not cover another call: "
                f"${self.budget.spent_usd:,.4f} is spent; raise --budget-usd"
            )
            return False
        return True

    def _learn(self, error: CallError) -> None:
        self._failures_in_a_row += 1
        if error.fatal:
            self.stop(f"{self.teacher.endpoint} refuses to answer: {error.detail}")
        elif (wait := error.retry_after_s or 0.0) > LONGEST_WAIT_S:
            self.stop(f"{self.teacher.endpoint} asks to be left alone for {span(wait)}")
        elif self._failures_in_a_row >= ATTEMPTS * self.concurrency:
            self.stop(
                f"{self.teacher.endpoint} has failed {self._failures_in_a_row} times in a row, "
                f"lastly: {error.outcome} ({error.detail})"
            )

    async def rest(self, seconds: float) -> None:
        """Sleep, but wake up for a stop."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.stop and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.5))


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine from ordinary code, also inside a notebook, whose loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main).result()
