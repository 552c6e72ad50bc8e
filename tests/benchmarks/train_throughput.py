r"""Time of a training step: ours against the plain SentenceTransformer trainer, in turns.

    python -m tests.benchmarks.train_throughput \
        --output book/results/benchmarks/train_throughput.json

Both train the bundled encoder on the same bundled triplets, 64 a step, cut to 32 tokens, from the
texts to the updated weights. Theirs has `MultipleNegativesRankingLoss`, which is `simcse_loss` at
hard-negative weight 0. A round is a few steps of each, one after the other; the first step of each
is left out. Loss and gradient of one batch are compared with dropout off.
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainingArguments

from simgpt.config import RunConfig
from simgpt.environment import describe_environment
from simgpt.evaluate.benchmarks import bundled_dev_task
from simgpt.files import write_json
from simgpt.train.data import Collator
from simgpt.train.embedding import length_sorted_chunks
from simgpt.train.model import CHUNKS
from simgpt.train.run import build_model
from simgpt.train.trainer import TripletTrainer
from simgpt.triplets import TEXTS, training_triplets

CFG = RunConfig.from_params({"profile": "laptop"})
COMMON = {
    "per_device_train_batch_size": CFG.batch_size,
    "learning_rate": CFG.learning_rate,
    "seed": CFG.seed,
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
}


class Watch(TrainerCallback):
    """Seconds from the end of one step to the end of the next, data included."""

    def __init__(self):
        self.seconds, self.last = [], None

    def on_step_end(self, args, state, control, **kwargs):
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


def ours(triplets, steps, folder):
    model = build_model(CFG)
    trainer = TripletTrainer(
        model=model,
        args=TrainingArguments(folder, max_steps=steps, remove_unused_columns=False, **COMMON),
        train_dataset=triplets,
        data_collator=Collator(model.encoder.tokenizer, max_tokens=CFG.max_tokens, columns=3),
        development=bundled_dev_task(),
    )
    return run(trainer)


def theirs(triplets, steps, folder):
    model = build_model(CFG).encoder
    model.max_seq_length = CFG.max_tokens
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(folder, max_steps=steps, **COMMON),
        train_dataset=triplets,
        loss=MultipleNegativesRankingLoss(model, scale=1 / CFG.temperature),
    )
    return run(trainer)


def run(trainer):
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    watch = Watch()
    trainer.add_callback(watch)
    trainer.train()
    return watch.seconds


def largest_difference(triplets):
    """Loss and gradient of one batch without dropout: both losses on the same weights."""
    batch = [triplets[i] for i in range(CFG.batch_size)]
    model = build_model(CFG).eval()
    collate = Collator(model.encoder.tokenizer, max_tokens=CFG.max_tokens, columns=3)
    loss = model(**collate(batch))["loss"]
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.encoder.named_parameters() if p.requires_grad}
    model.zero_grad()
    encoder = model.encoder
    encoder.max_seq_length = CFG.max_tokens
    columns = [encoder.preprocess([row[name] for row in batch]) for name in TEXTS]
    plain = MultipleNegativesRankingLoss(encoder, scale=1 / CFG.temperature)(columns, None)
    plain.backward()
    return {
        "loss": abs(loss.item() - plain.item()),
        "gradient": max(
            (p.grad - gradients[n]).abs().max().item()
            for n, p in encoder.named_parameters()
            if n in gradients
        ),
    }


def padding(triplets):
    """Share of a step's tokens that are padding: ours, and with each column padded on its own."""
    collate = Collator(build_model(CFG).encoder.tokenizer, max_tokens=CFG.max_tokens, columns=3)
    real = chunked = columned = 0
    for first in range(0, 20 * CFG.batch_size, CFG.batch_size):
        rows = collate([triplets[i] for i in range(first, first + CFG.batch_size)])
        real += int(rows["attention_mask"].sum())
        chunked += sum(c["input_ids"].numel() for c in length_sorted_chunks(rows, CHUNKS)[0])
        lengths = rows["attention_mask"].sum(dim=1).view(3, -1)
        columned += int(lengths.max(dim=1).values.sum()) * CFG.batch_size
    return {"ours": 1 - real / chunked, "plain": 1 - real / columned}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=7)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    environment = describe_environment()
    rows = [dict(zip(TEXTS, t.texts, strict=True)) for t in training_triplets(CFG)]
    triplets = Dataset.from_list(rows).shuffle(seed=CFG.seed)
    seconds = {"ours": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            seconds["ours"].append(ours(triplets, arguments.steps, folder))
            seconds["plain"].append(theirs(triplets, arguments.steps, folder))
    medians = {name: statistics.median(sum(rounds, [])) for name, rounds in seconds.items()}
    write_json(
        arguments.output,
        {
            "command": "python -m tests.benchmarks.train_throughput --output "
            "book/results/benchmarks/train_throughput.json",
            "environment": environment,
            "threads": torch.get_num_threads(),
            "config": CFG.to_dict(),
            "largest_difference": largest_difference(triplets),
            "padding": padding(triplets),
            "seconds": seconds,
            "median_s": medians,
            "ratio": medians["plain"] / medians["ours"],
            "ratio_by_round": [
                sum(p) / sum(o) for o, p in zip(seconds["ours"], seconds["plain"], strict=True)
            ],
        },
    )


if __name__ == "__main__":
    main()
