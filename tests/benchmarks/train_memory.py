r"""Peak memory of a training run: 5,000 triplets against the paper's 371,000.

    python -m tests.benchmarks.train_memory --output book/results/benchmarks/train_memory.json

One epoch of `simgpt train` in a process of its own, 512 triplets a step, on the bundled triplets,
repeated with a number in each sentence. The encoder is a random BERT of three small layers: the
memory that counts here is the data's. `anonymous` is what the process holds; `resident` includes
the pages of files that happen to be mapped, which the system takes back when it needs them.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from simgpt.environment import describe_environment
from simgpt.files import write_json
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets, write_triplets
from tests.tiny import tiny_bert

SIZES = (5_000, 371_000)


def repeated(count):
    triplets = list(read_triplets(BUNDLED_TRIPLETS))
    for number, triplet in enumerate(itertools.islice(itertools.cycle(triplets), count)):
        yield replace(triplet, sentence=f"{triplet.sentence} ({number})")


def peaks(command):
    """Highest resident and anonymous memory of a process, MiB, looked at ten times a second."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # Read what it says, or it waits for a reader.
    words = []
    reader = threading.Thread(target=lambda: words.extend(process.stderr))
    reader.start()
    highest = {"VmHWM": 0, "RssAnon": 0}
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except FileNotFoundError:
            break
        for line in lines:
            name, _, value = line.partition(":")
            if name in highest:
                highest[name] = max(highest[name], int(value.split()[0]))
        time.sleep(0.1)
    reader.join()
    if process.wait():
        raise SystemExit("".join(words))
    return {"resident_mib": highest["VmHWM"] / 1024, "anonymous_mib": highest["RssAnon"] / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    environment = describe_environment()
    settings = {
        "batch_size": 512,
        "eval_steps": 100_000,
        "benchmarks": "bundled",
        "max_triplets": 0,
    }
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backbone = tiny_bert(folder / "backbone")
        for count in SIZES:
            triplets = folder / f"{count}.jsonl"
            write_triplets(triplets, repeated(count))
            here = settings | {"backbone": backbone, "triplets": triplets}
            words = [f"--set={key}={value}" for key, value in here.items()]
            run = folder / f"run-{count}"
            began = time.monotonic()
            found = peaks([sys.executable, "-m", "simgpt", "train", "--output", str(run), *words])
            steps = json.loads((run / "train_log.jsonl").read_text().splitlines()[-1])["step"]
            megabytes = triplets.stat().st_size / 1e6
            measured[str(count)] = found | {
                "steps": steps,
                "file_mb": megabytes,
                "seconds": time.monotonic() - began,
            }
    small, large = (measured[str(count)] for count in SIZES)
    write_json(
        arguments.output,
        {
            "command": "python -m tests.benchmarks.train_memory --output "
            "book/results/benchmarks/train_memory.json",
            "environment": environment,
            "settings": settings,
            "triplets": measured,
            "more_mib": {key: large[key] - small[key] for key in ("resident_mib", "anonymous_mib")},
        },
    )


if __name__ == "__main__":
    main()
