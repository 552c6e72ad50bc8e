"""What a ledger holds, for `simgpt annotate status`. A run may be using it meanwhile."""

import time
from pathlib import Path
from typing import Any

from simgpt.annotate.attempts import Outcome
from simgpt.annotate.ledger import reading
from simgpt.progress import span

_RATE_WINDOW_S = 300.0
# The server did, or may have done, the work.
_PAID = ("answered", "timed out", "connection dropped", "malformed reply", "lost in a kill")


def status(path: Path) -> dict[str, Any]:
    """Counts of a ledger, ready for JSON.

    `paid_twice` counts attempts that the server may have charged for although their request had
    been charged for before: answers that were on their way when a run was killed, or that got lost
    between the server and here. `per_minute` is the rate of answers in the five minutes before the
    newest one, and `left_s` what the running or the last run still needed at that rate.

    Raises:
        SimgptError: there is no ledger at `path`.
    """
    with reading(path) as db:

        def rows(sql: str, *values: Any) -> list[Any]:
            return db.execute(sql, values).fetchall()

        outcomes = dict(rows("SELECT outcome, count(*) FROM attempt GROUP BY 1 ORDER BY 2 DESC"))
        ((tokens_in, tokens_out, usd, maybe),) = rows(
            "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
            " coalesce(sum(usd), 0), coalesce(sum(most_usd) FILTER (WHERE usd IS NULL), 0)"
            " FROM attempt"
        )
        marks = ", ".join("?" * len(_PAID))
        ((paid_twice,),) = rows(
            f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM attempt"  # noqa: S608
            f" WHERE outcome IN ({marks}) GROUP BY request HAVING n > 1)",
            *_PAID,
        )
        ((requests,),) = rows("SELECT count(*) FROM request")
        ((answered,),) = rows(
            "SELECT count(DISTINCT request) FROM attempt WHERE outcome = 'answered'"
        )
        ((newest,),) = rows("SELECT max(started + seconds) FROM attempt WHERE outcome = 'answered'")
        per_minute = 0.0
        if newest is not None:
            ((count, oldest),) = rows(
                "SELECT count(*), min(started) FROM attempt WHERE outcome = 'answered'"
                " AND started + seconds > ?",
                newest - _RATE_WINDOW_S,
            )
            per_minute = 60 * count / max(newest - oldest, 1e-3)
        jobs = rows("SELECT started, ended, wanted, had FROM job ORDER BY id DESC LIMIT 1")
        job: dict[str, Any] = {}
        if jobs:
            started, ended, wanted, had = jobs[0]
            ((done,),) = rows(  # without the small calls that find out what a server can do
                "SELECT count(*) FROM attempt JOIN request ON request = request.id"
                " JOIN setup ON setup = setup.id WHERE outcome = 'answered' AND started >= ?"
                " AND prompt_name NOT LIKE 'probe.%'",
                started,
            )
            left = max(0, wanted - had - done)
            job = {
                "wanted": wanted,
                "answered": wanted - left,
                "ended": ended is not None,
                "left_s": 60 * left / per_minute if per_minute else None,
            }
        return {
            "ledger": str(path),
            "requests": requests,
            "answered": answered,
            "attempts": sum(outcomes.values()),
            "outcomes": outcomes,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "usd": usd,
            "usd_unknown_at_most": maybe,
            "paid_twice": paid_twice,
            "per_minute": per_minute,
            "job": job,
            "batches": dict(rows("SELECT state, count(*) FROM shard GROUP BY 1")),
            "abilities": [
                {"endpoint": endpoint, "model": model, "name": name, "supported": bool(supported)}
                for endpoint, model, name, supported in rows(
                    "SELECT endpoint, model, name, supported FROM ability ORDER BY 1, 2, 3"
                )
            ],
            "checked": time.time(),
        }


def status_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The same for people: labels and values."""
    failures = {k: n for k, n in found["outcomes"].items() if k != Outcome.ANSWERED}
    lines = [
        ("ledger", found["ledger"]),
        ("requests", f"{found['requests']:,}, of which {found['answered']:,} are answered"),
        ("attempts", f"{found['attempts']:,}"),
        ("without an answer", ", ".join(f"{n:,} {kind}" for kind, n in failures.items()) or "none"),
        ("tokens", f"{found['input_tokens']:,} in, {found['output_tokens']:,} out"),
        ("dollars", f"{found['usd']:.4f} charged"),
        ("paid twice", f"{found['paid_twice']:,} at most"),
        ("rate", f"{found['per_minute']:,.0f} answers a minute"),
    ]
    if found["usd_unknown_at_most"]:
        lines[5] = (
            "dollars",
            f"{found['usd']:.4f} charged, and up to {found['usd_unknown_at_most']:.4f} for calls "
            "whose answer never arrived",
        )
    job = found["job"]
    if job:
        state = "ended" if job["ended"] else "under way, or stopped"
        text = f"{job['answered']:,} of {job['wanted']:,}, {state}"
        if job["left_s"] and not job["ended"]:
            text += f", {span(job['left_s'])} left at this rate"
        lines.append(("last run", text))
    if found["batches"]:
        lines.append(("batches", ", ".join(f"{n} {s}" for s, n in found["batches"].items())))
    for ability in found["abilities"]:
        where = f"{ability['model']} at {ability['endpoint']}"
        known = "can do" if ability["supported"] else "cannot do"
        lines.append((where, f"{known} {ability['name']}"))
    return lines
