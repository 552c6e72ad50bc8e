"""What stands behind a row of ours: how to repeat it, and what should come out."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simgpt.report.rerun import (
    NEAR,
    SAME,
    Verdict,
    command_of,
    difference,
    is_rerun,
    settings_beside_profile,
    verdict_of,
)
from simgpt.report.results import TASKS, Measured, score_of

_HEADER = ("run", "expected", "trained, s", "scored, s", "commit", "trained again")
_YOURS = Path("results")  # where the commands put the reader's own


def environment_line(run: Measured) -> str:
    """Where a result was measured, in one line."""
    environment = run.content["environment"]
    machine, packages = environment["machine"], environment["packages"]
    processor = ", ".join(machine["gpus"]) or f"{machine['cpu']}, {machine['cores']} cores"
    return (
        f"{processor}; Python {environment['python']}, torch {packages['torch']}, "
        f"sentence-transformers {packages['sentence-transformers']}"
    )


def row_details(
    label: str, runs: Sequence[Measured], *, again: Sequence[Measured] = (), command: str = ""
) -> str:
    """HTML of a row's details, closed until the reader opens them.

    Args:
        label: The row's, so that those who only hear the page know which row opens.
        runs: All that the row is the mean of.
        again: Reruns, each compared with its run as `simgpt report verify --rerun` does.
        command: What measures all of them again; if nothing is said, each run has its own.
    """
    commands = [command] if command else [command_of(run, _YOURS) for run in runs]
    stored = sorted({f"book/results/{run.path.parent.name}" for run in runs})
    facts = {
        "settings": "; ".join(dict.fromkeys(_settings(run) for run in runs)),
        "measured on": "; ".join(dict.fromkeys(environment_line(run) for run in runs)),
        "signature": _signature(runs[0]),
        "full record": ", ".join(stored),
    }
    told = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())
    verify = f"simgpt report verify {' '.join(stored)} --rerun {_YOURS}"
    return (
        f'<details><summary>How to repeat it<span class="visually-hidden">: {html.escape(label)}'
        f"</span></summary>{_command(*commands)}<dl>{told}</dl>{_runs_table(runs, again)}"
        f"<p>Your scores are {Verdict.OK} if none is off by more than {SAME:.2f}, "
        f"{Verdict.NEAR} up to {NEAR:.2f}, else {Verdict.FAIL}. This compares them:</p>"
        f"{_command(verify)}</details>"
    )


def _command(*lines: str) -> str:
    # The classes make the book's copy button find it.
    return f'<div class="highlight"><pre>{html.escape(chr(10).join(lines))}</pre></div>'


def _settings(run: Measured) -> str:
    """The profile, and what was set beside it; the seed is the run's."""
    if run.config is None:
        parts = run.content["model"].get("averaged")
        return f"mean of the weights of {len(parts)} runs" if parts else "not trained"
    beside = settings_beside_profile(run)
    told = [f"{name}={value}" for name, value in beside.items() if name != "seed"]
    return f"profile {run.config['profile']}" + (f", {', '.join(told)}" if told else "")


def _signature(run: Measured) -> str:
    """Of the first task; the others differ in task, pairs and data."""
    scores = run.content["tasks"] or run.content["development"]
    return str(scores[min(scores, key=([*TASKS, *scores]).index)]["signature"])


def _runs_table(runs: Sequence[Measured], again: Sequence[Measured]) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in _HEADER)
    lines = "".join(_run_line(run, again) for run in runs)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"


def _run_line(run: Measured, again: Sequence[Measured]) -> str:
    cells = [
        f"{score_of(run):.2f}",
        _seconds(run.content["model"].get("training", {})),
        _seconds(run.content),
        run.content["environment"]["git"].get("commit", "")[:8],
        _again(run, again),
    ]
    other = "average" if "averaged" in run.content["model"] else "untouched"
    name = f"seed {run.config['seed']}" if run.config else other
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _seconds(measured: Mapping[str, Any]) -> str:
    return f"{measured['seconds']:.0f}" if "seconds" in measured else ""


def _again(run: Measured, again: Sequence[Measured]) -> str:
    """What came of training it again, for each time that was done."""
    told = []
    for other in again:
        if other.path != run.path and is_rerun(run, other):
            apart, task = difference(run, other)
            told.append(f"{score_of(other):.2f}, {verdict_of(apart)} ({task} off by {apart:.2f})")
    return "; ".join(told) or "no"
