"""Tables, figures and findings about savings say what the numbers say."""

import copy
import json
import re

import pytest

from simgpt.report import (
    break_even_rows,
    cost_finding,
    cost_lines,
    llm_finding,
    load_speed,
    measured_on,
    price_rows,
    speed_bars,
    speed_finding,
    speed_rows,
    time_finding,
)
from simgpt.report.pages import write_generated_pages
from simgpt.report.savings import draw_savings
from tests.report.test_pages import results  # noqa: F401 - a fixture


def interval(middle):
    return {"low": middle / 2, "middle": middle, "high": middle * 2}


def even(pairs):
    return {"pairs": interval(pairs), "sentences": interval(pairs**0.5)}


def priced(usd_per_million_pairs):
    return {
        "pair_tokens": {"input": interval(300.0), "output": interval(3.0)},
        "usd_per_million_pairs": interval(usd_per_million_pairs),
    }


SPEED = {
    "encoders": {
        "torch fp32": {
            "sentences_per_s": 480.0,
            "pairs_per_s": 240.0,
            "cosines_per_s": 2e6,
            "peak_mib": 900.0,
            "largest_change": 0.0,
            "holds": True,
        },
        "int8": {
            "sentences_per_s": 1000.0,
            "pairs_per_s": 500.0,
            "cosines_per_s": 1e6,
            "peak_mib": 500.0,
            "largest_change": 0.25,
            "holds": False,
        },
    },
    "encoder_usd_per_million_pairs": {"torch fp32": 0.125, "int8": 0.0625},
    "llm_measured": {
        "model": "small",
        "load": 1.25,
        "scoring": {"pairs": 200, "pairs_per_s": 2.0, "parsed": 0.75, "spearman": 0.1234},
        "annotating": {"sentences": 40, "sentences_per_s": 0.5, "parsed": 1.0},
        "environment": {"machine": {"cores": 2}},
    },
    "local_usd_per_million_pairs": 15.0,
    "llm_priced": {"dear": priced(9000.0), "cheap": priced(30.0), "middling": priced(600.0)},
    "one_off": {
        "bundled": {
            "sentences": 17_000,
            "local_s": 36_000.0,
            "usd": {
                "dear": interval(345.0),
                "cheap": interval(1.25),
                "middling": interval(25.0),
                "local": interval(0.5),
            },
        }
    },
    "break_even": {
        "encoder": "torch fp32",
        "bundled": {
            "dear": even(38_340.0),
            "cheap": even(41_840.0),
            "middling": even(41_676.0),
            "local": even(33_600.0),
        },
    },
    "machine": {"name": "two cores", "usd_per_hour": 0.1, "source": "a list, 2026-07-20"},
    "environment": {
        "machine": {"gpus": [], "cpu": "a processor", "cores": 2},
        "packages": {"torch": "2"},
        "git": {"commit": "c0ffee00" * 5, "dirty": False},
    },
}


@pytest.fixture
def speed():
    return copy.deepcopy(SPEED)


@pytest.fixture
def without_llm(speed):
    speed["llm_measured"] = {"skipped": "not installed: `make local-llm`"}
    speed["local_usd_per_million_pairs"] = None
    del speed["break_even"]["bundled"]["local"]
    return speed


def test_speeds_stand_beside_what_a_million_pairs_costs(speed):
    header, rows = speed_rows(speed)
    assert rows[0] == ["torch fp32", "480", "240", "2,000,000", "0.125", "900", "0.00"]
    assert rows[1][-1] == "0.25, too much"
    assert rows[-1] == ["small, asked about each pair", "", "2.00", "", "15.0", "", ""]
    assert {len(row) for row in rows} == {len(header)}


def test_models_are_listed_from_the_cheapest_on(speed):
    _, rows = price_rows(speed)
    assert [row[0] for row in rows] == ["cheap", "middling", "dear"]
    assert rows[2] == ["dear", "300", "3.00", "9,000", "4,500 to 18,000"]


def test_break_evens_come_with_their_bounds_and_the_local_model_last(speed):
    _, rows = break_even_rows(speed)
    assert rows[0] == ["cheap", "1.25", "41,800", "20,900 to 83,700", "205"]
    assert rows[-1][0] == "small, local"


def test_a_break_even_that_is_never_reached_says_so(speed):
    never = dict.fromkeys(("low", "middle", "high"))
    speed["break_even"]["bundled"]["cheap"] = {"pairs": never, "sentences": never}
    _, rows = break_even_rows(speed)
    assert rows[0] == ["cheap", "1.25", "never", "", "never"]
    assert "never cross" in cost_finding(speed)
    cost_lines(speed).canvas.draw()


def test_the_findings_state_the_numbers(speed):
    assert "17,000 sentences" in cost_finding(speed)
    assert "cross between 38,300 and 41,800 pairs" in cost_finding(speed)
    assert "120 times as many as the language model" in speed_finding(speed)
    assert "at hand 2,000,000" in speed_finding(speed)
    found = llm_finding(speed)
    for words in ("200 pairs at 2.00 a second", "75 % of its", "scores: 0.12", "1.2 other"):
        assert words in found
    found = time_finding(speed)
    for words in ("10.0 hours", "0.500 seconds", "0.00417 with the encoder", "pairs: 33,600."):
        assert words in found
    assert measured_on(speed) == "a processor, 2 cores; torch 2; commit `c0ffee00`."


def test_without_a_language_model_nothing_is_said_of_one(without_llm):
    assert "make local-llm" in llm_finding(without_llm)
    assert "language model" not in speed_finding(without_llm)
    assert time_finding(without_llm) == ""
    assert len(speed_rows(without_llm)[1]) == 2
    assert len(break_even_rows(without_llm)[1]) == 3
    assert len(speed_bars(without_llm).axes[0].patches) == 3


def test_the_lines_cross_where_the_break_even_is(speed):
    axes = cost_lines(speed).axes[0]
    asking, annotating, dot = axes.lines[:3]
    x, y = dot.get_data()
    for line in (asking, annotating):
        (near,) = [
            value
            for at, value in zip(*line.get_data(), strict=True)
            if abs(at - x[0]) == min(abs(at - x[0]) for at in line.get_xdata())
        ]
        assert near == pytest.approx(y[0], rel=0.05)


def test_no_two_labels_of_lines_lie_on_each_other(speed):
    for name in speed["one_off"]["bundled"]["usd"]:
        speed["one_off"]["bundled"]["usd"][name] = interval(1.0)
    figure = cost_lines(speed)
    figure.canvas.draw()
    boxes = sorted(
        (text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: box.y0
    )
    assert len(boxes) == 6
    for lower, upper in zip(boxes, boxes[1:], strict=False):
        assert lower.y1 <= upper.y0 + 2


def test_figures_are_drawn_for_both_pages_and_their_text_states_the_finding(speed, tmp_path):
    drawings = draw_savings(tmp_path, speed)
    assert [drawing.name for drawing in drawings] == ["costs", "speeds"]
    for drawing in drawings:
        assert re.search(r"\d", drawing.alt)
        for mode in ("light", "dark"):
            assert (tmp_path / f"{drawing.name}-{mode}.svg").is_file()
    assert "2026-07-20" in drawings[0].caption


def test_a_measurement_becomes_figures_of_the_book_and_its_language_models_file_does_not(
    results,  # noqa: F811
    speed,
    tmp_path,
):
    folder = results / "speed"
    folder.mkdir()
    (folder / "llm-local.json").write_text(json.dumps(speed["llm_measured"]))
    assert load_speed(results) == {}
    (folder / "plain.json").write_text(json.dumps(speed))
    assert load_speed(results) == {"plain": speed}
    write_generated_pages(results, tmp_path / "generated")
    assert "cross between" in (tmp_path / "generated" / "costs.txt").read_text()


def test_the_committed_measurements_are_from_clean_commits(repository):
    folder = repository / "book" / "results" / "speed"
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    for content in found:
        assert content["environment"]["git"]["dirty"] is False
        llm = content if "scoring" in content else content["llm_measured"]
        assert llm["scoring"]["pairs"] >= 200
