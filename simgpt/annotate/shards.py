"""One batch of the Batch API, how far it has come, and the calls that bring it on."""

from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simgpt.annotate.attempts import Statement
from simgpt.annotate.requests import Api
from simgpt.files import staged

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NAME = "simgpt_shard"  # the metadata key by which a batch is found again
PATHS = {Api.CHAT: "/v1/chat/completions", Api.COMPLETIONS: "/v1/completions"}


class State(StrEnum):
    """How far a shard has come; each is noted in the ledger."""

    PLANNED = "planned"
    UPLOADED = "uploaded"
    CREATING = "creating"
    CREATED = "created"
    COLLECTED = "collected"


NOT_BEGUN = (State.PLANNED, State.UPLOADED)  # nothing can have been charged


@dataclass(frozen=True)
class Shard:
    """One batch and how far it has come."""

    id: str
    state: State
    endpoint: str
    model: str
    path: str  # which of the server's interfaces its requests go to
    file_id: str | None = None
    batch_id: str | None = None


async def send_file(client: "AsyncOpenAI", path: Path) -> str:
    """Upload a shard's file, unless that happened before; return the server's name for it."""
    # It may have gone through before, without our having heard of it.
    async for sent in client.files.list(purpose="batch"):
        if sent.filename == path.name:
            return sent.id
    with path.open("rb") as file:
        return (await client.files.create(file=(path.name, file), purpose="batch")).id


async def create_batch(client: "AsyncOpenAI", shard: Shard) -> Any:
    """Create a shard's batch: the one call that must not be repeated blindly."""
    return await client.batches.create(
        input_file_id=str(shard.file_id),
        endpoint=shard.path,  # type: ignore[arg-type]  # one of PATHS
        completion_window="24h",
        metadata={NAME: shard.id},
    )


async def find_batch(client: "AsyncOpenAI", shard: Shard) -> str | None:
    """The server's name for a shard's batch; None where it has none."""
    async for batch in client.batches.list(limit=100):
        # One that failed was not begun; it may be followed by another of this name.
        if (batch.metadata or {}).get(NAME) == shard.id and batch.status != "failed":
            return batch.id
    return None


async def retrieve(client: "AsyncOpenAI", batch_id: str) -> Any:
    """How a batch stands."""
    return await client.batches.retrieve(batch_id)


async def fetch(client: "AsyncOpenAI", file_id: str, path: Path) -> None:
    """Download a file of answers."""
    import openai

    async with client.files.with_streaming_response.content(file_id) as response:
        with staged(path) as temporary, temporary.open("wb") as file:
            try:
                async for block in response.iter_bytes(1 << 18):
                    file.write(block)
            except OSError:  # the disk's
                raise
            except Exception as error:  # the client does not wrap what breaks off a stream
                raise openai.APIConnectionError(request=response.http_request) from error


def saving(shard: Shard) -> Statement:
    """The statement that notes how far a shard has come."""
    return ("INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(shard))


def read_reply(body: dict[str, Any]) -> Any:
    """A reply's body as the client would have built it."""
    from openai.types import Completion
    from openai.types.chat import ChatCompletion

    kind = ChatCompletion if body.get("object") == "chat.completion" else Completion
    return kind.construct(**body)
