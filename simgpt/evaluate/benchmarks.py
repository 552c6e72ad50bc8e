"""Which test and development sets there are to score on, and where they come from."""

import os
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.evaluate.senteval import load_benchmarks, load_sick, load_stsb
from simgpt.evaluate.tasks import Benchmarks, Subset, Suite, Task
from simgpt.files import sha256_of
from simgpt.triplets import BUNDLED_DEV_PAIRS, load_dev_pairs

ENVIRONMENT_VARIABLE = "SIMGPT_SENTEVAL"
HUB_REPOSITORY, HUB_FILE = "princeton-nlp/datasets-for-simcse", "senteval.tar"


def find_tasks(setting: str) -> Benchmarks:
    """The tasks that a model is scored on.

    Args:
        setting: `bundled` for the development pairs alone, or as `find_benchmarks` takes it.

    Raises:
        SimgptError: the benchmarks are not to be had, or a file of theirs is unsound.
    """
    if setting == "bundled":
        return Benchmarks(Suite.DEVELOPMENT, [], [bundled_dev_task()])
    folder = find_benchmarks(setting)
    development = [bundled_dev_task(), load_stsb(folder, "dev"), load_sick(folder, "trial")]
    return Benchmarks(Suite.SENTEVAL, load_benchmarks(folder), development)


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
    """The folder of the seven benchmarks.

    Looked for in this order: `setting` where it is a folder, the environment variable
    SIMGPT_SENTEVAL, the local cache, a download from the Hugging Face hub into that cache.

    Raises:
        SimgptError: the named folder does not exist, or nothing was named and there is no
            download to be had.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE) if setting == "auto" else setting
    if named:
        return _senteval_root(Path(named))
    from simgpt.evaluate.download import download_benchmarks

    return download_benchmarks()


def _senteval_root(folder: Path) -> Path:
    if not (folder / "downstream" / "STS").is_dir():
        raise SimgptError(
            f"{folder}: no benchmarks here; expected SentEval's data folder with downstream/STS "
            "and downstream/SICK in it"
        )
    return folder
