"""Unpack an archive of the benchmarks into the local cache: whole, and nowhere else."""

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from simgpt.errors import SimgptError
from simgpt.evaluate.checksums import write_sums
from simgpt.files import sha256_of, staged


def cache_folder() -> Path:
    """Where unpacked benchmarks are kept: beside the hub's cache, so that HF_HOME moves both."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "simgpt"


def unpacked_folder(sha256: str) -> Path:
    """Where the archive with this SHA-256 is unpacked to; each archive has its own."""
    return cache_folder() / f"senteval-{sha256[:16]}"


def unpack_benchmarks(archive: Path) -> Path:
    """Unpack `senteval.tar`, compressed or not; return the folder in SentEval's layout.

    An archive that was unpacked before is not unpacked again. The folder holds a SHA256SUMS by
    which its files are checked from then on.

    Raises:
        SimgptError: it is torn, is no archive, holds no benchmarks, or a member of it is a link, a
            device, or would be written outside the folder; then nothing is written at all.
    """
    folder = unpacked_folder(sha256_of(archive))
    if folder.is_dir():
        return folder
    with staged(folder) as temporary:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _refuse_unsafe(archive, member)
                _refuse_torn(tar)
                tar.extractall(temporary / "unpacked", filter="data")
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SimgptError(f"{archive}: not a sound tar archive ({error})") from error
        # The folder that holds STS and SICK has been called several names over the years.
        found = sorted(temporary.glob("unpacked/**/STS/STSBenchmark"))
        if not found:
            raise SimgptError(f"{archive}: holds no STS/STSBenchmark folder")
        found[0].parent.parent.rename(temporary / "downstream")
        shutil.rmtree(temporary / "unpacked", ignore_errors=True)
        write_sums(temporary)
    return folder


def _refuse_unsafe(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise SimgptError(f"{archive}: member {member.name!r} would be written outside its folder")
    if not (member.isfile() or member.isdir()):
        raise SimgptError(f"{archive}: member {member.name!r} is a link or a device, not a file")


def _refuse_torn(tar: tarfile.TarFile) -> None:
    """A damaged header ends the list of members without a word; a whole archive ends in zeros."""
    stream = tar.fileobj
    assert stream is not None  # noqa: S101 - it is open
    stream.seek(tar.offset)
    end = stream.read(-1)  # to the end, where a compressed stream checks itself
    if len(end) < tarfile.BLOCKSIZE or end.strip(b"\0"):
        raise tarfile.ReadError("it does not end as an archive does")
