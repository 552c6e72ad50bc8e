import hashlib
import json
import tracemalloc

import pytest

from simgpt import RunConfig, SimgptError, load_dev_pairs, load_triplets
from simgpt.triplets import (
    BUNDLED_TRIPLETS,
    Triplet,
    read_triplets,
    training_triplets,
    write_triplets,
)

DOG = Triplet("A dog runs.", "A dog is running.", "A cat sleeps.", "captions", {"wave": 2})
SKY = Triplet("Why is the sky blue?", "What makes the sky blue?", "Who painted it, and when?")
LINE = '{"sentence": "A dog runs.", "similar": "A dog is running.", "dissimilar": "A cat sleeps."}'


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def error_of(path):
    with pytest.raises(SimgptError) as caught:
        list(read_triplets(path))
    return str(caught.value)


def test_the_id_is_a_hash_of_the_three_texts_and_of_nothing_else():
    joined = "A dog runs.\u001fA dog is running.\u001fA cat sleeps."
    assert DOG.id == hashlib.sha256(joined.encode("utf-8")).hexdigest()[:16]
    assert Triplet(*DOG.texts, source="questions").id == DOG.id
    assert Triplet(DOG.similar, DOG.sentence, DOG.dissimilar).id != DOG.id


def test_every_bundled_line_has_the_schema_and_the_id_of_its_texts():
    seen = set()
    with BUNDLED_TRIPLETS.open(encoding="utf-8") as lines:
        for line, triplet in zip(lines, read_triplets(BUNDLED_TRIPLETS), strict=True):
            row = json.loads(line)
            assert row["id"] == triplet.id
            assert row["source"] in ("captions", "questions", "multi_genre")
            assert row["genre"] and row["wave"] in (1, 2, 3)
            seen.add(row["id"])
    assert len(seen) > 10_000


def test_jsonl_survives_a_round_trip_with_its_further_keys(tmp_path):
    path = tmp_path / "t.jsonl"
    assert write_triplets(path, [DOG, SKY]) == 2
    read = list(read_triplets(path))
    assert read == [DOG, SKY]
    assert [t.extra for t in read] == [{"wave": 2}, {}]


def test_a_jsonl_line_holds_id_source_texts_and_further_keys(tmp_path):
    path = tmp_path / "t.jsonl"
    write_triplets(path, [DOG])
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "id": DOG.id,
        "source": "captions",
        "wave": 2,
        "sentence": "A dog runs.",
        "similar": "A dog is running.",
        "dissimilar": "A cat sleeps.",
    }


def test_csv_survives_a_round_trip_and_keeps_the_three_texts_only(tmp_path):
    path = tmp_path / "t.csv"
    write_triplets(path, [DOG, SKY])
    assert path.read_text(encoding="utf-8").startswith("sent0,sent1,hard_neg\n")
    assert [t.texts for t in read_triplets(path)] == [DOG.texts, SKY.texts]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_quotes_commas_breaks_and_rare_separators_come_back_as_they_were(tmp_path, ending):
    odd = Triplet('He said "no", twice.', "line\nbreak", "rare\u2028separator é\r漢字")
    path = tmp_path / f"t.{ending}"
    write_triplets(path, [odd])
    assert [t.texts for t in read_triplets(path)] == [odd.texts]


def test_the_id_in_a_file_is_not_trusted(write):
    path = write("t.jsonl", LINE.replace("{", '{"id": "beefbeefbeefbeef", ', 1))
    assert next(read_triplets(path)).to_dict()["id"] == DOG.id


def test_a_byte_order_mark_and_empty_lines_do_no_harm(write):
    assert list(read_triplets(write("t.jsonl", f"\ufeff{LINE}\n\n"))) == [
        Triplet(*DOG.texts, source="")
    ]
    with_mark = "\ufeffsent0,sent1,hard_neg\na dog,the dog,a cat\n"
    assert len(list(read_triplets(write("t.csv", with_mark)))) == 1


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("{oops", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"sentence": "a", "similar": "b"}', "dissimilar is missing or empty"),
        ('{"sentence": " ", "similar": "b", "dissimilar": "c"}', "sentence is missing or empty"),
        ('{"sentence": "a", "similar": 7, "dissimilar": "c"}', "similar is missing or empty"),
        ('{"sentence": "a", "similar": " A ", "dissimilar": "c"}', "the three texts must differ"),
        (LINE.replace("{", '{"source": 3, ', 1), "source is 3; it must be text"),
    ],
)
def test_a_malformed_jsonl_line_is_named_with_its_fault(write, bad, complaint):
    path = write("t.jsonl", f"{LINE}\n\n{bad}\n")
    assert error_of(path).startswith(f"{path}, line 3: {complaint}")


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        ("a,b,c\nx,y,z\n", 1, "columns must be sent0,sent1,hard_neg"),
        ("sent0,sent1,hard_neg\nx,y\n", 2, "2 columns instead of 3"),
        ("sent0,sent1,hard_neg\nx,y,z\nx,y,z,w\n", 3, "4 columns instead of 3"),
        ("sent0,sent1,hard_neg\nx,,z\n", 2, "similar is missing or empty"),
        ('sent0,sent1,hard_neg\nx,y,"z\n', 2, "not valid CSV"),
    ],
)
def test_a_malformed_csv_line_is_named_with_its_fault(write, content, line, complaint):
    path = write("t.csv", content)
    assert error_of(path).startswith(f"{path}, line {line}: {complaint}")


def test_text_that_is_not_utf8_is_named_by_line(write):
    path = write("t.jsonl", f"{LINE}\n".encode() + b'{"sentence": "caf\xe9"}\n')
    assert error_of(path).startswith(f"{path}, line 2: not UTF-8")


@pytest.mark.parametrize(
    ("name", "content"), [("t.jsonl", ""), ("t.csv", ""), ("t.csv", "sent0,sent1,hard_neg\n")]
)
def test_a_file_without_triplets_is_refused(write, name, content):
    path = write(name, content)
    assert error_of(path) == f"{path}: holds no triplets"


def test_a_missing_file_and_another_kind_of_file_are_refused(write, tmp_path):
    assert "no such file" in error_of(tmp_path / "absent.jsonl")
    assert "ends in .jsonl or .csv" in error_of(write("t.txt", LINE))
    with pytest.raises(SimgptError, match=r"ends in \.jsonl or \.csv"):
        write_triplets(tmp_path / "t.txt", [DOG])


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_triplets_are_handed_over_before_a_bad_last_line_is_met(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    write_triplets(path, [DOG] * 1000)
    with path.open("ab") as file:
        file.write(b"caf\xe9\n")
    triplets = read_triplets(path)
    assert next(triplets).texts == DOG.texts
    with pytest.raises(SimgptError, match="line 100[12]: not UTF-8"):
        list(triplets)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_reading_and_deduplicating_a_large_file_takes_little_memory(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    text = "A sentence of some length that stands for many others. " * 5
    write_triplets(
        path, (Triplet(f"{text}{n}", f"{text}{n}p", f"{text}{n}n") for n in range(20_000))
    )
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_triplets(path)) == 20_000
        read = tracemalloc.get_traced_memory()[1]
        cfg = RunConfig.from_params({"triplets": str(path), "max_triplets": 0})
        assert sum(1 for _ in training_triplets(cfg)) == 20_000
        chosen = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 15e6
    assert read < 1e6
    assert chosen < 2e6


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "t.jsonl"
    write_triplets(path, [DOG])

    def broken():
        yield SKY
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_triplets(path, broken())
    assert list(read_triplets(path)) == [DOG]
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.jsonl"]


def drawn(path, **settings):
    return list(training_triplets(RunConfig.from_params({"triplets": str(path), **settings})))


def test_duplicates_are_dropped_and_the_first_one_stays(tmp_path):
    path = tmp_path / "t.jsonl"
    again = Triplet(*DOG.texts, source="questions")
    other_answer = Triplet(DOG.sentence, "A running dog.", DOG.dissimilar)
    write_triplets(path, [DOG, SKY, again, other_answer])
    kept = drawn(path)
    assert [t.source for t in kept] == ["captions", "", ""]
    assert kept == [DOG, SKY, other_answer]


def test_a_run_draws_its_triplets_by_seed(tmp_path):
    path = tmp_path / "t.jsonl"
    write_triplets(path, [Triplet(f"s{n}", f"p{n}", f"n{n}") for n in range(50)] * 2)

    assert len(drawn(path, max_triplets=0)) == len(drawn(path, max_triplets=999)) == 50
    assert len({t.id for t in drawn(path, max_triplets=10)}) == 10
    assert drawn(path, max_triplets=10, seed=3) == drawn(path, max_triplets=10, seed=3)
    assert drawn(path, max_triplets=10, seed=3) != drawn(path, max_triplets=10, seed=4)


def test_pairs_without_hard_negatives_are_read_where_none_are_needed(tmp_path):
    table, lines = tmp_path / "p.csv", tmp_path / "p.jsonl"
    table.write_text("sent0,sent1\nA dog runs.,A dog is running.\n", encoding="utf-8")
    lines.write_text('{"sentence": "A dog runs.", "similar": "A dog is running."}\n')
    for path in (table, lines):
        (pair,) = drawn(path, hard_negatives=False)
        assert pair.texts == ("A dog runs.", "A dog is running.", "")
        with pytest.raises(SimgptError, match="train with hard_negatives=false"):
            drawn(path)


def test_a_missing_training_file_says_where_one_comes_from(tmp_path):
    with pytest.raises(SimgptError, match=r"gone.jsonl: no such file; .* triplets import simgpt"):
        drawn(tmp_path / "gone.jsonl")


def test_triplets_load_as_a_dataset_with_their_further_keys(write):
    from datasets import Dataset

    bundled = load_triplets()
    assert isinstance(bundled, Dataset)
    assert set(bundled.column_names) == {
        *("id", "source", "genre", "wave", "sentence", "similar", "dissimilar")
    }
    own = load_triplets(write("t.jsonl", LINE))
    assert own[0]["id"] == DOG.id


def test_development_pairs_load_as_a_dataset_of_eight_genres():
    from datasets import Dataset

    pairs = load_dev_pairs()
    assert isinstance(pairs, Dataset)
    assert set(pairs.column_names) == {"genre", "sentence1", "sentence2", "score"}
    assert len(pairs) == 800
    assert len(set(pairs["genre"])) == 8
    assert 0 <= min(pairs["score"]) < max(pairs["score"]) <= 5


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ('{"sentence1": "a", "sentence2": "b", "score": 6}', "score is 6; it must be from 0 to 5"),
        ('{"sentence1": "a", "sentence2": "b", "score": "3"}', "score is '3'"),
        ('{"sentence1": "a", "sentence2": "b"}', "score is None"),
        ('{"sentence1": "a", "score": 3}', "sentence2 is missing or empty"),
        ('{"sentence1": "", "sentence2": "b", "score": 3}', "sentence1 is missing or empty"),
        ("{oops", "not valid JSON"),
    ],
)
def test_a_malformed_development_pair_is_named_with_its_fault(write, bad, complaint):
    path = write("p.jsonl", '{"sentence1": "a", "sentence2": "b", "score": 1}\n' + bad)
    with pytest.raises(SimgptError) as caught:
        load_dev_pairs(path)
    assert str(caught.value).startswith(f"{path}, line 2: {complaint}")


def test_a_file_without_development_pairs_is_refused(write):
    with pytest.raises(SimgptError, match="holds no pairs"):
        load_dev_pairs(write("p.jsonl", "\n"))
