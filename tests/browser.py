"""A folder as a web server shows it, and Chromium to visit it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Keep the tests' output quiet."""


@contextmanager
def serving(folder) -> Iterator[str]:
    """The address at which `python -m http.server` would show `folder`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium():
    """A running Chromium; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visiting(browser, address, **settings):
    """A page at `address`; its `asked` are the addresses of all requests.

    At the end nothing must have gone wrong in the browser's console, and no other host may have
    been asked.
    """
    context = browser.new_context(**settings)
    context.set_default_timeout(120_000)  # the machine may be busy
    page, wrong = context.new_page(), []
    page.asked = []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.wrong = wrong
    page.goto(address)
    yield page
    context.close()
    assert not wrong, wrong
    home = urlsplit(address).netloc
    foreign = [url for url in page.asked if urlsplit(url).netloc not in (home, "")]
    assert not foreign, foreign
