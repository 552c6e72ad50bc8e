"""OpenAI's Batch API: half the price, an answer within a day, and no call lost between two steps.

A *shard* is one batch: a file of requests on disk and in the ledger, then uploaded, then created at
the server, then collected. Each step is noted before the next, so a run that is stopped anywhere
goes on from there:

    planned -> uploaded -> creating -> created -> collected

`creating` is noted before the one call that costs money. If it is found in the ledger without a
batch's id, the server is asked whether it has a batch with this shard's name before another is
created.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from simgpt.annotate.asking import ATTEMPTS, Asker
from simgpt.annotate.attempts import Ending, Outcome, ending_statement
from simgpt.annotate.cost import BudgetReached
from simgpt.annotate.openai_teacher import OpenAITeacher
from simgpt.annotate.requests import Request
from simgpt.annotate.shards import (
    NAME,
    NOT_BEGUN,
    PATHS,
    Shard,
    State,
    create_batch,
    fetch,
    find_batch,
    read_reply,
    retrieve,
    saving,
    send_file,
)
from simgpt.annotate.task import Open
from simgpt.annotate.teachers import CallError
from simgpt.annotate.throttle import wait_before
from simgpt.errors import SimgptError
from simgpt.files import staged

if TYPE_CHECKING:
    from openai import AsyncOpenAI

logger = logging.getLogger(__name__)

MAX_REQUESTS = 50_000  # the API's limits for one batch
MAX_BYTES = 200_000_000
FRUITLESS = 3  # rounds, or batches on their own, that come to nothing before we stop

_OVER = ("completed", "expired", "cancelled", "failed")
_QUEUE_FULL = "token_limit_exceeded"  # there is a limit to the tokens of all batches under way
_RENAMED = "max_completion_tokens"  # newer models take max_tokens under this name only
_GROUP = 1000  # answers written together

_Result = TypeVar("_Result")


async def ask_in_batches(requests: Open, asker: Asker, shard_requests: int, poll_s: float) -> None:
    """Ask for everything that is open, in batches; then again for what came back without an answer.

    Args:
        requests: What is open; read again for each round.
        asker: Teacher, ledger, price and budget.
        shard_requests: Requests in one batch, at most.
        poll_s: Seconds between two looks at a batch.

    Raises:
        SimgptError: the teacher has no Batch API.
    """
    if not isinstance(asker.teacher, OpenAITeacher):
        raise SimgptError("the recorded teacher has no Batch API; leave --batch out")
    await _Batches(asker.teacher, asker, shard_requests, poll_s).run(requests)


class _Batches:
    def __init__(
        self, teacher: OpenAITeacher, asker: Asker, shard_requests: int, poll_s: float
    ) -> None:
        self.teacher, self.asker, self.poll_s = teacher, asker, poll_s
        self.ledger, self.budget, self.stop = asker.ledger, asker.budget, asker.stop
        self.who = (teacher.endpoint, teacher.model)
        self.price = asker.price.in_batch()
        self.shard_requests = min(shard_requests, MAX_REQUESTS)
        self.folder = asker.ledger.path.with_name(f"{asker.ledger.path.name}.shards")
        self.settled = 0  # requests that need no further batch
        self.rejected: set[bytes] = set()  # the server will not take these
        self.complaint = ""  # what was last said about a batch that did not answer everything
        self.under_way: set[str] = set()  # shards that are in the server's queue
        self.most_under_way = MAX_REQUESTS  # until the server says that its queue is full
        self.refusals = 0
        self.failures: Counter[str] = Counter()

    async def run(self, requests: Open) -> None:
        """Round after round until nothing is open, or nothing comes of it."""
        shards = await self._take_up()
        fruitless = 0
        while not self.stop:
            if self.teacher.abilities.get(_RENAMED):  # a later run shall know from the start
                await self.ledger.note_ability(*self.who, _RENAMED, True, "")
            before = self.settled
            had_work = await self._round(shards, requests)
            if requests.limit is not None or not had_work:
                return
            shards = []
            fruitless = 0 if self.settled > before else fruitless + 1
            if fruitless == FRUITLESS:
                self.stop(
                    f"{fruitless} rounds of batches in a row brought no new answer, the last one "
                    f"because of: {self.complaint}"
                )
            elif fruitless:
                await self.asker.rest(self.poll_s)

    async def _take_up(self) -> list[Shard]:
        """The shards of earlier runs that are not over; what else lies in the folder is litter."""
        rows = self.ledger.rows(
            "SELECT shard.*, coalesce(sum(most_usd), 0) FROM shard LEFT JOIN attempt"
            " ON batch = shard.id AND outcome = 'in flight' WHERE state != ? GROUP BY shard.id",
            (State.COLLECTED,),
        )
        needed = {self._file(name) for name, state, *_ in rows if state == State.PLANNED}
        for path in self.folder.glob("*"):
            if path not in needed:
                path.unlink()
        shards = []
        for name, state, *columns, most_usd in rows:
            shard = Shard(name, State(state), *columns)
            # The ledger may hold those of another model, which another price is for.
            if (shard.endpoint, shard.model) == self.who:
                self.budget.reclaim(most_usd)
                if shard.state in NOT_BEGUN and not self.budget.fits(0.0):
                    await self._end(shard, "not begun: the budget is smaller now")
                else:
                    shards.append(shard)
        return shards

    async def _round(self, shards: list[Shard], requests: Open) -> bool:
        """Go on with these shards, plan new ones for the rest; was there anything to do?"""
        planned = 0
        rest = (request for request in requests if request.key not in self.rejected)
        try:
            async with asyncio.TaskGroup() as followers:
                for shard in shards:
                    followers.create_task(self._follow(shard))
                async for shard in self._plan(rest):
                    planned += 1
                    followers.create_task(self._follow(shard))
        except ExceptionGroup as group:
            # Followers fail together, of one cause: a full disk, say. One sentence will do.
            raise group.exceptions[0] from None
        return bool(shards or planned)

    # --- From requests to shards

    async def _plan(self, requests: Iterator[Request]) -> AsyncIterator[Shard]:
        """Cut requests into shards; each is on disk and in the ledger when it is yielded."""
        first = next(requests, None)
        while first is not None and not self.stop:
            shard = Shard(uuid4().hex, State.PLANNED, *self.who, PATHS[first.setup.api])
            with staged(self._file(shard.id)) as temporary:
                taken, first = self._write(first, requests, temporary)
            most_usd = [self.price.most_usd(request) for request in taken]
            if not await self._affordable(most_usd):
                self._file(shard.id).unlink()
                return
            await self.ledger.begin(taken, most_usd, batch=shard.id, also=[saving(shard)])
            yield shard

    def _write(
        self, first: Request, requests: Iterator[Request], path: Path
    ) -> tuple[list[Request], Request | None]:
        """Write requests up to the API's limits; return them, and the first of the next shard."""
        taken: list[Request] = []
        request: Request | None = first
        size = 0
        with path.open("wb") as file:
            while request is not None and len(taken) < self.shard_requests:
                line = {
                    "custom_id": request.key.hex(),
                    "method": "POST",
                    "url": PATHS[request.setup.api],
                    "body": self.teacher.body(request),
                }
                raw = json.dumps(line).encode() + b"\n"
                size += len(raw)
                if taken and size > MAX_BYTES:
                    break
                file.write(raw)
                taken.append(request)
                request = next(requests, None)
        return taken, request

    async def _affordable(self, most_usd: Sequence[float]) -> bool:
        """Set money aside for a shard, once shards under way have left enough of it."""
        if not self.ledger.has_room():
            self.stop(f"the disk that holds {self.ledger.path} is nearly full; free some space")
        while not self.stop:
            try:
                async with asyncio.timeout(0.5):  # a stop frees no money: look whether there is one
                    await self.budget.hold(sum(most_usd))
            except TimeoutError:
                continue
            except BudgetReached:
                self.stop(
                    f"the budget of ${self.budget.limit_usd:,.2f} does not cover the next batch of "
                    f"{len(most_usd):,} requests: ${self.budget.spent_usd:,.4f} is spent and it "
                    f"may cost ${sum(most_usd):,.4f}; raise --budget-usd, or make batches smaller "
                    "with --shard-requests"
                )
            else:
                return True
        return False

    # --- From a shard to its answers

    async def _follow(self, shard: Shard) -> None:
        """Bring one shard from where it stands to its end."""
        step = {
            State.PLANNED: self._upload,
            State.UPLOADED: self._create,
            State.CREATING: self._look_up,
            State.CREATED: self._watch,
        }
        try:
            while shard.state is not State.COLLECTED and not self.stop:
                shard = await step[shard.state](shard)
            if shard.state in NOT_BEGUN and self.refusals == FRUITLESS:
                await self._end(shard, "not begun: batches have to be smaller")
        except CallError as error:
            self.stop(f"batch {shard.batch_id or shard.id}: {error.outcome} ({error.detail})")
        finally:
            self.under_way.discard(shard.id)

    async def _upload(self, shard: Shard) -> Shard:
        path = self._file(shard.id)
        if not path.is_file():
            return await self._end(shard, f"{path} is gone; nothing was sent")
        file_id = await self._patiently(partial(send_file, path=path))
        shard = await self._note(replace(shard, state=State.UPLOADED, file_id=file_id))
        path.unlink()
        return shard

    async def _create(self, shard: Shard) -> Shard:
        """Create the batch. Where it is not certain whether that worked, we stay at `creating`."""
        while len(self.under_way - {shard.id}) >= self.most_under_way:
            await self.asker.rest(self.poll_s)
            if self.stop:
                return shard
        self.under_way.add(shard.id)
        shard = await self._note(replace(shard, state=State.CREATING))
        try:
            batch = await self.teacher.calling(partial(create_batch, shard=shard))
        except CallError as error:
            if not error.retry:
                await self._end(shard, error.detail)
                raise
            self.failures[shard.id] += 1
            if self.failures[shard.id] == ATTEMPTS:
                raise
            # The server may need a moment until it lists what it has created.
            pause = max(wait_before(self.failures[shard.id]), min(self.poll_s, 5.0))
            await self.asker.rest(max(pause, error.retry_after_s or 0.0))
            return shard
        return await self._note(replace(shard, state=State.CREATED, batch_id=batch.id))

    async def _look_up(self, shard: Shard) -> Shard:
        """Does the server have this shard's batch?"""
        batch_id = await self._patiently(partial(find_batch, shard=shard))
        if batch_id is None:
            return replace(shard, state=State.UPLOADED)
        return await self._note(replace(shard, state=State.CREATED, batch_id=batch_id))

    async def _watch(self, shard: Shard) -> Shard:
        """Look at the batch; collect it if it is over."""
        self.under_way.add(shard.id)
        batch = await self._patiently(partial(retrieve, batch_id=str(shard.batch_id)))
        if batch.status not in _OVER:
            logger.info("batch %s: %s", batch.id, batch.status)
            await self.asker.rest(self.poll_s)
            return shard
        errors = (batch.errors and batch.errors.data) or []
        said = "; ".join(f"{error.code}: {error.message}" for error in errors)
        said = self.teacher.scrub(said) or f"no line in the files of a batch that is {batch.status}"
        if any(error.code == _QUEUE_FULL for error in errors):
            return await self._queue_again(shard, said)
        return await self._collect(shard, batch, said)

    async def _queue_again(self, shard: Shard, said: str) -> Shard:
        """The server's queue took no more; from now on have no more in it than it takes."""
        self.under_way.discard(shard.id)
        self.most_under_way = max(1, len(self.under_way))
        shard = await self._note(replace(shard, state=State.UPLOADED, batch_id=None))
        if not self.under_way:
            self.refusals += 1
            if self.refusals == FRUITLESS:
                self.stop(
                    f"batches were refused {FRUITLESS} times with no other under way ({said}); "
                    "make them smaller with --shard-requests"
                )
            self.under_way.add(shard.id)  # no other is tried meanwhile
            await self.asker.rest(self.poll_s)
        return shard

    async def _collect(self, shard: Shard, batch: Any, said: str) -> Shard:
        """Note every answer of a batch by its request's key; whatever has none is open again."""
        attempts = self._attempts(shard)
        endings: list[tuple[int, Ending]] = []
        # Of lines that are in neither file nobody knows what became of them.
        charged = batch.status == "completed" or batch.output_file_id is not None
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            path = self._file(shard.id).with_suffix(".answers")
            try:
                await self._patiently(partial(fetch, file_id=file_id, path=path))
            except CallError as error:
                if not error.retry:  # it is gone
                    await self._end(shard, said, endings, attempts.values(), charged=charged)
                raise
            with path.open("rb") as lines:
                for line in lines:
                    key, ending = self._read_line(line)
                    if key not in attempts:  # a line that comes twice, or cannot be read
                        continue
                    if len(endings) == _GROUP:  # the last group is written with the shard's end
                        await self.ledger.end(endings)
                        endings = []
                    attempt, most_usd = attempts.pop(key)
                    endings.append((attempt, ending))
                    self._count(key, ending, most_usd)
            path.unlink()
        self.refusals = 0
        return await self._end(shard, said, endings, attempts.values(), charged=charged)

    def _read_line(self, line: bytes) -> tuple[bytes, Ending]:
        """The key and the answer of one line; a line that cannot be read has the empty key."""
        try:
            row = json.loads(line)
            key = bytes.fromhex(row["custom_id"])
            response, error = row.get("response"), row.get("error")
            if response is None:
                return key, Ending(Outcome.EXPIRED, detail=self._told(error))
            status = int(response["status_code"])
            if status != 200:
                kept = 400 <= status < 500 and status not in (408, 409, 429)
                outcome = Outcome.REJECTED if kept else Outcome.SERVER_ERROR
                detail = self._told(error or response["body"])
                if status in (401, 403, 404, 405):
                    self.stop(f"{self.teacher.endpoint} refuses to answer: {detail}")
                return key, Ending(outcome, detail=detail)
            answer = self.teacher.read(read_reply(response["body"]))
        except CallError as error:
            return key, Ending(error.outcome, usd=None, detail=error.detail)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("a line of a batch cannot be read (%s)", type(error).__name__)
            return b"", Ending(Outcome.MALFORMED)
        return key, Ending(Outcome.ANSWERED, answer, self.price.usd(answer))

    def _told(self, error: Any) -> str:
        return self.teacher.scrub(json.dumps(error, ensure_ascii=False))[:300]

    def _count(self, key: bytes, ending: Ending, most_usd: float) -> None:
        self.budget.settle(most_usd, ending.usd)
        if ending.outcome is Outcome.ANSWERED:
            self.settled += 1
            self.asker.answered()
            return
        self.complaint = ending.detail
        if ending.outcome is Outcome.REJECTED and _RENAMED in ending.detail:
            self.teacher.abilities[_RENAMED] = True
        elif ending.outcome is Outcome.REJECTED:
            self.settled += 1
            self.rejected.add(key)

    async def _end(
        self,
        shard: Shard,
        said: str,
        endings: Sequence[tuple[int, Ending]] = (),
        left: Iterable[tuple[int, float]] | None = None,
        *,
        charged: bool = False,
    ) -> Shard:
        """Close a shard, all at once; requests that are left without an answer are open again."""
        left = list(self._attempts(shard).values() if left is None else left)
        nothing = Ending(Outcome.EXPIRED, usd=None if charged else 0.0, detail=said)
        for _, most_usd in left:
            self.budget.settle(most_usd, nothing.usd)
        if left:
            self.complaint = said
            logger.warning("batch %s: %s without an answer (%s)", shard.id, f"{len(left):,}", said)
        self._file(shard.id).unlink(missing_ok=True)
        shard = replace(shard, state=State.COLLECTED)
        ended = [*endings, *((attempt, nothing) for attempt, _ in left)]
        await self.ledger.write([*(ending_statement(*one) for one in ended), saving(shard)])
        return shard

    async def _note(self, shard: Shard) -> Shard:
        await self.ledger.write([saving(shard)])
        return shard

    async def _patiently(self, call: "Callable[[AsyncOpenAI], Awaitable[_Result]]") -> _Result:
        """A call that may be repeated, since doing it twice costs nothing."""
        for attempt in range(1, ATTEMPTS):
            try:
                return await self.teacher.calling(call)
            except CallError as error:
                if not error.retry or self.stop:
                    raise
                await self.asker.rest(max(wait_before(attempt), error.retry_after_s or 0.0))
        return await self.teacher.calling(call)

    def _attempts(self, shard: Shard) -> dict[bytes, tuple[int, float]]:
        """Attempts of a shard that wait for an answer, and the most that each can cost, by key."""
        rows = self.ledger.rows(
            "SELECT key, attempt.id, most_usd FROM attempt JOIN request ON request = request.id"
            " WHERE batch = ? AND outcome = 'in flight'",
            (shard.id,),
        )
        return {key: (attempt, most) for key, attempt, most in rows}

    def _file(self, name: str) -> Path:
        return self.folder / f"{NAME}-{name}.jsonl"
