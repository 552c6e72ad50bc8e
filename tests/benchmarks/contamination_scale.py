"""Time and memory of the contamination audit: 10,000 triplets against the paper's 371,000.

    python -m tests.benchmarks.contamination_scale \
        --output book/results/benchmarks/contamination_scale.json

Each audit is a process of its own, against the seven benchmarks that SIMGPT_SENTEVAL names. The
triplets are the bundled ones over and over; from the second time on a quarter of the words are
others, drawn from the bundle, so that no sentence is there twice and lengths stay as they are.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from simgpt.environment import describe_environment
from simgpt.evaluate import overlap
from simgpt.files import write_json
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets, write_triplets
from tests.benchmarks.train_memory import peaks

SIZES = (10_000, 371_000)


def varied(count, *, seed=0):
    draw = random.Random(seed)
    triplets = [triplet.texts for triplet in read_triplets(BUNDLED_TRIPLETS)]
    vocabulary = [word for texts in triplets for text in texts for word in text.split()]
    for number in range(count):
        texts = triplets[number % len(triplets)]
        if number >= len(triplets):
            texts = (
                " ".join(
                    draw.choice(vocabulary) if draw.random() < 0.25 else word
                    for word in text.split()
                )
                + f" {number}"
                for text in texts
            )
        yield Triplet(*texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    environment = describe_environment()
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in SIZES:
            triplets, output = folder / f"{count}.jsonl", folder / f"{count}.json"
            write_triplets(triplets, varied(count))
            words = ["evaluate", "contamination", "--triplets", triplets, "--output", output]
            began = time.monotonic()
            found = peaks([sys.executable, "-m", "simgpt", *map(str, words)])
            seconds = time.monotonic() - began
            audit = json.loads(output.read_text())
            measured[str(count)] = found | {
                "seconds": seconds,
                "audit_seconds": audit["seconds"],
                "file_mb": triplets.stat().st_size / 1e6,
                "benchmark_sentences": audit["total"]["sentences"],
                "sentences_touched": {
                    level: counts["sentences"] for level, counts in audit["total"]["levels"].items()
                },
            }
            print(json.dumps(measured[str(count)]), flush=True)
    small, large = (measured[str(count)] for count in SIZES)
    more = 3 * (SIZES[1] - SIZES[0])
    write_json(
        arguments.output,
        {
            "command": "python -m tests.benchmarks.contamination_scale --output "
            "book/results/benchmarks/contamination_scale.json",
            "environment": environment,
            "triplets": measured,
            "permutations": overlap.PERMUTATIONS,
            "more_mib": {key: large[key] - small[key] for key in ("resident_mib", "anonymous_mib")},
            "us_per_sentence": 1e6 * (large["seconds"] - small["seconds"]) / more,
        },
    )


if __name__ == "__main__":
    main()
