"""`simgpt annotate ...` and `simgpt triplets report` as a user types them."""

import json

import pytest
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.cli import app
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets
from tests.openai_server import OpenAIServer

SENTENCES = "".join(f"Dog number {n} runs along the beach in the rain.\n" for n in range(30))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a space in its name, and sentences in it."""
    folder = tmp_path / "my work"
    folder.mkdir()
    (folder / "sentences.txt").write_text(SENTENCES)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return folder


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


def simgpt(*arguments):
    """Output of the command line; a user's error is raised."""
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    if isinstance(done.exception, SimgptError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def live(server, *more):
    return ("annotate", "sentences.txt", "--base-url", server.url, "--model", "gpt-4o-mini", *more)


def test_a_file_of_sentences_becomes_triplets_with_one_command(place, server):
    shown = simgpt(*live(server, "--source", "captions", "--output", "triplets.jsonl"))
    assert "30 triplets from 30 sentences: triplets.jsonl" in shown
    triplets = list(read_triplets(place / "triplets.jsonl"))
    assert [t.sentence for t in triplets] == SENTENCES.splitlines()
    assert {t.source for t in triplets} == {"captions"}
    written = {path.name for path in place.iterdir()}
    assert written >= {
        "triplets.jsonl",
        "triplets.rejected.jsonl",
        "triplets.summary.json",
        "triplets.card.md",
    }
    assert "| `gpt-4o-mini` | `captions` |" in (place / "triplets.card.md").read_text()
    assert (place / "runs" / "ledger.sqlite").is_file()


def test_the_fields_csv_is_written_where_the_ending_says_so(place, server):
    simgpt(*live(server, "--output", "triplets.csv"))
    assert (place / "triplets.csv").read_text().startswith("sent0,sent1,hard_neg\n")
    assert len(list(read_triplets(place / "triplets.csv"))) == 30


def test_a_dry_run_shows_an_interval_for_both_ways_of_asking_and_its_basis(place, server):
    shown = simgpt(*live(server, "--dry-run"))
    assert server.stats()["requests"] == 0
    assert "30 sentences, 0 of them answered before; 30 to ask" in shown
    for word in ("at least", "at most", "one call each", "Batch API", "Price: ", "2026-07-24"):
        assert word in shown
    assert "estimated from bytes" in shown or "counted with tiktoken" in shown
    simgpt(*live(server, "--limit", "25", "--output", "pilot.jsonl"))
    assert "25 answers in the ledger" in simgpt(*live(server, "--dry-run"))


def test_a_price_of_ones_own_may_come_as_a_number_or_as_a_file(place, server):
    arguments = live(server, "--dry-run")[:-3]
    unknown = (*arguments, "--model", "my-model", "--dry-run")
    with pytest.raises(SimgptError, match="price of 'my-model' is not known; .*--price"):
        simgpt(*unknown)
    assert "given with --price" in simgpt(*unknown, "--price", "1000/2000")
    (place / "prices.toml").write_text(
        'as_of = 2026-01-01\nsource = "my contract"\n[models."my-model"]\ninput = 1\noutput = 2\n'
    )
    assert "my contract, 2026-01-01" in simgpt(*unknown, "--prices", "prices.toml")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--output", "t.txt"], "t.txt: a triplets file ends in .jsonl or .csv"),
        ([], "--output is missing"),
        (
            ["--output", "t.jsonl", "--api", "voice"],
            "--api 'voice': it must be one of: chat, compl",
        ),
        (["--output", "t.jsonl", "--concurrency", "0"], "concurrency is 0; it must be 1 or more"),
        (["--output", "t.jsonl", "--max-tokens", "0"], "max_tokens is 0; it must be 1 or more"),
        (["--output", "t.jsonl", "--temperature", "3"], "temperature is 3.0; it must be from 0"),
        (["--output", "t.jsonl", "--budget-usd", "-1"], "budget_usd is -1.0; it must be 0 or more"),
        (["--output", "t.jsonl", "--price", "cheap"], "--price 'cheap': give INPUT/OUTPUT"),
        (["--output", "t.jsonl", "--source", "poems"], "no prompt for 'poems'; known: captions"),
        (["--output", "t.jsonl", "--variant", "loud"], "no prompt for 'multi_genre.loud'; known"),
        (["--output", "t.jsonl", "--prompt", "none.txt"], "none.txt: no such file"),
        (["--output", "t.jsonl", "--teacher", "me"], "--teacher 'me': it must be recorded or"),
        (["--output", "t.jsonl", "--teacher", "recorded"], "--model and --base-url go with"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(place, server, arguments, sentence):
    with pytest.raises(SimgptError) as caught:
        simgpt(*live(server, *arguments))
    assert sentence in str(caught.value)
    assert server.stats()["requests"] == 0


def test_a_prompt_without_a_place_for_the_sentence_is_refused(place, server):
    (place / "mine.txt").write_text("Write two sentences, please.")
    with pytest.raises(SimgptError, match=r"mine\.txt: the prompt must hold \{sentence\}"):
        simgpt(*live(server, "--output", "t.jsonl", "--prompt", "mine.txt"))


def test_the_recorded_teacher_is_the_default_and_needs_nothing(place, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    first = next(read_triplets(BUNDLED_TRIPLETS))
    (place / "one.txt").write_text(f"{first.sentence}\n")
    simgpt("annotate", "one.txt", "--output", "one.jsonl")
    (triplet,) = read_triplets(place / "one.jsonl")
    assert triplet.texts == first.texts
    with pytest.raises(SimgptError, match="the recorded teacher has no answer for 'Dog number 0"):
        simgpt("annotate", "sentences.txt", "--output", "t.jsonl")


def test_batches_go_through_the_same_command(place, server):
    simgpt(
        *live(server, "--batch", "--poll-s", "0.01", "--shard-requests", "12"),
        *("--output", "triplets.jsonl"),
    )
    assert server.stats()["batches"] == 3
    assert len(list(read_triplets(place / "triplets.jsonl"))) == 30


def test_the_report_shows_yield_verdicts_and_openings(place, server):
    server.settings.faults = {"refusal": 0.3}
    simgpt(*live(server, "--output", "triplets.jsonl"))
    shown = simgpt("triplets", "report", "triplets.jsonl")
    for word in ("kept", "refusal", "share (%)", "same opening, dissimilar (%)"):
        assert word in shown
    (place / "triplets.jsonl").write_text("changed")
    with pytest.raises(SimgptError, match="have changed since; annotate again"):
        simgpt("triplets", "report", "triplets.jsonl")
    with pytest.raises(SimgptError, match=r"other\.summary\.json: no such file"):
        simgpt("triplets", "report", "other.jsonl")


def test_pairs_are_scored_with_one_command(place, server):
    pairs = [{"sentence1": f"A {n}.", "sentence2": f"B {n}.", "score": n % 6} for n in range(12)]
    (place / "pairs.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs))
    shown = simgpt(
        *("annotate", "score", "pairs.jsonl", "--output", "scored.jsonl"),
        *("--model", "gpt-4o-mini", "--base-url", server.url),
    )
    assert "12 of 12 pairs scored: scored.jsonl" in shown
    assert "Spearman with the gold scores: " in shown


def test_status_without_a_ledger_says_so(place):
    with pytest.raises(SimgptError, match="no such ledger; --ledger names one"):
        simgpt("annotate", "status")
