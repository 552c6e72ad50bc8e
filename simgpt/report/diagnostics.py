"""The figures of a diagnosis as files, with texts that state what they show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simgpt.report.diagnostic_plots import (
    agreement_plot,
    baseline_plot,
    bin_plot,
    bin_range,
    calibration_plot,
    decimals,
    error_plot,
    geometry_plot,
    percent,
    subset_plot,
    task_label,
)
from simgpt.report.figures import Drawing, save

Diagnosis = Mapping[str, Any]  # as `simgpt.evaluate.diagnostics.diagnose_model` returns it


def draw_diagnostics(folder: Path, diagnosis: Diagnosis) -> list[Drawing]:
    """Write the figures of one diagnosis, each for light and dark pages."""
    drawings = [
        _draw_subsets(folder, diagnosis),
        _draw_bins(folder, diagnosis, "length"),
        _draw_bins(folder, diagnosis, "overlap"),
        _draw_baseline(folder, diagnosis),
        _draw_errors(folder, diagnosis),
        _draw_calibration(folder, diagnosis),
    ]
    if diagnosis["geometry"]["note"] is None:
        drawings.append(_draw_geometry(folder, diagnosis))
    if diagnosis["agreement"]:
        drawings.append(_draw_agreement(folder, diagnosis))
    return drawings


def _draw_subsets(folder: Path, diagnosis: Diagnosis) -> Drawing:
    save(folder, "subsets", lambda _: subset_plot(diagnosis["subsets"]))
    scores = {
        f"{task_label(task)} {row['subset']}": row["spearman"]
        for task, rows in diagnosis["subsets"].items()
        for row in rows
        if row["spearman"] is not None
    }
    best, worst = max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)
    return Drawing(
        "subsets",
        f"Dot plot of each subset's Spearman with its interval: {best} is highest at "
        f"{100 * scores[best]:.1f}, {worst} lowest at {100 * scores[worst]:.1f}.",
        "Each subset by itself, with its number of pairs.",
    )


_VALUES = {
    "length": "words of the longer sentence",
    "overlap": "word overlap (Jaccard, 0 to 1)",
}


def _draw_bins(folder: Path, diagnosis: Diagnosis, name: str) -> Drawing:
    bins, value = diagnosis[name]["bins"], _VALUES[name]
    save(folder, name, lambda _: bin_plot({"model": bins}, value=value))
    told = ", ".join(
        f"{100 * row['spearman']:.1f} for {bin_range(row)}"
        for row in bins
        if row["spearman"] is not None
    )
    return Drawing(
        name,
        f"Spearman by {value}: {told}.",
        f"Score by {value}: the mean of the tasks' Spearmans within each bin, by their pairs.",
    )


def _draw_baseline(folder: Path, diagnosis: Diagnosis) -> Drawing:
    baseline = diagnosis["overlap"]["baseline"]
    save(folder, "baseline", lambda _: baseline_plot(baseline))
    told = ", ".join(
        f"{task_label(name)} {percent(row['spearman'])} against {percent(row['model'])}"
        for name, row in baseline.items()
    )
    return Drawing(
        "baseline",
        f"Dot plot by task of the Spearman of word overlap against the model's: {told}.",
        "What counting shared words scores, and what the model does.",
    )


def _draw_errors(folder: Path, diagnosis: Diagnosis) -> Drawing:
    errors = [row for rows in diagnosis["errors"]["tasks"].values() for row in rows]
    save(folder, "errors", lambda _: error_plot(errors))
    above = sum(row["cosine_rank"] > row["gold_rank"] for row in errors)
    return Drawing(
        "errors",
        f"The {len(errors)} worst errors, each task's together: the model ranks {above} of these "
        f"pairs higher than the raters and {len(errors) - above} lower.",
        "The pairs of each task whose two ranks differ most.",
    )


def _draw_calibration(folder: Path, diagnosis: Diagnosis) -> Drawing:
    calibration = diagnosis["calibration"]
    save(folder, "calibration", lambda _: calibration_plot(calibration))
    before, after = (calibration["overall"][kind]["error"] for kind in ("plain", "fitted"))
    return Drawing(
        "calibration",
        "Two reliability curves of mean gold score against prediction. The expected calibration "
        f"error is {before:.3f} for the cosine and {after:.3f} after isotonic regression.",
        "Calibration of the cosine; the regression was fitted on development pairs.",
    )


def _draw_geometry(folder: Path, diagnosis: Diagnosis) -> Drawing:
    geometry = diagnosis["geometry"]
    save(folder, "geometry", lambda _: geometry_plot({"model": geometry}))
    task = geometry["stands_for_all"]
    row = geometry["tasks"][task]
    return Drawing(
        "geometry",
        f"Scatter plot of alignment against uniformity by task. On {task_label(task)} alignment is "
        f"{decimals(row['alignment'])} and uniformity {decimals(row['uniformity'])}.",
        "Alignment and uniformity of each task's sentences.",
    )


def _draw_agreement(folder: Path, diagnosis: Diagnosis) -> Drawing:
    agreement = diagnosis["agreement"]
    save(folder, "agreement", lambda _: agreement_plot(agreement))
    return Drawing(
        "agreement",
        "Two panels by task: the rank correlation of two models' cosines, on average "
        f"{agreement['mean']['spearman']:.3f}, and which ranks more pairs closer to the raters: "
        f"the first {agreement['first_closer']:,}, the second {agreement['second_closer']:,} of "
        f"{agreement['pairs']:,}.",
        "Where two models agree, and which is closer to the raters where they do not.",
    )
