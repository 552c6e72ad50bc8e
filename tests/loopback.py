"""A Hugging Face hub on this machine: enough of its protocol for `hf_hub_download`."""

import hashlib
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_RESOLVE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)")


class LoopbackHub:
    """Serves files of dataset repositories: HEAD says what a file is, GET hands it over.

    Use as a context manager. `files` maps `owner/name/path/in/repository` to content; `etags` says
    what stands for a file's SHA-256 where that is to be wrong; `requests` records method and path
    of what was asked.
    """

    def __init__(self, files: dict[str, bytes], etags: dict[str, str] | None = None) -> None:
        self.files = files
        self.etags = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.etags |= etags or {}
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def run_python(code: str, *, hub: str | None, home: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter whose hub is `hub` (None: offline) and whose cache is `home`.

    The hub's client reads both settings when it is imported, so the tests' own process will not
    do. Proxies and tokens of the machine are left out.
    """
    private = ("proxy", "hf_", "huggingface", "simgpt_", "transformers_")
    environment = {k: v for k, v in os.environ.items() if not any(p in k.lower() for p in private)}
    environment |= {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"HF_HUB_OFFLINE": "1"} if hub is None else {"HF_ENDPOINT": hub}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _handler(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            hub.requests.append((self.command, self.path))
            found = _RESOLVE.fullmatch(self.path.partition("?")[0])
            name = f"{found[1]}/{found[2]}" if found else ""
            content = hub.files.get(name)
            self.send_response(404 if content is None else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            else:
                self.send_header("ETag", f'"{hub.etags[name]}"')
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if with_body:
                self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Keep the tests' output quiet."""

    return Handler
