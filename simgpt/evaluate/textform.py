r"""How the text of benchmark files was prepared, told from the text itself.

SentEval's files went through Moses' tokenizer, once, and most were lowercased. Copies that were
tokenised twice, escaped, tokenised otherwise or not at all look alike from afar and give other
scores, so the signature says what a file is, not what it should be:

    raw                  It's late, isn't it?
    moses, cased         It 's late , isn 't it ?
    the same, lower      it 's late , isn 't it ?
    moses-escaped        It &apos;s late , isn &apos;t it ?
    moses-twice          It ' s late , isn ' t it ?
    ptb                  It 's late , is n't it ?
"""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.evaluate.rows import Row

logger = logging.getLogger(__name__)

_CLITIC = r"(?:s|t|re|ve|ll|d|m)\b"
_ENTITY = r"(?:amp|quot|apos|lt|gt|# ?\d+)"
# Punctuation and clitics that stand with the word, or on their own.
_ATTACHED = re.compile(rf"\w[.!?]$|\w,(?= )|[a-z](?<! n)'{_CLITIC}", re.I)
_SEPARATE = re.compile(rf"(?:^| )[.!?]$| ,(?= |$)|[a-z] '{_CLITIC}", re.I)
# What other preparations leave behind, and what Moses' tokenizer leaves in its place.
_TWICE = re.compile(rf"[a-z] ' {_CLITIC}|\bn ' ?t\b|& {_ENTITY} ?;", re.I)
_OTHERWISE = {
    "moses-twice": (_TWICE, re.compile(rf"[a-z] '{_CLITIC}", re.I)),
    "moses-escaped": (re.compile(r"&(?:apos|quot);"), re.compile(r"['\"]")),
    "ptb": (re.compile(r" n't\b", re.I), re.compile(r"\wn 't\b", re.I)),
}
# Shares of the sentences that tell. Tweets as published have some blanks before commas; in
# SentEval's files nothing is attached.
_MOSTLY, _HARDLY = 0.9, 0.1


def text_form(task: str, files: Mapping[Path, Sequence[Row]]) -> str:
    """The text field of a task's signature, such as `moses-lower` or `raw`.

    A copy that was tokenised twice is warned of, with a line of it.

    Args:
        task: Its name, for warnings and errors.
        files: The scored rows of each of its files.

    Raises:
        SimgptError: some of the text is tokenised and some is not, or nothing tells which.
    """
    texts = {path: [text for row in rows for text in row[:2]] for path, rows in files.items()}
    tokenised = {path: _is_tokenised(path, sentences) for path, sentences in texts.items()}
    one = next((path for path, told in tokenised.items() if told), None)
    other = next((path for path, told in tokenised.items() if told is False), None)
    if one and other:
        raise SimgptError(
            f"{task}: {one} is tokenised and {other.name} is not; take all files from one copy"
        )
    if not (one or other):
        raise SimgptError(
            f"{next(iter(files))}: no punctuation tells whether {task} is tokenised or as published"
        )
    has_capitals = any(re.search("[A-Z]", text) for some in texts.values() for text in some)
    if other:
        return "raw" if has_capitals else "raw-lower"
    tokenizer, unlike = next(
        (
            (name, path)
            for name, (mark, instead) in _OTHERWISE.items()
            for path, sentences in texts.items()
            if _share(sentences, mark, instead) > 0.5
        ),
        ("moses", None),
    )
    if unlike and tokenizer == "moses-twice":
        where, sentence = next(
            (row.where, text) for row in files[unlike] for text in row[:2] if _TWICE.search(text)
        )
        logger.warning(
            "%s: its text was tokenised twice and is not the paper's (%s: %s)",
            task,
            where,
            sentence,
        )
    return f"{tokenizer}-{'cased' if has_capitals else 'lower'}"


def _is_tokenised(path: Path, sentences: Sequence[str]) -> bool | None:
    attached = _share(sentences, _ATTACHED, _SEPARATE)
    if math.isnan(attached):  # no sentence tells
        return None
    if _HARDLY < attached < _MOSTLY:
        raise SimgptError(
            f"{path}: neither tokenised nor as published: punctuation stands with the word in "
            f"{attached:.0%} of the sentences and on its own in the others"
        )
    return attached <= _HARDLY


def _share(sentences: Sequence[str], mark: re.Pattern[str], instead: re.Pattern[str]) -> float:
    """Sentences with the mark among those with either; not a number where there are none."""
    marked = sum(mark.search(text) is not None for text in sentences)
    other = sum(instead.search(text) is not None for text in sentences)
    return marked / (marked + other) if marked + other else float("nan")
