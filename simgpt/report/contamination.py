"""What of the test sets was found in training data, and what scores are without it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from simgpt.files import read_json
from simgpt.report.figures import LABELS
from simgpt.report.markdown import markdown_table

_LEVELS = ("exact", "normalised", "ngram", "near", "any")
Audit = Mapping[str, Any]  # as `simgpt.evaluate.audit_contamination` returns it


def audited_on(audit: Audit) -> str:
    """Say plainly what was looked for, and in how much."""
    entries = f"{audit['triplets']['count']:,} triplets"
    if audit["suite"] != "development":
        return f"Audited: {entries}, for the sentences of the seven benchmarks."
    return (
        f"Audited: {entries}, **for the bundled development pairs, which are not a benchmark.** "
        "Set `SIMGPT_SENTEVAL` to a folder in SentEval's layout and choose "
        '`benchmarks = "auto"` for the seven.'
    )


def load_audits(results: Path) -> dict[str, Audit]:
    """The committed audits in `contamination/`, by file name; empty where there are none."""
    paths = sorted((results / "contamination").glob("*.json"))
    return {path.stem: read_json(path) for path in paths}


def audits_table(audits: Mapping[str, Audit]) -> str:
    """What each collection holds of the benchmarks, and what that does to scores.

    The change is that of the average of seven, x 100, where touched pairs are left out.
    """
    header = ["data", "entries", *_LEVELS, "one side", "both sides", "together"]
    header += ["encoder", "change", "95 % interval"]
    rows = []
    for name, audit in audits.items():
        _, _, *found = _counts("", audit["total"])
        del found[len(_LEVELS)]  # the number of pairs, the same in each row
        cells = [name.replace("-", " "), f"{audit['triplets']['count']:,}", *found]
        for model in audit["models"]:
            change = _rest(model["scores"]["average"]["without"]["any"])[1:]
            rows.append([*cells, model["name"], *change])
            cells = [""] * len(cells)
        if not audit["models"]:
            rows.append([*cells, "", "", ""])
    return markdown_table(header, rows)


def touched_table(audit: Audit) -> str:
    """Sentences found at each level, and pairs touched at any, by task and subset."""
    header = ["", "sentences", *_LEVELS, "pairs", "one side", "both sides", "together"]
    rows = []
    for name, task in audit["tasks"].items():
        rows.append(_counts(f"**{LABELS.get(name, name)}**", task))
        if len(task["subsets"]) > 1:
            rows += [_counts(subset, counts) for subset, counts in task["subsets"].items()]
    if len(audit["tasks"]) > 1:
        rows.append(_counts("**all of them**", audit["total"]))
    return markdown_table(header, rows)


def clean_table(audit: Audit, labels: Sequence[str], *, level: str = "any") -> str:
    """By task and model: Spearman x 100 on all pairs, on the clean ones, and the change.

    Args:
        audit: With at least one model.
        labels: What to call the models.
        level: Pairs touched at this level are left out.
    """
    header = ["task", "model", "all pairs", "clean pairs", "change", "95 % interval", "pairs left"]
    rows = []
    scored = [_rows(model) for model in audit["models"]]
    for name in scored[0]:
        for label, held in zip(labels, scored, strict=True):
            row = held[name]
            rest = row["without"][level]
            cells = [LABELS.get(name, name), label, f"{100 * row['spearman']:.2f}"]
            rows.append([*cells, *_rest(rest), f"{rest['pairs']:,} of {row['pairs']:,}"])
    return markdown_table(header, rows)


def change_plot(audit: Audit, labels: Sequence[str], *, level: str = "any") -> Figure:
    """Change of each task's Spearman x 100 without the touched pairs, with its interval.

    Args:
        audit: As `clean_table` takes it.
        labels: As there.
        level: As there.
    """
    scored = [_rows(model) for model in audit["models"]]
    names = list(scored[0])
    figure = Figure(figsize=(8, 1.4 + 0.4 * len(names)))
    axes = figure.add_subplot()
    for number, (label, held) in enumerate(zip(labels, scored, strict=True)):
        for place, name in enumerate(names):
            rest = held[name]["without"][level]
            if rest["change"] is None:
                continue
            low, high = (100 * rest["interval"][key] for key in ("low", "high"))
            height = place + 0.24 * (number - (len(scored) - 1) / 2)
            axes.plot([low, high], [height, height], color=f"C{number}", linewidth=2)
            axes.plot(
                100 * rest["change"],
                height,
                "oDs^"[number % 4],
                color=f"C{number}",
                label=label if place == 0 else None,
            )
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks(range(len(names)), [LABELS.get(name, name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("change without touched pairs, Spearman x 100")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(scored))
    return figure


def _counts(label: str, row: Mapping[str, Any]) -> list[str]:
    touched = row["levels"]["any"]
    return [
        label,
        f"{row['sentences']:,}",
        *(f"{row['levels'][level]['sentences']:,}" for level in _LEVELS),
        f"{row['pairs']:,}",
        *(f"{touched[key]:,}" for key in ("one_side", "both_sides", "together")),
    ]


def _rows(model: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Scores by task and, where there are several, of their average."""
    scores = model["scores"]
    average = {"average": scores["average"]} if scores["average"] else {}
    return {**scores["tasks"], **average}


def _rest(rest: Mapping[str, Any]) -> list[str]:
    if rest["spearman"] is None:
        return ["too few pairs", "", ""]
    low, high = (f"{100 * rest['interval'][key]:+.2f}" for key in ("low", "high"))
    return [f"{100 * rest['spearman']:.2f}", f"{100 * rest['change']:+.2f}", f"{low} to {high}"]
