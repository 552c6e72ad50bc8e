"""Benchmark sentences in training data: what is found, what is not, and scores without it."""

import json
import re

import numpy as np
import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

from simgpt.cli import app
from simgpt.errors import SimgptError
from simgpt.evaluate import Scored, Subset, Task, contamination, uncertainty
from simgpt.evaluate.clean import clean_scores
from simgpt.evaluate.contamination import Tally, audit_contamination
from simgpt.evaluate.overlap import (
    RECALL,
    THRESHOLD,
    Level,
    SentenceIndex,
    jaccard,
    shingles,
)
from simgpt.triplets import Triplet, load_dev_pairs, load_triplets, write_triplets
from tests.tiny import tiny_bert

CRANE = "A crane stands on one leg in the shallow marsh beside two sleeping ducks ."


def levels(sentence, text):
    """Names of the levels at which `text` matches the only sentence of an index."""
    found = SentenceIndex([sentence]).match(text)
    return {level.label for match in found.values() for level in match.levels} - {"any"}


def task(pairs, name="toy", gold=None):
    left, right = zip(*pairs, strict=True)
    gold = gold or [float(number % 6) for number in range(len(pairs))]
    return Task(name, [Subset("all", list(left), list(right), gold)], "plain", "ab" * 32)


def counted(pairs, *triplets):
    tally = Tally([task(pairs)])
    for number, texts in enumerate(triplets):
        tally.add(str(number), texts)
    return tally.counts()["tasks"]["toy"]


@pytest.fixture
def one_task(monkeypatch):
    """Make the audit look for these pairs alone."""

    def use(pairs):
        held = contamination.find_tasks("bundled")
        with_pairs = type(held)(held.suite, [], [task(pairs, "bundled_dev")])
        monkeypatch.setattr(contamination, "find_tasks", lambda _: with_pairs)

    return use


def test_the_same_text_matches_at_every_level():
    assert levels(CRANE, CRANE) == {"exact", "normalised", "ngram", "near"}


@pytest.mark.parametrize(
    ("benchmark", "training"),
    [
        ("it 's a dog , isn 't it ?", "It's a dog, isn't it?"),  # tokenised and not
        ("the u.s. economy grew 3.5 %", "The U.S. economy grew 3.5%"),
        ("the caf\u00e9 is open", "The cafe\u0301 is open"),  # composed and not
        ("die stra\u00dfe ist leer", "DIE STRASSE IST LEER"),
        ("\uff26ull width letters", "Full width letters"),
        ("yes .", "Yes"),  # shorter than a shingle
        ("\u732b\u304c\u597d\u304d\u3067\u3059", "\u732b\u304c\u597d\u304d\u3067\u3059\u3002"),
    ],
)
def test_the_same_letters_match_however_they_are_written(benchmark, training):
    assert levels(benchmark, training) == {"normalised", "near"}


def test_a_run_of_eight_words_matches_and_one_of_seven_does_not():
    other = "Nobody knows why {} while everybody else in the village goes on with the harvest."
    eight = other.format("one leg in the shallow marsh beside two")
    seven = other.format("one leg in the shallow marsh beside")
    assert levels(CRANE, eight) == {"ngram"}
    assert levels(CRANE, seven) == set()


def test_a_sentence_shorter_than_a_run_counts_at_the_other_levels_only():
    short = "it 's a dog ."
    assert levels(short, "Is it true that it's a dog. I see that it's a dog.") == set()
    assert levels(short, "It's a dog!") == {"normalised", "near"}


def test_near_means_a_jaccard_index_at_the_threshold_or_above():
    sentence = "a girl is painting the wooden gate behind our house"
    assert jaccard({"a", "b"}, {"b", "c"}) == pytest.approx(1 / 3)
    for text, near in (
        ("A girl is painting the wooden gates behind our house", True),
        ("A boy is painting the wooden gate behind our house", True),
        ("A boy paints the gate", False),
        ("The economy grew", False),
    ):
        plain = [re.sub("[^a-z]", "", one.lower()) for one in (sentence, text)]
        by_hand = [{one[i : i + 4] for i in range(len(one) - 3)} for one in plain]
        index = len(by_hand[0] & by_hand[1]) / len(by_hand[0] | by_hand[1])
        assert (index >= THRESHOLD) is near
        found = SentenceIndex([sentence]).match(text)
        assert bool(found) is near
        if near:
            assert found[0].similarity == pytest.approx(index)


def test_the_hash_misses_no_more_than_it_says():
    texts = load_triplets()["sentence"][:1500]
    plain = ["".join(re.findall("[a-z0-9]+", text.lower())) for text in texts]
    index = SentenceIndex(texts)
    expected = found = 0
    for text, own in zip(texts, plain, strict=True):
        half = text[: round(len(text) * 0.82)]
        truth = jaccard(shingles(own), shingles(own[: len("".join(re.findall(r"\w+", half)))]))
        if THRESHOLD <= truth < 0.9:
            expected += 1
            found += any(match.levels & Level.NEAR for match in index.match(half).values())
    assert expected > 500
    assert found / expected > RECALL - 0.01
    assert RECALL > 0.99


def test_text_without_letters_matches_nothing_but_itself():
    assert levels("...", "!!!") == set()
    assert levels("...", "...") == {"exact"}
    assert levels(CRANE, "") == set()


def test_every_sentence_with_the_same_letters_is_found():
    found = SentenceIndex(["it 's a dog .", "It 's a dog", "another one"]).match("It's a dog.")
    assert set(found) == {0, 1}


def test_pairs_are_counted_by_side_and_together_only_if_one_triplet_holds_both():
    pairs = [
        ("a tall man walks his dog", "the dog is walked by a tall man"),
        ("rain fell on the city all night", "the city was dry for weeks"),
        ("the bank raised its rates again", "interest rates went up once more"),
        ("nobody has ever seen this one", "and this one is as new"),
    ]
    row = counted(
        pairs,
        ("A tall man walks his dog.", "The dog is walked by a tall man.", "Rain fell."),
        ("Rain fell on the city all night.", "x y z", "u v w"),
        ("The bank raised its rates again.", "x", "y"),
        ("p", "q", "Interest rates went up once more."),
    )
    assert (row["sentences"], row["pairs"]) == (8, 4)
    expected = {"sentences": 5, "one_side": 1, "both_sides": 2, "together": 1}
    assert row["levels"]["normalised"] == row["levels"]["near"] == row["levels"]["any"] == expected
    assert row["levels"]["exact"]["sentences"] == 0
    assert row["levels"]["ngram"]["sentences"] == 1  # the only one of eight words


def test_one_text_that_resembles_both_sides_is_not_together():
    gate = "a girl slowly paints {} wooden gate behind our house"
    pairs = [(gate.format("an old"), gate.format("the old"))]
    row = counted(pairs, (gate.format("an old").upper(), "It rains.", "The sun shines."))
    assert row["levels"]["near"]["both_sides"] == 1
    assert row["levels"]["near"]["together"] == 0


def test_together_counts_at_a_level_only_if_both_sides_match_at_it():
    pairs = [("a girl paints a gate", "someone makes music")]
    row = counted(pairs, ("a girl paints a gate", "Someone makes music!", "It rains."))
    assert [row["levels"][name]["together"] for name in ("exact", "normalised", "any")] == [0, 1, 1]


def test_clean_scores_are_those_of_the_rest_and_the_interval_is_paired():
    draw = np.random.default_rng(3)
    gold = draw.uniform(0, 5, 60)
    cosines = (gold + draw.normal(0, 2, 60)).astype(np.float32)
    touched = np.zeros(60, dtype=np.uint8)
    touched[:20] = Level.NGRAM | Level.ANY
    one = task([(f"l{n}", f"r{n}") for n in range(60)], gold=list(gold))
    row = clean_scores([one], Scored({}, {"toy": cosines}), {"toy": touched})["tasks"]["toy"]
    rest, before = spearmanr(cosines[20:], gold[20:]), spearmanr(cosines, gold)
    assert row["spearman"] == pytest.approx(before.statistic)
    clean = row["without"]["ngram"]
    assert clean["pairs"] == 40
    assert clean["spearman"] == pytest.approx(rest.statistic)
    assert clean["change"] == pytest.approx(rest.statistic - before.statistic)
    assert clean["interval"]["low"] < clean["change"] < clean["interval"]["high"]
    # Paired: far narrower than the two scores' own intervals would make it.
    loose = np.random.default_rng(4).integers(60, size=(400, 60))
    spread = np.std([spearmanr(cosines[rows], gold[rows]).statistic for rows in loose])
    assert clean["interval"]["high"] - clean["interval"]["low"] < 2 * 1.96 * np.sqrt(2) * spread
    assert row["without"]["any"] == clean


def test_where_nothing_is_touched_nothing_changes():
    one = task([(f"l{n}", f"r{n}") for n in range(12)])
    cosines = np.linspace(0, 1, 12, dtype=np.float32) ** 2
    held = clean_scores([one], Scored({}, {"toy": cosines}), {"toy": np.zeros(12, np.uint8)})
    clean = held["tasks"]["toy"]["without"]["any"]
    assert (clean["pairs"], clean["change"]) == (12, 0)
    assert (clean["interval"]["low"], clean["interval"]["high"]) == (0, 0)


def test_a_task_of_which_one_pair_remains_has_no_score_and_neither_has_the_average():
    tasks = [task([(f"{t}{n}", f"r{n}") for n in range(6)], t) for t in ("one", "two")]
    cosines = np.array([0.1, 0.5, 0.2, 0.3, 0.9, 0.8], dtype=np.float32)
    touched = {"one": np.full(6, Level.NEAR | Level.ANY, np.uint8), "two": np.zeros(6, np.uint8)}
    touched["one"][0] = 0
    held = clean_scores(tasks, Scored({}, dict.fromkeys(("one", "two"), cosines)), touched)
    none = {"pairs": 1, "spearman": None, "change": None, "interval": None}
    assert held["tasks"]["one"]["without"]["near"] == none
    assert held["average"]["without"]["near"]["spearman"] is None
    assert held["average"]["without"]["near"]["pairs"] == 7
    assert held["average"]["without"]["ngram"]["change"] == 0


def test_the_average_changes_by_the_mean_of_the_changes():
    draw = np.random.default_rng(5)
    tasks = [task([(f"{t}{n}", f"r{n}") for n in range(30)], t) for t in ("one", "two")]
    cosines = {t.name: draw.random(30).astype(np.float32) for t in tasks}
    touched = {t.name: (draw.random(30) < 0.3).astype(np.uint8) * Level.ANY for t in tasks}
    held = clean_scores(tasks, Scored({}, cosines), touched)
    changes = [row["without"]["any"]["change"] for row in held["tasks"].values()]
    average = held["average"]["without"]["any"]
    assert average["change"] == pytest.approx(np.mean(changes))
    assert average["interval"]["low"] < average["change"] < average["interval"]["high"]


def test_the_file_is_streamed_and_matches_are_written_as_they_are_found(one_task, tmp_path):
    one_task([("a tall man walks his dog", "the dog is walked by a tall man")] * 2)
    triplets = tmp_path / "made.jsonl"
    hit = Triplet("A tall man walks his dog.", "The dog is walked by a tall man.", "It rains.")
    others = (Triplet(f"one {n}", f"two {n}", f"three {n}") for n in range(50))
    write_triplets(triplets, [hit, *others])
    held = audit_contamination(str(triplets), matches=tmp_path / "matches.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "matches.jsonl").read_text().splitlines()]
    assert len(rows) == 4  # two sides of two pairs
    assert rows[0] == {
        "task": "bundled_dev",
        "subset": "all",
        "pair": 1,
        "side": "left",
        "levels": ["normalised", "near"],
        "similarity": 1.0,
        "benchmark_sentence": "a tall man walks his dog",
        "training_sentence": "A tall man walks his dog.",
        "triplet": hit.id,
        "text": "sentence",
    }
    assert held["triplets"]["count"] == 51
    assert held["total"]["levels"]["any"]["together"] == 2
    assert "dog" not in json.dumps(held)


def test_no_more_than_a_triplet_is_taken_from_the_file_at_a_time(one_task, monkeypatch, tmp_path):
    one_task([("a b c d", "e f g h"), ("i j k l", "m n o p")])
    taken, looked_for = [0], []

    def read(_):
        for number in range(100):
            taken[0] += 1
            yield Triplet(f"s{number}", "similar", "dissimilar")

    add = Tally.add
    monkeypatch.setattr(contamination, "read_triplets", read)
    monkeypatch.setattr(contamination, "sha256_of", lambda _: "")

    def noted(self, *words):
        looked_for.append(taken[0])
        add(self, *words)

    monkeypatch.setattr(Tally, "add", noted)
    audit_contamination(str(tmp_path / "any.jsonl"))
    assert looked_for == list(range(101, 201))  # read once to count, then one by one


def test_source_sentences_can_be_audited_before_they_are_annotated(one_task, tmp_path):
    one_task([("a tall man walks his dog", "it rains"), ("x", "y")])
    (tmp_path / "source.txt").write_text("It snows.\n\nA tall man walks his dog.\n")
    held = audit_contamination(str(tmp_path / "source.txt"))
    assert held["triplets"]["count"] == 2
    assert held["total"]["levels"]["normalised"]["sentences"] == 1
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(SimgptError, match=r"empty\.txt: holds no sentences"):
        audit_contamination(str(tmp_path / "empty.txt"))


def test_the_command_finds_development_pairs_and_scores_without_them(tmp_path, monkeypatch):
    monkeypatch.setitem(uncertainty.bootstrap_spearman.__kwdefaults__, "resamples", 200)
    model = str(tiny_bert(tmp_path / "model"))
    pairs = load_dev_pairs().to_list()[:40]
    triplets, output = tmp_path / "leaky.jsonl", tmp_path / "result.json"
    texts = ([pair["sentence1"].upper(), pair["sentence2"], "A stone."] for pair in pairs)
    write_triplets(triplets, (Triplet(*three) for three in texts))
    words = ["evaluate", "contamination", model, "--triplets", str(triplets)]
    words += ["--benchmarks", "bundled", "--output", str(output)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    held = json.loads(output.read_text())
    assert held["total"]["levels"]["normalised"]["together"] >= 40
    row = held["models"][0]["scores"]["tasks"]["bundled_dev"]["without"]["any"]
    assert row["pairs"] <= 760
    assert f"{100 * row['spearman']:.2f}" in done.output
    assert "NOT a benchmark" in done.output
    assert pairs[0]["sentence2"] not in output.read_text()
    assert held["settings"]["threshold"] == THRESHOLD
    assert len(held["triplets"]["sha256"]) == 64


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(SimgptError, match=r"gone\.jsonl: no such file"):
        audit_contamination("gone.jsonl", benchmarks="bundled")


def test_a_benchmark_finds_itself(senteval, tmp_path):
    """Real files: a subset's own sentences touch all of its pairs."""
    held = contamination.find_tasks(str(senteval))
    images = next(s for s in held.tasks[2].subsets if s.name == "images")
    rows = zip(images.left, images.right, strict=True)
    text = "".join(f"{one}\n{other}\n" for one, other in rows)
    (tmp_path / "images.txt").write_text(text, encoding="utf-8")
    found = audit_contamination(str(tmp_path / "images.txt"), benchmarks=str(senteval))
    counts = found["tasks"]["sts14"]["subsets"]["images"]["levels"]["exact"]
    assert counts["both_sides"] == 750
