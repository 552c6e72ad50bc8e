"""Executing notebooks: side by side where they may be, in order where they must, with a stamp."""

import threading
import time
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.cli import app
from simgpt.config import RunConfig
from simgpt.environment import git_state
from simgpt.execution import AFTER, ALONE, execute_notebooks, page_foot, stamp_of
from simgpt.files import sha256_of
from simgpt.triplets import BUNDLED_TRIPLETS
from simgpt.version import __version__
from tests.conftest import REPOSITORY

NAMES = [path.stem for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb"))]


def write_notebook(path, *sources):
    """A notebook whose first cell has the parameters."""
    cells = [nbformat.v4.new_markdown_cell("# A page")]
    cells += [nbformat.v4.new_code_cell(source) for source in ('profile = "smoke"', *sources)]
    cells[1].metadata["tags"] = ["parameters"]
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.fixture
def papermill_stub(monkeypatch):
    """Instead of a kernel: notes when each notebook began and ended, or fails."""
    spans, failing = {}, set()

    def execute_notebook(source, target, **_):
        name, began = Path(source).stem, time.monotonic()
        time.sleep(0.05)
        spans[name] = (began, time.monotonic(), threading.get_ident())
        if name in failing:
            raise SimgptError(f"{name} fails")
        Path(target).write_bytes(Path(source).read_bytes())

    monkeypatch.setattr("papermill.execute_notebook", execute_notebook)
    monkeypatch.setattr("simgpt.execution._digest", lambda *_: "the same")
    return spans, failing


@pytest.fixture
def empty_notebooks(tmp_path):
    """Notebooks named like the real ones."""
    return [write_notebook(tmp_path / "notebooks" / f"{name}.ipynb") for name in NAMES]


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_what_shares_a_run_goes_one_after_the_other(papermill_stub, empty_notebooks, jobs):
    spans, _ = papermill_stub
    root = empty_notebooks[0].parent
    copies = execute_notebooks(root, empty_notebooks, {"profile": "smoke"}, root / "out", jobs=jobs)
    assert [copy.stem for copy in copies] == NAMES
    for name, others in AFTER.items():
        assert all(spans[other][1] <= spans[name][0] for other in others)
    for name in ALONE:
        assert all(spans[other][1] <= spans[name][0] for other in NAMES if other not in ALONE)
    assert len({thread for *_, thread in spans.values()}) <= jobs


def test_notebooks_that_share_nothing_run_side_by_side(papermill_stub, empty_notebooks):
    spans, _ = papermill_stub
    root = empty_notebooks[0].parent
    execute_notebooks(root, empty_notebooks, {"profile": "smoke"}, root / "out", jobs=3)
    assert max(spans[name][0] for name in NAMES[:3]) < min(spans[name][1] for name in NAMES[:3])


def test_after_a_failure_nothing_begins_and_the_next_call_goes_on(papermill_stub, empty_notebooks):
    spans, failing = papermill_stub
    failing.add("03_train")
    root = empty_notebooks[0].parent
    with pytest.raises(SimgptError, match="03_train fails"):
        execute_notebooks(root, empty_notebooks, {"profile": "smoke"}, root / "out", jobs=2)
    assert not spans.keys() & {"04_evaluate", "05_contamination", "07_ablations", *ALONE}
    done = sorted(path.stem for path in (root / "out").glob("*.ipynb"))
    assert done == [name for name in NAMES if name in spans and name not in failing]
    failing.clear()
    spans.clear()
    execute_notebooks(root, empty_notebooks, {"profile": "smoke"}, root / "out", jobs=2)
    assert not spans.keys() & set(done)


def test_every_notebook_that_trains_waits_for_the_one_that_trains_first():
    """Two of them at once would meet at the run folder's lock."""
    trains = [
        name
        for name in NAMES
        if "train(cfg" in (REPOSITORY / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    ]
    first, *others = trains
    assert others
    assert all(first in AFTER[name] for name in others)


def test_no_jobs_are_refused(tmp_path):
    with pytest.raises(SimgptError, match="jobs is 0; it must be 1 or more"):
        execute_notebooks(tmp_path, [], {"profile": "smoke"}, tmp_path, jobs=0)


def test_a_copy_says_what_it_was_made_from_to_programs_and_to_readers(tmp_path):
    notebook = write_notebook(tmp_path / "notebooks" / "page.ipynb", "seed")
    params = {"profile": "smoke", "seed": "3", "max_triplets": "500"}
    (copy,) = execute_notebooks(tmp_path, [notebook], params, tmp_path / "out")
    stamp = stamp_of(copy)
    assert stamp["parameters"] == RunConfig.from_params(params).to_dict()
    assert stamp["simgpt"] == __version__
    assert stamp["git"] == git_state()
    assert stamp["data"]["triplets"] == sha256_of(BUNDLED_TRIPLETS)
    assert stamp["seconds"] > 0
    executed = nbformat.read(copy, as_version=4)
    (shown,) = [cell for cell in executed.cells if cell.source == "seed"]
    assert shown.outputs[0].data["text/plain"] in ("3", "'3'")
    foot = executed.cells[-1].source
    assert "`seed` 3" in foot
    assert "`max_triplets` 500" in foot
    assert stamp["data"]["triplets"][:16] in foot
    assert (
        "papermill notebooks/page.ipynb page.ipynb -p profile smoke -p max_triplets 500 -p seed 3"
        in foot
    )


def test_a_foot_says_where_no_commit_is_known():
    stamp = {
        "parameters": RunConfig().to_dict(),
        "git": {},
        "data": {},
        "simgpt": "1",
        "python": "3",
        "started": "now",
        "seconds": 100.0,
    }
    assert "not known" in page_foot(stamp, "page.ipynb")
    assert "not committed" in page_foot(
        stamp | {"git": {"commit": "abc", "dirty": True}}, "page.ipynb"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "seed", "3", "-p", "max_triplets", "500"],
        ["--set", "seed=3", "--set", "max_triplets=500"],
        ["-p", "seed=3", "-p", "max_triplets", "500"],
    ],
)
def test_the_command_takes_parameters_in_papermills_way_and_in_ours(words, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "simgpt.notebooks.execute_all",
        lambda root, params, output, *, jobs: asked.append((params, jobs)) or [],
    )
    done = CliRunner().invoke(app, ["notebooks", "run", *words, "--jobs", "2"])
    assert done.exit_code == 0, done.output
    assert asked == [({"profile": "smoke", "seed": "3", "max_triplets": "500"}, 2)]


def test_a_parameter_without_a_value_is_refused():
    done = CliRunner().invoke(app, ["notebooks", "run", "-p", "seed"])
    assert "expected NAME=VALUE" in str(done.exception)
