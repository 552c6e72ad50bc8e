"""The seven STS tasks as MTEB has them: one test file each, one Spearman over all its pairs.

Other versions of the files than SentEval's, and another SICK-R: all 9,927 pairs, not the 4,927 of
the test split. MTEB gives the text to the model as it stands. The reference is MTEB (Muennighoff et
al., 2023) and its datasets on the Hugging Face hub.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.evaluate.checksums import check_sums
from simgpt.evaluate.rows import Row, sound_row, whole_subset
from simgpt.evaluate.tasks import Suite, Task
from simgpt.evaluate.textform import text_form
from simgpt.files import read_jsonl, sha256_of
from simgpt.hub import fetch_dataset_file

# Dataset of the organisation `mteb` on the hub, and the pairs of its test split.
DATASETS = {
    "sts12": ("sts12-sts", 3108),
    "sts13": ("sts13-sts", 1500),
    "sts14": ("sts14-sts", 3750),
    "sts15": ("sts15-sts", 3000),
    "sts16": ("sts16-sts", 1186),
    "stsb": ("stsbenchmark-sts", 1379),
    "sickr": ("sickr-sts", 9927),
}
_FORMS = ("test.jsonl.gz", "test.jsonl", "data/test-*.parquet", "default/test/*.parquet")
_COLUMNS = ("sentence1", "sentence2", "score")


def is_mteb(folder: Path) -> bool:
    """Whether a folder holds one of MTEB's datasets or more."""
    return any((folder / dataset).is_dir() for dataset, _ in DATASETS.values())


def load_mteb(folder: Path) -> list[Task]:
    """The seven tasks from a folder that holds the datasets as the hub has them.

    Args:
        folder: Holds `sts12-sts`, `stsbenchmark-sts` and so on, and in each `test.jsonl.gz`, or the
            parquet files that the hub makes of it.

    Raises:
        SimgptError: a file is missing, torn or malformed; it is named.
    """
    found = {name: _test_files(folder / dataset) for name, (dataset, _) in DATASETS.items()}
    check_sums(folder, (path for files in found.values() for path in files))
    return _load(found)


def download_mteb(*, instead: str) -> list[Task]:
    """The seven tasks from the Hugging Face hub, or from its cache.

    Args:
        instead: What the user can do without the hub; ends the error's sentence.

    Raises:
        SimgptError: the hub cannot be reached, or a file is torn or malformed.
    """
    return _load(
        {
            name: [fetch_dataset_file(f"mteb/{dataset}", _FORMS[0], instead=instead)]
            for name, (dataset, _) in DATASETS.items()
        }
    )


def _test_files(folder: Path) -> list[Path]:
    for form in _FORMS:
        if found := sorted(folder.glob(form)):
            return found
    raise SimgptError(f"{folder}: no test split here; expected {', '.join(_FORMS[:-1])}")


def _load(found: Mapping[str, list[Path]]) -> list[Task]:
    tasks = []
    for name, files in found.items():
        rows = {path: list(_rows(path)) for path in files}
        together = [row for some in rows.values() for row in some]
        subset = whole_subset("test", together, DATASETS[name][1], files[0])
        task = Suite.MTEB.task(name)
        tasks.append(Task(task, [subset], text_form(task, rows), sha256_of(*files)))
    return tasks


def _rows(path: Path) -> Iterator[Row]:
    read = _parquet if path.suffix == ".parquet" else _jsonl
    for where, row in read(path):
        if missing := [column for column in _COLUMNS if column not in row]:
            raise SimgptError(f"{where}: {', '.join(missing)} is missing")
        left, right, score = (row[column] for column in _COLUMNS)
        if not (isinstance(left, str) and isinstance(right, str)):
            raise SimgptError(f"{where}: sentence1 and sentence2 must be text")
        yield sound_row(left, right, score, where)


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for line, row in read_jsonl(path):
        yield f"{path}, line {line}", row


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        rows = read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise SimgptError(f"{path}: not a sound parquet file ({error})") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", row
