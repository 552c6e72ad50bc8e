"""Annotate source sentences: prompt, answer, parse, check."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from simgpt.annotate.parsing import AnswerError, parse_answer
from simgpt.annotate.prompting import Prompt, load_prompt
from simgpt.annotate.teachers import Teacher
from simgpt.triplets import Triplet

# The broadest of the prompts, for sentences that do not say what kind they are.
DEFAULT_SOURCE = "multi_genre"


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
class Annotated:
    """What came back. Every sentence is in one of the two.

    Attributes:
        triplets: One for each usable answer, in the order of the sentences. `extra` says who
            answered (`teacher`) and to which prompt (`prompt`, its hash).
        failures: Sentence and the reason why its answer could not be used.
    """

    triplets: list[Triplet]
    failures: dict[str, str]


def annotate(sentences: Iterable[Sentence], teacher: Teacher) -> Annotated:
    """Ask a teacher once for each sentence, and keep what holds up.

    A sentence that comes twice is asked for once. One without a kind gets the `multi_genre`
    prompt.

    Raises:
        SimgptError: a kind without a prompt, or a teacher that cannot answer at all. A bad answer
            does not raise; it is recorded in `failures`.
    """
    prompts: dict[str, Prompt] = {}
    triplets: dict[str, Triplet] = {}
    failures: dict[str, str] = {}
    for sentence in sentences:
        if sentence.text in triplets or sentence.text in failures:
            continue
        source = sentence.source or DEFAULT_SOURCE
        if source not in prompts:
            prompts[source] = load_prompt(source)
        prompt = prompts[source]
        answer = teacher.answer(prompt.render(sentence.text), sentence.text)
        try:
            similar, dissimilar = _checked(sentence.text, answer)
        except AnswerError as error:
            failures[sentence.text] = str(error)
            continue
        extra = {"teacher": teacher.name, "prompt": prompt.hash}
        triplets[sentence.text] = Triplet(sentence.text, similar, dissimilar, source, extra)
    return Annotated(list(triplets.values()), failures)


def _checked(sentence: str, answer: str) -> tuple[str, str]:
    """Parse, and refuse an answer that hands the sentence back."""
    texts = parse_answer(answer)
    for number, text in enumerate(texts, start=1):
        if " ".join(text.split()).casefold() == " ".join(sentence.split()).casefold():
            raise AnswerError(f'line "{number}." repeats the sentence')
    return texts
