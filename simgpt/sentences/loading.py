"""Load source sentences from the bundle, a file or the Hugging Face hub."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import read_jsonl, read_text
from simgpt.hub import fetch_dataset_file
from simgpt.sentences.cleaning import clean, duplicate_key
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets

MIN_WORDS, MAX_WORDS = 3, 60


@dataclass(frozen=True)
class HubSource:
    """A public dataset: the Parquet file that holds the sentences, and its columns of text."""

    repository: str
    file: str
    columns: tuple[str, ...]


# Two of the paper's three kinds; its multi-genre sentences were released annotated only.
HUB_SOURCES = {
    "captions": HubSource(
        "sentence-transformers/flickr30k-captions",
        "pair/train-00000-of-00001.parquet",
        ("caption1", "caption2"),
    ),
    "questions": HubSource(
        "sentence-transformers/quora-duplicates",
        "pair-class/train-00000-of-00001.parquet",
        ("sentence1", "sentence2"),
    ),
}


@dataclass(frozen=True)
class SourceSentence:
    """A cleaned sentence and the kind it belongs to (`captions`, `questions`, `multi_genre`)."""

    text: str
    source: str


@dataclass(frozen=True)
class LoadedSentences:
    """Sentences that are left after cleaning, and how many were read and dropped."""

    sentences: list[SourceSentence]
    counts: dict[str, int]


def load_sentences(source: str = "bundled", *, column: str | None = None) -> LoadedSentences:
    """Load, clean and deduplicate source sentences.

    Args:
        source: `bundled`, a `.txt` (one sentence a line), `.csv` or `.jsonl` file, or a hub
            source: `captions` or `questions`.
        column: Column or key that holds the sentence; needed where a file has several.

    Raises:
        SimgptError: the file is missing, empty, malformed or of another kind, lacks the column,
            or the hub cannot be reached.
    """
    if source == "bundled":
        raw = ((triplet.sentence, triplet.source) for triplet in read_triplets(BUNDLED_TRIPLETS))
    elif source in HUB_SOURCES:
        raw = ((text, source) for text in _from_hub(HUB_SOURCES[source]))
    else:
        raw = ((text, "") for text in _from_file(Path(source), column))
    loaded = _tidy(raw)
    if not loaded.sentences:
        raise SimgptError(f"{source}: no sentences left; {loaded.counts}")
    return loaded


def _tidy(raw: Iterable[tuple[str, str]]) -> LoadedSentences:
    counts = {"read": 0, "too short or too long": 0, "duplicates": 0}
    kept: dict[str, SourceSentence] = {}
    for text, source in raw:
        counts["read"] += 1
        sentence = clean(text)
        key = duplicate_key(sentence)
        if not MIN_WORDS <= len(sentence.split()) <= MAX_WORDS:
            counts["too short or too long"] += 1
        elif key in kept:
            counts["duplicates"] += 1
        else:
            kept[key] = SourceSentence(sentence, source)
    return LoadedSentences(list(kept.values()), {**counts, "kept": len(kept)})


def _from_file(path: Path, column: str | None) -> Iterator[str]:
    if path.suffix == ".txt":
        yield from (line for line in read_text(path).split("\n") if line.strip())
    elif path.suffix == ".csv":
        table = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        name = _column(list(table.fieldnames or []), column, f"{path}, line 1")
        try:
            yield from (row[name] or "" for row in table)
        except csv.Error as error:
            raise SimgptError(f"{path}, line {table.line_num}: not valid CSV ({error})") from error
    elif path.suffix == ".jsonl":
        for line, row in read_jsonl(path):
            where = f"{path}, line {line}"
            name = _column(list(row), column, where)
            if not isinstance(row[name], str):
                raise SimgptError(f"{where}: {name} is {row[name]!r}; it must be text")
            yield row[name]
    else:
        raise SimgptError(f"{path}: a sentences file ends in .txt, .csv or .jsonl")


def _column(names: list[str], wanted: str | None, where: str) -> str:
    chosen = wanted or ("sentence" if "sentence" in names or len(names) != 1 else names[0])
    if chosen not in names:
        raise SimgptError(f"{where}: no column {chosen!r}; there is: {', '.join(names) or 'none'}")
    return chosen


def _from_hub(hub: HubSource) -> Iterator[str]:
    from pyarrow import parquet

    path = fetch_dataset_file(
        hub.repository, hub.file, instead="give a local .txt, .csv or .jsonl file"
    )
    table = parquet.read_table(path, columns=list(hub.columns))
    for name in hub.columns:
        yield from table[name].to_pylist()
