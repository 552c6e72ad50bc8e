import json
import re

import pytest

from simgpt import SimgptError
from simgpt.annotate import Asking, Price, load_prompt, outcome_rows, read_summary, verdict_rows
from simgpt.annotate.export import rejected_path
from simgpt.annotate.summary import card
from simgpt.triplets import read_triplets, summary_path
from simgpt.version import __version__
from tests.annotate.support import annotate_with, live, sentences
from tests.openai_server import OpenAIServer

FAULTS = {"refusal": 0.1, "truncated": 0.1}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """A finished run over two kinds of sentences, some of whose answers are of no use."""
    folder = tmp_path_factory.mktemp("run")
    items = [*sentences(60), *sentences(40, "questions")]
    asking = Asking(price=Price(1.0, 2.0))
    with pytest.MonkeyPatch.context() as patch, OpenAIServer(faults=FAULTS, seed=4) as server:
        teacher = live(server.url, patch)
        summary = annotate_with(teacher, folder, items, asking=asking, variant="brief")
    return folder / "triplets.jsonl", summary


@pytest.fixture
def copied(annotated, tmp_path):
    """The same in a folder of its own, to be spoiled."""
    output, _ = annotated
    for path in (output, rejected_path(output), summary_path(output)):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / output.name


def test_the_outcomes_add_up_to_all_sentences(annotated):
    output, summary = annotated
    rows = outcome_rows(summary)
    assert summary["sentences"] == sum(row["all"] for row in rows) == 100
    assert sum(row["captions"] for row in rows) == 60
    assert sum(row["questions"] for row in rows) == 40
    assert all(row["all"] == row["captions"] + row["questions"] for row in rows)
    assert sum(row["share (%)"] for row in rows) == pytest.approx(100)
    assert rows[0]["outcome"] == "kept"
    assert rows[0]["all"] == summary["triplets"] == len(list(read_triplets(output)))
    assert {"refusal", "truncated"} <= {row["outcome"] for row in rows}
    rejected = rejected_path(output).read_text(encoding="utf-8").splitlines()
    assert len(rejected) == 100 - summary["triplets"]


def test_rows_are_by_size_with_what_was_kept_first_and_what_is_open_last():
    outcomes = {
        "captions": {"refusal": 1, "not answered": 50, "kept": 2},
        "questions": {"copy": 4, "kept": 3},
    }
    assert outcome_rows({"outcomes": outcomes}) == [
        {"outcome": "kept", "captions": 2, "questions": 3, "all": 5, "share (%)": 100 * 5 / 60},
        {"outcome": "copy", "captions": 0, "questions": 4, "all": 4, "share (%)": 100 * 4 / 60},
        {"outcome": "refusal", "captions": 1, "questions": 0, "all": 1, "share (%)": 100 / 60},
        {
            "outcome": "not answered",
            "captions": 50,
            "questions": 0,
            "all": 50,
            "share (%)": 100 * 50 / 60,
        },
    ]


def test_verdicts_are_in_the_audits_order():
    verdicts = {"captions": {"opening": 9, "negation": 1}, "questions": {"copy": 1}}
    assert verdict_rows({"verdicts": verdicts}) == [
        {"verdict": "copy", "captions": 0, "questions": 1, "all": 1},
        {"verdict": "negation", "captions": 1, "questions": 0, "all": 1},
        {"verdict": "opening", "captions": 9, "questions": 0, "all": 9},
    ]
    assert verdict_rows({"verdicts": {"captions": {}}}) == []


def test_the_summary_says_who_was_asked_how_and_what_it_cost(annotated):
    output, summary = annotated
    assert summary["simgpt"] == __version__
    assert summary["models"] == {"gpt-4o-mini-2026-01-01 (fp_loopback)": 100}
    assert [setup["prompt"] for setup in summary["setups"]] == ["captions.brief", "questions.brief"]
    for setup in summary["setups"]:
        assert setup["prompt_hash"] == load_prompt(setup["prompt"]).hash
        assert (setup["model"], setup["api"]) == ("gpt-4o-mini", "chat")
        assert setup["sampling"] == {"max_tokens": 200}
    assert summary["attempts"] == 100
    tokens = summary["input_tokens"] + 2 * summary["output_tokens"]
    assert summary["usd"] == pytest.approx(tokens / 1e6)
    assert summary["first_call"] <= summary["last_call"] <= summary["written"]


def test_what_is_read_is_what_was_returned(annotated):
    output, summary = annotated
    assert read_summary(output) == json.loads(json.dumps(summary))


def test_the_triplets_name_their_teacher_and_the_prompt_of_the_card(annotated):
    output, _ = annotated
    text = output.with_name("triplets.card.md").read_text(encoding="utf-8")
    for triplet in read_triplets(output):
        assert triplet.extra["teacher"] == "gpt-4o-mini"
        assert f"| `{triplet.source}.brief` | `{triplet.extra['prompt']}` |" in text


def test_the_card_names_models_prompts_hashes_and_counts(annotated):
    output, summary = annotated
    text = output.with_name("triplets.card.md").read_text(encoding="utf-8")
    assert text == card(read_summary(output), output)
    assert "`gpt-4o-mini-2026-01-01 (fp_loopback)`" in text
    for name in ("captions.brief", "questions.brief"):
        assert f"| `gpt-4o-mini` | `{name}` | `{load_prompt(name).hash[:8]}` | chat |" in text
    for name, digest in summary["files"].items():
        assert f"| `{name}` | `{digest}` |" in text
    assert f"{summary['triplets']} triplets" in text
    assert re.search(r"from 100\s+sentences", text)
    assert f"{summary['usd']:.4f}" in text
    assert "{" not in text


def test_a_summary_of_other_files_is_refused(copied):
    assert read_summary(copied)["sentences"] == 100
    with copied.open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(SimgptError, match="the triplets beside it have changed since"):
        read_summary(copied)


@pytest.mark.parametrize("which", [lambda output: output, rejected_path])
def test_a_summary_whose_files_are_gone_is_refused(copied, which):
    which(copied).unlink()
    with pytest.raises(SimgptError, match="the triplets beside it have changed since"):
        read_summary(copied)


def test_triplets_without_a_summary_are_refused_with_what_writes_one(copied):
    summary_path(copied).unlink()
    with pytest.raises(SimgptError, match=r"triplets\.summary\.json: no such file; `simgpt annot"):
        read_summary(copied)
