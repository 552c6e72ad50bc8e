"""Stale results: what counts as a change, what does not, and who is told."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from simgpt import SimgptError, code_changes, freshness, stale_pages
from simgpt.cli import app
from simgpt.config import RunConfig
from simgpt.environment import git_state
from simgpt.files import sha256_of
from simgpt.freshness import HARMLESS, Aspect, Freshness, check_freshness
from simgpt.stale_pages import SHOWN, page_warning, page_warnings, shown_on, under_title
from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS, BUNDLED_WAVE_4
from simgpt.version import __version__
from tests.conftest import REPOSITORY

BEFORE = '''
"""A module."""
SHARE = 0.5

def loss(x: int, y) -> int:
    """Say what."""
    # why
    return x - y

class Model:
    size = 3

    def forward(self, x):
        return loss(x, SHARE)

    async def later(self):
        return 1
'''


def git(folder, *words):
    identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def clear():
    for function in (code_changes._sources, code_changes._present, code_changes._definitions):
        function.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one module under git; returns its folder and the commit."""
    folder = tmp_path / "checkout" / "simgpt"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "model.py").write_text(BEFORE)
    (folder / "data.jsonl").write_text("{}\n")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-qm", "first")
    monkeypatch.setattr(code_changes, "_PACKAGE", folder)
    clear()
    yield folder, git(folder, "rev-parse", "HEAD")
    clear()


def changes(package):
    clear()
    found = code_changes.changed_definitions(package[1], ["simgpt/train"])
    return found if found is None else sorted(found)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("x - y", "y - x", ["loss"]),
        ("SHARE = 0.5", "SHARE = 0.6", ["SHARE"]),
        ("size = 3", "size = 4", ["Model"]),
        ("loss(x, SHARE)", "loss(x, 0.5)", ["Model.forward"]),
        ("return 1", "return 2", ["Model.later"]),
        ("def loss(x: int, y)", "def loss(y: int, x)", ["loss"]),
        ("# why", "# another why", []),
        ("Say what.", "Say something else.", []),
        ("x: int, y) -> int", "x, y: float)", []),
        ("return x - y", "return (\n        x\n        - y\n    )", []),
        ("class Model", "def added():\n    return 1\n\n\nclass Model", []),
    ],
)
def test_a_definition_has_changed_when_its_meaning_has(package, old, new, names):
    module = package[0] / "train" / "model.py"
    assert old in BEFORE
    module.write_text(BEFORE.replace(old, new))
    assert changes(package) == [f"simgpt/train/model.py: {name}" for name in names]


def test_what_moved_to_another_file_is_as_it_was_and_what_is_gone_has_changed(package):
    module = package[0] / "train" / "model.py"
    loss = BEFORE[BEFORE.index("def loss") : BEFORE.index("class Model")]
    module.write_text(BEFORE.replace(loss, ""))
    assert changes(package) == ["simgpt/train/model.py: loss"]
    (package[0] / "elsewhere.py").write_text(loss)
    assert changes(package) == []


def test_code_that_is_not_asked_about_does_not_count(package):
    (package[0] / "train" / "model.py").write_text(BEFORE.replace("x - y", "y - x"))
    assert code_changes.changed_definitions(package[1], ["simgpt/train/mod", "simgpt/eval"]) == {}


def test_each_change_of_a_definition_has_a_digest_of_its_own(package):
    module, digests = package[0] / "train" / "model.py", set()
    for text in ("y - x", "x * y", "y - x"):
        module.write_text(BEFORE.replace("x - y", text))
        clear()
        found = code_changes.changed_definitions(package[1], ["simgpt"])
        digests |= set(found.values())
    assert len(digests) == 2


def test_where_git_does_not_know_the_commit_nothing_is_claimed(package):
    assert code_changes.changed_definitions("0" * 40, ["simgpt"]) is None
    assert code_changes.has_changed("0" * 40, package[0] / "data.jsonl") is None
    shutil.rmtree(package[0].parent / ".git")
    assert changes(package) is None


def test_a_data_file_is_compared_with_that_of_the_commit(package):
    data = package[0] / "data.jsonl"
    assert code_changes.has_changed(package[1], data) is False
    data.write_text("{}\n{}\n")
    assert code_changes.has_changed(package[1], data) is True


def result(config=None, **changed):
    """A result of the present state in every respect, but for `changed`."""
    git = {"commit": "a" * 40, "dirty": False}
    training = {
        "git": git,
        "triplets": {"count": 1, "sha256": sha256_of(BUNDLED_TRIPLETS)},
        "development": {"task": "bundled_dev", "sha256": sha256_of(BUNDLED_DEV_PAIRS)},
    }
    cfg = RunConfig.from_params({"profile": "laptop", "seed": 3} | (config or {}))
    return {
        "model": {"config": cfg.to_dict(), "training": training | changed},
        "tasks": {},
        "development": {},
        "environment": {"git": git, "simgpt": __version__},
    }


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder to put results into; the code has not changed unless `code` says so."""
    code = {}
    monkeypatch.setattr(freshness, "changed_definitions", lambda commit, files: dict(code))
    monkeypatch.setattr(freshness, "has_changed", lambda commit, file: False)

    def put(content, name="headline/laptop-seed3.json"):
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return tmp_path / "results"

    return put, code


def only(folder):
    (found,) = check_freshness(folder)
    return found


def test_a_result_of_the_present_state_is_fresh(results):
    found = only(results[0](result()))
    assert not found.is_stale
    assert found.untold == []


@pytest.mark.parametrize(
    ("name", "config", "told"),
    [
        (
            "headline/laptop-seed3.json",
            {"learning_rate": 1e-4},
            "`learning_rate` was 0.0001, is 5e-05",
        ),
        ("headline/llm-all-seed3.json", {"precision": "fp32"}, "`precision` was fp32, is bf16"),
        ("headline/gone-seed3.json", {}, "the study headline has no row gone any more"),
    ],
)
def test_settings_are_held_against_the_grid_or_the_profile_of_the_name(results, name, config, told):
    assert only(results[0](result(config), name)).changes == {Aspect.SETTINGS: [told]}


def test_a_result_whose_name_promises_no_settings_is_not_held_against_any(results):
    assert not only(results[0](result({"learning_rate": 1e-4}), "selection/rate.json")).is_stale


def test_other_data_than_the_bundled_is_a_change(results):
    put, _ = results
    other = {"triplets": {"count": 1, "sha256": "0" * 64}}
    assert only(put(result(**other))).changes == {Aspect.DATA: ["the bundled triplets"]}
    pairs = {"development": {"task": "bundled_dev", "sha256": "0" * 64}}
    assert only(put(result(**pairs))).changes == {Aspect.DATA: ["the bundled development pairs"]}
    own = only(put(result({"triplets": "mine.jsonl"}, **other), "mine/run.json"))
    assert Aspect.DATA not in own.changes


@pytest.mark.parametrize(
    ("name", "settings", "of_wave_4"),
    [
        ("sources/captions-seed1.json", {"max_triplets": 2000}, False),
        ("headline/llm-four-waves-seed1.json", {}, True),
    ],
)
def test_data_that_a_study_makes_of_bundled_files_changes_with_them(
    results, monkeypatch, name, settings, of_wave_4
):
    config = {"triplets": "derived.jsonl", "precision": "bf16", "seed": 1} | settings
    assert not only(results[0](result(config), name)).is_stale
    for changed, is_stale in ((BUNDLED_TRIPLETS, True), (BUNDLED_WAVE_4, of_wave_4)):
        monkeypatch.setattr(freshness, "has_changed", lambda _, file, one=changed: file == one)
        found = only(results[0](result(config), name))
        assert found.changes == ({Aspect.DATA: ["the bundled triplets"]} if is_stale else {})


def test_code_that_changed_is_named_until_the_change_is_judged_harmless(results):
    put, code = results
    folder = put(result())
    code["simgpt/train/model.py: loss"] = "abc"
    assert only(folder).changes == {Aspect.PACKAGE: ["`simgpt/train/model.py: loss`"]}
    entry = (
        '[[change]]\ndefinition = "simgpt/train/model.py: loss"\ndigest = "{}"\nbecause = "{}"\n'
    )
    (folder / HARMLESS).write_text(entry.format("abc", "It was renamed."))
    found = only(folder)
    assert not found.is_stale
    assert found.harmless == ["`simgpt/train/model.py: loss`: It was renamed."]
    code["simgpt/train/model.py: loss"] = "def"  # another change of the same
    assert only(folder).is_stale
    for broken in (entry.format("abc", ""), "[[change]]\n", "change = 1\n", "[[kept]]\n", "[["):
        (folder / HARMLESS).write_text(broken)
        with pytest.raises(SimgptError, match=r"harmless\.toml: every \[\[change\]\] has"):
            check_freshness(folder)


def test_without_a_history_the_version_decides(results, monkeypatch):
    put, _ = results
    monkeypatch.setattr(freshness, "changed_definitions", lambda commit, files: None)
    found = only(put(result()))
    assert not found.is_stale
    assert found.untold == ["commit aaaaaaaaa is not in this checkout"]
    installed = result(git={})
    installed["environment"] = {"git": {}, "simgpt": "0.0.1"}
    assert only(put(installed)).changes == {Aspect.PACKAGE: ["measured with version 0.0.1"]}


def test_a_page_names_its_stale_results_alike_ones_together():
    old = {Aspect.PACKAGE: [f"`{name}`" for name in "abcdef"]}
    found = [
        Freshness(Path("results/headline/one.json"), ["abc"], old),
        Freshness(Path("results/headline/two.json"), ["abc"], old),
        Freshness(Path("results/headline/three.json"), ["abc"]),
    ]
    block = page_warning(found)
    assert "Of the 3 results on this page, 2 were measured" in block
    assert "- `headline/one.json`, `headline/two.json`, measured at abc\n" in block
    assert "  - package: `a`, `b`, `c`, `d` and 2 more" in block
    assert page_warning(found[2:]) == ""


def test_a_page_shows_the_folders_and_files_that_it_names():
    results = Path("results")
    paths = ["headline/a.json", "promcse/b.json", "benchmarks/train_memory.json", "speed/c.json"]
    found = [Freshness(results / path, []) for path in paths]
    assert shown_on("book/training", results, found) == found[:3]


def test_a_warning_stands_below_the_title():
    assert under_title("# A\n\nText.\n\n# B\n", "!\\1") == "# A\n\n!\\1\n\nText.\n\n# B\n"


def test_only_pages_with_stale_results_get_a_warning(results):
    put, code = results
    code["simgpt/train/model.py: loss"] = "abc"
    folder = put(result())
    assert set(page_warnings(folder)) == {page for page in SHOWN if "headline" in SHOWN[page]}


def test_the_command_fails_where_a_result_is_stale_and_tells_what_to_do(results):
    put, code = results
    folder = put(result())
    done = CliRunner().invoke(app, ["report", "stale", str(folder)])
    assert (done.exit_code, done.output) == (0, "0 of 1 results are stale\n")
    code["simgpt/train/model.py: loss"] = "abc"
    done = CliRunner().invoke(app, ["report", "stale", str(folder)])
    assert done.exit_code == 1
    assert "laptop-seed3.json\n  package: `simgpt/train/model.py: loss`" in done.output
    stanza = done.output[done.output.index("[[change]]") :].replace('""', '"Because."')
    (folder / HARMLESS).write_text(stanza)
    assert CliRunner().invoke(app, ["report", "stale", str(folder)]).exit_code == 0


def test_a_folder_that_is_kept_as_it_was_is_stale_on_its_page_and_no_failure(results):
    put, code = results
    code["simgpt/train/model.py: loss"] = "abc"
    folder = put(result())
    (folder / HARMLESS).write_text('[[kept]]\nresults = "headline"\nbecause = "It is history."\n')
    assert "book/index" in page_warnings(folder)
    done = CliRunner().invoke(app, ["report", "stale", str(folder)])
    assert done.exit_code == 0
    assert "1 more are kept as they were: It is history." in done.output
    (folder / "headline").rename(folder / "size")
    assert CliRunner().invoke(app, ["report", "stale", str(folder)]).exit_code == 1


def test_every_committed_result_that_says_how_it_was_made_is_on_a_page():
    folder = REPOSITORY / "book" / "results"
    named = {name for names in SHOWN.values() for name in names}
    places = {path.relative_to(folder) for path in folder.rglob("*.json")} - {Path("paper.json")}
    hidden = {place for place in places if not {str(place), place.parts[0]} & named}
    assert {place.parts[0] for place in hidden} <= {"comparison"}  # read by tables, not a page
    contents = yaml.safe_load((REPOSITORY / "_toc.yml").read_text(encoding="utf-8"))
    pages = [contents["root"]]
    pages += [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert set(SHOWN) <= set(pages)


def test_the_code_that_makes_results_is_there():
    """A file that is renamed must be renamed in the list too, or its changes go unseen."""
    scopes = [freshness._TRAINING, freshness._SCORING, *freshness._OTHERS.values()]
    for file in {file for scope in scopes for file in scope}:
        assert (REPOSITORY / file).is_file(), file


def test_of_the_present_commit_nothing_has_changed():
    state = git_state()
    if not state or state["dirty"]:
        pytest.skip("the package differs from the commit, or there is none")
    clear()
    assert code_changes.changed_definitions(state["commit"], ["simgpt"]) == {}


def test_the_warning_reaches_the_book(results, monkeypatch):
    """The staged pages, without executing or building anything."""
    from simgpt import notebooks

    put, code = results
    code["simgpt/train/model.py: loss"] = "abc"
    folder = put(result())
    book = folder.parent / "book"
    book.mkdir()
    (book / "index.md").write_text("# Title\n\nText.\n")
    (book / "plain.md").write_text("# Title\n\nText.\n")
    staged = folder.parent / "staged" / "book"
    notebooks._mirror(book, staged, stale_pages.page_warnings(folder))
    assert "::::{warning}" in (staged / "index.md").read_text()
    assert (staged / "plain.md").read_text() == "# Title\n\nText.\n"
    code.clear()
    notebooks._mirror(book, staged, stale_pages.page_warnings(folder))
    assert (staged / "index.md").read_text() == "# Title\n\nText.\n"
