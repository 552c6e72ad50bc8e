import asyncio
import json
import time

import pytest
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.annotate import Asking, Price, Prompt
from simgpt.annotate.attempts import Ending, Outcome
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.requests import Answer, Setup
from simgpt.annotate.status import status, status_lines
from simgpt.cli import app
from tests.annotate.support import annotate_with, live, sentences
from tests.openai_server import OpenAIServer

SETUP = Setup("http://127.0.0.1/v1", "m", Prompt("own", "Say it again: {sentence}"))
ANSWERED = Ending(Outcome.ANSWERED, Answer("a", input_tokens=10, output_tokens=3), 0.25)
LOST_REPLY = Ending(Outcome.DROPPED, usd=None)
FREE_FAILURE = Ending(Outcome.RATE_LIMITED)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def quick(monkeypatch):
    """Waits after a failure are short."""
    monkeypatch.setattr("simgpt.annotate.asking.wait_before", lambda attempt: 0.01)


def asked(name, *endings):
    """A request and how the attempts at it ended; None is still under way."""
    return SETUP.request([name]), endings


async def write(ledger, *histories, most=0.5):
    for request, endings in histories:
        for ending in endings:
            (attempt,) = await ledger.begin([request], [most])
            if ending is not None:
                await ledger.end([(attempt, ending)])


def status_of(path, *histories):
    with Ledger(path) as ledger:
        asyncio.run(write(ledger, *histories))
    return status(path)


def test_everything_in_the_ledger_is_counted(path):
    found = status_of(
        path,
        asked("a", FREE_FAILURE, FREE_FAILURE, ANSWERED),
        asked("b", LOST_REPLY, ANSWERED),
        asked("c", Ending(Outcome.REJECTED)),
        asked("d", ANSWERED),
    )
    assert found["ledger"] == str(path)
    assert (found["requests"], found["answered"], found["attempts"]) == (4, 3, 7)
    assert found["outcomes"] == {
        "answered": 3,
        "rate limited": 2,
        "rejected": 1,
        "connection dropped": 1,
    }
    assert (found["input_tokens"], found["output_tokens"]) == (30, 9)
    assert (found["usd"], found["usd_unknown_at_most"]) == (0.75, 0.5)
    assert found["paid_twice"] == 1


@pytest.mark.parametrize(
    ("endings", "paid_twice"),
    [
        ([ANSWERED], 0),
        ([FREE_FAILURE, Ending(Outcome.SERVER_ERROR), Ending(Outcome.UNREACHABLE), ANSWERED], 0),
        ([LOST_REPLY], 0),
        ([LOST_REPLY, ANSWERED], 1),
        ([Ending(Outcome.TIMED_OUT, usd=None), Ending(Outcome.MALFORMED, usd=None), ANSWERED], 2),
        ([LOST_REPLY, LOST_REPLY], 1),
    ],
)
def test_paid_twice_counts_what_may_have_been_charged_once_more(path, endings, paid_twice):
    assert status_of(path, asked("a", *endings), asked("b", ANSWERED))["paid_twice"] == paid_twice


def test_an_answer_that_was_on_its_way_when_the_run_was_killed_may_be_paid_twice(path):
    status_of(path, asked("a", None))
    found = status_of(path, asked("a", ANSWERED))
    assert found["outcomes"] == {"answered": 1, "lost in a kill": 1}
    assert (found["paid_twice"], found["usd_unknown_at_most"]) == (1, 0.5)


def test_it_looks_at_a_ledger_while_a_run_is_writing_to_it(path):
    with Ledger(path) as ledger:
        asyncio.run(write(ledger, asked("a", ANSWERED), asked("b", None)))
        found = status(path)
        assert found["outcomes"] == {"answered": 1, "in flight": 1}
        asyncio.run(write(ledger, asked("c", ANSWERED)))
        assert status(path)["outcomes"] == {"answered": 2, "in flight": 1}


def test_an_empty_ledger_has_nothing_to_say(path):
    found = status_of(path)
    assert (found["requests"], found["attempts"], found["usd"], found["per_minute"]) == (0, 0, 0, 0)
    assert (found["job"], found["batches"], found["abilities"]) == ({}, {}, [])
    assert dict(status_lines(found))["without an answer"] == "none"


def test_rate_and_time_left_are_those_of_the_newest_answers(path):
    async def main(ledger):
        await ledger.begin_job(wanted=30, had=5)
        await write(ledger, *(asked(f"{n}", ANSWERED) for n in range(11)))
        # One a long time ago; then ten, one every three seconds.
        await ledger.write(
            [
                ("UPDATE attempt SET started = 10000 + 3 * id, seconds = 3", ()),
                ("UPDATE attempt SET started = 9000 WHERE id = 1", ()),
                ("UPDATE job SET started = 9500", ()),
            ]
        )

    with Ledger(path) as ledger:
        asyncio.run(main(ledger))
    found = status(path)
    assert found["per_minute"] == pytest.approx(20)
    # Wanted 30; 5 were there and 10 came since: 15 more, three seconds each.
    assert found["job"] == {
        "wanted": 30,
        "answered": 15,
        "ended": False,
        "left_s": pytest.approx(45),
    }
    assert dict(status_lines(found))["last run"] == (
        "15 of 30, under way, or stopped, 45 s left at this rate"
    )


def test_a_run_without_faults_pays_for_nothing_twice(path, monkeypatch):
    with OpenAIServer() as server:
        teacher = live(server.url, monkeypatch)
        before = time.time()
        summary = annotate_with(
            teacher, path.parent, sentences(40), asking=Asking(price=Price(1.0, 2.0))
        )
        stats = server.stats()
    found = status(path)
    assert found["outcomes"] == {"answered": stats["paid"]}
    assert found["requests"] == found["answered"] == stats["distinct_paid"] == 43  # three probes
    assert (found["input_tokens"], found["output_tokens"]) == (
        stats["tokens_in"],
        stats["tokens_out"],
    )
    assert found["usd"] == pytest.approx((stats["tokens_in"] + 2 * stats["tokens_out"]) / 1e6)
    assert (found["paid_twice"], found["usd_unknown_at_most"]) == (0, 0)
    assert found["usd"] >= summary["usd"] > 0
    assert found["job"] == {"wanted": 40, "answered": 40, "ended": True, "left_s": 0}
    assert found["abilities"] == [
        {
            "endpoint": teacher.endpoint,
            "model": "gpt-4o-mini",
            "name": name,
            "supported": True,
        }
        for name in ("n", "schema", "system")
    ]
    assert before < found["checked"] < time.time() + 1


def test_faults_are_counted_as_the_server_counts_them(path, monkeypatch, quick):
    faults = {"rate_limit": 0.1, "server_error": 0.1, "drop_after_work": 0.1, "half": 0.1}
    with OpenAIServer(faults=faults, seed=3, retry_after_s=0.01) as server:
        annotate_with(
            live(server.url, monkeypatch),
            path.parent,
            sentences(80),
            asking=Asking(price=Price(1.0, 2.0)),
        )
        stats = server.stats()
    found, seen = status(path), stats["outcomes"]
    assert found["answered"] == found["requests"] == 83
    assert found["attempts"] == stats["requests"] == sum(found["outcomes"].values())
    assert found["outcomes"] == {
        "answered": seen["ok"],
        "rate limited": seen["rate_limit"],
        "server error": seen["server_error"],
        "connection dropped": seen["drop_after_work"] + seen["half"],
    }
    assert found["paid_twice"] == stats["extra_payments"] > 0
    assert stats["avoidable_payments"] == 0
    assert found["usd_unknown_at_most"] > 0


def test_probes_do_not_count_as_progress(path, monkeypatch):
    with OpenAIServer() as server:
        annotate_with(
            live(server.url, monkeypatch), path.parent, sentences(20), asking=Asking(limit=10)
        )
    assert status(path)["job"]["answered"] == 10


def shown(path, *words):
    return CliRunner().invoke(app, ["annotate", "status", "--ledger", str(path), *words])


def test_the_command_prints_json_for_programs(path):
    expected = status_of(path, asked("a", LOST_REPLY, ANSWERED))
    done = shown(path, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    for each in (found, expected):
        del each["checked"]
    assert found == expected


def test_the_command_prints_the_same_for_people(path):
    status_of(path, asked("a", LOST_REPLY, FREE_FAILURE, ANSWERED))
    done = shown(path)
    text = " ".join(done.stdout.split())
    assert done.exit_code == 0
    for statement in (
        "requests 1, of which 1 are answered",
        "attempts 3",
        "1 rate limited",
        "1 connection dropped",
        "10 in, 3 out",
        "0.2500 charged, and up to 0.5000 for calls whose answer never arrived",
        "1 at most",
    ):
        assert statement in text


def test_a_ledger_that_is_missing_or_none_is_one_clear_sentence(path):
    missing = shown(path)
    assert isinstance(missing.exception, SimgptError)
    assert str(missing.exception) == f"{path}: no such ledger; --ledger names one"
    assert not path.exists()
    path.write_text("no database, but long enough to be looked at " * 100, encoding="utf-8")
    with pytest.raises(SimgptError, match="ledger cannot be used"):
        status(path)
    path.write_bytes(b"")
    with pytest.raises(SimgptError, match="not a ledger of this version"):
        status(path)
