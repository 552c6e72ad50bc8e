"""Figures and tables of a diagnosis, from plain data alone."""

import pytest

from simgpt.report.diagnostic_plots import (
    aggregation_table,
    baseline_plot,
    bin_plot,
    bin_range,
    calibration_plot,
    error_table,
    geometry_table,
    subset_plot,
)
from simgpt.report.diagnostics import draw_diagnostics
from simgpt.report.figures import figure_style

INTERVAL = {"low": 0.5, "high": 0.7, "level": 0.95}
SCORE = {"spearman": 0.6, "interval": INTERVAL}
NO_SCORE = {"spearman": None, "interval": None}


def reliability(error):
    bins = [{"predicted": p, "gold": p + error, "pairs": 5} for p in (0.1, 0.5, 0.8)]
    return {"error": error, "bins": bins}


def error(task, pair, gold_rank, cosine_rank):
    ranks = {"gold_rank": gold_rank, "cosine_rank": cosine_rank}
    return {"task": task, "subset": "images", "pair": pair, "gold": 4.5, "cosine": 0.25} | ranks


@pytest.fixture
def diagnosis():
    """Two tasks: in one bin and one subset there is no score."""
    calibrated = {"plain": reliability(0.1), "fitted": reliability(0.02)}
    agreeing = {
        "spearman": 0.9,
        "kendall": 0.7,
        "ordered_alike": 0.85,
        "first_closer": 6,
        "second_closer": 3,
        "moves": [],
    }
    bins = [
        {"low": 1.0, "high": 4.0, "pairs": 10, "gold_deviation": 1.0} | SCORE,
        {"low": 5.0, "high": 5.0, "pairs": 0, "gold_deviation": None} | NO_SCORE,
        {"low": 6.0, "high": 70.0, "pairs": 10, "gold_deviation": 1.0} | SCORE | {"spearman": 0.52},
    ]
    uniform = {"alignment": 0.25, "aligned_pairs": 3, "uniformity": -3.5, "sentences": 20}
    return {
        "subsets": {
            "sts14": [
                {"subset": "images", "pairs": 750} | SCORE,
                {"subset": "one", "pairs": 1} | NO_SCORE,
                {"subset": "OnWN", "pairs": 750} | SCORE | {"spearman": 0.68},
            ],
            "stsb": [{"subset": "test", "pairs": 1379} | SCORE],
        },
        "length": {"bins": bins},
        "overlap": {
            "bins": bins,
            "baseline": {"sts14": SCORE | {"model": 0.8}, "stsb": NO_SCORE | {"model": 0.7}},
        },
        "errors": {
            "tasks": {
                "sts14": [error("sts14", 7, 0.9, 0.1), error("sts14", 9, 0.2, 0.8)],
                "stsb": [error("stsb", 3, 0.9, 0.2)],
            },
            "overall": [error("sts14", 7, 0.9, 0.1)],
        },
        "geometry": {
            "stands_for_all": "stsb",
            "tasks": {"sts14": uniform | {"alignment": None}, "stsb": uniform},
            "note": None,
        },
        "calibration": {
            "tasks": {"sts14": calibrated, "stsb": calibrated},
            "overall": calibrated,
        },
        "agreement": {
            "tasks": {"sts14": agreeing, "stsb": agreeing},
            "mean": {"spearman": 0.9, "kendall": 0.7, "ordered_alike": 0.85},
            "first_closer": 12,
            "second_closer": 6,
            "pairs": 20,
        },
    }


def test_every_part_is_drawn_for_light_and_dark_pages_and_says_what_it_shows(diagnosis, tmp_path):
    drawings = {drawing.name: drawing for drawing in draw_diagnostics(tmp_path, diagnosis)}
    files = {f"{name}-{mode}.svg" for name in drawings for mode in ("light", "dark")}
    assert {path.name for path in tmp_path.iterdir()} == files
    assert len(drawings) == 8
    assert "STS14 OnWN is highest at 68.0" in drawings["subsets"].alt
    assert "60.0 for 1 to 4, 52.0 for 6 to 70" in drawings["length"].alt
    assert "STS14 60.00 against 80.00, STS-B - against 70.00" in drawings["baseline"].alt
    assert "ranks 1 of these pairs higher than the raters and 2 lower" in drawings["errors"].alt
    assert "0.100 for the cosine and 0.020 after" in drawings["calibration"].alt
    assert "On STS-B alignment is 0.250 and uniformity -3.500" in drawings["geometry"].alt
    assert "the first 12, the second 6 of 20" in drawings["agreement"].alt


def test_what_was_left_out_is_not_drawn(diagnosis, tmp_path):
    diagnosis["geometry"]["note"], diagnosis["agreement"] = "no vectors", None
    names = {drawing.name for drawing in draw_diagnostics(tmp_path, diagnosis)}
    assert len(names) == 6
    assert not {"geometry", "agreement"} & names


def test_a_subset_without_a_score_has_no_mark(diagnosis):
    (axes,) = subset_plot(diagnosis["subsets"]).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["STS14 images (750)", "STS14 OnWN (750)", "STS-B test (1,379)"]
    marks = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert marks == pytest.approx([60, 68, 60])


def test_two_models_stand_side_by_side_in_each_bin(diagnosis):
    bins = diagnosis["length"]["bins"]
    (axes,) = bin_plot({"before": bins, "after": bins}, value="words").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after"]
    marks = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert marks == pytest.approx([-0.06, 1.94, 0.06, 2.06])
    assert [bin_range(row) for row in bins] == ["1 to 4", "5", "6 to 70"]


def test_reliability_curves_are_the_bins(diagnosis):
    plain, fitted = calibration_plot(diagnosis["calibration"]).axes
    assert plain.get_title() == "cosine: error 0.100"
    overall = [line for line in fitted.lines if line.get_linewidth() == 2]
    assert list(overall[0].get_ydata()) == pytest.approx([0.12, 0.52, 0.82])


def test_a_sentence_with_a_bar_does_not_break_the_table():
    table = error_table([error("toy_dev", 1, 0.9, 0.125)], [("a | b", "c")])
    assert table.splitlines()[2] == r"| a \| b / c | 4.5 | 0.25 | 90 % | 12 % |"


def test_the_table_of_geometry_is_of_the_task_that_stands_for_all(diagnosis):
    lines = geometry_table({"trained": diagnosis["geometry"]}).splitlines()
    assert lines[2] == "| trained | 0.250 | -3.500 |"


def test_the_three_aggregations_stand_side_by_side():
    score = {"aggregations": {"all": 0.7, "mean": 0.75, "wmean": None}, "subsets": {"a": 1, "b": 0}}
    lines = aggregation_table({"tasks": {"sts14": score}, "development": {}}).splitlines()
    assert lines[0] == "| task | subsets | all | mean | wmean |"
    assert lines[2] == "| STS14 | 2 | 70.00 | 75.00 | - |"


def test_a_figure_keeps_the_styles_colours_when_it_is_shown_later(diagnosis):
    with figure_style("dark") as colours:
        (axes,) = baseline_plot(diagnosis["overlap"]["baseline"]).axes
    shown = {line.get_color() for line in axes.lines}
    assert shown == {colours.blue, colours.orange}
