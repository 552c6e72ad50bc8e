"""What of the package has changed in meaning since a commit: its definitions, one by one."""

import ast
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What a definition says to people and to type checkers only.
_SILENT = ("annotation", "returns", "type_comment", "kind", "ctx")


def changed_definitions(commit: str, files: Sequence[str]) -> dict[str, str] | None:
    """Definitions that `files` had at `commit` and that the package has no more as they were.

    A definition is a function, a method, a constant, or a class without its methods. Comments,
    docstrings, type annotations and layout do not count, nor does moving one to another file.
    Neither do new ones: where one matters, something that was there before calls it now.

    Args:
        commit: Of the checkout that this package runs from.
        files: Names like `simgpt/train/data.py`, or folders. What did not exist then is passed
            over.

    Returns:
        `file: name` of each, and a digest of what it was and what it is now. None where git does
        not know the commit, as in a shallow clone or in an installed package.
    """
    before = _sources(commit)
    if before is None:
        return None
    now, changed = _present(), {}
    for file, source in before.items():
        if any(file == wanted or file.startswith(f"{wanted}/") for wanted in files):
            for name, digest in _definitions(source):
                if digest not in now.get(name, ()):
                    both = "/".join([digest, *sorted(now.get(name, ["gone"]))])
                    changed[f"{file}: {name}"] = hashlib.sha256(both.encode()).hexdigest()[:12]
    return changed


def has_changed(commit: str, file: Path) -> bool | None:
    """Whether a file of the package is another than at `commit`; None where git cannot tell."""
    held = _git("show", f"{commit}:./{file.relative_to(_PACKAGE).as_posix()}")
    return None if held is None else held != file.read_bytes()


@cache
def _sources(commit: str) -> dict[str, str] | None:
    archive = _git("archive", "--format=tar", "--prefix=simgpt/", commit, ".")
    if archive is None:
        return None
    sources = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.name.endswith(".py") and (file := tar.extractfile(member)) is not None:
                sources[member.name] = file.read().decode("utf-8")
    return sources


@cache
def _present() -> dict[str, set[str]]:
    """What the package defines now: the digests by name, of all files together."""
    found: dict[str, set[str]] = {}
    for path in _PACKAGE.rglob("*.py"):
        for name, digest in _definitions(path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(digest)
    return found


def _git(*arguments: str) -> bytes | None:
    command = ("git", "-C", str(_PACKAGE), *arguments)
    try:
        done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


@cache
def _definitions(source: str) -> list[tuple[str, str]]:
    return [pair for node in ast.parse(source).body for pair in _named(node)]


def _named(node: ast.stmt) -> Iterator[tuple[str, str]]:
    match node:
        case ast.ClassDef():
            methods = [one for one in node.body if isinstance(one, _FUNCTIONS)]
            yield from ((f"{node.name}.{method.name}", _digest(method)) for method in methods)
            node.body = [one for one in node.body if one not in methods]
            yield node.name, _digest(node)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, _digest(node)
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name, _digest(node)


def _digest(node: ast.AST) -> str:
    text = json.dumps(_plain(node))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(node: Any) -> Any:
    """A tree as lists. `ast.dump` writes the same code otherwise in each version of Python."""
    if isinstance(node, ast.AST):
        children = ((name, value) for name, value in ast.iter_fields(node) if name not in _SILENT)
        kept = [[name, _plain(value)] for name, value in children if value not in (None, [])]
        return [type(node).__name__, kept]
    if isinstance(node, list):
        return [_plain(one) for one in _without_docstring(node)]
    return repr(node)


def _without_docstring(body: list[Any]) -> Iterable[Any]:
    return (
        one
        for one in body
        if not (
            isinstance(one, ast.Expr)
            and isinstance(one.value, ast.Constant)
            and isinstance(one.value.value, str)
        )
    )
