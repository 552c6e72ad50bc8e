"""What is written is whole, or the old stays."""

import errno

import pytest

from simgpt import SimgptError
from simgpt.files import read_json, read_text, sha256_of, staged, write_json


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


def test_hashes_are_those_of_the_concatenated_files(tmp_path):
    import hashlib

    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(b"ab")
    second.write_bytes(b"c")
    assert sha256_of(first, second) == hashlib.sha256(b"abc").hexdigest()
