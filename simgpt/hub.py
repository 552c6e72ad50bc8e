"""Files from the Hugging Face hub, through its own client and cache."""

import logging
import re
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import sha256_of

logger = logging.getLogger(__name__)


class HubError(SimgptError):
    """The hub, or a file on it, is not to be had."""


def fetch_dataset_file(repository: str, file: str, *, instead: str) -> Path:
    """Download one file of a dataset repository; a second call finds it in the hub's cache.

    Args:
        repository: Dataset id on the hub.
        file: Path inside the repository.
        instead: What the user can do without the hub; ends the error's sentence.

    Raises:
        HubError: the file is not to be had.
        SimgptError: it is there, and is not the one that the hub describes.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.logging import set_verbosity_error

    # The client's five retries are no news; the sentence at the end is.
    set_verbosity_error()
    logger.info("fetching %s/%s from the Hugging Face hub, or from its cache", repository, file)
    try:
        path = Path(hf_hub_download(repository, file, repo_type="dataset"))
    except Exception as error:  # the hub client raises from several libraries
        reason = type(error).__name__
        raise HubError(
            f"{repository}/{file} could not be downloaded ({reason}); {instead}"
        ) from error
    _refuse_altered(path)
    return path


def _refuse_altered(path: Path) -> None:
    # The cache's files are named by what the hub said they are: for large ones, their SHA-256.
    content = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", content.name) and (found := sha256_of(content)) != content.name:
        raise SimgptError(
            f"{content}: the hub says that its SHA-256 is its name, and it is {found}; delete the "
            "file and run the command again to fetch it anew"
        )


def hub_revision(model: str) -> str | None:
    """The commit of a model that the hub's cache holds; None where it holds none."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None
