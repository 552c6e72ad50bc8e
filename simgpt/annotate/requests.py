"""What is asked of a teacher, and the key under which its answer is kept."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from simgpt.annotate.prompting import Message, Prompt
from simgpt.errors import SimgptError


class Api(StrEnum):
    """Which of a server's two text interfaces is used."""

    CHAT = "chat"
    COMPLETIONS = "completions"  # legacy: for base models, which continue a text


# A base model does not know when it is done: it goes on with the next worked example.
STOP = ["\n\n", "\nInput:"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a teacher picks its words. None leaves a setting to the server.

    The paper does not say how GPT-4 was sampled.

    Attributes:
        max_tokens: An answer is cut off after so many tokens.
        temperature: 0 takes the likeliest word each time.
        top_p: Draw only from the likeliest words that hold this share of the probability.
        seed: For servers that can repeat a draw.
    """

    max_tokens: int = 200
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no server takes."""
        for name, legal, holds in (
            ("max_tokens", "1 or more", self.max_tokens >= 1),
            ("temperature", "from 0 to 2", self.temperature is None or 0 <= self.temperature <= 2),
            ("top_p", "above 0 and at most 1", self.top_p is None or 0 < self.top_p <= 1),
        ):
            if not holds:
                raise SimgptError(f"{name} is {getattr(self, name)!r}; it must be {legal}")
        for name in ("temperature", "top_p"):  # 0 and 0.0 are equal, and so must be their keys
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))

    def given(self) -> dict[str, Any]:
        """The settings that are not left to the server."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Setup:
    """All that decides an answer, save what is asked about."""

    endpoint: str
    model: str
    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    api: Api = Api.CHAT

    def describe(self) -> dict[str, Any]:
        """Endpoint, model, interface, sampling, and the prompt as it is sent with open places."""
        if self.api is Api.COMPLETIONS:
            asked: dict[str, Any] = {"prompt": self.prompt.text, "stop": STOP}
        else:
            turns = self.prompt.turns or (("user", self.prompt.text),)
            asked = {"messages": [{"role": role, "content": content} for role, content in turns]}
        return {
            "endpoint": self.endpoint,
            "model": self.model,
            "api": self.api,
            "answer": self.prompt.answer,
            "sampling": self.sampling.given(),
            **asked,
        }

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 of `describe()`."""
        return hashlib.sha256(_canonical(self.describe())).hexdigest()

    def key(self, inputs: Sequence[str]) -> bytes:
        """SHA-256 of the request: equal requests, and only these, have equal keys (32 bytes).

        The long fixed part is hashed once and its state copied.
        """
        digest = self._fixed.copy()
        digest.update(_canonical([" ".join(text.split()) for text in inputs]))
        return digest.digest()

    @cached_property
    def _fixed(self) -> "hashlib._Hash":
        return hashlib.sha256(_canonical(self.describe()))

    def most_input_tokens(self, inputs: Sequence[str]) -> int:
        """More tokens than any tokeniser makes of the request.

        A token is at least one byte long, and a chat template adds a few around every message.
        """
        return self._fixed_bytes + sum(len(text.encode()) for text in inputs)

    @cached_property
    def _fixed_bytes(self) -> int:
        if self.api is Api.COMPLETIONS or not self.prompt.turns:
            return len(self.prompt.text.encode()) + 32
        return sum(len(content.encode()) + 16 for _, content in self.prompt.turns) + 16

    def request(self, inputs: Sequence[str]) -> "Request":
        """The request about `inputs`."""
        return Request(self, tuple(inputs), self.key(inputs))


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask."""

    setup: Setup
    inputs: tuple[str, ...]
    key: bytes

    @property
    def text(self) -> str:
        """The prompt for an interface that continues text."""
        return self.setup.prompt.render(*self.inputs)

    @property
    def messages(self) -> list[Message]:
        """The prompt for a chat interface."""
        return self.setup.prompt.messages(*self.inputs)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: The answer, raw.
        model: The model's name as the server returned it; it may be more exact than the one asked.
        fingerprint: The server's name for its configuration; empty where it gives none.
        finish: Why the answer ended: `stop`, `length` (cut off), ...
        input_tokens: Tokens of the prompt as the server counted them; None where it did not.
        cached_tokens: How many of these the server had in its cache.
        output_tokens: Tokens of the answer, hidden reasoning included.
    """

    text: str
    model: str = ""
    fingerprint: str = ""
    finish: str = "stop"
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
