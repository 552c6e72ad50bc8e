import tracemalloc

import pytest

from simgpt import SimgptError
from simgpt.sentences import load_sentences, stream_sentences


def texts(path, **options):
    return [sentence.text for sentence in load_sentences(str(path), **options).sentences]


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_the_bundle_holds_three_kinds_and_every_sentence_once():
    loaded = load_sentences()
    assert {s.source for s in loaded.sentences} == {"captions", "questions", "multi_genre"}
    assert loaded.counts["duplicates"] == 0
    assert loaded.counts["kept"] == len(loaded.sentences) > 10_000


def test_counts_add_up_to_what_was_read(write):
    path = write(
        "a.txt", "Two dogs run.\ntwo dogs run\nToo short\n" + "word " * 61 + "\nA cat sat."
    )
    loaded = load_sentences(str(path))
    assert loaded.counts == {"read": 5, "too short or too long": 2, "duplicates": 1, "kept": 2}


def test_a_text_file_holds_a_sentence_a_line_and_empty_lines_do_not_count(write):
    path = write("a.txt", "\ufeffTwo dogs run.\r\n\r\n  A cat  sat down.  \n")
    loaded = load_sentences(str(path))
    assert [s.text for s in loaded.sentences] == ["Two dogs run.", "A cat sat down."]
    assert loaded.counts["read"] == 2


def test_a_unicode_line_separator_does_not_end_a_line(write):
    assert texts(write("a.txt", "Two dogs\u2028run fast.")) == ["Two dogs run fast."]


def test_sentences_of_a_file_have_no_kind(write):
    (sentence,) = load_sentences(str(write("a.txt", "Two dogs run."))).sentences
    assert sentence.source == ""


def test_a_csv_with_one_column_needs_no_column_name(write):
    assert texts(write("a.csv", "review\nTwo dogs run.\n")) == ["Two dogs run."]


def test_a_csv_with_several_columns_is_read_by_the_column_sentence(write):
    assert texts(write("a.csv", "id,sentence\n1,Two dogs run.\n")) == ["Two dogs run."]


def test_column_picks_another(write):
    path = write("a.csv", "sentence,review\nNot this one.,Two dogs run.\n")
    assert texts(path, column="review") == ["Two dogs run."]


def test_a_quoted_csv_cell_may_hold_commas_and_line_breaks(write):
    path = write("a.csv", 'sentence\n"Two dogs,\nand a cat."\n')
    assert texts(path) == ["Two dogs, and a cat."]


def test_jsonl_is_read_by_the_key_sentence(write):
    path = write("a.jsonl", '{"id": 1, "sentence": "Two dogs run."}\n\n')
    assert texts(path) == ["Two dogs run."]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", "id,review\n1,Two dogs run.\n", "a.csv, line 1: no column 'sentence'"),
        ("a.csv", 'sentence\n"Two dogs run.\n', "not valid CSV"),
        ("a.jsonl", '{"a": "x", "b": "y"}\n', "line 1: no column 'sentence'; there is: a, b"),
        ("a.jsonl", '{"sentence": "Two dogs run."}\n{oops\n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", "[1, 2]\n", "line 1: not a JSON object"),
        ("a.jsonl", '{"sentence": 7}\n', "line 1: sentence is 7; it must be text"),
        ("a.txt", b"Two dogs run.\nA caf\xe9 is open.\n", "a.txt, line 2: not UTF-8"),
        ("a.txt", "", "no sentences left"),
        ("a.csv", "", "a.csv, line 1: no column 'sentence'; there is: none"),
        ("a.csv", "sentence\n", "no sentences left"),
        ("a.txt", "Too short\n", "no sentences left; {'read': 1, 'too short or too long': 1"),
        ("a.docx", "Two dogs run.", "ends in .txt, .csv or .jsonl"),
    ],
)
def test_a_bad_file_is_refused_by_name(write, name, content, complaint):
    path = write(name, content)
    with pytest.raises(SimgptError) as caught:
        load_sentences(str(path))
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_sentences_are_handed_over_before_a_bad_last_line_is_met(write, name):
    sentences = stream_sentences(str(write(name, b"Two\nTwo dogs run.\nA caf\xe9 is open.\n")))
    assert next(sentences).text == "Two dogs run."
    with pytest.raises(SimgptError, match="line 3: not UTF-8"):
        next(sentences)


def test_counts_grow_with_the_stream_and_end_as_those_of_the_list(write):
    path = str(write("a.txt", "Two dogs run.\nno\ntwo dogs run\nA cat sat down.\n"))
    counts: dict[str, int] = {}
    sentences = stream_sentences(path, counts=counts)
    next(sentences)
    assert counts["read"] == counts["kept"] == 1
    assert [s.text for s in sentences] == ["A cat sat down."]
    assert counts == load_sentences(path).counts
    assert list(counts) == ["read", "too short or too long", "duplicates", "kept"]


def test_the_stream_and_the_list_are_the_same_for_the_bundle():
    assert list(stream_sentences()) == load_sentences().sentences


def test_a_stream_of_many_sentences_takes_little_memory(write):
    text = "A sentence of some length that stands for many others, number"
    path = write("a.txt", "".join(f"{text * 3} {n}\n" for n in range(50_000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in stream_sentences(str(path))) == 50_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 9e6
    assert peak < 8e6


def test_a_short_row_of_a_csv_file_is_an_empty_sentence_and_an_empty_line_is_none(write):
    path = write("a.csv", "id,sentence\n1,Two dogs run.\n\n2\n")
    loaded = load_sentences(str(path))
    assert loaded.counts == {"read": 2, "too short or too long": 1, "duplicates": 0, "kept": 1}


def test_a_wrong_column_name_lists_the_columns_there_are(write):
    path = write("a.csv", "id,review\n1,Two dogs run.\n")
    with pytest.raises(SimgptError, match="no column 'text'; there is: id, review"):
        load_sentences(str(path), column="text")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SimgptError, match=r"absent\.txt: no such file"):
        load_sentences(str(tmp_path / "absent.txt"))
