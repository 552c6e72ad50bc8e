"""Files from the Hugging Face hub, through its own client and cache."""

import logging
from pathlib import Path

from simgpt.errors import SimgptError

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
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.logging import set_verbosity_error

    # The client's five retries are no news; the sentence at the end is.
    set_verbosity_error()
    logger.info("fetching %s/%s from the Hugging Face hub, or from its cache", repository, file)
    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset"))
    except Exception as error:  # the hub client raises from several libraries
        reason = type(error).__name__
        raise HubError(
            f"{repository}/{file} could not be downloaded ({reason}); {instead}"
        ) from error


def hub_revision(model: str) -> str | None:
    """The commit of a model that the hub's cache holds; None where it holds none."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None
