"""Checksums of benchmark folders, in the format of coreutils' sha256sum."""

from collections.abc import Iterable
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import read_lines, sha256_of

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """List all files of a new, staged `folder` in its SHA256SUMS."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = (f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path, files: Iterable[Path]) -> None:
    """Compare `files` with the SHA256SUMS of `folder`, where it holds one.

    Raises:
        SimgptError: a file is not listed there, or is not the one that was.
    """
    listing = folder / SUMS
    if not listing.is_file():
        return
    expected = {}
    for _, line in read_lines(listing):
        digest, _, name = line.rstrip("\r\n").partition(" ")
        expected[folder / name[1:]] = digest.lower()  # a blank, or a star for binary mode
    for path in files:
        if path not in expected:
            raise SimgptError(f"{path}: {listing} does not list it")
        found = sha256_of(path) if path.is_file() else "that of no file"
        if found != expected[path]:
            raise SimgptError(
                f"{path}: its SHA-256 is {found}, and {listing} says {expected[path]}; get it "
                f"anew (where {folder} is in the cache, delete it and run the command again)"
            )
