"""From a teacher's raw answer to the two sentences in it."""

import re

from simgpt.errors import SimgptError

# A number and its sign. "1.5 million people" opens with a figure, not with a line's number.
_NUMBERED = re.compile(r"([0-9]+)\s*[.):](?![0-9])\s*(.*)")
_LABEL = re.compile(r"(similar|dissimilar)(?: sentence)?\s*:\s*(.*)", re.IGNORECASE)
_REFUSAL = re.compile(r"(i'm |i am )?(sorry|unable)|i (can't|cannot|won't)|as an ai", re.IGNORECASE)
_LABELS = ("similar", "dissimilar")


class AnswerError(SimgptError):
    """An answer that does not hold what the prompt asked for."""


def parse_answer(text: str) -> tuple[str, str]:
    """The similar and the dissimilar sentence of a raw answer.

    The form is two lines, `1.` and `2.`; `1)` and `1:` pass, as do blank lines, white space and
    a label (`1. Similar: ...`). Anything else is refused and not guessed at: a wrong guess would
    end up in the training data.

    Raises:
        AnswerError: the answer is empty, a refusal or unnumbered, lacks a line or its text, has
            a line too many, or says the same thing twice.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise AnswerError("the answer is empty")
    if not any(_NUMBERED.match(line) for line in lines):
        kind = "a refusal" if _REFUSAL.match(lines[0].replace("’", "'")) else "no numbered line"
        raise AnswerError(f"{kind}: {_short(lines[0])}")
    similar, dissimilar = (_numbered_text(lines, number) for number in (1, 2))
    if len(lines) > 2:
        raise AnswerError(f"more than two lines; the third is {_short(lines[2])}")
    if similar.casefold() == dissimilar.casefold():
        raise AnswerError(f"both lines say {_short(similar)}")
    return similar, dissimilar


def _numbered_text(lines: list[str], number: int) -> str:
    if len(lines) < number:
        raise AnswerError(f'line "{number}." is missing')
    line = lines[number - 1]
    found = _NUMBERED.match(line)
    if found is None or int(found[1]) != number:
        raise AnswerError(f'expected line "{number}." but found {_short(line)}')
    text, label = found[2], _LABEL.match(found[2])
    if label is not None:
        if label[1].lower() != _LABELS[number - 1]:
            raise AnswerError(f'line "{number}." is labelled {label[1]!r}')
        text = label[2]
    if not text:
        raise AnswerError(f'line "{number}." is empty')
    return text


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")
