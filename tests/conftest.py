"""What every test may rely on."""

import multiprocessing
import os
import shutil
import socket
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent

# One server forks every process that tests start with this method. It imports these first, once:
# a process is then there in a tenth of a second, and not in five.
multiprocessing.set_forkserver_preload(
    [
        "accelerate",
        "datasets",
        "scipy.stats",
        "sentence_transformers.sentence_transformer.modules",
        "simgpt.cli",
        "simgpt.encoder.prefix",
        "simgpt.encoder.reference",
        "simgpt.train.trainer",
        "tests.annotate.test_batch",
        "tests.train.test_gathering",
        "transformers.models.bert.modeling_bert",
        "transformers.models.roberta.modeling_roberta",
    ]
)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """A test that leaves this machine fails."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not (
            address[0].startswith("127.") or address[0] in ("::1", "localhost")
        ):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def repository():
    """The checkout that is being tested."""
    return REPOSITORY


@pytest.fixture(scope="session")
def senteval():
    """The seven real benchmarks, where they are at hand."""
    folder = os.environ.get("SIMGPT_SENTEVAL")
    if not folder:
        pytest.skip("SIMGPT_SENTEVAL is not set: the real benchmarks are not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def senteval_raw(senteval):
    """The same benchmarks as they were published, where they are at hand."""
    folder = senteval.parent / "senteval_raw"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: the untokenised benchmarks are not at hand")
    return folder


@pytest.fixture
def toy_senteval(tmp_path):
    """A folder in SentEval's layout with the right number of pairs and made-up text."""
    from tests.toy import write_senteval

    return write_senteval(tmp_path / "senteval")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """The book's sources in a folder with a space in its name, built once."""
    from tests.book import build

    folder = tmp_path_factory.mktemp("my book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("book", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name)
    done = build(folder)  # fails on any warning: the build runs with -W
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def pages(checkout):
    """The built book's pages, by their files."""
    from tests.book import pages_of

    return pages_of(checkout)
