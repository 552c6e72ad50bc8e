"""Which results each page of the book shows, and what it says where they are stale."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from simgpt.freshness import Freshness, check_freshness

_TRAINING = tuple(f"benchmarks/train_{name}.json" for name in ("estimate", "memory", "throughput"))
_STUDIES = ("headline", "size", "sources", "objective", "teachers", "prompts", "artefacts")
# Folders of book/results, or files.
SHOWN: dict[str, tuple[str, ...]] = {
    "book/index": ("headline",),
    "book/study": (*_STUDIES, "contamination/headline.json"),
    "book/benchmarks": ("textforms",),
    "book/training": ("headline", "promcse", *_TRAINING),
    "book/scoring": ("benchmarks/evaluate_throughput.json", "speed"),
    "book/selection": ("selection",),
    "book/teacher": (
        "annotation",
        "teacher",
        "benchmarks/annotate_scale.json",
        "benchmarks/ledger_rows.json",
    ),
    "book/reproduce": ("headline", "rerun"),
    "notebooks/05_contamination": ("contamination", "benchmarks/contamination_scale.json"),
    "notebooks/06_cost_and_speed": ("speed",),
    "notebooks/07_ablations": _STUDIES,
}
# Changes of a result that a page names one by one.
_FEW = 4


def page_warnings(results: Path) -> dict[str, str]:
    """A warning in MyST for each page that shows a stale result, by the page's name.

    Raises:
        SimgptError: as `check_freshness`.
    """
    found = check_freshness(results)
    warnings = {page: page_warning(shown_on(page, results, found)) for page in SHOWN}
    return {page: warning for page, warning in warnings.items() if warning}


def shown_on(page: str, results: Path, found: Sequence[Freshness]) -> list[Freshness]:
    """Those of `found` that a page shows."""
    places = [results / name for name in SHOWN[page]]
    return [one for one in found if any(place in (one.path, *one.path.parents) for place in places)]


def page_warning(found: Sequence[Freshness]) -> str:
    """What a page says of the results that it shows: how many are stale and, folded, why.

    Empty where none is.
    """
    stale = [one for one in found if one.is_stale]
    if not stale:
        return ""
    lines = "\n".join(_lines(stale))
    return (
        f"::::{{warning}}\nOf the {len(found)} results on this page, {len(stale)} were measured "
        "before something changed that they depend on. Their numbers are those of their time.\n\n"
        f":::{{dropdown}} Which, and what changed\n{lines}\n:::\n::::"
    )


def under_title(page: str, block: str) -> str:
    """A page in Markdown with a block below its first heading."""
    return re.sub(r"^(# .*)$", lambda title: f"{title[1]}\n\n{block}", page, count=1, flags=re.M)


def told(one: Freshness) -> list[str]:
    """What changed, a line for each aspect; many changes of one are counted."""
    return [
        f"{aspect}: {', '.join(changes[:_FEW])}"
        + (f" and {len(changes) - _FEW} more" if len(changes) > _FEW else "")
        for aspect, changes in one.changes.items()
    ]


def _lines(stale: Sequence[Freshness]) -> Iterator[str]:
    """Results that changed alike share an entry."""
    alike: dict[tuple[str, ...], list[Freshness]] = {}
    for one in stale:
        alike.setdefault(tuple(told(one)), []).append(one)
    for changes, those in alike.items():
        names = ", ".join(f"`{one.path.parent.name}/{one.path.name}`" for one in those)
        commits = ", ".join(dict.fromkeys(commit for one in those for commit in one.commits))
        yield f"- {names}{f', measured at {commits}' if commits else ''}"
        yield from (f"  - {change}" for change in changes)
