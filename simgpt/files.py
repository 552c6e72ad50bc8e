"""Files that survive a kill: the only place that opens a final path for writing."""

import csv
import errno
import gzip
import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simgpt.errors import SimgptError

COMPLETE = "COMPLETE"


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write; move it into place when the block ends well.

    Works for a file or, where the block makes one, a folder. Whatever stood at `path` stays until
    the new content is whole, so a kill leaves either the old or the new, never a mixture.

    Raises:
        SimgptError: the disk is full or the place cannot be written.
    """
    # The ending stays last: writers go by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if temporary.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a failed write at `path` raises into one sentence.

    safetensors and torch raise errors of their own, with the system's in the text or not at all.

    Raises:
        SimgptError: the disk is full or the place cannot be written.
    """
    try:
        yield
    except SimgptError:
        raise
    except OSError as error:
        raise _unwritable(path, error.errno, error) from error
    except Exception as error:
        code = re.search(r"os error (\d+)", str(error))
        if code is None and not _is_full(path):
            raise
        raise _unwritable(path, int(code[1]) if code else errno.ENOSPC, error) from error


def _unwritable(path: Path, code: int | None, error: Exception) -> SimgptError:
    if code in (errno.ENOSPC, errno.EDQUOT):
        return SimgptError(f"{path}: the disk is full; free some space and run the command again")
    return SimgptError(f"{path}: cannot be written ({os.strerror(code) if code else error})")


def _is_full(path: Path) -> bool:
    folder = next(place for place in (path, *path.absolute().parents) if place.is_dir())
    return shutil.disk_usage(folder).free < 1 << 20


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with staged(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        SimgptError: the file is missing, is not UTF-8, or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise SimgptError(f"{path}, line {error.lineno}: not valid JSON ({error.msg})") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a file of one JSON object a line: line number and object; empty lines are skipped.

    Raises:
        SimgptError: as `read_lines`, or a line is not a JSON object; file and line are named.
    """
    for line, text in read_lines(path):
        if not text.strip():
            continue
        try:
            row = json.loads(text.removesuffix("\n"))
        except json.JSONDecodeError as error:
            raise SimgptError(f"{path}, line {line}: not valid JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise SimgptError(f"{path}, line {line}: not a JSON object")
        if "\\ud" in text.lower() and not _is_text(row):
            raise SimgptError(f"{path}, line {line}: holds half a character (\\ud8.. on its own)")
        yield line, row


def _is_text(content: Any) -> bool:
    """Can it be written as UTF-8? JSON's escapes can name halves of characters."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_csv(path: Path, *, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Read a CSV file: the line on which each row ends, and its cells.

    Every cell is text as it stands: "NA" and "null" are words here, not missing values. A quoted
    cell may hold line breaks.

    Raises:
        SimgptError: as `read_lines`, or the file is not valid CSV; file and line are named.
    """
    table = csv.reader((text for _, text in read_lines(path)), delimiter=delimiter, strict=True)
    try:
        for cells in table:
            yield table.line_num, cells
    except csv.Error as error:
        raise SimgptError(f"{path}, line {table.line_num}: not valid CSV ({error})") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Read a UTF-8 file, or its .gz, a line at a time: line number, and the line with its "\n".

    However long the file, one line is in memory. A byte-order mark is dropped.

    Raises:
        SimgptError: the file is missing, is a folder or cannot be read, a .gz is torn, or a line is
            not UTF-8.
    """
    line = 0
    try:
        # In binary, so that nothing but "\n" ends a line: sentences may hold U+2028 or U+0085.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line, raw in enumerate(file, start=1):
                yield line, raw.decode("utf-8-sig" if line == 1 else "utf-8")
    except FileNotFoundError as error:
        raise SimgptError(f"{path}: no such file") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SimgptError(f"{path}: not a whole gzip file ({error})") from error
    except OSError as error:
        raise SimgptError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SimgptError(
            f"{path}, line {line}: not UTF-8; save the file as UTF-8 and try again"
        ) from error


def read_text(path: Path) -> str:
    """Read a small UTF-8 file whole.

    Raises:
        SimgptError: as `read_lines`.
    """
    return "".join(text for _, text in read_lines(path))


def sha256_of(*paths: Path) -> str:
    """Hex SHA-256 over the contents of `paths`, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
