"""What is finished, what is left, and how long it takes here."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from simgpt.cli import app
from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.files import sha256_of, write_json
from simgpt.study import study_names
from simgpt.study.grid import load_study
from simgpt.study.job import jobs
from simgpt.study.pace import Pace
from simgpt.study.plan import plan_study
from simgpt.triplets import triplets_path
from tests.study.support import write_grid
from tests.tiny import tiny_roberta


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny_roberta(tmp_path_factory.mktemp("backbone") / "roberta")


@pytest.fixture
def grid(tmp_path, backbone):
    return str(write_grid(tmp_path, backbone))


@pytest.fixture
def places(tmp_path):
    return {"output": tmp_path / "results", "runs": tmp_path / "runs"}


@pytest.fixture
def finish(grid, places):
    """Write a cell's result as it would be, with the times it would have taken."""

    def finished(name, *, training_s, scoring_s, cores=None):
        study = load_study(grid)
        (job,) = [job for job in jobs(study, study.cells(), **places) if job.cell.name == name]
        machine = describe_environment()["machine"] | ({"cores": cores} if cores else {})
        triplets = {"count": 24, "sha256": sha256_of(triplets_path(job.config))}
        write_json(
            job.result,
            {
                "seconds": scoring_s,
                "environment": {"machine": machine},
                "model": {
                    "config": job.config.to_dict(),
                    "training": {"seconds": training_s, "machine": machine, "triplets": triplets},
                },
            },
        )

    return finished


def planned(grid, places, **wanted):
    return {p.cell.name: p for p in plan_study(grid, **places, **wanted)}


def test_the_time_left_is_that_of_finished_cells(grid, places, finish):
    finish("cold-seed1", training_s=100, scoring_s=7)
    finish("both-seed1", training_s=300, scoring_s=9)
    cells = planned(grid, places)
    assert {name: cell.state for name, cell in cells.items()} == {
        "plain": "to do",
        "cold-seed1": "finished",
        "both-seed1": "finished",
        "cold-seed2": "to do",
        "both-seed2": "to do",
    }
    assert cells["cold-seed1"].seconds is None
    # Scoring: the median, 8 s. Training: as long as the row's other seed.
    assert cells["plain"].seconds == 8
    assert cells["cold-seed2"].seconds == pytest.approx(108)
    assert cells["both-seed2"].seconds == pytest.approx(308)
    assert (cells["plain"].triplets, cells["cold-seed2"].triplets) == (None, 24)


def test_a_row_that_was_never_run_is_reckoned_by_its_triplets(tmp_path, backbone, places):
    rows = [
        {"name": "few", "data": "few", "set": {"max_triplets": 8}},
        {"name": "all", "data": "few"},
    ]
    data = {"few": {"from": str(tmp_path / "24 triplets.jsonl")}}
    path = str(write_grid(tmp_path, backbone, rows=rows, data=data, reference="all"))
    study = load_study(path)
    first, *_ = jobs(study, study.cells(), **places)
    pace = Pace([])
    pace.training["few"], pace.scoring = [0.5], [10.0]  # half a second a triplet
    cells = {job.cell.name: job for job in jobs(study, study.cells(), **places)}
    assert pace.seconds(first) == 0.5 * 8 * 2 + 10  # in two epochs
    assert pace.seconds(cells["all-seed1"]) == 0.5 * 24 * 2 + 10


def test_other_machines_tell_nothing_and_an_estimate_stands_in(grid, places, finish):
    finish("cold-seed1", training_s=1e6, scoring_s=1e6, cores=1000)
    left = planned(grid, places)["cold-seed2"].seconds
    assert 0 < left < 1e5


def test_of_an_unfinished_training_the_steps_to_go_are_counted(grid, places, finish, tmp_path):
    finish("both-seed1", training_s=60, scoring_s=10)
    checkpoint = places["runs"] / "toy" / "both-seed2" / "trainer" / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    assert planned(grid, places)["both-seed2"].state == "to do"  # torn
    (checkpoint / "COMPLETE").write_text("{}")
    cell = planned(grid, places)["both-seed2"]
    assert cell.state == "under way at step 2"
    assert cell.seconds == pytest.approx(60 * 4 / 6 + 10)
    (checkpoint.parent.parent / "COMPLETE").write_text("")
    cell = planned(grid, places)["both-seed2"]
    assert (cell.state, cell.seconds) == ("trained, to be scored", 10)


def test_missing_data_is_told_and_a_result_made_elsewhere_counts(
    tmp_path, backbone, places, monkeypatch
):
    monkeypatch.setenv("MY_TRIPLETS", str(tmp_path / "24 triplets.jsonl"))
    rows = [{"name": "mine", "data": "mine"}]
    data = {"mine": {"from": "$MY_TRIPLETS"}}
    path = str(write_grid(tmp_path, backbone, rows=rows, data=data, reference="mine"))
    study = load_study(path)
    first, _ = jobs(study, study.cells(), **places)
    config = first.config.to_dict() | {"triplets": "24 triplets.jsonl", "backbone": "roberta"}
    machine = describe_environment()["machine"]
    training = {"seconds": 1, "machine": machine, "triplets": {"count": 24, "sha256": "0"}}
    result = {"config": config, "training": training}
    write_json(first.result, {"seconds": 1, "environment": {"machine": machine}, "model": result})
    with pytest.raises(SimgptError, match="the triplets' content"):
        planned(path, places)
    monkeypatch.delenv("MY_TRIPLETS")
    states = {name: cell.state for name, cell in planned(path, places).items()}
    assert states["mine-seed1"] == "finished"
    assert states["mine-seed2"].startswith("skipped: data.mine.from: $MY_TRIPLETS is not set")


def test_the_command_line_shows_the_cells_of_one_study_and_all_studies(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["study", "plan", grid, "--seeds", "1-3", "--rows", "both"])
    assert told.exit_code == 0, told.output
    rows = [line.split()[:3] for line in told.output.splitlines()[1:4]]
    assert rows == [["both", str(seed), "24"] for seed in (1, 2, 3)]
    assert "3 cells, about" in told.output
    told = CliRunner().invoke(app, ["study", "plan", "--shard", "1/21"])
    assert told.exit_code == 0, told.output
    for name in study_names():
        assert load_study(name).question in told.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "size", "--seeds", "1-"], "--seeds is '1-'; it must be as in 1,2,3 or 1-5"),
        (["run", "size", "--shard", "half"], "--shard is 'half'; it must be as in 1/4"),
        (["run", "size", "--shard", "5/4"], "shard 5/4: the first number must be from 1 to 4"),
        (["run", "size", "--rows", "9"], "study size has no row 9; its rows: 250, 500"),
        (["plan", "--rows", "250"], "--rows needs a study"),
        (["run", "gone.toml"], "gone.toml: no such file"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, sentence):
    told = CliRunner().invoke(app, ["study", *words])
    assert isinstance(told.exception, SimgptError)
    assert sentence in str(told.exception)


def test_cores_limits_torchs_threads(tmp_path, grid):
    code = (
        "import sys; sys.argv = ['simgpt', *sys.argv[1:]]\n"
        "from simgpt import study\n"
        "import torch, os\n"
        "study.run_study = lambda *a, **k: print(torch.get_num_threads(), "
        "os.environ['OMP_NUM_THREADS']) or {}\n"
        "from simgpt.cli import main; main()"
    )
    words = [sys.executable, "-c", code, "study", "run", grid, "--cores", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout.startswith("1 1\n"), done.stderr
