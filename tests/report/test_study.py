"""A study's statistics, tables, findings and figures, from results made up here."""

import json
import math

import pytest
from scipy.stats import ttest_rel

from simgpt import SimgptError
from simgpt.report import figure_style
from simgpt.report.learning_curve import fit_power_law
from simgpt.report.results import TASKS, Measured, load_paper
from simgpt.report.spread import p_of_no_difference, seed_spread
from simgpt.report.study import difference_of, load_study_results, score_of, study_names
from simgpt.report.study_pages import STUDIES, clean_rows, study_pages
from simgpt.report.study_plots import (
    curve_plot,
    curve_points,
    difference_plot,
    effect_map,
    effects,
    headline_plot,
    paper_gains,
)
from simgpt.report.study_tables import differences_table, scores_table
from simgpt.report.study_text import (
    beyond_finding,
    curve_finding,
    difference_finding,
    headline_finding,
    rows_table,
    told_difference,
)

GRID = """
question = "Does it matter?"
profile = "smoke"
seeds = [1, 2, 3]
reference = "all"
rows = [
    { name = "none", label = "untouched encoder", untouched = true },
    { name = "some", label = "some of it" },
    { name = "no-some", label = "all but some" },
    { name = "all", label = "all of it" },
]
"""


ENVIRONMENT = {
    "git": {},
    "python": "3.11",
    "machine": {"gpus": [], "cpu": "a processor", "cores": 2},
    "packages": {"torch": "2", "sentence-transformers": "6"},
}


def result(average, *, count=1000, seed=1, tasks=TASKS, version="1", **scores):
    """Every task at the average, save those that are named."""
    held = {
        name: {"spearman": scores.get(name, average) / 100, "signature": f"{name}|bf16|v{version}"}
        for name in tasks
    }
    training = {"triplets": {"count": count}, "seconds": 1.0}
    model = {"config": {"profile": "laptop", "seed": seed}, "training": training}
    held = dict(sorted(held.items()))  # as in a file
    content = {"model": model, "tasks": held, "development": {}, "average": average}
    return content | {"environment": ENVIRONMENT}


@pytest.fixture
def place(tmp_path):
    """A folder with a grid named `own`, and none of its results."""
    (tmp_path / "own.toml").write_text(GRID)
    return tmp_path


def fill(folder, study="own", **results):
    """A result for each name, where `_seed` stands for `-seed`."""
    (folder / study).mkdir(exist_ok=True)
    for name, content in results.items():
        path = folder / study / f"{name.replace('_seed', '-seed').replace('no_', 'no-')}.json"
        path.write_text(json.dumps(content))
    return folder


def load(folder):
    return load_study_results(folder, str(folder / "own.toml"))


@pytest.fixture
def measured(place):
    """All rows; `some` loses about one point, most of it on STS12."""
    for seed, (some, near, everything) in enumerate(
        [(80.0, 81.1, 81.0), (80.2, 80.9, 81.2), (80.1, 81.4, 81.3)], start=1
    ):
        fill(
            place,
            **{
                f"some_seed{seed}": result(some, seed=seed, sts12=70.0),
                f"no_some_seed{seed}": result(near, seed=seed),
                f"all_seed{seed}": result(everything, seed=seed),
            },
        )
    return fill(place, none=result(78.0))


def test_rows_come_in_the_grids_order_and_no_row_takes_anothers_runs(measured):
    study = load(measured)
    assert [row.name for row in study.rows] == ["none", "some", "no-some", "all"]
    assert [list(row.runs) for row in study.rows] == [[None], [1, 2, 3], [1, 2, 3], [1, 2, 3]]
    assert study.row("some").scores == [80.0, 80.2, 80.1]


def test_seeds_are_in_the_order_of_numbers(place):
    fill(place, **{f"all_seed{seed}": result(80 + seed, seed=seed) for seed in (10, 9, 1)})
    assert list(load(place).reference.runs) == [1, 9, 10]


def test_the_interval_of_a_mean_is_students(measured):
    """Mean 80.1, deviation 0.1; t with 2 degrees of freedom is 4.3027."""
    spread = load(measured).row("some").spread
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert (spread.low, spread.high) == pytest.approx((80.1 - half, 80.1 + half))


def test_differences_are_paired_by_seed_and_tested_as_scipy_does(measured):
    study = load(measured)
    found = study.differences()
    some = found["some"]
    assert some.mean == pytest.approx((-1.0 - 1.0 - 1.2) / 3)
    half = 4.302652729911275 * math.sqrt(4 / 300) / math.sqrt(3)
    assert some.spread.low == pytest.approx(some.mean - half)
    expected = ttest_rel([80.0, 80.2, 80.1], [81.0, 81.2, 81.3]).pvalue
    assert some.p == pytest.approx(expected)
    # Holm by hand: three tests, the smallest p counts three times.
    ps = sorted((one.p, name) for name, one in found.items())
    assert [name for _, name in ps] == ["none", "some", "no-some"]
    assert found["none"].p_holm == pytest.approx(3 * found["none"].p)
    assert found["some"].p_holm == pytest.approx(2 * expected)


def test_an_untouched_encoder_stands_against_every_seed_on_either_side(measured):
    study = load(measured)
    none, everything = study.row("none"), study.row("all")
    assert none.against(everything) == pytest.approx([-3.0, -3.2, -3.3])
    assert everything.against(none) == pytest.approx([3.0, 3.2, 3.3])


def test_only_seeds_that_both_have_are_compared(place):
    fill(place, all_seed1=result(80), all_seed2=result(81), some_seed2=result(83))
    found = load(place).differences()
    assert found.keys() == {"some"}
    assert found["some"].mean == pytest.approx(2.0)
    assert (found["some"].spread, found["some"].p, found["some"].seeds) == (None, None, 1)
    assert told_difference(found["some"]) == "+2.00 (one model: no interval, no test)"


def test_equal_differences_have_a_p_without_a_division_by_zero():
    assert p_of_no_difference([0.0, 0.0, 0.0]) == 1.0
    assert p_of_no_difference([0.5, 0.5]) == 0.0
    assert seed_spread([0.5, 0.5]).low == 0.5


def test_tables_name_what_is_missing_and_how_to_measure_it(place):
    fill(place, some_seed1=result(80.0, seed=1), all_seed1=result(81.0, seed=1))
    study = load(place)
    scores = rows_table(study).splitlines()
    assert scores[0].startswith("| row | STS12 | STS13 |")
    assert scores[2].split("|")[2].strip() == "not measured yet"
    assert scores[3].startswith("| some of it | 80.00 |")
    assert scores[3].endswith("| 80.00 |  | 1 of 3 |")
    command = f"simgpt study run {place / 'own.toml'} --rows"
    _, some, absent, _ = scores_table(study).rows
    assert [cell.text for cell in some.cells] == [*["80.00"] * 8, "1 of 3"]
    assert f"<pre>{command} some</pre>" in some.details
    assert absent.cells[0].text == "not measured yet"
    assert f"<code>{command} no-some</code>" in absent.details
    differences = [[cell.text for cell in row.cells] for row in differences_table(study).rows]
    assert differences[1:] == [
        ["-1.00", "", "", "1"],
        ["not measured yet", "", "", ""],
        ["reference", "", "", ""],
    ]
    told = difference_finding(study)
    assert "single model" in told
    assert "*some of it* -1.00" in told
    assert "Not measured yet: untouched encoder; all but some." in told
    assert "So far with 1 of 3 seeds." in told
    fill(place, all_seed2=result(81.0, seed=2))
    told = difference_finding(load(place))
    assert "So far with fewer than 3 seeds: some of it (1); all of it (2)." in told


def test_nothing_measured_is_a_sentence_a_table_and_no_figure(place):
    study = load(place)
    assert difference_finding(study) == "Not measured yet; `simgpt study run own` does."
    assert curve_finding(study) == "Not measured yet; `simgpt study run own` does."
    assert rows_table(study).count("not measured yet") == 4


def test_a_finding_tells_chance_from_difference(measured):
    told = difference_finding(load(measured))
    assert "Of 3 tested rows, 2 differ from *all of it* (81.17, 95 % interval" in told
    assert "*some of it* -1.07 (95 % interval -1.35 to -0.78, p = 0.008)" in told
    assert "It may be chance: *all but some* -0.03 (95 % interval" in told


def test_results_that_were_not_scored_alike_do_not_make_a_study(place):
    fill(place, all_seed1=result(80), all_seed2=result(80, version="2"))
    assert load(place).signature == "sts12|bf16|v1"
    other = result(80, tasks=[f"mteb_{task}" for task in TASKS]) | {"suite": "mteb"}
    fill(place, all_seed2=other)
    with pytest.raises(SimgptError, match=r"seed1\.json and .*seed2\.json were not scored alike"):
        load(place)
    content = result(80)
    content["tasks"]["sts12"]["signature"] = "sts12|fp32|v1"
    fill(place, all_seed2=content)
    with pytest.raises(SimgptError, match="not scored alike"):
        load(place)


def test_development_pairs_stand_in_where_nothing_else_was_scored(place):
    content = result(0, tasks=())
    scored = {"spearman": 0.7, "signature": "bundled_dev|v1"}
    content |= {"average": None, "development": {"bundled_dev": scored}}
    study = load(fill(place, all_seed1=content, some_seed1=content))
    assert score_of(study.reference.runs[1]) == pytest.approx(70.0)
    assert not study.of_benchmarks
    assert "bundled_dev" in rows_table(study)
    with figure_style():
        (axes,) = difference_plot(study).axes
    assert "no benchmark" in axes.get_xlabel()


def test_an_unknown_study_or_row_is_named(place):
    with pytest.raises(SimgptError, match=r"unknown study 'sise'; known: .*size"):
        load_study_results(place, "sise")
    with pytest.raises(SimgptError, match="no row any; its rows: none, some, no-some, all"):
        load(place).row("any")


def test_the_dot_plot_has_a_line_for_every_row_and_fills_what_is_no_chance(measured):
    with figure_style():
        (axes,) = difference_plot(load(measured)).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["untouched encoder", "some of it", "all but some"]
    marks = [line for line in axes.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert [float(mark.get_xdata()[0]) for mark in marks] == pytest.approx(
        [-3.167, -1.067, -0.033], abs=1e-3
    )
    filled = [mark.get_markerfacecolor() == mark.get_color() for mark in marks]
    assert filled == [True, True, False]


def test_the_dot_plot_names_rows_that_are_not_measured(place):
    fill(place, some_seed1=result(80.0), all_seed1=result(81.0))
    with figure_style():
        (axes,) = difference_plot(load(place)).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[2] == "all but some (not measured yet)"


def test_the_heat_map_holds_each_tasks_mean_difference(measured):
    study = load(measured)
    cells = effects(study)
    assert cells["sts12"]["some"] == pytest.approx(70 - (81.0 + 81.2 + 81.3) / 3)
    assert list(cells) == [*TASKS, "average"]
    with figure_style():
        axes = effect_map(study).axes[0]
    assert {text.get_text() for text in axes.texts} >= {"-11.17", "-1.07"}


def sizes(folder, **of_rows):
    """A study named `size`: rows by number of triplets."""
    rows = "".join(f'[[rows]]\nname = "{n}"\nlabel = "{n} triplets"\n' for n in of_rows["counts"])
    last = of_rows["counts"][-1]
    (folder / "own.toml").write_text(
        f'question = "How many?"\nprofile = "smoke"\nseeds = [1, 2]\nreference = "{last}"\n{rows}'
    )
    for count in of_rows["counts"]:
        for seed in (1, 2):
            score = 82.5 - 12 * count**-0.3
            fill(folder, **{f"{count}_seed{seed}": result(score, count=count, seed=seed)})
    return load(folder)


def test_the_learning_curve_says_what_it_predicted_and_what_it_extrapolates(tmp_path):
    study = sizes(tmp_path, counts=[250, 500, 1000, 2000, 4000])
    told = curve_finding(study)
    assert "250 triplets come to 80.21, 4,000 to 81.50" in told
    assert "predicts 81.50 for it; measured were 81.50, so it is off by" in told
    assert "82.12 at 100,000 triplets, which is extrapolation" in told
    with figure_style():
        (axes,) = curve_plot(study).axes
    assert axes.get_xscale() == "log"
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert (dashed.get_xdata()[0], dashed.get_xdata()[-1]) == pytest.approx((4000, 100_000))
    assert "not measured" in dashed.get_label()


def test_too_few_sizes_are_drawn_without_a_curve(tmp_path):
    study = sizes(tmp_path, counts=[250, 500, 1000])
    assert "Too few sizes for a curve." in curve_finding(study)
    with figure_style():
        (axes,) = curve_plot(study).axes
    assert not [line for line in axes.lines if line.get_linestyle() == "--"]


HEADLINE = """
question = "Who writes?"
profile = "laptop"
seeds = [1, 2]
reference = "human"
rows = [
    { name = "untouched", label = "untouched encoder", untouched = true },
    { name = "human", label = "human triplets" },
    { name = "llm-equal", label = "as many LLM triplets" },
]
"""


WAVES = """
question = "Do more help?"
profile = "laptop"
seeds = [1, 2]
reference = "llm-all"
rows = [
    { name = "llm-all", label = "three waves" },
    { name = "llm-four-waves", label = "four waves" },
]
"""


def test_the_curve_is_held_against_a_wave_that_it_has_not_seen(tmp_path):
    by_size, waves = tmp_path / "size", tmp_path / "waves"
    by_size.mkdir()
    waves.mkdir()
    (waves / "own.toml").write_text(WAVES)
    size = sizes(by_size, counts=[250, 500, 1000, 2000, 4000])
    few = {f"llm-all_seed{n}": result(80.0, count=4000, seed=n) for n in (1, 2)}
    assert beyond_finding(size, load(fill(waves, **few))) == "*four waves*: not measured yet."
    more = {
        f"llm-four-waves_seed{n}": result(score, count=8000, seed=n)
        for n, score in ((1, 79.5), (2, 79.7))
    }
    headline = load(fill(waves, **more))
    law = fit_power_law(*curve_points(size))
    told = beyond_finding(size, headline)
    assert f"comes to {float(law(8000)):.2f} at 8,000 triplets" in told
    assert "*four waves* were 79.60" in told
    assert "Against *three waves* that is -0.40 (95 % interval" in told
    assert "not measured yet" in beyond_finding(sizes(by_size, counts=[250, 500]), headline)


@pytest.fixture
def paper(repository):
    return load_paper(repository / "book" / "results")


def test_the_papers_gains_are_those_it_reports(paper):
    gains = paper_gains(paper)
    assert gains["SimCSE-RoBERTa-large"] == pytest.approx(0.99)
    assert gains["PromCSE-RoBERTa-large"] == pytest.approx(0.42)
    assert len(gains) == 4


def test_the_headline_sets_our_gain_beside_the_papers(tmp_path, paper):
    (tmp_path / "own.toml").write_text(HEADLINE)
    study = load(tmp_path)
    with figure_style():
        _, lower = headline_plot(study, paper).axes
    assert "not measured yet" in lower.get_yticklabels()[0].get_text()
    fill(tmp_path, untouched=result(78.0), human_seed1=result(79.0))
    told = headline_finding(load(tmp_path), paper)
    assert told.startswith("*untouched encoder*: 78.00. *human triplets*: 79.00. Not measured yet:")
    for seed, (human, llm) in enumerate([(79.0, 80.0), (79.1, 80.3)], start=1):
        fill(
            tmp_path,
            **{
                f"human_seed{seed}": result(human, seed=seed),
                f"llm-equal_seed{seed}": result(llm, seed=seed),
            },
        )
    study = load(tmp_path)
    told = headline_finding(study, paper)
    assert "*as many LLM triplets*: 80.15, 95 % interval" in told
    assert "*untouched encoder*: 78.00." in told
    assert "The difference is +1.10 (95 % interval -0.17 to +2.37, p = 0.058)" in told
    assert "+0.99 over SimCSE-RoBERTa-large" in told
    with figure_style():
        upper, lower = headline_plot(study, paper).axes
    assert [label.get_text() for label in upper.get_yticklabels()][2:] == [
        "paper: SimCSE-RoBERTa-base",
        "paper: Sim-GPT SimCSE-RoBERTa-base",
    ]
    ours = [line for line in lower.lines if line.get_marker() == "D"]
    assert float(ours[0].get_xdata()[0]) == pytest.approx(1.1)


def audited(name, full, clean):
    rest = {"any": {"spearman": clean / 100}}
    return {"name": name, "scores": {"average": {"spearman": full / 100, "without": rest}}}


def test_rows_of_the_audit_are_means_over_their_seeds(tmp_path):
    assert clean_rows(tmp_path) == {}
    models = [
        audited("human-seed1", 79.0, 78.0),
        audited("human-seed2", 80.0, 78.5),
        audited("untouched", 78.0, 77.9),
    ]
    (tmp_path / "contamination").mkdir()
    parts = {"headline": models[:2], "headline-untouched": models[2:], "others": models[:1]}
    for name, held in parts.items():
        (tmp_path / "contamination" / f"{name}.json").write_text(json.dumps({"models": held}))
    rows = clean_rows(tmp_path)
    assert rows["human"] == pytest.approx((79.5, 78.25))
    assert rows["untouched"] == pytest.approx((78.0, 77.9))


def test_the_page_has_a_fragment_and_a_finding_for_every_study_measured_or_not(tmp_path, paper):
    results, output = tmp_path / "results", tmp_path / "generated"
    results.mkdir()
    rows = [{"model": row.model, "scores": row.scores, "average": row.average} for row in paper]
    (results / "paper.json").write_text(json.dumps({"rows": rows}))
    drawings, fragments, facts = study_pages(results, output)
    assert drawings == []
    assert {f"study-{name}" for name in STUDIES} <= fragments.keys()
    assert facts["study_size"] == "Not measured yet; `simgpt study run size` does."
    for number, source in enumerate(("captions", "all")):
        fill(results, "sources", **{f"{source}_seed1": result(80 + number, sts12=70.0)})
    for count in (250, 1000):
        fill(results, "size", **{f"{count}_seed1": result(80.0, count=count)})
    (results / "contamination").mkdir()
    audit = {"models": [audited("untouched", 78.0, 77.9)]}
    (results / "contamination" / "headline.json").write_text(json.dumps(audit))
    drawings, fragments, facts = study_pages(results, output)
    names = [drawing.name for drawing in drawings]
    assert names == ["study-size", "study-sources", "study-clean"]
    assert facts["study_clean"].endswith("averages change: *untouched encoder* -0.10.")
    assert "lowest is -1.00 (captions only, STS13)" in drawings[1].alt
    assert "highest is +0.00 (captions only, STS12)" in drawings[1].alt
    assert "`" not in drawings[0].alt
    assert (output / "study-sources-dark.svg").is_file()
    assert "captions only* -1.00" in facts["study_sources"]


def test_the_bundled_grids_can_be_read_with_whatever_is_measured(repository):
    for name in study_names():
        study = load_study_results(repository / "book" / "results", name)
        assert study.reference in study.rows
        assert all(isinstance(run, Measured) for row in study.rows for run in row.runs.values())


def test_an_average_of_runs_is_one_model_and_is_not_tested(measured):
    """How far another average would be from it, the seeds of the reference do not say."""
    row = '    { name = "all-mean", label = "averaged", average_of = "all" },'
    (measured / "own.toml").write_text(f"{GRID.rstrip().removesuffix(']')}{row}\n]\n")
    fill(measured, **{"all-mean": result(82.0)})
    study = load(measured)
    assert list(study.row("all-mean").runs) == [None]
    found = study.differences()["all-mean"]
    assert found.mean == pytest.approx(82.0 - (81.0 + 81.2 + 81.3) / 3)
    assert (found.spread, found.p, found.p_holm) == (None, None, None)
    assert "Of a single model, so without interval or test, against *all of it*: *averaged*" in (
        difference_finding(study)
    )
    assert rows_table(study).splitlines()[-1].endswith("| 82.00 |  | - |")


def test_two_untouched_rows_have_one_difference(tmp_path):
    (tmp_path / "own.toml").write_text(
        GRID.replace('label = "all of it"', 'label = "other encoder", untouched = true')
    )
    fill(tmp_path, none=result(78.0), all=result(80.0))
    study = load(tmp_path)
    assert difference_of(study.row("none"), study.reference).mean == pytest.approx(-2.0)
