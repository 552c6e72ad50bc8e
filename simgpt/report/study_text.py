"""What a study found, in sentences and tables made of its results."""

from collections.abc import Iterable, Mapping, Sequence

from simgpt.report.figures import LABELS
from simgpt.report.learning_curve import fit_power_law, hold_out
from simgpt.report.markdown import markdown_table
from simgpt.report.results import TASKS, Published
from simgpt.report.spread import Spread
from simgpt.report.study import Difference, StudyResults, StudyRow, difference_of
from simgpt.report.study_plots import (
    FAR,
    FOUR_WAVES,
    HUMAN,
    LLM,
    SIGNIFICANT,
    THREE_WAVES,
    curve_points,
    paper_gains,
    triplets_of,
)

NOT_YET = "not measured yet"


def rows_table(study: StudyResults) -> str:
    """Each row's means over its seeds: the tasks, and the average with its interval."""
    tasks = list(study.measured[0].task_means) if study.measured else list(TASKS)
    average = "avg." if study.of_benchmarks else "mean"
    header = ["row", *(LABELS.get(name, name) for name in tasks), average, "95 % interval", "seeds"]
    rows = []
    for row in study.rows:
        if row.runs:
            cells = [f"{mean:.2f}" for mean in row.task_means.values()]
            cells += [f"{row.mean:.2f}", told_interval(row.spread, "")]
        else:
            cells = [NOT_YET, *[""] * (len(tasks) + 1)]
        rows.append([row.label, *cells, told_seeds(row, study)])
    return markdown_table(header, rows)


def signature_line(study: StudyResults) -> str:
    """How the scores were made; empty where there are none."""
    return f"Signature of the first column: `{study.signature}`.\n" if study.signature else ""


def difference_finding(study: StudyResults) -> str:
    """Which rows differ from the reference by more than chance, which may not, what is missing."""
    found = study.differences()
    tested = {name: one for name, one in found.items() if one.p_holm is not None}
    once = {name: one for name, one in found.items() if one.p_holm is None}
    reference = f"*{study.reference.label}*"
    sentences = []
    if tested:
        differing = {n: one for n, one in tested.items() if (one.p_holm or 0) < SIGNIFICANT}
        sentences.append(
            f"Of {len(tested)} tested {'row' if len(tested) == 1 else 'rows'}, "
            f"{len(differing) or 'none'} {'differ' if len(differing) > 1 else 'differs'} from "
            f"{reference} ({_level(study.reference)}) by more than chance (p < {SIGNIFICANT} after "
            f"Holm's correction){_list(study, differing)}."
        )
        rest = {name: one for name, one in tested.items() if name not in differing}
        if rest:
            sentences.append(f"It may be chance{_list(study, rest)}.")
    if once:
        sentences.append(
            f"Of a single model, so without interval or test, against {reference}"
            f"{_list(study, once)}."
        )
    return " ".join([*sentences, *_missing(study)])


def curve_finding(study: StudyResults) -> str:
    """How far the scores go with the number of triplets, and how well the curve foresaw it."""
    rows = sorted((row for row in study.measured if row.is_trained), key=triplets_of)
    if len(rows) < 2:
        return " ".join(_missing(study)) or "One size alone makes no curve."
    few, many = rows[0], rows[-1]
    sentences = [
        f"{triplets_of(few):,} triplets come to {few.mean:.2f}, {triplets_of(many):,} to "
        f"{_level(many)}."
    ]
    counts, scores = curve_points(study)
    if held := hold_out(counts, scores):
        sentences.append(
            f"A power law through all sizes but the largest predicts {held.predicted:.2f} for it; "
            f"measured were {held.measured:.2f}, so it is off by {held.error:+.2f}."
        )
    if law := fit_power_law(counts, scores):
        sentences.append(
            f"Through all sizes it comes to {float(law(FAR)):.2f} at {FAR:,} triplets, which is "
            "extrapolation."
        )
    else:
        sentences.append("Too few sizes for a curve.")
    return " ".join([*sentences, *_missing(study)])


def beyond_finding(size: StudyResults, headline: StudyResults) -> str:
    """Whether the learning curve holds for triplets that it has not seen: a wave written later.

    Args:
        size: The study of data sizes, of which the curve is made.
        headline: Has a row with all triplets of that study, and one with the later wave as well.
    """
    fewer, more = headline.row(THREE_WAVES), headline.row(FOUR_WAVES)
    law = fit_power_law(*curve_points(size))
    change = difference_of(more, fewer)
    if not (law and change):
        return f"*{more.label}*: {NOT_YET}."
    count = triplets_of(more)
    return (
        f"It comes to {float(law(count)):.2f} at {count:,} triplets; measured with *{more.label}* "
        f"were {_level(more)}. Against *{fewer.label}* that is {told_difference(change)}."
    )


def headline_finding(study: StudyResults, paper: Sequence[Published]) -> str:
    """What LLM triplets gain over as many human-written ones, beside what the paper reports."""
    gain = difference_of(study.row(LLM), study.row(HUMAN))
    published = ", ".join(f"{gain:+.2f} over {name}" for name, gain in paper_gains(paper).items())
    sentences = []
    if gain:
        llm, human = study.row(LLM), study.row(HUMAN)
        sentences.append(
            f"*{llm.label}*: {_level(llm)}. *{human.label}*: {_level(human)}. The difference is "
            f"{told_difference(gain)}. The paper reports {published}."
        )
    rest = [row for row in study.measured if not gain or row.name not in (LLM, HUMAN)]
    sentences += [f"*{row.label}*: {_level(row)}." for row in rest]
    return " ".join([*sentences, *_missing(study)])


def told_difference(one: Difference) -> str:
    """As `+0.31 (95 % interval +0.12 to +0.50, p = 0.012)`; the p is the corrected one, if any."""
    if one.spread is None:
        return f"{one.mean:+.2f} (one model: no interval, no test)"
    p = told_p(one.p if one.p_holm is None else one.p_holm)
    told = p if p.startswith("<") else f"= {p}"  # as a table has it: < 0.001, 0.012
    return f"{one.mean:+.2f} (95 % interval {told_interval(one.spread, '+')}, p {told})"


def _list(study: StudyResults, differences: Mapping[str, Difference]) -> str:
    """After a colon, each row with its difference; nothing for no rows."""
    told = "; ".join(
        f"*{study.row(name).label}* " + (told_difference(one) if one.spread else f"{one.mean:+.2f}")
        for name, one in differences.items()
    )
    return f": {told}" if told else ""


def _missing(study: StudyResults) -> Iterable[str]:
    """A sentence on the rows that are not measured, or only in part."""
    if not study.measured:
        yield f"Not measured yet; `simgpt study run {study.name}` does."
        return
    if absent := [row.label for row in study.rows if not row.runs]:
        yield f"Not measured yet: {'; '.join(absent)}."
    counts = {row.label: len(row.runs) for row in study.measured if row.is_trained}
    wanted = len(study.seeds)
    if len(set(counts.values())) == 1 and min(counts.values()) < wanted:
        yield f"So far with {min(counts.values())} of {wanted} seeds."
    elif few := [f"{label} ({count})" for label, count in counts.items() if count < wanted]:
        yield f"So far with fewer than {wanted} seeds: {'; '.join(few)}."


def _level(row: StudyRow) -> str:
    interval = f", 95 % interval {told_interval(row.spread, '')}" if row.spread else ""
    return f"{row.mean:.2f}{interval}"


def told_interval(spread: Spread | None, sign: str) -> str:
    """As `80.12 to 82.91`, with `+` as a sign also before positive numbers; "" for none."""
    return "" if spread is None else f"{spread.low:{sign}.2f} to {spread.high:{sign}.2f}"


def told_seeds(row: StudyRow, study: StudyResults) -> str:
    """How many of the seeds that the grid wants are there."""
    return f"{len(row.runs)} of {len(study.seeds)}" if row.is_trained else "-"


def told_p(p: float | None) -> str:
    """With three decimals, or as less than the last of them; nothing for no test."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
