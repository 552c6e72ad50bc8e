"""The seven STS benchmarks in SentEval's layout, and two of their development sets.

SentEval's files are Moses-tokenised; STS12-16 and STS-B are lowercased too, SICK is not. The same
files as they were published go by names of their own. The text given to the model is the file's
tokens joined by single spaces, nothing added or cleaned. Pairs of STS15 and STS16 with an empty
gold line were never scored and are left out. The reference is SentEval (Conneau and Kiela, 2018) as
the SimCSE repository uses it: STS13 lacks SMT (licence) and SICK-R means the 4,927 test pairs.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.evaluate.checksums import check_sums
from simgpt.evaluate.rows import Row, sound_row, whole_subset
from simgpt.evaluate.tasks import TASK_NAMES, Subset, Suite, Task
from simgpt.evaluate.textform import text_form
from simgpt.files import read_text, sha256_of

logger = logging.getLogger(__name__)

# Scored pairs of each subset: a file that gives another number is torn or altered.
YEARLY_SUBSETS = {
    "sts12": {
        "MSRpar": 750,
        "MSRvid": 750,
        "SMTeuroparl": 459,
        "surprise.OnWN": 750,
        "surprise.SMTnews": 399,
    },
    "sts13": {"FNWN": 189, "headlines": 750, "OnWN": 561},
    "sts14": {
        "deft-forum": 450,
        "deft-news": 300,
        "headlines": 750,
        "images": 750,
        "OnWN": 750,
        "tweet-news": 750,
    },
    "sts15": {
        "answers-forums": 375,
        "answers-students": 750,
        "belief": 375,
        "headlines": 750,
        "images": 750,
    },
    "sts16": {
        "answer-answer": 254,
        "headlines": 249,
        "plagiarism": 230,
        "postediting": 244,
        "question-question": 209,
    },
}
_WITH_UNSCORED_PAIRS = ("sts15", "sts16")


def senteval_home(folder: Path) -> Path | None:
    """Where STS and SICK are: in `downstream`, or in the folder itself; None where they are not."""
    places = (folder / "downstream", folder)
    return next((place for place in places if (place / "STS").is_dir()), None)


def load_benchmarks(folder: Path) -> list[Task]:
    """The seven tasks, whole.

    Args:
        folder: SentEval's `data` folder, which holds `downstream/STS` and `downstream/SICK`, or
            `downstream` itself.

    Raises:
        SimgptError: a file is missing, torn, misaligned or malformed, or some are tokenised and
            some are not; it is named.
    """
    yearly = [_yearly(task, folder) for task in YEARLY_SUBSETS]
    return [*yearly, load_stsb(folder, "test"), load_sick(folder, "test")]


def load_stsb(folder: Path, split: str) -> Task:
    """STS Benchmark, `dev` (1,500 pairs) or `test` (1,379)."""
    path = _home(folder) / "STS" / "STSBenchmark" / f"sts-{split}.csv"
    _check(folder, path)
    rows = []
    for where, cells in _table(path):
        # As published, some rows end with two fields on licence and source.
        if len(cells) not in (7, 9):
            raise SimgptError(f"{where}: {len(cells)} tab-separated fields instead of 7 or 9")
        rows.append(sound_row(cells[5], cells[6], cells[4], where))
    subset = whole_subset(split, rows, {"dev": 1500, "test": 1379}[split], path)
    return _task("stsb" if split == "test" else f"stsb_{split}", [subset], {path: rows}, [path])


def load_sick(folder: Path, split: str) -> Task:
    """SICK relatedness, `trial` (the 500 development pairs) or `test` (4,927)."""
    name = {"trial": "SICK_trial.txt", "test": "SICK_test_annotated.txt"}[split]
    path = _home(folder) / "SICK" / name
    _check(folder, path)
    rows = []
    for where, cells in _table(path):
        if cells[0] == "pair_ID":
            continue
        if len(cells) != 5:
            raise SimgptError(f"{where}: {len(cells)} tab-separated fields instead of 5")
        rows.append(sound_row(cells[1], cells[2], cells[3], where))
    subset = whole_subset(split, rows, {"trial": 500, "test": 4927}[split], path)
    return _task("sickr" if split == "test" else "sickr_dev", [subset], {path: rows}, [path])


def _yearly(task: str, folder: Path) -> Task:
    place = _home(folder) / "STS" / f"{TASK_NAMES[task]}-en-test"
    subsets, texts, files = [], {}, []
    for name, expected in YEARLY_SUBSETS[task].items():
        pairs_file, gold_file = place / f"STS.input.{name}.txt", place / f"STS.gs.{name}.txt"
        _check(folder, pairs_file, gold_file)
        rows = list(_yearly_rows(pairs_file, gold_file, unscored=task in _WITH_UNSCORED_PAIRS))
        subsets.append(whole_subset(name, rows, expected, gold_file))
        texts[pairs_file] = rows
        files += [pairs_file, gold_file]
    return _task(task, subsets, texts, files)


def _yearly_rows(pairs_file: Path, gold_file: Path, *, unscored: bool) -> Iterator[Row]:
    pairs, gold = list(_table(pairs_file)), _lines(gold_file)
    if len(pairs) != len(gold):
        raise SimgptError(
            f"{gold_file}: {len(gold)} lines for the {len(pairs)} pairs of {pairs_file.name}"
        )
    for line, ((where, cells), score) in enumerate(zip(pairs, gold, strict=True), start=1):
        if len(cells) != 2:
            raise SimgptError(
                f"{where}: {len(cells) - 1} tabs; there must be one, between the two sentences"
            )
        gold_where = f"{gold_file}, line {line}"
        if score.strip():
            yield sound_row(cells[0], cells[1], score.strip(), where, gold_where=gold_where)
        elif not unscored:
            raise SimgptError(f"{gold_where}: no gold score; every pair of this file has one")


def _task(
    name: str, subsets: list[Subset], texts: Mapping[Path, Sequence[Row]], files: list[Path]
) -> Task:
    """Under the name of the suite that its text makes it part of."""
    text, expected = text_form(name, texts), "moses-lower"
    if name.startswith("sickr"):
        expected = "moses-cased"
    if text.startswith("raw"):
        return Task(Suite.SENTEVAL_RAW.task(name), subsets, text, sha256_of(*files))
    if text != expected and "twice" not in text:  # which is told with an example
        logger.warning(
            "%s: its text is %s and SentEval's is %s; this is not the paper's score",
            name,
            text,
            expected,
        )
    return Task(name, subsets, text, sha256_of(*files))


def _home(folder: Path) -> Path:
    return senteval_home(folder) or folder / "downstream"


def _check(folder: Path, *files: Path) -> None:
    """Against the SHA256SUMS of the folder, or of the one whose `downstream` it is."""
    check_sums(folder, files)
    if folder.name == "downstream":
        check_sums(folder.parent, files)


def _lines(path: Path) -> list[str]:
    # Not splitlines(): sentences may hold U+2028 or U+0085, which it takes for line ends.
    return read_text(path).removesuffix("\n").split("\n")


def _table(path: Path) -> Iterator[tuple[str, list[str]]]:
    for line, text in enumerate(_lines(path), start=1):
        yield f"{path}, line {line}", [" ".join(cell.split()) for cell in text.split("\t")]
