"""How fast a sentence encoder is."""

import resource
import time
from typing import Any

import numpy as np

from simgpt.evaluate import score_task
from simgpt.evaluate.benchmarks import bundled_dev_task
from simgpt.evaluate.encoding import encode, load_scorer
from simgpt.evaluate.scores import task_cosines


def measure_speed(name: str, *, progress: bool = False) -> dict[str, Any]:
    """Time an encoder in torch, 32-bit floats, on the bundled development pairs."""
    began = time.monotonic()
    scorer = load_scorer(name)
    load_s = time.monotonic() - began
    task = bundled_dev_task()
    sentences = [*task.left, *task.right]
    encode(scorer, sentences[:100])
    began = time.monotonic()
    vectors = encode(scorer, sentences, progress=progress)
    per_s = len(vectors) / (time.monotonic() - began)
    one, other = (np.stack([vectors[text] for text in side]) for side in (task.left, task.right))
    began = time.monotonic()
    for _ in range(100):
        np.einsum("ij,ij->i", one, other)
    cosines_per_s = 100 * len(one) / (time.monotonic() - began)
    return {
        "encoders": {
            "torch fp32": {
                "sentences_per_s": per_s,
                "pairs_per_s": per_s / 2,
                "cosines_per_s": cosines_per_s,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "load_s": load_s,
                "spearman": {task.name: score_task(task, task_cosines(task, vectors)).spearman},
                "largest_change": 0.0,
            }
        }
    }
