import io

import pyarrow as pa
import pytest
from pyarrow import parquet

from simgpt.sentences.loading import HUB_SOURCES
from tests.loopback import LoopbackHub, run_python

LOAD_QUESTIONS = """
from simgpt.sentences import load_sentences
loaded = load_sentences("questions")
print([sentence.text for sentence in loaded.sentences])
print({sentence.source for sentence in loaded.sentences})
print(loaded.counts)
"""

LOAD_OR_SAY_WHY = """
from simgpt import SimgptError
from simgpt.sentences import load_sentences
try:
    load_sentences("questions")
except SimgptError as error:
    print(error)
"""


@pytest.fixture
def parquet_file() -> bytes:
    table = pa.table(
        {
            "sentence1": ["Why do cats purr?", "How tall is it?"],
            "sentence2": ["why do cats purr", "Who wrote  it?"],
            "label": [1, 0],
        }
    )
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


@pytest.fixture
def address() -> str:
    hub = HUB_SOURCES["questions"]
    return f"{hub.repository}/{hub.file}"


def test_sentences_of_both_columns_come_from_the_hub(parquet_file, address, tmp_path):
    with LoopbackHub({address: parquet_file}) as hub:
        done = run_python(LOAD_QUESTIONS, hub=hub.url, home=tmp_path)
    assert done.returncode == 0, done.stderr
    texts, sources, counts = done.stdout.splitlines()
    assert texts == "['Why do cats purr?', 'How tall is it?', 'Who wrote it?']"
    assert sources == "{'questions'}"
    assert "'read': 4" in counts and "'duplicates': 1" in counts


def test_a_second_load_downloads_nothing(parquet_file, address, tmp_path):
    with LoopbackHub({address: parquet_file}) as hub:
        run_python(LOAD_QUESTIONS, hub=hub.url, home=tmp_path)
        downloads = [path for method, path in hub.requests if method == "GET"]
        again = run_python(LOAD_QUESTIONS, hub=hub.url, home=tmp_path)
        assert [path for method, path in hub.requests if method == "GET"] == downloads
    assert len(downloads) == 1
    assert again.returncode == 0, again.stderr


def test_a_file_that_is_gone_from_the_hub_is_named_with_a_way_out(tmp_path, address):
    with LoopbackHub({}) as hub:
        done = run_python(LOAD_OR_SAY_WHY, hub=hub.url, home=tmp_path)
    assert address in done.stdout
    assert "give a local .txt, .csv or .jsonl file" in done.stdout


def test_offline_the_error_says_what_to_do(tmp_path, address):
    done = run_python(LOAD_OR_SAY_WHY, hub=None, home=tmp_path)
    assert address in done.stdout
    assert "give a local .txt, .csv or .jsonl file" in done.stdout


def test_what_was_downloaded_before_loads_offline(parquet_file, address, tmp_path):
    with LoopbackHub({address: parquet_file}) as hub:
        online = run_python(LOAD_QUESTIONS, hub=hub.url, home=tmp_path)
    offline = run_python(LOAD_QUESTIONS, hub=None, home=tmp_path)
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == online.stdout
