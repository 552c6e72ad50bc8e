"""Files from the Hugging Face hub, through its own client and cache."""

from pathlib import Path

from simgpt.errors import SimgptError


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

    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset"))
    except Exception as error:  # the hub client raises from several libraries
        reason = type(error).__name__
        raise HubError(
            f"{repository}/{file} could not be downloaded ({reason}); {instead}"
        ) from error
