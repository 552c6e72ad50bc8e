"""Runs of `simgpt train` on tiny models, in processes of their own that can be killed anywhere.

A fork server imports everything once, so that a run costs about a second and not ten.
"""

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from functools import partial
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import load_file

from simgpt.config import RunConfig
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets, write_triplets

LIMIT_S = 60
# What a finished run leaves behind, and nothing else.
FINISHED = {"COMPLETE", "checkpoint", "config.json", "environment.json", "train_log.jsonl"}

_processes = multiprocessing.get_context("forkserver")


def settings(folder, *, backbone, triplets=24, **more):
    """Six steps, three an epoch, a checkpoint after each."""
    path = folder / f"{triplets} triplets.jsonl"
    if not path.exists():
        rows = read_triplets(BUNDLED_TRIPLETS)
        write_triplets(path, [next(rows) for _ in range(triplets)])
    return {
        "backbone": str(backbone),
        "triplets": str(path),
        "max_tokens": 16,
        "max_triplets": 0,
        "batch_size": 8,
        "epochs": 2,
        "eval_steps": 1,
        "learning_rate": 1e-3,
        "precision": "fp32",
        "pooling": "cls",
        "warmup": 0,
        **more,
    }


def config(folder, **given):
    return RunConfig.from_params(settings(folder, **given))


def arguments(output, given, *more):
    """The command line of these settings."""
    told = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    return ["train", "--output", str(output), *told, *more]


class Simgpt:
    """`simgpt ...` in a process of its own.

    Args:
        words: The command line.
        log: Folder for what it says.
        prepare: Called in the process before the command; a function of a module, or a partial.
        rank: What a launcher tells the process about its group, as `group` makes it.
    """

    def __init__(self, words, log, prepare=None, rank=None):
        self.spoken = log / f"{time.monotonic_ns()}.txt"
        self.process = _processes.Process(
            target=_run, args=([str(word) for word in words], self.spoken, prepare, rank or {})
        )
        self.process.start()

    def wait(self):
        """The exit status, as a shell reports it, and what was said."""
        self.process.join(LIMIT_S)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f"still running after {LIMIT_S} s: {self.said}")
        return self.process.exitcode, self.said

    @property
    def said(self):
        return self.spoken.read_text() if self.spoken.exists() else ""

    def send(self, number):
        os.kill(self.process.pid, number)


def simgpt(words, log, prepare=None):
    return Simgpt(words, log, prepare).wait()


def group(size):
    """For each process of a group, the environment that a launcher such as torchrun gives it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {
            **{name: str(rank) for name in ("RANK", "LOCAL_RANK")},
            **{name: str(size) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")},
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "GLOO_SOCKET_IFNAME": loopback(),
            "OMP_NUM_THREADS": "1",
        }
        for rank in range(size)
    ]


def loopback():
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


def call(function, folder, ranks=None):
    """The result of `function`, a partial of a module's, in each process of a group, or in one.

    Its arguments hold no tensors: those would travel through sockets of torch's own, and hang.
    """
    ranks = ranks or [{}]
    files = [folder / f"{time.monotonic_ns()}-{n}.pt" for n in range(len(ranks))]
    running = [
        _processes.Process(target=_call, args=(function, file, rank))
        for file, rank in zip(files, ranks, strict=True)
    ]
    for process in running:
        process.start()
    deadline = time.monotonic() + LIMIT_S
    while any(process.is_alive() for process in running):
        failed = any(process.exitcode for process in running)
        if failed or time.monotonic() > deadline:  # the others would wait for it
            for process in running:
                process.kill()
        time.sleep(0.02)
    told = [file.with_suffix(".txt").read_text() for file in files if not file.exists()]
    assert [process.exitcode for process in running] == [0] * len(running), told
    return [torch.load(file) for file in files]


def _call(function, file, rank):
    os.environ.update(rank)
    torch.set_num_threads(1)
    file.with_suffix(".txt").write_text("hangs, or was killed")
    try:
        torch.save(function(), file)
    except BaseException:
        file.with_suffix(".txt").write_text(traceback.format_exc())
        raise


def _run(words, spoken, prepare, rank):
    # As from a terminal: what a shell runs in the background ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(rank)
    file = spoken.open("wb", buffering=0)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.stdin = Path(os.devnull).open()
    os.environ["COLUMNS"] = "1000"
    torch.set_num_threads(1)
    few_development_pairs()
    if prepare:
        prepare()
    from simgpt.cli import main

    sys.argv = ["simgpt", *words]
    main()
    sys.stdout.flush()


def few_development_pairs(count=30):
    """Score on a few of the bundled pairs only: what is scored is not what is tested."""
    from simgpt.evaluate.benchmarks import bundled_dev_task
    from simgpt.evaluate.tasks import Subset, Task
    from simgpt.train import run

    whole = bundled_dev_task()
    subset = whole.subsets[0]
    few = Subset("few", subset.left[:count], subset.right[:count], subset.gold[:count])
    task = Task(whole.name, [few], whole.text, whole.sha256)
    run.development_task = lambda cfg: task


def sentence(said):
    """The one sentence that a failed command ends with; nothing else may look like an error."""
    assert "Traceback" not in said, said
    (line,) = [line for line in said.splitlines() if line.startswith("simgpt: ")]
    return line.removeprefix("simgpt: ")


def weights(output):
    """Every exported weight of a finished run, by file and name."""
    assert {entry.name for entry in output.iterdir()} - {".lock"} == FINISHED
    found = {}
    for file in sorted((output / "checkpoint").rglob("*.safetensors")):
        for name, tensor in load_file(file).items():
            found[f"{file.relative_to(output)}:{name}"] = tensor
    assert found
    return found


def same(left, right):
    """Bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def furthest(left, right):
    """The largest difference of two weights.

    Not of the keys' biases: a softmax does not see them, so their gradient is rounding noise, which
    Adam then blows up to the size of the rate.
    """
    assert left.keys() == right.keys()
    seen = [name for name in left if not name.endswith("key.bias")]
    return max((left[name] - right[name]).abs().max().item() for name in seen)


def log_rows(output):
    return [json.loads(line) for line in (output / "train_log.jsonl").read_text().splitlines()]


def checkpoint_steps(output):
    return sorted(
        int(path.name.removeprefix("checkpoint-"))
        for path in (output / "trainer").glob("checkpoint-*")
    )


def wait_until(happened, *, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def kill_at(point, *, count=1):
    """A `prepare`: die at the `count`-th time that the run comes to `point`, a name of POINTS."""
    return partial(_kill_at, point, count)


def _kill_at(point, count):
    owner, name, when, applies = POINTS[point]()
    real = getattr(owner, name)
    left = [count]

    def wrapped(*args, **kwargs):
        hit = applies(*args, **kwargs)
        left[0] -= hit
        if not hit or left[0]:
            return real(*args, **kwargs)
        path = next((Path(a) for a in args if isinstance(a, str | Path)), None)
        if when == "middle" and path.is_dir():
            for file in sorted(path.rglob("*.*"))[::2]:
                file.unlink(missing_ok=True) if file.is_file() else None
        elif when != "before":
            real(*args, **kwargs)
        if when == "middle" and path.is_file():
            os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, wrapped)


def _named(name, *, index=0, has=lambda path: True):
    """Whether a call's path, its argument at `index`, has this name."""

    def applies(*args, **kwargs):
        path = Path(args[index])
        return path.name == name and has(path)

    return applies


def _with_seconds(source, path, *args, **kwargs):
    return Path(path).name == "environment.json" and '"seconds":' in Path(source).read_text()


def _in_checkpoint(path):
    return path.parent.name.startswith("checkpoint-")


def _of_run(path):
    return (path.parent / "config.json").exists()


def _replacing(name, when, has=lambda path: True):
    return lambda: (os, "replace", when, _named(name, index=1, has=has))


def _saving(name, when):
    return lambda: (torch, "save", when, _named(name, index=1))


def _weights(when):
    from simgpt.train import checkpoints

    return checkpoints, "save_file", when, _named("model.safetensors", index=1)


def _state():
    from transformers import TrainerState

    return TrainerState, "save_to_json", "after", _named("trainer_state.json", index=1)


def _of(module, name, when):
    def found():
        owner = import_module(module)
        for part in name.split(".")[:-1]:
            owner = getattr(owner, part)
        return owner, name.split(".")[-1], when, lambda *args, **kwargs: True

    return found


def _removing(start, when):
    import shutil

    return lambda: (shutil, "rmtree", when, lambda p, *a, **k: Path(p).name.startswith(start))


TRAINER_MODULE = "simgpt.train.trainer"
# Where a run can be killed, in the order in which it comes by: what is called, and whether the
# kill falls before the call, after it, or in its middle: half of a file written, of a folder gone.
POINTS = {
    "config.json is written, not yet in place": _replacing("config.json", "before"),
    "triplets.arrow is written, not yet in place": _replacing("triplets.arrow", "before"),
    "the first environment.json is written, not yet in place": _replacing(
        "environment.json", "before"
    ),
    "a step begins": _of(TRAINER_MODULE, "TripletTrainer.compute_loss", "before"),
    "a step is done, no checkpoint begun": _of(
        TRAINER_MODULE, "TripletTrainer._save_checkpoint", "before"
    ),
    "half of the weights are written": lambda: _weights("middle"),
    "the weights are written": lambda: _weights("after"),
    "half of optimizer.pt is written": _saving("optimizer.pt", "middle"),
    "optimizer.pt is written": _saving("optimizer.pt", "after"),
    "scheduler.pt is written": _saving("scheduler.pt", "after"),
    "rng_state.pth is written": _saving("rng_state.pth", "after"),
    "trainer_state.json is written": _state,
    "a checkpoint is written, not sealed": _of(TRAINER_MODULE, "seal", "before"),
    "the seal is written, not yet in place": _replacing("COMPLETE", "before", _in_checkpoint),
    "a checkpoint is sealed, the others not pruned": _of(TRAINER_MODULE, "prune", "before"),
    "half of a checkpoint is pruned": _removing("checkpoint-", "middle"),
    "a checkpoint is pruned": _of(TRAINER_MODULE, "prune", "after"),
    "training is over, nothing exported": _of(TRAINER_MODULE, "fit", "after"),
    "half of the export is written": _of(
        "sentence_transformers.sentence_transformer.modules", "Pooling.save", "before"
    ),
    "the export is written, not yet in place": _replacing("checkpoint", "before"),
    "the export is in place": _replacing("checkpoint", "after"),
    "environment.json is complete": lambda: (os, "replace", "after", _with_seconds),
    "COMPLETE is written, not yet in place": _replacing("COMPLETE", "before", _of_run),
    "COMPLETE is in place": _replacing("COMPLETE", "after", _of_run),
    "half of the trainer's folder is gone": _removing("trainer", "middle"),
    "the trainer's folder is gone": _removing("trainer", "after"),
}
