"""The book, built as `make book` builds it."""

import subprocess
import sys

from bs4 import BeautifulSoup


def build(folder):
    """`simgpt book --profile smoke` in a folder that holds the book's sources."""
    return subprocess.run(
        [sys.executable, "-m", "simgpt", "book", "--profile", "smoke"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
    )


def pages_of(folder):
    """The pages of a built book, by their files."""
    html = folder / "_build" / "html"
    own = [*html.glob("book/*.html"), *html.glob("notebooks/*.html"), html / "index.html"]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in own}
