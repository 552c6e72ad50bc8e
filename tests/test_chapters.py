"""Every chapter says what its reader will know after it, and where to go on."""

import re

import nbformat
import pytest
import yaml

from tests.conftest import REPOSITORY

# Looked up, not read; the data card is the package's own and stands alone.
LOOKED_UP = {"book/data", "book/references", "book/api", "book/glossary"}
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)\)|\{doc\}`[^`<]*<([^>]+)>`")


def pages():
    toc = yaml.safe_load((REPOSITORY / "_toc.yml").read_text())
    named = [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"])]
    return [name for name in named if name not in LOOKED_UP]


def paragraphs(name):
    """The page's blocks of text; of a notebook, those of its Markdown cells."""
    path = REPOSITORY / f"{name}.md"
    if path.is_file():
        text = path.read_text()
    else:
        cells = nbformat.read(REPOSITORY / f"{name}.ipynb", as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return [block for block in re.split(r"\n\s*\n", text.strip()) if block.strip()]


@pytest.mark.parametrize("name", pages())
def test_a_chapter_opens_with_what_the_reader_will_know(name):
    title, *blocks = paragraphs(name)
    assert title.startswith("# ")
    opening = next(block for block in blocks if not block.startswith("*"))  # a motto
    assert re.match(r"After this (chapter|page) you will know ", opening), opening


@pytest.mark.parametrize("name", pages())
def test_a_chapter_ends_with_a_link_to_another(name):
    last = paragraphs(name)[-1]
    targets = [one or other for one, other in LINK.findall(last)]
    folder = (REPOSITORY / name).parent
    found = [(folder / target).resolve().with_suffix("") for target in targets]
    others = {(REPOSITORY / other).resolve() for other in {*pages(), *LOOKED_UP} - {name}}
    assert others & set(found), f"{name} ends with: {last}"


def test_the_chapters_follow_the_order_of_their_links():
    """Who follows the last link of each chapter of the method passes through all of them."""
    toc = yaml.safe_load((REPOSITORY / "_toc.yml").read_text())
    method = [page["file"] for part in toc["parts"][:2] for page in part["chapters"]]
    for name, following in zip(method, method[1:], strict=False):
        targets = [one or other for one, other in LINK.findall(paragraphs(name)[-1])]
        linked = [((REPOSITORY / name).parent / target).resolve() for target in targets]
        wanted = (REPOSITORY / following).resolve()
        assert wanted in [path.with_suffix("") for path in linked], f"{name}: {targets}"
