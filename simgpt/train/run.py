"""One training run: from a config to a finished run folder."""

import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from simgpt.config import RunConfig
from simgpt.encoder import load_encoder
from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, read_json, sha256_of, staged, write_json, write_text, writing
from simgpt.train.selection import development_task
from simgpt.triplets import Triplet, training_triplets, triplets_path

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def train(cfg: RunConfig, output: Path) -> Path:
    """Fine-tune an encoder on triplets and write the run folder `output`.

    The folder holds `config.json`, `environment.json`, `train_log.jsonl`, `checkpoint/` (a
    SentenceTransformer folder: the weights with the best development Spearman) and, written last,
    `COMPLETE`. A folder that holds this very run, finished, is returned as it is; one that was
    cut short is started again.

    Returns:
        `output`.

    Raises:
        SimgptError: `output` holds another run or other files, the triplets or the backbone are
            unusable, or the disk is full.
    """
    if _is_finished(cfg, output):
        logger.info("%s holds this run already, finished", output)
        return output
    triplets = training_triplets(cfg)
    if len(triplets) < 2:
        raise SimgptError(f"{cfg.triplets}: {len(triplets)} triplets; training takes 2 or more")
    development = development_task(cfg)
    model = load_encoder(cfg.backbone, pooling=cfg.pooling)

    from simgpt.train.averaging import average_weights
    from simgpt.train.trainer import fit

    _clear(output)
    started = time.monotonic()
    environment = {
        **describe_environment(),
        "triplets": {"count": len(triplets), "sha256": sha256_of(triplets_path(cfg))},
        "development": {"task": development.name, "sha256": development.sha256},
    }
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "config.json", cfg.to_dict())
        write_json(output / "environment.json", environment)
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        limit = model.max_seq_length
        model.max_seq_length = cfg.max_tokens
        fit(model, _dataset(triplets), development, cfg, output)
        model.max_seq_length = limit  # evaluation does not truncate at the training length
        average_weights(model, start, share=cfg.trained_share)
        with staged(output / "checkpoint") as temporary:
            model.save(str(temporary), create_model_card=False)
    environment["seconds"] = round(time.monotonic() - started, 1)
    write_json(output / "environment.json", environment)
    shutil.rmtree(output / "trainer", ignore_errors=True)
    write_text(output / COMPLETE, "")
    return output


def _is_finished(cfg: RunConfig, output: Path) -> bool:
    """Whether `output` holds this run, whole.

    Raises:
        SimgptError: it holds something else.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    if not (output / "config.json").is_file():
        raise SimgptError(f"{output}: not empty and no run folder; give another --output")
    held = read_json(output / "config.json")
    differing = sorted(name for name, value in cfg.to_dict().items() if held.get(name) != value)
    if differing:
        raise SimgptError(
            f"{output}: holds another run (it differs in {', '.join(differing)}); give another "
            "--output or delete the folder"
        )
    return (output / COMPLETE).is_file()


def _clear(output: Path) -> None:
    """Remove what an interrupted run of the same config left behind."""
    for leftover in ("trainer", "checkpoint"):
        shutil.rmtree(output / leftover, ignore_errors=True)
    (output / "train_log.jsonl").unlink(missing_ok=True)


def _dataset(triplets: list[Triplet]) -> "Dataset":
    """Three text columns; their order, not their names, gives anchor, positive and negative."""
    from datasets import Dataset

    anchors, positives, negatives = zip(*(triplet.texts for triplet in triplets), strict=True)
    return Dataset.from_dict(
        {"anchor": list(anchors), "positive": list(positives), "negative": list(negatives)}
    )
