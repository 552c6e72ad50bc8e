"""Seven whole benchmarks or one sentence that names what is wrong."""

import tarfile

import pytest

from simgpt import SimgptError
from simgpt.evaluate.benchmarks import find_benchmarks
from simgpt.evaluate.senteval import load_benchmarks, load_sick, load_stsb
from tests.loopback import LoopbackHub, run_python


def test_the_seven_tasks_load_with_their_scored_pairs_only(toy_senteval):
    tasks = {task.name: task for task in load_benchmarks(toy_senteval)}
    assert {name: task.pairs for name, task in tasks.items()} == {
        "sts12": 3108,
        "sts13": 1500,
        "sts14": 3750,
        "sts15": 3000,
        "sts16": 1186,
        "stsb": 1379,
        "sickr": 4927,
    }
    assert "unscored" not in tasks["sts15"].subsets[0].left
    assert tasks["sickr"].text == "moses-cased"
    assert load_stsb(toy_senteval, "dev").pairs == 1500
    assert load_sick(toy_senteval, "trial").pairs == 500


STS15 = "downstream/STS/STS15-en-test"


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (f"{STS15}/STS.gs.belief.txt", None, r"STS\.gs\.belief\.txt: no such file"),
        (
            f"{STS15}/STS.gs.belief.txt",
            lambda text: text[: len(text) // 2],
            r"STS\.gs\.belief\.txt: \d+ lines for the \d+ pairs of STS\.input\.belief\.txt",
        ),
        (
            f"{STS15}/STS.gs.images.txt",
            lambda text: text.replace("\n5\n", "\n\n", 1),
            r"STS\.gs\.images\.txt: 749 scored pairs instead of 750",
        ),
        (
            f"{STS15}/STS.gs.images.txt",
            lambda text: text.replace("\n5\n", "\nfive\n", 1),
            r"STS\.gs\.images\.txt, line \d+: gold score 'five'; it must be a number from 0 to 5",
        ),
        (
            f"{STS15}/STS.input.images.txt",
            lambda text: text.replace("\tthe 3", " the 3", 1),
            r"STS\.input\.images\.txt, line \d+: no tab between two sentences",
        ),
        (
            "downstream/STS/STSBenchmark/sts-test.csv",
            lambda text: text[:-200],
            r"sts-test\.csv(, line \d+)?: ",
        ),
        (
            "downstream/SICK/SICK_test_annotated.txt",
            lambda text: text.replace("\t3\tNEUTRAL", "\t9\tNEUTRAL", 1),
            r"SICK_test_annotated\.txt, line \d+: gold score '9'",
        ),
    ],
)
def test_a_missing_or_damaged_file_is_named(toy_senteval, file, damage, message):
    path = toy_senteval / file
    text = path.read_text(encoding="utf-8")
    path.unlink() if damage is None else path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(SimgptError, match=message):
        load_benchmarks(toy_senteval)


def test_a_folder_without_benchmarks_is_refused(tmp_path):
    with pytest.raises(SimgptError, match="no benchmarks here; expected SentEval's data folder"):
        find_benchmarks(str(tmp_path))


def test_the_environment_variable_is_used_when_nothing_is_named(toy_senteval, monkeypatch):
    monkeypatch.setenv("SIMGPT_SENTEVAL", str(toy_senteval))
    assert find_benchmarks("auto") == toy_senteval


FIND = "from simgpt.evaluate.benchmarks import find_benchmarks; print(find_benchmarks('auto'))"


def test_the_archive_is_downloaded_once_and_unpacked_whole(toy_senteval, tmp_path, monkeypatch):
    monkeypatch.delenv("SIMGPT_SENTEVAL", raising=False)
    archive = tmp_path / "senteval.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(toy_senteval / "downstream" / "STS", "STS")
        tar.add(toy_senteval / "downstream" / "SICK", "SICK")
    files = {"princeton-nlp/datasets-for-simcse/senteval.tar": archive.read_bytes()}
    with LoopbackHub(files) as hub:
        first = run_python(FIND, hub=hub.url, home=tmp_path / "home")
        requests = len(hub.requests)
        second = run_python(FIND, hub=hub.url, home=tmp_path / "home")
        assert first.returncode == 0, first.stderr
        assert second.stdout == first.stdout
        assert len(hub.requests) == requests
    from pathlib import Path

    folder = Path(first.stdout.strip().splitlines()[-1])
    assert sum(task.pairs for task in load_benchmarks(folder)) == 18850
    assert (folder.parent / "senteval.sha256").is_file()


def test_an_archive_that_climbs_out_of_its_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("SIMGPT_SENTEVAL", raising=False)
    archive, evil = tmp_path / "senteval.tar", tmp_path / "evil.txt"
    evil.write_text("out")
    with tarfile.open(archive, "w") as tar:
        tar.add(evil, "../../escaped.txt")
    files = {"princeton-nlp/datasets-for-simcse/senteval.tar": archive.read_bytes()}
    with LoopbackHub(files) as hub:
        done = run_python(FIND, hub=hub.url, home=tmp_path / "home")
    assert done.returncode != 0
    assert "not a sound tar archive" in done.stderr
    assert not list(tmp_path.rglob("escaped.txt"))


def test_the_untouched_encoder_reproduces_the_known_scores(senteval):
    from simgpt.evaluate import evaluate_model

    result = evaluate_model("bundled", benchmarks=str(senteval))
    known = {"sts12": 72.37, "sts13": 80.60, "sts14": 75.59, "sts15": 85.39, "sts16": 78.99}
    found = {name: 100 * result["tasks"][name]["spearman"] for name in known}
    assert found == pytest.approx(known, abs=0.02)
    assert len(result["tasks"]) == 7
