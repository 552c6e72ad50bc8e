"""How an attempt at a request ends."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from simgpt.annotate.requests import Answer

Statement = tuple[str, tuple[Any, ...]]  # SQL and its values


class Outcome(StrEnum):
    """How an attempt ended."""

    IN_FLIGHT = "in flight"
    ANSWERED = "answered"
    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    REJECTED = "rejected"  # the server will not take this request
    UNREACHABLE = "unreachable"  # no connection, so nothing was sent
    TIMED_OUT = "timed out"
    DROPPED = "connection dropped"
    MALFORMED = "malformed reply"
    EXPIRED = "batch line without an answer"
    LOST = "lost in a kill"


# The server may have done the work, and charged for it, without our having seen the answer.
UNKNOWN_COST = (
    Outcome.IN_FLIGHT,
    Outcome.TIMED_OUT,
    Outcome.DROPPED,
    Outcome.MALFORMED,
    Outcome.LOST,
)


@dataclass(frozen=True)
class Ending:
    """How one attempt ended, and what it brought."""

    outcome: Outcome
    answer: Answer | None = None
    usd: float | None = 0.0  # None where nobody can tell
    detail: str = ""


def ending_statement(attempt: int, ending: Ending) -> Statement:
    """The statement that notes how an attempt ended."""
    answer = ending.answer
    return (
        "UPDATE attempt SET outcome = ?, detail = ?, seconds = ? - started, usd = ?, answer = ?,"
        " model = ?, fingerprint = ?, finish = ?, input_tokens = ?, cached_tokens = ?,"
        " output_tokens = ? WHERE id = ?",
        (
            ending.outcome,
            ending.detail or None,
            time.time(),
            ending.usd,
            *(
                (None,) * 7
                if answer is None
                else (
                    answer.text,
                    answer.model,
                    answer.fingerprint,
                    answer.finish,
                    answer.input_tokens,
                    answer.cached_tokens,
                    answer.output_tokens,
                )
            ),
            attempt,
        ),
    )
