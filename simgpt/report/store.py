"""Read results of any kind from files and folders, and refuse what contradicts itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError
from simgpt.files import read_json
from simgpt.report.checks import Kind, kind_of, problems_of
from simgpt.report.results import Measured, Published


@dataclass(frozen=True)
class Compared:
    """One model against another, as `simgpt evaluate compare --output` wrote it."""

    path: Path
    content: dict[str, Any]


@dataclass(frozen=True)
class Store:
    """What was found: evaluations, comparisons, and the paper's rows with where they are from."""

    measured: list[Measured] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


def json_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files as they are named, and all .json files below the folders.

    Raises:
        SimgptError: a path is neither.
    """
    for path in paths:
        if not path.exists():
            raise SimgptError(f"{path}: no such file or folder")
        if path.is_file():
            yield path
        else:
            # A name with a dot in front is what a kill has left of a file.
            yield from (one for one in sorted(path.rglob("*.json")) if one.name[0] != ".")


def read_results(paths: Sequence[Path]) -> Store:
    """Read the results, comparisons and paper's rows among `paths`.

    What a folder holds besides is passed over.

    Raises:
        SimgptError: a file is not JSON or contradicts itself, or one that was named is no result.
    """
    store = Store()
    for path in dict.fromkeys(json_files(paths)):
        content = read_json(path)
        if problems := problems_of(content):
            raise SimgptError(f"{path}: {problems[0]}")
        match kind_of(content):
            case Kind.RESULT:
                store.measured.append(Measured(path, content))
            case Kind.COMPARISON:
                store.compared.append(Compared(path, content))
            case Kind.PAPER:
                store.published.extend(
                    Published(row["model"], row["scores"], row["average"])
                    for row in content["rows"]
                )
                store.sources.append(f"{content['source']} ({content['measure']})")
            case Kind.OTHER if path in paths:
                raise SimgptError(
                    f"{path}: no result; those are written by simgpt evaluate --output"
                )
    return store
