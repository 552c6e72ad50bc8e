"""Load source sentences from the bundle, a file or the Hugging Face hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import read_csv, read_jsonl, read_lines
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


@dataclass(frozen=True, slots=True)
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

    The arguments and errors are those of `stream_sentences`; here the sentences are in a list.
    """
    counts: dict[str, int] = {}
    sentences = list(stream_sentences(source, column=column, counts=counts))
    return LoadedSentences(sentences, counts)


def stream_sentences(
    source: str = "bundled", *, column: str | None = None, counts: dict[str, int] | None = None
) -> Iterator[SourceSentence]:
    """Yield source sentences, cleaned and without duplicates, while they are being read.

    Neither the file nor the sentences are held in memory, only a hash of each kept sentence.

    Args:
        source: `bundled`, a `.txt` (one sentence a line), `.csv` or `.jsonl` file, or a hub
            source: `captions` or `questions`.
        column: Column or key that holds the sentence; needed where a file has several.
        counts: Filled on the way with what was `read`, dropped (`too short or too long`,
            `duplicates`) and `kept`.

    Raises:
        SimgptError: the file is missing, malformed or of another kind, lacks the column, or holds
            no sentence to keep, or the hub cannot be reached.
    """
    if counts is None:
        counts = {}
    counts |= {"read": 0, "too short or too long": 0, "duplicates": 0, "kept": 0}
    seen: set[int] = set()
    for text, kind in _raw(source, column):
        counts["read"] += 1
        sentence = clean(text)
        key = duplicate_key(sentence)
        if not MIN_WORDS <= len(sentence.split()) <= MAX_WORDS:
            counts["too short or too long"] += 1
        elif key in seen:
            counts["duplicates"] += 1
        else:
            seen.add(key)
            counts["kept"] += 1
            yield SourceSentence(sentence, kind)
    if not seen:
        raise SimgptError(f"{source}: no sentences left; {counts}")


def _raw(source: str, column: str | None) -> Iterator[tuple[str, str]]:
    """Texts as they stand in the source, each with its kind."""
    if source == "bundled":
        return ((triplet.sentence, triplet.source) for triplet in read_triplets(BUNDLED_TRIPLETS))
    if source in HUB_SOURCES:
        return ((text, source) for text in _from_hub(HUB_SOURCES[source]))
    return ((text, "") for text in _from_file(Path(source), column))


def _from_file(path: Path, column: str | None) -> Iterator[str]:
    if path.suffix == ".txt":
        yield from (text for _, text in read_lines(path) if text.strip())
    elif path.suffix == ".csv":
        rows = read_csv(path)
        _, names = next(rows, (1, []))
        place = names.index(_column(names, column, f"{path}, line 1"))
        # Empty lines are no rows; a short row's missing cell is an empty sentence.
        yield from ("".join(cells[place : place + 1]) for _, cells in rows if cells)
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
    file = parquet.ParquetFile(path)
    for name in hub.columns:
        for batch in file.iter_batches(columns=[name]):
            yield from batch.column(0).to_pylist()
