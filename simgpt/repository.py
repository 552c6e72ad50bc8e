"""Where this repository is published: asked of git, and written down nowhere."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# git@host:owner/name, ssh://git@host/owner/name, https://user:token@host/owner/name; .git or not.
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[^@/]+@)?(?P<host>[\w.-]+\.[a-z]+)(?::\d+)?[:/]"
    r"(?P<path>[\w.-]+(?:/[\w.-]+)*/[\w.-]+?)(?:\.git)?/?"
)


@dataclass(frozen=True)
class Published:
    """A repository as a browser and pip find it.

    Attributes:
        url: As in `https://github.com/owner/name`: no ending, no user, no password.
        branch: The branch that visitors see.
    """

    url: str
    branch: str

    @property
    def on_github(self) -> bool:
        """Whether Colab can open its notebooks."""
        return self.url.startswith("https://github.com/")

    @property
    def install(self) -> str:
        """What a notebook runs to install the package from there."""
        return f"%pip install git+{self.url}@{self.branch}"

    def book_config(self) -> dict[str, Any]:
        """Settings for the book's `_config.yml`: buttons to the source, to Binder and to Colab."""
        launch = {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
        if self.on_github:
            launch["colab_url"] = "https://colab.research.google.com"
        return {
            "repository": {"url": self.url, "branch": self.branch, "path_to_book": ""},
            "html": {"use_repository_button": True, "use_issues_button": True},
            "launch_buttons": launch,
        }


def find_published(root: Path) -> Published | None:
    """Where the checkout at `root` is published, or None where git knows of no such place.

    The place is the remote `origin`. One that is a folder, or on no named host, is none.
    """
    found = _REMOTE.fullmatch(_git(root, "remote", "get-url", "origin"))
    if found is None:
        return None
    head = _git(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    branch = head.removeprefix("origin/") or "main"
    return Published(f"https://{found['host']}/{found['path']}", branch)


def _git(root: Path, *arguments: str) -> str:
    """What git says, or nothing: no git, no repository, no such thing in it."""
    # A book that is built in a folder inside another repository is not that repository's.
    if not (root / ".git").exists():
        return ""
    command = ("git", "-C", str(root), *arguments)
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
