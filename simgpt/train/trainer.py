"""The library's trainer, set up for our model, checkpoints, log and choice of weights."""

import logging
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments
from transformers.utils.notebook import NotebookProgressCallback

from simgpt.config import Precision, RunConfig
from simgpt.encoder import longest_text
from simgpt.errors import SimgptError
from simgpt.evaluate.scored import score_tasks
from simgpt.evaluate.tasks import Task
from simgpt.files import writing
from simgpt.signals import Stop, stopping_on_signals
from simgpt.train.callbacks import LogFile, ProgressBar, StopOnSignal, tensorboard_log
from simgpt.train.checkpoints import (
    checkpoint_path,
    load_weights,
    prune,
    save_weights,
    seal,
)
from simgpt.train.data import Collator
from simgpt.train.folder import LOG, TRAINER, logged_seconds
from simgpt.train.model import TripletModel
from simgpt.train.selection import refuse_test_split

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

METRIC = "development_spearman"


class Interrupted(SimgptError):
    """A signal stopped the run; the same command goes on."""


class TripletTrainer(Trainer):
    """The library's trainer with our losses in its log and checkpoints that are whole or torn.

    Its evaluation is the Spearman of the development task: nothing else is encoded.
    """

    def __init__(self, *, model: TripletModel, development: Task, **kwargs: Any) -> None:
        refuse_test_split(development)
        # The library wants a data set to evaluate on; what it does with one is overridden here.
        super().__init__(model=model, eval_dataset=development.subsets, **kwargs)
        self.trained = model
        self.folder = Path(str(self.args.output_dir))
        self.development = development
        self.model_accepts_loss_kwargs = False
        self._parts: dict[str, float] = defaultdict(float)
        self._steps_logged = 0

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], *args: Any, **kwargs: Any
    ) -> Tensor:
        """The loss of a batch; its parts are summed up for the log.

        Raises:
            SimgptError: it is not finite.
        """
        outputs: dict[str, Tensor] = model(**inputs)
        values = {name: value.item() for name, value in outputs.items()}
        if not torch.isfinite(outputs["loss"]):
            told = ", ".join(f"{name} {value}" for name, value in values.items())
            raise _gone_wrong(self.state.global_step + 1, f"the loss is not finite ({told})")
        for name, value in values.items():
            if name != "loss":
                self._parts[name] += value
        self._steps_logged += 1
        return outputs["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of the loss's parts since the last time."""
        if "loss" in logs and self._steps_logged:
            logs |= {name: value / self._steps_logged for name, value in self._parts.items()}
            self._parts.clear()
            self._steps_logged = 0
        super().log(logs, start_time)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Spearman on the development task, computed once and told to all processes."""
        self._check_weights()
        score = [0.0]
        if self.is_world_process_zero():
            try:
                scores = score_tasks(self.trained.encoder, [self.development])
            except SimgptError as error:  # the vectors are not finite, or all the same
                raise _gone_wrong(self.state.global_step, str(error)) from error
            score = [scores[self.development.name].spearman]
        metrics = {f"eval_{METRIC}": broadcast_object_list(score)[0]}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint, seal it, and only then remove the one before."""
        self._check_weights()
        step = self.state.global_step
        path = checkpoint_path(self.folder, step)
        try:
            with writing(path):
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if self.is_world_process_zero():
                    seal(path)
        except SimgptError:  # not the place to spare half of a checkpoint
            shutil.rmtree(path, ignore_errors=True)
            raise
        if self.is_world_process_zero():
            prune(self.folder, keep={step, self.state.best_global_step or step})

    def _check_weights(self) -> None:
        for name, parameter in self.trained.named_parameters():
            if not parameter.isfinite().all():
                told = f"the weights are not finite ({name})"
                raise _gone_wrong(self.state.global_step, told)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.folder)
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            save_weights(self.trained, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.trained, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Go on at the config's rate; the stored one would outlive an allowed change."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        scheduler: Any = self.lr_scheduler
        optimizer: Any = self.optimizer
        rate = self.args.learning_rate
        scheduler.base_lrs = [rate for _ in scheduler.base_lrs]
        for group, share in zip(optimizer.param_groups, scheduler.lr_lambdas, strict=True):
            group["initial_lr"] = rate
            group["lr"] = rate * share(scheduler.last_epoch)
        scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]


def fit(
    model: TripletModel,
    triplets: "Dataset",
    development: Task,
    cfg: RunConfig,
    output: Path,
    *,
    checkpoint: Path | None,
    tensorboard: bool,
) -> None:
    """Train `model` in place; it ends with the weights of the best development Spearman.

    A score must be strictly better to be the best; of equal ones the earlier stays.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
        SimgptError: the loss is not finite, memory or disk ran out, or the number of processes
            does not divide the batch.
    """
    stop = Stop()
    trainer = TripletTrainer(
        model=model,
        args=_arguments(cfg, output, steps=-(-len(triplets) // cfg.batch_size) * cfg.epochs),
        train_dataset=triplets,
        data_collator=Collator(
            model.encoder.tokenizer,
            max_tokens=min(cfg.max_tokens, longest_text(model.encoder) or cfg.max_tokens),
            columns=model.columns,
        ),
        development=development,
        callbacks=[
            LogFile(output / LOG, seconds_before=logged_seconds(output)),
            StopOnSignal(stop),
        ],
    )
    # One progress bar with time left everywhere; no table of logs, no printed dictionaries.
    for callback in (NotebookProgressCallback, ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    progress = ProgressBar()
    trainer.add_callback(progress)
    if tensorboard:
        trainer.add_callback(tensorboard_log(output / "tensorboard"))
    try:
        with stopping_on_signals(stop):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise SimgptError(_out_of_memory(cfg, trainer)) from error
    finally:
        if bar := getattr(progress, "training_bar", None):  # cut short: end the bar's line
            bar.close()
    if trainer.state.global_step < trainer.state.max_steps:
        interrupted = Interrupted(
            f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}; run the "
            "same command to go on"
        )
        interrupted.exit_status = stop.exit_status
        raise interrupted
    best = trainer.state.best_global_step or trainer.state.global_step
    load_weights(model, checkpoint_path(output / TRAINER, best))


def launched_on_cpu() -> bool:
    """Whether a launcher started this process to share the CPU: the library has to be told."""
    launched = "LOCAL_RANK" in os.environ or os.environ.get("ACCELERATE_USE_CPU") == "true"
    return launched and not torch.cuda.is_available()


def _gone_wrong(step: int, what: str) -> SimgptError:
    return SimgptError(
        f"step {step}: {what}; training stopped, the last good checkpoint is kept. Lower "
        "learning_rate, or set precision=fp32"
    )


def _arguments(cfg: RunConfig, output: Path, *, steps: int) -> TrainingArguments:
    on_gpu = torch.cuda.is_available()
    good_bf16 = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if cfg.precision is Precision.FP16 and not on_gpu:
        raise SimgptError("precision is fp16, and there is no GPU; set precision=auto or fp32")
    arguments = TrainingArguments(
        output_dir=str(output / TRAINER),
        # The library takes 16 bits on a CPU only when told that it is to be the CPU.
        use_cpu=launched_on_cpu() or (cfg.precision is Precision.BF16 and not on_gpu),
        num_train_epochs=cfg.epochs,
        learning_rate=cfg.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(cfg.warmup * steps),
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=cfg.precision is Precision.BF16 or (cfg.precision is Precision.AUTO and good_bf16),
        fp16=cfg.precision is Precision.FP16
        or (cfg.precision is Precision.AUTO and on_gpu and not good_bf16),
        eval_strategy="steps",
        eval_steps=cfg.eval_steps,
        save_strategy="steps",
        save_steps=cfg.eval_steps,
        metric_for_best_model=f"eval_{METRIC}",
        greater_is_better=True,
        logging_steps=max(1, cfg.eval_steps // 8),
        seed=cfg.seed,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        report_to="none",
        disable_tqdm=False,
    )
    if cfg.batch_size % arguments.world_size:
        raise SimgptError(
            f"batch_size is {cfg.batch_size}; it must be a multiple of the "
            f"{arguments.world_size} processes"
        )
    if arguments.n_gpu > 1:
        logger.warning(
            "%d GPUs are visible and one is used; for all: torchrun --nproc-per-node %d -m simgpt "
            "train ...",
            arguments.n_gpu,
            arguments.n_gpu,
        )
        # The library would replicate the model, and each replica see a part of the negatives.
        arguments._n_gpu = 1
    arguments.per_device_train_batch_size = cfg.batch_size // arguments.world_size
    return arguments


def _out_of_memory(cfg: RunConfig, trainer: Trainer) -> str:
    size = cfg.mini_batch_size or trainer.args.per_device_train_batch_size
    if size > 1:
        advice = f"set mini_batch_size={size // 2}: the same result from less memory"
    else:
        advice = "lower max_tokens or take a smaller backbone"
    return f"out of memory at {size} triplets a forward pass; {advice}"
