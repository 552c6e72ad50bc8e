"""From a teacher's raw answer to the two sentences in it.

The prompts ask for two numbered lines. Models also label, quote or decorate them, answer in JSON,
chat around the answer or run on after it. What can mean one thing only is read, the rest refused.
"""

import json
import re
from contextlib import suppress
from enum import StrEnum

from simgpt.errors import SimgptError

_NUMBERS = {"similar": 1, "dissimilar": 2}

# How an item may begin: a bullet, a number and its sign, a label, each of them optional. The sign
# is not followed by a digit: "1.5 million people" opens with a figure, not with a line's number.
# Repetitions are possessive (`*+`) so that no answer, however odd, makes the match backtrack.
_HEAD = re.compile(
    r"""[-*+•>#\s]*+
    (?:(?:(?:sentence|output\s*+:)\s*+)?[(（\[]?\s*+(?P<number>\d{1,2})\s*+
       (?:[.．。:：)）\]、]{1,2}+(?!\d)|[-–—]\s++(?!\d))\s*+)?
    (?:[*_(\[]*+(?:definitely\s++)?(?P<label>(?:dis)?similar)(?:\s++sentence)?
       \s*+[*_]*+\s*+(?:[:：)\]][*_:：]*+|$))?
    (?P<text>.*)""",
    re.IGNORECASE | re.VERBOSE,
)
_BOLD = re.compile(r"\*\*([^*]++)\*\*")
_RUN_ON = re.compile(r"^[ \t]*+input\s*+:", re.IGNORECASE | re.MULTILINE)
# Right below an item these are no part of it, yet nothing says so; the prompt itself has a "Note:".
_REMARK = re.compile(r"\W*+(?:(?:note|explanation)\s*+:|let me know\b)", re.IGNORECASE)
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“", "«": "»", "「": "」", "『": "』"}
_STRAIGHT = str.maketrans(dict.fromkeys("“”„", '"'))
_DECODER = json.JSONDecoder(object_pairs_hook=list, strict=False)

# How a whole answer opens that is none. "I can't find my keys." is also a good sentence, so ...
_SORRY = re.compile(
    r"""\W*+(?:(?:i(?:'m|\ am)\ )?(?:(?:very|so|really)\ )?(?:sorry|unable)|i\ apologi[sz]e
    |i\ (?:can't|cannot|can\ not|won't)|as\ an?\ (?:ai|language\ model)\b|unfortunately
    |lo\ siento|no\ puedo|(?:je\ suis\ )?désolé|je\ ne\ peux|(?:es\ )?tut\ mir\ leid|ich\ kann
    |desculpe|não\ posso|mi\ dispiace|non\ posso|извините|к\ сожалению|я\ не\ могу
    |(?:很|非常)?抱歉|对不起|對不起|我(?:无法|不能|無法)|申し訳|عذر|آسف)""",
    re.IGNORECASE | re.VERBOSE,
)
# ... a single item counts as a refusal only where it also speaks of the task.
_TASK_REFUSED = re.compile(
    r"""\W*+(?:(?:i(?:'m|\ am)\ )?(?:(?:very|so|really)\ )?
       (?:sorry|unfortunately|i\ apologi[sz]e|my\ apologies)\b[^?]{0,40}?\b)?
    (?:as\ an?\ (?:ai|artificial\ intelligence|(?:large\ )?language\ model)
       (?:\ (?:language\ )?(?:model|assistant))?,?\ (?:i|my|it)\b
    |i(?:\ (?:can't|cannot|can\ not|won't)|(?:'m|\ am)\ (?:unable|not\ able)\ to)\ (?:comply(?=\W*$)
       |(?:generate|provide|create|write|produce|fulfil+|(?:help|assist|comply)(?:\ you)?\ with)
        \ (?:[^.!?]{0,60}?\b(?:sentence|content|text|material|request|response|prompt|task)s?\b
          |(?:this|that|it)(?=\W*$|[.,;!]))))""",
    re.IGNORECASE | re.VERBOSE,
)


class AnswerFault(StrEnum):
    """Why an answer could not be used."""

    EMPTY = "empty"
    """Nothing but white space."""
    REFUSAL = "refusal"
    """The model declines, instead of an answer or as the text of an item."""
    UNNUMBERED = "unnumbered"
    """Text without any number or label of an item, and without JSON that has one."""
    MISSING = "missing"
    """One of the two items is not there or has no text."""
    TRUNCATED = "truncated"
    """The answer breaks off before both items are surely complete."""
    AMBIGUOUS = "ambiguous"
    """More items than two, two texts for one item, or a label against its number."""
    MALFORMED_JSON = "malformed_json"
    """A JSON object that does not parse, or holds something else than text."""
    SAME = "same"
    """Both items say the same, apart from case."""


class AnswerError(SimgptError):
    """An answer that does not hold what the prompt asked for.

    `kind` is one of `AnswerFault`, for counting; `str()` is a sentence to read.
    """

    def __init__(self, kind: AnswerFault, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


def parse_answer(text: str, *, truncated: bool = False, quoted: bool = False) -> tuple[str, str]:
    """The similar and the dissimilar sentence of a raw answer, each on a single line.

    Items are told apart by number or label, not by position. An item reaches to the next item or
    to a blank line; text outside of items is dropped, and so is everything from a line "Input:"
    on, where a base model goes on to invent the next task.

    Args:
        text: The raw answer.
        truncated: The server cut the answer off at its token limit (`finish_reason` "length"). An
            item that nothing closes is then not trusted.
        quoted: The sentence asked about stands in quotation marks itself, so marks around an item
            belong to it; otherwise they are taken off.

    Raises:
        AnswerError: the answer cannot be read in one way only, or holds no answer. Nothing is
            guessed: a wrong guess would end up in the training data.
    """
    text = _BOLD.sub(r"\1", text)
    items, is_open = _numbered_items(text)
    if not items:
        items, is_open = _json_items(text, truncated), False
    if not items:
        raise _no_item(text.strip(), truncated)
    if not quoted:
        items = [(number, unquoted(item)) for number, item in items]
    for _, item in items:
        if is_refusal(item):
            raise AnswerError(AnswerFault.REFUSAL, f"a refusal: {_short(item)}")
    if truncated and (is_open or {1, 2} - dict(items).keys()):
        raise AnswerError(AnswerFault.TRUNCATED, f"cut off in or before {_short(items[-1][1])}")
    similar, dissimilar = _text_of(items, 1), _text_of(items, 2)
    if similar.casefold() == dissimilar.casefold():
        raise AnswerError(AnswerFault.SAME, f"both lines say {_short(similar)}")
    return similar, dissimilar


def is_refusal(text: str) -> bool:
    """Does an (English) sentence decline the task, as in "I cannot provide that."?

    "I can't find my keys." and "I'm sorry I broke your vase." are sentences like others.
    """
    return _TASK_REFUSED.match(text[:200].replace("’", "'")) is not None


def _numbered_items(text: str) -> tuple[list[tuple[int, str]], bool]:
    """Number and text of each item, and whether the last one is still open at the end."""
    items: list[tuple[int, list[str]]] = []
    is_open = False
    for line in map(str.strip, text.splitlines()):
        if items and _RUN_ON.match(line):
            is_open = False
            break
        head = _HEAD.match(line)
        if head is not None and (head["number"] or head["label"]):
            items.append((_number(head), [head["text"]]))
            is_open = True
        elif not line or line.startswith("```"):
            is_open = is_open and not any(items[-1][1])  # a heading may have a blank line below
        elif is_open:
            if _REMARK.match(line):
                raise AnswerError(AnswerFault.AMBIGUOUS, f"a remark in an item: {_short(line)}")
            items[-1][1].append(line)
    return [(number, _clean(" ".join(lines))) for number, lines in items], is_open


def _number(head: re.Match[str]) -> int:
    labelled = _NUMBERS[head["label"].lower()] if head["label"] else None
    number = int(head["number"] or labelled or 0)
    if number not in (1, 2) or labelled not in (None, number):
        raise AnswerError(AnswerFault.AMBIGUOUS, f"neither item 1 nor 2: {_short(head[0])}")
    return number


def _json_items(text: str, truncated: bool) -> list[tuple[int, str]]:
    """The same from the named values of a JSON object; none when there is no such object."""
    if "{" not in text:
        return []
    plain = text[text.index("{") :]
    for body in (plain, plain.translate(_STRAIGHT)):
        with suppress(ValueError, RecursionError):
            pairs, end = _DECODER.raw_decode(body)
            break
    else:
        broken_off = truncated or "}" not in plain
        kind = AnswerFault.TRUNCATED if broken_off else AnswerFault.MALFORMED_JSON
        raise AnswerError(kind, f"{kind.replace('_', ' ')} answer: {_short(plain)}")
    if "{" in _RUN_ON.split(body[end:], maxsplit=1)[0]:
        raise AnswerError(AnswerFault.AMBIGUOUS, "more than one JSON object")
    named = [(_NUMBERS.get(name.strip().lower(), 0), value) for name, value in pairs]
    if not all(isinstance(value, str) for number, value in named if number):
        raise AnswerError(AnswerFault.MALFORMED_JSON, f"not text in the JSON: {_short(body)}")
    return [(number, _clean(str(value))) for number, value in named if number]


def _no_item(text: str, truncated: bool) -> AnswerError:
    if _SORRY.match(text.replace("’", "'")):
        return AnswerError(AnswerFault.REFUSAL, f"a refusal: {_short(text)}")
    if truncated:
        return AnswerError(AnswerFault.TRUNCATED, f"cut off before a first item: {_short(text)}")
    if not text:
        return AnswerError(AnswerFault.EMPTY, "the answer is empty")
    return AnswerError(AnswerFault.UNNUMBERED, f"no numbered line: {_short(text)}")


def _text_of(items: list[tuple[int, str]], number: int) -> str:
    texts = {text for n, text in items if n == number and text}
    if not texts:
        raise AnswerError(AnswerFault.MISSING, f'line "{number}." is missing or empty')
    if len(texts) > 1:
        raise AnswerError(AnswerFault.AMBIGUOUS, f'line "{number}." comes with different texts')
    return texts.pop()


def _clean(text: str) -> str:
    # Half an emoji, cut between two tokens, is no valid text and could not be written to a file.
    return " ".join(text.encode(errors="ignore").decode().split())


def unquoted(text: str) -> str:
    """`text` without a pair of quotation marks around the whole of it."""
    close = _QUOTES.get(text[:1])
    if close is None or len(text) < 2 or text[-1] != close:
        return text
    inner = text[1:-1]
    first_close = re.search(rf"{close}(?!\w)", inner)  # followed by a letter: an apostrophe
    # In `"Yes" and "no"` the outer marks are not a pair, in `"He said "no" twice."` they are.
    whole = first_close is None or text[0] in inner[: first_close.start()]
    return inner.strip() if whole else text


def _short(text: str) -> str:
    line = " ".join(text[:200].split())
    return repr(line if len(line) <= 60 else f"{line[:57]}...")
