"""Tables of any results: what stands in them, what is refused, and each format."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from scipy.stats import sem, t
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.cli import app
from simgpt.evaluate import uncertainty
from simgpt.report import table
from simgpt.report.formats import Format, render
from simgpt.report.spread import seed_spread
from simgpt.report.table import build_table
from tests.report.made_up import comparison, model, result, write

TRAINED = model(seed=1, weights="6" * 64)


def row(built, label):
    (found,) = [one for one in built.rows if one.label == label]
    return found


def notes(built):
    return " ".join(built.notes)


@pytest.fixture
def folder(tmp_path):
    """A trained and an untouched model, compared: different on the first two tasks."""
    return write(
        tmp_path / "results",
        trained=result(82, of=TRAINED),
        untouched=result(80),
        compared=comparison(TRAINED, model(), p_holm=(0.001, 0.049, 0.05, 0.2, 0.3, 0.4, 0.5)),
    )


def test_rows_hold_scores_with_intervals_and_the_average(folder):
    built = build_table([folder])
    assert built.columns == [
        "STS12",
        "STS13",
        "STS14",
        "STS15",
        "STS16",
        "STS-B",
        "SICK-R",
        "avg.",
    ]
    cells = row(built, "untouched").cells
    assert [cell.text for cell in cells] == [f"{80 + n}.00" for n in range(7)] + ["83.00"]
    assert cells[0].interval == "79.00 to 81.00"
    assert cells[-1].interval == "80.00 to 85.00"
    assert "10,000 resamples" in notes(built)


def test_marks_stand_where_the_corrected_p_is_below_five_per_cent_and_nowhere_else(folder):
    built = build_table([folder])
    assert [cell.marks for cell in row(built, "trained").cells] == ["†", "†", *[""] * 6]
    assert all(cell.marks == "" for cell in row(built, "untouched").cells)
    assert "† differs from untouched" in notes(built)
    assert "Holm" in notes(built)


def test_a_comparison_of_other_weights_or_another_pooling_marks_nothing(tmp_path):
    for other in (model(seed=1, weights="9" * 64), TRAINED | {"pooling": "cls"}):
        content = comparison(other, model())
        folder = write(tmp_path / "results", trained=result(82, of=TRAINED), compared=content)
        built = build_table([folder])
        assert all(cell.marks == "" for cell in built.rows[0].cells)
        assert built.baselines == {}


def test_each_baseline_has_a_mark_of_its_own_and_is_named(folder):
    other = model("someone--model", weights="3" * 64)
    write(folder, zweiter=comparison(TRAINED, other, p_holm=(0.5, *[0.01] * 6)))
    built = build_table([folder])
    assert [cell.marks for cell in row(built, "trained").cells[:3]] == ["†", "†‡", "‡"]
    assert "‡ differs from someone--model" in notes(built)


def test_more_baselines_than_marks_are_refused(folder):
    for number in range(4):
        write(
            folder,
            **{f"x{number}": comparison(TRAINED, model(f"m{number}", weights=str(number) * 64))},
        )
    with pytest.raises(SimgptError, match="5 different models"):
        build_table([folder])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (result(82, suite="mteb"), "suites are senteval and mteb"),
        (result(82, suite="senteval_raw"), "suites are senteval and senteval_raw"),
        (result(82, aggregation="wmean"), "agg:all and agg:wmean"),
        (result(82, data="00000000"), "data:b701cd14 and data:00000000"),
        (comparison(model(), TRAINED, suite="mteb"), "suites are senteval and mteb"),
        (comparison(model(), TRAINED, aggregation="mean"), "agg:all and agg:mean"),
    ],
)
def test_scores_that_were_not_got_alike_are_refused(tmp_path, other, words):
    folder = write(tmp_path / "results", one=result(80), two=other)
    with pytest.raises(SimgptError, match=rf"one\.json and .*two\.json cannot.*{words}"):
        build_table([folder])


def test_another_suite_stands_in_a_table_of_its_own(tmp_path):
    folder = write(tmp_path / "results", one=result(80, suite="mteb"))
    built = build_table([folder])
    assert "suite mteb" in built.caption
    assert built.rows[0].cells[0].signature.startswith("mteb_sts12|")


def test_the_paper_is_labelled_and_kept_out_of_other_suites(tmp_path, repository):
    paper = repository / "book" / "results" / "paper.json"
    folder = write(tmp_path / "results", one=result(80, intervals=False))
    built = build_table([folder, paper])
    assert [one.label.startswith("paper: ") for one in built.rows] == [True] * 13 + [False]
    assert "as printed there: Wang et al., 2023" in notes(built)
    assert built.rows[0].cells[0].interval == ""
    with pytest.raises(SimgptError, match="the paper's rows cannot stand"):
        build_table([write(tmp_path / "other", one=result(80, suite="mteb")), paper])


def test_versions_may_differ_and_are_told(tmp_path):
    folder = write(tmp_path / "results", one=result(80), two=result(81, version="0.2.0"))
    assert "|v0.1.0 and v0.2.0 for all; sts12|pairs:3108" in notes(build_table([folder]))


def test_older_results_stand_without_intervals_and_it_is_said(tmp_path):
    folder = write(tmp_path / "results", old=result(80, intervals=False), new=result(81))
    built = build_table([folder])
    assert row(built, "old").cells[0].interval == ""
    assert row(built, "new").cells[0].interval == "80.00 to 82.00"
    assert "before intervals were computed" in notes(built)


def test_seeds_are_joined_and_other_settings_are_not(tmp_path):
    runs = {
        f"run{seed}": result(score, of=model(seed=seed, weights=str(seed) * 64))
        for seed, score in ((1, 80.0), (2, 81.0), (3, 80.5))
    }
    faster = model(seed=1, weights="9" * 64, learning_rate=1e-4)
    folder = write(tmp_path / "results", **runs, faster=result(79, of=faster))
    built = build_table([folder], seeds=True)
    assert {one.label: one.runs for one in built.rows} == {"faster": 1, "laptop, seeds 1, 2, 3": 3}
    cell = row(built, "laptop, seeds 1, 2, 3").cells[0]
    values = [80.0, 81.0, 80.5]
    assert cell.text == "80.50 ± 0.50"
    assert (cell.low, cell.high) == pytest.approx(
        t.interval(0.95, 2, loc=80.5, scale=sem(values)), abs=1e-9
    )
    assert "Student's t" in notes(built)
    assert len(build_table([folder]).rows) == 4


def test_joined_rows_bear_no_marks_since_a_test_is_of_one_run(tmp_path):
    models = [model(seed=seed, weights=str(seed) * 64) for seed in (1, 2)]
    folder = write(
        tmp_path / "results",
        one=result(80, of=models[0]),
        two=result(81, of=models[1]),
        compared=comparison(models[0], model()),
    )
    assert "†" in render(build_table([folder]), Format.MARKDOWN)
    assert "†" not in render(build_table([folder], seeds=True), Format.MARKDOWN)


def test_groups_of_seeds_are_told_apart_by_their_settings(tmp_path):
    contents = {
        f"run{seed}-{rate}": result(80 + seed, of=model(seed=seed, weights=w, learning_rate=rate))
        for seed, rate, w in ((1, 1e-5, "1"), (2, 1e-5, "2"), (1, 3e-5, "3"), (2, 3e-5, "4"))
    }
    built = build_table([write(tmp_path / "results", **contents)], seeds=True)
    assert {one.label for one in built.rows} == {
        "laptop, learning_rate=1e-05, seeds 1, 2",
        "laptop, learning_rate=3e-05, seeds 1, 2",
    }


def test_one_seed_with_two_different_results_is_refused(tmp_path):
    folder = write(
        tmp_path / "results",
        one=result(80, of=model(seed=1, weights="1" * 64)),
        two=result(81, of=model(seed=1, weights="2" * 64)),
    )
    with pytest.raises(SimgptError, match=r"one\.json and .*two\.json are of the same settings"):
        build_table([folder], seeds=True)


def test_the_same_result_in_two_places_is_one_row_and_equal_names_are_told_apart(tmp_path):
    write(tmp_path / "a", scores=result(80), untouched=result(80))
    write(tmp_path / "b", untouched=result(81, of=TRAINED))
    assert [one.label for one in build_table([tmp_path]).rows] == ["a", "untouched"]
    (tmp_path / "a" / "scores.json").unlink()
    assert [one.label for one in build_table([tmp_path]).rows] == ["a/untouched", "b/untouched"]


def test_the_spread_over_seeds_is_students_and_needs_two():
    values = [80.0, 81.0, 80.5, 79.0]
    spread = seed_spread(values)
    assert (spread.low, spread.high) == pytest.approx(
        t.interval(0.95, 3, loc=80.125, scale=sem(values))
    )
    with pytest.raises(SimgptError, match="two or more"):
        seed_spread([80.0])


def test_the_footnote_says_as_many_resamples_as_are_drawn():
    assert table.RESAMPLES == uncertainty.RESAMPLES


def test_what_is_no_sound_result_is_named(tmp_path):
    folder = write(tmp_path / "results", one=result(80))
    development = result(80) | {"tasks": {}, "average": None}
    del development["average_unrounded"], development["average_interval"]
    cases = {
        "torn": ('{"tasks": {', r"torn\.json, line 1: not valid JSON"),
        "average": (result(80) | {"average": 90.0}, r"average is 90\.0.*give 83\.0"),
        "development": (development, "development pairs alone, which are no benchmark"),
    }
    for name, (content, words) in cases.items():
        path = folder / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(SimgptError, match=words):
            build_table([folder])
        path.unlink()
    write(folder, other={"seconds": 3})
    assert len(build_table([folder]).rows) == 1
    with pytest.raises(SimgptError, match=r"other\.json: no result; those are"):
        build_table([folder / "other.json"])
    with pytest.raises(SimgptError, match="no results here"):
        build_table([write(tmp_path / "empty")])
    with pytest.raises(SimgptError, match="gone: no such file or folder"):
        build_table([tmp_path / "gone"])


@pytest.fixture
def nasty(tmp_path):
    """Names with every character that a format could stumble over."""
    return write(
        tmp_path / "results",
        **{r"a_b&c%d#e$f{g}h~i^j|k<l>m--n": result(82, of=TRAINED), "untouched": result(80)},
        compared=comparison(TRAINED, model()),
    )


class Reader(HTMLParser):
    """Tags that are open, and what stands in each kind of cell."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], {}

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.text[tag] = self.text.get(tag, "") + data


def test_html_is_a_table_with_caption_scopes_and_footnotes_all_escaped(nasty):
    text = render(build_table([nasty]), Format.HTML)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.text["caption"].startswith("Spearman x 100")
    scopes = [attrs["scope"] for tag, attrs in reader.seen if tag == "th"]
    assert scopes == ["col"] * 9 + ["row"] * 2
    assert len([tag for tag, _ in reader.seen if tag == "td"]) == 2 * 8 + 1
    assert "a_b&c%d#e$f{g}h~i^j|k<l>m--n" in reader.text["th"]
    assert "† differs from untouched" in reader.text["tfoot"]
    assert "sts12|pairs:3108" in reader.text["tfoot"]
    assert reader.text["sup"] == "†" * 7
    assert text.isascii()


def test_csv_has_a_line_for_each_score_and_numbers_in_columns_of_their_own(nasty):
    text = render(build_table([nasty]), Format.CSV)
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 16
    first = lines[0]
    assert first["model"] == "a_b&c%d#e$f{g}h~i^j|k<l>m--n"
    assert (first["score"], first["low"], first["high"]) == ("82.00", "81.00", "83.00")
    assert (first["p_holm"], first["baseline"]) == ("0.0010", "untouched")
    assert first["signature"].startswith("sts12|pairs:3108")
    assert (lines[7]["task"], lines[7]["p_holm"]) == ("avg.", "")
    assert all(len(line) == len(lines[0]) and None not in line for line in lines)


def test_csv_names_every_baseline(folder):
    write(folder, zweiter=comparison(TRAINED, model("other", weights="3" * 64)))
    first = next(csv.DictReader(io.StringIO(render(build_table([folder]), Format.CSV))))
    assert (first["baseline"], first["baseline2"]) == ("untouched", "other")
    assert (first["p_holm"], first["p_holm2"]) == ("0.0010", "0.0010")


def test_markdown_has_as_many_cells_in_each_row(nasty):
    text = render(build_table([nasty]), Format.MARKDOWN)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {10}
    assert "82.00† (81.00 to 83.00)" in text
    assert r"a\_b&c%d#e$f{g}h~i^j\|k\<l>m--n" in text


def test_latex_is_balanced_escaped_and_compiles_where_there_is_latex(nasty, tmp_path):
    text = render(build_table([nasty]), Format.LATEX)
    begun = re.findall(r"\\begin\{(\w+)\}", text)
    assert begun == ["table", "tabular"]
    assert re.findall(r"\\end\{(\w+)\}", text) == begun[::-1]
    assert r"a\_b\&c\%d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j" in text
    assert r"\textless{}l\textgreater{}m-{}-n" in text
    assert r"82.00\textsuperscript{\dag}" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {8}
    bare = re.sub(r"\\[{}]", "", text)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    lines = text.splitlines()
    assert not any(re.search(r"(?<!\\)[_#]", line) for line in lines if not line.startswith("%"))
    if shutil.which("pdflatex"):
        source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{text}"
        (tmp_path / "page.tex").write_text(source + r"\end{document}", encoding="utf-8")
        command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout


def test_the_command_writes_a_file_and_refuses_unknown_formats(folder, tmp_path):
    output = tmp_path / "table.tex"
    words = ["report", "table", str(folder), "--format", "latex", "--output", str(output)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert output.read_text().startswith("% needs")
    done = CliRunner().invoke(app, ["report", "table", str(folder)])
    assert done.stdout.startswith("Spearman x 100")
    refused = CliRunner().invoke(app, ["report", "table", str(folder), "--format", "word"])
    assert refused.exit_code == 1
    assert "markdown, latex, csv, html" in str(refused.exception)


def test_the_committed_results_make_a_table(repository):
    results = repository / "book" / "results"
    built = build_table([results / "headline", results / "paper.json"], seeds=True)
    runs = [one.runs for one in built.rows if not one.published]
    assert 1 in runs  # the untouched encoder
    assert max(runs) >= 3
