"""The page of the studies: for each question a figure, a finding, and tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from simgpt.report.book_table import fragment
from simgpt.report.contamination import load_audits
from simgpt.report.figures import Drawing, save
from simgpt.report.results import Measured, load_paper
from simgpt.report.study import (
    StudyResults,
    StudyRow,
    difference_of,
    load_study_results,
    row_labels,
    study_names,
)
from simgpt.report.study_plots import (
    AVERAGE,
    FOUR_WAVES,
    HUMAN,
    LLM,
    clean_plot,
    curve_plot,
    difference_plot,
    effect_map,
    effects,
    headline_plot,
    paper_gains,
    task_label,
)
from simgpt.report.study_tables import differences_table, scores_table
from simgpt.report.study_text import (
    beyond_finding,
    curve_finding,
    difference_finding,
    headline_finding,
    signature_line,
    told_difference,
)

# In the order of the page, which includes a figure and tables of each.
STUDIES = ("headline", "size", "sources", "objective", "teachers", "prompts", "artefacts")
_CODE = "simgpt/report/study_plots.py"
_SEED = re.compile(r"-seed\d+$")


def study_pages(
    results: Path, folder: Path, again: Sequence[Measured] = ()
) -> tuple[list[Drawing], dict[str, str], dict[str, str]]:
    """What the page of the studies includes, as far as it is measured.

    Args:
        results: The folder with a folder for each study.
        folder: Where figures go.
        again: Reruns of some of the runs.

    Returns:
        The figures, which are written to `folder`; fragments by name; findings as facts.
    """
    drawings: list[Drawing] = []
    fragments = {f"study-{name}": "" for name in (*STUDIES, "clean")}
    facts = {}
    studies = {n: load_study_results(results, n) for n in STUDIES if n in study_names()}
    later = studies["headline"].row(FOUR_WAVES)
    for name in STUDIES:
        fragments[f"study-{name}-table"] = ""
        facts[f"study_{name}"] = "This version has no grid for it."
        if study := studies.get(name):
            drawings += _draw(folder, study, results, later)
            tables = (scores_table(study, again), differences_table(study))
            fragments[f"study-{name}-table"] = "\n".join(
                [*map(fragment, tables), signature_line(study)]
            )
            facts[f"study_{name}"] = study_finding(study, results)
    facts["study_beyond"] = beyond_finding(studies["size"], studies["headline"])
    rows = clean_rows(results)
    facts["study_clean"] = _clean_finding(rows)
    drawings += [_draw_clean(folder, rows)] if rows else []
    return drawings, fragments, facts


def study_finding(study: StudyResults, results: Path) -> str:
    """What a study found, in the words that fit its question.

    Args:
        study: Its results.
        results: Where the paper's numbers are, which the headline's stand beside.
    """
    match study.name:
        case "headline":
            return headline_finding(study, load_paper(results))
        case "size":
            return curve_finding(study)
    return difference_finding(study)


def clean_rows(results: Path) -> dict[str, tuple[float, float]]:
    """The headline's rows with and without the pairs that training text touches.

    Returns:
        By the row's name the average of seven x 100 on all pairs, and on the clean ones; the mean
        over the seeds that the audit scored. Empty where `contamination/` has no audit whose name
        begins with `headline`.
    """
    audits = [audit for name, audit in load_audits(results).items() if name.startswith("headline")]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for model in (model for audit in audits for model in audit["models"]):
        found.setdefault(_SEED.sub("", model["name"]), []).append(model["scores"]["average"])
    return {
        name: (
            100 * mean(row["spearman"] for row in rows),
            100 * mean(row["without"]["any"]["spearman"] for row in rows),
        )
        for name, rows in found.items()
    }


def _draw(folder: Path, study: StudyResults, results: Path, later: StudyRow) -> Iterator[Drawing]:
    name = f"study-{study.name}"
    if study.name == "headline" and study.measured:
        yield _draw_headline(folder, name, study, results)
    elif study.name == "size" and any(row.is_trained for row in study.measured):
        yield _draw_curve(folder, name, study, later)
    elif study.differences():
        draw = _draw_effects if study.name == "sources" else _draw_differences
        yield draw(folder, name, study)


def _origin(study: StudyResults) -> tuple[str, ...]:
    return f"book/results/{study.name}", _CODE


def _draw_headline(folder: Path, name: str, study: StudyResults, results: Path) -> Drawing:
    paper = load_paper(results)
    save(folder, name, lambda _: headline_plot(study, paper))
    told = ", ".join(f"{row.label} {row.mean:.2f}" for row in study.measured)
    gain = difference_of(study.row(LLM), study.row(HUMAN))
    gained = f" LLM triplets gain {told_difference(gain)} over human-written ones;" if gain else ""
    published = ", ".join(f"{value:+.2f} ({key})" for key, value in paper_gains(paper).items())
    return Drawing(
        name,
        f"Two dot plots. Above, the average of seven by row: {told}. Below, gains:{gained} the "
        f"paper's are {published}.",
        "Above: strokes are single seeds, diamonds their mean with its 95 % interval; hollow "
        "circles are the paper's numbers, of a larger encoder. Below: what LLM triplets gain here "
        "over as many human-written ones, and what the paper reports over its baselines.",
        ("book/results/paper.json", *_origin(study)),
    )


def _draw_curve(folder: Path, name: str, study: StudyResults, later: StudyRow) -> Drawing:
    save(folder, name, lambda _: curve_plot(study, later))
    told = curve_finding(study)
    if later.runs:
        told += f" *{later.label}*, which it does not fit: {later.mean:.2f}."
    return Drawing(
        name,
        f"Learning curve of the score by number of triplets. {_plain(told)}",
        "Dots are single seeds, circles their mean with its 95 % interval. The cross is what the "
        "smaller sizes predict for the largest; beyond it the curve is extrapolated."
        + (" The diamond is a wave of triplets that was written later." if later.runs else ""),
        ("book/results/headline", *_origin(study)),
    )


def _draw_effects(folder: Path, name: str, study: StudyResults) -> Drawing:
    save(folder, name, lambda _: effect_map(study))
    cells = {
        (row, task): value
        for task, column in effects(study).items()
        if task != AVERAGE
        for row, value in column.items()
    }
    worst, best = min(cells, key=cells.__getitem__), max(cells, key=cells.__getitem__)
    told = " and ".join(
        f"the {word} is {cells[row, task]:+.2f} ({study.row(row).label}, {task_label(task)})"
        for word, (row, task) in (("lowest", worst), ("highest", best))
    )
    return Drawing(
        name,
        f"Heat map of each row's difference from {study.reference.label}, benchmark by benchmark: "
        f"{told}.",
        f"Difference from *{study.reference.label}*, mean over the seeds: orange is worse, purple "
        "better. Single cells are not tested; the averages are, in the table.",
        _origin(study),
    )


def _draw_differences(folder: Path, name: str, study: StudyResults) -> Drawing:
    save(folder, name, lambda _: difference_plot(study))
    told = ", ".join(
        f"{study.row(row).label} {told_difference(one)}" for row, one in study.differences().items()
    )
    return Drawing(
        name,
        f"Dot plot of each row's difference from {study.reference.label}: {told}.",
        f"Difference from *{study.reference.label}* on the same seeds, with its 95 % interval.",
        _origin(study),
    )


def _draw_clean(folder: Path, rows: Mapping[str, tuple[float, float]]) -> Drawing:
    labelled = _labelled(rows)
    save(folder, "study-clean", lambda _: clean_plot(labelled))
    told = ", ".join(f"{row} {full:.2f} and {clean:.2f}" for row, (full, clean) in labelled.items())
    return Drawing(
        "study-clean",
        f"Dot plot of the average of seven on all pairs and on clean pairs by row: {told}.",
        "All pairs against those that no training text touches, at any of the four levels.",
        ("book/results/contamination", _CODE),
    )


def _clean_finding(rows: Mapping[str, tuple[float, float]]) -> str:
    if not rows:
        return "Not measured yet."
    labelled = _labelled(rows).items()
    changes = ", ".join(f"*{row}* {clean - full:+.2f}" for row, (full, clean) in labelled)
    sentences = [f"Without touched pairs the averages change: {changes}."]
    if {LLM, HUMAN} <= rows.keys():
        full, clean = (rows[LLM][n] - rows[HUMAN][n] for n in (0, 1))
        sentences.append(
            f"The gain of LLM over human-written triplets is {full:+.2f} on all pairs and "
            f"{clean:+.2f} on clean ones."
        )
    return " ".join(sentences)


def _labelled(rows: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """By the label that the headline's grid gives a row, in its order."""
    labels = row_labels("headline")
    return {label: rows[name] for name, label in labels.items() if name in rows}


def _plain(text: str) -> str:
    return re.sub(r"[*`]", "", text)
