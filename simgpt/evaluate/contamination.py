"""Has the training data seen the test? Benchmark sentences in it, and scores without their pairs.

A pair is touched where one of its sentences matches a training sentence, and `together` where its
two sentences match two texts of the same triplet: then training has moved this very pair.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from itertools import permutations
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.evaluate import overlap
from simgpt.evaluate.benchmarks import find_tasks
from simgpt.evaluate.clean import Bits, clean_scores
from simgpt.evaluate.overlap import Level, Match, SentenceIndex
from simgpt.evaluate.scored import score_model
from simgpt.evaluate.scores import signature
from simgpt.evaluate.tasks import Task
from simgpt.files import read_lines, sha256_of, staged
from simgpt.hub import HubError
from simgpt.progress import progress as progress_bar
from simgpt.triplets import BUNDLED_TRIPLETS, TEXTS, read_triplets

logger = logging.getLogger(__name__)


def audit_contamination(
    triplets: str = "bundled",
    *,
    models: Sequence[str] = (),
    benchmarks: str = "auto",
    matches: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Look for benchmark sentences in training data, and score models without them.

    The data streams past an index of the benchmarks: what is in memory does not grow with it.

    Args:
        triplets: `bundled`, a file of triplets, or a `.txt` file with a sentence a line (source
            sentences that are yet to be annotated).
        models: As `simgpt.evaluate.score_model` takes them. Touched pairs may be easier or harder
            than others for any model, so what training has gained from them shows only beside a
            model that was not trained on this data.
        benchmarks: As `evaluate_model` takes it. `bundled` means the development pairs, which are
            no benchmark.
        matches: Write each match with its texts here, one JSON object a line. Benchmark text is
            not ours to publish: keep this file to yourself.
        progress: Show progress bars.

    Returns:
        `tasks` (by name: `sentences` that differ, `pairs`, `signature`, `subsets`, and by level how
        many sentences are touched, and how many pairs on one side, on both, and `together`),
        `total` (the same; a pair of several tasks counts in each), `models` (for each its `name`,
        what it is (`model`) and its `scores`, as `clean_scores` returns them), `suite`, `triplets`
        (name, hash, count), `settings`, `environment`, `seconds`. It holds no text of the
        benchmarks.

    Raises:
        SimgptError: the data, the model or a benchmark file is missing or unsound.
    """
    environment, started = describe_environment(), time.monotonic()
    path = BUNDLED_TRIPLETS if triplets == "bundled" else Path(triplets)
    count = sum(1 for _ in _read(path))
    found = find_tasks(benchmarks)
    tasks = found.tasks or found.development
    scored = {name: score_model(name, tasks, progress=progress) for name in models}
    tally = Tally(tasks)
    with _opened(matches) as file, progress_bar("comparing", count, show=progress) as advance:
        for name, texts in _read(path):
            tally.add(name, texts, file)
            advance()
    return {
        "suite": str(found.suite),
        "triplets": {
            "name": triplets if triplets == "bundled" else path.name,
            "sha256": sha256_of(path),
            "count": count,
        },
        "settings": {
            "ngram_words": overlap.NGRAM,
            "shingle_characters": overlap.SHINGLE,
            "threshold": overlap.THRESHOLD,
            "permutations": overlap.PERMUTATIONS,
            "bands": overlap.BANDS,
            "expected_recall_at_threshold": overlap.RECALL,
            "datasketch": metadata.version("datasketch"),
        },
        **tally.counts(),
        "models": [
            {
                "name": Path(name).name.removesuffix(".json"),
                "model": one.model,
                "scores": clean_scores(tasks, one, tally.touched(), progress=progress),
            }
            for name, one in scored.items()
        ],
        "environment": environment,
        "seconds": round(time.monotonic() - started, 1),
    }


def audit_or_fall_back(
    triplets: str, *, models: Sequence[str] = (), benchmarks: str = "auto"
) -> dict[str, Any]:
    """As `audit_contamination`; where no benchmarks can be had, look for the development pairs.

    For pages that should run anywhere. A warning is logged, and the result's `suite` tells.
    """
    try:
        return audit_contamination(triplets, models=models, benchmarks=benchmarks)
    except HubError as error:
        logger.warning("%s; looking for the bundled development pairs, NOT a benchmark", error)
        return audit_contamination(triplets, models=models, benchmarks="bundled")


class Tally:
    """What of the benchmarks has been touched so far, whatever the number of triplets.

    Args:
        tasks: What is looked for.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        places: dict[str, int] = {}
        self._where: list[tuple[str, str, int]] = []  # task, subset and number of each pair
        self._pairs: list[tuple[int, int]] = []  # its two sentences
        self._sides: dict[int, list[tuple[int, int]]] = defaultdict(list)  # of a sentence
        for task in tasks:
            for subset in task.subsets:
                for number, texts in enumerate(zip(subset.left, subset.right, strict=True), 1):
                    both = [places.setdefault(text, len(places)) for text in texts]
                    for side, place in enumerate(both):
                        self._sides[place].append((len(self._pairs), side))
                    self._where.append((task.name, subset.name, number))
                    self._pairs.append((both[0], both[1]))
        self._sentences = list(places)
        self._index = SentenceIndex(self._sentences)
        self._touched = np.zeros(len(places), dtype=np.uint8)
        self._together = np.zeros(len(self._pairs), dtype=np.uint8)

    def add(self, name: str, texts: Sequence[str], file: TextIO | None = None) -> None:
        """Look for the texts of one triplet; write what they match to `file`."""
        found = [self._index.match(text) for text in texts]
        for number, matches in enumerate(found):
            for place, match in matches.items():
                self._touched[place] |= match.levels
                if file is not None:
                    file.writelines(self._lines(place, match, name, number, texts[number]))
        for one, other in permutations(found, 2):
            for place in one:
                for pair, side in self._sides[place]:
                    partner = self._pairs[pair][1]
                    if side == 0 and partner in other:
                        self._together[pair] |= one[place].levels & other[partner].levels

    def touched(self) -> dict[str, Bits]:
        """By task, the levels at which either sentence of each pair was found, shape (pairs,)."""
        of_pairs = np.bitwise_or.reduce(self._touched[np.array(self._pairs)], axis=1)
        ends = np.cumsum([task.pairs for task in self._tasks])[:-1]
        names = [task.name for task in self._tasks]
        return dict(zip(names, np.split(of_pairs, ends), strict=True))

    def counts(self) -> dict[str, Any]:
        """How much was touched, by task, by subset and in all."""
        found: dict[str, Any] = {}
        first = 0
        for task in self._tasks:
            subsets = {}
            begin = first
            for subset in task.subsets:
                subsets[subset.name] = self._count(first, first + len(subset.gold))
                first += len(subset.gold)
            whole = {"signature": signature(task), **self._count(begin, first)}
            found[task.name] = whole | {"subsets": subsets}
        return {"tasks": found, "total": self._count(0, len(self._pairs))}

    def _count(self, begin: int, end: int) -> dict[str, Any]:
        pairs = np.array(self._pairs[begin:end])
        places = np.unique(pairs)
        levels = {}
        for level in Level:
            sides = (self._touched[pairs] & level > 0).sum(axis=1)
            levels[level.label] = {
                "sentences": int((self._touched[places] & level > 0).sum()),
                "one_side": int((sides == 1).sum()),
                "both_sides": int((sides == 2).sum()),
                "together": int((self._together[begin:end] & level > 0).sum()),
            }
        return {"sentences": len(places), "pairs": len(pairs), "levels": levels}

    def _lines(self, place: int, match: Match, name: str, number: int, text: str) -> Iterator[str]:
        """A line for each place where the sentence stands."""
        for pair, side in self._sides[place]:
            task, subset, pair_number = self._where[pair]
            row = {
                "task": task,
                "subset": subset,
                "pair": pair_number,
                "side": ("left", "right")[side],
                "levels": [level.label for level in match.levels & ~Level.ANY],
                "similarity": round(match.similarity, 4),
                "benchmark_sentence": self._sentences[place],
                "training_sentence": text,
                "triplet": name,
                "text": TEXTS[number],
            }
            yield json.dumps(row, ensure_ascii=False) + "\n"


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with staged(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def _read(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Name and texts of each triplet; of a `.txt` file, number and text of each line."""
    if path.suffix != ".txt":
        yield from ((triplet.id, triplet.texts) for triplet in read_triplets(path))
        return
    empty = True
    for line, text in read_lines(path):
        if text.strip():
            empty = False
            yield f"line {line}", [text.strip()]
    if empty:
        raise SimgptError(f"{path}: holds no sentences")
