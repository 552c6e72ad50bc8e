"""What a run survives: kills, Ctrl-C, a full disk, a second run. And secrets, which must not."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from simgpt.annotate.ledger import Ledger
from simgpt.annotate.status import status
from tests.annotate.support import sentences
from tests.openai_server import OpenAIServer, ServerProcess

CANARY = "sk-canary-7f3a9e5b1c"
KILLS = 50
CONCURRENCY = 8
# Forks a child for each line of arguments, so that fifty of them need not import everything anew.
NURSERY = """
import json, os, sys
import openai, scipy.stats
import simgpt.annotate, simgpt.sentences
from openai.resources.chat import completions
from simgpt.cli import main
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        sys.argv = ["simgpt", *json.loads(line)]
        sys.stdin = open(os.devnull)
        sys.stdout = open(os.devnull, "w")
        main()
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture
def source(tmp_path):
    def write(count):
        path = tmp_path / "my sentences.txt"
        path.write_text("".join(f"{sentence.text}\n" for sentence in sentences(count)))
        return path

    return write


def command(source, folder, url, *more):
    folder.mkdir(exist_ok=True)
    return [
        *("annotate", str(source), "--output", str(folder / "triplets.jsonl")),
        *("--ledger", str(folder / "ledger.sqlite"), "--source", "captions"),
        *("--model", "gpt-4o-mini", "--base-url", url, "--concurrency", str(CONCURRENCY)),
        *more,
    ]


def environment(key="none"):
    private = ("proxy", "openai", "simgpt_")
    kept = {k: v for k, v in os.environ.items() if not any(p in k.lower() for p in private)}
    return {**kept, "OPENAI_API_KEY": key}


def simgpt(*arguments, key="none", before=""):
    code = f"{before}\nfrom simgpt.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(key),
    )


def intact(ledger):
    with sqlite3.connect(ledger) as db:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_fifty_kills_later_the_triplets_are_those_of_an_undisturbed_run(source, tmp_path):
    path = source(3000)
    draw = random.Random(50)
    with ServerProcess(latency_s=0.04) as server:
        arguments = command(path, tmp_path / "killed", server.url)
        ledger = tmp_path / "killed" / "ledger.sqlite"
        nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )

        def run(seconds=None):
            nursery.stdin.write(json.dumps(arguments) + "\n")
            nursery.stdin.flush()
            pid = int(nursery.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                os.kill(pid, signal.SIGKILL)
            return int(nursery.stdout.readline())

        answered = []
        for _ in range(KILLS):
            assert run(draw.uniform(0.02, 0.5)) == -signal.SIGKILL
            if ledger.exists() and ledger.stat().st_size:
                assert intact(ledger)
                answered.append(status(ledger)["answered"])
            assert not (tmp_path / "killed" / "triplets.jsonl").exists()
        assert answered == sorted(answered)  # nothing that was there is lost
        assert len(set(answered)) > KILLS // 3  # the kills fell while answers came in
        assert answered[-1] < 3000
        assert run() == 0
        nursery.stdin.close()
        nursery.wait(10)
        found, paid = status(ledger), server.stats()
    assert found["answered"] == 3000 + 3  # with the probes
    assert found["outcomes"]["lost in a kill"] <= KILLS * CONCURRENCY
    assert paid["extra_payments"] <= found["paid_twice"] <= KILLS * CONCURRENCY
    with ServerProcess() as server:
        whole = command(path, tmp_path / "whole", server.url)
        assert simgpt(*whole).returncode == 0
    for name in ("triplets.jsonl", "triplets.rejected.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_under_way_and_says_how_to_go_on(source, tmp_path, number):
    path = source(2000)
    with ServerProcess(latency_s=0.1) as server:
        arguments = command(path, tmp_path / "run", server.url)
        child = subprocess.Popen(
            [sys.executable, "-m", "simgpt", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        deadline = time.monotonic() + 30
        while server.stats()["paid"] < 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
        assert child.returncode == 128 + number
        assert err.startswith("simgpt: stopped: interrupted.")
        assert "run the same command to go on" in err
        assert "Traceback" not in err
        found = status(tmp_path / "run" / "ledger.sqlite")
        assert set(found["outcomes"]) == {"answered"}
        server_paid = server.stats()
        assert server_paid["paid"] == found["answered"] < 2000
        assert server_paid["undelivered"] == 0


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(source, tmp_path):
    path = source(600)
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"
    with OpenAIServer() as server:
        arguments = command(path, tmp_path / "run", server.url)
        done = simgpt(*arguments, before=full)
        assert done.returncode == 1
        (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("simgpt: ")]
        assert "ledger.sqlite: the disk is full or failing" in sentence
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "run" / "triplets.jsonl").exists()
        assert intact(tmp_path / "run" / "ledger.sqlite")
        assert simgpt(*arguments).returncode == 0
        assert server.stats()["extra_payments"] <= CONCURRENCY
    assert len((tmp_path / "run" / "triplets.jsonl").read_text().splitlines()) == 600


def test_a_second_run_is_refused_while_the_first_goes_on(source, tmp_path):
    path = source(5)
    with OpenAIServer() as server:
        arguments = command(path, tmp_path / "run", server.url)
        with Ledger(tmp_path / "run" / "ledger.sqlite"):
            done = simgpt(*arguments)
            assert (done.returncode, done.stdout) == (1, "")
            assert "another run is using this ledger" in done.stderr
            assert simgpt("annotate", "status", "--ledger", arguments[5]).returncode == 0
        assert simgpt(*arguments).returncode == 0


def test_something_that_is_no_ledger_is_refused_and_left_alone(source, tmp_path):
    path = source(5)
    with OpenAIServer() as server:
        arguments = command(path, tmp_path / "run", server.url)
        ledger = tmp_path / "run" / "ledger.sqlite"
        ledger.write_bytes(b"my thesis, chapter 1" * 100)
        done = simgpt(*arguments)
    assert done.returncode == 1
    assert f"{ledger}: the ledger cannot be used" in done.stderr
    assert ledger.read_bytes() == b"my thesis, chapter 1" * 100


@pytest.mark.parametrize("right", [True, False])
def test_a_key_is_in_no_output_log_or_file(source, tmp_path, right):
    """The server hands a wrong key back in its error, as some do."""
    path = source(20)
    with OpenAIServer(api_key=CANARY if right else "another") as server:
        password = "hunter2-canary"
        url = server.url.replace("http://", f"http://me:{password}@") + "?token=query-canary"
        addresses = (server.url,) if right else (server.url, url)
        outputs = []
        for address in addresses:
            arguments = command(path, tmp_path / "run", address, "--price", "1/1")
            done = simgpt(*arguments, key=CANARY)
            outputs += [done.stdout, done.stderr]
            assert (done.returncode == 0) == right
            done = simgpt("annotate", "status", "--ledger", arguments[5], "--json", key=CANARY)
            outputs += [done.stdout, done.stderr]
    files = [p for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert len(files) >= 2
    for text in (*outputs, *(p.read_bytes().decode(errors="replace") for p in files)):
        for secret in (CANARY, password, "query-canary"):
            assert secret not in text
    if not right:
        assert "***" in outputs[1]


def test_openai_itself_is_not_asked_without_a_key(source, tmp_path):
    arguments = command(source(5), tmp_path / "run", "https://api.openai.com/v1")
    done = simgpt(*arguments, key="")
    assert done.returncode == 1
    assert done.stderr.startswith("simgpt: OPENAI_API_KEY is not set")
