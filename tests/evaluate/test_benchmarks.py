"""Seven whole benchmarks or one sentence that names what is wrong."""

import pytest

from simgpt import SimgptError
from simgpt.config import Aggregation
from simgpt.evaluate import TASK_LABELS, TASK_NAMES, Suite, score_model, score_task
from simgpt.evaluate.benchmarks import find_benchmarks, find_stsb_dev, find_tasks
from simgpt.evaluate.senteval import load_benchmarks, load_sick, load_stsb
from tests.toy import write_mteb


def texts(folder):
    """The files that hold sentences."""
    return [*folder.rglob("STS.input.*"), *folder.rglob("sts-*.csv"), *folder.rglob("SICK_t*")]


def change(path, edit):
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")


def untokenise(path):
    change(path, lambda text: text.replace(" .", ".").replace("the ", "The ").replace("two", "Two"))


@pytest.fixture
def toy_senteval_raw(toy_senteval):
    """The toy folder as it would have been published."""
    for path in texts(toy_senteval):
        untokenise(path)
    return toy_senteval


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


@pytest.mark.parametrize("layout", [".", "downstream", "bare"])
def test_the_folder_may_be_named_at_any_of_its_levels(toy_senteval, layout):
    if layout == "bare":
        (toy_senteval / "downstream").rename(toy_senteval / "bare")
    found = find_tasks(str(toy_senteval / layout))
    assert found.suite is Suite.SENTEVAL
    assert [task.name for task in found.all_tasks] == [
        *TASK_NAMES,
        *("bundled_dev", "stsb_dev", "sickr_dev"),
    ]
    assert [task.is_development for task in found.all_tasks] == [False] * 7 + [True] * 3


def test_untokenised_files_go_by_names_of_their_own(toy_senteval_raw):
    found = find_tasks(str(toy_senteval_raw))
    assert found.suite is Suite.SENTEVAL_RAW
    assert [task.name for task in found.tasks] == [f"senteval_raw_{name}" for name in TASK_NAMES]
    assert {task.text for task in found.tasks} == {"raw"}
    assert TASK_LABELS["senteval_raw_stsb"] == "STS-B (raw)"
    assert [task.is_development for task in found.all_tasks] == [False] * 7 + [True] * 3
    assert find_stsb_dev(str(toy_senteval_raw)).name == "senteval_raw_stsb_dev"


def test_a_folder_of_which_some_is_tokenised_is_refused(toy_senteval):
    place = toy_senteval / STS15
    untokenise(place / "STS.input.images.txt")
    with pytest.raises(
        SimgptError, match=r"forums\.txt is tokenised and STS\.input\.images\.txt is"
    ):
        find_tasks(str(toy_senteval))
    for path in place.glob("STS.input.*"):
        untokenise(path)
    with pytest.raises(SimgptError, match="sts12 is tokenised and senteval_raw_sts15 is not"):
        find_tasks(str(toy_senteval))


def test_text_prepared_otherwise_than_sentevals_is_labelled_and_warned_of(toy_senteval, caplog):
    find_tasks(str(toy_senteval))
    assert caplog.records == []
    change(toy_senteval / "downstream/STS/STSBenchmark/sts-test.csv", str.upper)
    change(toy_senteval / "downstream/SICK/SICK_trial.txt", lambda text: text.replace("A ", "a "))
    twice = toy_senteval / STS15 / "STS.input.images.txt"
    change(twice, lambda text: text.replace("the 3", "he ' s 3"))
    found = {task.name: task.text for task in find_tasks(str(toy_senteval)).all_tasks}
    assert found["stsb"] == "moses-cased"
    assert found["sts15"] == "moses-twice-lower"
    assert found["sts12"] == "moses-lower"
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "sts15: its text was tokenised twice" in warnings[0]
    assert "STS.input.images.txt, line 5: he ' s 3 ." in warnings[0]
    assert "stsb: its text is moses-cased and SentEval's is moses-lower" in warnings[1]


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_line_ends_and_byte_order_marks_change_no_pair(toy_senteval, ending):
    before = find_tasks(str(toy_senteval)).all_tasks
    for path in toy_senteval.rglob("*.*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", ending).encode())
    after = find_tasks(str(toy_senteval)).all_tasks
    assert [task.subsets for task in after] == [task.subsets for task in before]


STS12, STS15 = "downstream/STS/STS12-en-test", "downstream/STS/STS15-en-test"


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
            r"STS\.input\.images\.txt, line 5: 0 tabs; there must be one, between the two",
        ),
        (
            f"{STS15}/STS.input.images.txt",
            lambda text: text.replace("\tthe 3", "\tthe\t3", 1),
            r"STS\.input\.images\.txt, line 5: 2 tabs; there must be one, between the two",
        ),
        (
            f"{STS15}/STS.input.images.txt",
            lambda text: text.replace("\tthe 2 .", "\t", 1),
            r"STS\.input\.images\.txt, line 4: the second sentence is empty",
        ),
        (
            f"{STS15}/STS.input.images.txt",
            lambda text: text.partition("\n")[2],
            r"STS\.gs\.images\.txt: 1000 lines for the 999 pairs of STS\.input\.images\.txt",
        ),
        (
            f"{STS12}/STS.gs.MSRpar.txt",
            lambda text: "\n" + text.partition("\n")[2],
            r"STS\.gs\.MSRpar\.txt, line 1: no gold score; every pair of this file has one",
        ),
        (
            f"{STS12}/STS.gs.MSRpar.txt",
            lambda text: text.replace("2.5", "nan", 1),
            r"STS\.gs\.MSRpar\.txt, line \d+: gold score 'nan'",
        ),
        (
            "downstream/STS/STSBenchmark/sts-test.csv",
            lambda text: text.replace("\t5\tone 5 .", "\t\tone 5 .", 1),
            r"sts-test\.csv, line 6: gold score ''; it must be a number from 0 to 5",
        ),
        (
            "downstream/STS/STSBenchmark/sts-test.csv",
            lambda text: text.replace("one 5 .\t", "one 5 .\tand\t", 1),
            r"sts-test\.csv, line 6: 8 tab-separated fields instead of 7 or 9",
        ),
        (
            "downstream/SICK/SICK_test_annotated.txt",
            lambda text: text.replace("A 4 .", "", 1),
            r"SICK_test_annotated\.txt, line 6: the first sentence is empty",
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


def test_text_that_is_not_utf8_is_named_with_its_line(toy_senteval):
    path = toy_senteval / STS12 / "STS.input.MSRvid.txt"
    path.write_bytes(path.read_bytes().replace(b"the 2", b"th\xe9 2", 1))
    with pytest.raises(SimgptError, match=r"STS\.input\.MSRvid\.txt, line 3: not UTF-8"):
        load_benchmarks(toy_senteval)


def test_a_folder_without_benchmarks_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(SimgptError, match="no benchmarks here; expected SentEval's data folde"):
            find_benchmarks(str(place))


def test_stsb_for_development_is_not_looked_for_among_mtebs_files(tmp_path):
    for setting in ("mteb", str(write_mteb(tmp_path / "mteb"))):
        with pytest.raises(SimgptError, match="mteb: STS-B's dev.* or selector to bundled"):
            find_stsb_dev(setting)


def test_the_environment_variable_is_used_when_nothing_is_named(toy_senteval, monkeypatch):
    monkeypatch.setenv("SIMGPT_SENTEVAL", str(toy_senteval))
    assert find_benchmarks("auto") == toy_senteval


@pytest.fixture(scope="module")
def scored(senteval):
    """The untouched encoder on the real benchmarks, and on STS12 as it was published."""
    tasks = find_tasks(str(senteval)).tasks
    if (raw := senteval.parent / "senteval_raw").is_dir():
        tasks.append(find_tasks(str(raw)).tasks[0])
    return {task.name: task for task in tasks}, score_model("bundled", tasks).cosines


# The untouched encoder's, x 100, measured with SentEval's own code.
KNOWN = {
    "sts12": {"all": 72.37, "wmean": 71.06, "mean": 70.00},
    "sts13": {"all": 80.60, "wmean": 78.97, "mean": 74.46},
    "sts14": {"all": 75.59, "wmean": 77.22, "mean": 75.93},
    "sts15": {"all": 85.39, "wmean": 83.84, "mean": 83.40},
    "sts16": {"all": 78.99, "wmean": 81.21, "mean": 81.32},
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_untouched_encoder_reproduces_the_known_scores(scored, name):
    tasks, cosines = scored
    for aggregation, known in KNOWN[name].items():
        score = score_task(tasks[name], cosines[name], aggregation=Aggregation(aggregation))
        tolerance = 0.02 if aggregation == "all" else 0.05
        assert 100 * score.spearman == pytest.approx(known, abs=tolerance), aggregation


def test_the_real_benchmarks_are_told_apart_without_a_warning(senteval, senteval_raw, caplog):
    tokenised, raw = find_tasks(str(senteval)), find_tasks(str(senteval_raw))
    assert caplog.records == []
    assert (tokenised.suite, raw.suite) == (Suite.SENTEVAL, Suite.SENTEVAL_RAW)
    assert [task.text for task in tokenised.tasks] == ["moses-lower"] * 6 + ["moses-cased"]
    assert {task.text for task in raw.tasks} == {"raw"}
    for one, other in zip(tokenised.tasks, raw.tasks, strict=True):
        assert other.name == f"senteval_raw_{one.name}"
        assert one.gold == other.gold
        assert one.sizes == other.sizes


def test_untokenised_text_is_scored_under_another_name_and_signature(scored, senteval_raw):
    tasks, cosines = scored
    names = ("sts12", "senteval_raw_sts12")
    one, other = (score_task(tasks[name], cosines[name]) for name in names)
    assert one.signature.startswith("sts12|pairs:3108|agg:all|text:moses-lower|")
    assert other.signature.startswith("senteval_raw_sts12|pairs:3108|agg:all|text:raw|")
    # An uncased BERT splits most of the text alike in both, and not all of it.
    assert other.spearman != one.spearman
    assert other.spearman == pytest.approx(one.spearman, abs=0.01)
