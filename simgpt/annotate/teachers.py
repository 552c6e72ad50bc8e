"""Teachers: whatever answers a request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simgpt.annotate.attempts import Outcome
from simgpt.annotate.prompting import AnswerForm, answer_text, json_answer_text
from simgpt.annotate.requests import Answer, Request
from simgpt.errors import SimgptError
from simgpt.files import sha256_of
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets


@dataclass(frozen=True)
class CallError(Exception):
    """A call that brought no answer.

    Attributes:
        outcome: What went wrong.
        detail: What the server or the network said, without any secret.
        retry: Is it worth asking again?
        fatal: Will every other request fail in the same way?
        retry_after_s: Seconds that the server asks to be left alone; None where it does not say.
    """

    outcome: Outcome
    detail: str
    retry: bool = True
    fatal: bool = False
    retry_after_s: float | None = None


# Answers with what came back and whether there is the ability; raises CallError.
Probe = Callable[[], Awaitable[tuple[Answer, bool]]]


class Teacher(Protocol):
    """A large language model, or something that stands in for one."""

    @property
    def endpoint(self) -> str:
        """Where it is; part of every request's key."""
        ...

    @property
    def model(self) -> str:
        """The model that is asked for."""
        ...

    @property
    def probes(self) -> Mapping[str, Probe]:
        """Small calls, each of which finds out about one ability that is not known beforehand."""
        ...

    @property
    def abilities(self) -> dict[str, bool]:
        """What is known of them."""
        ...

    async def ask(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            CallError: there was no answer.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; they are made again when needed."""
        ...


class RecordedTeacher:
    """Replays annotations that were made before: it needs no network and costs nothing.

    It hands out raw answers in the form that the prompt asks for, so they pass through the same
    ledger, parser and audit as those of a live model. What the prompt says changes nothing.
    """

    model = "recorded"
    probes: Mapping[str, Probe] = {}

    def __init__(self, path: Path = BUNDLED_TRIPLETS) -> None:
        """Read the annotations in `path`; of two for the same sentence, the first is replayed.

        The bundle holds every sentence once; a file of your own may hold several answers to one.

        Raises:
            SimgptError: as `read_triplets`.
        """
        self.path = path
        self.abilities: dict[str, bool] = {}
        self.endpoint = f"recorded:{sha256_of(path)[:16]}"
        self._answers: dict[str, tuple[str, str]] = {}
        for triplet in read_triplets(path):
            self._answers.setdefault(_key(triplet.sentence), (triplet.similar, triplet.dissimilar))

    async def ask(self, request: Request) -> Answer:
        """The recorded answer; case and spacing of the sentence do not matter.

        Raises:
            SimgptError: there is none for this sentence.
        """
        (sentence,) = request.inputs
        texts = self._answers.get(_key(sentence))
        if texts is None:
            raise SimgptError(
                f"the recorded teacher has no answer for {sentence!r}: it knows only the "
                f"{len(self._answers):,} sentences in {self.path}; new sentences need a live "
                "teacher"
            )
        as_json = request.setup.prompt.answer is AnswerForm.JSON
        return Answer((json_answer_text if as_json else answer_text)(*texts), model=self.model)

    async def close(self) -> None:
        """There is nothing to let go of."""


def _key(sentence: str) -> str:
    return " ".join(sentence.split()).casefold()
