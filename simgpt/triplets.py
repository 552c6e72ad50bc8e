"""Triplets: a sentence, a definitely similar one and a definitely dissimilar one.

The schema, its two file forms and the bundled data. JSONL holds one object a line; CSV has the
field's usual columns `sent0,sent1,hard_neg`.
"""

import csv
import errno
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.files import read_csv, read_jsonl, staged, writing

if TYPE_CHECKING:  # importing it takes a second, which `simgpt --help` should not wait for
    from datasets import Dataset

BUNDLED_TRIPLETS = Path(str(resources.files("simgpt") / "data" / "annotations.jsonl"))
# Written after the studies of waves 1 to 3, which draw from those: a file of its own.
BUNDLED_WAVE_4 = BUNDLED_TRIPLETS.with_name("wave_4.jsonl")
BUNDLED_DEV_PAIRS = Path(str(resources.files("simgpt") / "data" / "dev_pairs.jsonl"))
TEXTS = ("sentence", "similar", "dissimilar")
CSV_COLUMNS = ("sent0", "sent1", "hard_neg")


@dataclass(frozen=True)
class Triplet:
    """One annotated sentence. Further keys of a JSONL line travel along in `extra`."""

    sentence: str
    similar: str
    dissimilar: str
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def texts(self) -> tuple[str, str, str]:
        """Anchor, positive and hard negative, in the order of the loss."""
        return self.sentence, self.similar, self.dissimilar

    @property
    def id(self) -> str:
        """First 16 hex digits of SHA-256 over the three texts joined by U+001F."""
        return hashlib.sha256("\x1f".join(self.texts).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The JSONL form."""
        texts = dict(zip(TEXTS, self.texts, strict=True))
        return {"id": self.id, "source": self.source, **self.extra, **texts}


def read_triplets(path: Path, *, hard_negatives: bool = True) -> Iterator[Triplet]:
    """Read triplets from a `.jsonl` or `.csv` file.

    Without `hard_negatives`, pairs will do: a file whose lines have no dissimilar sentence.

    Raises:
        SimgptError: the file is missing, not UTF-8, of another kind or empty, or a line is
            malformed, lacks a text or repeats one; the sentence names file and line.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise SimgptError(f"{path}: a triplets file ends in .jsonl or .csv")
    texts = TEXTS if hard_negatives else TEXTS[:2]
    rows = read_jsonl(path) if path.suffix == ".jsonl" else _csv_rows(path, len(texts))
    empty = True
    for line, row in rows:
        empty = False
        yield _checked(row, f"{path}, line {line}", texts)
    if empty:
        raise SimgptError(f"{path}: holds no triplets")


def check_writable(path: Path) -> None:
    """Refuse, before any work is done, a place where no triplets could be written.

    Raises:
        SimgptError: the file has another ending, or its folder cannot be written to.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise SimgptError(f"{path}: a triplets file ends in .jsonl or .csv")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        with TemporaryFile(dir=path.parent):
            pass


def write_triplets(path: Path, triplets: Iterable[Triplet]) -> int:
    """Write triplets as `.jsonl` or `.csv`, by the file's ending; return how many.

    Raises:
        SimgptError: as `check_writable`.
    """
    check_writable(path)
    count = 0
    with staged(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        # All cells quoted: a bare "\r" in a text would break its row.
        table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        if path.suffix == ".csv":
            file.write(",".join(CSV_COLUMNS) + "\n")
        for triplet in triplets:
            if path.suffix == ".csv":
                table.writerow(triplet.texts)
            else:
                file.write(json.dumps(triplet.to_dict(), ensure_ascii=False) + "\n")
            count += 1
    return count


def repeats(texts: Iterable[str]) -> bool:
    """Whether one of the texts repeats another, save for case and spacing."""
    plain = [" ".join(text.split()).casefold() for text in texts]
    return len(set(plain)) < len(plain)


def triplets_path(cfg: RunConfig) -> Path:
    """The file that `cfg.triplets` names."""
    return BUNDLED_TRIPLETS if cfg.triplets == "bundled" else Path(cfg.triplets)


def summary_path(triplets: Path) -> Path:
    """Where `simgpt annotate` puts the summary of the run that wrote `triplets`: beside them."""
    return triplets.with_name(f"{triplets.stem}.summary.json")


def training_triplets(cfg: RunConfig) -> Iterator[Triplet]:
    """The triplets of a run, in the file's order: the first of equal ones, drawn by `cfg.seed`.

    The file is read twice, and one number a line is in memory, not the sentences.

    Raises:
        SimgptError: as `read_triplets`.
    """
    path = triplets_path(cfg)
    if not path.exists():
        raise SimgptError(
            f"{path}: no such file; `simgpt annotate` writes triplets of one's own, `simgpt "
            f"triplets import simgpt --output {path}` fetches the paper's"
        )

    def read() -> Iterator[Triplet]:
        return read_triplets(path, hard_negatives=cfg.hard_negatives)

    ids = np.fromiter((int(triplet.id, 16) for triplet in read()), dtype=np.uint64)
    chosen = np.sort(np.unique(ids, return_index=True)[1])
    if 0 < cfg.max_triplets < len(chosen):
        draw = random.Random(cfg.seed)  # noqa: S311
        chosen = chosen[sorted(draw.sample(range(len(chosen)), cfg.max_triplets))]
    is_chosen = np.zeros(len(ids), dtype=bool)
    is_chosen[chosen] = True
    return (triplet for triplet, wanted in zip(read(), is_chosen, strict=True) if wanted)


def load_triplets(path: Path | str = BUNDLED_TRIPLETS) -> "Dataset":
    """The bundled triplets (or those of another file) as a `datasets.Dataset`.

    Columns: `id`, `source`, `sentence`, `similar`, `dissimilar` and whatever else a line carries
    (the bundled ones: `genre` and `wave`).
    """
    from datasets import Dataset

    return Dataset.from_list([triplet.to_dict() for triplet in read_triplets(Path(path))])


def load_dev_pairs(path: Path | str = BUNDLED_DEV_PAIRS) -> "Dataset":
    """The bundled development pairs as a `datasets.Dataset`.

    Columns: `genre`, `sentence1`, `sentence2`, `score` (0 to 5, one model rater). They pick
    checkpoints and settings; they are no benchmark.

    Raises:
        SimgptError: a line is malformed, lacks a key, or its score is not a number from 0 to 5.
    """
    from datasets import Dataset

    pairs = []
    for line, row in read_jsonl(Path(path)):
        score = row.get("score")
        if not isinstance(score, int | float) or not 0 <= score <= 5:
            raise SimgptError(f"{path}, line {line}: score is {score!r}; it must be from 0 to 5")
        for name in ("sentence1", "sentence2"):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise SimgptError(f"{path}, line {line}: {name} is missing or empty")
        pairs.append(row)
    if not pairs:
        raise SimgptError(f"{path}: holds no pairs")
    return Dataset.from_list(pairs)


def _csv_rows(path: Path, needed: int) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = read_csv(path)
    header = tuple(next(rows, (0, list(CSV_COLUMNS)))[1])
    if header == CSV_COLUMNS[:2] and needed == len(TEXTS):
        raise SimgptError(f"{path}, line 1: no column {CSV_COLUMNS[2]}; {_WITHOUT}")
    if header not in (CSV_COLUMNS, CSV_COLUMNS[:needed]):
        raise SimgptError(f"{path}, line 1: columns must be {','.join(CSV_COLUMNS)}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise SimgptError(f"{path}, line {line}: {len(cells)} columns instead of {len(header)}")
        yield line, dict(zip(TEXTS, cells, strict=False))


# What to do with a file of pairs.
_WITHOUT = "pairs without hard negatives train with hard_negatives=false and energy_weight=0"


def _checked(row: dict[str, Any], where: str, needed: Sequence[str]) -> Triplet:
    """The row as a triplet; only the texts that are `needed` must be there."""
    for name in needed:
        if name == TEXTS[2] and name not in row:
            raise SimgptError(f"{where}: {name} is missing or empty; {_WITHOUT}")
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise SimgptError(f"{where}: {name} is missing or empty")
    if repeats(row[name] for name in needed):
        raise SimgptError(f"{where}: the three texts must differ, but one repeats another")
    source = row.get("source", "")
    if not isinstance(source, str):
        raise SimgptError(f"{where}: source is {source!r}; it must be text")
    return Triplet(
        **{name: row[name] if name in needed else "" for name in TEXTS},
        source=source,
        extra={k: v for k, v in row.items() if k not in (*TEXTS, "id", "source")},
    )
