"""Teachers: whatever writes an answer to a prompt."""

from pathlib import Path
from typing import Protocol

from simgpt.annotate.prompting import answer_text
from simgpt.errors import SimgptError
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets


class Teacher(Protocol):
    """A large language model, or something that stands in for one."""

    @property
    def name(self) -> str:
        """Recorded with every triplet."""
        ...

    def answer(self, prompt: str, sentence: str) -> str:
        """The raw answer to a rendered prompt, which ends with `sentence`."""
        ...


class RecordedTeacher:
    """Replays annotations that were made before: it needs no network and costs nothing.

    It hands out raw answers in the numbered form, so they pass through the same parser and the
    same checks as those of a live model. The prompt it is shown changes nothing.
    """

    name = "recorded"

    def __init__(self, path: Path = BUNDLED_TRIPLETS) -> None:
        """Read the annotations in `path`; of two for the same sentence, the first is replayed.

        The bundle holds every sentence once; a file of your own may hold several answers to one.

        Raises:
            SimgptError: as `read_triplets`.
        """
        self.path = path
        self._answers: dict[str, str] = {}
        for triplet in read_triplets(path):
            answer = answer_text(triplet.similar, triplet.dissimilar)
            self._answers.setdefault(_key(triplet.sentence), answer)

    def answer(self, prompt: str, sentence: str) -> str:
        """The recorded answer; case and spacing of the sentence do not matter.

        Raises:
            SimgptError: there is none for this sentence.
        """
        try:
            return self._answers[_key(sentence)]
        except KeyError:
            raise SimgptError(
                f"the recorded teacher has no answer for {sentence!r}: it knows only the "
                f"{len(self._answers):,} sentences in {self.path}; "
                "new sentences need a live teacher"
            ) from None


def _key(sentence: str) -> str:
    return " ".join(sentence.split()).casefold()
