"""Fetch benchmarks from the Hugging Face hub, once, into the local cache."""

from pathlib import Path

from simgpt.evaluate.archive import cache_folder, unpack_benchmarks, unpacked_folder
from simgpt.files import read_text, sha256_of, write_text
from simgpt.hub import fetch_dataset_file

HUB_REPOSITORY, HUB_FILE = "princeton-nlp/datasets-for-simcse", "senteval.tar"


def download_benchmarks(*, instead: str) -> Path:
    """Download and unpack `senteval.tar`; return the folder in SentEval's layout.

    A second call finds the unpacked folder and needs no network: the cache's `senteval.sha256`
    says which archive was the hub's.

    Args:
        instead: What the user can do without the hub; ends the error's sentence.

    Raises:
        SimgptError: the hub cannot be reached or the archive is not what it should be.
    """
    record = cache_folder() / "senteval.sha256"
    if record.is_file():
        folder = unpacked_folder(read_text(record).partition(" ")[0])
        if folder.is_dir():
            return folder
    archive = fetch_dataset_file(HUB_REPOSITORY, HUB_FILE, instead=instead)
    folder = unpack_benchmarks(archive)
    write_text(record, f"{sha256_of(archive)}  {HUB_FILE}\n")
    return folder
