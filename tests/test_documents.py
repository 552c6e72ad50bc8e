"""README and its like: every link leads somewhere, every command is there."""

import re
import tomllib

import pytest

from simgpt import __version__
from tests.commands import complaint, document_commands
from tests.conftest import REPOSITORY

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "book").glob("*.md")],
    key=lambda path: path.relative_to(REPOSITORY).as_posix(),
)
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in DOCUMENTS]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_command_that_a_document_gives_is_there(path):
    given = list(document_commands(path.read_text(encoding="utf-8")))
    wrong = {" ".join(words): complaint(words) for words in given if complaint(words)}
    assert not wrong


@pytest.mark.parametrize("path", [*REPOSITORY.glob("*.md")], ids=lambda path: path.name)
def test_every_relative_link_leads_to_a_file(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    inside = [link.split("#")[0] for link in links if "://" not in link and link[0] != "#"]
    assert [link for link in inside if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("make boook", "make has no target boook"),
        ("simgpt trian --output x", "simgpt has no command trian"),
        ("simgpt study rnu size", "study has no command rnu"),
        ("simgpt study run size --shards 1/2", "simgpt run has no option --shards"),
        ("simgpt evaluate runs/demo --outptu x", "simgpt run has no option --outptu"),
        ("simgpt evaluate runs/demo --output x", ""),
        ("make book PROFILE=laptop", ""),
    ],
)
def test_a_misspelt_command_would_be_found(command, wrong):
    (words,) = document_commands(f"```bash\n{command}  # as one types it\n```\n")
    assert complaint(words) == wrong


def test_a_new_reader_finds_what_there_is_to_find():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "LOG.md"):
        assert name in readme
        assert (REPOSITORY / name).is_file()


def test_every_contract_is_where_the_page_on_the_architecture_says():
    page = (REPOSITORY / "book" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:simgpt|tests)/[^`]+)`", page)
    assert len(named) >= 12
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_term_of_the_glossary_stands_once_in_order_and_every_term_used_is_there():
    glossary = (REPOSITORY / "book" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^((?:\S.*\n)+)  ", glossary.split("```{glossary}\n")[1], re.MULTILINE)
    terms = [name for entry in entries for name in entry.splitlines()]
    first = [entry.splitlines()[0].lower() for entry in entries]
    assert first == sorted(set(first))
    for path in DOCUMENTS:
        for used in re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", path.read_text("utf-8")):
            assert used in terms, f"{path.name}: {used}"


def test_the_version_is_the_same_everywhere_and_has_a_place_in_the_changelog():
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert f"\nversion: {__version__}\n" in citation
    assert __version__ in changelog
