"""A ledger of a million answers: time a row, look-ups, status, size.

    python -m tests.benchmarks.ledger_rows --output book/results/benchmarks/ledger_rows.json

Rows are written through the ledger's own methods, 64 requests at a time, as that many calls in
flight would; the answers have the length of real ones.
"""

import argparse
import asyncio
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from simgpt.annotate import Sampling, load_prompt
from simgpt.annotate.attempts import Ending, Outcome
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.requests import Answer, Setup
from simgpt.annotate.status import status
from simgpt.environment import describe_environment
from simgpt.files import write_json

TOGETHER, PARTS = 64, 10


async def fill(ledger, setup, begin, end):
    for first in range(begin, end, TOGETHER):
        numbers = range(first, min(first + TOGETHER, end))
        requests = [setup.request([f"Dog number {n} runs along the beach."]) for n in numbers]
        attempts = await ledger.begin(requests, [0.001] * len(requests))
        answers = [
            Answer(
                f"1. By the sea dog number {n} is running.\n2. Two men are rowing boat {n} home.",
                model="gpt-4o-mini-2024-07-18",
                fingerprint="fp_0123456789",
                input_tokens=540,
                output_tokens=31,
            )
            for n in numbers
        ]
        endings = [Ending(Outcome.ANSWERED, answer, 0.0001) for answer in answers]
        await ledger.end(list(zip(attempts, endings, strict=True)))


def timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    environment = describe_environment()
    setup = Setup("http://127.0.0.1/v1", "gpt-4o-mini", load_prompt("captions"), Sampling())
    draw = random.Random(1)
    part = arguments.rows // PARTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        writing, looking = [], []
        with Ledger(path) as ledger:
            for number in range(PARTS):
                fresh = (number * part, (number + 1) * part)
                seconds = timed(lambda fresh=fresh: asyncio.run(fill(ledger, setup, *fresh)))
                writing.append(1e6 * seconds / part)
                keys = [
                    setup.key([f"Dog number {draw.randrange(fresh[1])} runs along the beach."])
                    for _ in range(500)
                ]
                times = [timed(lambda keys=keys: ledger.answers(keys)) for _ in range(20)]
                looking.append(1e6 * statistics.median(times) / len(keys))
                print(f"{fresh[1]:,}: {writing[-1]:.0f} us a row, {looking[-1]:.1f} us a look-up")
        result = {
            "environment": environment,
            "command": " ".join(["python", "-m", "tests.benchmarks.ledger_rows", *sys.argv[1:]]),
            "rows": arguments.rows,
            "write_us_per_row_by_tenth": writing,
            "look_up_us_per_row_by_tenth": looking,
            "open_s": timed(lambda: Ledger(path).__exit__()),
            "status_s": timed(lambda: status(path)),
            "megabytes": path.stat().st_size / 1e6,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
