"""What an annotation run came to: a summary for programs, and a data card for people."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simgpt.annotate.audit import Verdict
from simgpt.annotate.export import KEPT, UNANSWERED, Yield, hashes
from simgpt.annotate.ledger import Ledger
from simgpt.environment import git_state
from simgpt.errors import SimgptError
from simgpt.files import read_json
from simgpt.markdown import Row, markdown_table
from simgpt.triplets import summary_path
from simgpt.version import __version__

_CARD = """\
# Data card: {name}

<!-- Written by `simgpt annotate` beside the triplets. -->

{kept:,} triplets (a sentence, one that means the same, one that does not) from {sentences:,}
sentences, annotated by {models} with simgpt {version}. The sentences and the answers may be
subject to the terms of where they come from; this card does not know them.

## Files

{files}

## Who wrote them

{setups}

## What became of the sentences

`kept` sentences are in the triplets' file. The others are in the file of rejections with their
answers and the reason: an answer that could not be read, or a verdict of the audit.

{outcomes}

## All verdicts of the audit

A triplet may have several. `opening` is only noted.

{verdicts}

## Cost

{cost}
"""


def summarise(output: Path, result: Yield, ledger: Ledger, mark: str) -> dict[str, Any]:
    """The summary of a run, ready for JSON.

    Tokens, dollars and models are those of everything that was asked in the same way, which may
    be more than this run's sentences.
    """
    setups = sorted(result.setups.values(), key=lambda setup: setup.prompt.name)
    return {
        "simgpt": __version__,
        "git": git_state(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "mark": mark,
        "files": hashes(output),
        "sentences": result.count(),
        "triplets": result.count(KEPT),
        "outcomes": {source: dict(counts) for source, counts in sorted(result.outcomes.items())},
        "verdicts": {source: dict(counts) for source, counts in sorted(result.verdicts.items())},
        "setups": [
            {
                "endpoint": setup.endpoint,
                "model": setup.model,
                "api": setup.api,
                "prompt": setup.prompt.name,
                "prompt_hash": setup.prompt.hash,
                "sampling": setup.sampling.given(),
            }
            for setup in setups
        ],
        **ledger.totals(setups),
    }


def read_summary(output: Path) -> dict[str, Any]:
    """The summary beside a triplets' file.

    Raises:
        SimgptError: there is none, or it is of other files.
    """
    path = summary_path(output)
    if not path.is_file():
        raise SimgptError(f"{path}: no such file; `simgpt annotate` writes it beside the triplets")
    summary: dict[str, Any] = read_json(path)
    try:
        same = hashes(output) == summary.get("files")
    except FileNotFoundError:
        same = False
    if not same:
        raise SimgptError(f"{path}: the triplets beside it have changed since; annotate again")
    return summary


def outcome_rows(summary: dict[str, Any]) -> list[Row]:
    """What became of the sentences, by kind: one row an outcome, `kept` first."""
    return _rows(summary["outcomes"], "outcome", first=(KEPT,), last=(UNANSWERED,), share=True)


def verdict_rows(summary: dict[str, Any]) -> list[Row]:
    """How often the audit gave each verdict, by kind."""
    return _rows(summary["verdicts"], "verdict", first=tuple(Verdict), last=(), share=False)


def card(summary: dict[str, Any], output: Path) -> str:
    """The Markdown card."""
    verdicts = verdict_rows(summary)
    return _CARD.format(
        name=output.name,
        kept=summary["triplets"],
        sentences=summary["sentences"],
        version=summary["simgpt"],
        models=", ".join(f"`{name}`" for name in summary["models"]) or "nobody yet",
        files=markdown_table(
            [{"file": f"`{n}`", "SHA-256": f"`{h}`"} for n, h in summary["files"].items()]
        ),
        setups=markdown_table(
            [
                {
                    "model": f"`{setup['model']}`",
                    "prompt": f"`{setup['prompt']}`",
                    "prompt hash": f"`{setup['prompt_hash'][:8]}`",
                    "interface": setup["api"],
                    "sampling": ", ".join(f"{k} {v}" for k, v in setup["sampling"].items()),
                }
                for setup in summary["setups"]
            ]
        ),
        outcomes=markdown_table(outcome_rows(summary)),
        verdicts=markdown_table(verdicts) if verdicts else "None.",
        cost=markdown_table(
            [
                {
                    "calls": summary["attempts"],
                    "input tokens": summary["input_tokens"],
                    "output tokens": summary["output_tokens"],
                    "US dollars": f"{summary['usd']:.4f}",
                    "first call": summary["first_call"],
                    "last call": summary["last_call"],
                }
            ]
        ),
    )


def _rows(
    counts: dict[str, dict[str, int]],
    label: str,
    *,
    first: tuple[str, ...],
    last: tuple[str, ...],
    share: bool,
) -> list[Row]:
    total: Counter[str] = sum((Counter(c) for c in counts.values()), Counter())
    fixed = {*first, *last}
    middle = [name for name, _ in total.most_common() if name not in fixed]
    rows = []
    for name in (*first, *middle, *last):
        if name in total:
            row: Row = {label: str(name)}
            row |= {source: by_name.get(name, 0) for source, by_name in counts.items()}
            row["all"] = total[name]
            if share:
                row["share (%)"] = 100 * total[name] / total.total()
            rows.append(row)
    return rows
