"""Released files become triplets: their traps, their download, their checksums."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub.constants
import pytest

from simgpt import SimgptError, released
from simgpt.released import RELEASES, fetch_release, import_release, read_release
from simgpt.triplets import read_triplets
from tests.loopback import LoopbackHub, run_python

HEADER = "sent0,sent1,hard_neg\n"
ROW = "A dog runs.,A dog is running.,A cat sleeps.\n"
DOG = ("A dog runs.", "A dog is running.", "A cat sleeps.")

IMPORT_NLI = """
from pathlib import Path
from simgpt import SimgptError
from simgpt.released import import_release
try:
    print(import_release("nli", Path("{output}")))
except SimgptError as error:
    print(error)
"""


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="r.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The local cache, empty."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "simgpt"


@pytest.fixture
def drive(monkeypatch):
    """Google Drive on this machine: status and body of its answer, and what was asked."""

    class Handler(BaseHTTPRequestHandler):
        status, body = 200, (HEADER + ROW).encode()
        asked: list[str] = []

        def do_GET(self):
            self.asked.append(self.path)
            self.send_response(self.status)
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(released, "DRIVE_URL", f"http://127.0.0.1:{server.server_port}/uc?id={{}}")
    yield Handler
    server.shutdown()
    server.server_close()


def rows_of(path):
    counts: dict[str, int] = {}
    return [triplet.texts for triplet in read_release(path, counts=counts)], counts


def error_of(path):
    with pytest.raises(SimgptError) as caught:
        list(read_release(path))
    return str(caught.value)


@pytest.mark.parametrize("word", ["NA", "N/A", "null", "nan", "None", "NULL", "", " "])
def test_words_that_look_like_missing_values_are_sentences_and_empty_cells_are_not(write, word):
    texts, counts = rows_of(write(f"{HEADER}{ROW}{word},Not available.,It is here.\n"))
    sentence = bool(word.strip())
    assert texts == [DOG] + [(word, "Not available.", "It is here.")] * sentence
    assert counts == {"rows": 2, "kept": 1 + sentence, "empty": 1 - sentence, "repeated": 0}


def test_rows_that_repeat_a_text_are_left_out_and_counted(write):
    repeated = "A dog runs.,a  DOG runs.,A cat sleeps.\nA dog runs.,It runs.,A dog runs.\n"
    texts, counts = rows_of(write(HEADER + repeated + ROW))
    assert texts == [DOG]
    assert counts == {"rows": 3, "kept": 1, "empty": 0, "repeated": 2}


@pytest.mark.parametrize("header", ["sent0,sent1,hard_neg", "anchor,pos,hard-neg", "0,1,2"])
def test_short_names_are_a_header_whatever_they_are(write, header, caplog):
    texts, counts = rows_of(write(f"{header}\n{ROW}"))
    assert texts == [DOG]
    assert counts["rows"] == 1
    assert not caplog.records


def test_a_first_row_of_sentences_is_data_and_a_warning_says_so(write, caplog):
    texts, counts = rows_of(write(ROW + "Yes.,Sure.,No.\n"))
    assert texts == [DOG, ("Yes.", "Sure.", "No.")]
    assert counts["rows"] == 2
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        f"{write(ROW)}: no header; the first row is read as data"
    ]


def test_marks_breaks_in_quotes_empty_lines_and_windows_line_ends_do_no_harm(write):
    content = f'\ufeff{HEADER}"One\nline, ""two"".",Two\u2028lines.,None.\n\n{ROW}\n'
    texts, counts = rows_of(write(content.replace("\n", "\r\n")))
    assert texts == [('One\r\nline, "two".', "Two\u2028lines.", "None."), DOG]
    assert counts["rows"] == counts["kept"] == 2


def test_a_file_named_tsv_is_parted_by_tabs(write):
    path = write(
        (HEADER + "A dog, a cat.\tTwo pets.\tNo pets.\n").replace("t0,sent1,", "t0\tsent1\t"),
        "r.tsv.csv",
    )
    assert rows_of(path)[0] == [("A dog, a cat.", "Two pets.", "No pets.")]


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        ("sent0,sent1\na b.,c d.\n", 1, "2 columns instead of 3"),
        (f",{HEADER}0,{ROW}", 1, "4 columns instead of 3"),
        (f"{HEADER}{ROW}a,b,c,d\n", 3, "4 columns instead of 3"),
        (f'{HEADER}{ROW}"a"b,c,d\n', 3, "not valid CSV"),
        (f'{HEADER}{ROW}a,b,"c\n', 3, "not valid CSV"),
        (f"{HEADER}{ROW}".encode() + b"caf\xe9,b,c\n", 3, "not UTF-8"),
    ],
)
def test_a_malformed_row_is_named_with_its_fault(write, content, line, complaint):
    path = write(content)
    assert error_of(path).startswith(f"{path}, line {line}: {complaint}")


@pytest.mark.parametrize("content", ["", HEADER, HEADER + "a,a,b\n"])
def test_a_file_that_leaves_no_triplet_is_refused(write, content):
    path = write(content)
    assert error_of(path) == f"{path}: holds no triplets"


def test_the_first_triplet_comes_before_a_bad_last_line_is_met(write):
    triplets = read_release(write((HEADER + ROW * 1000).encode() + b"caf\xe9,b,c\n"))
    assert next(triplets).texts == DOG
    with pytest.raises(SimgptError, match="line 1002: not UTF-8"):
        list(triplets)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_an_imported_file_is_a_triplets_file_with_its_origin(write, tmp_path, ending):
    output = tmp_path / f"t.{ending}"
    counts = import_release(str(write(HEADER + ROW + "NA,,b\n")), output)
    assert counts == {"rows": 2, "kept": 1, "empty": 1, "repeated": 0}
    (triplet,) = read_triplets(output)
    assert triplet.texts == DOG
    assert triplet.extra == ({"origin": "r.csv"} if ending == "jsonl" else {})


def test_an_import_tells_rows_kept_and_left_out_and_the_checksum(write, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="simgpt")
    path = write(HEADER + ROW + "NA,,b\n")
    import_release(str(path), tmp_path / "t.jsonl")
    first, second = (record.getMessage() for record in caplog.records)
    assert first == f"{path}: 2 rows, 1 kept, 1 left out"
    assert second == f"{path}: SHA-256 {released.sha256_of(path)}"


def test_an_import_leaves_a_card_with_both_checksums_and_the_counts(write, tmp_path):
    path, output = write(HEADER + ROW + "A dog runs.,,A cat.\n"), tmp_path / "t.jsonl"
    import_release(str(path), output)
    card = (tmp_path / "t.card.md").read_text()
    assert "# Data card: t.jsonl" in card
    assert "rows: 2, of which 1 are triplets; left out: 1 with an empty text, 0 with" in card
    for file in (path, output):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in card


def test_a_failed_import_leaves_the_old_file(write, tmp_path):
    output = tmp_path / "t.jsonl"
    output.write_text("old")
    with pytest.raises(SimgptError, match="2 columns"):
        import_release(str(write(HEADER + ROW + "a,b\n")), output)
    assert output.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["r.csv", "t.jsonl"]


@pytest.mark.parametrize("source", ["simgtp", "notes.txt"])
def test_what_is_neither_a_release_nor_a_csv_file_is_refused_with_the_names(tmp_path, source):
    with pytest.raises(SimgptError, match="neither a .csv file nor one of simgpt, .*, nli"):
        import_release(source, tmp_path / "t.jsonl")
    with pytest.raises(SimgptError, match="no such release; known: simgpt, .*, nli"):
        fetch_release(source)


def test_a_missing_local_file_is_named(tmp_path):
    with pytest.raises(SimgptError, match=r"absent\.csv: no such file"):
        import_release(str(tmp_path / "absent.csv"), tmp_path / "t.jsonl")


def test_a_release_is_downloaded_from_drive_once_and_its_checksum_kept(drive, cache, tmp_path):
    output = tmp_path / "t.jsonl"
    for _ in range(2):
        assert import_release("simgpt-multi-genre", output)["kept"] == 1
    assert drive.asked == [f"/uc?id={RELEASES['simgpt-multi-genre'].drive_id}"]
    row = json.loads(output.read_text())
    assert (row["source"], row["origin"]) == ("multi_genre", "simgpt-multi-genre")
    names = ["simgpt-multi-genre.csv", "simgpt-multi-genre.csv.sha256"]
    assert sorted(entry.name for entry in cache.iterdir()) == names
    digest = released.sha256_of(cache / names[0])
    assert (cache / names[1]).read_text() == f"{digest}  {names[0]}\n"


def test_a_file_that_changed_since_its_download_is_refused_with_both_checksums(drive, cache):
    path = fetch_release("simgpt")
    first = released.sha256_of(path)
    path.write_text(HEADER)
    with pytest.raises(SimgptError) as caught:
        fetch_release("simgpt")
    assert first in str(caught.value)
    assert released.sha256_of(path) in str(caught.value)


def test_a_page_in_place_of_the_file_is_refused_and_not_kept(drive, cache):
    drive.body = b"<!DOCTYPE html><html>Quota exceeded</html>"
    with pytest.raises(SimgptError, match="sent a page, not the file; download it by hand"):
        fetch_release("simgpt")
    assert list(cache.iterdir()) == []


def test_a_failed_download_says_what_to_do_instead_and_leaves_nothing(drive, cache):
    drive.status = 404
    by_hand = (
        f"https://drive.google.com/file/d/{RELEASES['simgpt'].drive_id}/view and pass the file"
    )
    with pytest.raises(SimgptError, match=by_hand):
        fetch_release("simgpt")
    assert list(cache.iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing(drive, cache, monkeypatch):
    monkeypatch.setattr(
        drive,
        "send_header",
        lambda self, _, n: BaseHTTPRequestHandler.send_header(self, "Content-Length", "999"),
    )
    with pytest.raises(SimgptError, match="simgpt.csv could not be downloaded"):
        fetch_release("simgpt")
    assert list(cache.iterdir()) == []


def test_without_gdown_the_error_says_what_to_install(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(SimgptError, match=r'pip install "\.\[released\]"'):
        fetch_release("simgpt")


def test_nli_comes_from_the_hub_and_another_number_of_rows_is_told(tmp_path):
    code = IMPORT_NLI.format(output=tmp_path / "t.jsonl")
    nli = {"princeton-nlp/datasets-for-simcse/nli_for_simcse.csv": (HEADER + ROW).encode()}
    with LoopbackHub(nli) as hub:
        done = run_python(code, hub=hub.url, home=tmp_path)
    assert "{'rows': 1, 'kept': 1, 'empty': 0, 'repeated': 0}" in done.stdout, done.stderr
    assert "1 rows; the published file has 275601" in done.stderr
    row = json.loads((tmp_path / "t.jsonl").read_text())
    assert (row["source"], row["origin"]) == ("", "nli")
    assert (tmp_path / "simgpt" / "nli.csv.sha256").is_file()

    offline = run_python(code, hub=None, home=tmp_path)
    assert offline.stdout == done.stdout


def test_without_the_hub_the_error_says_what_to_do_instead(tmp_path):
    done = run_python(IMPORT_NLI.format(output=tmp_path / "t.jsonl"), hub=None, home=tmp_path)
    assert "nli_for_simcse.csv could not be downloaded" in done.stdout
    assert "download it by hand and pass the file" in done.stdout


def test_the_command_line_imports_and_counts_and_its_help_lists_the_releases(write, tmp_path):
    def simgpt(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "simgpt", "triplets", "import", *map(str, arguments)],
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert ", ".join(RELEASES) in simgpt("--help").stdout
    done = simgpt(write(HEADER + ROW + "NA,,b\n"), "--output", tmp_path / "t.csv")
    assert done.stdout == "rows: 2\nkept: 1\nempty: 1\nrepeated: 0\n", done.stderr
    assert [triplet.texts for triplet in read_triplets(tmp_path / "t.csv")] == [DOG]
    refused = simgpt("simgtp", "--output", tmp_path / "t.csv")
    assert refused.returncode == 1
    assert refused.stderr.startswith("simgpt: simgtp: neither a .csv file nor one of simgpt,")
