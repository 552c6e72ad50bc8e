"""Tables as a browser shows them, with the book's own script and style."""

import shutil

import pytest

from simgpt.report.book_table import BookCell, BookRow, BookTable, to_html
from tests.browser import chromium, serving, visiting
from tests.conftest import REPOSITORY

PAGE = (
    '<!doctype html><html lang="en"><head><title>Tables</title>'
    '<link rel="stylesheet" href="book.css"><script src="tables.js"></script></head>'
    '<body class="bd-article">{}</body></html>'
)
DETAILS = "<details><summary>How to repeat it</summary><pre>simgpt evaluate</pre></details>"
TABLE = BookTable(
    "Scores",
    ["model", "avg.", "triplets", "p"],
    [
        BookRow(label, [*map(BookCell, cells)], details)
        for label, cells, details in (
            ("row 10", ("9.50 ± 3.00", "17,385", "< 0.001"), DETAILS),
            ("row 9", ("not measured yet", "", ""), ""),
            ("Zebra", ("80.25", "2,000", "0.012"), ""),
            ("ant", ("-0.75", "256", "0.5"), ""),
        )
    ],
)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser, tmp_path):
    for name in ("book.css", "tables.js"):
        shutil.copy(REPOSITORY / "book" / "static" / name, tmp_path)
    (tmp_path / "page.html").write_text(PAGE.format(to_html(TABLE)), encoding="utf-8")
    (tmp_path / "favicon.ico").touch()
    with serving(tmp_path) as address, visiting(browser, f"{address}/page.html") as visited:
        yield visited


def labels(page):
    return page.locator("tbody th").all_inner_texts()


def test_numbers_sort_by_value_and_missing_ones_stay_last(page):
    head = page.get_by_role("columnheader", name="avg.")
    head.get_by_role("button").click()
    assert labels(page) == ["Zebra", "row 10", "ant", "row 9"]
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    assert labels(page) == ["ant", "row 10", "Zebra", "row 9"]
    assert head.get_attribute("aria-sort") == "ascending"


def test_thousands_and_small_p_values_are_numbers(page):
    page.get_by_role("button", name="triplets").click()
    assert labels(page) == ["row 10", "Zebra", "ant", "row 9"]
    page.get_by_role("button", name="p", exact=True).click()
    assert labels(page) == ["ant", "Zebra", "row 10", "row 9"]


def test_labels_sort_by_the_keyboard_and_only_one_column_is_marked(page):
    page.get_by_role("button", name="avg.").click()
    page.get_by_role("button", name="model").press("Enter")
    assert labels(page) == ["ant", "row 9", "row 10", "Zebra"]
    assert page.locator("[aria-sort]").count() == 1


def test_what_opens_below_a_row_goes_along_with_it(page):
    page.get_by_role("button", name="model").click()
    page.locator("summary").press("Enter")
    shown = page.get_by_text("simgpt evaluate")
    assert shown.is_visible()
    above = shown.locator("xpath=ancestor::tr/preceding-sibling::tr/th")
    assert above.inner_text() == "row 10"


def test_in_print_there_are_neither_arrows_nor_closed_rows(page):
    page.emulate_media(media="print")
    assert page.locator("summary").is_hidden()
    content = "getComputedStyle(document.querySelector('thead button'), '::after').content"
    assert page.evaluate(content) == "none"
