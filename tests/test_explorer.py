"""The page of triplets: what the build writes, and what a browser makes of it."""

import json
import re
import shutil

import numpy as np
import pytest

from simgpt import explorer
from simgpt.encoder import load_encoder
from simgpt.explorer import write_explorer
from simgpt.triplets import Triplet, write_triplets
from tests.browser import chromium, serving, visiting
from tests.conftest import REPOSITORY
from tests.tiny import tiny_bert

NEGATED = ("The kitchen is not small.", "A kitchen of no mean size.", "The kitchen is small.")
PAGE = (
    '<!doctype html><html lang="en"><head><title>Triplets</title><link rel="icon" href="data:,">'
    '<link rel="stylesheet" href="../_static/book.css"></head><body>{}</body></html>'
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    """Fifty made-up captions with a number each, and a question that the audit refuses."""
    made = [
        Triplet(
            f"Dog {n} runs along the beach.", f"On the sand, hound {n} is running.",
            f"{n} people talk in a house.", "captions",
        )
        for n in range(50)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("data") / "triplets.jsonl"
    write_triplets(path, [*made, Triplet(*NEGATED, "questions")])
    return path


@pytest.fixture(scope="module")
def site(model, triplets, tmp_path_factory):
    """The page alone, laid out as in the book."""
    folder = tmp_path_factory.mktemp("site")
    static = REPOSITORY / "book" / "static"
    (folder / "_static").mkdir()
    (folder / "book").mkdir()
    for name in ("book.css", "explorer.js"):
        shutil.copy(static / name, folder / "_static")
    write_explorer(model, folder / "_static" / "explorer", triplets=triplets)
    form = (static / "explorer.html").read_text(encoding="utf-8")
    (folder / "book" / "explorer.html").write_text(PAGE.format(form), encoding="utf-8")
    return folder


def content(path):
    """What a script hands to the page."""
    called = re.fullmatch(r'simgptTriplets\("([^"]+)",(.*)\);\n', path.read_text(encoding="utf-8"))
    assert called[1] == path.stem
    return json.loads(called[2])


def test_cosines_are_those_of_the_model_and_verdicts_those_of_the_audit(model, site):
    folder = site / "_static" / "explorer"
    index = content(folder / "index.js")
    (line,) = content(folder / "questions-1.js")
    anchor, similar, dissimilar = load_encoder(model).encode(list(NEGATED))
    for stored, other in ((line[3], similar), (line[4], dissimilar)):
        cosine = anchor @ other / np.linalg.norm(anchor) / np.linalg.norm(other)
        assert stored == pytest.approx(1000 * cosine, abs=0.6)
    assert "negation" in [index["verdicts"][number]["name"] for number in line[5]]


def test_long_sources_come_in_pieces(model, triplets, tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "PIECE", 20)
    write_explorer(model, tmp_path, triplets=triplets)
    captions, questions = content(tmp_path / "index.js")["sources"]
    assert captions["files"] == ["captions-1", "captions-2", "captions-3"]
    assert [len(content(tmp_path / f"{name}.js")) for name in captions["files"]] == [20, 20, 10]
    assert captions["bytes"] == sum(
        (tmp_path / f"{n}.js").stat().st_size for n in captions["files"]
    )
    assert questions["count"] == 1


def test_a_sample_is_stated_and_always_the_same(model, triplets, tmp_path):
    facts = write_explorer(model, tmp_path / "one", triplets=triplets, sample=10)
    write_explorer(model, tmp_path / "two", triplets=triplets, sample=10)
    assert facts["explorer_count"] == "10 of 51 triplets, drawn at random"
    assert content(tmp_path / "one" / "index.js") == content(tmp_path / "two" / "index.js")
    whole = write_explorer(model, tmp_path / "one", triplets=triplets)  # another sample: anew
    assert whole["explorer_count"] == "all 51 triplets"


def test_what_is_made_of_the_same_is_kept(model, triplets, tmp_path, monkeypatch):
    write_explorer(model, tmp_path, triplets=triplets)

    def embed(*_):
        raise AssertionError

    monkeypatch.setattr(explorer, "triplet_cosines", embed)
    assert write_explorer(model, tmp_path, triplets=triplets)["explorer_megabytes"] == "0.0"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser, site):
    with (
        serving(site) as address,
        visiting(browser, f"{address}/book/explorer.html", viewport={"width": 360, "height": 740})
        as visited,
    ):  # fmt: skip
        yield visited


def load(page, source="all"):
    page.get_by_label("Source").select_option(source)
    page.get_by_role("button", name="Load").click()
    page.locator(".explorer-list li").first.wait_for()


def says(page, text):
    page.get_by_role("status").filter(has_text=re.compile(rf"^{re.escape(text)}")).wait_for()


def test_nothing_is_loaded_before_the_reader_asks_and_then_one_source(page):
    assert not [url for url in page.asked if "-1.js" in url]
    load(page, "captions")
    says(page, "50 of 50 triplets; page 1 of 3.")
    assert [url.rpartition("/")[2] for url in page.asked if "-1.js" in url] == ["captions-1.js"]


def test_an_item_shows_three_sentences_and_two_cosines(page):
    load(page, "questions")
    item = page.locator(".explorer-list li")
    assert item.locator(".explorer-sentence").inner_text() == NEGATED[0]
    assert item.locator("dd").all_inner_texts() == list(NEGATED[1:])
    told = item.locator("dt").all_inner_texts()
    kinds = [re.fullmatch(r"(\w+), cosine -?\d\.\d\d", text)[1] for text in told]
    assert kinds == ["similar", "dissimilar"]
    assert "negation" in item.locator(".explorer-facts").inner_text()


def test_words_filter_in_all_three_texts(page):
    load(page)
    page.get_by_label("with the words").fill("HOUND 47")
    says(page, "1 of 51 triplets")
    page.get_by_label("with the words").fill("no such words")
    says(page, "0 of 51 triplets.")
    assert page.locator(".explorer-list li").count() == 0


def test_a_verdict_filters(page):
    load(page)
    page.get_by_label("the audit's verdict").select_option(label="negation (1)")
    says(page, "1 of 51 triplets")
    assert page.locator(".explorer-sentence").inner_text() == NEGATED[0]


def test_cosines_filter_and_order(page, site):
    load(page, "captions")
    lines = content(site / "_static" / "explorer" / "captions-1.js")
    middle = sorted(line[3] for line in lines)[25] / 1000
    page.get_by_role("group", name="with the similar one").get_by_label("from").fill(str(middle))
    says(page, f"{sum(line[3] >= round(1000 * middle) for line in lines)} of 50 triplets")
    page.get_by_role("group", name="with the similar one").get_by_label("from").fill("")
    page.get_by_label("in the order").select_option("hard")
    hardest = min(lines, key=lambda line: line[3] - line[4])
    page.locator(".explorer-list li:first-child", has_text=hardest[0]).wait_for()


def test_pages_turn_by_the_keyboard_and_keep_the_focus(page):
    load(page, "captions")
    following = page.get_by_role("button", name="Next")
    following.press("Enter")
    following.press("Enter")
    says(page, "50 of 50 triplets; page 3 of 3.")
    assert page.locator(".explorer-list").get_attribute("start") == "41"
    assert page.locator(".explorer-list li").count() == 10
    following.press("Enter")  # there is no further page
    says(page, "50 of 50 triplets; page 3 of 3.")
    assert following.evaluate("button => button === document.activeElement")


def test_a_phone_shows_it_without_scrolling_sideways(page):
    load(page)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")


def test_a_page_opened_as_a_file_loads_too(browser, site):
    with visiting(browser, (site / "book" / "explorer.html").as_uri()) as page:
        load(page, "questions")
        says(page, "1 of 1 triplets")
