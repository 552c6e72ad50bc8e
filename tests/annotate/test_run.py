"""Annotation from sentences to triplets: what comes out, what is paid, what survives."""

import json
import sqlite3

import pytest

from simgpt import SimgptError
from simgpt.annotate import (
    Asking,
    RecordedTeacher,
    Sampling,
    Task,
    dry_run,
    load_prompt,
    price_of,
    read_prompt,
)
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.requests import Answer, Api
from simgpt.annotate.run import Interrupted
from simgpt.sentences import SourceSentence, load_sentences
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets, write_triplets
from tests.annotate.support import annotate_with, live, sentences
from tests.openai_server import OpenAIServer, ServerProcess

FAULTS = (
    *("rate_limit", "rate_limit_bare", "server_error", "unavailable", "drop", "drop_after_work"),
    *("half", "slow", "garbage", "wrong_shape", "refusal", "truncated", "duplicate"),
)
DOG = SourceSentence("A dog runs along the beach.", "captions")
WHY = SourceSentence("Why do cats purr at night?", "questions")


class Scripted:
    """A teacher that answers from a dict."""

    endpoint, model, probes = "scripted", "scripted", {}

    def __init__(self, answers):
        self.answers, self.abilities, self.asked = answers, {}, []

    async def ask(self, request):
        self.asked.append(request)
        return Answer(self.answers[request.inputs[0]])

    async def close(self):
        pass


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rejected(folder):
    return rows(folder / "triplets.rejected.jsonl")


# --- What comes out


def test_a_usable_answer_becomes_a_triplet_that_says_where_it_comes_from(tmp_path):
    teacher = Scripted({DOG.text: "1. By the sea a dog is running.\n2. Two men row a boat."})
    annotate_with(teacher, tmp_path, [DOG])
    (triplet,) = read_triplets(tmp_path / "triplets.jsonl")
    assert triplet.texts == (DOG.text, "By the sea a dog is running.", "Two men row a boat.")
    assert triplet.source == "captions"
    assert triplet.extra == {"teacher": "scripted", "prompt": load_prompt("captions").hash[:8]}


def test_each_kind_of_sentence_gets_its_own_prompt_and_the_rest_the_broadest(tmp_path):
    rain = SourceSentence("It rained all night.", "")
    answers = {s.text: f"1. One thing, {s.source}.\n2. Not {s.source}." for s in (DOG, WHY, rain)}
    teacher = Scripted(answers)
    annotate_with(teacher, tmp_path, [DOG, WHY, rain])
    asked = {request.inputs[0]: request.setup.prompt.name for request in teacher.asked}
    assert asked == {DOG.text: "captions", WHY.text: "questions", rain.text: "multi_genre"}


@pytest.mark.parametrize(
    ("answer", "outcome", "verdicts"),
    [
        ("I'm sorry, I can't.", "refusal", None),
        ("1. By the sea a dog is running.", "missing", None),
        (f"1. {DOG.text.upper()}\n2. Two men row a boat.", "copy", ["copy"]),
        ("1. A dog runs along the beaches.\n2. Two men row a boat.", "near_copy", ["near_copy"]),
    ],
)
def test_a_bad_answer_is_kept_beside_the_triplets_with_its_reason(
    tmp_path, answer, outcome, verdicts
):
    good = "1. What makes a cat purr in the dark?\n2. Who painted this?"
    summary = annotate_with(Scripted({DOG.text: answer, WHY.text: good}), tmp_path, [DOG, WHY])
    assert [t.sentence for t in read_triplets(tmp_path / "triplets.jsonl")] == [WHY.text]
    (row,) = rejected(tmp_path)
    assert (row["sentence"], row["answer"], row["outcome"]) == (DOG.text, answer, outcome)
    assert row.get("audit") == verdicts
    assert summary["outcomes"] == {"captions": {outcome: 1}, "questions": {"kept": 1}}


def test_flagged_triplets_are_written_when_asked_for_but_copies_never(tmp_path):
    near, copy = "A dog runs along the beaches.", WHY.text
    answers = {DOG.text: f"1. {near}\n2. Two men row.", WHY.text: f"1. {copy}\n2. Who knows?"}
    annotate_with(Scripted(answers), tmp_path, [DOG, WHY], keep_flagged=True)
    (triplet,) = read_triplets(tmp_path / "triplets.jsonl")
    assert (triplet.similar, triplet.extra["audit"]) == (near, ["near_copy"])
    assert [row["outcome"] for row in rejected(tmp_path)] == ["copy"]


def test_one_answer_to_many_sentences_is_flagged(tmp_path):
    answers = {s.text: f"1. {s.text[4:-1]}, wet.\n2. Nobody knows." for s in sentences(5)}
    with pytest.raises(SimgptError, match=r"no answer of 5 became a triplet \(5 reused\)"):
        annotate_with(Scripted(answers), tmp_path, sentences(5))
    assert not (tmp_path / "triplets.jsonl").exists()
    assert len(rejected(tmp_path)) == 5


def test_a_sentence_that_comes_twice_is_asked_for_once(tmp_path):
    teacher = Scripted({DOG.text: "1. By the sea a dog is running.\n2. Two men row a boat."})
    annotate_with(teacher, tmp_path, [DOG, DOG])
    assert len(teacher.asked) == 1


def test_a_kind_without_a_prompt_is_refused(tmp_path):
    with pytest.raises(SimgptError, match="no prompt for 'poems'; known: captions"):
        annotate_with(Scripted({}), tmp_path, [SourceSentence("Roses are red.", "poems")])


def test_the_recorded_teacher_gives_back_the_whole_bundle_through_parser_and_audit(tmp_path):
    recorded = {triplet.id for triplet in read_triplets(BUNDLED_TRIPLETS)}
    loaded = load_sentences()
    summary = annotate_with(RecordedTeacher(), tmp_path, loaded.sentences, keep_flagged=True)
    replayed = {triplet.id for triplet in read_triplets(tmp_path / "triplets.jsonl")}
    assert len(replayed) == len(loaded.sentences)
    assert replayed <= recorded
    assert summary["usd"] == 0
    assert rejected(tmp_path) == []


@pytest.mark.parametrize("variant", ["", "json"])
def test_the_recorded_teacher_answers_in_the_form_that_is_asked_for(tmp_path, variant):
    path = tmp_path / "mine.jsonl"
    write_triplets(path, [Triplet(DOG.text, "By the sea a dog runs.", "Two men row a boat.")])
    annotate_with(RecordedTeacher(path), tmp_path, [DOG], variant=variant)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        ((answer,),) = db.execute("SELECT answer FROM attempt").fetchall()
    assert answer.startswith("{" if variant else "1. ")
    assert [t.similar for t in read_triplets(tmp_path / "triplets.jsonl")] == [
        "By the sea a dog runs."
    ]


def test_a_new_sentence_stops_with_what_the_recorded_teacher_knows(tmp_path):
    path = tmp_path / "mine.jsonl"
    write_triplets(path, [Triplet(DOG.text, "b", "c")])
    with pytest.raises(SimgptError) as caught:
        annotate_with(RecordedTeacher(path), tmp_path, [WHY])
    for part in (repr(WHY.text), "only the 1 sentences", str(path), "a live teacher"):
        assert part in str(caught.value)


# --- What is paid


def test_the_same_run_again_asks_nothing_and_writes_the_same(tmp_path, monkeypatch):
    with OpenAIServer() as server:
        annotate_with(live(server.url, monkeypatch), tmp_path, sentences(40))
        first, asked = (tmp_path / "triplets.jsonl").read_bytes(), server.stats()["requests"]
        (tmp_path / "triplets.jsonl").unlink()
        annotate_with(live(server.url, monkeypatch), tmp_path, sentences(40))
        assert server.stats()["requests"] == asked
    assert (tmp_path / "triplets.jsonl").read_bytes() == first


def test_more_sentences_cost_only_the_new_ones(tmp_path, monkeypatch):
    with OpenAIServer() as server:
        annotate_with(live(server.url, monkeypatch), tmp_path, sentences(30))
        asked = server.stats()["requests"]
        annotate_with(live(server.url, monkeypatch), tmp_path, sentences(40))
        assert server.stats()["requests"] == asked + 10
    assert len(list(read_triplets(tmp_path / "triplets.jsonl"))) == 40


def test_other_sampling_or_another_prompt_is_another_question(tmp_path, monkeypatch):
    with OpenAIServer() as server:
        for settings in (
            {},
            {"sampling": Sampling(temperature=0.0)},
            {"variant": "brief"},
            {"variant": "turns"},
            {"api": Api.COMPLETIONS},
        ):
            before = server.stats()["requests"]
            annotate_with(live(server.url, monkeypatch), tmp_path, sentences(5), **settings)
            assert server.stats()["requests"] - before in (5, 8)  # 3 probes the first time


def test_ten_thousand_sentences_come_through_faults_complete_and_paid_once(tmp_path, monkeypatch):
    """5% of the calls go wrong, in thirteen ways."""
    count = 10_000
    faults = dict.fromkeys(FAULTS, 0.05 / len(FAULTS))
    with ServerProcess(faults=faults, slow_s=3.0) as server:
        teacher = live(server.url, monkeypatch, timeout_s=1.0)
        asking = Asking(concurrency=64, price=price_of("gpt-4o-mini"))
        summary = annotate_with(teacher, tmp_path, sentences(count), asking=asking)
        stats = server.stats()
    assert summary["sentences"] == sum(summary["outcomes"]["captions"].values()) == count
    assert "not answered" not in summary["outcomes"]["captions"]
    unusable = (
        summary["outcomes"]["captions"]["refusal"],
        summary["outcomes"]["captions"]["truncated"],
    )
    assert summary["triplets"] == count - sum(unusable)
    assert stats["avoidable_payments"] == 0
    # Each answer belongs to its sentence: the server turns the sentence's words round.
    for triplet in read_triplets(tmp_path / "triplets.jsonl"):
        assert triplet.sentence.split()[2] in triplet.similar
    assert all(stats["outcomes"].get(fault) for fault in FAULTS)


def test_the_budget_is_not_exceeded_by_a_cent_whatever_goes_wrong(tmp_path, monkeypatch):
    price = price_of("gpt-4o-mini")
    faults = {"drop_after_work": 0.05, "server_error": 0.05, "half": 0.05, "garbage": 0.05}
    with OpenAIServer(faults=faults) as server:
        spent = []
        for budget in (0.02, 0.05):
            asking = Asking(concurrency=8, price=price, budget_usd=budget)
            with pytest.raises(Interrupted, match=rf"budget of \${budget:.2f}.*raise --budget-usd"):
                annotate_with(
                    live(server.url, monkeypatch), tmp_path, sentences(2000), asking=asking
                )
            stats = server.stats()
            billed = (stats["tokens_in"] * price.input + stats["tokens_out"] * price.output) / 1e6
            assert billed <= budget
            spent.append(billed)
    assert spent[0] > 0.01  # it was used, not just kept
    assert spent[1] > 0.025
    assert not (tmp_path / "triplets.jsonl").exists()


def test_a_dry_run_tells_what_is_open_and_asks_nothing(tmp_path, monkeypatch):
    with OpenAIServer() as server:
        teacher = live(server.url, monkeypatch)
        annotate_with(teacher, tmp_path, sentences(30))
        asked = server.stats()["requests"]
        task = Task(sentences=sentences(130), endpoint=teacher.endpoint, model=teacher.model)
        survey, estimate = dry_run(task, tmp_path / "ledger.sqlite", price_of("gpt-4o-mini"))
        assert server.stats()["requests"] == asked
        assert (survey.wanted, survey.open, estimate.requests) == (130, 100, 100)
        before = server.stats()
        annotate_with(live(server.url, monkeypatch), tmp_path, sentences(130))
        after = server.stats()
    used = {name: after[name] - before[name] for name in ("tokens_in", "tokens_out")}
    assert "30 answers in the ledger" in estimate.basis
    assert estimate.input_tokens.low <= used["tokens_in"] <= estimate.input_tokens.high
    assert estimate.output_tokens.low <= used["tokens_out"] <= estimate.output_tokens.high


def test_a_limit_asks_for_so_many_and_writes_what_is_there(tmp_path, monkeypatch):
    with OpenAIServer() as server:
        for limit, there in ((10, 10), (5, 15), (0, 15)):
            summary = annotate_with(
                live(server.url, monkeypatch), tmp_path, sentences(50), asking=Asking(limit=limit)
            )
            assert summary["triplets"] == there
            assert summary["outcomes"]["captions"]["not answered"] == 50 - there
    assert rejected(tmp_path) == []


# --- What stops it


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_key": "another"}, ["refuses to answer", "401"]),
        ({"unknown_model": "gpt-4o-mini"}, ["refuses to answer", "404"]),
        ({"insufficient_quota": True}, ["refuses to answer", "exceeded your current quota. What"]),
    ],
)
def test_what_would_fail_every_time_stops_the_run_at_once(tmp_path, monkeypatch, settings, words):
    with OpenAIServer(**settings) as server:
        with pytest.raises(Interrupted) as caught:
            annotate_with(live(server.url, monkeypatch), tmp_path, sentences(500))
        assert server.stats()["requests"] <= 16
    for word in (*words, "run the same command to go on", str(tmp_path / "ledger.sqlite")):
        assert word in str(caught.value)


def test_a_run_whose_first_answers_are_all_useless_is_not_paid_for_to_the_end(
    tmp_path, monkeypatch
):
    with OpenAIServer(faults={"truncated": 1.0}) as server:
        with pytest.raises(
            Interrupted, match="none of the first 40 answers can be used; .*'length'"
        ):
            annotate_with(
                live(server.url, monkeypatch),
                tmp_path,
                sentences(500),
                asking=Asking(concurrency=4),
            )
        assert server.stats()["paid"] <= 40 + 4 + 3


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("simgpt.annotate.throttle._FIRST_WAIT_S", 0.001)
    with OpenAIServer() as server:
        url = server.url
    with pytest.raises(Interrupted, match=r"127\.0\.0\.1.*failed.*unreachable"):
        annotate_with(live(url, monkeypatch), tmp_path, sentences(50), asking=Asking(concurrency=2))


def test_a_request_that_the_server_rejects_is_recorded_and_the_rest_goes_on(tmp_path, monkeypatch):
    """A system role that a server does not take is folded; a rejected sentence is told."""

    class Picky(Scripted):
        async def ask(self, request):
            from simgpt.annotate.attempts import Outcome
            from simgpt.annotate.teachers import CallError

            if request.inputs[0] == DOG.text:
                raise CallError(Outcome.REJECTED, "no dogs, please", retry=False)
            return await super().ask(request)

    teacher = Picky({WHY.text: "1. What makes a cat purr in the dark?\n2. Who painted this?"})
    summary = annotate_with(teacher, tmp_path, [DOG, WHY])
    (row,) = rejected(tmp_path)
    assert (row["outcome"], row["answer"]) == ("rejected by the server", "no dogs, please")
    assert summary["triplets"] == 1


def test_a_nearly_full_disk_stops_before_anything_is_paid(tmp_path, monkeypatch):
    monkeypatch.setattr("simgpt.annotate.ledger._MIN_FREE", 1 << 60)
    with OpenAIServer() as server:
        with pytest.raises(Interrupted, match="nearly full; free some space"):
            annotate_with(live(server.url, monkeypatch), tmp_path, sentences(5))
        assert server.stats()["paid"] == 0


def test_a_second_run_on_the_same_ledger_is_refused(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite"):
        with pytest.raises(SimgptError, match="another run is using this ledger"):
            annotate_with(Scripted({}), tmp_path, [DOG])


# --- Finished runs


def test_a_finished_run_is_recognised_without_reading_the_sentences(tmp_path):
    class Once:
        def __init__(self):
            self.read = 0

        def __iter__(self):
            self.read += 1
            return iter([DOG])

    items = Once()
    teacher = Scripted({DOG.text: "1. By the sea a dog is running.\n2. Two men row a boat."})
    first = annotate_with(teacher, tmp_path, items, origin="hash of the file")
    read = items.read
    assert annotate_with(teacher, tmp_path, items, origin="hash of the file") == first
    assert items.read == read
    annotate_with(teacher, tmp_path, items, origin="another file")
    assert items.read > read


@pytest.mark.parametrize("damage", ["triplets.jsonl", "triplets.rejected.jsonl"])
def test_a_finished_run_whose_files_changed_is_written_again_for_nothing(tmp_path, damage):
    teacher = Scripted({DOG.text: "1. By the sea a dog is running.\n2. Two men row a boat."})
    annotate_with(teacher, tmp_path, [DOG], origin="hash")
    whole = (tmp_path / damage).read_bytes()
    (tmp_path / damage).write_bytes(b"torn")
    annotate_with(teacher, tmp_path, [DOG], origin="hash")
    assert (tmp_path / damage).read_bytes() == whole
    assert len(teacher.asked) == 1


# --- Servers of other makes


@pytest.mark.parametrize(
    ("settings", "abilities"),
    [
        ({}, {"system": True, "schema": True, "n": True}),
        ({"supports_system": False}, {"system": False, "schema": True, "n": True}),
        ({"supports_schema": False}, {"system": True, "schema": False, "n": True}),
        ({"supports_n": False}, {"system": True, "schema": True, "n": False}),
        (
            {"only_max_completion_tokens": True},
            {"system": True, "schema": True, "n": True},
        ),
    ],
)
@pytest.mark.parametrize("variant", ["turns", "json"])
def test_what_a_server_can_do_is_found_out_recorded_and_respected(
    tmp_path, monkeypatch, settings, abilities, variant
):
    with OpenAIServer(**settings) as server:
        teacher = live(server.url, monkeypatch)
        asking = Asking(concurrency=1)
        try:
            annotate_with(teacher, tmp_path, sentences(3), asking=asking, variant=variant)
        except SimgptError as error:  # this server gives JSON only where it is made to
            assert not abilities["schema"] and "became a triplet" in str(error)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.abilities(teacher.endpoint, teacher.model) == abilities
            assert {row[0] for row in ledger.rows("SELECT DISTINCT outcome FROM attempt")} <= {
                "answered"
            }


def test_a_prompt_of_ones_own_is_used_for_all_sentences(tmp_path, monkeypatch):
    path = tmp_path / "mine.txt"
    path.write_text("Write two lines.\n\nInput: {sentence}\nOutput:")
    with OpenAIServer() as server:
        annotate_with(live(server.url, monkeypatch), tmp_path, [DOG, WHY], prompt=read_prompt(path))
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        names = db.execute(
            "SELECT DISTINCT prompt_name FROM setup JOIN request ON setup = setup.id"
        ).fetchall()
    assert ("mine",) in names
