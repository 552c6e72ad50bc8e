"""What a notebook shows of its own run: no suite's scores under another's names."""

import pytest

from simgpt import SimgptError
from simgpt.evaluate import TASK_NAMES, Suite
from simgpt.report import interval_table, score_table, scored_on

INTERVAL = {"low": 0.5, "high": 0.7}


def result(suite):
    score = {"spearman": 0.6, "interval": INTERVAL, "subsets": {}}
    return {
        "suite": str(suite),
        "tasks": {suite.task(name): score for name in TASK_NAMES},
        "development": {"bundled_dev": score},
        "average": 60.0,
        "average_interval": INTERVAL,
    }


@pytest.mark.parametrize(
    ("suite", "task", "average"),
    [
        (Suite.SENTEVAL, "STS12", "avg."),
        (Suite.SENTEVAL_RAW, "STS12 (raw)", "avg. (senteval_raw)"),
        (Suite.MTEB, "MTEB STS12", "avg. (mteb)"),
    ],
)
def test_each_suite_has_columns_of_its_own(suite, task, average):
    results = {"untouched": result(suite)}
    header = score_table(results).splitlines()[0].strip("| ").split(" | ")
    assert header[1] == task
    assert header[8] == average
    first_cells = [
        line.split(" | ")[0].strip("| ") for line in interval_table(results).splitlines()
    ]
    assert first_cells[2] == task
    assert first_cells[-1] == average
    not_to_compare = "not to be set beside" in scored_on(results["untouched"])
    assert not_to_compare == (suite is not Suite.SENTEVAL)


@pytest.mark.parametrize("table", [score_table, interval_table])
def test_results_of_two_suites_do_not_share_a_table(table):
    with pytest.raises(SimgptError, match=r"several suites \(mteb, senteval\); a table shows one"):
        table({"one": result(Suite.MTEB), "other": result(Suite.SENTEVAL)})
