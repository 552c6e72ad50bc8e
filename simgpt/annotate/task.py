"""What is to be annotated, and what of it is still open."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

from simgpt.annotate.ledger import Ledger
from simgpt.annotate.prompting import Prompt, load_prompt
from simgpt.annotate.requests import Api, Request, Sampling, Setup
from simgpt.errors import SimgptError

# The broadest of the prompts, for sentences that do not say what kind they are.
DEFAULT_SOURCE = "multi_genre"
CHUNK = 500

_Item = TypeVar("_Item")


class Sentence(Protocol):
    """A source sentence; `simgpt.sentences.SourceSentence` is one."""

    @property
    def text(self) -> str:
        """The sentence."""
        ...

    @property
    def source(self) -> str:
        """Its kind, which picks the prompt; may be empty."""
        ...


@dataclass(frozen=True)
class Asked:
    """One thing to be answered: what it is about, of which kind, and how it is asked."""

    inputs: tuple[str, ...]
    source: str
    setup: Setup
    key: bytes


@dataclass(frozen=True, kw_only=True)
class Task:
    """Sentences, and how a teacher is asked about them.

    Iterating gives every sentence with its request's key. The sentences are read anew each time
    and never held, so memory stays flat however many there are.

    Attributes:
        sentences: Read several times over: a list, or an object whose `__iter__` starts afresh.
        endpoint: The teacher's.
        model: The teacher's.
        prompt: For all sentences; None takes the bundled prompt of each sentence's kind.
        variant: Which variant of the bundled prompts: `brief`, `json`, ...; empty for the plain.
        sampling: How the teacher picks its words.
        api: Which interface is used.
    """

    sentences: Iterable[Sentence]
    endpoint: str
    model: str
    prompt: Prompt | None = None
    variant: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    api: Api = Api.CHAT

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.prompt is not None and self.variant:
            raise SimgptError(
                f"variant is {self.variant!r}, which is one of the bundled prompts, but there is "
                f"the prompt {self.prompt.name!r} for all sentences; give one of the two"
            )

    def __iter__(self) -> Iterator[Asked]:
        setups: dict[str, Setup] = {}
        for sentence in self.sentences:
            source = sentence.source or DEFAULT_SOURCE
            setup = setups.get(source)
            if setup is None:
                setup = setups[source] = self.setup(source)
            inputs = (sentence.text,)
            yield Asked(inputs, source, setup, setup.key(inputs))

    def setup(self, source: str) -> Setup:
        """How sentences of one kind are asked about.

        Raises:
            SimgptError: there is no prompt for this kind.
        """
        name = f"{source}.{self.variant}" if self.variant else source
        prompt = self.prompt or load_prompt(name)
        return Setup(self.endpoint, self.model, prompt, self.sampling, self.api)


class Open:
    """The requests of a task that have no answer yet, as one pass over it."""

    def __init__(self, asked: Iterable[Asked], ledger: Ledger, limit: int | None = None) -> None:
        """At most `limit` requests; None for all."""
        self._asked, self._ledger, self.limit = asked, ledger, limit

    def __iter__(self) -> Iterator[Request]:
        return islice(self._requests(), self.limit)

    def _requests(self) -> Iterator[Request]:
        # A sentence that comes twice is asked for once. 64 bits of a key tell millions apart.
        seen: set[int] = set()
        for chunk in chunks(self._asked, CHUNK):
            there = self._ledger.answered([asked.key for asked in chunk])
            for asked in chunk:
                short = int.from_bytes(asked.key[:8])
                if asked.key not in there and short not in seen:
                    seen.add(short)
                    yield Request(asked.setup, asked.inputs, asked.key)


def chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """`items` in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
