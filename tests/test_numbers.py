"""No measured number on a page is typed, and each is what `book/results` holds."""

import json
import re
import shlex
from statistics import fmean, stdev

import pytest

from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "book" / "results"
COLUMNS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr")
SOURCES = sorted(
    [
        REPOSITORY / "README.md",
        *(REPOSITORY / "book").glob("*.md"),
        *(REPOSITORY / "notebooks").glob("*.py"),
    ]
)

# Numbers that were set, published or chosen as an example, and not measured here.
NOT_MEASURED = {
    "README.md": {"3.11", "1.0", "95 %"},  # versions; intervals
    "benchmarks.md": {"0.6", "0.9", "0.7"},  # examples of a cosine
    "not-reproduced.md": {"5.7", "0.2", "0.05"},  # weights in the authors' scripts
    "objectives.md": {"0.05", "0.1", "0.2"},  # temperatures, a margin
    "reproduce.md": {"3.11", "95 %"},  # Python; intervals
    "study.md": {"95 %"},
    "use.md": {"0.8", "80 per cent"},  # a cosine, and what it is not
    "04_evaluate.py": {"95 per cent", "0.8"},
    "05_contamination.py": {"0.7", "0.5"},  # thresholds
    "07_ablations.py": {"95 %", "2.5", "0.05"},  # of Student's t and of Holm's correction
}
NUMBER = re.compile(
    r"\d+\.\d+|\d[\d,]* ?(?:%|per cent|seconds?|minutes?|hours?|GB|MB|GiB|MiB|EUR|USD)(?!\w)"
)


def prose_of(path):
    """What a reader reads of a source: no code, no mathematics, no link's target, no fact."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    for left_out in (
        r"```.*?```",
        r"\$\$.*?\$\$",
        r"\$[^$\n]+\$",
        r"`[^`]*`",
        r"\]\([^)]*\)",
        r"\{\{.*?\}\}",
        r"^%% .*?$",
    ):
        text = re.sub(left_out, "", text, flags=re.DOTALL | re.MULTILINE)
    return text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_measured_number_is_typed(path):
    typed = set(NUMBER.findall(prose_of(path)))
    assert typed == NOT_MEASURED.get(path.name, set()), (
        "write a measured number as {{ fact }}, and name what was not measured in NOT_MEASURED"
    )


def test_a_typed_score_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("It reached 81.85 in 18 minutes, at `0.05` and {{ score }}.")
    assert NUMBER.findall(prose_of(page)) == ["81.85", "18 minutes"]


def runs_behind(details):
    """The results that a row is the mean of, by the command and the folder that it names."""
    command = shlex.split(details.find("pre").get_text().splitlines()[0])
    described = {term.get_text(): term.find_next("dd").get_text() for term in details("dt")}
    folder = RESULTS / described["full record"].removeprefix("book/results/")
    row = command[command.index("--rows") + 1]
    names = [cell.get_text() for cell in details.select("th[scope=row]")]
    files = [
        folder / (f"{row}-{name.replace(' ', '')}.json" if "seed" in name else f"{row}.json")
        for name in names
    ]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_every_row_of_scores_is_the_mean_of_the_runs_that_it_names(pages):
    """Means, deviations and averages, recomputed by none of the code that made the pages."""
    checked = 0
    for path, soup in pages.items():
        for body in soup.select("table.sortable tbody"):
            details = body.find("details")
            if details is None or "--rows" not in details.find("pre").get_text():
                continue
            runs = runs_behind(details)
            cells = body.find("tr").find_all(["th", "td"])[1:9]
            scores = [[100 * run["tasks"][task]["spearman"] for run in runs] for task in COLUMNS]
            seven = zip(*scores, strict=True)  # as the paper has it, of what is printed
            scores.append([round(fmean(round(one, 2) for one in run), 2) for run in seven])
            for cell, values in zip(cells, scores, strict=True):
                expected = f"{fmean(values):.2f}"
                if len(values) > 1:
                    expected += f" ± {stdev(values):.2f}"
                told = " ".join(cell.get_text(" ").split())
                assert told.startswith(expected), f"{path.name}: {told}, not {expected}"
                checked += 1
    assert checked >= 200
