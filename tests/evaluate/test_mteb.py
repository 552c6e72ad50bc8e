"""MTEB's datasets: seven tasks under names of their own, or one sentence that names the file."""

import gzip
import json

import pytest
from pyarrow import Table
from pyarrow.parquet import write_table

from simgpt import SimgptError
from simgpt.evaluate import TASK_LABELS, TASK_NAMES, Suite
from simgpt.evaluate.benchmarks import find_tasks
from tests.loopback import LoopbackHub, run_python
from tests.toy import write_mteb

ROW = {"sentence1": "A dog runs.", "sentence2": "A cat, said B.", "score": 2.5}


@pytest.fixture
def toy_mteb(tmp_path):
    return write_mteb(tmp_path / "mteb")


def write_jsonl(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()))


def test_the_seven_tasks_load_from_the_hubs_files_under_mtebs_names(toy_mteb):
    found = find_tasks(str(toy_mteb))
    assert found.suite is Suite.MTEB
    assert {task.name: task.pairs for task in found.tasks} == {
        "mteb_sts12": 3108,
        "mteb_sts13": 1500,
        "mteb_sts14": 3750,
        "mteb_sts15": 3000,
        "mteb_sts16": 1186,
        "mteb_stsb": 1379,
        "mteb_sickr": 9927,
    }
    assert [TASK_LABELS[task.name] for task in found.tasks[:2]] == ["MTEB STS12", "MTEB STS13"]
    for task in found.tasks:
        assert task.name not in TASK_NAMES
        assert not task.is_development
        assert task.text == "raw"
        assert [subset.name for subset in task.subsets] == ["test"]
    parquet = found.tasks[1]
    assert parquet.left[700] == "A sts13-sts 7."  # the second file goes on where the first ends
    assert parquet.gold[:7] == [0, 1, 2, 3, 4, 5, 0]
    assert [task.name for task in found.development] == ["bundled_dev"]


def test_text_is_given_to_the_model_as_it_stands(toy_mteb):
    path = toy_mteb / "sts16-sts" / "test.jsonl.gz"
    write_jsonl(path, [ROW | {"sentence1": "A  dog\u00a0runs. "}] + [ROW] * 1185)
    assert find_tasks(str(toy_mteb)).tasks[4].left[0] == "A  dog\u00a0runs. "


def spoil_third_row(path, **change):
    write_jsonl(path, [ROW, ROW, {k: v for k, v in (ROW | change).items() if v != "gone"}, ROW])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"sickr-sts: no test split here; expected test\.jsonl\.gz"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), r"not a whole gzip file"),
        (lambda path: path.write_bytes(b"PK\3\4"), r"test\.jsonl\.gz: not a whole gzip file"),
        (lambda path: write_jsonl(path, [ROW] * 4927), r"4927 scored pairs instead of 9927"),
        (
            lambda path: path.write_bytes(gzip.compress(b'{"sentence1": "a\n')),
            r"test\.jsonl\.gz, line 1: not valid JSON",
        ),
        (
            lambda path: path.write_bytes(gzip.compress(b'{"sentence1": "\xff"}')),
            r"test\.jsonl\.gz, line 1: not UTF-8",
        ),
        (lambda path: spoil_third_row(path, score="gone"), r"line 3: score is missing"),
        (lambda path: spoil_third_row(path, score=None), r"line 3: gold score None; it must be"),
        (lambda path: spoil_third_row(path, score=float("nan")), r"line 3: gold score nan"),
        (lambda path: spoil_third_row(path, score=5.5), r"line 3: gold score 5\.5"),
        (
            lambda path: spoil_third_row(path, sentence2=" "),
            r"line 3: the second .* empty",
        ),
        (lambda path: spoil_third_row(path, sentence1=None), r"line 3: sentence1 and .* be text"),
    ],
)
def test_a_missing_or_damaged_file_is_named(toy_mteb, damage, message):
    damage(toy_mteb / "sickr-sts" / "test.jsonl.gz")
    with pytest.raises(SimgptError, match=message):
        find_tasks(str(toy_mteb))


def test_a_damaged_parquet_file_is_named(toy_mteb):
    path = toy_mteb / "sts13-sts" / "data" / "test-00001-of-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(SimgptError, match=r"00001-of-00002\.parquet: not a sound parquet file"):
        find_tasks(str(toy_mteb))
    write_table(Table.from_pylist([ROW, ROW | {"sentence1": ""}]), path)
    with pytest.raises(SimgptError, match=r"\.parquet, row 2: the first sentence is empty"):
        find_tasks(str(toy_mteb))


def test_the_seven_are_fetched_from_the_hub_once(toy_mteb, tmp_path):
    write_jsonl(toy_mteb / "sts13-sts" / "test.jsonl.gz", [ROW] * 1500)
    files = {
        f"mteb/{path.parent.name}/test.jsonl.gz": path.read_bytes()
        for path in toy_mteb.glob("*/test.jsonl.gz")
    }
    code = (
        "from simgpt.evaluate.benchmarks import find_tasks\n"
        "print(*(f'{task.name}:{task.pairs}' for task in find_tasks('mteb').tasks))"
    )
    with LoopbackHub(files) as hub:
        fetched = run_python(code, hub=hub.url, home=tmp_path / "home")
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout.split()[-1] == "mteb_sickr:9927"
    again = run_python(code, hub=None, home=tmp_path / "home")
    assert again.stdout == fetched.stdout
    empty = run_python(code, hub=None, home=tmp_path / "other")
    assert "HubError: mteb/sts12-sts/test.jsonl.gz could not be downloaded" in empty.stderr
