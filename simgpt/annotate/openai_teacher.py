"""A live teacher behind the OpenAI protocol: OpenAI itself, vLLM, Ollama, llama.cpp, ..."""

import json
import os
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from simgpt.annotate.attempts import Outcome
from simgpt.annotate.parsing import AnswerError, parse_answer
from simgpt.annotate.prompting import AnswerForm, Message
from simgpt.annotate.requests import STOP, Answer, Api, Request
from simgpt.annotate.teachers import CallError
from simgpt.errors import SimgptError

if TYPE_CHECKING:  # importing it takes a second
    from openai import AsyncOpenAI

OPENAI_URL = "https://api.openai.com/v1"
TIMEOUT_S = 120.0

_TRIPLET_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "annotation",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"similar": {"type": "string"}, "dissimilar": {"type": "string"}},
            "required": ["similar", "dissimilar"],
            "additionalProperties": False,
        },
    },
}
# Small requests that show what a server can do. Each asks for one thing only.
_PROBES: dict[str, dict[str, Any]] = {
    "system": {
        "messages": [
            {"role": "system", "content": "You answer in one word."},
            {"role": "user", "content": "Is water wet?"},
        ]
    },
    "schema": {
        "messages": [
            {
                "role": "user",
                "content": 'Give a JSON object with the keys "similar" and "dissimilar": one '
                "sentence that means the same as: A dog runs. And one that does not.",
            }
        ],
        "response_format": _TRIPLET_SCHEMA,
    },
    "n": {"messages": [{"role": "user", "content": "Name a fruit."}], "n": 2},
}
_PROBE_TOKENS = 80
_RECENT = 256  # replies that are remembered to know one that comes twice
_DETAIL = 300  # characters of what a server says that are kept

_Result = TypeVar("_Result")


class OpenAITeacher:
    """Any model behind the OpenAI protocol, through the official client."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Set up a client; nothing is sent yet.

        Args:
            model: Name of the model as the server knows it.
            base_url: Root of the server's API, as in `http://127.0.0.1:8080/v1`; without it,
                `OPENAI_BASE_URL` or OpenAI itself.
            timeout_s: Seconds after which an answer is given up.

        The key is read from `OPENAI_API_KEY`. A server of one's own may need none.

        Raises:
            SimgptError: there is no key for OpenAI itself, or the address is no http(s) URL.
        """
        self.model = model
        url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SimgptError("the base URL must look like https://host/v1")
        key = os.environ.get("OPENAI_API_KEY")
        if not key and url == OPENAI_URL:
            raise SimgptError(
                "OPENAI_API_KEY is not set; set it, or name a server of your own with --base-url"
            )
        # What is stored and printed: no user, password or query, which may be secrets.
        port = f":{parts.port}" if parts.port else ""
        self.endpoint = f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
        secrets = (key, parts.password, parts.username, parts.query)
        self._secrets = [secret for secret in secrets if secret]
        self.abilities: dict[str, bool] = {}
        self._key, self._url, self._timeout_s = key or "none", url, timeout_s
        self.probes = {name: partial(self._probe, name) for name in _PROBES}
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._clients: list[AsyncOpenAI] = []
        self._idle: list[AsyncOpenAI] = []

    async def ask(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            CallError: there was no answer; the server's words are in it, secrets taken out.
        """
        return self.read(await self._post(request.setup.api, self.body(request)))

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent, adapted to what the server can do."""
        setup = request.setup
        sampling = setup.sampling.given()
        if self.abilities.get("max_completion_tokens"):
            sampling["max_completion_tokens"] = sampling.pop("max_tokens")
        if setup.api is Api.COMPLETIONS:
            return {"model": self.model, "prompt": request.text, "stop": STOP, **sampling}
        messages = request.messages
        if messages[0]["role"] == "system" and not self.abilities.get("system", True):
            messages = _folded(messages)
        body = {"model": self.model, "messages": messages, **sampling}
        if setup.prompt.answer is AnswerForm.JSON and self.abilities.get("schema", True):
            body["response_format"] = _TRIPLET_SCHEMA
        return body

    def read(self, reply: Any) -> Answer:
        """Take the answer out of a reply of the server's.

        Raises:
            CallError: the reply has another shape than the protocol's.
        """
        try:
            choice = reply.choices[0]
            if hasattr(choice, "message"):
                text = choice.message.content or getattr(choice.message, "refusal", None) or ""
            else:
                text = choice.text
            usage = reply.usage
            details = getattr(usage, "prompt_tokens_details", None)
            return Answer(
                text=_as_text(text),
                model=reply.model or "",
                fingerprint=getattr(reply, "system_fingerprint", None) or "",
                finish=choice.finish_reason or "",
                input_tokens=usage and _as_count(usage.prompt_tokens),
                cached_tokens=details and _as_count(details.cached_tokens),
                output_tokens=usage and _as_count(usage.completion_tokens),
            )
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise CallError(
                Outcome.MALFORMED, self.scrub(f"no answer in the reply ({error})")
            ) from error

    async def _probe(self, name: str) -> tuple[Answer, bool]:
        """Find out by one small call whether the server can do `name`; the answer tells."""
        body = {"model": self.model, "max_tokens": _PROBE_TOKENS, **_PROBES[name]}
        if self.abilities.get("max_completion_tokens"):
            body["max_completion_tokens"] = body.pop("max_tokens")
        try:
            reply = await self._post(Api.CHAT, body)
        except CallError as error:
            if error.outcome is Outcome.REJECTED and not error.fatal:
                return Answer(error.detail, input_tokens=0, output_tokens=0), False
            raise
        answer = self.read(reply)
        if name == "n":
            return answer, len(reply.choices) == body["n"]
        if name == "schema":
            return answer, _is_json_answer(answer.text)
        return answer, True

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()
        self._clients, self._idle = [], []

    def scrub(self, text: str) -> str:
        """`text` without key or password: some servers hand back what they were sent."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    async def calling(self, call: "Callable[[AsyncOpenAI], Awaitable[_Result]]") -> _Result:
        """Make one call of the client; whatever it raises becomes a `CallError` without secrets."""
        import openai

        client = self._idle.pop() if self._idle else self._new_client()
        sound = False  # may this connection be used again?
        try:
            result = await call(client)
            self._refuse_a_repeat(result)
            sound = True
            return result
        except openai.APIStatusError as error:
            sound = True
            failure = self._status_error(error)
        except openai.APIConnectionError as error:
            failure = self._connection_error(error)
        except (openai.OpenAIError, ValueError) as error:  # a body that is not JSON
            failure = CallError(Outcome.MALFORMED, self.scrub(str(error))[:_DETAIL])
        finally:
            if sound:
                self._idle.append(client)
            else:
                self._clients.remove(client)
                await client.close()
        # Raised here, it does not carry the client's own error along, which may hold a secret.
        raise failure

    def _new_client(self) -> "AsyncOpenAI":
        """An official client for one call at a time, so that it holds one connection.

        A client with many looks at every idle one before each call, which costs more than the call
        itself. Its own retries are off: every attempt is the ledger's business.
        """
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        client = AsyncOpenAI(
            api_key=self._key,
            base_url=self._url,
            timeout=self._timeout_s,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(verify=_tls()),
        )
        self._clients.append(client)
        return client

    async def _post(self, api: Api, body: dict[str, Any]) -> Any:
        def create(client: "AsyncOpenAI") -> Awaitable[Any]:
            completions = client.chat.completions if api is Api.CHAT else client.completions
            return completions.create(**body)

        try:
            return await self.calling(create)
        except CallError as error:
            if "max_completion_tokens" not in error.detail or "max_tokens" not in body:
                raise
            # Newer models take the limit under this name only.
            self.abilities["max_completion_tokens"] = True
            renamed = {**body, "max_completion_tokens": body["max_tokens"]}
            del renamed["max_tokens"]
            return await self._post(api, renamed)

    def _refuse_a_repeat(self, reply: Any) -> None:
        """Refuse a reply that came before.

        A server or proxy that sends a reply twice leaves the second one in the connection, where
        it would be taken for the answer to the next request.

        Raises:
            CallError: it did come before.
        """
        if not getattr(reply, "choices", None):
            return
        marks = [getattr(reply, name, None) for name in ("_request_id", "id", "created")]
        if not any(marks[:2]):
            return
        mark = hash((*marks, str(reply.choices)))
        if mark in self._recent:
            raise CallError(Outcome.MALFORMED, "the reply to another request came once more")
        self._recent.append(mark)

    def _status_error(self, error: Any) -> CallError:
        status, detail = error.status_code, self.scrub(str(error))[:_DETAIL]
        if status == 429:
            quota = error.code == "insufficient_quota"
            return CallError(
                Outcome.RATE_LIMITED,
                detail,
                retry=not quota,
                fatal=quota,
                retry_after_s=_retry_after(error.response.headers),
            )
        if status >= 500 or status in (408, 409):
            return CallError(
                Outcome.SERVER_ERROR, detail, retry_after_s=_retry_after(error.response.headers)
            )
        return CallError(
            Outcome.REJECTED, detail, retry=False, fatal=status in (401, 403, 404, 405)
        )

    def _connection_error(self, error: Any) -> CallError:
        cause = error.__cause__
        detail = self.scrub(f"{type(cause).__name__}: {cause}".rstrip(": "))[:_DETAIL]
        # Nothing was sent where no connection could be made, so nothing can have been charged.
        if type(cause).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout"):
            return CallError(Outcome.UNREACHABLE, detail)
        timed_out = "Timeout" in type(cause).__name__
        return CallError(Outcome.TIMED_OUT if timed_out else Outcome.DROPPED, detail)


def _is_json_answer(text: str) -> bool:
    try:
        parse_answer(text)
        json.loads(text)
    except (AnswerError, ValueError):
        return False
    return True


@cache
def _tls() -> ssl.SSLContext:
    """The client's own trust settings, loaded once instead of once a connection."""
    import openai

    # openai 3 is built on httpx2, openai 2 on httpx.
    http = import_module("httpx2" if openai.__version__ >= "3" else "httpx")
    context: ssl.SSLContext = http.create_ssl_context()
    return context


def _folded(messages: list[Message]) -> list[Message]:
    """The system message put in front of the first user message."""
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header: a number, or a date."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError):
        return None


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the answer is {value!r}")
    return value


def _as_count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
