"""Judge triplets: which ones would teach a model the wrong thing, and why.

A teacher can answer in the right form and still miss the point: it hands the sentence back, swaps
one word, puts a "not" in, or tells everyone the same. Each such fault has a verdict. Texts are
compared as `words` sees them, that is, apart from case, spacing and punctuation.
"""

import hashlib
import re
from array import array
from collections.abc import Container, Iterable
from enum import StrEnum

import numpy as np
from rapidfuzz.distance import Levenshtein

from simgpt.annotate.parsing import is_refusal
from simgpt.annotate.statistics import opens_alike, words

# Shares of characters that stay as they are when a text is edited into the other, on average per
# position. A similar sentence has to be reworded. A dissimilar one may keep much of the wording,
# as in "rose" for "fell" or when two people trade places; it is refused only when the difference
# is so small that the two would still be read as related.
CLOSE_SIMILAR = 0.9
CLOSE_DISSIMILAR = 0.93
# A definition has many times the words of what it defines, in both directions, so short texts get
# a slack; beyond it, a sentence was summed up or embroidered.
LENGTH_FACTOR = 3
LENGTH_SLACK = 3
MAX_CHARACTERS = 600  # a paragraph or a model that could not stop, in any script
REUSE_LIMIT = 3  # twice happens by chance to short sentences

_NEGATIONS = {"not": "", "no": "", "never": "", "cannot": "can", "without": "with"}
_NEGATIONS |= {"can't": "can", "won't": "will", "shan't": "shall"}
# What comes and goes with a negation: "A dog barks", "No dog is barking", "The dog does not bark".
_HELPERS = frozenset("a an the any some do does did am is are was were be".split())
# English words that carry little meaning of their own. Negations are not among them.
_FUNCTION_WORDS = _HELPERS | frozenset(
    "being been have has had it its he she they his her their there this that these those"
    " of in on at to for with by and or as from into".split()
)
_ENDING = re.compile(r"(?:ing|e?[ds]|e)$")


class Verdict(StrEnum):
    """What is the matter with a triplet, in the order in which verdicts are given."""

    COPY = "copy"
    """The similar or the dissimilar sentence has the sentence's words, in its order."""
    NEAR_COPY = "near_copy"
    """The similar sentence is so close that it teaches nothing, or the dissimilar one so close
    that it can hardly be dissimilar: at least `CLOSE_SIMILAR` or `CLOSE_DISSIMILAR`."""
    NEGATION = "negation"
    """The dissimilar sentence is the sentence with an (English) negation put in or taken out."""
    FRAGMENT = "fragment"
    """The dissimilar sentence says nothing that the sentence or the similar one does not say: all
    its content words stand there, in the same order. (In another order they may mean another thing:
    dog bites man, man bites dog.)"""
    SAME = "same"
    """The similar and the dissimilar sentence have the same words in the same order."""
    REFUSAL = "refusal"
    """The similar or the dissimilar sentence declines the task."""
    LENGTH = "length"
    """The similar or the dissimilar sentence is longer or shorter than the sentence by more than
    `LENGTH_FACTOR` and `LENGTH_SLACK` allow, or has over `MAX_CHARACTERS`."""
    REUSED = "reused"
    """The similar or the dissimilar sentence is among the answers that were given too often."""
    OPENING = "opening"
    """The dissimilar sentence begins with the sentence's first two words and the similar one does
    not: fine once, but in the mass it lets a model tell the two apart without reading on."""


REJECTING = frozenset(Verdict) - {Verdict.OPENING}
"""The verdicts that keep a triplet out of the training file; the others are only recorded."""


def audit(
    sentence: str, similar: str, dissimilar: str, *, reused: Container[int]
) -> tuple[Verdict, ...]:
    """All verdicts on a triplet, in the order of `Verdict`; none for a good one.

    Args:
        sentence: The source sentence.
        similar: The sentence that should mean the same.
        dissimilar: The sentence that should mean something else.
        reused: What `reused_answers` found in the data set; an empty set leaves the check out.
    """
    s, p, n = _words(sentence), _words(similar), _words(dissimilar)
    checks = (
        (Verdict.COPY, s in (p, n)),
        (Verdict.NEAR_COPY, _close(s, p, CLOSE_SIMILAR) or _close(s, n, CLOSE_DISSIMILAR)),
        (Verdict.NEGATION, _negates(s, n)),
        (Verdict.FRAGMENT, n not in (s, p) and (_is_part(n, s) or _is_part(n, p))),
        (Verdict.SAME, p == n),
        (Verdict.REFUSAL, is_refusal(similar) or is_refusal(dissimilar)),
        (
            Verdict.LENGTH,
            max(len(similar), len(dissimilar)) > MAX_CHARACTERS
            or _lengths_differ(s, p)
            or _lengths_differ(s, n),
        ),
        (Verdict.REUSED, _hash(p) in reused or _hash(n) in reused),
        (
            Verdict.OPENING,
            opens_alike(sentence, dissimilar) and not opens_alike(sentence, similar),
        ),
    )
    return tuple(verdict for verdict, holds in checks if holds)


def reused_answers(answers: Iterable[tuple[str, str]]) -> frozenset[int]:
    """Hashes of the texts given in at least `REUSE_LIMIT` answers, for `audit`.

    Reads a stream of (similar, dissimilar), one for each sentence, and keeps 8 bytes a text.
    """
    hashes = array("Q")
    for answer in answers:
        hashes.extend({_hash(_words(text)) for text in answer})
    values, counts = np.unique(np.asarray(hashes, dtype=np.uint64), return_counts=True)
    return frozenset(values[counts >= REUSE_LIMIT].tolist())


def _words(text: str) -> list[str]:
    return words(text.replace("’", "'"))  # "don’t" is "don't"


def _hash(text: list[str]) -> int:
    # Not `hash`, which differs from process to process. 64 bits keep millions of texts apart.
    data = " ".join(text).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


def _close(first: list[str], second: list[str], limit: float) -> bool:
    a, b = " ".join(first), " ".join(second)
    return a != b and Levenshtein.normalized_similarity(a, b, score_cutoff=limit) >= limit


def _lengths_differ(first: list[str], second: list[str]) -> bool:
    short, long = sorted((len(first), len(second)))
    return long > LENGTH_FACTOR * (short + LENGTH_SLACK)


def _is_part(part: list[str], whole: list[str]) -> bool:
    """Do the content words of `part` stand in `whole`, in this order?"""
    words_left = iter([word for word in whole if word not in _FUNCTION_WORDS])
    content = [word for word in part if word not in _FUNCTION_WORDS]
    # One word alone says too little: "It is late.", "Is it late?"
    return len(content) > 1 and all(word in words_left for word in content)


def _negates(first: list[str], second: list[str]) -> bool:
    """Are these the same words, with a different number of negations?"""
    return _negations(first) != _negations(second) and _affirmed(first) == _affirmed(second)


def _negations(text: list[str]) -> int:
    return sum(word in _NEGATIONS or word.endswith("n't") for word in text)


def _affirmed(text: list[str]) -> list[str]:
    """The words' stems without negations and helpers, sorted."""
    plain = [_NEGATIONS.get(word, word.removesuffix("n't")) for word in text]
    return sorted(_ENDING.sub("", word) for word in plain if word and word not in _HELPERS)
