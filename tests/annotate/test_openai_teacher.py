"""The live teacher: what it sends, what it makes of replies and errors, what it never tells."""

import asyncio
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from simgpt import SimgptError
from simgpt.annotate import OpenAITeacher, Sampling, load_prompt
from simgpt.annotate.attempts import Outcome
from simgpt.annotate.openai_teacher import _retry_after
from simgpt.annotate.requests import STOP, Api, Setup
from simgpt.annotate.teachers import CallError
from tests.annotate.support import live
from tests.openai_server import OpenAIServer

DOG = "A dog runs along the beach."


def request(teacher, prompt="captions", api=Api.CHAT, **sampling):
    setup = Setup(teacher.endpoint, teacher.model, load_prompt(prompt), Sampling(**sampling), api)
    return setup.request([DOG])


def ask(teacher, *requests):
    async def main():
        try:
            return [await teacher.ask(request) for request in requests]
        finally:
            await teacher.close()

    return asyncio.run(main())


def reply(text="1. a\n2. b", **fields):
    message = SimpleNamespace(content=text, refusal=None)
    usage = SimpleNamespace(prompt_tokens=9, completion_tokens=3, prompt_tokens_details=None)
    content = {
        "choices": [SimpleNamespace(message=message, finish_reason="stop")],
        "model": "m-2026",
        "system_fingerprint": "fp",
        "usage": usage,
        "id": "chatcmpl-1",
        "created": 1,
    }
    return SimpleNamespace(**(content | fields))


@pytest.fixture
def teacher(monkeypatch):
    return live("http://127.0.0.1:1/v1", monkeypatch)


# --- What is sent


def test_sampling_that_is_not_given_is_left_to_the_server(teacher):
    body = teacher.body(request(teacher))
    assert body.keys() == {"model", "messages", "max_tokens"}
    body = teacher.body(request(teacher, temperature=0.0, top_p=0.5, seed=7))
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.0, 0.5, 7)


def test_a_base_model_gets_text_and_is_told_where_to_stop(teacher):
    body = teacher.body(request(teacher, api=Api.COMPLETIONS))
    assert body["prompt"] == load_prompt("captions").render(DOG)
    assert body["stop"] == STOP
    assert "messages" not in body


def test_a_server_without_a_system_role_gets_it_in_the_first_turn(teacher):
    teacher.abilities["system"] = False
    messages = teacher.body(request(teacher, "captions.turns"))["messages"]
    assert [m["role"] for m in messages[:2]] == ["user", "assistant"]
    assert messages[0]["content"].startswith(load_prompt("captions").text[:40])


def test_a_schema_is_sent_for_json_prompts_where_the_server_knows_it(teacher):
    body = teacher.body(request(teacher, "captions.json"))
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["similar", "dissimilar"]
    teacher.abilities["schema"] = False
    assert "response_format" not in teacher.body(request(teacher, "captions.json"))


# --- What comes back


def test_an_answer_carries_what_the_server_says_about_itself(teacher):
    answer = teacher.read(reply())
    assert (answer.text, answer.model, answer.fingerprint) == ("1. a\n2. b", "m-2026", "fp")
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens) == (9, None, 3)


def test_a_reply_without_usage_or_fingerprint_is_an_answer_all_the_same(teacher):
    answer = teacher.read(reply(usage=None, system_fingerprint=None, model=None))
    assert (answer.input_tokens, answer.output_tokens, answer.fingerprint) == (None, None, "")


def test_a_refusal_in_its_own_field_is_the_answer(teacher):
    message = SimpleNamespace(content=None, refusal="I won't.")
    choice = SimpleNamespace(message=message, finish_reason="stop")
    assert teacher.read(reply(choices=[choice])).text == "I won't."


@pytest.mark.parametrize(
    "bad",
    [
        "<html>Bad gateway</html>",
        None,
        reply(choices=None),
        reply(choices=[]),
        reply(choices=[SimpleNamespace(message=None, finish_reason="stop")]),
        reply(text={"similar": "a"}),
    ],
)
def test_a_reply_of_another_shape_is_malformed_and_asked_again(teacher, bad):
    with pytest.raises(CallError) as caught:
        teacher.read(bad)
    assert (caught.value.outcome, caught.value.retry) == (Outcome.MALFORMED, True)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("rate_limit", Outcome.RATE_LIMITED),
        ("server_error", Outcome.SERVER_ERROR),
        ("unavailable", Outcome.SERVER_ERROR),
        ("drop", Outcome.DROPPED),
        ("half", Outcome.DROPPED),
        ("slow", Outcome.TIMED_OUT),
        ("garbage", Outcome.MALFORMED),
        ("wrong_shape", Outcome.MALFORMED),
    ],
)
def test_every_fault_is_called_by_its_name(monkeypatch, fault, outcome):
    with OpenAIServer(faults={fault: 1.0}, slow_s=2.0) as server:
        teacher = live(server.url, monkeypatch, timeout_s=0.3)
        with pytest.raises(CallError) as caught:
            ask(teacher, request(teacher))
    assert caught.value.outcome is outcome
    assert caught.value.retry and not caught.value.fatal
    expected = 0.05 if fault == "rate_limit" else None
    assert caught.value.retry_after_s == expected


def test_no_connection_means_that_nothing_was_sent(teacher):
    with pytest.raises(CallError) as caught:
        ask(teacher, request(teacher))
    assert caught.value.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_its_forms(headers, seconds):
    assert _retry_after(headers) == seconds


def test_retry_after_may_be_a_date():
    header = formatdate(time.time() + 30, usegmt=True)
    assert 28 <= _retry_after({"retry-after": header}) <= 30


def test_a_reply_that_comes_once_more_is_not_taken_for_another_answer(teacher):
    first = reply(_request_id="r1")
    teacher._refuse_a_repeat(first)
    with pytest.raises(CallError, match="once more"):
        teacher._refuse_a_repeat(reply(_request_id="r1"))


def test_servers_that_hand_out_few_ids_are_believed(teacher):
    """Some number their replies from 0 to 999, at random."""
    teacher._refuse_a_repeat(reply("1. a\n2. b"))
    teacher._refuse_a_repeat(reply("1. c\n2. d"))
    teacher._refuse_a_repeat(reply("1. a\n2. b", created=2))
    assert len(teacher._recent) == 3
    for _ in range(2):  # without any name there is nothing to tell replies apart by
        teacher._refuse_a_repeat(reply("1. a\n2. b", id=None))
    assert len(teacher._recent) == 3


def test_replies_sent_twice_never_reach_another_request(monkeypatch):
    prompt = load_prompt("captions")
    with OpenAIServer(faults={"duplicate": 0.5}) as server:
        teacher = live(server.url, monkeypatch)
        setup = Setup(teacher.endpoint, teacher.model, prompt)

        async def main():
            for number in range(200):
                sentence = f"Dog number {number} runs along the beach."
                try:
                    answer = await teacher.ask(setup.request([sentence]))
                except CallError as error:
                    assert error.outcome in (Outcome.MALFORMED, Outcome.DROPPED)
                else:
                    assert f" {number} " in answer.text.partition("\n")[0]
            await teacher.close()

        asyncio.run(main())
        assert server.stats()["outcomes"]["duplicate"] > 50


# --- What is never told


def test_the_address_that_is_stored_has_no_user_password_or_query(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    teacher = OpenAITeacher("m", base_url="https://me:pass@example.org:8443/v1/?token=t")
    assert teacher.endpoint == "https://example.org:8443/v1/"
    for secret in ("me", "pass", "token=t", "sk-1"):
        assert teacher.scrub(f"[{secret}]") == "[***]"


@pytest.mark.parametrize("url", ["example.org/v1", "ftp://example.org", "http://", "https:///v1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(SimgptError, match="must look like https://host/v1"):
        OpenAITeacher("m", base_url=url)


def test_a_wrong_key_is_not_in_the_error_although_the_server_sends_it_back(monkeypatch):
    with OpenAIServer(api_key="right") as server:
        teacher = live(server.url, monkeypatch, key="sk-canary-wrong")
        with pytest.raises(CallError) as caught:
            ask(teacher, request(teacher))
    assert caught.value.fatal
    assert "sk-canary-wrong" not in repr(caught.value) + str(caught.value.__context__)
    assert "***" in caught.value.detail
