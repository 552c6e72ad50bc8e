"""One training run: from a config to a finished run folder."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simgpt.config import RunConfig
from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.evaluate.tasks import Task
from simgpt.files import COMPLETE, read_json, sha256_of, staged, write_json, write_text, writing
from simgpt.train.card import write_card
from simgpt.train.folder import (
    CONFIG,
    DATA,
    ENVIRONMENT,
    LOCK,
    TRAINER,
    has_checkpoint,
    is_finished,
    logged_seconds,
    open_run,
    remove_working_files,
)
from simgpt.train.selection import development_task
from simgpt.triplets import training_triplets, triplets_path

if TYPE_CHECKING:
    from simgpt.train.model import TripletModel

logger = logging.getLogger(__name__)


def train(
    cfg: RunConfig,
    output: Path,
    *,
    allow_config_change: bool = False,
    tensorboard: bool = False,
) -> Path:
    """Fine-tune an encoder on triplets and write the run folder `output`.

    The folder holds `config.json`, `environment.json`, `train_log.jsonl`, `checkpoint/` (a
    SentenceTransformer folder: the weights with the best development Spearman) and, written last,
    `COMPLETE`. A folder that holds this very run, finished, is returned as it is; one that was
    cut short goes on from its newest whole checkpoint, on CPU to the very same weights. Started by
    `torchrun` or `accelerate launch`, the processes share each batch.

    Args:
        cfg: Settings of the run.
        output: The run folder.
        allow_config_change: Go on with an unfinished run although settings or data changed.
        tensorboard: Write TensorBoard's event files into `output/tensorboard` too.

    Returns:
        `output`.

    Raises:
        SimgptError: `output` holds another run or other files, another process works on it, the
            triplets or the backbone are unusable, the loss is not finite, or memory or disk ran
            out.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    if is_finished(cfg, output, allow_config_change=allow_config_change):
        logger.info("%s holds this run already, finished", output)
        remove_working_files(output)
        return output

    from accelerate import PartialState
    from filelock import FileLock, Timeout

    from simgpt.train.trainer import launched_on_cpu

    processes, is_new = PartialState(cpu=launched_on_cpu()), not output.exists()
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / LOCK)
    try:
        if processes.is_main_process:
            lock.acquire(blocking=False)
    except Timeout as error:
        raise SimgptError(f"{output}: another process is training this run") from error
    try:
        _train(cfg, output, processes, allow_config_change, tensorboard)
    except SimgptError:
        if is_new and processes.is_main_process and not has_checkpoint(output):
            shutil.rmtree(output, ignore_errors=True)  # nothing in it is worth keeping
        raise
    finally:
        lock.release()
    return output


def build_model(cfg: RunConfig) -> "TripletModel":
    """The encoder and its objective as a run begins with them, fresh weights drawn by `cfg.seed`.

    Raises:
        SimgptError: the backbone cannot be loaded, is no encoder, has no language-model head where
            one is needed, or takes no prefix.
    """
    from transformers import set_seed

    from simgpt.encoder import check_trainable, load_encoder, locate
    from simgpt.encoder.prefix import add_prefix
    from simgpt.train.mlm import load_mlm_head
    from simgpt.train.model import TripletModel

    set_seed(cfg.seed)
    encoder = load_encoder(cfg.backbone, pooling=cfg.pooling, fresh_head=True)
    check_trainable(cfg.backbone, encoder, prefix=cfg.prefix_tokens > 0)
    if cfg.prefix_tokens:
        encoder = add_prefix(encoder, cfg.prefix_tokens, name=cfg.backbone)
    head = load_mlm_head(locate(cfg.backbone)) if cfg.mlm_weight else None
    return TripletModel(encoder, cfg, head)


def _train(
    cfg: RunConfig, output: Path, processes: Any, allow_config_change: bool, tensorboard: bool
) -> None:
    from datasets import Dataset

    from simgpt.train.averaging import average_weights
    from simgpt.train.checkpoints import newest_checkpoint
    from simgpt.train.data import write_dataset
    from simgpt.train.trainer import fit

    development = development_task(cfg)
    model = build_model(cfg)
    data = output / DATA
    with writing(output):
        with processes.main_process_first():
            if processes.is_main_process:
                if not (output / CONFIG).is_file():  # from now on the folder is a run's
                    write_json(output / CONFIG, cfg.to_dict())
                count = write_dataset(training_triplets(cfg), data)
                facts = _facts(cfg, count, development, processes.num_processes)
                open_run(cfg, output, facts, allow_config_change=allow_config_change)
                _announce(cfg, model, count, processes.num_processes)
        triplets = Dataset.from_file(str(data))
        start = {}
        if cfg.trained_share < 1:
            start = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
        fit(
            model,
            triplets,
            development,
            cfg,
            output,
            checkpoint=newest_checkpoint(output / TRAINER),
            tensorboard=tensorboard,
        )
        if not processes.is_main_process:
            return
        if start:
            average_weights(model.encoder, start, share=cfg.trained_share)
        with staged(output / "checkpoint") as temporary:
            model.encoder.save(str(temporary), create_model_card=False)
    environment = read_json(output / ENVIRONMENT)
    environment["seconds"] = logged_seconds(output)
    write_json(output / ENVIRONMENT, environment)
    write_card(output)
    # From now on the results count; killed before, the run goes on from its last checkpoint.
    write_text(output / COMPLETE, "")
    (output / LOCK).unlink(missing_ok=True)
    del triplets
    remove_working_files(output)


def _announce(cfg: RunConfig, model: "TripletModel", count: int, processes: int) -> None:
    """Say what the whole run is going to take here."""
    from simgpt.train.devices import this_machine
    from simgpt.train.dry_run import estimate_lines

    encoder = model.encoder
    for line in estimate_lines(
        cfg,
        this_machine(cfg.precision),
        count=count,
        config=encoder[0].config,
        tokenizer=encoder.tokenizer,
        processes=processes,
    ):
        logger.info(line)


def _facts(cfg: RunConfig, count: int, development: Task, processes: int) -> dict[str, Any]:
    if count < 2:
        raise SimgptError(f"{cfg.triplets}: {count} triplets; training takes 2 or more")
    return {
        **describe_environment(),
        "processes": processes,
        "triplets": {"count": count, "sha256": sha256_of(triplets_path(cfg))},
        "development": {"task": development.name, "sha256": development.sha256},
    }
