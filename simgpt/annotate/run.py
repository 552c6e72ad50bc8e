"""Annotate source sentences: survey, ask, write the triplets."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simgpt.annotate.asking import Asker, run
from simgpt.annotate.batch import ask_in_batches
from simgpt.annotate.cost import FREE, Budget, Price
from simgpt.annotate.estimate import Estimate, estimate
from simgpt.annotate.export import export, hashes, usable
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.prompting import load_prompt, prompt_names
from simgpt.annotate.requests import Answer, Setup
from simgpt.annotate.summary import card, summarise
from simgpt.annotate.task import CHUNK, Asked, Open, Task, chunks
from simgpt.annotate.teachers import Teacher
from simgpt.errors import SimgptError
from simgpt.files import read_json, sha256_of, write_json, write_text
from simgpt.progress import progress
from simgpt.signals import Stop, stopping_on_signals
from simgpt.triplets import check_writable, summary_path

logger = logging.getLogger(__name__)


class Interrupted(SimgptError):
    """The run stopped before everything was answered. What was answered is kept."""


@dataclass(frozen=True)
class Survey:
    """What there is to do.

    Attributes:
        wanted: Answers wanted in all.
        open: Those that are not there yet.
        by_setup: For each way of asking, its open requests and the bytes of what they are about.
    """

    wanted: int
    open: int
    by_setup: list[tuple[Setup, int, int]]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a teacher is asked, as opposed to what.

    Attributes:
        price: What its tokens cost.
        budget_usd: The ledger's total may never exceed this; None for no limit.
        concurrency: Calls at once, at most.
        limit: Ask at most so many new requests; None for all.
        batch: Use the Batch API.
        shard_requests: Requests in one batch, at most.
        poll_s: Seconds between two looks at a batch.
    """

    price: Price = FREE
    budget_usd: float | None = None
    concurrency: int = 16
    limit: int | None = None
    batch: bool = False
    shard_requests: int = 50_000
    poll_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        for name, legal, holds in (
            ("budget_usd", "0 or more", self.budget_usd is None or self.budget_usd >= 0),
            ("concurrency", "1 or more", self.concurrency >= 1),
            ("limit", "0 or more", self.limit is None or self.limit >= 0),
            ("shard_requests", "from 1 to 50,000", 1 <= self.shard_requests <= 50_000),
            ("poll_s", "above 0", self.poll_s > 0),
        ):
            if not holds:
                raise SimgptError(f"{name} is {getattr(self, name)!r}; it must be {legal}")


def survey(task: Iterable[Asked], ledger: Ledger) -> Survey:
    """Count what is wanted and what is still open; what comes twice counts once."""
    seen: set[int] = set()
    setups: dict[str, Setup] = {}
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    with progress("reading", None) as advance:
        for chunk in chunks(task, CHUNK):
            there = ledger.answered([asked.key for asked in chunk])
            advance(len(chunk))
            for asked in chunk:
                short = int.from_bytes(asked.key[:8])
                if asked.key not in there and short not in seen:
                    name = asked.setup.hash
                    setups[name] = asked.setup
                    counts[name] += 1
                    sizes[name] += sum(len(text.encode()) for text in asked.inputs)
                seen.add(short)
    by_setup = [(setup, counts[name], sizes[name]) for name, setup in setups.items()]
    return Survey(len(seen), counts.total(), by_setup)


def dry_run(task: Iterable[Asked], ledger: Path, price: Price) -> tuple[Survey, Estimate]:
    """What asking the rest would cost; nothing is asked."""
    with Ledger(ledger) as opened:
        found = survey(task, opened)
        return found, estimate(found.by_setup, price, opened)


def annotate(
    task: Task,
    teacher: Teacher,
    *,
    output: Path,
    ledger: Path,
    asking: Asking | None = None,
    keep_flagged: bool = False,
    origin: str = "",
) -> dict[str, Any]:
    """Ask for every sentence that has no answer yet, then write triplets, rejections and card.

    The same call again asks nothing that was answered, and does nothing at all where the files
    stand as it left them.

    Args:
        task: The sentences and how they are asked about.
        teacher: Who is asked.
        output: The triplets' file, `.jsonl` or `.csv`.
        ledger: Where answers are kept.
        asking: Price, budget, concurrency and the like.
        keep_flagged: As `export`.
        origin: Hash of what the sentences come from; with it, a finished run is recognised
            without reading them.

    Returns:
        The summary, as written beside the triplets.

    Raises:
        Interrupted: something stopped the run; the sentence says what, and how to go on.
        SimgptError: the ledger is in use, the output cannot be written, or no answer became a
            triplet.
    """
    asking = asking or Asking()
    check_writable(output)
    mark = ""
    if origin and asking.limit is None:
        mark = _mark(task, origin, keep_flagged)
        if (summary := _finished(output, mark)) is not None:
            logger.info("%s: finished before, nothing to do", output)
            return summary
    with Ledger(ledger) as opened:
        found = ask(task, teacher, opened, asking, usable)
        with progress("writing", 2 * found.wanted) as advance:
            result = export(task, opened, output, keep_flagged=keep_flagged, advance=advance)
        summary = summarise(output, result, opened, mark)
    write_text(output.with_name(f"{output.stem}.card.md"), card(summary, output))
    write_json(summary_path(output), summary)  # last: it vouches for the others
    return summary


def ask(
    task: Iterable[Asked],
    teacher: Teacher,
    ledger: Ledger,
    asking: Asking,
    usable: Callable[[Answer], bool],
) -> Survey:
    """Ask for everything in `task` that has no answer yet; return what there was to do.

    If `usable` makes nothing of the first answers, the rest is not paid for.

    Raises:
        Interrupted: something stopped it before the end, or some requests found no answer.
    """
    found = survey(task, ledger)
    if asking.limit == 0:
        return found
    waiting = ledger.in_batches(teacher.endpoint, teacher.model)
    if waiting and not asking.batch:
        raise SimgptError(
            f"{ledger.path}: {waiting:,} requests are in batches under way; add --batch to wait "
            "for them"
        )
    to_ask = waiting + (found.open if asking.limit is None else min(found.open, asking.limit))
    if to_ask == 0:
        return found
    stop = Stop()
    budget = Budget(asking.budget_usd, ledger.spent_usd())
    with stopping_on_signals(stop), progress("asking", to_ask) as advance:
        asker = Asker(
            teacher, ledger, asking.price, budget, asking.concurrency, stop, advance, usable
        )
        run(_ask(Open(task, ledger, asking.limit), asker, asking, found))
    if asker.given_up and asking.limit is None:
        stop(f"{asker.given_up:,} requests found no answer")
    if stop:
        error = Interrupted(
            f"stopped: {stop.reason}. What was answered is kept in {ledger.path}; run the same "
            "command to go on, or add --limit 0 to write what is there"
        )
        error.exit_status = stop.exit_status
        raise error
    return found


async def _ask(requests: Open, asker: Asker, asking: Asking, found: Survey) -> None:
    job = await asker.ledger.begin_job(found.wanted, found.wanted - found.open)
    try:
        for api in {setup.api for setup, _, _ in found.by_setup}:
            await asker.probe(api)
        if asking.batch:
            await ask_in_batches(requests, asker, asking.shard_requests, asking.poll_s)
        else:
            await asker.ask_all(iter(requests))
    finally:
        await asker.teacher.close()
    await asker.ledger.end_job(job)


def _finished(output: Path, mark: str) -> dict[str, Any] | None:
    """The summary of a finished run with this mark whose files are as it left them."""
    if not summary_path(output).is_file():
        return None
    summary: dict[str, Any] = read_json(summary_path(output))
    try:
        same = summary.get("mark") == mark and summary.get("files") == hashes(output)
    except OSError:
        return None
    return summary if same else None


def _mark(task: Task, origin: str, keep_flagged: bool) -> str:
    """Hash of all that decides what a run writes, this package's own code included."""
    prompts = [task.prompt] if task.prompt else [load_prompt(name) for name in prompt_names()]
    decisive = [
        origin,
        task.endpoint,
        task.model,
        task.variant,
        task.api,
        task.sampling.given(),
        [prompt.hash for prompt in prompts],
        keep_flagged,
        sha256_of(*sorted(Path(__file__).parent.glob("*.py"))),
    ]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
