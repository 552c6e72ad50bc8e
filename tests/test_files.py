"""What is written is whole, or the old stays."""

import errno

import pytest

from simgpt import SimgptError
from simgpt.files import (
    read_csv,
    read_json,
    read_jsonl,
    read_lines,
    read_text,
    sha256_of,
    staged,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), staged(path) as temporary:
        temporary.write_text('{"a": 2')
        raise RuntimeError
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "checkpoint"
    for name in ("old", "new"):
        with staged(target) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_full_disk_is_told_in_one_sentence_and_the_old_stays(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(SimgptError, match="the disk is full; free some space"), staged(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert read_json(path) == {"a": 1}


def test_bad_files_are_named_with_their_line(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(SimgptError, match=r"x\.json: no such file"):
        read_json(path)
    path.write_bytes(b'{"a":\n "\xff"}')
    with pytest.raises(SimgptError, match=r"x\.json, line 2: not UTF-8"):
        read_text(path)
    path.write_text('{"a":\n 1,\n}')
    with pytest.raises(SimgptError, match=r"x\.json, line \d: not valid JSON"):
        read_json(path)


def test_a_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbfhello")
    assert read_text(path) == "hello"


def test_lines_come_with_number_and_end_and_only_a_line_feed_ends_one(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffone\u2028still one\x85\r\n\ntwo".encode())
    assert list(read_lines(path)) == [(1, "one\u2028still one\x85\r\n"), (2, "\n"), (3, "two")]
    path.write_bytes(b"")
    assert list(read_lines(path)) == []


def test_lines_are_handed_over_before_a_bad_one_is_met(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"good\n" * 10_000 + b"caf\xe9\n")
    lines = read_lines(path)
    assert next(lines) == (1, "good\n")
    with pytest.raises(SimgptError, match=r"x\.txt, line 10001: not UTF-8; save the file as UTF-8"):
        list(lines)


@pytest.mark.parametrize("read", [read_lines, read_jsonl, read_csv])
def test_a_missing_file_and_a_folder_are_told_in_one_sentence(tmp_path, read):
    with pytest.raises(SimgptError, match=r"absent: no such file"):
        list(read(tmp_path / "absent"))
    with pytest.raises(SimgptError, match=r"cannot be read \(Is a directory\)"):
        list(read(tmp_path))


def test_a_json_line_that_breaks_off_is_told_the_same_at_the_end_and_before_it(tmp_path):
    path = tmp_path / "x.jsonl"
    for ending in ("", "\n"):
        path.write_text('{"a": "b' + ending)
        with pytest.raises(SimgptError, match=r"line 1: not valid JSON \(Unterminated string"):
            list(read_jsonl(path))


def test_csv_rows_come_with_the_line_they_end_on_and_every_cell_is_text(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfa,"b\n""c"""\r\nNA,1\n')
    assert list(read_csv(path)) == [(2, ["a", 'b\n"c"']), (3, ["NA", "1"])]
    path.write_text("a\tb,c\n")
    assert list(read_csv(path, delimiter="\t")) == [(1, ["a", "b,c"])]


def test_hashes_are_those_of_the_concatenated_files(tmp_path):
    import hashlib

    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(b"ab")
    second.write_bytes(b"c")
    assert sha256_of(first, second) == hashlib.sha256(b"abc").hexdigest()


def test_half_a_character_in_json_is_named_and_a_whole_one_read(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": "whole \\ud83d\\ude00"}\n{"a": "half \\ud83d"}\n')
    rows = read_jsonl(path)
    assert next(rows) == (1, {"a": "whole \U0001f600"})
    with pytest.raises(SimgptError, match="line 2: holds half a character"):
        next(rows)
