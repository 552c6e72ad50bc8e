"""Few-shot prompts, one for each kind of source sentence, kept as TOML files."""

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.files import read_text
from simgpt.triplets import TEXTS

PROMPTS = Path(str(resources.files("simgpt") / "annotate" / "prompts"))
_MARK = "{sentence}"


@dataclass(frozen=True)
class Example:
    """A worked example: what a good answer looks like."""

    sentence: str
    similar: str
    dissimilar: str


@dataclass(frozen=True)
class Prompt:
    """What a teacher reads before it answers.

    Attributes:
        task: What is given and what is wanted.
        instructions: What makes the first and the second new sentence good.
        note: What to avoid, and the form of the answer.
        examples: Worked examples, shown in this order.
    """

    task: str
    instructions: tuple[str, str]
    note: str
    examples: tuple[Example, ...]

    def render(self, sentence: str) -> str:
        """The whole prompt for one sentence; it ends where the answer begins.

        Line breaks inside the sentence become spaces, so that it cannot pass for a part of the
        prompt's own layout.

        Raises:
            SimgptError: the sentence is empty.
        """
        sentence = " ".join(sentence.split())
        if not sentence:
            raise SimgptError("an empty sentence cannot be annotated")
        head = [
            self.task,
            *(f"{number}. {text}" for number, text in enumerate(self.instructions, start=1)),
            f"Note: {self.note}",
        ]
        shown = [
            f"Input: {example.sentence}\nOutput:\n"
            + answer_text(example.similar, example.dissimilar)
            for example in self.examples
        ]
        return "\n\n".join(["\n".join(head), *shown, f"Input: {sentence}\nOutput:"])

    @property
    def hash(self) -> str:
        """First 8 hex digits of SHA-256 over the prompt as a teacher reads it.

        It changes with every letter of the prompt and with nothing else, so annotations can say
        which prompt they came from.
        """
        return hashlib.sha256(self.render(_MARK).encode()).hexdigest()[:8]


def answer_text(similar: str, dissimilar: str) -> str:
    """An answer in the form that the prompts ask for."""
    return f"1. {similar}\n2. {dissimilar}"


def prompt_names() -> list[str]:
    """The kinds of source sentence that have a bundled prompt."""
    return sorted(path.stem for path in PROMPTS.glob("*.toml"))


def load_prompt(source: str) -> Prompt:
    """The bundled prompt for sentences of one kind.

    Raises:
        SimgptError: there is no prompt for this kind.
    """
    if source not in prompt_names():
        raise SimgptError(f"no prompt for {source!r}; known: {', '.join(prompt_names())}")
    return read_prompt(PROMPTS / f"{source}.toml")


def read_prompt(path: Path) -> Prompt:
    """Read a prompt from a TOML file.

    Raises:
        SimgptError: the file is missing, not UTF-8 or not TOML, or a key is missing, unknown or
            empty; the sentence names file and key.
    """
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SimgptError(f"{path}: not valid TOML ({error})") from error
    _only(content, ("task", "instructions", "note", "examples"), str(path))
    instructions = content.get("instructions")
    if not isinstance(instructions, list) or len(instructions) != 2:
        raise SimgptError(f"{path}: instructions must be a list of two texts")
    examples = content.get("examples")
    if not isinstance(examples, list) or not examples:
        raise SimgptError(f"{path}: examples is missing or empty; give at least one [[examples]]")
    first, second = (
        _text(text, f"{path}: instructions, number {number}")
        for number, text in enumerate(instructions, start=1)
    )
    return Prompt(
        task=_text(content.get("task"), f"{path}: task"),
        instructions=(first, second),
        note=_text(content.get("note"), f"{path}: note"),
        examples=tuple(
            _example(example, f"{path}: examples, number {number}")
            for number, example in enumerate(examples, start=1)
        ),
    )


def _example(content: Any, where: str) -> Example:
    if not isinstance(content, dict):
        raise SimgptError(f"{where} must be a table with {', '.join(TEXTS)}")
    _only(content, TEXTS, where)
    return Example(*(_text(content.get(name), f"{where}: {name}") for name in TEXTS))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SimgptError(f"{where} is missing or empty; it must be text")
    return value.strip()


def _only(content: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(content.keys() - set(known))
    if unknown:
        raise SimgptError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
