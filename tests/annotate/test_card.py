import hashlib

import pytest
from typer.testing import CliRunner

from simgpt.annotate import data_card
from simgpt.cli import app
from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS, load_dev_pairs, read_triplets

COMMITTED = BUNDLED_TRIPLETS.parent / "README.md"


@pytest.fixture(scope="module")
def card():
    return data_card()


def test_the_committed_card_is_what_the_files_say(card):
    assert COMMITTED.read_text(encoding="utf-8") == card, (
        f"run: simgpt triplets card --output {COMMITTED.relative_to(COMMITTED.parents[2])}"
    )


def test_the_card_names_both_files_with_their_hashes_and_counts(card):
    for path, lines in (
        (BUNDLED_TRIPLETS, sum(1 for _ in read_triplets(BUNDLED_TRIPLETS))),
        (BUNDLED_DEV_PAIRS, len(load_dev_pairs())),
    ):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"| `{path.name}` | {lines:,} | `{digest}` |" in card


def test_the_card_states_licence_weaknesses_and_that_the_pairs_are_no_benchmark(card):
    for statement in ("CC0 1.0", "## Known weaknesses", "**no\nbenchmark**", "invented names"):
        assert statement in card


def test_the_command_prints_the_card_or_writes_it(monkeypatch, tmp_path):
    monkeypatch.setattr("simgpt.annotate.data_card", lambda: "# A card\n")
    shown = CliRunner().invoke(app, ["triplets", "card"])
    assert (shown.exit_code, shown.stdout) == (0, "# A card\n")
    target = tmp_path / "README.md"
    written = CliRunner().invoke(app, ["triplets", "card", "--output", str(target)])
    assert (written.exit_code, written.stdout) == (0, "")
    assert target.read_text(encoding="utf-8") == "# A card\n"
