"""The estimate of `simgpt.train.estimate` against real training steps on this machine's CPU.

    python -m tests.benchmarks.train_estimate --output train_estimate.json

Each case trains in a process of its own, on the bundled triplets, with the model, objective and
optimiser of `simgpt train` but no trainer around them. Memory is the peak while training, less what
the process held before it loaded the model. Time is that of the steps after two for warming up, and
of scoring the development pairs once. Where other programs take part of the machine, times mean
little; so the processor's time over the number of threads is given too, beside an estimate from a
matrix product timed in the same way. RoBERTa-base is one of its size with random weights.
"""

import argparse
import gc
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from transformers import RobertaConfig, RobertaForMaskedLM

from simgpt.config import RunConfig
from simgpt.encoder import load_encoder
from simgpt.environment import describe_environment
from simgpt.evaluate.scored import score_tasks
from simgpt.files import write_json
from simgpt.train.devices import GIB, this_machine
from simgpt.train.estimate import Shape, estimate_run
from simgpt.train.run import build_model
from simgpt.train.selection import development_task
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets

CASES = {
    "MiniLM, batch 64": {"batch_size": 64},
    "MiniLM, batch 128": {"batch_size": 128},
    "MiniLM, batch 128, mini batches of 32": {"batch_size": 128, "mini_batch_size": 32},
    "MiniLM, batch 128, prefix": {"batch_size": 128, "prefix_tokens": 10},
    "RoBERTa-base, batch 32": {"backbone": "random", "batch_size": 32},
    "RoBERTa-base, batch 32, masked words": {
        "backbone": "random",
        "batch_size": 32,
        "mlm_weight": 0.05,
    },
}
SIZES = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
WARM_UP = 2


def status(name):
    """A memory figure of this process, bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", text)[1])


def random_roberta(folder):
    """A checkpoint of RoBERTa-base's size, with the bundled tokeniser, whose padding is token 0."""
    load_encoder("bundled").tokenizer.save_pretrained(folder)
    RobertaForMaskedLM(RobertaConfig(**SIZES, pad_token_id=0)).save_pretrained(folder)


def measure(cfg, steps):
    """Train a few steps, score once, and compare with the estimate of just that."""
    device = this_machine(cfg.precision)
    baseline = status("VmRSS")
    model = build_model(cfg).train()
    encoder = model.encoder
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=cfg.learning_rate, fused=True)
    count = cfg.batch_size * (steps + WARM_UP)
    triplets = list(itertools.islice(read_triplets(BUNDLED_TRIPLETS), count))
    encoder.max_seq_length = cfg.max_tokens
    batches = []
    for begin in range(0, count, cfg.batch_size):
        batch = triplets[begin : begin + cfg.batch_size]
        texts = [getattr(t, c) for c in ("sentence", "similar", "dissimilar") for t in batch]
        features = encoder.preprocess(texts)
        batches.append({k: v for k, v in features.items() if torch.is_tensor(v)})
    tokens = sum(int(rows["attention_mask"].sum()) for rows in batches) / (3 * count)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    times, processor = [], []
    for rows in batches:
        began, busy = time.perf_counter(), time.process_time()
        model(**rows)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
        processor.append((time.process_time() - busy) / torch.get_num_threads())
    peak = status("VmHWM") - baseline
    began, busy = time.perf_counter(), time.process_time()
    score_tasks(encoder, [development_task(cfg)])
    scoring = time.perf_counter() - began
    scoring_processor = (time.process_time() - busy) / torch.get_num_threads()
    seconds = sum(times[WARM_UP:]) + scoring
    quiet = sum(processor[WARM_UP:]) + scoring_processor
    quiet_device = replace(device, tflops=quiet_tflops(), fp32_tflops=quiet_tflops())
    estimate, quiet_estimate = (
        estimate_run(
            cfg,
            triplets=cfg.batch_size * steps,
            tokens_per_sentence=tokens,
            shape=Shape.of(encoder.transformers_model.config),
            device=on,
        )
        for on in (device, quiet_device)
    )
    return {
        "tokens_per_sentence": tokens,
        "load_average": os.getloadavg()[0],
        "memory": {
            "measured_gib": peak / GIB,
            "estimate_gib": estimate.memory_gib,
            "ratio": estimate.memory_gib * GIB / peak,
        },
        "wall": compared(device, estimate, seconds, times, scoring),
        "processor": compared(quiet_device, quiet_estimate, quiet, processor, scoring_processor),
    }


def compared(device, estimate, seconds, steps, scoring):
    low, high = estimate.seconds
    return {
        "matmul_tflops": device.tflops,
        "measured_seconds": seconds,
        "step_seconds": steps,
        "scoring_seconds": scoring,
        "estimate_seconds": [low, high],
        "reached": low * device.reached[1] / seconds,
        "ratios": [low / seconds, high / seconds],
        "holds": low <= seconds <= high,
    }


def quiet_tflops(size=512, repeats=50):
    """TFLOP/s by the processor's time, which other programs' turns are no part of."""
    matrix = torch.rand(size, size)
    began = time.process_time()
    for _ in range(repeats):
        matrix @ matrix
    seconds = (time.process_time() - began) / torch.get_num_threads()
    return 2 * size**3 * repeats / seconds / 1e12


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--case", help="measure one case in this process and print it")
    arguments = parser.parse_args()
    if arguments.case:
        cfg = RunConfig(**json.loads(arguments.case))
        write_json(arguments.output, measure(cfg, arguments.steps))
        return
    result = {
        "environment": describe_environment(),
        "command": "python -m tests.benchmarks.train_estimate",
        "steps": arguments.steps,
        "cases": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        random_roberta(folder)
        for name, settings in CASES.items():
            backbone = folder if settings.get("backbone") else "bundled"
            case, output = json.dumps(settings | {"backbone": backbone}), Path(folder) / "case.json"
            command = [sys.executable, "-m", "tests.benchmarks.train_estimate", "--case", case]
            command += ["--output", str(output), "--steps", str(arguments.steps)]
            # Threads that wait must not spin: on a busy machine they would count as work.
            subprocess.run(command, check=True, env=os.environ | {"OMP_WAIT_POLICY": "passive"})
            result["cases"][name] = json.loads(output.read_text())
            write_json(arguments.output, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
