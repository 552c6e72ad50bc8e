"""The SentenceTransformer trainer, set up for our loss, log and choice of checkpoint."""

import json
import math
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch import Tensor, nn
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.utils.notebook import NotebookProgressCallback

from simgpt.config import RunConfig
from simgpt.evaluate.benchmarks import Task
from simgpt.evaluate.scores import score_tasks
from simgpt.train.embedding import embed_columns
from simgpt.train.objectives import simcse_loss

METRIC = "development_spearman"


class SimCSELoss(nn.Module):
    """`simcse_loss` in the form the SentenceTransformer trainer calls."""

    def __init__(
        self, model: SentenceTransformer, *, temperature: float, hard_negative_weight: float
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = partial(
            simcse_loss, temperature=temperature, hard_negative_weight=hard_negative_weight
        )

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Embed anchors, positives and negatives and return their loss."""
        return self.objective(*embed_columns(self.model, list(sentence_features)))


class DevelopmentScore(SentenceEvaluator):
    """Spearman on a development task, under the metric name that picks the checkpoint."""

    def __init__(self, task: Task) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.task = task
        self.primary_metric = METRIC

    def __call__(self, model: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score `model`; the library passes an output path, epoch and step, not needed here."""
        return {METRIC: score_tasks(model, [self.task])[self.task.name].spearman}


class LogFile(TrainerCallback):
    """Append what the trainer logs (loss, rate, development score) to `train_log.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write one line; a kill can tear the last one only."""
        row = {"step": state.global_step, "seconds": round(time.monotonic() - self.started, 2)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | kwargs["logs"]) + "\n")


def fit(
    model: SentenceTransformer, triplets: Dataset, development: Task, cfg: RunConfig, output: Path
) -> None:
    """Train `model` in place; it ends with the weights of the best development Spearman."""
    steps_per_epoch = math.ceil(len(triplets) / cfg.batch_size)
    steps = steps_per_epoch * cfg.epochs
    eval_steps = max(1, math.ceil(steps_per_epoch / cfg.evals_per_epoch))
    on_gpu = torch.cuda.is_available()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(output / "trainer"),
        num_train_epochs=cfg.epochs,
        per_device_train_batch_size=cfg.batch_size,
        learning_rate=cfg.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(cfg.warmup * steps),
        bf16=on_gpu and torch.cuda.is_bf16_supported(including_emulation=False),
        fp16=on_gpu and not torch.cuda.is_bf16_supported(including_emulation=False),
        eval_strategy="steps",
        eval_steps=eval_steps,
        save_strategy="best",
        metric_for_best_model=f"eval_{METRIC}",
        greater_is_better=True,
        load_best_model_at_end=True,
        save_total_limit=1,
        save_only_model=True,
        logging_steps=max(1, eval_steps // 8),
        seed=cfg.seed,
        dataloader_pin_memory=on_gpu,
        report_to="none",
        disable_tqdm=False,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=triplets,
        loss=SimCSELoss(
            model,
            temperature=cfg.temperature,
            hard_negative_weight=cfg.hard_negative_weight,
        ),
        evaluator=DevelopmentScore(development),
        callbacks=[LogFile(output / "train_log.jsonl")],
    )
    # One progress bar with time left everywhere; no table of logs, no printed dictionaries.
    for callback in (NotebookProgressCallback, ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    progress = ProgressBar()
    trainer.add_callback(progress)
    try:
        trainer.train()
    finally:
        if bar := getattr(progress, "training_bar", None):  # cut short: end the bar's line
            bar.close()


class ProgressBar(ProgressCallback):
    """The library's bar with time left, without its printed logs: those go to the file."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print nothing."""
