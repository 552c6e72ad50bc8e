"""The workflows: valid, with few rights, on fixed versions, and calling what is there."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from tests.commands import complaint, shell_commands
from tests.conftest import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((REPOSITORY / ".github" / "actions").glob("*/action.yml"))
ACTIONLINT = shutil.which("actionlint")


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(path):
    return read(path)["jobs"].items()


def steps(path):
    content = read(path)
    if "runs" in content:
        return content["runs"]["steps"]
    return [step for job in content["jobs"].values() for step in job["steps"]]


@pytest.mark.skipif(ACTIONLINT is None, reason="actionlint is not on the PATH")
def test_actionlint_finds_nothing():
    done = subprocess.run([ACTIONLINT, "-no-color"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parts[-1])
def test_every_command_that_a_step_runs_is_there(path):
    ran = [words for step in steps(path) for words in shell_commands(step.get("run", ""))]
    assert ran, "nothing that one could run by hand"
    assert [found for found in map(complaint, ran) if found] == []


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parts[-1])
def test_actions_of_others_are_pinned_to_a_commit_whose_release_is_named(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if "uses:" in line and "uses: ./" not in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parts[-1])
def test_no_script_holds_an_expression(path):
    """What is put into a script from outside could be a command; through `env` it is text."""
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_to_read_unless_a_job_says_more_and_such_a_job_runs_no_command(path):
    assert read(path)["permissions"] == {"contents": "read"}
    for name, job in jobs(path):
        if "write" in str(job.get("permissions", "")):
            assert not any("run" in step for step in job["steps"]), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_runs_for_ever_or_beside_its_like(path):
    assert read(path)["concurrency"]["group"]
    for name, job in jobs(path):
        assert job["timeout-minutes"] <= 360, name


def test_the_tests_run_on_every_python_that_the_package_names():
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"Python :: (3\.\d+)", project)
    matrix = dict(jobs(REPOSITORY / ".github" / "workflows" / "checks.yml"))["test"]["strategy"]
    assert matrix["matrix"]["python"] == named


def test_studies_and_profiles_of_the_nightly_run_are_there():
    from simgpt.config import profile_names
    from simgpt.study import study_names

    nightly = read(REPOSITORY / ".github" / "workflows" / "nightly.yml")
    matrix = nightly["jobs"]["notebooks"]["strategy"]["matrix"]
    assert set(matrix["profile"]) <= set(profile_names())
    # YAML 1.1 reads the key `on` as true.
    assert nightly[True]["workflow_dispatch"]["inputs"]["study"]["default"] in study_names()


def test_binder_and_the_container_install_the_pins():
    requirements = (REPOSITORY / ".binder" / "requirements.txt").read_text(encoding="utf-8")
    assert "-r ../requirements.txt" in requirements.splitlines()
    assert (REPOSITORY / ".binder" / "postBuild").stat().st_mode & 0o111
    container = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text())
    assert complaint(container["postCreateCommand"].split()) == ""
