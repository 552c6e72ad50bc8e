import asyncio
import json
import re
import socket
from urllib.parse import urlsplit

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.openai_server import REFUSAL, OpenAIServer, ServerProcess, request_key

SENTENCE = "Three puppies are asleep in a laundry basket."
PROMPT = f"Input: A worked example.\nOutput:\n1. a\n2. b\n\nInput: {SENTENCE}\nOutput:"


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def client(server):
    with client_of(server) as made:
        yield made


def client_of(server, **settings):
    return OpenAI(**{"base_url": server.url, "api_key": "test", "max_retries": 0} | settings)


def request_of(text=PROMPT, **settings):
    return {"model": "mini", "messages": [{"role": "user", "content": text}]} | settings


def ask(client, text=PROMPT, **settings):
    return client.chat.completions.create(**request_of(text, **settings))


def two_texts(completion):
    return re.fullmatch(r"1\. (\S.*)\n2\. (\S.*)", text_of(completion)).groups()


def text_of(completion):
    return completion.choices[0].message.content


def lines_of(*texts, model="mini"):
    rows = [
        {
            "custom_id": text,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": request_of(text, model=model),
        }
        for text in texts
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def create_batch(client, content, **settings):
    file = client.files.create(file=("input.jsonl", content), purpose="batch")
    endpoint = "/v1/chat/completions"
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **settings
    )


def finish(client, batch, polls=2):
    for _ in range(polls):
        batch = client.batches.retrieve(batch.id)
    return batch


def rows_of(client, file_id):
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_a_chat_answer_holds_two_texts_made_from_the_last_input(client):
    reply = ask(client)
    similar, dissimilar = two_texts(reply)
    assert "puppies" in similar
    assert not {"puppies", "asleep", "laundry", "basket"} & set(dissimilar.lower().split())
    assert (reply.model, reply.system_fingerprint) == ("mini-2026-01-01", "fp_loopback")
    spent = -(-len(text_of(reply)) // 4)
    assert reply.usage.prompt_tokens == -(-len(PROMPT) // 4)
    assert reply.usage.completion_tokens == spent
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + spent


def test_the_same_prompt_gets_the_same_answer_from_another_server(client):
    with ServerProcess() as other, client_of(other) as second:
        assert text_of(ask(client)) == text_of(ask(second))
        assert text_of(ask(client)) != text_of(ask(client, "Input: Why do cats purr?"))
        assert other.stats()["paid"] == 1


def test_a_message_without_input_is_the_sentence_and_parts_are_joined(client):
    parts = [{"type": "text", "text": SENTENCE[:9]}, {"type": "text", "text": SENTENCE[9:]}]
    assert text_of(ask(client, SENTENCE)) == text_of(ask(client, parts)) == text_of(ask(client))


def test_json_scores_and_several_choices(client):
    answer = json.loads(text_of(ask(client, response_format={"type": "json_object"})))
    assert (answer["similar"], answer["dissimilar"]) == two_texts(ask(client))
    assert 0 <= float(text_of(ask(client, f"Score from 0 to 5.\nA: {SENTENCE}\nB: Yes."))) <= 5
    assert two_texts(ask(client, f"You know the scale from 0 to 5.\nInput: {SENTENCE}\nOutput:"))
    choices = ask(client, n=3).choices
    assert len({choice.message.content for choice in choices}) == len(choices) == 3


def test_plain_completions_and_models(client):
    reply = client.completions.create(model="mini", prompt=PROMPT)
    assert reply.choices[0].text == text_of(ask(client))
    assert [model.id for model in client.models.list()] == ["loopback"]


def test_the_asynchronous_client_has_many_requests_in_flight():
    async def ask_all(url):
        async with AsyncOpenAI(base_url=url, api_key="test", max_retries=0) as client:
            requests = [request_of(f"Input: Number {i}.") for i in range(20)]
            return await asyncio.gather(*[client.chat.completions.create(**r) for r in requests])

    with OpenAIServer(latency_s=0.2) as server:
        assert len({text_of(reply) for reply in asyncio.run(ask_all(server.url))}) == 20
        assert server.stats()["peak_in_flight"] == 20


@pytest.mark.parametrize(
    ("kind", "error", "paid"),
    [
        ("rate_limit", openai.RateLimitError, False),
        ("rate_limit_bare", openai.RateLimitError, False),
        ("server_error", openai.InternalServerError, False),
        ("unavailable", openai.InternalServerError, False),
        ("drop", openai.APIConnectionError, False),
        ("drop_after_work", openai.APIConnectionError, True),
        ("half", openai.APIConnectionError, True),
        ("slow", openai.APITimeoutError, True),
    ],
)
def test_a_fault_that_loses_the_answer(kind, error, paid):
    with OpenAIServer(faults={kind: 1.0}) as server, client_of(server, timeout=0.3) as client:
        with pytest.raises(error) as caught:
            ask(client)
        if kind.startswith("rate_limit"):
            wait = caught.value.response.headers.get("retry-after")
            assert wait == {"rate_limit": "0.05", "rate_limit_bare": None}[kind]
        client.close()
        assert server.stats()["paid"] == server.stats()["undelivered"] == paid
        server.settings.faults = {}
        with client_of(server) as again:
            ask(again)
        stats = server.stats()
    assert stats["outcomes"] == {kind: 1, "ok": 1}
    assert (stats["delivered"], stats["extra_payments"]) == (1, paid)
    assert stats["avoidable_payments"] == 0
    twice = {request_key(request_of()): {"paid": 2, "lost": 1, "spoiled": 0}} if paid else {}
    assert stats["paid_more_than_once"] == twice


def test_faults_that_spoil_the_answer(server, client):
    def spoiled(kind, text=PROMPT):
        server.settings.faults = {kind: 1.0}
        return ask(client, text)

    assert text_of(spoiled("refusal")) == REFUSAL
    cut = spoiled("truncated")
    assert cut.choices[0].finish_reason == "length"
    server.settings.faults = {}
    whole = text_of(ask(client))
    assert whole.startswith(text_of(cut)) and "\n2. " in text_of(cut) and text_of(cut) != whole

    shapes = {repr(spoiled("wrong_shape", str(i)).choices)[:30] for i in range(20)}
    assert len(shapes) == 3 and {"None", "[]"} < shapes
    garbage = set()
    for i in range(10):
        try:
            garbage.add(spoiled("garbage", str(i)))
        except json.JSONDecodeError as error:
            garbage.add(type(error))
    assert garbage == {"<p>Bad gateway</p>", json.JSONDecodeError}
    assert server.stats()["undelivered"] == 0
    assert server.stats()["avoidable_payments"] == 0


def test_a_duplicated_response_is_paid_once_and_closes_the_connection(server):
    server.settings.faults = {"duplicate": 1.0}
    for _ in range(2):  # a fresh client each: one that is quick may take the copy for its answer
        with client_of(server) as client:
            ask(client)
    stats = server.stats()
    assert (stats["paid"], stats["avoidable_payments"]) == (2, 1)
    host, port = urlsplit(server.url).netloc.split(":")
    with socket.create_connection((host, int(port))) as raw:
        body = json.dumps(request_of()).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        raw.sendall(head.encode() + body)
        data = b"".join(iter(lambda: raw.recv(65536), b""))
    assert data.count(b"HTTP/1.1 200 OK") == 2 and data[: len(data) // 2] * 2 == data


def test_faults_repeat_with_the_seed_and_pass_with_the_attempts():
    def run(seed):
        with (
            OpenAIServer(seed=seed, faults={"server_error": 0.5, "drop": 0.2}) as server,
            client_of(server) as client,
        ):
            tries = {}
            for text in map(str, range(10)):
                for number in range(1, 50):
                    try:
                        ask(client, text)
                    except openai.APIError:
                        continue
                    tries[text] = number
                    break
            assert server.stats()["max_paid"] == 1
            return tries

    assert len(run(1)) == 10 and max(run(1).values()) > 1
    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize(
    ("settings", "request_settings", "error", "words"),
    [
        ({"supports_schema": False}, {"response_format": {"type": "json_object"}}, 400, "format"),
        ({"only_max_completion_tokens": True}, {"max_tokens": 9}, 400, "max_completion_tokens"),
        ({"api_key": "right"}, {}, 401, "provided: test"),
        ({"insufficient_quota": True}, {}, 429, "quota"),
        ({"unknown_model": "mini"}, {}, 404, "does not exist"),
        (
            {"supports_system": False},
            {"messages": [{"role": "system", "content": "x"}]},
            400,
            "sys",
        ),
        ({}, {"messages": [{"role": "user"}]}, 400, "Malformed"),
    ],
)
def test_what_the_server_does_not_support(settings, request_settings, error, words):
    with OpenAIServer(**settings) as server, client_of(server) as client:
        with pytest.raises(openai.APIStatusError, match=words) as caught:
            ask(client, **request_settings)
        assert caught.value.status_code == error
        assert server.stats()["paid"] == 0


def test_n_and_usage_may_be_missing():
    with OpenAIServer(supports_n=False, usage=False) as server, client_of(server) as client:
        reply = ask(client, n=3)
        assert (len(reply.choices), reply.usage) == (1, None)
        assert server.stats()["tokens_out"] > 0


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="hlaf"):
        OpenAIServer(faults={"hlaf": 1.0})


def test_files_come_back_as_they_were_sent(client):
    content = b'{"a": "\xc3\xa9"}\r\n--not-the-boundary\n\n'
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    assert (file.filename, file.purpose, file.bytes) == ("in.jsonl", "batch", len(content))
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == content
    assert [f.id for f in client.files.list(purpose="batch")] == [file.id]
    assert list(client.files.list(purpose="batch_output")) == []
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve("file-9")


def test_a_batch_answers_its_lines_in_another_order(server, client):
    texts = [f"Input: Number {i}." for i in range(30)]
    batch = create_batch(client, lines_of(*texts), metadata={"ours": "1"})
    assert (batch.status, batch.metadata) == ("validating", {"ours": "1"})
    assert client.batches.retrieve(batch.id).status == "in_progress"
    batch = client.batches.retrieve(batch.id)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    assert (batch.request_counts.total, batch.request_counts.completed) == (30, 30)
    rows = rows_of(client, batch.output_file_id)
    assert [row["custom_id"] for row in rows] != texts
    assert sorted(row["custom_id"] for row in rows) == sorted(texts)
    bodies = {row["custom_id"]: row["response"]["body"] for row in rows}
    for text in texts[:3]:
        assert bodies[text]["choices"][0]["message"]["content"] == text_of(ask(client, text))
    stats = server.stats()
    assert (stats["batches"], stats["files"], stats["distinct_paid"]) == (1, 1, 30)
    assert stats["extra_payments"] == stats["avoidable_payments"] == 3


def test_batches_are_listed_page_by_page_newest_first(client):
    made = [create_batch(client, lines_of("a")).id for _ in range(5)]
    page = client.batches.list(limit=2)
    assert [batch.id for batch in page.data] == made[:2:-1]
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "empty_file", None),
        (lines_of("a") + b"{\n", "invalid_json_line", 2),
        (lines_of("a", "a"), "duplicate_custom_id", 2),
        (lines_of("a") + lines_of("b", model="other"), "mismatched_model", 2),
        (lines_of("a", "b", "c", "d"), "too_many_tasks", 4),
        (lines_of("a" * 500), "file_too_large", None),
    ],
)
def test_a_batch_that_breaks_the_rules_fails(content, code, line):
    limits = {"batch_max_lines": 3, "batch_max_bytes": 700}
    with OpenAIServer(**limits) as server, client_of(server) as client:
        batch = finish(client, create_batch(client, content))
        assert (batch.status, batch.output_file_id) == ("failed", None)
        assert [(error.code, error.line) for error in batch.errors.data] == [(code, line)]
        assert server.stats()["paid"] == 0


def test_lines_of_a_batch_go_missing_fail_or_come_too_late():
    texts = [f"Input: Number {i}." for i in range(60)]
    faults = dict.fromkeys(("drop_lines", "error_lines", "expire", "duplicate_lines"), 0.2)
    with OpenAIServer(batch_faults=faults, batch_polls=0) as server, client_of(server) as client:
        batch = finish(client, create_batch(client, lines_of(*texts)), polls=1)
        good, bad = (rows_of(client, f) for f in (batch.output_file_id, batch.error_file_id))
        stats = server.stats()
    assert batch.status == "expired"
    outcomes = stats["outcomes"]
    names = [row["custom_id"] for row in good]
    assert len(names) - len(set(names)) == outcomes["batch_duplicate_lines"] > 0
    late = [row for row in bad if row["error"]]
    assert {row["error"]["code"] for row in late} == {"batch_expired"}
    assert {row["response"]["status_code"] for row in bad if not row["error"]} == {500}
    assert len(late) == outcomes["batch_expire"] > 0
    assert len(set(names)) + len(bad) + outcomes["batch_drop_lines"] == 60
    assert stats["paid"] == batch.request_counts.completed == len(set(names))


def test_batch_faults_that_happen_once():
    faults = {"create_then_drop": 1, "upload_then_drop": 1, "garbled_line": 1, "fail": ["full"]}
    with OpenAIServer(batch_faults=faults) as server, client_of(server) as client:
        for _ in range(2):  # the upload is dropped, then the creation
            with pytest.raises(openai.APIConnectionError):
                create_batch(client, lines_of("a", "b"))
        (orphan,) = client.batches.list()
        failed = finish(client, orphan)
        assert (failed.status, failed.errors.data[0].code) == ("failed", "full")
        batch = finish(client, create_batch(client, lines_of("a", "b")))
        with pytest.raises(json.JSONDecodeError):
            rows_of(client, batch.output_file_id)
        stats = server.stats()
        assert (stats["files"], stats["batches"]) == (3, 2)
        assert (stats["delivered"], stats["undelivered"]) == (1, 1)


def test_a_batch_nobody_watches_is_paid_all_the_same(server, client):
    create_batch(client, lines_of("a", "b"))
    assert server.stats()["paid"] == 2


def test_a_cancelled_batch_keeps_what_was_done(server, client):
    early, late = (create_batch(client, lines_of(*map(str, range(40)))) for _ in range(2))
    client.batches.retrieve(late.id)
    for batch in (early, late):
        assert client.batches.cancel(batch.id).status == "cancelling"
    early, late = (client.batches.retrieve(batch.id) for batch in (early, late))
    assert {early.status, late.status} == {"cancelled"}
    assert early.output_file_id is None
    done, undone = (rows_of(client, f) for f in (late.output_file_id, late.error_file_id))
    assert {row["error"]["code"] for row in undone} == {"batch_cancelled"}
    assert len(done) + len(undone) == 40 and server.stats()["paid"] == len(done) > 0
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(early.id)
