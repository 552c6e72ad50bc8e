"""OpenAI's Batch API: half the price, an answer within a day, and no call lost between two steps.

A *shard* is one batch: a file of requests on disk, in the ledger, then uploaded, then created at
the server, then collected. Each step is noted before the next, so a run that is stopped anywhere
goes on from there:

    planned -> uploaded -> creating -> created -> collected

`creating` is noted before the one call that costs money. If it is found in the ledger without a
batch's id, the server is asked whether it has a batch with this shard's name before another is
created.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from simgpt.annotate.asking import ATTEMPTS, Asker
from simgpt.annotate.cost import BudgetReached
from simgpt.annotate.ledger import Ending, Ledger, Outcome, ending_statement
from simgpt.annotate.openai_teacher import OpenAITeacher
from simgpt.annotate.requests import Api, Request
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
NAME = "simgpt_shard"  # the metadata key by which a batch is found again

_PATHS = {Api.CHAT: "/v1/chat/completions", Api.COMPLETIONS: "/v1/completions"}
_OVER = ("completed", "expired", "cancelled", "failed")
_GROUP = 1000  # answers written together

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Shard:
    """One batch and how far it has come."""

    id: str
    state: str
    endpoint: str
    file_id: str | None = None
    batch_id: str | None = None


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
    teacher = asker.teacher
    if not isinstance(teacher, OpenAITeacher):
        raise SimgptError("the recorded teacher has no Batch API; leave --batch out")
    work = _Batches(teacher, asker, shard_requests, poll_s)
    while not asker.stop:
        before = work.answers
        had_work = await work.round(requests)
        if requests.limit is not None or not had_work:
            return
        if work.answers == before and not asker.stop:
            asker.stop("a whole round of batches brought no new answer")


class _Batches:
    def __init__(
        self, teacher: OpenAITeacher, asker: Asker, shard_requests: int, poll_s: float
    ) -> None:
        self.teacher, self.asker, self.poll_s = teacher, asker, poll_s
        self.ledger, self.budget, self.stop = asker.ledger, asker.budget, asker.stop
        self.price = asker.price.in_batch()
        self.shard_requests = shard_requests
        self.folder = asker.ledger.path.with_name(f"{asker.ledger.path.name}.shards")
        self.answers = 0

    async def round(self, requests: Open) -> bool:
        """Go on with the shards there are, plan new ones for the rest; was there anything to do?"""
        shards = _shards(self.ledger)
        for shard in shards:
            self.budget.reclaim(sum(most for _, most in self._attempts(shard).values()))
        planned = 0
        try:
            async with asyncio.TaskGroup() as followers:
                for shard in shards:
                    followers.create_task(self._follow(shard))
                async for shard in self._plan(iter(requests)):
                    planned += 1
                    followers.create_task(self._follow(shard))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return bool(shards or planned)

    async def _plan(self, requests: Iterator[Request]) -> AsyncIterator[Shard]:
        """Cut requests into shards; each is on disk and in the ledger when it is yielded."""
        while (first := next(requests, None)) is not None and not self.stop:
            with staged(self.folder / "next.jsonl") as temporary:
                taken, left = self._write(chain([first], requests), temporary)
            requests = chain(left, requests)
            most = [self.price.most_usd(request) for request in taken]
            if not self.ledger.has_room():
                self.stop(f"the disk that holds {self.ledger.path} is nearly full")
                return
            try:
                await self.budget.hold(sum(most))
            except BudgetReached:
                self.stop(
                    f"the budget of ${self.budget.limit_usd:,.2f} does not cover the next batch of "
                    f"{len(taken):,} requests: ${self.budget.spent_usd:,.4f} is spent and it may "
                    f"cost ${sum(most):,.4f}; raise --budget-usd, or make batches smaller with "
                    "--shard-requests"
                )
                return
            # The number makes it another shard when the same is asked again.
            name = str(self.ledger.last_attempt).encode() + b"".join(r.key for r in taken)
            shard = Shard(
                id=hashlib.sha256(name).hexdigest()[:24],
                state="planned",
                endpoint=_PATHS[first.setup.api],
            )
            (self.folder / "next.jsonl").replace(self._path(shard))
            await self.ledger.begin(taken, most, batch=shard.id, also=[_saving(shard)])
            yield shard

    def _write(
        self, requests: Iterator[Request], path: Path
    ) -> tuple[list[Request], list[Request]]:
        """Write requests up to the API's limits; return those taken, and one that was too many."""
        taken: list[Request] = []
        size = 0
        with path.open("wb") as file:
            for request in requests:
                line = {
                    "custom_id": request.key.hex(),
                    "method": "POST",
                    "url": _PATHS[request.setup.api],
                    "body": self.teacher.body(request),
                }
                raw = (json.dumps(line, ensure_ascii=False) + "\n").encode()
                if size + len(raw) > MAX_BYTES:
                    return taken, [request]
                file.write(raw)
                size += len(raw)
                taken.append(request)
                if len(taken) == self.shard_requests:
                    break
        return taken, []

    async def _follow(self, shard: Shard) -> None:
        """Bring one shard from where it stands to its end."""
        try:
            if shard.state == "planned":
                shard = await self._upload(shard)
            if shard.state in ("uploaded", "creating"):
                shard = await self._create(shard)
            batch = await self._wait(shard)
            if batch is not None:
                await self._collect(shard, batch)
        except CallError as error:
            self.stop(f"batch {shard.id}: {error.outcome} ({error.detail})")

    async def _upload(self, shard: Shard) -> Shard:
        path = self._path(shard)
        # The upload may have gone through in a run that did not live to note it.
        file_id = await self._patiently(partial(_find_file, name=path.name))
        if file_id is None:
            if not path.is_file():
                await self._end(shard, "its file is gone from the disk; nothing was sent")
                raise CallError(Outcome.EXPIRED, f"{path} is gone; run again to plan it anew")
            file_id = await self._patiently(partial(_send_file, path=path))
        return await self._note(replace(shard, state="uploaded", file_id=file_id))

    async def _create(self, shard: Shard) -> Shard:
        """Create the batch: never twice, and never without having looked for it first."""
        while not self.stop:
            if shard.state == "creating":
                batch_id = await self._patiently(partial(_find_batch, shard=shard))
                if batch_id is not None:
                    return await self._note(replace(shard, state="created", batch_id=batch_id))
            shard = await self._note(replace(shard, state="creating"))
            try:
                batch = await self.teacher.calling(partial(_create, shard=shard))
            except CallError as error:
                if not error.retry:
                    raise
                # Created or not? Give the server a moment to list it.
                await self.asker.rest(min(self.poll_s, 5.0))
            else:
                return await self._note(replace(shard, state="created", batch_id=batch.id))
        return shard

    async def _wait(self, shard: Shard) -> Any:
        """The server's account of the batch once it is over; None where the run stops first."""
        while not self.stop and shard.batch_id is not None:
            batch = await self._patiently(partial(_retrieve, batch_id=shard.batch_id))
            if batch.status in _OVER:
                return batch
            logger.info("batch %s: %s", shard.batch_id, batch.status)
            await self.asker.rest(self.poll_s)
        return None

    async def _collect(self, shard: Shard, batch: Any) -> None:
        """Note every answer of a batch by its request's key; whatever has none is open again."""
        attempts = self._attempts(shard)
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            path = self._path(shard).with_suffix(f".{file_id}")
            await self._patiently(partial(_fetch, file_id=file_id, path=path))
            endings: list[tuple[int, Ending]] = []
            with path.open("rb") as lines:
                for line in lines:
                    key, ending = self._read_line(line)
                    if key in attempts:  # a line may come twice, or be of another shard
                        attempt, most = attempts.pop(key)
                        endings.append((attempt, ending))
                        self._count(ending, most)
                    if len(endings) == _GROUP:
                        await self.ledger.end(endings)
                        endings = []
            await self.ledger.end(endings)
            path.unlink()
        errors = batch.errors.data if batch.errors else []
        detail = "; ".join(f"{e.code}: {e.message}" for e in errors or []) or batch.status
        await self._end(shard, self.teacher.scrub(detail), charged=batch.status == "completed")

    def _read_line(self, line: bytes) -> tuple[bytes, Ending]:
        """The key and the answer of one line; a line that cannot be read has the empty key."""
        try:
            row = json.loads(line)
            key = bytes.fromhex(row["custom_id"])
            response, error = row.get("response"), row.get("error")
            if response is None or response["status_code"] != 200:
                outcome = Outcome.EXPIRED if response is None else Outcome.SERVER_ERROR
                detail = self.teacher.scrub(json.dumps(error or response["body"])[:300])
                return key, Ending(outcome, detail=detail)
            answer = self.teacher.read(_reply(response["body"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("a line of a batch cannot be read (%s)", type(error).__name__)
            return b"", Ending(Outcome.MALFORMED)
        except CallError as error:
            return key, Ending(error.outcome, usd=None, detail=error.detail)
        return key, Ending(Outcome.ANSWERED, answer, self.price.usd(answer))

    def _count(self, ending: Ending, most_usd: float) -> None:
        self.budget.settle(most_usd, ending.usd)
        if ending.outcome is Outcome.ANSWERED:
            self.answers += 1
            self.asker.answered()

    async def _end(self, shard: Shard, detail: str, *, charged: bool = False) -> None:
        """Close a shard; requests without an answer are open again."""
        left = self._attempts(shard).values()
        ending = Ending(Outcome.EXPIRED, usd=None if charged else 0.0, detail=detail)
        for _, most in left:
            self.budget.settle(most, ending.usd)
        statements = [ending_statement(attempt, ending) for attempt, _ in left]
        await self.ledger.write([*statements, _saving(replace(shard, state="collected"))])
        if left:
            logger.warning("batch %s: %s without an answer (%s)", shard.id, len(left), detail)
        self._path(shard).unlink(missing_ok=True)

    async def _note(self, shard: Shard) -> Shard:
        await self.ledger.write([_saving(shard)])
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

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{NAME}-{shard.id}.jsonl"


async def _send_file(client: "AsyncOpenAI", path: Path) -> str:
    with path.open("rb") as file:
        return (await client.files.create(file=(path.name, file), purpose="batch")).id


async def _find_file(client: "AsyncOpenAI", name: str) -> str | None:
    async for file in client.files.list(purpose="batch"):
        if file.filename == name:
            return file.id
    return None


async def _create(client: "AsyncOpenAI", shard: Shard) -> Any:
    return await client.batches.create(
        input_file_id=str(shard.file_id),
        endpoint=shard.endpoint,  # type: ignore[arg-type]  # one of _PATHS
        completion_window="24h",
        metadata={NAME: shard.id},
    )


async def _find_batch(client: "AsyncOpenAI", shard: Shard) -> str | None:
    async for batch in client.batches.list(limit=100):
        if (batch.metadata or {}).get(NAME) == shard.id:
            return batch.id
    return None


async def _retrieve(client: "AsyncOpenAI", batch_id: str) -> Any:
    return await client.batches.retrieve(batch_id)


async def _fetch(client: "AsyncOpenAI", file_id: str, path: Path) -> None:
    async with client.files.with_streaming_response.content(file_id) as response:
        with staged(path) as temporary:
            await response.stream_to_file(temporary)


def _shards(ledger: Ledger) -> list[Shard]:
    """Shards that are not over."""
    return [
        Shard(*row)
        for row in ledger.rows(
            "SELECT id, state, endpoint, file_id, batch_id FROM shard WHERE state != 'collected'"
        )
    ]


def _saving(shard: Shard) -> tuple[str, tuple[Any, ...]]:
    return (
        "INSERT OR REPLACE INTO shard (id, state, endpoint, file_id, batch_id)"
        " VALUES (?, ?, ?, ?, ?)",
        (shard.id, shard.state, shard.endpoint, shard.file_id, shard.batch_id),
    )


def _reply(body: dict[str, Any]) -> Any:
    """A reply's body as the client would have built it."""
    from openai.types import Completion
    from openai.types.chat import ChatCompletion

    kind = ChatCompletion if body.get("object") == "chat.completion" else Completion
    return kind.construct(**body)
