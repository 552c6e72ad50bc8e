"""The Makefile's promises to someone with a fresh clone, on copies with a pretended Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make")

pytestmark = [
    pytest.mark.skipif(MAKE is None, reason="GNU make is not on the PATH"),
    pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="not run from a source tree"),
]

# Answers the questions .ci/setup asks of a Python, and writes down what it was asked to do.
# PRETEND is its version; BREAK is a word of the call at which things go wrong, in the way of HOW.
FAKE_PYTHON = r"""#!/bin/sh
case "$*" in
  *sys.version_info*) echo "$PRETEND"; exit ;;
  *"pip config"*) exit 1 ;;
esac
echo "$*" >>"$CALLS"
case "$*" in *"${BREAK:-nothing}"*)
  case $HOW in
    killed) kill -9 $PPID; kill -9 $$ ;;
    full) echo "OSError: [Errno 28] No space left on device" >&2 ;;
  esac
  exit 1 ;;
esac
case "$*" in "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;; esac
"""


class Tree:
    """A copy of the files `make` needs, in a folder with a space, with every Python faked."""

    def __init__(self, folder: Path):
        self.path = folder / "a tree"
        (self.path / ".ci").mkdir(parents=True)
        for name in ("Makefile", "requirements.txt", "pyproject.toml", ".ci/setup"):
            shutil.copy(ROOT / name, self.path / name)
        self.calls = folder / "calls"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
            self.add_python(self.bin / name)

    @staticmethod
    def add_python(path: Path) -> None:
        path.write_text(FAKE_PYTHON, encoding="utf-8")
        path.chmod(0o755)

    def make(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        ours = ("PYTHON", "UV_FIND_LINKS", "MAKE", "MFLAGS")  # `make test` sets MAKELEVEL and more
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        settings = {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "PRETEND": "3.11",
            "UV": "",
            "SIMGPT_MIN_FREE_GB": "0",
            "LC_ALL": "C",
        }
        return subprocess.run(
            [str(MAKE), *words],
            cwd=self.path,
            env=inherited | settings | env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def asked(self, what: str) -> int:
        """How many calls to the pretended Python had these words."""
        return self.calls.read_text().count(what) if self.calls.exists() else 0

    @property
    def ready(self) -> bool:
        return any(self.path.glob(".venv/.ready-*"))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that is not make's own."""
    return [line for line in done.stderr.splitlines() if not line.startswith("make: ***")][-1]


def test_make_alone_lists_the_targets(tree):
    done = tree.make()
    assert done.returncode == 0, done.stderr
    for target in ("help", "setup", "book", "test", "lint", "clean"):
        assert f"make {target} " in done.stdout
    assert not (tree.path / ".venv").exists()


def test_setup_installs_the_pins_and_then_simgpt_and_a_second_one_does_nothing(tree):
    assert tree.make("setup").returncode == 0
    asked = tree.calls.read_text()
    assert "install" in asked and asked.index("-r requirements.txt") < asked.index("--no-deps")
    assert tree.make("setup").returncode == 0
    assert tree.calls.read_text() == asked


def test_changed_pins_are_installed_and_changed_dates_are_not(tree):
    tree.make("setup")
    (tree.path / "requirements.txt").touch()
    tree.make("setup")
    assert tree.asked("-r requirements.txt") == 1
    with (tree.path / "requirements.txt").open("a") as pins:
        pins.write("# another\n")
    tree.make("setup")
    assert tree.asked("-r requirements.txt") == 2
    assert tree.asked("-m venv") == 1


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.10"])
def test_a_python_that_is_too_old_is_named_and_what_to_do_is_said(tree, version):
    done = tree.make("book", PRETEND=version)
    assert done.returncode != 0
    assert f"python3 is {version}" in complaint(done)
    assert "make setup PYTHON=" in complaint(done)
    assert not (tree.path / ".venv").exists()


def test_a_named_python_that_is_not_there_is_not_replaced_by_another(tree):
    done = tree.make("setup", "PYTHON=python3.99")
    assert done.returncode != 0
    assert "python3.99 is missing" in complaint(done)


def test_an_old_python3_gives_way_to_a_fitting_one_on_the_path(tree):
    old = tree.bin / "python3"
    old.write_text(FAKE_PYTHON.replace("$PRETEND", "3.9"), encoding="utf-8")
    done = tree.make("setup", PRETEND="3.13")
    assert done.returncode == 0, done.stderr
    assert "Python 3.13" in done.stdout


def test_naming_another_version_makes_the_environment_anew(tree):
    tree.make("setup")
    other = tree.bin / "another python"
    other.write_text(FAKE_PYTHON.replace("$PRETEND", "3.12"), encoding="utf-8")
    other.chmod(0o755)
    done = tree.make("setup", f"PYTHON={other}")
    assert done.returncode == 0, done.stderr
    assert tree.asked("-m venv --clear .venv") == 2
    tree.make("setup", f"PYTHON={other}")
    tree.make("setup")
    assert tree.asked("requirements.txt") == 2, "named again or not at all: what is there stays"


def test_too_little_disk_is_said_before_anything_is_made(tree):
    done = tree.make("setup", SIMGPT_MIN_FREE_GB="99999999")
    assert done.returncode != 0
    assert "needs about 99999999 GB" in complaint(done)
    assert "SIMGPT_MIN_FREE_GB" in complaint(done)
    assert not (tree.path / ".venv").exists()


def test_a_disk_that_fills_up_on_the_way_is_said_in_the_last_line(tree):
    done = tree.make("test", BREAK="-r requirements.txt", HOW="full")
    assert done.returncode != 0
    assert "the disk is full" in complaint(done)
    assert not tree.ready


def test_a_python_without_ensurepip_names_the_package_to_install(tree):
    done = tree.make("setup", BREAK="import ensurepip", HOW="absent")
    assert done.returncode != 0
    assert "python3.11-venv" in complaint(done)


@pytest.mark.parametrize("at", ["-m venv", "-r requirements.txt", "--no-deps"])
def test_an_interrupted_setup_is_not_taken_for_done(tree, at):
    tree.make("setup")
    with (tree.path / "pyproject.toml").open("a") as project:
        project.write("# changed, so that there is something to do\n")
    if at == "-m venv":
        shutil.rmtree(tree.path / ".venv")
    assert tree.make("setup", BREAK=at, HOW="killed").returncode != 0
    assert not tree.ready
    assert tree.make("setup").returncode == 0
    assert tree.ready


def test_uv_is_used_where_it_is_and_told_where_pip_finds_wheels(tree):
    uv = tree.bin / "uv"
    uv.write_text(
        '#!/bin/sh\necho "uv $* from $UV_FIND_LINKS" >>"$CALLS"\n'
        f'case $1 in venv) mkdir -p .venv/bin && cp "{tree.bin}/python3" .venv/bin/python ;; esac\n'
    )
    uv.chmod(0o755)
    done = tree.make("setup", UV="uv", PIP_FIND_LINKS="/wheels /more")
    assert done.returncode == 0, done.stderr
    assert tree.asked("requirements.txt from /wheels,/more") == 1
    assert tree.asked("-m pip") == 0
