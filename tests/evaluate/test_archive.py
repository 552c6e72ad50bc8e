"""An archive of the benchmarks is unpacked whole, into the cache and nowhere else."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from simgpt import SimgptError
from simgpt.evaluate import Suite
from simgpt.evaluate.archive import unpack_benchmarks
from simgpt.evaluate.benchmarks import find_benchmarks, find_tasks
from simgpt.evaluate.checksums import write_sums
from tests.loopback import LoopbackHub, run_python

HUB_FILE = "princeton-nlp/datasets-for-simcse/senteval.tar"
FIND = "from simgpt.evaluate.benchmarks import find_benchmarks; print(find_benchmarks('auto'))"
STSB = "downstream/STS/STSBenchmark/sts-test.csv"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache; nothing is named in the environment."""
    monkeypatch.delenv("SIMGPT_SENTEVAL", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "simgpt"


def pack(folder, path, mode="w", prefix=""):
    with tarfile.open(path, mode) as tar:
        for name in ("STS", "SICK"):
            tar.add(folder / "downstream" / name, f"{prefix}{name}")
    return path


@pytest.mark.parametrize(
    ("name", "mode", "prefix"),
    [("senteval.tar", "w", ""), ("senteval.tar.gz", "w:gz", "senteval/data/downstream/")],
)
def test_an_archive_is_taken_for_a_folder(toy_senteval, tmp_path, cache, name, mode, prefix):
    archive = pack(toy_senteval, tmp_path / name, mode, prefix)
    found, plain = find_tasks(str(archive)), find_tasks(str(toy_senteval))
    assert found.suite is Suite.SENTEVAL
    assert found.tasks == plain.tasks
    (folder,) = cache.iterdir()
    assert folder.name == f"senteval-{hashlib.sha256(archive.read_bytes()).hexdigest()[:16]}"
    times = folder.stat().st_mtime_ns
    assert find_benchmarks(str(archive)) == folder
    assert folder.stat().st_mtime_ns == times


def test_another_archive_does_not_meet_an_older_ones_files(toy_senteval, tmp_path, cache):
    archive = tmp_path / "senteval.tar"
    first = find_tasks(str(pack(toy_senteval, archive))).tasks[5]
    stsb = toy_senteval / STSB
    stsb.write_text(stsb.read_text().replace("one 3 .", "won 3 ."))
    second = find_tasks(str(pack(toy_senteval, archive))).tasks[5]
    assert "won 3 ." in second.left
    assert second.sha256 != first.sha256
    assert len(list(cache.iterdir())) == 2


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    ("evil", "reason"),
    [
        (member("../../escaped.txt"), r"'\.\./\.\./escaped\.txt' would be written outside"),
        (member("STS/../../escaped.txt"), r"'STS/\.\./\.\./escaped\.txt' would be written outside"),
        (member("/tmp/escaped.txt"), r"'/tmp/escaped\.txt' would be written outside its folder"),
        (
            member("STS/link", type=tarfile.SYMTYPE, linkname="/etc"),
            r"'STS/link' is a link or a device",
        ),
        (
            member("STS/hard", type=tarfile.LNKTYPE, linkname="STS/x"),
            r"'STS/hard' is a link or a device",
        ),
        (member("STS/null", type=tarfile.CHRTYPE), r"'STS/null' is a link or a device"),
        (member("STS/pipe", type=tarfile.FIFOTYPE), r"'STS/pipe' is a link or a device"),
    ],
)
def test_an_archive_with_an_unsafe_member_is_refused_whole(
    toy_senteval, tmp_path, cache, evil, reason
):
    archive = pack(toy_senteval, tmp_path / "senteval.tar")
    with tarfile.open(archive, "a") as tar:
        tar.addfile(evil, io.BytesIO())
    with pytest.raises(SimgptError, match=rf"senteval\.tar: member {reason}"):
        find_tasks(str(archive))
    assert list(cache.iterdir()) == []
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_torn_or_foreign_archive_is_refused_and_leaves_nothing(toy_senteval, tmp_path, cache):
    whole = pack(toy_senteval, tmp_path / "senteval.tar").read_bytes()
    packed = pack(toy_senteval, tmp_path / "senteval.tar.gz", "w:gz").read_bytes()
    header = whole.index(b"SICK/SICK_trial.txt")
    torn = tmp_path / "torn.tar.gz"
    for content in (
        whole[: len(whole) // 2],
        whole[:header],
        whole[:header] + b"?" * 20 + whole[header + 20 :],
        packed[: len(packed) // 2],
        packed[:5000] + b"?" * 100 + packed[5100:],
        packed[:-8] + bytes(8),
        b"<html>",
        b"",
    ):
        torn.write_bytes(content)
        with pytest.raises(SimgptError, match=r"torn\.tar\.gz: not a sound tar archive"):
            unpack_benchmarks(torn)
    with tarfile.open(torn, "w:gz") as tar:
        tar.add(toy_senteval / "downstream" / "SICK", "SICK")
    with pytest.raises(SimgptError, match=r"torn\.tar\.gz: holds no STS/STSBenchmark folder"):
        unpack_benchmarks(torn)
    assert list(cache.iterdir()) == []


def test_a_killed_unpacking_leaves_nothing_that_is_taken_for_whole(toy_senteval, tmp_path, cache):
    archive = pack(toy_senteval, tmp_path / "senteval.tar")
    code = (
        "import os, simgpt.evaluate.archive as archive\n"
        "archive.write_sums = lambda folder: os._exit(9)\n"
        f"archive.unpack_benchmarks(archive.Path({str(archive)!r}))"
    )
    assert run_python(code, hub=None, home=tmp_path / "home").returncode == 9
    assert [path for path in cache.iterdir() if not path.name.startswith(".")] == []
    assert len(find_tasks(str(archive)).tasks) == 7


def test_what_was_unpacked_is_checked_against_its_checksums_when_it_is_read(
    toy_senteval, tmp_path, cache
):
    archive = pack(toy_senteval, tmp_path / "senteval.tar")
    folder = find_benchmarks(str(archive))
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    stsb = folder / STSB
    published = hashlib.sha256(stsb.read_bytes()).hexdigest()
    stsb.write_text(stsb.read_text().replace("\t5\tone", "\t4\tone", 1))
    altered = hashlib.sha256(stsb.read_bytes()).hexdigest()
    for place in (archive, folder, folder / "downstream"):
        with pytest.raises(SimgptError) as refusal:
            find_tasks(str(place))
        for word in (str(stsb), published, altered, f"where {folder} is in the cache, delete it"):
            assert word in str(refusal.value)


def test_a_folder_with_checksums_of_its_own_is_checked_too(toy_senteval):
    write_sums(toy_senteval)
    assert len(find_tasks(str(toy_senteval)).tasks) == 7
    sums = toy_senteval / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.open() if "STS.gs.FNWN" not in line))
    with pytest.raises(SimgptError, match=r"STS\.gs\.FNWN\.txt: .*SHA256SUMS does not list it"):
        find_tasks(str(toy_senteval))


def test_the_hubs_archive_is_downloaded_once(toy_senteval, tmp_path, cache):
    archive = pack(toy_senteval, tmp_path / "senteval.tar")
    with LoopbackHub({HUB_FILE: archive.read_bytes()}) as hub:
        first = run_python(FIND, hub=hub.url, home=tmp_path / "home")
        requests = len(hub.requests)
        second = run_python(FIND, hub=hub.url, home=tmp_path / "home")
        assert first.returncode == 0, first.stderr
        assert second.stdout == first.stdout
        assert len(hub.requests) == requests
    folder = Path(first.stdout.strip().splitlines()[-1])
    assert sum(task.pairs for task in find_tasks(str(folder)).tasks) == 18850
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (cache / "senteval.sha256").read_text() == f"{digest}  senteval.tar\n"


def test_a_download_that_is_not_what_the_hub_describes_is_refused(toy_senteval, tmp_path, cache):
    archive = pack(toy_senteval, tmp_path / "senteval.tar")
    with LoopbackHub({HUB_FILE: archive.read_bytes()}, etags={HUB_FILE: "ab" * 32}) as hub:
        done = run_python(FIND, hub=hub.url, home=tmp_path / "home")
    assert done.returncode != 0
    assert f"{'ab' * 32}: the hub says that its SHA-256 is its name, and it is" in done.stderr
    assert "HubError" not in done.stderr
    assert not list(cache.glob("*"))
