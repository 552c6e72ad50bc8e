"""Which test and development sets there are to score on, and where they come from."""

import os
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.evaluate.archive import unpack_benchmarks
from simgpt.evaluate.download import download_benchmarks
from simgpt.evaluate.mteb import download_mteb, is_mteb, load_mteb
from simgpt.evaluate.senteval import load_benchmarks, load_sick, load_stsb, senteval_home
from simgpt.evaluate.tasks import Benchmarks, Subset, Suite, Task
from simgpt.files import sha256_of
from simgpt.triplets import BUNDLED_DEV_PAIRS, load_dev_pairs

ENVIRONMENT_VARIABLE = "SIMGPT_SENTEVAL"
_INSTEAD = f"set {ENVIRONMENT_VARIABLE} or --benchmarks to a folder or archive that holds them"


def find_tasks(setting: str) -> Benchmarks:
    """The tasks that a model is scored on. Their suite is told by looking at the files.

    Args:
        setting: `bundled` for the development pairs alone, `mteb` for MTEB's datasets from the
            Hugging Face hub, or as `find_benchmarks` takes it.

    Raises:
        SimgptError: the benchmarks are not to be had, a file of theirs is unsound, or the files are
            of two suites.
    """
    if setting == "bundled":
        return Benchmarks(Suite.DEVELOPMENT, [], [bundled_dev_task()])
    if setting == Suite.MTEB:
        return Benchmarks(Suite.MTEB, download_mteb(instead=_INSTEAD), [bundled_dev_task()])
    folder = find_benchmarks(setting)
    if senteval_home(folder) is None:
        return Benchmarks(Suite.MTEB, load_mteb(folder), [bundled_dev_task()])
    tasks = load_benchmarks(folder)
    development = [load_stsb(folder, "dev"), load_sick(folder, "trial")]
    suite = _one_suite(folder, [*tasks, *development])
    return Benchmarks(suite, tasks, [bundled_dev_task(), *development])


def find_stsb_dev(setting: str) -> Task:
    """The development split of STS-B, tokenised or as published.

    Args:
        setting: As `find_benchmarks` takes it.

    Raises:
        SimgptError: it is not to be had, or unsound; MTEB's datasets are not looked into for it.
    """
    folder = None if setting == Suite.MTEB else find_benchmarks(setting)
    if folder is None or senteval_home(folder) is None:
        raise SimgptError(
            f"{setting}: STS-B's development split is taken from SentEval's files only; set "
            "benchmarks to a folder in SentEval's layout, or selector to bundled"
        )
    return load_stsb(folder, "dev")


def bundled_dev_task() -> Task:
    """The bundled development pairs in the form of a task, a subset for each genre."""
    pairs = load_dev_pairs().to_list()
    subsets = []
    for genre in dict.fromkeys(pair["genre"] for pair in pairs):
        rows = [pair for pair in pairs if pair["genre"] == genre]
        columns = ([row[key] for row in rows] for key in ("sentence1", "sentence2", "score"))
        subsets.append(Subset(genre, *columns))
    return Task("bundled_dev", subsets, "plain", sha256_of(BUNDLED_DEV_PAIRS))


def find_benchmarks(setting: str) -> Path:
    """The folder of the seven benchmarks, in SentEval's layout or MTEB's.

    Looked for in this order: `setting` where it is a folder or an archive of one, the environment
    variable SIMGPT_SENTEVAL, the local cache, a download from the Hugging Face hub into that cache.

    Raises:
        SimgptError: what is named does not exist or holds no benchmarks, or nothing was named and
            there is no download to be had.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE) if setting == "auto" else setting
    if not named:
        return download_benchmarks(instead=_INSTEAD)
    place = Path(named)
    if place.is_file():
        return unpack_benchmarks(place)
    if senteval_home(place) is None and not is_mteb(place):
        raise SimgptError(
            f"{place}: no benchmarks here; expected SentEval's data folder with downstream/STS and "
            "downstream/SICK in it, its senteval.tar, or a folder with MTEB's sts12-sts and so on"
        )
    return place


def _one_suite(folder: Path, tasks: list[Task]) -> Suite:
    raw = [task for task in tasks if task.text.startswith("raw")]
    tokenised = [task for task in tasks if task not in raw]
    if raw and tokenised:
        raise SimgptError(
            f"{folder}: {tokenised[0].name} is tokenised and {raw[0].name} is not; take all files "
            "from one copy"
        )
    return Suite.SENTEVAL_RAW if raw else Suite.SENTEVAL
