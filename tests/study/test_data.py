"""Training data by recipe: what is kept, what is dropped, what rules write."""

import json
import re
from collections import Counter

import pytest

from simgpt.annotate.statistics import opens_alike
from simgpt.errors import SimgptError
from simgpt.study.data import MissingData, balanced, perturbed, prepare
from simgpt.study.grid import Data
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets, write_triplets


@pytest.fixture(scope="module")
def bundled():
    return list(read_triplets(BUNDLED_TRIPLETS))[::7]


@pytest.fixture
def few(tmp_path, bundled):
    path = tmp_path / "few.jsonl"
    write_triplets(path, bundled[::8])
    return path


def data(**keys):
    return Data(**({"name": "mine", "where": {}} | keys))


def made(found, folder):
    return list(read_triplets(folder / prepare(found, folder)))


def test_where_keeps_the_lines_whose_keys_have_one_of_the_values(few, tmp_path):
    everything = list(read_triplets(few))
    where = {"source": ["captions", "questions"], "wave": [1]}
    kept = made(data(sources=[str(few)], where=where), tmp_path / "derived")
    assert 0 < len(kept) < len(everything)
    assert kept == [
        t for t in everything if t.source in where["source"] and t.extra["wave"] in where["wave"]
    ]


def test_what_needs_no_recipe_is_used_where_it_is(few, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TRIPLETS", str(few))
    folder = tmp_path / "derived"
    assert prepare(data(), folder) == "bundled"
    assert prepare(data(sources=[str(few)]), folder) == str(few)
    assert prepare(data(sources=["$MY_TRIPLETS"]), folder) == str(few)
    assert not folder.exists()


def test_several_sources_are_put_together(few, tmp_path, bundled):
    more = tmp_path / "more.csv"
    write_triplets(more, bundled[1:5])
    folder = tmp_path / "derived"
    found = made(data(sources=[str(few), str(more)]), folder)
    assert [t.texts for t in found] == [t.texts for t in [*bundled[::8], *bundled[1:5]]]
    other = data(sources=[str(few), str(few)])
    assert prepare(other, folder) != prepare(data(sources=[str(few), str(more)]), folder)


def test_the_fourth_wave_continues_the_bundled_three(tmp_path):
    found = made(data(sources=["bundled", "wave-4"]), tmp_path / "derived")
    three = list(read_triplets(BUNDLED_TRIPLETS))
    assert found[: len(three)] == three
    assert {t.extra["wave"] for t in found[len(three) :]} == {4}
    assert len({t.id for t in found}) == len(found)


def test_a_derived_file_is_written_once_and_anew_for_other_content(few, tmp_path):
    recipe, folder = data(sources=[str(few)], perturb=True), tmp_path / "derived"
    first = prepare(recipe, folder)
    assert re.fullmatch(r"mine-[0-9a-f]{8}\.jsonl", first.rpartition("/")[2])
    written = (folder / first).stat().st_mtime_ns
    assert prepare(recipe, folder) == first
    assert (folder / first).stat().st_mtime_ns == written
    assert prepare(data(sources=[str(few)], balance="openings"), folder) != first
    few.write_text("".join(few.read_text().splitlines(keepends=True)[1:]))
    assert prepare(recipe, folder) != first


def test_data_that_is_not_here_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("MY_TRIPLETS", raising=False)
    with pytest.raises(MissingData, match=r"data\.mine\.from: \$MY_TRIPLETS is not set"):
        prepare(data(sources=["$MY_TRIPLETS"]), tmp_path)
    monkeypatch.setenv("MY_TRIPLETS", "gone.jsonl")
    with pytest.raises(MissingData, match=r"data\.mine\.from, \$MY_TRIPLETS: gone\.jsonl: no such"):
        prepare(data(sources=["$MY_TRIPLETS"]), tmp_path)


def test_a_recipe_that_leaves_nothing_is_refused_and_leaves_no_file(few, tmp_path):
    with pytest.raises(SimgptError, match=r"data\.mine of .*few\.jsonl: its recipe leaves no"):
        prepare(data(sources=[str(few)], where={"sauce": ["captions"]}), tmp_path / "derived")
    assert list((tmp_path / "derived").iterdir()) == []


def opening(triplet):
    return (
        opens_alike(triplet.sentence, triplet.similar),
        opens_alike(triplet.sentence, triplet.dissimilar),
    )


def test_balanced_openings_are_as_many_and_no_more_is_dropped_than_needs_be(bundled):
    before, kept = Counter(map(opening, bundled)), list(balanced(lambda: iter(bundled)))
    after = Counter(map(opening, kept))
    assert before[False, True] > before[True, False] > 0
    assert after == before | {(False, True): before[True, False]}
    assert [t for t in bundled if t in kept] == kept
    assert kept == list(balanced(lambda: iter(bundled)))


def test_where_similar_sentences_open_alike_more_often_these_are_dropped():
    alike = [Triplet(f"A dog {n}.", f"A dog is {n}.", f"No cat {n}.") for n in range(5)]
    unlike = [Triplet(f"The cat {n}.", f"One cat {n}.", f"The cat is not {n}.") for n in range(2)]
    kept = list(balanced(lambda: iter([*alike, *unlike])))
    assert kept[2:] == unlike
    assert all(t in alike for t in kept[:2])
    assert list(balanced(lambda: iter(unlike[:0]))) == []


def words(text):
    return text.split()


def test_the_rule_made_similar_sentence_has_the_sentences_words_but_for_a_tenth(bundled):
    for triplet in perturbed(lambda: iter(bundled)):
        own, kept = Counter(words(triplet.sentence)), Counter(words(triplet.similar))
        assert kept < own
        assert (own - kept).total() == max(1, round(own.total() / 10))
        # Two neighbours changed places: without them the order is the sentence's.
        rest = iter(words(triplet.sentence))
        out_of_order = sum(word not in rest for word in words(triplet.similar))
        assert out_of_order < kept.total()


STOP = ("a", "the", "in", "of", "and", "with", "on", "is", "are", "to", "at", "as", "his", "her")


def test_the_rule_made_dissimilar_sentence_has_other_words_of_the_file_in_some_places(bundled):
    vocabulary = {w.lower() for t in bundled for w in re.findall(r"[^\W_]+", t.sentence)}
    replaced, content = 0, 0
    for triplet in perturbed(lambda: iter(bundled)):
        own, other = words(triplet.sentence), words(triplet.dissimilar)
        assert len(own) == len(other)
        changed = [(a, b) for a, b in zip(own, other, strict=True) if a != b]
        assert changed
        for before, after in changed:
            assert before.lower() not in STOP
            for word in set(re.findall(r"[^\W_]+", after)) - set(re.findall(r"[^\W_]+", before)):
                assert word.lower() in vocabulary
                assert word.lower() not in triplet.sentence.lower().split()
        replaced += len(changed)
        content += sum(word.strip(".,?!").lower() not in STOP for word in own)
    assert 0.15 < replaced / content < 0.4


def test_what_rules_write_does_not_depend_on_the_order_of_the_file(bundled):
    forward = {t.sentence: t.texts for t in perturbed(lambda: iter(bundled[:200]))}
    backward = {t.sentence: t.texts for t in perturbed(lambda: iter(bundled[199::-1]))}
    assert forward == backward
    assert len(forward) > 190


def test_sentences_too_short_for_three_texts_are_left_out_and_other_keys_travel_along():
    rows = [
        Triplet("Dogs bark.", "Dogs are loud.", "Cats sleep.", "captions", {"wave": 1}),
        Triplet("It was all over by then.", "That was it.", "It began.", "captions", {"wave": 2}),
        Triplet("Old dogs bark loudly.", "Dogs bark.", "Cats sleep.", "captions", {"wave": 3}),
        Triplet("Young horses eat hay.", "A horse eats.", "Cats sleep.", "captions", {"wave": 4}),
    ]
    kept = list(perturbed(lambda: iter(rows)))
    assert [t.extra["wave"] for t in kept] == [3, 4]
    assert [t.source for t in kept] == ["captions", "captions"]
    assert [t.sentence for t in kept] == [rows[2].sentence, rows[3].sentence]


def test_a_chosen_balanced_perturbed_file_is_a_sound_triplets_file(few, tmp_path):
    recipe = data(
        sources=[str(few)], where={"source": ["multi_genre"]}, balance="openings", perturb=True
    )
    kept = made(recipe, tmp_path / "derived")
    assert {t.source for t in kept} == {"multi_genre"}
    lines = (tmp_path / "derived" / prepare(recipe, tmp_path / "derived")).read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [t.id for t in kept]
