"""An OpenAI endpoint on this machine: fast, reproducible, faulty where a test asks for it.

    with OpenAIServer(faults={"half": 0.1}, seed=1) as server:       # a thread of this process
    with ServerProcess(latency_s=0.05) as server:                    # a process of its own
        client = OpenAI(base_url=server.url, api_key="test", max_retries=0)
        ...
        assert server.stats()["avoidable_payments"] == 0

    python -m tests.openai_server --port 0 --faults '{"drop": 0.1}'  # prints its base URL

An answer depends on the prompt alone. What goes wrong depends on seed, prompt and attempt, so a
run can be repeated, and a request that is sent again meets another fate.
"""

import argparse
import asyncio
import copy
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
REFUSAL = "I'm sorry, but I can't help with that."
# What befalls a request, in three groups. Refused ones are free; the others have been worked on
# and are paid for, even where nobody hears the answer (lost) or can use it (spoiled).
REFUSED = {
    "rate_limit": (429, "Rate limit reached, try again soon.", "rate_limit_exceeded"),
    "rate_limit_bare": (429, "Rate limit reached.", "rate_limit_exceeded"),
    "server_error": (500, "The server had an error.", "server_error"),
    "unavailable": (503, "The engine is overloaded.", "overloaded"),
    "drop": (0, "", ""),
}
LOST = ("drop_after_work", "half", "slow")
SPOILED = ("garbage", "wrong_shape", "refusal", "truncated")
FAULTS = {*REFUSED, *LOST, *SPOILED, "duplicate"}
# What befalls a line of a batch: the first four, and of the above what a body can show.
_LINES = ("drop_lines", "error_lines", "expire", "duplicate_lines")
LINE_FAULTS = (*_LINES, "wrong_shape", "refusal", "truncated")
BATCH_FAULTS = {*_LINES, "fail", "create_then_drop", "upload_then_drop", "garbled_line"}

_JSON = b"application/json"
_dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nauthorization: *bearer ([^\r]*)", re.IGNORECASE)
_BOUNDARY = re.compile(rb'boundary="?([^";\r]+)')
_OPENINGS = "Briefly Clearly Evidently Frankly Indeed Naturally Plainly Surely".split()
_ADJECTIVES = "amber brisk coral dusty early faint green hollow ivory jolly lunar mossy".split()
_NOUNS = "acrobat baker canoe dentist engine falcon glacier hammock jury kettle ladder".split()
_VERBS = "avoids borrows carries dreads examines follows greets hides ignores juggles".split()


@dataclass(kw_only=True)
class Settings:
    """How the server behaves. All of it may be changed while a server in a thread runs.

    Attributes:
        faults: Probability by kind (`FAULTS`); they must not sum to more than 1. In batches, only
            what spoils an answer counts.
        batch_faults: `drop_lines`, `error_lines`, `expire`, `duplicate_lines`: the probability of
            that for each line. `create_then_drop`, `upload_then_drop`, `garbled_line`: how many
            times it happens. `fail`: a list of error codes, one for each batch to come.
        batch_polls: How often a batch is retrieved before it is ready.
        unknown_model: The name of a model which the server does not have.
    """

    faults: dict[str, float] = field(default_factory=dict)
    batch_faults: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    latency_s: float = 0.0
    slow_s: float = 2.0
    retry_after_s: float = 0.05
    batch_polls: int = 1
    batch_max_lines: int = 50_000
    batch_max_bytes: int = 200_000_000
    api_key: str | None = None
    unknown_model: str | None = None
    insufficient_quota: bool = False
    supports_system: bool = True
    supports_schema: bool = True
    supports_n: bool = True
    only_max_completion_tokens: bool = False
    usage: bool = True

    def __post_init__(self) -> None:
        unknown = (self.faults.keys() - FAULTS) | (self.batch_faults.keys() - BATCH_FAULTS)
        if unknown:
            raise ValueError(f"unknown {sorted(unknown)}; known: {sorted(FAULTS | BATCH_FAULTS)}")


@dataclass(slots=True)
class Reply:
    """What goes over the wire, and how. `paid` is the key of the request that it is paid for."""

    wire: bytes
    delay_s: float = 0.0
    close: bool = False
    paid: bytes | None = None
    complete: bool = True


class Prompt:
    """What a request asks: the key that tells it from others, its length, the sentence."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        if "messages" in request:
            parts = [(m["role"], _content(m["content"])) for m in request["messages"]]
        else:
            parts = [("prompt", request["prompt"])]
        last = next((text for role, text in reversed(parts) if role == "user"), parts[-1][1])
        blob = "\x1e".join([f"{role}\x1f{text}" for role, text in parts]).encode()
        self.key = blake2b(blob, digest_size=16).digest()
        self.tokens = _tokens("".join([text for _, text in parts]))
        _, mark, tail = last.rpartition("Input:")
        self.sentence = tail.partition("\n")[0].strip() if mark else last
        # A prompt for annotations may speak of scores, too; its last word is the sentence.
        self.wants_score = not mark and any("0 to 5" in text for _, text in parts)


class Counters:
    """What was asked and what was paid. By 16-byte key, small numbers only."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.in_flight = self.peak_in_flight = 0
        self.attempts: dict[bytes, int] = {}
        self.paid: dict[bytes, int] = {}
        self.lost: Counter[bytes] = Counter()
        self.spoiled: Counter[bytes] = Counter()

    def attempt(self, key: bytes) -> int:
        """Number of this attempt at a request, from 1."""
        self.attempts[key] = number = self.attempts.get(key, 0) + 1
        return number

    def pay(self, key: bytes, usage: Mapping[str, int], kind: str) -> None:
        self.paid[key] = self.paid.get(key, 0) + 1
        self.totals["tokens_in"] += usage["prompt_tokens"]
        self.totals["tokens_out"] += usage["completion_tokens"]
        if kind in SPOILED:
            self.spoiled[key] += 1

    def deliver(self, key: bytes, *, arrived: bool) -> None:
        self.totals["delivered" if arrived else "undelivered"] += 1
        if not arrived:
            self.lost[key] += 1

    def report(self) -> dict[str, Any]:
        names = ("requests", "tokens_in", "tokens_out", "delivered", "undelivered")
        twice = {key: n for key, n in self.paid.items() if n > 1}
        return {
            **{name: self.totals[name] for name in (*names, "files", "batches")},
            "outcomes": dict(self.outcomes),
            "peak_in_flight": self.peak_in_flight,
            "distinct": len(self.attempts),
            "paid": sum(self.paid.values()),
            "distinct_paid": len(self.paid),
            "max_paid": max(self.paid.values(), default=0),
            "extra_payments": sum(twice.values()) - len(twice),
            # Those that neither a lost nor a spoiled answer explains.
            "avoidable_payments": sum(
                max(0, n - 1 - self.lost[key] - self.spoiled[key]) for key, n in twice.items()
            ),
            "paid_more_than_once": {
                key.hex(): {"paid": n, "lost": self.lost[key], "spoiled": self.spoiled[key]}
                for key, n in twice.items()
            },
        }


class Api:
    """From a request to its reply. Knows nothing of sockets."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.counters = Counters()
        self._folder = folder
        self._files: dict[str, dict[str, Any]] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._polls: Counter[str] = Counter()

    def handle(self, method: str, target: str, head: bytes, body: bytes) -> Reply:
        if target == "/stats":
            for batch in self._batches.values():  # they go on while nobody looks
                self._finish(batch)
            return self._reply(200, self.counters.report())
        self.counters.totals["requests"] += 1
        expected = self.settings.api_key
        found = _KEY.search(head)
        sent = found[1].decode() if found else ""
        if expected is not None and sent != expected:
            return self._error(401, f"Incorrect API key provided: {sent}.", "invalid_api_key")
        try:
            if method == "POST" and target in COMPLETIONS:
                return self._complete(target, body)
            return self._route(method, target, head, body)
        except FileNotFoundError as error:
            return self._error(404, f"No such object: {error}", "not_found")
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            return self._error(400, f"Malformed request: {error!r}", None)

    def _complete(self, target: str, body: bytes) -> Reply:
        request = json.loads(body)
        prompt = Prompt(request)
        if objection := self._objection(request):
            self.counters.outcomes["rejected"] += 1
            return self._error(*objection)
        settings, key = self.settings, prompt.key
        kind = self._pick(settings.faults, key, self.counters.attempt(key)) or "ok"
        self.counters.outcomes[kind] += 1
        if kind == "drop":
            return Reply(b"", close=True)
        if kind in REFUSED:
            wait = b"retry-after: %g\r\n" % settings.retry_after_s if kind == "rate_limit" else b""
            reply = self._error(*REFUSED[kind], extra=wait)
        else:
            content, usage = self._answer(target, request, prompt, kind)
            self.counters.pay(key, usage, kind)
            reply = self._reply(200, content)
            reply.paid, reply.complete = key, kind not in ("half", "drop_after_work")
            if kind == "garbage":
                html = key[0] % 2  # half of them say that they are JSON
                reply.wire = _wire(200, b"<p>Bad gateway</p>", what=b"text/html" if html else _JSON)
            elif kind == "duplicate":
                reply.wire, reply.close = reply.wire * 2, True
            elif not reply.complete:
                body_at = reply.wire.index(b"\r\n\r\n") + 4
                size = (body_at + len(reply.wire)) // 2 if kind == "half" else 0
                reply.wire, reply.close = reply.wire[:size], True
        reply.delay_s = settings.latency_s + (settings.slow_s if kind == "slow" else 0.0)
        return reply

    def _objection(self, request: Mapping[str, Any]) -> tuple[int, str, str] | None:
        """Why a well-formed request is turned down, if it is: status, message, code."""
        settings, model = self.settings, request["model"]
        if settings.insufficient_quota:
            return 429, "You exceeded your current quota.", "insufficient_quota"
        if model == settings.unknown_model:
            return 404, f"The model `{model}` does not exist.", "model_not_found"
        roles = {message["role"] for message in request.get("messages", ())}
        if not settings.supports_system and "system" in roles:
            return 400, "Unsupported value: 'system' role.", "unsupported_value"
        if not settings.supports_schema and "response_format" in request:
            return 400, "Unsupported parameter: 'response_format'.", "unsupported_parameter"
        if settings.only_max_completion_tokens and "max_tokens" in request:
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead."
            )
            return 400, message, "unsupported_parameter"
        return None

    def _answer(
        self, target: str, request: Mapping[str, Any], prompt: Prompt, kind: str
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """The body of a reply, and its usage (which the body may leave out)."""
        chat = target == COMPLETIONS[0]
        shape = (request.get("response_format") or {}).get("type", "text")
        count = request.get("n") or 1 if self.settings.supports_n else 1
        texts = [_answer_text(prompt, number, shape, kind) for number in range(count)]
        finish = "length" if kind == "truncated" else "stop"
        choices: list[dict[str, Any]] = [
            {"index": i, "message": {"role": "assistant", "content": text, "refusal": None}}
            if chat
            else {"index": i, "text": text}
            for i, text in enumerate(texts)
        ]
        for choice in choices:
            choice |= {"logprobs": None, "finish_reason": finish}
        spent = sum(map(_tokens, texts))
        usage = {
            "prompt_tokens": prompt.tokens,
            "completion_tokens": spent,
            "total_tokens": prompt.tokens + spent,
        }
        content = {
            "id": f"cmpl-{prompt.key.hex()}-{self.counters.attempts[prompt.key]}",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": f"{request['model']}-2026-01-01",
            "choices": choices,
            "system_fingerprint": "fp_loopback",
        }
        if self.settings.usage:
            content["usage"] = usage
        if kind == "wrong_shape":
            nothing = {"index": 0, "message": None, "text": None, "finish_reason": "stop"}
            wrong = ({"object": content["object"]}, {"choices": []}, {"choices": [nothing]})
            content = wrong[prompt.key[0] % 3]
        return content, usage

    def _route(self, method: str, target: str, head: bytes, body: bytes) -> Reply:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match method, *url.path.removeprefix("/v1/").split("/"):
            case "GET", "models":
                model = {"id": "loopback", "object": "model", "created": 0, "owned_by": "tests"}
                return self._reply(200, {"object": "list", "data": [model]})
            case "POST", "files":
                return self._upload(_form(head, body))
            case "GET", "files":
                return self._page(self._files, query, default=10_000)
            case "GET", "files", name:
                return self._reply(200, _find(self._files, name))
            case "GET", "files", name, "content":
                path = self._folder / _find(self._files, name)["id"]
                return Reply(_wire(200, path.read_bytes(), what=b"application/octet-stream"))
            case "POST", "batches":
                return self._create_batch(json.loads(body))
            case "GET", "batches":
                return self._page(self._batches, query, default=20)
            case "GET", "batches", name:
                return self._reply(200, self._poll(_find(self._batches, name)))
            case "POST", "batches", name, "cancel":
                return self._cancel(_find(self._batches, name))
        return self._error(404, f"Unknown request URL: {method} {url.path}", "unknown_url")

    def _page(self, items: dict[str, Any], query: dict[str, str], *, default: int) -> Reply:
        """Newest first; `after` names the last item of the page before."""
        names = list(reversed(items))
        start = names.index(query["after"]) + 1 if "after" in query else 0
        purpose = query.get("purpose")
        found = [items[n] for n in names[start:] if purpose in (None, items[n].get("purpose"))]
        limit = int(query.get("limit", default))
        content = {"object": "list", "data": found[:limit], "has_more": len(found) > limit}
        return self._reply(200, content)

    def _upload(self, form: dict[str, tuple[str, memoryview]]) -> Reply:
        filename, content = form["file"]
        self.counters.totals["files"] += 1
        stored = self._store(filename, bytes(form["purpose"][1]).decode(), [content])
        return self._reply_or_drop("upload_then_drop", stored)

    def _store(self, filename: str, purpose: str, chunks: list[Any]) -> dict[str, Any]:
        name = f"file-{len(self._files) + 1}"
        with (self._folder / name).open("wb") as f:
            f.writelines(chunks)
            size = f.tell()
        self._files[name] = {
            "id": name,
            "object": "file",
            "bytes": size,
            "created_at": int(time.time()),
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
        }
        return self._files[name]

    def _create_batch(self, request: Mapping[str, Any]) -> Reply:
        _find(self._files, request["input_file_id"])
        if request["endpoint"] not in COMPLETIONS or request["completion_window"] != "24h":
            raise ValueError("endpoint or completion_window")
        self.counters.totals["batches"] += 1
        name = f"batch_{len(self._batches) + 1}"
        empty = dict.fromkeys(("errors", "output_file_id", "error_file_id"))
        self._batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": request["endpoint"],
            "input_file_id": request["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "created_at": int(time.time()),
            "metadata": request.get("metadata"),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            **empty,
        }
        return self._reply_or_drop("create_then_drop", self._batches[name])

    def _poll(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch as it is now. It gets on whenever it is retrieved."""
        self._polls[batch["id"]] += 1
        if batch["status"] == "cancelling":
            batch["status"] = "cancelled"
        elif batch["status"] == "validating":
            self._validate(batch)
        if self._polls[batch["id"]] > self.settings.batch_polls:
            self._finish(batch)
        return batch

    def _validate(self, batch: dict[str, Any]) -> None:
        codes = self.settings.batch_faults.get("fail")
        error = (codes.pop(0), None) if codes else self._batch_error(batch)
        batch["status"] = "failed" if error else "in_progress"
        if error:
            code, line = error
            data = [{"code": code, "message": f"Failed: {code}.", "param": None, "line": line}]
            batch["errors"] = {"object": "list", "data": data}

    def _batch_error(self, batch: dict[str, Any]) -> tuple[str, int | None] | None:
        """Code and line of what is wrong with a batch's input, if anything is."""
        path = self._folder / batch["input_file_id"]
        if path.stat().st_size > self.settings.batch_max_bytes:
            return "file_too_large", None
        names: set[str] = set()
        models: set[str] = set()
        number = 0
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    item = json.loads(line)
                    name, url, model = item["custom_id"], item["url"], item["body"]["model"]
                    Prompt(item["body"])
                except (ValueError, KeyError, TypeError):
                    return "invalid_json_line", number
                models.add(model)
                for wrong, code in (
                    (number > self.settings.batch_max_lines, "too_many_tasks"),
                    (name in names, "duplicate_custom_id"),
                    (url != batch["endpoint"], "mismatched_url"),
                    (len(models) > 1, "mismatched_model"),
                ):
                    if wrong:
                        return code, number
                names.add(name)
        batch["request_counts"]["total"] = number
        return None if number else ("empty_file", None)

    def _cancel(self, batch: dict[str, Any]) -> Reply:
        """Stop a batch. What it had begun is cut short: half of its lines are answered."""
        if batch["status"] not in ("validating", "in_progress"):
            return self._error(409, f"Cannot cancel: {batch['status']}.", "invalid_state")
        if batch["status"] == "in_progress":
            self._work(batch, {"expire": 0.5}, "batch_cancelled")
        batch["status"] = "cancelling"
        return self._reply(200, batch)

    def _finish(self, batch: dict[str, Any]) -> None:
        if batch["status"] == "validating":
            self._validate(batch)
        if batch["status"] == "in_progress":
            faults = self.settings.faults | self.settings.batch_faults
            chances = {kind: faults[kind] for kind in LINE_FAULTS if kind in faults}
            expired = self._work(batch, chances, "batch_expired")
            batch["status"] = "expired" if expired else "completed"
            batch[f"{batch['status']}_at"] = int(time.time())

    def _work(self, batch: dict[str, Any], chances: dict[str, float], late: str) -> bool:
        """Answer a batch's lines into its two files. Was any of them too late?"""
        good: list[bytes] = []
        bad: list[bytes] = []
        outcomes: Counter[str] = Counter()
        garble = self._once("garbled_line")
        with (self._folder / batch["input_file_id"]).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                request = json.loads(line)
                prompt = Prompt(request["body"])
                attempt = self.counters.attempt(prompt.key)
                kind = self._pick(chances, prompt.key, attempt) or "ok"
                status, content, error = 200, {}, None
                if kind == "expire":
                    error = {"code": late, "message": "This request was not executed in time."}
                elif kind == "error_lines":
                    status, content = 500, _problem("The server had an error.", "server_error")
                elif objection := self._objection(request["body"]):
                    kind, status, content = "rejected", objection[0], _problem(*objection[1:])
                elif kind != "drop_lines":
                    content, usage = self._answer(batch["endpoint"], request["body"], prompt, kind)
                    self.counters.pay(prompt.key, usage, kind)
                    self.counters.deliver(prompt.key, arrived=not garble)
                outcomes[f"batch_{kind}"] += 1
                if kind == "drop_lines":
                    continue
                name = f"{batch['id']}_{number}"
                response = {"status_code": status, "request_id": f"req_{name}", "body": content}
                done = {
                    "id": f"batch_req_{name}",
                    "custom_id": request["custom_id"],
                    "response": None if error else response,
                    "error": error,
                }
                row = _dump(done).encode() + b"\n"
                if error or status != 200:
                    bad.append(row)
                elif garble:
                    good.append(row[: len(row) // 2] + b"\n")
                    garble = False
                else:
                    good += [row] * (2 if kind == "duplicate_lines" else 1)
        self.counters.outcomes += outcomes
        batch["request_counts"] |= {
            "completed": outcomes.total() - outcomes["batch_drop_lines"] - len(bad),
            "failed": len(bad),
        }
        random.Random(f"{self.settings.seed} {batch['id']}").shuffle(good)
        for kind, rows in (("output", good), ("error", bad)):
            if rows:
                stored = self._store(f"{batch['id']}_{kind}.jsonl", "batch_output", rows)
                batch[f"{kind}_file_id"] = stored["id"]
        return outcomes["batch_expire"] > 0

    def _pick(self, chances: Mapping[str, float], key: bytes, attempt: int) -> str | None:
        """Which of several things happens, if any: the same for the same key and attempt."""
        if not chances:
            return None
        salt = b"%d %d" % (self.settings.seed, attempt)
        luck = int.from_bytes(blake2b(key + salt, digest_size=8).digest(), "big") / 2**64
        for kind, chance in chances.items():
            luck -= chance
            if luck < 0:
                return kind
        return None

    def _once(self, kind: str) -> bool:
        left = self.settings.batch_faults.get(kind, 0)
        if left:
            self.settings.batch_faults[kind] = left - 1
        return bool(left)

    def _reply_or_drop(self, kind: str, content: Any) -> Reply:
        return Reply(b"", close=True) if self._once(kind) else self._reply(200, content)

    def _reply(self, status: int, content: Any, extra: bytes = b"") -> Reply:
        extra += b"x-request-id: req_%d\r\n" % self.counters.totals["requests"]
        return Reply(_wire(status, _dump(content).encode(), extra=extra))

    def _error(self, status: int, message: str, code: str | None, extra: bytes = b"") -> Reply:
        return self._reply(status, _problem(message, code), extra)


def _problem(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def _wire(status: int, body: bytes, *, extra: bytes = b"", what: bytes = _JSON) -> bytes:
    return b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n%s" % (
        status,
        HTTPStatus(status).phrase.encode(),
        what,
        len(body),
        extra,
        body,
    )


def request_key(request: Mapping[str, Any]) -> str:
    """The name under which a request (its `messages` or `prompt`) appears in the counters."""
    return Prompt(request).key.hex()


def _content(content: str | list[dict[str, str]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)


def _answer_text(prompt: Prompt, number: int, shape: str, kind: str) -> str:
    """The answer in choice `number`: a score, or two texts, in words or as JSON."""
    if kind == "refusal":
        return REFUSAL
    luck = int.from_bytes(
        blake2b(f"{number} {prompt.sentence}".encode(), digest_size=16).digest(), "big"
    )
    if prompt.wants_score:
        score = luck % 51 / 10
        text = str(score) if shape == "text" else _dump({"score": score})
    else:
        similar, dissimilar = _sentences(prompt.sentence, luck)
        text = f"1. {similar}\n2. {dissimilar}"
        if shape != "text":
            text = _dump({"similar": similar, "dissimilar": dissimilar})
        if kind == "truncated":
            return text[: len(text) - len(dissimilar) // 2]
    return text[: len(text) // 2] if kind == "truncated" else text


def _sentences(sentence: str, luck: int) -> tuple[str, str]:
    """One with two thirds of the sentence's words, back to front, and one that has none of them."""

    def pick(words: Sequence[Any]) -> Any:
        nonlocal luck
        luck, index = divmod(luck, len(words))
        return words[index]

    def thing() -> str:
        return f"{pick(_ADJECTIVES)} {pick(_NOUNS)}"

    words = [word.strip(".,;:?!\"'()").lower() for word in sentence.split()]
    kept = [word for index, word in enumerate(words) if index % 3] or words
    said = f"as {pick(_NOUNS)} number {pick(range(999_983))} says"
    similar = f"{pick(_OPENINGS)}, {' '.join(reversed(kept))}, {said}."
    place = f"near {pick(_NOUNS)} number {pick(range(999_983))}"
    dissimilar = f"One {thing()} {pick(_VERBS)} some {thing()} and {pick(_VERBS)} it {place}."
    return similar, dissimilar


def _find(items: dict[str, Any], name: str) -> Any:
    if name not in items:
        raise FileNotFoundError(name)
    return items[name]


def _form(head: bytes, body: bytes) -> dict[str, tuple[str, memoryview]]:
    """The fields of a multipart form: file name (empty for a plain field) and content."""
    mark = b"--" + _BOUNDARY.search(head)[1]
    fields = {}
    start = len(mark) + 2
    while (end := body.find(b"\r\n" + mark, start)) >= 0:
        content_at = body.index(b"\r\n\r\n", start) + 4
        names = dict(re.findall(r'(name|filename)="([^"]*)"', body[start:content_at].decode()))
        content = memoryview(body)[content_at:end]
        fields[names["name"]] = (names.get("filename", ""), content)
        start = end + len(mark) + 4
    return fields


class _Connection(asyncio.Protocol):
    """One client's connection: requests with a Content-Length, one after the other."""

    def __init__(self, api: Api, connections: set["_Connection"]) -> None:
        self._api = api
        self._connections = connections
        self._buffer = bytearray()
        self._reply: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._settle(arrived=False)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if self._reply is not None or end < 0:
            return
        head = bytes(self._buffer[:end])
        length = _LENGTH.search(head)
        body_at, stop = end + 4, end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < stop:
            return
        body = bytes(self._buffer[body_at:stop])
        del self._buffer[:stop]
        method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
        self._reply = self._api.handle(method, target, head, body)
        counters = self._api.counters
        counters.in_flight += 1
        counters.peak_in_flight = max(counters.peak_in_flight, counters.in_flight)
        if self._reply.delay_s:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._reply.delay_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        reply = self._reply
        if reply is None or self.transport.is_closing():
            return  # connection_lost settles it
        self.transport.write(reply.wire)
        self._settle(arrived=reply.complete)
        if reply.close:
            self.transport.close()
        elif self._buffer:
            self._next()

    def _settle(self, *, arrived: bool) -> None:
        """Count what became of the reply, once."""
        if self._reply is not None:
            self._api.counters.in_flight -= 1
            if self._reply.paid is not None:
                self._api.counters.deliver(self._reply.paid, arrived=arrived)
            self._reply = None


class _Client:
    url: str

    def stats(self) -> dict[str, Any]:
        """The server's counters, at this moment."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request("GET", "/stats")
            return json.load(connection.getresponse())
        finally:
            connection.close()


class OpenAIServer(_Client):
    """The server in a thread of this process. `settings` may be changed while it runs."""

    def __init__(self, *, port: int = 0, **settings: Any) -> None:
        self.settings = Settings(**copy.deepcopy(settings))
        self._port = port
        self._started: Future[str] = Future()

    async def serve(self) -> None:
        """Serve until `stop` is called."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        connections: set[_Connection] = set()
        with tempfile.TemporaryDirectory() as folder:
            api = Api(self.settings, Path(folder))
            server = await self._loop.create_server(
                lambda: _Connection(api, connections), "127.0.0.1", self._port, backlog=1024
            )
            port = server.sockets[0].getsockname()[1]
            self._started.set_result(f"http://127.0.0.1:{port}/v1")
            await self._stopped.wait()
            server.close()
            for connection in connections:
                connection.transport.abort()
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    def _run(self) -> None:
        try:
            asyncio.run(self.serve())
        except OSError as error:  # the port is taken
            self._started.set_exception(error)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        self.url = self._started.result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=10)


class ServerProcess(_Client):
    """The server in a process of its own, for load that would fight it for the interpreter."""

    def __init__(self, *, port: int = 0, **settings: Any) -> None:
        words = ["--port", str(port), "--settings", json.dumps(asdict(Settings(**settings)))]
        self._command = [sys.executable, "-m", "tests.openai_server", *words]

    def __enter__(self) -> Self:
        folder = Path(__file__).parent.parent
        self.process = subprocess.Popen(
            self._command, cwd=folder, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()


def main() -> None:
    """Serve until interrupted; the first line of output is the base URL."""
    parser = argparse.ArgumentParser(prog="python -m tests.openai_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=json.loads, default={}, help="probability by kind, JSON")
    parser.add_argument("--settings", type=json.loads, default={}, help="all others, JSON")
    words = parser.parse_args()
    settings = words.settings | ({"faults": words.faults} if words.faults else {})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with OpenAIServer(port=words.port, **settings) as server:
        print(server.url, flush=True)
        Event().wait()


if __name__ == "__main__":
    main()
