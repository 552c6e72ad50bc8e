"""Throughput, memory and cost per row of annotation at 371,000 sentences, against loopback.

    python -m tests.benchmarks.annotate_scale --output book/results/benchmarks/annotate_scale.json

Measures, in one run on one machine:

- the bare official client (AsyncOpenAI, no ledger, no retries) and the engine of `simgpt annotate`
  at the same concurrency, in turns, and the median of the ratios;
- the whole command for 10,000 and for all sentences, each in a process of its own: rows a second,
  peak memory, time a row along the way;
- the same command again on the finished ledger.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simgpt.annotate import Asking, OpenAITeacher, Task
from simgpt.annotate.export import usable
from simgpt.annotate.ledger import Ledger, reading
from simgpt.annotate.run import ask
from simgpt.environment import describe_environment
from simgpt.files import write_json
from simgpt.sentences import SourceSentence
from tests.openai_server import ServerProcess

MODEL = "gpt-4o-mini"


def sentence(number):
    return f"Dog number {number} runs along beach {number * 7 % 1000} while it rains in town."


class Sentences:
    def __init__(self, begin, end):
        self.begin, self.end = begin, end

    def __iter__(self):
        for number in range(self.begin, self.end):
            yield SourceSentence(sentence(number), "captions")


async def bare(url, task, concurrency):
    """Seconds that the official client takes by itself for the same requests."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
        items = iter(task)

        async def work():
            for item in items:
                reply = await client.chat.completions.create(
                    model=MODEL, max_tokens=200, messages=item.setup.prompt.messages(*item.inputs)
                )
                assert reply.choices[0].message.content

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.perf_counter() - began


def compare(url, folder, *, rounds, rows, concurrency):
    """Rows a second of the bare client and of ours, in turns."""
    results = []
    for number in range(rounds):
        teacher = OpenAITeacher(MODEL, base_url=url)
        items = Sentences(number * rows, (number + 1) * rows)
        task = Task(sentences=items, endpoint=teacher.endpoint, model=MODEL)

        def ours(task=task, teacher=teacher, number=number):
            with Ledger(folder / f"compare-{number}.sqlite") as ledger:
                began = time.perf_counter()
                ask(task, teacher, ledger, Asking(concurrency=concurrency), usable)
                return time.perf_counter() - began

        def theirs(task=task):
            return asyncio.run(bare(url, task, concurrency))

        # In turns, and each first as often as second.
        if number % 2:
            own, plain = ours(), theirs()
        else:
            plain, own = theirs(), ours()
        results.append({"bare_rows_per_s": rows / plain, "rows_per_s": rows / own})
        print(json.dumps(results[-1]), flush=True)
    return {
        "rounds": results,
        "median_ratio": statistics.median(r["rows_per_s"] / r["bare_rows_per_s"] for r in results),
    }


def command(url, folder, rows, concurrency, name):
    """The command line as a user calls it, in a process of its own."""
    source = folder / f"{rows}.txt"
    if not source.is_file():
        with source.open("w") as file:
            file.writelines(f"{sentence(n)}\n" for n in range(rows))
    arguments = ["annotate", str(source), "--source", "captions", "--model", MODEL]
    arguments += ["--base-url", url, "--concurrency", str(concurrency), "--price", "0"]
    arguments += ["--ledger", str(folder / f"{name}.sqlite")]
    arguments += ["--output", str(folder / f"{name}.jsonl")]
    code = (
        "import re, pathlib\nfrom simgpt.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        # Not ru_maxrss, which a child inherits from whoever started it.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1024)\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    return {
        "rows": rows,
        "seconds": seconds,
        "rows_per_s": rows / seconds,
        "peak_mib": float(done.stdout.splitlines()[-1]),
    }


def along_the_way(ledger, parts=10):
    """Milliseconds a row in each tenth of the answers, by when they came in."""
    with reading(ledger) as db:
        times = [
            row[0]
            for row in db.execute(
                "SELECT started + seconds FROM attempt WHERE outcome = 'answered' ORDER BY 1"
            )
        ]
    size = len(times) // parts
    return [
        1000 * (times[(part + 1) * size - 1] - times[part * size]) / size for part in range(parts)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=371_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.environ.setdefault("OPENAI_API_KEY", "none")
    result = {
        "environment": describe_environment(),
        "command": " ".join(["python", "-m", "tests.benchmarks.annotate_scale", *sys.argv[1:]]),
        "concurrency": arguments.concurrency,
    }
    with tempfile.TemporaryDirectory() as folder, ServerProcess() as server:
        folder = Path(folder)
        limits = {"concurrency": arguments.concurrency}
        result["throughput"] = compare(
            server.url, folder, rounds=arguments.rounds, rows=4000, **limits
        )
        result["small"] = command(server.url, folder, 10_000, arguments.concurrency, "small")
        result["small"]["ms_per_row_by_tenth"] = along_the_way(folder / "small.sqlite")
        print(json.dumps(result["small"]), flush=True)
    with tempfile.TemporaryDirectory() as folder, ServerProcess() as server:
        folder = Path(folder)
        result["full"] = command(server.url, folder, arguments.rows, arguments.concurrency, "full")
        print(json.dumps(result["full"]), flush=True)
        result["full"]["ms_per_row_by_tenth"] = along_the_way(folder / "full.sqlite")
        result["full"]["ledger_mb"] = (folder / "full.sqlite").stat().st_size / 1e6
        result["again"] = command(server.url, folder, arguments.rows, arguments.concurrency, "full")
        (folder / "full.jsonl").unlink()
        result["written_anew"] = command(
            server.url, folder, arguments.rows, arguments.concurrency, "full"
        )
        result["server"] = {
            name: value
            for name, value in server.stats().items()
            if name in ("requests", "distinct_paid", "extra_payments", "avoidable_payments")
        }
    write_json(arguments.output, result)
    print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    main()
