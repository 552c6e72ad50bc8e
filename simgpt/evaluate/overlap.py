"""Which benchmark sentences a training sentence repeats, wholly or nearly.

The benchmarks' sentences are few and go into an index; training sentences, however many, stream
past it. What is looked for:

- `exact`: the same text.
- `normalised`: the same letters and digits after NFKC and case folding. Spaces do not count
  either, so the "it 's" of tokenised files is "it's".
- `ngram`: a run of `NGRAM` words in common. In the bundled triplets shared runs of 7 words are
  mostly stock phrases ("what is the best way to ..."), those of 8 are a handful; the runs of 13
  that are usual for web pages do not fit into three quarters of the benchmarks' sentences.
- `near`: a Jaccard index of `THRESHOLD` or more between the sets of `SHINGLE` characters in a row
  (the text as for `normalised`). Photo captions that match so differ in a word or an ending;
  around 0.5 they are other scenes in the same frame (two dogs in a field, two dogs in the snow).

Candidates for `near` come from MinHash LSH and are verified, so none is false. Of texts with index
J the hash misses (1 - J^ROWS)^BANDS: 1 in 700 at the threshold, and fewer above it.
"""

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag

from datasketch import MinHash, MinHashLSH

NGRAM = 8
SHINGLE = 4
THRESHOLD = 0.7
BANDS, ROWS = 24, 4
PERMUTATIONS = BANDS * ROWS
RECALL = 1 - (1 - THRESHOLD**ROWS) ** BANDS  # of the hash, at the threshold

_BREAKS = re.compile(r"[\W_]+")
_BYTES = 4  # of a character in UTF-32


class Level(IntFlag):
    """How two texts match; every match has `ANY` among its levels.

    What is exact is normalised as well, and what is normalised is near; runs of words are found by
    themselves.
    """

    EXACT = 1
    NORMALISED = 2
    NGRAM = 4
    NEAR = 8
    ANY = 16

    @property
    def label(self) -> str:
        """The name that results use for this level."""
        return str(self.name).lower()


@dataclass(frozen=True)
class Match:
    """The levels at which two texts match, and the Jaccard index of their shingles (0 to 1)."""

    levels: Level
    similarity: float


class SentenceIndex:
    """Sentences to look up by their likeness to a text.

    About 12 KB a sentence, and a fraction of a millisecond a look-up, most of it hashing.

    Args:
        sentences: Different texts; matches name them by their place.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        self._exact = {sentence: place for place, sentence in enumerate(sentences)}
        self._runs: dict[str, list[int]] = defaultdict(list)
        self._normalised: dict[str, list[int]] = defaultdict(list)
        self._shingles: list[set[bytes]] = []
        self._blank = MinHash(num_perm=PERMUTATIONS, hashfunc=zlib.crc32)
        self._hashes = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS))
        shared: dict[bytes, bytes] = {}  # a shingle that is in many sentences is in memory once
        for place, sentence in enumerate(sentences):
            words = split_words(sentence)
            plain = "".join(words)
            for run in _runs(words):
                self._runs[run].append(place)
            own = {shared.setdefault(one, one) for one in shingles(plain)}
            self._shingles.append(own)
            if own and plain not in self._normalised:
                self._hashes.insert(plain, self._hashed(own), check_duplication=False)
            self._normalised[plain].append(place)

    def match(self, text: str) -> dict[int, Match]:
        """The sentences that `text` matches, by place."""
        words = split_words(text)
        plain = "".join(words)
        own = shingles(plain)
        levels: dict[int, Level] = defaultdict(lambda: Level.ANY)
        if text in self._exact:
            levels[self._exact[text]] |= Level.EXACT
        for run in _runs(words):
            for place in self._runs.get(run, ()):
                levels[place] |= Level.NGRAM
        # Punctuation alone has no letters that could be the same.
        for other in self._hashes.query(self._hashed(own)) if own else ():
            places = self._normalised[other]
            if jaccard(own, self._shingles[places[0]]) >= THRESHOLD:
                same = Level.NORMALISED if other == plain else Level(0)
                for place in places:
                    levels[place] |= Level.NEAR | same
        return {
            place: Match(found, jaccard(own, self._shingles[place]))
            for place, found in levels.items()
        }

    def _hashed(self, own: set[bytes]) -> MinHash:
        sketch = self._blank.copy()
        sketch.update_batch(own)
        return sketch


def split_words(text: str) -> list[str]:
    """Runs of letters and digits after NFKC and case folding."""
    return _BREAKS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split()


def shingles(plain: str) -> set[bytes]:
    """All `SHINGLE` characters in a row; of a shorter text the whole, of an empty one none."""
    # In UTF-32 a character is four bytes whatever it is, and bytes are what is hashed fastest.
    encoded = plain.encode("utf-32-le")
    last = len(encoded) - SHINGLE * _BYTES
    if last < 0:
        return {encoded} if encoded else set()
    return {encoded[first : first + SHINGLE * _BYTES] for first in range(0, last + 1, _BYTES)}


def jaccard(left: set[bytes], right: set[bytes]) -> float:
    """Shared ones as a part of all; 1 for two empty sets."""
    shared = len(left & right)
    total = len(left) + len(right) - shared
    return shared / total if total else 1.0


def _runs(words: Sequence[str]) -> Iterator[str]:
    return (" ".join(words[first : first + NGRAM]) for first in range(len(words) - NGRAM + 1))
