"""What the notebooks' first cell does in Google Colab: install, find a GPU, keep a copy on Drive.

Runs before the package's own dependencies are there: at the top it imports nothing else.
"""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

# Colab's own build of these fits its GPU and its other packages.
_KEPT = ("torch", "torchvision", "torchaudio", "numpy", "transformers")
_DRIVE = Path("/content/drive")
Tell = Callable[[str], None]


def set_up(root: Path, *, tell: Tell) -> str | None:
    """Make a Colab runtime ready for a notebook.

    Args:
        root: The fetched repository; it becomes the working folder.
        tell: Called with each line for the reader.

    Returns:
        The profile for the runtime: `colab` on a GPU with the paper's triplets, `laptop` on a GPU
        without; None without a GPU, where the notebook's own stands.
    """
    os.chdir(root)
    install(root, tell=tell)

    import torch

    if not torch.cuda.is_available():
        tell("No GPU: the profile is the one in the cell below. Runtime > Change runtime type.")
        return None
    _keep_on_drive(root / "runs", tell)
    profile = "colab" if _has_triplets(root, tell) else "laptop"
    tell(f"{torch.cuda.get_device_name()}: the profile is {profile}, unless a cell names another.")
    return profile


def install(root: Path, *, tell: Tell) -> None:
    """Install what the package needs and the runtime lacks, and tell what that changed.

    torch, numpy and transformers stay as they are where they fit.

    Raises:
        RuntimeError: pip failed; its last lines are in the message.
    """
    before = _versions()
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "kept.txt"
        constraints.write_text("".join(f"{line}\n" for line in kept_versions(root, before)))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint"]
        command += [str(constraints), "--editable", f"{root}[released]"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"pip failed:\n{done.stderr[-1500:]}")
    importlib.invalidate_caches()
    after = _versions()
    for name, version in sorted(after.items()):
        if name not in before:
            tell(f"installed {name} {version}")
        elif before[name] != version:
            tell(f"changed {name} {before[name]} -> {version}")
    changed = [name for name in before if after.get(name) != before[name]]
    if loaded := [name for name in changed if name.replace("-", "_") in sys.modules]:
        tell(f"Runtime > Restart session, then run this cell again: {', '.join(loaded)} was loaded")
    if not changed:
        tell("Nothing that Colab brought was changed.")


def kept_versions(root: Path, installed: Mapping[str, str]) -> list[str]:
    """Constraints for pip: the packages that stay as they are, where they fit."""
    from packaging.requirements import Requirement

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = {need.name: need for need in map(Requirement, project["dependencies"])}
    return [
        f"{name}=={installed[name]}"
        for name in _KEPT
        if name in installed
        and (name not in needs or needs[name].specifier.contains(installed[name]))
    ]


def _versions() -> dict[str, str]:
    return {
        found.metadata["Name"].lower(): found.version
        for found in importlib.metadata.distributions()
    }


def _keep_on_drive(runs: Path, tell: Tell) -> None:
    """Resume from the copy of `runs` on Drive, and keep that in step."""
    from google.colab import drive

    from simgpt.backup import keep_copy

    try:
        drive.mount(str(_DRIVE))
    except Exception as error:  # Colab's own: refused, or timed out
        tell(f"Drive is not there ({error}): what is trained is lost with the runtime.")
        return
    copy = _DRIVE / "MyDrive" / "simgpt" / "runs"
    keep_copy(runs, copy)
    tell(f"Runs are copied to {copy}. After a disconnect run all cells again: they go on there.")


def _has_triplets(root: Path, tell: Tell) -> bool:
    """Fetch the paper's triplets, and tell what the profile `colab` would take with them."""
    from simgpt.config import RunConfig
    from simgpt.errors import SimgptError
    from simgpt.released import import_release
    from simgpt.train.dry_run import dry_run

    cfg = RunConfig.from_params({"profile": "colab"})
    try:
        if not (root / cfg.triplets).is_file():
            import_release("simgpt", root / cfg.triplets)
        for line in dry_run(cfg):
            tell(line)
    except SimgptError as error:
        tell(f"The profile colab cannot be had here: {error}")
        return False
    return True


def estimates(count: int) -> list[str]:
    """What the profile `colab` takes on Colab's GPUs, a line each, told where none is at hand.

    By RoBERTa-base's published sizes; sentences are taken to be as long as the bundled ones.

    Args:
        count: Triplets of the run.
    """
    from transformers import AutoTokenizer, RobertaConfig

    from simgpt.config import RunConfig
    from simgpt.encoder import locate
    from simgpt.train.devices import published_device
    from simgpt.train.dry_run import estimate_lines

    cfg = RunConfig.from_params({"profile": "colab", "triplets": "bundled"})
    shape = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
    tokenizer = AutoTokenizer.from_pretrained(str(locate("bundled")))
    return [
        line
        for name in ("T4", "L4", "A100-40")
        for line in estimate_lines(
            cfg,
            published_device(name, cfg.precision),
            count=count,
            config=shape,
            tokenizer=tokenizer,
        )
    ]
