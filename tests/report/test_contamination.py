"""The audit's tables and figure, from a result made by hand."""

import json

from simgpt.report import (
    audited_on,
    audits_table,
    change_plot,
    clean_table,
    figure_style,
    load_audits,
    touched_table,
)

LEVELS = ("exact", "normalised", "ngram", "near", "any")


def counts(sentences, pairs, touched):
    row = {"sentences": touched, "one_side": touched, "both_sides": 3, "together": 2}
    return {"sentences": sentences, "pairs": pairs, "levels": dict.fromkeys(LEVELS, row)}


def scores(change):
    rest = {
        "pairs": 1490,
        "spearman": 0.8 + change,
        "change": change,
        "interval": {"low": change - 0.01, "high": change + 0.01, "level": 0.95},
    }
    none = {"pairs": 1, "spearman": None, "change": None, "interval": None}
    rows = {
        "sts13": {"pairs": 1500, "spearman": 0.8, "without": dict.fromkeys(LEVELS, rest)},
        "stsb": {"pairs": 1379, "spearman": 0.7, "without": dict.fromkeys(LEVELS, none)},
    }
    return {"tasks": rows, "average": None}


def audit():
    subsets = {"FNWN": counts(348, 189, 1), "OnWN": counts(854, 561, 6)}
    return {
        "suite": "senteval",
        "triplets": {"count": 17385},
        "tasks": {
            "sts13": counts(1202, 750, 7) | {"subsets": subsets},
            "stsb": counts(2551, 1379, 4) | {"subsets": {"test": counts(2551, 1379, 4)}},
        },
        "total": counts(3753, 2129, 11),
        "models": [{"scores": scores(-0.005)}, {"scores": scores(0.002)}],
    }


def test_touched_sentences_and_pairs_stand_by_task_and_subset():
    rows = touched_table(audit()).splitlines()
    assert rows[2] == "| **STS13** | 1,202 | 7 | 7 | 7 | 7 | 7 | 750 | 7 | 3 | 2 |"
    assert [row.split("|")[1].strip() for row in rows[3:]] == [
        "FNWN",
        "OnWN",
        "**STS-B**",  # its only subset would say the same once more
        "**all of them**",
    ]


def test_clean_scores_stand_with_their_change_and_interval():
    rows = clean_table(audit(), ("a", "b")).splitlines()
    assert rows[2] == "| STS13 | a | 80.00 | 79.50 | -0.50 | -1.50 to +0.50 | 1,490 of 1,500 |"
    assert rows[4] == "| STS-B | a | 70.00 | too few pairs |  |  | 1 of 1,379 |"


def test_the_figure_has_a_mark_where_there_is_a_change_and_none_where_there_is_none():
    with figure_style():
        (axes,) = change_plot(audit(), ("a", "b")).axes
    marks = [line for line in axes.lines if line.get_marker() in "oD"]
    assert [round(float(mark.get_xdata()[0]), 3) for mark in marks] == [-0.5, 0.2]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_development_pairs_are_called_no_benchmark():
    assert "seven benchmarks" in audited_on(audit())
    assert "not a benchmark" in audited_on(audit() | {"suite": "development"})


def test_committed_audits_stand_side_by_side_with_each_encoders_change(tmp_path):
    held = audit() | {"models": []}
    change = scores(-0.005)
    whole = change | {"average": change["tasks"]["sts13"]}
    models = [{"name": name, "scores": whole} for name in ("trained", "untouched")]
    folder = tmp_path / "contamination"
    folder.mkdir()
    (folder / "some-captions.json").write_text(json.dumps(held))
    (folder / "triplets.json").write_text(json.dumps(held | {"models": models}))
    rows = audits_table(load_audits(tmp_path)).splitlines()
    found = "11 | 11 | 11 | 11 | 11 | 11 | 3 | 2"
    assert rows[2] == f"| some captions | 17,385 | {found} |  |  |  |"
    assert rows[3] == f"| triplets | 17,385 | {found} | trained | -0.50 | -1.50 to +0.50 |"
    assert rows[4].endswith("| untouched | -0.50 | -1.50 to +0.50 |")
    assert len(rows) == 5
    assert load_audits(tmp_path / "elsewhere") == {}
