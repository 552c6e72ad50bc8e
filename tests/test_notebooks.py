"""Notebooks: in step with their pairs, executable with papermill, strict about parameters."""

import hashlib
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from simgpt import SimgptError
from simgpt.notebooks import check_pairs, sync_pairs
from tests.conftest import REPOSITORY
from tests.openai_server import OpenAIServer

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def papermill(notebook, output, *parameters, cwd, **variables):
    """Execute a notebook; without `variables`, no key of this machine's reaches it."""
    kept = {name: value for name, value in os.environ.items() if "OPENAI" not in name}
    arguments = [word for name, value in parameters for word in ("-p", name, value)]
    return subprocess.run(
        [sys.executable, "-m", "papermill", str(notebook), str(output), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=600,
        env={**kept, **variables},
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """One working folder for all notebooks, so that 04 finds what 03 has trained."""
    return tmp_path_factory.mktemp("work place")


@pytest.fixture
def copy(tmp_path):
    """A copy of the notebooks to damage."""
    shutil.copytree(REPOSITORY / "notebooks", tmp_path / "notebooks")
    return tmp_path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_at_smoke_scale_and_its_source_stays_as_it_is(notebook, workplace):
    sources = sorted((REPOSITORY / "notebooks").iterdir())
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources if path.is_file()]
    output = workplace / notebook.name
    done = papermill(notebook, output, ("profile", "smoke"), cwd=workplace)
    assert done.returncode == 0, done.stderr[-2000:]
    executed = nbformat.read(output, as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    after = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources if path.is_file()]
    assert after == before


def test_the_chapter_on_training_runs_with_promcse_too(tmp_path):
    notebook = REPOSITORY / "notebooks" / "03_train.ipynb"
    settings = {"prefix_tokens": 3, "energy_weight": 5, "max_triplets": 16, "batch_size": 8}
    parameters = [(name, str(value)) for name, value in settings.items()]
    done = papermill(notebook, tmp_path / "out.ipynb", *parameters, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (card,) = tmp_path.glob("runs/*/checkpoint/README.md")
    assert "trust_remote_code=True" in card.read_text(encoding="utf-8")


@pytest.mark.parametrize("right", [True, False])
def test_the_live_cell_asks_where_a_key_is_set_and_never_shows_it(tmp_path, right):
    """The server hands a wrong key back in its error, as some do."""
    canary = "sk-canary-31415926"
    notebook = REPOSITORY / "notebooks" / "02_annotate.ipynb"
    output = tmp_path / "out.ipynb"
    with OpenAIServer(api_key=canary if right else "another") as server:
        variables = {"OPENAI_API_KEY": canary, "OPENAI_BASE_URL": server.url}
        done = papermill(notebook, output, ("profile", "smoke"), cwd=tmp_path, **variables)
        stats = server.stats()
    assert done.returncode == 0, done.stderr[-2000:]
    shown = output.read_text(encoding="utf-8")
    assert canary not in shown + done.stdout + done.stderr
    if right:
        assert stats["paid"] == 3 + 3  # sentences, and probes
        assert "gpt-4o-mini" in shown
    else:
        assert stats["paid"] == 0
        assert "No live answers: stopped" in shown


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (("sede", "3"), "unknown setting sede; known: profile, backbone"),
        (("seed", "three"), "seed is 'three'; it must be a whole number"),
    ],
)
def test_a_bad_parameter_stops_every_notebook_at_once(notebook, parameter, message, tmp_path):
    done = papermill(notebook, tmp_path / "out.ipynb", parameter, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    ran = [c for c in executed.cells if c.cell_type == "code" and c.execution_count]
    assert len(ran) <= 4  # Colab, parameters, injected parameters, config


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_one_parameters_cell_of_plain_literals(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0].source.startswith('profile = "smoke"')


def test_the_committed_pairs_are_in_step():
    assert check_pairs(REPOSITORY) == len(NOTEBOOKS)


def test_a_pair_out_of_step_is_named(copy):
    script = copy / "notebooks" / "03_train.py"
    script.write_text(script.read_text().replace("# # Training", "# # Drifting"))
    with pytest.raises(SimgptError, match=r"03_train\.ipynb: differs from .*03_train\.py"):
        check_pairs(copy)


def test_a_notebook_with_outputs_is_named(copy):
    path = copy / "notebooks" / "03_train.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("stream", text="left behind")]
    nbformat.write(notebook, path)
    with pytest.raises(SimgptError, match=r"03_train\.ipynb: holds outputs"):
        check_pairs(copy)


def test_syncing_keeps_the_ids_of_cells_that_did_not_change(copy):
    path = copy / "notebooks" / "03_train.ipynb"
    before = nbformat.read(path, as_version=4).cells
    script = path.with_suffix(".py")
    script.write_text(script.read_text().replace("# # Training", "# # Drifting"))
    sync_pairs(copy)
    after = nbformat.read(path, as_version=4).cells
    changed = [old.id for old, new in zip(before, after, strict=True) if old.id != new.id]
    assert changed == [before[0].id]
    assert check_pairs(copy) == len(NOTEBOOKS)
