r"""Time from the seven benchmarks' texts to their scores: ours against two usual ways, in turns.

    python -m tests.benchmarks.evaluate_throughput \
        --output book/results/benchmarks/evaluate_throughput.json

Needs SIMGPT_SENTEVAL. The ways, each in a process of its own, the bundled encoder loaded and warm:

- `ours`: `simgpt.evaluate.encoding.encode` over all seven tasks at once, torch in fp32;
- `bf16`, `onnx`: the same in bf16, and through ONNX Runtime from an exported graph;
- `per_task`: `SentenceTransformer.encode` with its defaults, side by side and task by task, as MTEB
  calls it;
- `senteval`: as SentEval's loop does: subset by subset, sorted by (length, length, gold), in
  batches of 128, both sides one after the other, each padded to its longest.

A round is each way once. `layers` embeds a part of the sentences with a model of twice the layers.
The peak is that of matrix products of the encoder's own size, measured in each process.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = ("ours", "per_task", "senteval", "bf16", "onnx")


def multiply_peak():
    """FLOP/s of the encoder's largest matrix product, the best of many."""
    import torch

    left, right = torch.randn(2048, 384), torch.randn(384, 1536)
    best = float("inf")
    for _ in range(200):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return 2 * 2048 * 384 * 1536 / best


def flops(lengths, config):
    """Arithmetic of the layers' matrix products over texts of these lengths, none of it padding."""
    wide, inner = config.hidden_size, config.intermediate_size
    tokens = sum(lengths)
    linear = 2 * (4 * wide * wide + 2 * wide * inner) * tokens
    attention = 2 * 2 * wide * sum(length * length for length in lengths)
    return config.num_hidden_layers * (linear + attention)


def scores_by_encode(model, tasks):
    from simgpt.evaluate.encoding import encode
    from simgpt.evaluate.scores import score_task, task_cosines

    vectors = encode(model, (text for task in tasks for text in (*task.left, *task.right)))
    return {task.name: score_task(task, task_cosines(task, vectors)).spearman for task in tasks}


def scores_per_task(model, tasks):
    from simgpt.evaluate.scores import score_pairs, score_task

    found = {}
    for task in tasks:
        left, right = model.encode(task.left), model.encode(task.right)
        found[task.name] = score_task(task, score_pairs(left, right)).spearman
    return found


def scores_by_senteval(model, tasks):
    import numpy as np
    import torch
    from scipy.stats import spearmanr

    from simgpt.evaluate.scores import score_pairs

    def batcher(texts):
        with torch.no_grad():
            return model(model.preprocess(texts))["sentence_embedding"].numpy()

    found = {}
    for task in tasks:
        cosines, gold = [], []
        for subset in task.subsets:
            rows = list(zip(subset.left, subset.right, subset.gold, strict=True))
            if len(task.subsets) > 1:
                rows.sort(key=lambda row: (len(row[0].split()), len(row[1].split()), row[2]))
            for first in range(0, len(rows), 128):
                left, right, scores = zip(*rows[first : first + 128], strict=True)
                cosines.append(score_pairs(batcher(list(left)), batcher(list(right))))
                gold += scores
        found[task.name] = float(spearmanr(np.concatenate(cosines), gold).statistic)
    return found


def measure(way, graph):
    """One way, timed; printed as JSON."""
    import torch

    from simgpt.config import ScoringPrecision
    from simgpt.encoder import load_encoder
    from simgpt.evaluate.benchmarks import find_tasks
    from simgpt.evaluate.scorers import load_scorer

    tasks = find_tasks("auto").tasks
    run = {"per_task": scores_per_task, "senteval": scores_by_senteval}.get(way, scores_by_encode)
    if way in ("per_task", "senteval"):
        model = load_encoder("bundled").eval()
    elif way == "onnx":
        model = load_scorer(graph)
    else:
        precision = ScoringPrecision.BF16 if way == "bf16" else ScoringPrecision.FP32
        model = load_scorer("bundled", precision=precision)
    scores_by_encode(model, tasks[4:5]) if run is scores_by_encode else model.encode(tasks[4].left)
    peak = multiply_peak()
    began = time.perf_counter()
    scores = run(model, tasks)
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return {
        "seconds": seconds,
        "scores": {name: 100 * score for name, score in scores.items()},
        "peak_mib": int(kib) / 1024,
        "multiply_flop_per_s": max(peak, multiply_peak()),
        "threads": torch.get_num_threads(),
    }


def arithmetic():
    """Sentences, and the arithmetic that all of them and the different ones take."""
    from simgpt.encoder import load_encoder
    from simgpt.evaluate.benchmarks import find_tasks
    from simgpt.evaluate.scorers import TorchScorer, token_ids

    scorer = TorchScorer(load_encoder("bundled"))
    texts = [text for task in find_tasks("auto").tasks for text in (*task.left, *task.right)]
    counted = {}
    for label, some in (("all", texts), ("different", list(dict.fromkeys(texts)))):
        lengths = [len(ids) for ids in token_ids(scorer, some)]
        counted[label] = {
            "sentences": len(some),
            "tokens": sum(lengths),
            "flop": flops(lengths, scorer.encoder.config),
        }
    return counted


def layers(rounds):
    """Seconds for a part of the sentences: the bundled encoder, and one of twice its layers."""
    import torch
    from transformers import AutoModel

    from simgpt.encoder import load_encoder
    from simgpt.evaluate.benchmarks import find_tasks
    from simgpt.evaluate.encoding import encode

    texts = [text for task in find_tasks("auto").tasks[4:5] for text in (*task.left, *task.right)]
    small, large = load_encoder("bundled"), load_encoder("bundled")
    config = large.config
    config.num_hidden_layers *= 2
    torch.manual_seed(0)
    large[0].model = AutoModel.from_config(config).eval()
    seconds = {"6": [], "12": []}
    for _ in range(rounds):
        for name, model in (("6", small), ("12", large)):
            began = time.perf_counter()
            encode(model, texts)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return {"seconds": seconds, "median_s": medians, "ratio": medians["12"] / medians["6"]}


def in_child(function, *arguments):
    """Run in a fresh interpreter: peak memory is then its own."""
    words = [sys.executable, "-m", "tests.benchmarks.evaluate_throughput", "--child", function]
    done = subprocess.run(
        [*words, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    if sys.argv[1:2] == ["--child"]:
        functions = {"measure": measure, "arithmetic": arithmetic, "layers": layers}
        words = [int(word) if word.isdigit() else word for word in sys.argv[3:]]
        print(json.dumps(functions[sys.argv[2]](*words)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    from simgpt.environment import describe_environment
    from simgpt.files import write_json
    from simgpt.train.export import Form, export_model

    environment = describe_environment()
    rounds = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph"
        exporter = multiprocessing.get_context("spawn").Process(
            target=export_model, args=("bundled", Form.ONNX, graph)
        )
        exporter.start()
        exporter.join()
        for _ in range(arguments.rounds):
            for way in WAYS:
                rounds[way].append(in_child("measure", way, graph))
                print(way, f"{rounds[way][-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    counted = in_child("arithmetic")
    seconds = {way: [one["seconds"] for one in found] for way, found in rounds.items()}
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    reference = rounds["ours"][0]["scores"]
    peak = max(one["multiply_flop_per_s"] for found in rounds.values() for one in found)
    write_json(
        arguments.output,
        {
            "command": "python -m tests.benchmarks.evaluate_throughput --output "
            "book/results/benchmarks/evaluate_throughput.json",
            "environment": environment,
            "threads": rounds["ours"][0]["threads"],
            "load_average": os.getloadavg(),
            "seconds": seconds,
            "median_s": medians,
            "ratio": {way: medians[way] / medians["ours"] for way in WAYS},
            "largest_change": {
                way: max(abs(found[0]["scores"][task] - reference[task]) for task in reference)
                for way, found in rounds.items()
            },
            "scores": reference,
            "peak_mib": {
                way: max(one["peak_mib"] for one in found) for way, found in rounds.items()
            },
            "sentences": counted,
            "multiply_flop_per_s": peak,
            "fraction_of_peak": counted["different"]["flop"] / medians["ours"] / peak,
            "layers": in_child("layers", arguments.rounds),
        },
    )


if __name__ == "__main__":
    main()
