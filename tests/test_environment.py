"""Which state of the code made a result."""

import subprocess

import pytest

from simgpt import environment
from simgpt.environment import git_state


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A committed checkout from which the package seems to run."""
    package = tmp_path / "simgpt"
    package.mkdir()
    (package / "environment.py").write_text("")

    def git(*words):
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        subprocess.run(("git", *identity, *words), cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "a state")
    monkeypatch.setattr(environment, "__file__", str(package / "environment.py"))
    git_state.cache_clear()
    yield tmp_path
    git_state.cache_clear()


def test_results_beside_the_code_do_not_make_it_dirty(checkout):
    (checkout / "result.json").write_text("{}")
    assert git_state()["dirty"] is False
    assert len(git_state()["commit"]) == 40


@pytest.mark.parametrize("file", ["environment.py", "new.py"])
def test_a_change_of_the_code_makes_it_dirty(checkout, file):
    (checkout / "simgpt" / file).write_text("x = 1\n")
    assert git_state()["dirty"] is True
