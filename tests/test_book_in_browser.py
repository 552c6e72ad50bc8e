"""The built book, as a reader's browser shows it."""

import gzip
import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import CHROMIUM, chromium, serving, visiting
from tests.conftest import REPOSITORY

PAGES = re.findall(r"(?:root|file): (\S+)", (REPOSITORY / "_toc.yml").read_text())
PHONE = {"width": 360, "height": 740}
MEGABYTE = 1_000_000


def assert_accessible(page):
    """Nothing on the page is below WCAG AA, as far as a program can tell."""
    from axe_playwright_python.sync_playwright import Axe

    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    found = Axe().run(page, options=rules)
    page.wrong.clear()  # axe looks for style sheets where there are none
    assert not found.response["violations"], found.generate_report()


@pytest.fixture(scope="module")
def screenshot(checkout, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")

    def take(page, *flags):
        image = tmp_path_factory.mktemp("shots") / "page.png"
        with tempfile.TemporaryDirectory() as profile:
            subprocess.run(
                [
                    CHROMIUM,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--no-first-run",
                    f"--user-data-dir={profile}",
                    "--window-size=1280,1600",
                    "--virtual-time-budget=8000",
                    f"--screenshot={image}",
                    *flags,
                    (checkout / "_build" / "html" / page).as_uri(),
                ],
                check=True,
                capture_output=True,
                timeout=120,
            )
        return image

    return take


@pytest.mark.parametrize("page", ["book/index.html", "notebooks/03_train.html"])
def test_a_browser_shows_the_page_in_light_and_in_dark(page, screenshot):
    from PIL import Image, ImageStat

    def brightness(path: Path) -> float:
        return ImageStat.Stat(Image.open(path).convert("L")).median[0]

    light, dark = screenshot(page), screenshot(page, "--force-dark-mode")
    assert brightness(light) > 200
    assert brightness(dark) < 80
    assert ImageStat.Stat(Image.open(light).convert("L")).stddev[0] > 10  # not an empty page


@pytest.fixture(scope="module")
def opened(checkout):
    """Visits a page of the book."""
    with serving(checkout / "_build" / "html") as address, chromium() as browser:

        @contextmanager
        def visit(name, **settings):
            with visiting(browser, f"{address}/{name}.html", **settings) as page:
                page.wait_for_load_state("networkidle")
                yield page

        yield visit


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, "genindex", "search"])
def test_a_page_is_light_accessible_and_fits_a_phone(opened, checkout, name, scheme):
    """And on every visit: nothing wrong in the console, and no other host was asked."""
    with opened(name, color_scheme=scheme, viewport=PHONE) as page:
        assert page.locator("html").get_attribute("data-theme") == scheme
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        files = {unquote(urlsplit(url).path) for url in page.asked if url.startswith("http")}
        sent = [(checkout / "_build" / "html" / file[1:]).read_bytes() for file in files]
        assert sum(len(gzip.compress(one)) for one in sent) < 1.5 * MEGABYTE
        assert not page.wrong, page.wrong
        assert_accessible(page)


def test_a_word_is_found_and_leads_to_its_page(opened):
    with opened("book/index") as page:
        page.keyboard.press("Control+k")
        page.get_by_placeholder("Search this book...").last.fill("temperature")
        page.keyboard.press("Enter")
        page.locator("#search-results li a[href*=objectives]").first.click()
        page.wait_for_url("**/book/objectives.html*")
        assert page.locator("article h1").inner_text().startswith("The objectives")


def test_the_switch_turns_the_page_dark_and_is_remembered(opened):
    with opened("book/why", color_scheme="light") as page:
        html, switch = page.locator("html"), page.locator(".theme-switch-button:visible")
        for _ in range(3):  # light, dark, as the system
            if html.get_attribute("data-mode") == "dark":
                break
            switch.click()
        assert html.get_attribute("data-theme") == "dark"
        page.reload()
        assert html.get_attribute("data-theme") == "dark"


def test_the_keyboard_reaches_the_text_and_the_next_page(opened):
    with opened("book/why") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "Skip to main content"
        page.locator("a.right-next").press("Enter")
        page.wait_for_url("**/notebooks/01_sentences.html")


def test_printed_a_page_is_its_text_alone_and_no_table_is_cut_off(opened):
    sheet = {"width": 718, "height": 1000}  # A4 less its margins, at 96 dots an inch
    with opened("book/index", viewport=sheet) as page:
        page.emulate_media(media="print")
        for part in (".bd-sidebar-primary", ".bd-header-article", ".table-copies"):
            assert not page.locator(part).first.is_visible(), part
        right = "boxes => Math.max(...boxes.map(box => box.getBoundingClientRect().right))"
        assert page.locator("article table.sortable").evaluate_all(right) <= sheet["width"]
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_headlines_rows_sort_and_open_and_are_copied_as_latex_and_csv(opened):
    with opened("book/index", permissions=["clipboard-read", "clipboard-write"]) as page:
        table = page.locator("table.sortable").first
        table.get_by_role("button", name="avg.").click()
        cells = table.locator("xpath=./tbody/tr[1]/td[last()]").all_inner_texts()
        averages = [float(cell.split()[0]) for cell in cells]
        assert averages == sorted(averages, reverse=True)
        row = table.locator("tbody", has=page.locator("summary")).first
        row.locator("summary").press("Enter")
        assert "simgpt" in row.locator("pre").first.inner_text()
        copies = page.locator("details.table-copies").first
        copies.locator("summary").click()
        for form, beginning in (("latex", "% needs"), ("text", "model,source,STS12")):
            block = copies.locator(f".highlight-{form}")
            block.hover()
            block.locator("button.copybtn").click()
            page.wait_for_function(
                "start => navigator.clipboard.readText().then(text => text.startsWith(start))",
                arg=beginning,
            )


def load_triplets(page):
    page.get_by_label("Source").select_option("all")
    page.get_by_role("button", name="Load", exact=True).click()
    page.locator(".explorer-list li").first.wait_for()


def test_the_explorer_shows_the_sample_that_the_page_states(opened):
    with opened("book/explorer") as page:
        assert "300 of 17,385 triplets" in page.locator("article").inner_text()
        load_triplets(page)
        assert page.get_by_role("status").inner_text().startswith("300 of 300 triplets")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "study", "explorer"])
def test_what_opens_on_a_page_is_accessible_and_fits_a_phone(opened, name, scheme):
    with opened(f"book/{name}", color_scheme=scheme, viewport=PHONE) as page:
        if name == "explorer":
            load_triplets(page)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert_accessible(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_tries_the_model_of_this_build(opened, scheme):
    """Nothing in the box is below WCAG AA, and nothing is asked of another host."""
    with opened("book/tryit", color_scheme=scheme) as page:
        assert page.locator("html").get_attribute("data-theme") == scheme
        assert "smoke run" in page.locator("article").inner_text()
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("Cosine 0.").wait_for()
        assert not page.wrong
        assert_accessible(page)
