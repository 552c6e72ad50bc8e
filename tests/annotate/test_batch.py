"""Asking through the Batch API: nothing lost, nothing paid twice, whatever happens in between."""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import replace

import openai.resources  # noqa: F401  # processes that are forked from here need not load it
import openai.types.chat
import pytest

from simgpt import SimgptError
from simgpt.annotate import Api, Asking, OpenAITeacher, RecordedTeacher, Task, annotate, parse_price
from simgpt.annotate import batch as engine
from simgpt.annotate.cost import Budget
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.run import Interrupted
from simgpt.annotate.task import Open
from simgpt.triplets import read_triplets
from tests.annotate.support import annotate_with, live, sentences
from tests.openai_server import OpenAIServer

BATCH = Asking(batch=True, shard_requests=10, poll_s=0.02)
PRICE = parse_price("10/30")


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Annotate `items` at a server, in batches, with the ledger in the test's folder."""

    def run(server, items, *, probing=False, stop_at=None, **settings):
        teacher = live(server.url, monkeypatch)
        if not probing:
            teacher.probes = {}
        asking = replace(settings.pop("asking", BATCH), **settings.pop("change", {}))
        with monkeypatch.context() as patch:
            if stop_at is not None:
                patch.setattr(engine, "retrieve", ctrl_c_at(stop_at))
            return annotate_with(teacher, tmp_path, items, asking=asking, **settings)

    monkeypatch.setattr(engine, "wait_before", lambda attempt: 0.01)
    return run


def ctrl_c_at(number):
    """As `retrieve`, but when this many batches have been looked at, Ctrl-C is pressed."""
    retrieve, seen = engine.retrieve, set()

    async def watched(client, batch_id):
        if batch_id not in seen:
            seen.add(batch_id)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGINT)
        return await retrieve(client, batch_id=batch_id)

    return watched


@pytest.fixture
def query(tmp_path):
    def run(sql, *values):
        path = tmp_path / "ledger.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return db.execute(sql, values).fetchall()

    return run


@pytest.fixture
def sent(monkeypatch):
    """The files that are uploaded, and what is asked of the server, in order."""
    files, calls = [], []
    for name in ("send_file", "create_batch", "find_batch", "retrieve", "fetch"):
        call = getattr(engine, name)

        def noting(client, *args, _name=name, _call=call, **kwargs):
            calls.append(_name)
            if _name == "send_file":
                files.append(kwargs["path"].read_bytes())
            return _call(client, *args, **kwargs)

        monkeypatch.setattr(engine, name, noting)
    return files, calls


class HalfServer:
    """Answers one request with half of what it promises."""

    def __enter__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        threading.Thread(target=self.answer, daemon=True).start()
        return self

    def answer(self):
        connection, _ = self.listening.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"custom_id": "')

    def __exit__(self, *_):
        self.listening.close()


def litter(folder):
    return list((folder / "ledger.sqlite.shards").glob("*"))


# --- Shards


def test_a_shard_is_jsonl_as_the_api_wants_it_named_by_the_hex_of_each_key(ask, sent, query):
    with OpenAIServer() as server:
        assert ask(server, sentences(25))["triplets"] == 25
    lines = [json.loads(line) for file in sent[0] for line in file.decode("ascii").splitlines()]
    assert [file.count(b"\n") for file in sent[0]] == [10, 10, 5]
    assert {tuple(line) for line in lines} == {("custom_id", "method", "url", "body")}
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    names = [line["custom_id"] for line in lines]
    assert len(set(names)) == 25
    assert sorted(names) == sorted(key.hex() for (key,) in query("SELECT key FROM request"))
    assert {line["body"]["model"] for line in lines} == {"gpt-4o-mini"}


def test_a_shard_ends_before_it_has_too_many_bytes_and_no_request_is_skipped(
    ask, sent, monkeypatch
):
    monkeypatch.setattr(engine, "MAX_BYTES", 20_000)
    with OpenAIServer(batch_max_bytes=20_000) as server:
        assert ask(server, sentences(30))["triplets"] == 30
        assert server.stats()["avoidable_payments"] == 0
    assert max(map(len, sent[0])) <= 20_000
    assert sum(file.count(b"\n") for file in sent[0]) == 30
    assert len(sent[0]) > 3


def test_a_request_that_is_too_long_for_any_batch_stops_the_run(ask, monkeypatch):
    monkeypatch.setattr(engine, "MAX_BYTES", 500)
    with OpenAIServer(batch_max_bytes=500) as server:
        with pytest.raises(Interrupted, match="brought no new answer.*file_too_large"):
            ask(server, sentences(2))


def test_the_limits_are_those_of_the_api(ask, sent, monkeypatch):
    assert (engine.MAX_REQUESTS, engine.MAX_BYTES) == (50_000, 200_000_000)
    assert Asking().shard_requests == 50_000
    with pytest.raises(SimgptError, match="from 1 to 50,000"):
        Asking(shard_requests=50_001)
    monkeypatch.setattr(engine, "MAX_REQUESTS", 7)
    with OpenAIServer(batch_max_lines=7) as server:
        ask(server, sentences(20))
    assert [file.count(b"\n") for file in sent[0]] == [7, 7, 6]


def test_a_shard_is_on_disk_and_in_the_ledger_before_it_is_sent_and_creating_before_created(
    ask, query, tmp_path, monkeypatch
):
    seen = []
    send, create = engine.send_file, engine.create_batch

    def state():
        return query("SELECT state, count(*) FROM shard JOIN attempt ON batch = shard.id")

    async def noted_send(client, path):
        seen.append(("send", path.is_file(), state()))
        return await send(client, path=path)

    async def noted_create(client, shard):
        seen.append(("create", (tmp_path / "ledger.sqlite").is_file(), state()))
        return await create(client, shard=shard)

    monkeypatch.setattr(engine, "send_file", noted_send)
    monkeypatch.setattr(engine, "create_batch", noted_create)
    with OpenAIServer() as server:
        ask(server, sentences(8))
    assert seen == [("send", True, [("planned", 8)]), ("create", True, [("creating", 8)])]
    assert query("SELECT state FROM shard") == [("collected",)]
    assert litter(tmp_path) == []


def test_the_requests_of_a_shard_are_never_held_as_rendered_text(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    teacher = OpenAITeacher("gpt-4o-mini", base_url="http://127.0.0.1:1/v1")
    task = Task(sentences=sentences(3000), endpoint=teacher.endpoint, model=teacher.model)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        asker = engine.Asker(teacher, ledger, PRICE, Budget(None, 0.0))
        work = engine._Batches(teacher, asker, 3000, 1.0)
        requests = iter(Open(task, ledger))
        first = next(requests)
        tracemalloc.start()
        taken, rest = work._write(first, requests, tmp_path / "shard.jsonl")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (len(taken), rest) == (3000, None)
    assert peak < (tmp_path / "shard.jsonl").stat().st_size / 2


@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS])
def test_two_kinds_of_sentences_share_a_shard_and_chat_never_meets_completions(ask, sent, api):
    items = [
        pair
        for pairs in zip(sentences(5), sentences(5, "questions"), strict=True)
        for pair in pairs
    ]
    items = [replace(s, text=f"{s.source}: {s.text}") for s in items]
    with OpenAIServer() as server:
        assert ask(server, items, api=api)["triplets"] == 10
        assert server.stats()["batches"] == 1
    (file,) = sent[0]
    url = "/v1/chat/completions" if api is Api.CHAT else "/v1/completions"
    assert {json.loads(line)["url"] for line in file.splitlines()} == {url}


def test_a_sentence_that_comes_twice_is_asked_for_once(ask):
    with OpenAIServer() as server:
        assert ask(server, [*sentences(12), *sentences(12)])["sentences"] == 24
        assert server.stats()["paid"] == 12


# --- The calls


@pytest.mark.parametrize("fault", ["create_then_drop", "upload_then_drop"])
def test_a_reply_that_gets_lost_makes_no_second_batch_and_no_second_file(ask, fault):
    with OpenAIServer(batch_faults={fault: 2}) as server:
        assert ask(server, sentences(40))["triplets"] == 40
        stats = server.stats()
    assert (stats["batches"], stats["files"], stats["avoidable_payments"]) == (4, 4, 0)


def test_the_server_is_asked_for_the_batch_before_it_is_created_again(ask, sent, query):
    with OpenAIServer(batch_faults={"create_then_drop": 1}) as server:
        ask(server, sentences(5))
    _, calls = sent
    assert [name for name in calls if name != "retrieve"] == [
        *("send_file", "create_batch", "find_batch", "fetch")
    ]


def test_a_batch_that_cannot_be_created_is_given_up_after_some_attempts(ask, monkeypatch):
    async def create(client, shard):
        raise openai.APIConnectionError(request=None) from ConnectionError("no")

    monkeypatch.setattr(engine, "create_batch", create)
    with OpenAIServer() as server:
        with pytest.raises(Interrupted, match="connection dropped"):
            ask(server, sentences(5))


def test_a_batch_that_the_server_refuses_to_create_leaves_its_requests_open(
    ask, query, monkeypatch
):
    with OpenAIServer() as server:
        with monkeypatch.context() as patch:

            async def create(client, shard):
                return await engine_create(client, replace(shard, file_id="file-gone"))

            engine_create = engine.create_batch
            patch.setattr(engine, "create_batch", create)
            with pytest.raises(Interrupted, match="rejected.*file-gone"):
                ask(server, sentences(5))
        assert query("SELECT outcome, usd, count(*) FROM attempt GROUP BY 1") == [
            ("batch line without an answer", 0.0, 5)
        ]
        assert ask(server, sentences(5))["triplets"] == 5
        assert server.stats()["batches"] == 1


def test_a_download_that_breaks_off_is_made_again(ask, monkeypatch):
    fetch, tries = engine.fetch, []

    async def torn(client, file_id, path):
        tries.append(file_id)
        if len(tries) == 1:  # half of what it promises, and the end of the connection
            client = openai.AsyncOpenAI(api_key="k", base_url=half.url, max_retries=0)
        return await fetch(client, file_id, path)

    monkeypatch.setattr(engine, "fetch", torn)
    with HalfServer() as half, OpenAIServer() as server:
        assert ask(server, sentences(5))["triplets"] == 5
    assert len(tries) == 2


def test_answers_that_are_gone_from_the_server_are_asked_for_again_by_the_next_run(
    ask, query, monkeypatch
):
    with OpenAIServer() as server:
        with monkeypatch.context() as patch:
            fetch = engine.fetch
            patch.setattr(
                engine, "fetch", lambda client, file_id, path: fetch(client, "file-gone", path)
            )
            with pytest.raises(Interrupted, match="file-gone"):
                ask(server, sentences(5))
        assert query("SELECT outcome, usd, count(*) FROM attempt GROUP BY 1") == [
            ("batch line without an answer", None, 5)
        ]
        assert ask(server, sentences(5))["triplets"] == 5


def test_the_recorded_teacher_has_no_batches(tmp_path):
    with pytest.raises(SimgptError, match="leave --batch out"):
        annotate_with(RecordedTeacher(), tmp_path, sentences(1), asking=BATCH)


# --- What comes back


@pytest.mark.parametrize(
    "faults",
    [
        {"expire": 0.4},
        {"drop_lines": 0.4},
        {"error_lines": 0.4},
        {"duplicate_lines": 0.5},
        {"garbled_line": 2},
        {"fail": ["token_limit_exceeded"]},
        {"fail": ["token_limit_exceeded", "token_limit_exceeded", "invalid_json_line"]},
        {"expire": 0.1, "drop_lines": 0.1, "error_lines": 0.1, "garbled_line": 1},
    ],
    ids=lambda faults: "+".join(faults),
)
def test_in_the_end_everything_is_answered_and_only_what_is_missing_is_asked_again(
    ask, query, tmp_path, faults
):
    with OpenAIServer() as calm:
        ask(calm, sentences(40))
        expected = (tmp_path / "triplets.jsonl").read_bytes()
    for path in tmp_path.glob("*.sqlite*"):
        path.rmdir() if path.is_dir() else path.unlink()
    with OpenAIServer(batch_faults=faults) as server:
        assert ask(server, sentences(40))["triplets"] == 40
        stats = server.stats()
    assert (tmp_path / "triplets.jsonl").read_bytes() == expected
    assert stats["avoidable_payments"] == 0
    assert query("SELECT count(*) FROM attempt WHERE outcome = 'answered'") == [(40,)]
    assert query("SELECT count(*) FROM attempt WHERE outcome = 'in flight'") == [(0,)]
    assert litter(tmp_path) == []


@pytest.mark.parametrize("code", ["token_limit_exceeded", "invalid_json_line"])
def test_a_batch_that_can_never_succeed_stops_with_a_sentence(ask, code, query):
    with OpenAIServer(batch_faults={"fail": [code] * 50}) as server:
        with pytest.raises(Interrupted, match=f"^stopped: .*{code}.*run the same command") as told:
            ask(server, sentences(20))
        stats = server.stats()
    assert str(told.value).count("\n") == 0
    assert (stats["paid"], stats["batches"] < 10) == (0, True)
    assert query("SELECT count(*) FROM attempt WHERE outcome != 'in flight' AND usd > 0") == [(0,)]


def test_lines_that_never_come_back_stop_the_run_with_a_sentence(ask):
    with OpenAIServer(batch_faults={"drop_lines": 1.0}) as server:
        with pytest.raises(Interrupted, match="3 rounds of batches in a row brought no new"):
            ask(server, sentences(5))
        assert server.stats()["batches"] == 3


def test_batches_smaller_after_a_full_queue_take_the_place_of_those_that_were_not_begun(ask, query):
    with OpenAIServer(batch_faults={"fail": ["token_limit_exceeded"] * 6}) as server:
        with pytest.raises(Interrupted, match="--shard-requests"):
            ask(server, sentences(20))
        assert query("SELECT DISTINCT state FROM shard") == [("collected",)]  # none is under way
        server.settings.batch_faults["fail"] = []
        assert ask(server, sentences(20), change={"shard_requests": 5})["triplets"] == 20
        stats = server.stats()
    assert (stats["paid"], stats["extra_payments"]) == (20, 0)
    answered = query("SELECT batch, count(*) FROM attempt WHERE outcome = 'answered' GROUP BY 1")
    assert {count for _, count in answered} == {5}


def test_a_queue_that_takes_one_batch_at_a_time_is_served_one_at_a_time(ask, monkeypatch):
    under_way, refused, created = set(), set(), []
    create, retrieve = engine.create_batch, engine.retrieve

    async def limited_create(client, shard):
        batch = await create(client, shard)
        created.append(batch.id)
        if under_way:
            refused.add(batch.id)
        else:
            under_way.add(batch.id)
        return batch

    async def limited_retrieve(client, batch_id):
        if batch_id in refused:
            error = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
            return openai.types.Batch.construct(
                id=batch_id, status="failed", errors={"data": [error]}
            )
        batch = await retrieve(client, batch_id)
        if batch.status == "completed":
            under_way.discard(batch_id)
        return batch

    monkeypatch.setattr(engine, "create_batch", limited_create)
    monkeypatch.setattr(engine, "retrieve", limited_retrieve)
    with OpenAIServer(batch_polls=3) as server:
        assert ask(server, sentences(80))["triplets"] == 80
    assert len(created) <= 8 + 7 + 2  # all at once, and then those refused one by one


def test_a_line_that_the_server_rejects_is_not_sent_again_in_this_run(ask, query, monkeypatch):
    body = OpenAITeacher.body

    def odd(self, request):
        faulty = {"response_format": {"type": "json_schema"}} if "number 3 " in request.text else {}
        return body(self, request) | faulty

    monkeypatch.setattr(OpenAITeacher, "body", odd)
    with OpenAIServer(supports_schema=False) as server:
        summary = ask(server, sentences(12))
        assert server.stats()["batches"] == 2
    assert summary["triplets"] == 11
    assert summary["outcomes"]["captions"]["rejected by the server"] == 1


def test_a_server_that_does_not_know_the_model_stops_the_run(ask):
    with OpenAIServer(unknown_model="gpt-4o-mini") as server:
        with pytest.raises(Interrupted, match="refuses to answer: .*does not exist"):
            ask(server, sentences(25))


def test_a_model_that_wants_max_completion_tokens_gets_it_in_the_next_round_and_in_later_runs(
    ask, sent
):
    with OpenAIServer(only_max_completion_tokens=True) as server:
        assert ask(server, sentences(5))["triplets"] == 5
        assert server.stats()["batches"] == 2
        assert ask(server, sentences(9), probing=True)["triplets"] == 9
        assert server.stats()["batches"] == 3


@pytest.mark.parametrize("fault", ["wrong_shape", "truncated", "refusal"])
def test_an_answer_of_the_wrong_shape_is_asked_for_again_and_a_bad_text_is_not(ask, fault, query):
    with OpenAIServer(faults={fault: 0.4}) as server:
        ask(server, sentences(20))
        stats = server.stats()
    spoiled = stats["outcomes"][f"batch_{fault}"]
    assert spoiled > 0
    assert stats["paid"] == 20 + (spoiled if fault == "wrong_shape" else 0)


def test_each_new_answer_advances_the_progress_once(tmp_path, monkeypatch):
    ticks = Counter()

    class Bar:
        def __init__(self, label, total):
            self.label = label
            ticks[f"{label} of"] = total

        def __enter__(self):
            return lambda count=1: ticks.update({self.label: count})

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("simgpt.annotate.run.progress", Bar)
    monkeypatch.setattr(engine, "wait_before", lambda attempt: 0.01)
    with OpenAIServer(batch_faults={"drop_lines": 0.3, "duplicate_lines": 0.3}) as server:
        teacher = live(server.url, monkeypatch)
        teacher.probes = {}
        annotate_with(teacher, tmp_path, sentences(30), asking=BATCH)
    assert (ticks["asking"], ticks["asking of"]) == (30, 30)


# --- Money


def test_an_attempt_is_recorded_at_half_the_price(ask, query):
    with OpenAIServer() as server:
        summary = ask(server, sentences(12), change={"price": PRICE})
        stats = server.stats()
    whole = (stats["tokens_in"] * 10 + stats["tokens_out"] * 30) / 1e6
    assert summary["usd"] == pytest.approx(whole / 2)
    for tokens_in, tokens_out, usd, most in query(
        "SELECT input_tokens, output_tokens, usd, most_usd FROM attempt"
    ):
        assert usd == pytest.approx((tokens_in * 10 + tokens_out * 30) / 2e6)
        assert usd <= most


def worst_usd(count, endpoint="http://127.0.0.1:1/v1"):
    task = Task(sentences=sentences(count), endpoint=endpoint, model="gpt-4o-mini")
    price = PRICE.in_batch()
    return sum(price.most_usd(asked.setup.request(asked.inputs)) for asked in task)


def test_a_budget_below_the_worst_case_of_a_shard_creates_nothing(ask, query, tmp_path):
    limit = worst_usd(10) * 0.99
    with OpenAIServer() as server:
        with pytest.raises(Interrupted, match="does not cover the next batch of 10 requests"):
            ask(server, sentences(10), change={"price": PRICE, "budget_usd": limit})
        assert (server.stats()["files"], server.stats()["batches"]) == (0, 0)
    assert query("SELECT (SELECT count(*) FROM attempt), (SELECT count(*) FROM shard)") == [(0, 0)]
    assert litter(tmp_path) == []


def test_shards_under_way_count_and_the_next_one_waits_for_what_they_leave(ask, query, sent):
    limit = worst_usd(10) * 1.7  # one at a time; what each really costs is far less
    with OpenAIServer() as server:
        summary = ask(server, sentences(30), change={"price": PRICE, "budget_usd": limit})
    assert summary["triplets"] == 30
    assert summary["usd"] < limit < worst_usd(30)
    calls = [name for name in sent[1] if name in ("create_batch", "fetch")]
    assert calls == ["create_batch", "fetch"] * 3


def test_the_ledgers_total_never_exceeds_the_budget(ask, query):
    limit = worst_usd(10) * 1.7
    with OpenAIServer() as server:
        with pytest.raises(Interrupted, match="is spent and it may cost"):
            ask(server, sentences(1000), change={"price": PRICE, "budget_usd": limit})
    ((spent,),) = query("SELECT sum(coalesce(usd, most_usd)) FROM attempt")
    assert limit / 3 < spent <= limit
    assert query("SELECT count(*) FROM shard WHERE state != 'collected'") == [(0,)]


def test_after_a_resume_shards_under_way_count_in_the_budget(ask, query, sent):
    limit = worst_usd(10) * 1.7
    change = {"price": PRICE, "budget_usd": limit}
    with OpenAIServer(batch_polls=1000) as server:
        with pytest.raises(Interrupted, match="interrupted"):
            ask(server, sentences(30), change=change, stop_at=1)
        assert server.stats()["batches"] == 1
        server.settings.batch_polls = 1
        assert ask(server, sentences(30), change=change)["triplets"] == 30
        assert server.stats()["batches"] == 3
    calls = [name for name in sent[1] if name in ("create_batch", "fetch")]
    assert calls == ["create_batch", "fetch"] * 3


def test_a_budget_that_is_smaller_on_resume_holds_for_what_was_not_begun(ask, monkeypatch):
    with OpenAIServer() as server:
        with monkeypatch.context() as patch:

            async def send(client, path):
                raise KeyboardInterrupt

            patch.setattr(engine, "send_file", send)
            with pytest.raises(KeyboardInterrupt):
                ask(server, sentences(20), change={"price": PRICE})
        limit = worst_usd(10) * 0.5
        with pytest.raises(Interrupted, match="does not cover the next batch"):
            ask(server, sentences(20), change={"price": PRICE, "budget_usd": limit})
        assert server.stats()["batches"] == 0
        assert ask(server, sentences(20), change={"price": PRICE})["triplets"] == 20


def test_a_stop_while_the_next_shard_waits_for_money_ends_the_run_at_once(ask):
    limit = worst_usd(10) * 1.2
    with OpenAIServer(batch_polls=10**6) as server:
        began = time.monotonic()
        with pytest.raises(Interrupted, match="interrupted"):
            change = {"price": PRICE, "budget_usd": limit}
            ask(server, sentences(30), change=change, stop_at=1)
    assert time.monotonic() - began < 5


# --- Stop, and go on


def test_ctrl_c_stops_cleanly_and_the_next_run_collects_without_creating(ask, query):
    with OpenAIServer(batch_polls=10**6) as server:
        with pytest.raises(Interrupted, match="stopped: interrupted"):
            ask(server, sentences(20), stop_at=2)
        assert query("SELECT state, count(*) FROM shard GROUP BY 1") == [("created", 2)]
        with pytest.raises(SimgptError, match="20 requests are in batches under way; add --batch"):
            ask(server, sentences(20), asking=Asking())
        assert server.stats()["paid"] == 20  # in batches; none by calls of their own
        server.settings.batch_polls = 0
        assert ask(server, sentences(20))["triplets"] == 20
        stats = server.stats()
    assert (stats["batches"], stats["files"], stats["max_paid"]) == (2, 2, 1)


def test_limit_0_writes_what_is_there_while_batches_are_under_way(ask):
    with OpenAIServer() as server:
        ask(server, sentences(10))
        server.settings.batch_polls = 10**6
        with pytest.raises(Interrupted):
            ask(server, sentences(20), stop_at=1)
        for batch in (True, False):
            summary = ask(server, sentences(20), change={"limit": 0, "batch": batch})
            assert summary["triplets"] == 10


def test_a_run_with_a_limit_asks_so_many_and_no_more(ask):
    with OpenAIServer(batch_faults={"drop_lines": 0.3}) as server:
        summary = ask(server, sentences(40), change={"limit": 15})
        assert 0 < summary["triplets"] < 15
        assert server.stats()["batches"] == 2


def test_batches_of_another_model_are_left_to_its_own_runs(ask, tmp_path, monkeypatch, query):
    with OpenAIServer(batch_polls=10**6) as server:
        with pytest.raises(Interrupted):
            ask(server, sentences(5), stop_at=1)
        other = OpenAITeacher("gpt-4", base_url=server.url)
        other.probes = {}
        server.settings.batch_polls = 0
        annotate_with(other, tmp_path, sentences(5), asking=replace(BATCH, price=PRICE))
        assert query("SELECT count(*) FROM attempt WHERE outcome = 'in flight'") == [(5,)]
        assert ask(server, sentences(5))["triplets"] == 5
        assert server.stats()["batches"] == 2
    assert litter(tmp_path) == []


def test_what_a_killed_run_left_in_the_folder_of_shards_is_removed(ask, tmp_path):
    folder = tmp_path / "ledger.sqlite.shards"
    folder.mkdir()
    for name in (".x.123.tmp.jsonl", f"{engine.NAME}-unknown.jsonl", "x.answers"):
        (folder / name).write_text("left over")
    with OpenAIServer() as server:
        ask(server, sentences(3))
    assert litter(tmp_path) == []


def test_the_key_is_in_no_log_and_no_ledger(ask, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="simgpt")
    said = {"code": "bad", "message": "What is test-key?"}

    async def retrieve(client, batch_id):
        return openai.types.Batch.construct(id=batch_id, status="failed", errors={"data": [said]})

    monkeypatch.setattr(engine, "retrieve", retrieve)
    with OpenAIServer() as server:
        with pytest.raises(Interrupted) as told:
            ask(server, sentences(3))
    assert "What is ***?" in str(told.value)
    assert "test-key" not in caplog.text + str(told.value)
    for path in tmp_path.glob("ledger.sqlite*"):
        assert path.is_dir() or b"test-key" not in path.read_bytes()


def test_the_command_stops_on_ctrl_c_and_goes_on(tmp_path, repository, query):
    (tmp_path / "s.txt").write_text("".join(f"{s.text}\n" for s in sentences(20)))
    with OpenAIServer(batch_polls=10**6) as server:
        command = [
            *(sys.executable, "-m", "simgpt", "annotate", "run", tmp_path / "s.txt"),
            *("--teacher", "openai", "--model", "m", "--base-url", server.url, "--price", "1/2"),
            *("--batch", "--poll-s", "0.05", "--shard-requests", "10"),
            *("--output", tmp_path / "t.jsonl", "--ledger", tmp_path / "ledger.sqlite"),
        ]
        settings = {"cwd": repository, "text": True, "stderr": subprocess.PIPE}
        child = subprocess.Popen(command, **settings)
        created = []
        while created != [(2,)]:
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.05)
            with contextlib.suppress(sqlite3.OperationalError):  # not begun yet
                created = query("SELECT count(*) FROM shard WHERE state = 'created'")
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=20)
        assert child.returncode == 130
        assert "stopped: interrupted" in told
        assert "Traceback" not in told
        server.settings.batch_polls = 0
        done = subprocess.run(command, **settings, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        stats = server.stats()
    assert (stats["batches"], stats["avoidable_payments"]) == (2, 0)
    assert len(list(read_triplets(tmp_path / "t.jsonl"))) == 20


# --- Killed between any two steps

SHARDS, COUNT = 2, 16
STEPS = {
    "write": 2 + 5 * SHARDS,  # begin and end of the run, and each state of a shard
    "send_file": SHARDS,
    "create_batch": SHARDS,
    "retrieve": 2 * SHARDS,
    "fetch": SHARDS,
}


def run_until_killed(url, folder, kill):
    """In a process of its own: annotate, killed before or after the k-th call of a step."""
    calls = Counter()

    def deadly(name, call):
        async def wrapper(*args, **kwargs):
            calls[name] += 1
            here = kill is not None and (name, calls[name]) == kill[:2]
            if here and kill[2] == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = await call(*args, **kwargs)
            if here:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    for name in (*STEPS, "find_batch"):
        holder = Ledger if name == "write" else engine
        setattr(holder, name, deadly(name, getattr(holder, name)))
    os.environ["OPENAI_API_KEY"] = "test-key"
    teacher = OpenAITeacher("gpt-4o-mini", base_url=url)
    teacher.probes = {}
    task = Task(sentences=sentences(COUNT), endpoint=teacher.endpoint, model=teacher.model)
    annotate(
        task,
        teacher,
        output=folder / "t.jsonl",
        ledger=folder / "ledger.sqlite",
        asking=Asking(batch=True, shard_requests=COUNT // SHARDS, poll_s=0.01, price=PRICE),
    )
    (folder / "calls.json").write_text(json.dumps(calls))


@pytest.fixture(scope="module")
def process():
    """Run `run_until_killed` and return its exit code."""
    context = multiprocessing.get_context("forkserver")

    def run(*args):
        child = context.Process(target=run_until_killed, args=args)
        child.start()
        child.join(60)
        return child.exitcode

    return run


@pytest.fixture(scope="module")
def undisturbed(process, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    with OpenAIServer() as server:
        assert process(server.url, folder, None) == 0
    assert len(list(read_triplets(folder / "t.jsonl"))) == COUNT
    calls = json.loads((folder / "calls.json").read_text())
    assert calls == STEPS
    return (folder / "t.jsonl").read_bytes(), calls


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_at_any_step_ends_in_the_same_files_and_nothing_is_paid_twice(
    process, undisturbed, tmp_path, step, moment
):
    expected, calls = undisturbed
    for number in range(1, calls[step] + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        with OpenAIServer() as server:
            assert process(server.url, folder, (step, number, moment)) == -signal.SIGKILL
            assert process(server.url, folder, None) == 0
            stats = server.stats()
        assert (folder / "t.jsonl").read_bytes() == expected
        assert (stats["batches"], stats["avoidable_payments"], stats["paid"]) == (SHARDS, 0, COUNT)
        with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT state, count(*) FROM shard GROUP BY 1").fetchall() == [
                ("collected", SHARDS)
            ]
            assert db.execute("SELECT outcome, count(*) FROM attempt GROUP BY 1").fetchall() == [
                ("answered", COUNT)
            ]
        assert litter(folder) == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [("find_batch", 1), ("write", 2)], ids=["find_batch", "adopted"])
def test_a_run_killed_again_while_it_looks_for_its_batch_finds_it_the_next_time(
    process, undisturbed, tmp_path, step, moment
):
    with OpenAIServer() as server:
        for kill in (("create_batch", 1, "after"), (*step, moment)):
            assert process(server.url, tmp_path, kill) == -signal.SIGKILL
        assert process(server.url, tmp_path, None) == 0
        stats = server.stats()
    assert (tmp_path / "t.jsonl").read_bytes() == undisturbed[0]
    assert (stats["batches"], stats["files"], stats["paid"]) == (SHARDS, SHARDS, COUNT)
