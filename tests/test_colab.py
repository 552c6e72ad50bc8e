"""The notebooks' first cell, in a pretended Colab and outside; the copy that outlives a runtime."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import nbformat
import pytest

from simgpt import SimgptError, colab
from simgpt.backup import copy_missing, keep_copy, mirror
from simgpt.config import RunConfig
from simgpt.files import COMPLETE
from simgpt.train.checkpoints import seal
from tests.conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
OPENED = "https%3A%2F%2Fgithub.com%2Fsomeone%2Fsim-gpt%2Fblob%2Ftrunk%2Fnotebooks%2F03_train.ipynb"


def first_cell(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    return next(cell for cell in cells if cell.cell_type == "code")


@pytest.fixture
def content(tmp_path):
    """What is /content in Colab, and a repository that git finds under its address on GitHub."""
    origin = tmp_path / "origin"
    (origin / "simgpt").mkdir(parents=True)
    (origin / "simgpt" / "__init__.py").write_text("")
    (origin / "simgpt" / "colab.py").write_text(
        "def set_up(root, *, tell):\n    tell(f'set up in {root.name}')\n    return 'colab'\n"
    )
    identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for words in (["init", "-qb", "trunk"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(origin), *words], check=True)
    (tmp_path / "content").mkdir()
    return tmp_path / "content"


@pytest.fixture
def sessions():
    """Colab's server, which knows what notebook is open; returns its port and what it says."""
    opened = ["fileId=" + OPENED]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/api/sessions" else 404)
            self.end_headers()
            self.wfile.write(json.dumps([{"path": opened[0]}]).encode())

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, opened
    server.shutdown()
    server.server_close()


def run_cell(content, port, *, times=1):
    """Run the cell in a Python of its own, with a stub where Colab has its package."""
    source = first_cell(NOTEBOOKS[0]).source.replace("/content", str(content))
    stub = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    code = stub + source.replace(":9000", f":{port}") + "\n"
    environment = os.environ | {
        "COLAB_JUPYTER_IP": "127.0.0.1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{content.parent / 'origin'}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/sim-gpt",
    }
    return subprocess.run(
        [sys.executable, "-c", code * times + "print(_gpu_profile)"],
        capture_output=True,
        text=True,
        cwd=content,
        env=environment,
        timeout=60,
    )


def test_every_notebook_begins_with_the_same_cell_which_readers_of_the_book_do_not_see():
    cells = [first_cell(notebook) for notebook in NOTEBOOKS]
    assert len({cell.source for cell in cells}) == 1
    assert all("remove-cell" in cell.metadata["tags"] for cell in cells)


def test_outside_colab_the_cell_does_nothing():
    namespace = {}
    before = list(sys.path)
    exec(first_cell(NOTEBOOKS[0]).source, namespace)
    assert sys.path == before
    assert namespace.keys() == {"__builtins__", "sys"}


def test_in_colab_the_cell_fetches_the_repository_that_the_notebook_was_opened_from(
    content, sessions
):
    done = run_cell(content, sessions[0], times=2)  # the second time it is there
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["set up in simgpt"] * 2 + ["colab"]
    head = ["git", "-C", str(content / "simgpt"), "branch", "--show-current"]
    assert subprocess.run(head, capture_output=True, text=True).stdout == "trunk\n"


def test_a_copy_of_the_notebook_on_drive_says_what_it_lacks(content, sessions, monkeypatch):
    port, opened = sessions
    opened[0] = "fileId=1AbCdEf"
    done = run_cell(content, port)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("or set SIMGPT_REPOSITORY.")
    monkeypatch.setenv("SIMGPT_REPOSITORY", "https://github.com/someone/sim-gpt")
    assert run_cell(content, port).stdout.splitlines()[-1] == "colab"


def test_the_gpus_profile_stands_in_for_the_default_and_for_no_other():
    assert (
        RunConfig.from_notebook({"profile": "smoke", "_gpu_profile": "laptop"}).profile == "laptop"
    )
    assert RunConfig.from_notebook({"profile": "smoke", "_gpu_profile": None}).profile == "smoke"
    chosen = {"profile": "laptop-promcse", "_gpu_profile": "laptop"}
    assert RunConfig.from_notebook(chosen).profile == "laptop-promcse"


def test_what_colab_brings_stays_as_it_is_where_it_fits():
    """The versions of Colab's runtime of August 2026, and one that is too old."""
    brought = {"torch": "2.11.0+cu128", "numpy": "2.1.3", "transformers": "5.15.0", "rich": "13.0"}
    kept = colab.kept_versions(REPOSITORY, brought)
    assert kept == ["torch==2.11.0+cu128", "numpy==2.1.3", "transformers==5.15.0"]
    old = colab.kept_versions(REPOSITORY, brought | {"transformers": "4.50.0"})
    assert old == ["torch==2.11.0+cu128", "numpy==2.1.3"]


@pytest.fixture
def pip(monkeypatch):
    """Instead of pip: the versions it leaves, and the words it was given."""
    versions = [
        {"torch": "2.11.0", "gdown": "5.2.0"},
        {"torch": "2.11.0", "gdown": "6.0.0", "x": "1"},
    ]
    asked = []

    def run(command, **_):
        constraints = Path(command[command.index("--constraint") + 1]).read_text()
        asked.append((command, constraints))
        return types.SimpleNamespace(returncode=len(asked) > 1, stderr="no space left")

    monkeypatch.setattr(
        colab, "_versions", lambda: versions.pop(0) if len(versions) > 1 else versions[0]
    )
    monkeypatch.setattr(colab.subprocess, "run", run)
    return asked


def test_installing_tells_what_it_changed_and_what_to_do(pip, monkeypatch):
    told = []
    colab.install(REPOSITORY, tell=told.append)
    assert told == ["changed gdown 5.2.0 -> 6.0.0", "installed x 1"]
    ((command, constraints),) = pip
    assert command[-1] == f"{REPOSITORY}[released]"
    assert constraints == "torch==2.11.0\n"
    with pytest.raises(RuntimeError, match="no space left"):
        colab.install(REPOSITORY, tell=told.append)


def test_a_package_that_changed_after_it_was_loaded_wants_a_restart(pip, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", types.ModuleType("gdown"))
    told = []
    colab.install(REPOSITORY, tell=told.append)
    assert told[-1] == "Runtime > Restart session, then run this cell again: gdown was loaded"


@pytest.fixture
def runtime(monkeypatch, tmp_path):
    """A Colab runtime with a GPU, a Drive, and nothing to install."""
    drive = types.SimpleNamespace(mount=lambda path: None)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    package = types.ModuleType("google.colab")
    package.drive = drive
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(colab, "install", lambda root, *, tell: None)
    monkeypatch.setattr(colab, "_DRIVE", tmp_path / "drive")
    monkeypatch.setattr("simgpt.backup.keep_copy", lambda source, target: None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr("simgpt.train.dry_run.dry_run", lambda cfg: [f"T4: {cfg.backbone}"])
    monkeypatch.setattr("simgpt.released.import_release", lambda name, path: path.write_text(""))
    monkeypatch.chdir(tmp_path)
    return drive


def test_on_a_gpu_the_profile_is_colab_and_what_it_takes_is_told(runtime, tmp_path):
    told = []
    assert colab.set_up(tmp_path, tell=told.append) == "colab"
    assert "T4: roberta-base" in told
    assert f"Runs are copied to {tmp_path / 'drive' / 'MyDrive' / 'simgpt' / 'runs'}." in told[0]


def test_without_the_papers_triplets_a_gpu_gets_the_bundled_ones(runtime, tmp_path, monkeypatch):
    def fails(name, path):
        raise SimgptError("Google Drive is over its quota")

    monkeypatch.setattr("simgpt.released.import_release", fails)
    told = []
    assert colab.set_up(tmp_path, tell=told.append) == "laptop"
    assert "The profile colab cannot be had here: Google Drive is over its quota" in told


def test_without_drive_one_is_told_what_is_lost(runtime, tmp_path):
    def refused(path):
        raise ValueError("mount failed")

    runtime.mount = refused
    told = []
    assert colab.set_up(tmp_path, tell=told.append) == "colab"
    assert "lost with the runtime" in told[0]


def test_without_a_gpu_the_notebooks_own_profile_stands(runtime, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    told = []
    assert colab.set_up(tmp_path, tell=told.append) is None
    assert told[0].startswith("No GPU")


def write_run(folder, *steps, torn=()):
    for step in (*steps, *torn):
        checkpoint = folder / "trainer" / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_text(f"weights of step {step}")
        (checkpoint / "trainer_state.json").write_text("{}")
        if step in steps:
            seal(checkpoint)
    (folder / "config.json").write_text("{}")
    (folder / ".lock").write_text("")
    (folder / "triplets.arrow").write_text("made again")
    (folder / "ledger.sqlite").write_text("open")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_copy_holds_whole_checkpoints_and_follows_when_older_ones_go(tmp_path):
    runs, drive = tmp_path / "runs", tmp_path / "drive"
    write_run(runs / "a", 4, torn=[8])
    (drive / "another").mkdir(parents=True)
    (drive / "another" / "config.json").write_text("{}")
    mirror(runs, drive)
    assert names(drive / "a") == [
        "config.json",
        "trainer/checkpoint-4/COMPLETE",
        "trainer/checkpoint-4/model.safetensors",
        "trainer/checkpoint-4/trainer_state.json",
    ]
    seal(runs / "a" / "trainer" / "checkpoint-8")
    for file in (runs / "a" / "trainer" / "checkpoint-4").iterdir():
        file.unlink()
    mirror(runs, drive)
    assert [name for name in names(drive / "a") if "checkpoint-" in name] == [
        "trainer/checkpoint-8/COMPLETE",
        "trainer/checkpoint-8/model.safetensors",
        "trainer/checkpoint-8/trainer_state.json",
    ]
    assert names(drive / "another") == ["config.json"]


def test_a_copy_that_is_cut_short_leaves_the_older_checkpoint_whole(tmp_path, monkeypatch):
    runs, drive = tmp_path / "runs", tmp_path / "drive"
    write_run(runs / "a", 4)
    mirror(runs, drive)
    write_run(runs / "b", 4)  # so that something is copied before the seal
    new = runs / "a" / "trainer" / "checkpoint-8"
    new.mkdir()
    (new / "model.safetensors").write_text("weights of step 8")
    seal(new)
    from simgpt import backup

    whole = backup._copy

    def cut(source, target):
        if source.name == COMPLETE and "checkpoint-8" in str(source):
            raise SimgptError("the runtime is gone")
        whole(source, target)

    monkeypatch.setattr(backup, "_copy", cut)
    with pytest.raises(SimgptError):
        mirror(runs, drive)
    from simgpt.train.checkpoints import newest_checkpoint

    assert newest_checkpoint(drive / "a" / "trainer").name == "checkpoint-4"


def test_a_new_runtime_begins_with_the_copy_and_keeps_it_in_step(tmp_path):
    runs, drive = tmp_path / "runs", tmp_path / "drive"
    write_run(drive / "a", 4)
    stop = keep_copy(runs, drive, every_s=0.05)
    assert (runs / "a" / "trainer" / "checkpoint-4" / COMPLETE).is_file()
    (runs / "a" / "scores.json").write_text("{}")
    until = time.monotonic() + 10
    while not (drive / "a" / "scores.json").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    assert (drive / "a" / "scores.json").is_file()


def test_what_the_runtime_has_already_is_not_overwritten_by_the_copy(tmp_path):
    runs, drive = tmp_path / "runs", tmp_path / "drive"
    write_run(drive / "a", 4)
    write_run(runs / "a", 8)
    copy_missing(drive, runs)
    assert (runs / "a" / "trainer" / "checkpoint-8").is_dir()
    assert not (runs / "a" / "trainer" / "checkpoint-4").exists()


def test_what_the_papers_run_takes_on_each_of_colabs_gpus_is_told_without_one():
    lines = colab.estimates(371_000)
    gpus = [line for line in lines if not line.startswith(" ")]
    assert [line.partition(":")[0] for line in gpus] == ["T4", "L4", "A100-40"]
    assert all(re.search(r": [\d,]+ steps, about .+ GiB of ", line) for line in gpus)
    assert not any("does not fit" in line for line in lines)  # the profile is made for them
