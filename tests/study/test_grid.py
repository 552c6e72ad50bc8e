"""A grid says what is run; what cannot be run is refused by file and key."""

import pytest

from simgpt.study import load_study, study_names
from simgpt.study.grid import GridError
from tests.study.support import GRID, toml

FEW = {"from": "few.jsonl"}


@pytest.fixture
def write(tmp_path):
    def written(grid, name="own"):
        path = tmp_path / f"{name}.toml"
        path.write_text(grid if isinstance(grid, str) else toml(grid))
        return str(path)

    return written


def names(cells):
    return [cell.name for cell in cells]


@pytest.mark.parametrize("name", study_names())
def test_every_bundled_study_can_be_read_and_its_rows_differ(name):
    study = load_study(name)
    cells = study.cells(seeds=[1])
    runs = {
        (c.row.untouched, c.row.average_of, c.row.data.name, str(study.config(c).to_dict()))
        for c in cells
    }
    assert len(runs) == len(cells)
    assert study.question.endswith("?")


def test_every_row_comes_once_before_any_comes_twice_and_an_untouched_one_once(write):
    study = load_study(write(GRID))
    order = ["plain", "cold-seed1", "both-seed1", "cold-seed2", "both-seed2"]
    assert names(study.cells()) == order
    assert names(study.cells(seeds=[7], rows=["cold"])) == ["cold-seed7"]


def test_an_average_comes_after_the_runs_that_it_is_made_of(write):
    mean = {"name": "mean", "label": "mean of both", "average_of": "both"}
    study = load_study(write(GRID | {"keep_models": True, "rows": [mean, *GRID["rows"]]}))
    assert names(study.cells())[-1] == "mean"
    assert names(study.cells(rows=["mean"])) == ["mean"]


@pytest.mark.parametrize(
    ("row", "study", "sentence"),
    [
        ({"average_of": "plain"}, {}, "row mean: average_of is 'plain'; .*: cold, both"),
        ({"average_of": "both"}, {"keep_models": False}, "row mean: .*keep_models = true"),
        ({"average_of": "both"}, {"seeds": [1]}, "row mean: .*two or more seeds"),
        ({"average_of": "both", "set": {"seed": 1}}, {}, "seed"),
        (
            {"average_of": "both", "set": {"epochs": 2}},
            {},
            "an averaged row trains on nothing",
        ),
        ({"average_of": "both", "untouched": True}, {}, "row mean is untouched or an average_of"),
    ],
)
def test_an_average_that_cannot_be_is_refused(write, row, study, sentence):
    rows = [*GRID["rows"], {"name": "mean", "label": "mean"} | row]
    with pytest.raises(GridError, match=sentence):
        load_study(write(GRID | {"keep_models": True, "rows": rows} | study))


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_are_disjoint_and_together_whole(write, parts):
    study = load_study(write(GRID))
    shards = [names(study.cells(shard=(part, parts))) for part in range(1, parts + 1)]
    assert sorted(sum(shards, [])) == sorted(names(study.cells()))


def test_a_rows_settings_win_over_the_studys_and_these_over_the_profiles(write):
    grid = GRID | {"settings": {"temperature": 0.07, "batch_size": 16, "epochs": 3}}
    study = load_study(write(grid))
    _, cold, both, *_ = (study.config(cell) for cell in study.cells())
    assert (cold.temperature, both.temperature) == (0.02, 0.07)
    assert both.batch_size == 16
    assert both.max_triplets == 256  # the smoke profile's
    assert [study.config(cell).seed for cell in study.cells()][1:] == [1, 1, 2, 2]


def test_the_name_of_the_file_is_the_studys(write):
    assert load_study(write(GRID, name="mine")).name == "mine"


def row(**keys):
    return {"rows": [{"name": "both"} | keys]}


REFUSED = {
    "an unknown key": ({"sedes": [1]}, ["unknown key sedes", "known:", "seeds"]),
    "an unknown key of a row": (row(sets={}), ["rows[1]", "unknown key sets", "set"]),
    "an unknown key of data": ({"data": {"few": FEW | {"were": {}}}}, ["data.few", "were"]),
    "no question": ({"question": ""}, ["question is ''", "text"]),
    "a question of the wrong type": ({"question": 3}, ["question is 3", "text"]),
    "no profile of this name": ({"profile": "huge"}, ["unknown profile 'huge'", "laptop"]),
    "no seeds": ({"seeds": []}, ["seeds is []", "whole numbers"]),
    "a seed that is text": ({"seeds": ["1"]}, ["seeds is ['1']", "whole numbers"]),
    "a seed that is true": ({"seeds": [True]}, ["seeds is [True]", "whole numbers"]),
    "a negative seed": ({"seeds": [-1]}, ["seeds is [-1]"]),
    "a seed twice": ({"seeds": [1, 1]}, ["seeds is [1, 1]", "different"]),
    "no rows": ({"rows": []}, ["rows is empty"]),
    "a row that is no table": ({"rows": [3]}, ["rows[1] is 3", "a table"]),
    "two rows of one name": (
        {"rows": [{"name": "both"}, {"name": "both"}]},
        ["two are named both"],
    ),
    "a reference that is no row": ({"reference": "best"}, ["reference is 'best'", "plain, cold"]),
    "a row without a name": ({"rows": [{"label": "x"}]}, ["rows[1].name is missing"]),
    "a name that is no file's": (row(name="a/b"), ["rows[1].name", "'a/b'", "letters"]),
    "a name as results have it": (row(name="a-seed1"), ["rows[1].name", "a-seed1"]),
    "unknown data": (row(data="human"), ["row both", "data is 'human'", "bundled"]),
    "data of an untouched row": (
        {"data": {"few": FEW}, **row(data="few", untouched=True)},
        ["row both", "untouched", "leave out its data"],
    ),
    "an unknown setting": ({"settings": {"sede": 1}}, ["unknown setting sede", "known:"]),
    "an unknown setting of a row": (row(set={"rate": 1}), ["row both", "unknown setting rate"]),
    "an illegal value": (row(set={"epochs": 0}), ["row both", "epochs is 0", "1 or more"]),
    "a seed among the settings": (
        {"settings": {"seed": 1}},
        ["settings has seed", "it comes from seeds"],
    ),
    "triplets among a row's settings": (
        row(set={"triplets": "x.jsonl"}),
        ["row both", "triplets", "a row's data"],
    ),
    "data from nowhere": ({"data": {"few": {"perturb": True}}}, ["data.few.from is missing"]),
    "data of another kind": (
        {"data": {"few": {"from": "few.txt"}}},
        ["data.few.from is 'few.txt'", ".jsonl or .csv"],
    ),
    "one of several sources": (
        {"data": {"few": {"from": ["bundled", "few.txt"]}}},
        ["data.few.from is ['bundled', 'few.txt']", "wave-4"],
    ),
    "no source": (
        {"data": {"few": {"from": []}}},
        ["data.few.from is []", "a list of these"],
    ),
    "an unknown balance": (
        {"data": {"few": FEW | {"balance": "length"}}},
        ["data.few.balance is 'length'", "openings"],
    ),
    "a where that is no list": (
        {"data": {"few": FEW | {"where": {"source": "captions"}}}},
        ["data.few.where.source is 'captions'", "a list"],
    ),
    "a perturb that is text": (
        {"data": {"few": FEW | {"perturb": "yes"}}},
        ["data.few.perturb is 'yes'", "true or false"],
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_run_is_refused_by_file_and_key(write, fault):
    changes, words = REFUSED[fault]
    path = write(GRID | changes)
    with pytest.raises(GridError) as error:
        load_study(path)
    for word in (path, *words):
        assert word in str(error.value)


def test_a_file_that_is_no_toml_is_refused_by_line(write):
    with pytest.raises(GridError, match=r"own\.toml: not valid TOML .*line 2"):
        load_study(write('question = "x"\nrows\n'))


def test_an_unknown_study_is_told_the_known_ones():
    with pytest.raises(GridError, match="unknown study 'sizes'; known: .*size"):
        load_study("sizes")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"rows": ["all"]}, "no row all; its rows: plain, cold, both"),
        ({"seeds": []}, "whole numbers"),
        ({"shard": (3, 2)}, "shard 3/2.*from 1 to 2"),
        ({"shard": (0, 2)}, "shard 0/2.*from 1 to 2"),
        ({"shard": (1, 0)}, "shard 1/0"),
    ],
)
def test_cells_that_there_are_not_are_refused(write, wanted, words):
    with pytest.raises(GridError, match=words):
        load_study(write(GRID)).cells(**wanted)
