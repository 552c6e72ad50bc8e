"""The seven STS benchmarks in SentEval's layout, and two of their development sets.

SentEval's files are Moses-tokenised; STS12-16 and STS-B are lowercased too, SICK is not. The text
given to the model is the file's tokens joined by single spaces, nothing added or cleaned. Pairs of
STS15 and STS16 with an empty gold line were never scored and are left out. The reference is
SentEval (Conneau and Kiela, 2018) as the SimCSE repository uses it: STS13 lacks SMT (licence) and
SICK-R means the 4,927 test pairs.
"""

from collections.abc import Iterator
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.evaluate.tasks import TASK_NAMES, Subset, Task
from simgpt.files import read_text, sha256_of

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


def load_benchmarks(folder: Path) -> list[Task]:
    """The seven tasks, whole.

    Args:
        folder: SentEval's `data` folder; it holds `downstream/STS` and `downstream/SICK`.

    Raises:
        SimgptError: a file is missing, torn, misaligned or malformed; it is named.
    """
    sts = folder / "downstream" / "STS"
    tasks = [_yearly(task, sts / f"{TASK_NAMES[task]}-en-test") for task in YEARLY_SUBSETS]
    return [*tasks, load_stsb(folder, "test"), load_sick(folder, "test")]


def load_stsb(folder: Path, split: str) -> Task:
    """STS Benchmark, `dev` (1,500 pairs) or `test` (1,379)."""
    path = folder / "downstream" / "STS" / "STSBenchmark" / f"sts-{split}.csv"
    rows = []
    for where, cells in _table(path):
        if len(cells) < 7:
            raise SimgptError(f"{where}: {len(cells)} tab-separated fields instead of 7 or more")
        rows.append((cells[5], cells[6], _score(cells[4], where)))
    name = "stsb" if split == "test" else f"stsb_{split}"
    subset = _subset(split, rows, {"dev": 1500, "test": 1379}[split], path)
    return Task(name, [subset], "moses-lower", sha256_of(path))


def load_sick(folder: Path, split: str) -> Task:
    """SICK relatedness, `trial` (the 500 development pairs) or `test` (4,927)."""
    name = {"trial": "SICK_trial.txt", "test": "SICK_test_annotated.txt"}[split]
    path = folder / "downstream" / "SICK" / name
    rows = []
    for where, cells in _table(path):
        if cells[0] == "pair_ID":
            continue
        if len(cells) != 5:
            raise SimgptError(f"{where}: {len(cells)} tab-separated fields instead of 5")
        rows.append((cells[1], cells[2], _score(cells[3], where)))
    subset = _subset(split, rows, {"trial": 500, "test": 4927}[split], path)
    return Task(
        "sickr" if split == "test" else "sickr_dev", [subset], "moses-cased", sha256_of(path)
    )


def _yearly(task: str, folder: Path) -> Task:
    subsets, files = [], []
    for name, expected in YEARLY_SUBSETS[task].items():
        pairs_file, gold_file = folder / f"STS.input.{name}.txt", folder / f"STS.gs.{name}.txt"
        pairs, gold = list(_table(pairs_file)), _lines(gold_file)
        if len(pairs) != len(gold):
            raise SimgptError(
                f"{gold_file}: {len(gold)} lines for the {len(pairs)} pairs of {pairs_file.name}"
            )
        rows = []
        for line, ((where, cells), score) in enumerate(zip(pairs, gold, strict=True), start=1):
            if not score.strip():
                continue
            if len(cells) < 2:
                raise SimgptError(f"{where}: no tab between two sentences")
            rows.append((cells[0], cells[1], _score(score, f"{gold_file}, line {line}")))
        subsets.append(_subset(name, rows, expected, gold_file))
        files += [pairs_file, gold_file]
    return Task(task, subsets, "moses-lower", sha256_of(*files))


def _subset(name: str, rows: list[tuple[str, str, float]], expected: int, path: Path) -> Subset:
    if len(rows) != expected:
        raise SimgptError(f"{path}: {len(rows)} scored pairs instead of {expected}; is it torn?")
    left, right, gold = ([row[column] for row in rows] for column in range(3))
    return Subset(name, left, right, gold)  # type: ignore[arg-type]


def _lines(path: Path) -> list[str]:
    # Not splitlines(): sentences may hold U+2028 or U+0085, which it takes for line ends.
    return read_text(path).removesuffix("\n").split("\n")


def _table(path: Path) -> Iterator[tuple[str, list[str]]]:
    for line, text in enumerate(_lines(path), start=1):
        yield f"{path}, line {line}", [" ".join(cell.split()) for cell in text.split("\t")]


def _score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 5:
        raise SimgptError(f"{where}: gold score {text!r}; it must be a number from 0 to 5")
    return score
