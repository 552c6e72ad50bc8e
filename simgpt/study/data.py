"""The training data of a study's rows: files as they are, or derived from one by a recipe."""

import hashlib
import json
import os
import random
import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from pathlib import Path

import numpy as np

from simgpt.annotate.statistics import opens_alike
from simgpt.errors import SimgptError
from simgpt.files import sha256_of
from simgpt.study.grid import BUNDLED, WAVE_4, Data
from simgpt.triplets import (
    BUNDLED_TRIPLETS,
    BUNDLED_WAVE_4,
    Triplet,
    read_triplets,
    repeats,
    write_triplets,
)

BUNDLED_FILES = {BUNDLED: BUNDLED_TRIPLETS, WAVE_4: BUNDLED_WAVE_4}

# What balances and perturbs draws anew each time it is given the same file: always this.
_SEED = 1
_DELETED = 0.1
_REPLACED = 1 / 3
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

# Read anew each time, so that no file is held in memory.
Reader = Callable[[], Iterator[Triplet]]


class MissingData(SimgptError):
    """Data that is not on this machine: its rows cannot be run here."""


def prepare(data: Data, folder: Path) -> str:
    """The setting `triplets` of a row's runs; a derived file is written into `folder` once.

    Its name holds the digest of the recipe and of the sources' content, so no two share one.

    Raises:
        MissingData: a source is not there: the file is missing, or the variable is not set.
        SimgptError: a source is no sound triplets file, or the recipe leaves nothing of it.
    """
    if list(data.sources) == [BUNDLED] and not data.is_derived:
        return BUNDLED
    files = [_file(data, source) for source in data.sources]
    if not data.is_derived:
        return str(files[0])
    content = "+".join(map(sha256_of, files))
    recipe = json.dumps([content, dict(data.where), data.balance, data.perturb], sort_keys=True)
    path = folder / f"{data.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}.jsonl"
    if not path.is_file():
        what = f"data.{data.name} of {', '.join(map(str, files))}"
        write_triplets(path, _some(derived(data, files), what))
    return str(path)


def derived(data: Data, files: Sequence[Path]) -> Iterator[Triplet]:
    """The triplets of a recipe, in the files' order: chosen, then balanced, then perturbed."""

    def chosen() -> Iterator[Triplet]:
        for triplet in chain.from_iterable(map(read_triplets, files)):
            content = triplet.to_dict()
            if all(content.get(key) in values for key, values in data.where.items()):
                yield triplet

    def kept() -> Iterator[Triplet]:
        return balanced(chosen) if data.balance else chosen()

    return perturbed(kept) if data.perturb else kept()


def balanced(read: Reader) -> Iterator[Triplet]:
    """Drop triplets until as many dissimilar as similar sentences open as their sentence does.

    An opening is the first two words. Where they give away which partner is the similar one, a
    model need not read on. Dropped are, drawn at random with a fixed seed, triplets of which only
    the partner that opens alike too often does.
    """
    # +1: the similar one alone opens alike; -1: the dissimilar one alone.
    leans = np.fromiter(
        (
            opens_alike(triplet.sentence, triplet.similar)
            - opens_alike(triplet.sentence, triplet.dissimilar)
            for triplet in read()
        ),
        dtype=np.int8,
    )
    excess = int(leans.sum(dtype=np.int64))
    candidates = np.flatnonzero(leans == np.sign(excess)).tolist() if excess else []
    dropped = set(random.Random(_SEED).sample(candidates, abs(excess)))  # noqa: S311
    return (triplet for n, triplet in enumerate(read()) if n not in dropped)


def perturbed(read: Reader) -> Iterator[Triplet]:
    """Replace both partners by rule-made ones: what an LLM's have to beat.

    In the style of EDA (Wei and Zou, 2019, "EDA: Easy Data Augmentation Techniques for Boosting
    Performance on Text Classification Tasks"). The similar sentence is the sentence without a
    tenth of its words (one at least) and with two neighbours swapped; the dissimilar one is the
    sentence with a third of its content words (one at least) replaced by content words of the
    other sentences, frequent ones more often. Each sentence's draws are seeded by its triplet's
    id, so the order of the file does not matter. A sentence that is too short for three different
    texts is left out.
    """
    counts: Counter[str] = Counter()
    for triplet in read():
        counts.update(_content_words(triplet.sentence))
    vocabulary = sorted(counts)
    heights = list(accumulate(counts[word] for word in vocabulary))

    def draw_word(draw: random.Random) -> str:
        return vocabulary[bisect(heights, draw.randrange(heights[-1]))]

    for triplet in read():
        draw = random.Random(triplet.id)  # noqa: S311
        texts = (
            triplet.sentence,
            _shortened(triplet.sentence, draw),
            _with_other_words(triplet.sentence, draw, draw_word),
        )
        if all(texts) and not repeats(texts):
            yield replace(triplet, similar=texts[1], dissimilar=texts[2])


def _file(data: Data, source: str) -> Path:
    if source in BUNDLED_FILES:
        return BUNDLED_FILES[source]
    name, place = source, f"data.{data.name}.from"
    if name.startswith("$"):
        variable, name = name, os.environ.get(name[1:], "")
        if not name:
            raise MissingData(f"{place}: {variable} is not set; it names a triplets file")
        place += f", {variable}"
    if not Path(name).is_file():
        raise MissingData(f"{place}: {name}: no such file")
    return Path(name)


def _some(triplets: Iterator[Triplet], what: str) -> Iterator[Triplet]:
    first = next(triplets, None)
    if first is None:
        raise SimgptError(f"{what}: its recipe leaves no triplet; check the keys of where")
    yield first
    yield from triplets


def _shortened(text: str, draw: random.Random) -> str:
    words = text.split()
    if len(words) < 3:
        return ""
    for _ in range(max(1, round(_DELETED * len(words)))):
        del words[draw.randrange(len(words))]
    at = draw.randrange(len(words) - 1)
    words[at : at + 2] = words[at + 1], words[at]
    return " ".join(words)


def _with_other_words(
    text: str, draw: random.Random, draw_word: Callable[[random.Random], str]
) -> str:
    found = [match for match in _WORD.finditer(text) if _is_content(match[0])]
    if not found:
        return ""
    own = set(_content_words(text))
    chosen = draw.sample(found, max(1, round(_REPLACED * len(found))))
    for match in sorted(chosen, key=lambda match: -match.start()):  # the rest keeps its place
        word = next((word for _ in range(100) if (word := draw_word(draw)) not in own), "")
        if not word:  # the file has no other words
            return ""
        if match[0][0].isupper():
            word = word[0].upper() + word[1:]
        text = text[: match.start()] + word + text[match.end() :]
    return text


def _content_words(text: str) -> Iterable[str]:
    return (word for word in (match.lower() for match in _WORD.findall(text)) if _is_content(word))


def _is_content(word: str) -> bool:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    # "don't" and "it's" are on no such list.
    return word.lower() not in ENGLISH_STOP_WORDS and not {"'", "’"} & set(word)
