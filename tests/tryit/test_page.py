"""The box in a real browser."""

import re
import sys
import unicodedata

import numpy as np
import pytest

from simgpt.encoder import load_encoder
from simgpt.files import read_json
from simgpt.triplets import load_dev_pairs
from tests.browser import chromium, serving, visiting
from tests.tryit.support import tiny_uncased, write_site

PAGE = "/book/tryit.html"
# Sentences as they come: what a tokenizer may get wrong.
ODD = [
    "",
    "  Tabs\tand\nlines\r\n ",
    "Caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u0130stanbul cafe\u0301 \u1e9e\u00df",
    "\u03a3\u0399\u03a3\u03a5\u03a6\u039f\u03a3 \u03ac\u03bb\u03c6\u03b1",
    "\u6771\u4eac\u306b\u4f4f\u3080 \uc11c\uc6b8 \ud55c\uad6d\uc5b4",
    "don't stop-it... (really?) $5 `a` x^2 \u201cquoted\u201d \u2014 \u00bfqu\u00e9?",
    "[MASK] [mask] [CLS]x[SEP] [UNK]",
    "zero\u200bwidth\u00a0space \ufeffmark \u0007bell \ufffd \U0001f600\U0001f44d\U0001f3fd",
    "antidisestablishmentarianism " + "x" * 100 + " " + "x" * 101,
    "word " * 300,
]


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory, browser):
    """The box with the bundled encoder."""
    with serving(write_site(tmp_path_factory.mktemp("bundled"), "bundled")) as address:
        yield address


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("tiny")
    return write_site(folder / "site", str(tiny_uncased(folder / "model")))


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    """The box with a tiny model, for what does not depend on the model."""
    with serving(tiny_folder) as address:
        yield address


def wait_for(page, words):
    page.get_by_role("status").filter(has_text=re.compile(words)).wait_for()
    return page.get_by_role("status").inner_text()


def test_fifty_pairs_in_the_page_have_the_cosines_of_the_python_model(browser, site):
    pairs = [(row["sentence1"], row["sentence2"]) for row in load_dev_pairs().to_list()[7::16]]
    encoder = load_encoder("bundled")
    vectors = encoder.encode([text for pair in pairs for text in pair], normalize_embeddings=True)
    expected = (vectors[::2] * vectors[1::2]).sum(axis=1)
    ask = """pairs => new Promise((resolve, reject) => {
        const worker = new Worker("/_static/tryit/worker.js", { type: "module" });
        const found = [];
        worker.onmessage = ({ data }) => {
            if (data.error) reject(data.error);
            if (data.result) found[data.id] = data.result.cosine;
            if (data.result && data.id === pairs.length - 1) resolve(found);
        };
        pairs.forEach(([first, second], id) =>
            worker.postMessage({ id, task: "compare", first, second }));
    })"""
    with visiting(browser, site + PAGE) as page:
        found = page.evaluate(ask, pairs)
    assert len(found) == 50
    assert np.abs(np.array(found) - expected).max() <= 0.01


def test_the_page_repeats_the_check_and_finds_what_the_build_found(browser, tiny, tiny_folder):
    """What was measured in Python is the same arithmetic: they agree to the last digit shown."""
    built = read_json(tiny_folder / "_static" / "tryit" / "model.json")["check"]["difference"]
    with visiting(browser, tiny + PAGE) as page:
        page.get_by_role("button", name="Repeat the check").click()
        said = wait_for(page, "pairs")
    assert said.startswith("50 pairs")
    assert float(said.split()[-1].rstrip(".")) == pytest.approx(built, abs=6e-5)


def test_texts_become_the_tokens_of_the_python_tokenizer(browser, site):
    """Every character of Unicode 3.2 that means the same today, hangul and Chinese in part."""
    old = unicodedata.ucd_3_2_0
    characters = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if old.category(chr(code)) == unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")
        and (code < 0x3400 or code % 40 == 0)
    ]
    texts = [*ODD, *(f"a{character}b {character}" for character in characters)]
    texts += [row["sentence1"] for row in load_dev_pairs().to_list()]
    expected = load_encoder("bundled").tokenizer(texts, truncation=True, max_length=256)
    tokenise = """async texts => {
        const { Tokenizer } = await import("/_static/tryit/tokenizer.js");
        const read = async name => await fetch("/_static/tryit/" + name);
        const { tokenizer } = await (await read("model.json")).json();
        const tokens = (await (await read("vocabulary.txt")).text()).split("\\n");
        const made = new Tokenizer(tokens, tokenizer);
        return texts.map(text => made.encode(text));
    }"""
    with visiting(browser, site + PAGE) as page:
        found = page.evaluate(tokenise, texts)
    wrong = [
        text
        for text, one, other in zip(texts, found, expected["input_ids"], strict=True)
        if one != other
    ]
    assert not wrong


def test_nothing_is_loaded_before_the_reader_asks_and_one_loading_serves_all(browser, tiny):
    with visiting(browser, tiny + PAGE) as page:
        page.wait_for_load_state("networkidle")
        assert not [url for url in page.asked if re.search(r"worker|model\.json|weights", url)]
        for _ in range(2):
            page.get_by_role("button", name="Compare").click()
            wait_for(page, "Cosine")
        assert len([url for url in page.asked if "weights.bin" in url]) == 1


def test_the_keyboard_will_do_and_the_result_is_announced_in_words(browser, tiny):
    with visiting(browser, tiny + PAGE) as page:
        page.get_by_label("First sentence").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("A dog runs.")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("A dog runs.")
        page.keyboard.press("Enter")
        assert "Cosine 1.000: the same meaning, or nearly." in wait_for(page, "Cosine")
        assert page.get_by_role("status").get_attribute("aria-live") == "polite"
        assert page.get_by_label("Second sentence").input_value() == "A dog runs."


def test_an_example_fills_both_sentences(browser, tiny):
    with visiting(browser, tiny + PAGE) as page:
        page.get_by_label("Example").select_option("a negation")
        assert page.get_by_label("First sentence").input_value() == "The shop opens at nine."
        page.get_by_label("First sentence").fill("The shop is closed.")
        assert page.get_by_label("Example").input_value() == ""


def test_a_missing_sentence_is_asked_for(browser, tiny):
    with visiting(browser, tiny + PAGE) as page:
        page.get_by_label("Second sentence").fill("  ")
        page.get_by_role("button", name="Compare").click()
        assert page.evaluate("document.activeElement.id") == "tryit-second"
        assert not [url for url in page.asked if "worker" in url]


def test_weights_that_do_not_come_are_said_and_asked_for_again(browser, tiny):
    with visiting(browser, tiny + PAGE) as page:
        page.context.route("**/weights.bin*", lambda route: route.fulfill(status=503))
        page.get_by_role("button", name="Compare").click()
        assert "weights.bin: 503" in wait_for(page, "did not work")
        page.wrong.clear()  # the browser notes the 503
        page.context.unroute("**/weights.bin*")
        page.get_by_role("button", name="Compare").click()
        wait_for(page, "Cosine")


def test_a_phone_shows_it_without_scrolling_sideways(browser, tiny):
    with visiting(browser, tiny + PAGE, viewport={"width": 320, "height": 640}) as page:
        page.get_by_role("button", name="Compare").click()
        wait_for(page, "Cosine")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_without_javascript_and_from_a_file_the_page_says_what_it_needs(browser, tiny, tiny_folder):
    with visiting(browser, tiny + PAGE, java_script_enabled=False) as page:
        assert "needs JavaScript" in page.locator("#tryit").inner_text()
        assert not page.get_by_role("button").count()
    with visiting(browser, (tiny_folder / PAGE[1:]).as_uri()) as page:
        assert "python -m http.server" in page.locator("#tryit").inner_text()
        assert not page.get_by_role("button").count()
