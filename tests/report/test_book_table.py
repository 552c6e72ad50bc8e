"""Tables of the book: what they say, what opens below a row, and what can be copied."""

import csv
import io
import shutil
import subprocess

import pytest
from bs4 import BeautifulSoup

from simgpt.report.book_table import (
    BookCell,
    BookRow,
    BookTable,
    fragment,
    text_table,
    to_csv,
    to_html,
    to_latex,
)
from simgpt.report.details import row_details
from simgpt.report.results import Measured
from simgpt.report.tables import mean_cells
from tests.report.made_up import model, result

MACHINE = {"gpus": [], "cpu": "a processor", "cores": 2}
ENVIRONMENT = {"machine": MACHINE, "python": "3.11", "git": {"commit": "c0ffee00" * 5}}
ENVIRONMENT |= {"packages": {"torch": "2", "sentence-transformers": "6"}}


@pytest.fixture
def table():
    ours = BookCell("82.00 ± 0.10", "81.50 to 82.50")
    return BookTable(
        "Scores & more",
        ["model", "STS12", "avg."],
        [
            BookRow("<Theirs>", [BookCell("80.00"), BookCell("81.00")], published=True),
            BookRow("ours_1", [ours, BookCell("83.00")], details="<p>-</p>"),
        ],
        ["A note."],
    )


def run(tmp_path, score, *, name="one", seed=1, seconds=480, **settings):
    of = model(seed=seed, **settings)
    of["training"]["seconds"] = seconds
    content = result(score, of=of) | {"environment": ENVIRONMENT, "seconds": 75.4}
    return Measured(tmp_path / "headline" / f"{name}.json", content)


def test_the_papers_rows_and_ours_are_told_apart_by_words(table):
    soup = BeautifulSoup(to_html(table), "html.parser")
    heads = [head.get_text() for head in soup.select("tbody th")]
    assert heads == ["paper <Theirs>", "measured here ours_1"]
    assert soup.table.caption.get_text() == "Scores & more"
    assert soup.select_one(".table-note").get_text() == "A note."


def test_a_row_is_one_tbody_with_what_opens_below_it(table):
    soup = BeautifulSoup(to_html(table), "html.parser")
    assert [len(body.find_all("tr")) for body in soup.find_all("tbody")] == [1, 2]
    assert soup.select_one(".row-details td")["colspan"] == "3"
    assert soup.select("tbody td")[2].get_text() == "82.00 ± 0.10 (81.50\N{NO-BREAK SPACE}to 82.50)"


def test_where_all_rows_are_ours_none_says_so():
    soup = BeautifulSoup(to_html(text_table("Times", ["way", "s"], [["a", "1"]])), "html.parser")
    assert soup.select_one("tbody th").get_text() == "a"


def test_csv_keeps_numbers_deviations_and_intervals_apart(table):
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert lines[1] == {
        "model": "ours_1",
        "source": "measured here",
        "STS12": "82.00",
        "STS12 deviation": "0.10",
        "STS12 low": "81.50",
        "STS12 high": "82.50",
        "avg.": "83.00",
    }
    assert (lines[0]["source"], lines[0]["STS12 low"]) == ("paper", "")


def test_latex_is_escaped_and_compiles_where_there_is_latex(table, tmp_path):
    text = to_latex(table)
    assert r"paper: \textless{}Theirs\textgreater{} & 80.00 & 81.00 \\" in text
    assert r"measured here: ours\_1 & 82.00 $\pm$ 0.10 & 83.00 \\" in text
    assert r" & {\tiny (81.50 to 82.50)} &  \\" in text
    if shutil.which("pdflatex"):
        source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{text}"
        (tmp_path / "page.tex").write_text(source + r"\end{document}", encoding="utf-8")
        command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout


def test_a_page_gets_the_table_and_both_forms_to_copy(table):
    text = fragment(table)
    assert text.index("{raw} html") < text.index("```latex") < text.index("```text")
    assert to_latex(table) in text
    assert to_csv(table) in text


def test_a_mean_has_the_interval_of_the_mean_and_a_run_its_own(tmp_path):
    """Mean 81, deviation 1.4142; t with one degree of freedom is 12.7062: 12.7062 either way."""
    one, two = run(tmp_path, 80), run(tmp_path, 82, seed=2)
    assert mean_cells([one])[0] == BookCell("80.00", "79.00 to 81.00")
    assert mean_cells([one, two])[0] == BookCell("81.00 ± 1.41", "68.29 to 93.71")


def test_a_row_opens_to_command_settings_commit_machine_and_seconds(tmp_path):
    stored = run(tmp_path, 80, learning_rate=1e-4)
    soup = BeautifulSoup(row_details("ours", [stored]), "html.parser")
    assert soup.summary.get_text() == "How to repeat it: ours"
    command = soup.pre.get_text()
    assert command.startswith("simgpt train --profile laptop --set learning_rate=0.0001 ")
    assert command.endswith("simgpt evaluate runs/one --output results/one.json")
    facts = [fact.get_text() for fact in soup.find_all("dd")]
    assert facts[0] == "profile laptop, learning_rate=0.0001"
    assert facts[1].startswith("a processor, 2 cores; Python 3.11, torch 2")
    assert facts[2].startswith("sts12|pairs:3108|agg:all|")
    assert facts[3] == "book/results/headline"
    cells = [cell.get_text() for cell in soup.select("tbody th, tbody td")]
    assert cells == ["seed 1", "83.00", "480", "75", "c0ffee00", "no"]


@pytest.mark.parametrize(
    ("apart", "told"),
    [(0.01, "OK"), (0.2, "near (sickr off by 0.20)"), (0.4, "FAIL (sickr off by 0.40)")],
)
def test_a_rerun_is_judged_as_verify_judges_it(tmp_path, apart, told):
    stored, other = run(tmp_path, 80), run(tmp_path, 80, name="again")
    other.content["tasks"]["sickr"]["spearman"] += apart / 100
    soup = BeautifulSoup(row_details("ours", [stored], again=[other]), "html.parser")
    assert told in soup.select("tbody td")[-1].get_text()


def test_another_seeds_rerun_is_not_this_runs(tmp_path):
    stored, other = run(tmp_path, 80), run(tmp_path, 80, name="again", seed=2)
    soup = BeautifulSoup(row_details("ours", [stored], again=[other]), "html.parser")
    assert soup.select("tbody td")[-1].get_text() == "no"


def test_a_study_has_one_command_for_all_seeds(tmp_path):
    runs = [run(tmp_path, 80), run(tmp_path, 81, name="two", seed=2)]
    soup = BeautifulSoup(row_details("all", runs, command="simgpt study run size"), "html.parser")
    assert soup.pre.get_text() == "simgpt study run size"
    assert [row.th.get_text() for row in soup.select("tbody tr")] == ["seed 1", "seed 2"]
