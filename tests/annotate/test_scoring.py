import json
import random

import pytest
from scipy.stats import spearmanr

from simgpt import SimgptError
from simgpt.annotate import Api, Asking, Price, Sampling
from simgpt.annotate.requests import Answer
from simgpt.annotate.run import Interrupted
from simgpt.annotate.scoring import load_scoring_prompt, parse_score, score_pairs
from tests.annotate.support import live
from tests.openai_server import OpenAIServer


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("3.6", 3.6),
        (" 4\n", 4),
        ("0", 0),
        ("5.0", 5),
        ("3,5", 3.5),
        ("Score: 4", 4),
        ("score:2.", 2),
        ("**4**", 4),
        ('{"score": 2.4}', 2.4),
        ("I'd say 2.5.", 2.5),
        ("3 (they mean roughly the same)", 3),
        # What it is out of is no score.
        ("4/5", 4),
        ("0/5", 0),
        ("3.6 / 5.0", 3.6),
        ("4 out of 5", 4),
        ("4 of 5", 4),
        ("5/5 (100%)", 5),
        # Nor is the scale.
        ("0 to 5: 3", 3),
        ("Score (0-5): 3", 3),
        ("Score (0–5): 3.0", 3),
        ("On a scale from 1 to 5, it is a 2", 2),
        ("between 0 and 5, I would say 1", 1),
        # A base model goes on with the next pair.
        (" 4\n\nSentence A: 3 dogs.\nSentence B: x\nScore: 2", 4),
        ("", None),
        ("five", None),
        ("nan", None),
        ("0-5", None),
        ("I cannot judge that.", None),
        # Off the scale, or on another one.
        ("7", None),
        ("10", None),
        ("-1", None),
        ("−1", None),
        ("5.1", None),
        ("75%", None),
        ("4/10", None),
        ("4 out of 10", None),
        # Not just one number: nothing is guessed.
        ("3-4", None),
        ("3 or 4", None),
        ("Between 3 and 4", None),
        ("1.2.3", None),
        ("A4", None),
    ],
)
def test_a_score_is_the_first_number_that_stands_alone_on_the_scale(text, score):
    assert parse_score(text) == score


def pairs(count=30, seed=2):
    rng = random.Random(seed)
    return [
        {
            "sentence1": f"Dog {n} runs along the beach.",
            "sentence2": f"A cat sleeps in house {n * 7}.",
            "score": rng.randint(0, 10) / 2,  # with ties
            "genre": "Tiere 🐕",
        }
        for n in range(count)
    ]


@pytest.fixture
def write(tmp_path):
    def write_rows(rows):
        path = tmp_path / "pairs.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write_rows


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Scripted:
    """A teacher that says what a function of the two sentences says."""

    endpoint, model, probes = "scripted", "parrot", {}

    def __init__(self, say):
        self.abilities, self.say, self.asked = {}, say, []

    async def ask(self, request):
        self.asked.append(request)
        return Answer(self.say(*request.inputs), model=self.model)

    async def close(self):
        pass


@pytest.mark.parametrize("api", list(Api))
def test_every_pair_is_scored_once_and_in_order(write, tmp_path, monkeypatch, api):
    rows, output = pairs(), tmp_path / "scored.jsonl"
    with OpenAIServer() as server:
        settings = {"output": output, "ledger": tmp_path / "ledger.sqlite", "api": api}
        teacher = live(server.url, monkeypatch)
        found = score_pairs(write(rows), teacher, **settings)
        asked = server.stats()
        again = score_pairs(write(rows), live(server.url, monkeypatch), **settings)
        assert server.stats()["requests"] == asked["requests"]
    scored = read(output)
    assert [{k: v for k, v in row.items() if k != "llm_score"} for row in scored] == rows
    scores = [row["llm_score"] for row in scored]
    assert all(0 <= score <= 5 for score in scores)
    assert len(set(scores)) > 10
    assert (found["pairs"], found["scored"]) == (30, 30)
    expected = spearmanr(scores, [row["score"] for row in rows]).statistic
    assert found["spearman"] == pytest.approx(expected, abs=1e-12)
    assert again == found
    assert asked["paid"] == (30 if api is Api.COMPLETIONS else 33)  # and three probes in a chat


def test_what_is_asked_is_the_bundled_prompt_with_both_sentences(write, tmp_path):
    teacher = Scripted(lambda one, two: "3")
    path = write([{"sentence1": "A dog\nruns.", "sentence2": "It rains."}])
    score_pairs(path, teacher, output=tmp_path / "o.jsonl", ledger=tmp_path / "l.sqlite")
    (request,) = teacher.asked
    assert request.text == load_scoring_prompt().render("A dog runs.", "It rains.")
    assert request.setup.sampling == Sampling(max_tokens=8)


def test_an_answer_without_a_score_is_null_and_left_out_of_the_correlation(write, tmp_path):
    rows = [
        {"sentence1": "a", "sentence2": "1", "score": 1},
        {"sentence1": "a", "sentence2": "4", "score": 2},
        {"sentence1": "a", "sentence2": "no idea", "score": 0},
        {"sentence1": "a", "sentence2": "3", "score": 5},
        {"sentence1": "a", "sentence2": "5"},
    ]
    output = tmp_path / "o.jsonl"
    found = score_pairs(
        write(rows), Scripted(lambda one, two: two), output=output, ledger=tmp_path / "l.sqlite"
    )
    assert [row["llm_score"] for row in read(output)] == [1, 4, None, 3, 5]
    assert (found["pairs"], found["scored"]) == (5, 4)
    # Ranks 1 3 2 against 1 2 3: 1 - 6 * (0 + 1 + 1) / (3 * 8).
    assert found["spearman"] == pytest.approx(0.5)
    assert found["models"] == {"parrot": 5}


@pytest.mark.parametrize("scores", [[None, None], [3, 3], [3, None]])
def test_there_is_no_correlation_without_gold_scores_that_differ(write, tmp_path, scores):
    rows = [
        {"sentence1": "a", "sentence2": f"{n}"} | ({} if score is None else {"score": score})
        for n, score in enumerate(scores)
    ]
    found = score_pairs(
        write(rows),
        Scripted(lambda one, two: two),
        output=tmp_path / "o.jsonl",
        ledger=tmp_path / "l.sqlite",
    )
    assert found["spearman"] is None


def test_a_pair_the_other_way_round_is_another_pair_and_a_repeated_one_is_not(write, tmp_path):
    rows = [
        {"sentence1": "a", "sentence2": "b"},
        {"sentence1": "b", "sentence2": "a"},
        {"sentence1": " a", "sentence2": "b\n"},
    ]
    teacher = Scripted(lambda one, two: "1" if one.strip() == "a" else "2")
    output = tmp_path / "o.jsonl"
    score_pairs(write(rows), teacher, output=output, ledger=tmp_path / "l.sqlite")
    assert [row["llm_score"] for row in read(output)] == [1, 2, 1]
    assert len(teacher.asked) == 2


def test_a_limit_leaves_the_other_pairs_for_the_next_run(write, tmp_path):
    path, output, ledger = write(pairs(5)), tmp_path / "o.jsonl", tmp_path / "l.sqlite"
    teacher = Scripted(lambda one, two: "2")
    some = score_pairs(path, teacher, output=output, ledger=ledger, asking=Asking(limit=3))
    assert (some["pairs"], some["scored"]) == (5, 3)
    assert sum(row["llm_score"] is None for row in read(output)) == 2
    assert score_pairs(path, teacher, output=output, ledger=ledger)["scored"] == 5
    assert len(teacher.asked) == 5


def test_a_budget_that_is_too_small_stops_before_it_is_exceeded(write, tmp_path, monkeypatch):
    output = tmp_path / "o.jsonl"
    asking = Asking(price=Price(1.0, 1.0), budget_usd=0.004, concurrency=4)
    with OpenAIServer() as server, pytest.raises(Interrupted, match="budget of"):
        score_pairs(
            write(pairs()),
            live(server.url, monkeypatch),
            output=output,
            ledger=tmp_path / "l.sqlite",
            asking=asking,
        )
    assert not output.exists()


@pytest.mark.parametrize(
    "row",
    [
        {"sentence1": "a"},
        {"sentence1": "a", "sentence2": " "},
        {"sentence1": "a", "sentence2": None},
        {"sentence1": "a", "sentence2": 3},
    ],
)
def test_a_pair_that_lacks_a_sentence_is_named_before_anything_is_asked(write, tmp_path, row):
    path, teacher = write([*pairs(2), row]), Scripted(lambda one, two: "3")
    with pytest.raises(SimgptError) as caught:
        score_pairs(path, teacher, output=tmp_path / "o.jsonl", ledger=tmp_path / "l.sqlite")
    assert str(caught.value) == f"{path}, line 3: sentence2 is missing or empty"
    assert teacher.asked == []
    assert not (tmp_path / "o.jsonl").exists()


def test_a_scoring_prompt_of_ones_own_needs_both_places(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("How alike are {sentence1} and {sentence2}?", encoding="utf-8")
    assert load_scoring_prompt(path).render("this", "that") == "How alike are this and that?"
    path.write_text("How alike are {sentence1} and it?", encoding="utf-8")
    with pytest.raises(SimgptError, match=r"own\.txt: .*\{sentence2\} occurs 0 times"):
        load_scoring_prompt(path)
