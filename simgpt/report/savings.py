"""What a pair costs with a language model and with an encoder: tables, figures, findings."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from simgpt.files import read_json
from simgpt.report.figures import Drawing, save

Speed = Mapping[str, Any]  # as `simgpt evaluate speed --output` writes it
Table = tuple[list[str], list[list[str]]]  # header and rows

_PAIRS = np.logspace(2, 8, 200)


def load_speed(results: Path) -> dict[str, dict[str, Any]]:
    """The measurements of encoders in `speed/`, by file name; empty where there are none.

    The language model's own measurement, which they hold a copy of, is left out.
    """
    found = {path.stem: read_json(path) for path in sorted((results / "speed").glob("*.json"))}
    return {name: content for name, content in found.items() if "break_even" in content}


def speed_rows(speed: Speed) -> Table:
    """How fast pairs are scored, what a million of them costs here, and whether scores hold.

    The change is the largest of a task's Spearman x 100 against the first row's.
    """
    header = ["", "sentences a second", "pairs a second", "cosines a second", "USD a million pairs"]
    header += ["peak MiB", "largest change"]
    usd = speed["encoder_usd_per_million_pairs"]
    rows = [
        [
            label,
            _number(measured["sentences_per_s"]),
            _number(measured["pairs_per_s"]),
            _number(measured["cosines_per_s"]),
            _number(usd[label]),
            f"{measured['peak_mib']:,.0f}",
            f"{measured['largest_change']:.2f}" + ("" if measured["holds"] else ", too much"),
        ]
        for label, measured in speed["encoders"].items()
    ]
    if llm := _measured(speed):
        per_s = _number(llm["scoring"]["pairs_per_s"])
        local_usd = _number(speed["local_usd_per_million_pairs"])
        asked = f"{llm['model']}, asked about each pair"
        rows.append([asked, "", per_s, "", local_usd, "", ""])
    return header, rows


def price_rows(speed: Speed) -> Table:
    """Tokens and dollars of asking about a pair, by model, cheapest first."""
    header = ["model", "tokens in", "tokens out", "USD a million pairs", "between"]
    rows = []
    for model, row in _by_price(speed):
        tokens, usd = row["pair_tokens"], row["usd_per_million_pairs"]
        counts = [_number(tokens[way]["middle"]) for way in ("input", "output")]
        rows.append([model, *counts, _number(usd["middle"]), _bounds(usd)])
    return header, rows


def break_even_rows(speed: Speed, name: str = "bundled") -> Table:
    """From how many pairs, or sentences compared with each other, on annotating once is cheaper.

    Args:
        speed: A measurement.
        name: `bundled` or `paper`: how many sentences are annotated.
    """
    header = ["model", "one-off, USD", "break-even, pairs", "between", "break-even, sentences"]
    even, once = speed["break_even"][name], speed["one_off"][name]["usd"]
    models = [model for model, _ in _by_price(speed)]
    rows = []
    for model in [*models, *(other for other in even if other not in models)]:
        pairs, sentences = even[model]["pairs"], even[model]["sentences"]
        label = f"{_measured(speed)['model']}, {model}" if model not in models else model
        usd, first, root = once[model]["middle"], pairs["middle"], sentences["middle"]
        rows.append([label, _number(usd), _number(first), _bounds(pairs), _number(root)])
    return header, rows


def llm_finding(speed: Speed) -> str:
    """What was measured of the local model, in words; or why nothing was."""
    llm = speed["llm_measured"]
    if "skipped" in llm:
        return str(llm["skipped"])
    scoring, annotating = llm["scoring"], llm["annotating"]
    spearman = scoring["spearman"]
    agreement = "none, as all scores are the same" if spearman is None else f"{spearman:.2f}"
    busy = ""
    if llm.get("load"):
        cores = llm["environment"]["machine"]["cores"]
        busy = (
            f" In the minute before, {llm['load']:.1f} other processes on average wanted one of "
            f"the machine's {cores} cores."
        )
    return (
        f"{llm['model']} scored {scoring['pairs']:,} pairs at {scoring['pairs_per_s']:.2f} "
        f"a second and annotated {annotating['sentences']:,} captions at "
        f"{annotating['sentences_per_s']:.2f} a second. {100 * scoring['parsed']:.0f} % of its "
        f"answers held a score; Spearman's correlation of these with the gold scores: {agreement}."
        + busy
    )


def time_finding(speed: Speed) -> str:
    """The break-even with the local model, in time; empty where it was not measured."""
    llm = _measured(speed)
    if not llm:
        return ""
    once, even = speed["one_off"]["bundled"], speed["break_even"]
    pairs = even["bundled"]["local"]["pairs"]["middle"]
    encoder_s = 1 / speed["encoders"][even["encoder"]]["pairs_per_s"]
    return (
        f"In time: annotating {once['sentences']:,} sentences with {llm['model']} and training "
        f"take {_number(once['local_s'] / 3600)} hours on this machine. A pair takes "
        f"{_number(1 / llm['scoring']['pairs_per_s'])} seconds with the language model and "
        f"{_number(encoder_s)} with the encoder. Break-even, in pairs: {_number(pairs)}."
    )


def measured_on(speed: Speed) -> str:
    """Machine, versions and commit of a measurement, as one line of Markdown."""
    environment = speed["environment"]
    machine, git = environment["machine"], environment["git"]
    commit = git["commit"][:8] + (" with changes" if git["dirty"] else "") if git else "unknown"
    processor = ", ".join(machine["gpus"]) or f"{machine['cpu']}, {machine['cores']} cores"
    return f"{processor}; torch {environment['packages']['torch']}; commit `{commit}`."


def cost_lines(speed: Speed) -> Figure:
    """Dollars against pairs: the cheapest, a middling and the dearest model, both ways."""
    encoder = _encoder_usd(speed)
    ink = mpl.rcParams["text.color"]
    figure = Figure(figsize=(7, 5.2))
    axes = figure.add_subplot()
    labels: list[tuple[float, str, str]] = []
    for number, (model, pair, once) in enumerate(_drawn(speed)):
        colour = f"C{number}"
        asking, annotating = pair * _PAIRS, once + encoder * _PAIRS
        axes.plot(_PAIRS, asking, color=colour, linewidth=2)
        axes.plot(_PAIRS, annotating, "--", color=colour, linewidth=2)
        labels += [(asking[-1], f"{model}: every pair", colour)]
        labels += [(annotating[-1], f"{model}: once", colour)]
        even = speed["break_even"]["bundled"][model]["pairs"]["middle"]
        if even is not None:
            axes.plot(even, pair * even, "o", color=ink, markersize=9, zorder=3)
    for height, (_, text, colour) in zip(_apart(labels), sorted(labels), strict=True):
        axes.annotate(
            text,
            (_PAIRS[-1], height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )
    axes.set(xscale="log", yscale="log", xlim=(_PAIRS[0], _PAIRS[-1]))
    axes.set(xlabel="pairs scored", ylabel="cost, US dollars")
    axes.set_title("\N{BLACK CIRCLE} from here on, annotating once is cheaper", fontsize=11)
    axes.grid(color=ink, alpha=0.15)
    return figure


def cost_finding(speed: Speed) -> str:
    """What `cost_lines` shows, from its data."""
    sentences = speed["one_off"]["bundled"]["sentences"]
    even = [speed["break_even"]["bundled"][model]["pairs"]["middle"] for model, *_ in _drawn(speed)]
    crossed = [pairs for pairs in even if pairs is not None]
    names = ", ".join(model for model, *_ in _drawn(speed))
    end = (
        f"the two lines of each model cross between {_number(min(crossed))} and "
        f"{_number(max(crossed))} pairs"
        if len(crossed) == len(even)
        else "for at least one of the models the lines never cross"
    )
    return (
        f"Cost in dollars against the number of pairs for {names}: asking about every pair rises "
        f"in proportion; annotating {sentences:,} sentences once, training an encoder and scoring "
        f"with it is nearly flat; {end}."
    )


def speed_bars(speed: Speed) -> Figure:
    """Pairs a second, on a logarithmic axis: language model, encoders, vectors at hand."""
    rows = _rates(speed)
    figure = Figure(figsize=(7, 1 + 0.5 * len(rows)))
    axes = figure.add_subplot()
    labels, rates, colours = zip(*rows, strict=True)
    bars = axes.barh(labels, rates, color=colours, height=0.6)
    axes.bar_label(bars, [_number(rate) for rate in rates], padding=4)
    axes.set(xscale="log", xlabel="pairs a second (logarithmic)")
    axes.set_xlim(10 ** math.floor(math.log10(min(rates)) - 0.3), max(rates) * 30)
    axes.invert_yaxis()
    return figure


def speed_finding(speed: Speed) -> str:
    """What `speed_bars` shows, from its data."""
    *scorers, (_, cosines, _) = _rates(speed)
    told = ", ".join(f"{label} {_number(rate)}" for label, rate, _ in scorers)
    ratio = ""
    if llm := _measured(speed):
        slowest = min(measured["pairs_per_s"] for measured in speed["encoders"].values())
        times = _number(slowest / llm["scoring"]["pairs_per_s"])
        ratio = f" The slowest encoder scores {times} times as many as the language model."
    return (
        f"Pairs scored a second: {told}; with the sentences' vectors at hand {_number(cosines)}."
        + ratio
    )


def draw_savings(folder: Path, speed: Speed) -> list[Drawing]:
    """Both figures for a page."""
    save(folder, "costs", lambda _: cost_lines(speed))
    save(folder, "speeds", lambda _: speed_bars(speed))
    machine, origin = speed["machine"], ("book/results/speed", "simgpt/report/savings.py")
    return [
        Drawing(
            "costs",
            cost_finding(speed),
            "Asking about every pair (solid) against annotating once (dashed, training and the "
            f"encoder's machine included; {machine['name']}, {machine['source']}).",
            origin,
        ),
        Drawing("speeds", speed_finding(speed), "Pairs a second on the same machine.", origin),
    ]


def _measured(speed: Speed) -> dict[str, Any]:
    """What was measured of the local model; empty where it was skipped."""
    llm: dict[str, Any] = speed["llm_measured"]
    return {} if "skipped" in llm else llm


def _by_price(speed: Speed) -> list[tuple[str, dict[str, Any]]]:
    priced = speed["llm_priced"].items()
    return sorted(priced, key=lambda item: float(item[1]["usd_per_million_pairs"]["middle"]))


def _drawn(speed: Speed) -> list[tuple[str, float, float]]:
    """Cheapest, middling and dearest model: name, dollars a pair, one-off dollars."""
    priced = _by_price(speed)
    once = speed["one_off"]["bundled"]["usd"]
    return [
        (model, row["usd_per_million_pairs"]["middle"] / 1e6, once[model]["middle"])
        for model, row in (priced[0], priced[len(priced) // 2], priced[-1])
    ]


def _encoder_usd(speed: Speed) -> float:
    label = speed["break_even"]["encoder"]
    return float(speed["encoder_usd_per_million_pairs"][label]) / 1e6


def _rates(speed: Speed) -> list[tuple[str, float, str]]:
    """Label, pairs a second and colour of each bar; the cosines are the last one."""
    encoders = speed["encoders"]
    rows = [(label, float(found["pairs_per_s"]), "C0") for label, found in encoders.items()]
    if llm := _measured(speed):
        rows.insert(0, (f"{llm['model']} (LLM)", float(llm["scoring"]["pairs_per_s"]), "C1"))
    cosines = max(float(found["cosines_per_s"]) for found in encoders.values())
    return [*rows, ("vectors at hand", cosines, "C2")]


def _apart(labels: Sequence[tuple[float, str, str]]) -> list[float]:
    """Heights for labels on a logarithmic axis, lowest first, at least a line of text apart."""
    heights: list[float] = []
    for value, *_ in sorted(labels):
        heights.append(max(value, heights[-1] * 3) if heights else value)
    return heights


def _bounds(interval: Mapping[str, float | None]) -> str:
    low, high = interval["low"], interval["high"]
    if low == high:  # measured, not estimated
        return ""
    return f"{_number(low)} to {_number(high)}"


def _number(value: float | None) -> str:
    """Three significant digits, without exponents; None is `never`."""
    if value is None:
        return "never"
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"
