"""Few-shot prompts, kept as files: one for each kind of source sentence, and variants of it."""

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from simgpt.annotate.parsing import AnswerError, parse_answer
from simgpt.errors import SimgptError
from simgpt.files import read_text
from simgpt.triplets import TEXTS

PROMPTS = Path(str(resources.files("simgpt") / "annotate" / "prompts"))
SENTENCE = ("sentence",)  # the place that an annotation prompt must have
PAIR = ("sentence1", "sentence2")  # the places that a scoring prompt must have

_KEYS = ("extends", "task", "instructions", "note", "examples", "answer", "layout")
# The released prompts of the paper end here: the sentence is to be appended.
_OPEN_END = re.compile(r"\bInput:\s*$")

Message = dict[str, str]
_Choice = TypeVar("_Choice", bound=StrEnum)


class AnswerForm(StrEnum):
    """The form in which an answer is asked for."""

    NUMBERED = "numbered"
    JSON = "json"


class Layout(StrEnum):
    """How a prompt is sent to a chat model."""

    TEXT = "text"  # one user message that holds everything, as in the paper
    TURNS = "turns"  # task as system message, each worked example as a user and an assistant turn


_FORM_NOTE = {
    AnswerForm.NUMBERED: "Answer with two numbered lines and nothing else.",
    AnswerForm.JSON: 'Answer with a JSON object that has the keys "similar" and "dissimilar", '
    "and with nothing else.",
}


@dataclass(frozen=True)
class Example:
    """A worked example: what a good answer looks like."""

    sentence: str
    similar: str
    dissimilar: str


@dataclass(frozen=True)
class Prompt:
    """What a teacher reads before it answers, with places for what it is asked about.

    Attributes:
        name: `captions`, `captions.brief`, ..., or a file's name.
        text: The whole prompt as one text; each place is written `{sentence}`.
        turns: The same as chat messages; empty where the text is sent as one user message.
        places: Names of the places, in the order in which they occur.
        answer: Form of the answer that is asked for.
        examples: The worked examples.
    """

    name: str
    text: str
    turns: tuple[tuple[str, str], ...] = ()
    places: tuple[str, ...] = SENTENCE
    answer: AnswerForm = AnswerForm.NUMBERED
    examples: tuple[Example, ...] = ()

    def render(self, *inputs: str) -> str:
        """The whole prompt as one text; it ends where the answer begins.

        Line breaks inside an input become spaces, so that it cannot pass for a part of the
        prompt's own layout.

        Raises:
            SimgptError: an input is empty.
        """
        return _fill(self.text, self.places, inputs)

    def messages(self, *inputs: str) -> list[Message]:
        """The prompt as chat messages.

        Raises:
            SimgptError: an input is empty.
        """
        if not self.turns:
            return [{"role": "user", "content": self.render(*inputs)}]
        *fixed, (role, last) = self.turns
        return [
            *({"role": name, "content": content} for name, content in fixed),
            {"role": role, "content": _fill(last, self.places, inputs)},
        ]

    @property
    def hash(self) -> str:
        """Hex SHA-256 over the prompt as a teacher reads it.

        It changes with every letter of the prompt and with nothing else, so annotations can say
        which prompt they came from.
        """
        read = json.dumps([self.text, self.turns, self.answer], ensure_ascii=False)
        return hashlib.sha256(read.encode()).hexdigest()


def answer_text(similar: str, dissimilar: str) -> str:
    """An answer in the numbered form."""
    return f"1. {similar}\n2. {dissimilar}"


def json_answer_text(similar: str, dissimilar: str) -> str:
    """An answer in the JSON form."""
    return json.dumps({"similar": similar, "dissimilar": dissimilar}, ensure_ascii=False)


def prompt_names() -> list[str]:
    """The bundled annotation prompts: kinds of source sentence, and variants `KIND.VARIANT`."""
    return sorted(path.stem for path in PROMPTS.glob("*.toml"))


def load_prompt(name: str) -> Prompt:
    """A bundled annotation prompt.

    Raises:
        SimgptError: there is no such prompt.
    """
    if name not in prompt_names():
        raise SimgptError(f"no prompt for {name!r}; known: {', '.join(prompt_names())}")
    return read_prompt(PROMPTS / f"{name}.toml")


def read_prompt(path: Path, places: tuple[str, ...] = SENTENCE) -> Prompt:
    """Read a prompt from a `.toml` file (see the bundled ones) or a `.txt` file.

    A text file is sent as it stands, with the sentence put in at `{sentence}`. One that ends in
    `Input:`, as the paper's released prompts do, gets the sentence and `Output:` appended.

    Raises:
        SimgptError: the file is missing, not UTF-8 or not TOML; a key is missing, unknown or
            empty; there is no place for the sentence; or a worked example is malformed. The
            sentence names file and fault.
    """
    if path.suffix == ".txt":
        return _text_prompt(path, places)
    if path.suffix != ".toml":
        raise SimgptError(f"{path}: a prompt file ends in .toml or .txt")
    if places != SENTENCE:
        raise SimgptError(f"{path}: this prompt must be a .txt file with {_listed(places)}")
    content = _toml(path)
    form = _choice(AnswerForm, content.get("answer", "numbered"), f"{path}: answer")
    layout = _choice(Layout, content.get("layout", "text"), f"{path}: layout")
    instructions = content.get("instructions")
    if not isinstance(instructions, list) or len(instructions) != 2:
        raise SimgptError(f"{path}: instructions must be a list of two texts")
    examples = content.get("examples")
    if not isinstance(examples, list) or not examples:
        raise SimgptError(f"{path}: examples is missing or empty; give at least one [[examples]]")
    head = "\n".join(
        [
            _text(content.get("task"), f"{path}: task"),
            *(
                f"{number}. {_text(text, f'{path}: instructions, number {number}')}"
                for number, text in enumerate(instructions, start=1)
            ),
            f"Note: {_text(content.get('note'), f'{path}: note')} {_FORM_NOTE[form]}",
        ]
    )
    return _prompt(
        path,
        head,
        tuple(
            _example(example, f"{path}: examples, number {number}")
            for number, example in enumerate(examples, start=1)
        ),
        form,
        layout,
    )


def _prompt(
    path: Path, head: str, examples: tuple[Example, ...], form: AnswerForm, layout: Layout
) -> Prompt:
    write = json_answer_text if form is AnswerForm.JSON else answer_text
    asked = [(example.sentence, write(example.similar, example.dissimilar)) for example in examples]
    blocks = [head, *(f"Input: {sentence}\nOutput:\n{answer}" for sentence, answer in asked)]
    turns: list[tuple[str, str]] = []
    if layout is Layout.TURNS:
        turns.append(("system", head))
        for sentence, answer in asked:
            turns += [("user", f"Input: {sentence}"), ("assistant", answer)]
        turns.append(("user", "Input: {sentence}"))
    text = "\n\n".join([*blocks, "Input: {sentence}\nOutput:"])
    if text.count("{sentence}") != 1:
        raise SimgptError(f"{path}: only the place for the sentence may be written {{sentence}}")
    return Prompt(
        name=path.stem,
        text=text,
        turns=tuple(turns),
        answer=form,
        examples=examples,
    )


def _toml(path: Path) -> dict[str, Any]:
    """A prompt file's keys, with those of the prompt that it extends filled in."""
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SimgptError(f"{path}: not valid TOML ({error})") from error
    _only(content, _KEYS, str(path))
    base = content.pop("extends", None)
    if base is None:
        return content
    if base not in prompt_names():
        raise SimgptError(f"{path}: extends is {base!r}; known: {', '.join(prompt_names())}")
    return {**_toml(PROMPTS / f"{base}.toml"), **content}


def _text_prompt(path: Path, places: tuple[str, ...]) -> Prompt:
    text = read_text(path).strip()
    if places == SENTENCE and "{sentence}" not in text and _OPEN_END.search(text):
        text += " {sentence}\nOutput:"
    for place in places:
        if text.count(f"{{{place}}}") != 1:
            raise SimgptError(
                f"{path}: the prompt must hold {_listed(places)} once each, where what is asked "
                f"about goes; {{{place}}} occurs {text.count(f'{{{place}}}')} times"
            )
    order = tuple(sorted(places, key=lambda place: text.index(f"{{{place}}}")))
    if order != places:
        raise SimgptError(f"{path}: the places must come in the order {_listed(places)}")
    examples = _text_examples(path, text) if places == SENTENCE else ()
    return Prompt(name=path.stem, text=text, places=places, examples=examples)


def _text_examples(path: Path, text: str) -> tuple[Example, ...]:
    """The worked examples of a text prompt: blocks of `Input:` and `Output:`."""
    _, *blocks = re.split(r"^Input:", text, flags=re.MULTILINE)
    examples = []
    for number, block in enumerate(blocks, start=1):
        if "{sentence}" in block:
            continue
        where = f"{path}: worked example {number}"
        sentence, found, answer = block.partition("Output:")
        if not found:
            raise SimgptError(f"{where} has no `Output:`")
        try:
            similar, dissimilar = parse_answer(answer)
        except AnswerError as error:
            raise SimgptError(f"{where} cannot be read as an answer: {error}") from error
        examples.append(Example(_text(sentence, f"{where}: sentence"), similar, dissimilar))
    return tuple(examples)


def _fill(template: str, places: tuple[str, ...], inputs: tuple[str, ...]) -> str:
    filled = []
    for place, given in zip(places, inputs, strict=True):
        text = " ".join(given.split())
        if not text:
            raise SimgptError("an empty sentence cannot be annotated")
        before, _, template = template.partition(f"{{{place}}}")
        filled += [before, text]
    return "".join([*filled, template])


def _example(content: Any, where: str) -> Example:
    if not isinstance(content, dict):
        raise SimgptError(f"{where} must be a table with {', '.join(TEXTS)}")
    _only(content, TEXTS, where)
    texts = [_text(content.get(name), f"{where}: {name}") for name in TEXTS]
    if len({text.casefold() for text in texts}) < len(texts):
        raise SimgptError(f"{where}: the three texts must differ, but one repeats another")
    return Example(*texts)


def _choice(kind: type[_Choice], value: Any, where: str) -> _Choice:
    if value not in list(kind):
        raise SimgptError(f"{where} is {value!r}; it must be one of: {', '.join(kind)}")
    return kind(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SimgptError(f"{where} is missing or empty; it must be text")
    return value.strip()


def _only(content: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(content.keys() - set(known))
    if unknown:
        raise SimgptError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")


def _listed(places: tuple[str, ...]) -> str:
    return " and ".join(f"{{{place}}}" for place in places)
