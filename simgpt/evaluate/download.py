"""Fetch the benchmarks from the Hugging Face hub, once, into the local cache."""

import shutil
import tarfile
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import ENVIRONMENT_VARIABLE, HUB_FILE, HUB_REPOSITORY
from simgpt.files import sha256_of, staged, write_text
from simgpt.hub import fetch_dataset_file


def download_benchmarks() -> Path:
    """Download and unpack `senteval.tar`; return the folder in SentEval's layout.

    A second call finds the unpacked folder and needs no network. The archive's SHA-256 is kept
    beside it in `senteval.sha256`.

    Raises:
        SimgptError: the hub cannot be reached or the archive is not what it should be.
    """
    from huggingface_hub import constants

    # Beside the hub's own cache, so that one setting (HF_HOME) moves both.
    cache = Path(constants.HF_HOME) / "simgpt"
    folder = cache / "senteval"
    if folder.is_dir():
        return folder
    archive = fetch_dataset_file(
        HUB_REPOSITORY,
        HUB_FILE,
        instead=f"set {ENVIRONMENT_VARIABLE} or --benchmarks to a folder in SentEval's layout",
    )
    with staged(folder) as temporary:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(temporary / "unpacked", filter="data")
        except tarfile.TarError as error:
            raise SimgptError(f"{archive}: not a sound tar archive ({error})") from error
        # The folder that holds STS and SICK has been called several names over the years.
        found = next(temporary.glob("unpacked/**/STS/STSBenchmark"), None)
        if found is None:
            raise SimgptError(f"{archive}: holds no STS/STSBenchmark folder")
        found.parent.parent.rename(temporary / "downstream")
        shutil.rmtree(temporary / "unpacked", ignore_errors=True)
    write_text(cache / "senteval.sha256", f"{sha256_of(archive)}  {HUB_FILE}\n")
    return folder
