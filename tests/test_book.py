"""The built book, as a reader's browser gets it."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from tests.browser import CHROMIUM, chromium, serving, visiting
from tests.conftest import REPOSITORY

CHAPTERS = (
    "01_sentences",
    "02_annotate",
    "03_train",
    "04_evaluate",
    "05_contamination",
    "06_cost_and_speed",
    "07_ablations",
)


def build(folder):
    return subprocess.run(
        [sys.executable, "-m", "simgpt", "book", "--profile", "smoke"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The book's sources in a folder with a space in its name, built once."""
    folder = tmp_path_factory.mktemp("my book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("book", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name)
    done = build(folder)  # fails on any warning: the build runs with -W
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def pages(checkout):
    html = checkout / "_build" / "html"
    own = [*html.glob("book/*.html"), *html.glob("notebooks/*.html"), html / "index.html"]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in own}


def test_every_page_of_the_table_of_contents_is_built(checkout, pages):
    named = re.findall(r"(?:root|file): (\S+)", (checkout / "_toc.yml").read_text())
    built = {str(path.relative_to(checkout / "_build" / "html")) for path in pages}
    assert {f"{name}.html" for name in named} <= built


def test_every_page_but_the_bibliography_says_how_long_it_takes_to_read(pages):
    times = {
        path.stem: soup.find(class_="reading-time")
        for path, soup in pages.items()
        if path.parent.name in ("book", "notebooks")  # the root's index.html leads elsewhere
    }
    assert {name for name, line in times.items() if line is None} == {"references"}
    told = re.compile(r"Reading time: about (1 minute|[2-9] minutes|1\d minutes)")
    assert all(told.fullmatch(line.get_text()) for line in times.values() if line)


def test_no_internal_link_or_anchor_is_broken(pages):
    broken = []
    for path, soup in pages.items():
        for tag, attribute in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
            for target in (element.get(attribute) for element in soup.find_all(tag)):
                parts = urlsplit(target or "")
                if not target or parts.scheme or parts.netloc:
                    continue
                file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                if not file.is_file():
                    broken.append(f"{path.name}: {target}")
                elif parts.fragment and file in pages and not pages[file].find(id=parts.fragment):
                    broken.append(f"{path.name}: {target}")
    assert not broken


def test_every_image_has_alternative_text_that_says_something(pages):
    images = [(path.name, image) for path, soup in pages.items() for image in soup.find_all("img")]
    assert len(images) >= 10
    for page, image in images:
        alt = image.get("alt", "")
        assert len(alt.split()) >= 8, f"{page}: {image}"


def test_no_figure_is_shown_as_the_name_of_its_class(pages):
    for path, soup in pages.items():
        assert "<Figure size" not in soup.get_text(), path.name


def test_what_a_smoke_run_shows_is_marked_as_such(pages):
    for path, soup in pages.items():
        if path.stem in CHAPTERS:
            warning = soup.find(class_="admonition warning").get_text()
            assert "smoke" in warning
            assert "mean nothing" in warning


def test_reading_asks_no_other_host(pages):
    for path, soup in pages.items():
        sources = [tag.get("src") for tag in soup.find_all(["script", "img", "iframe"])]
        sources += [tag.get("href") for tag in soup.find_all("link", rel="stylesheet")]
        foreign = [s for s in sources if s and urlsplit(s).netloc]
        assert not foreign, f"{path.name}: {foreign}"


def test_the_reference_describes_what_each_folder_offers(checkout, pages):
    reference = pages[checkout / "_build" / "html" / "book" / "api.html"]
    described = {element["id"] for element in reference.find_all("dt", id=True)}
    folders = ("annotate", "encoder", "evaluate", "report", "sentences", "study", "train")
    for folder in folders:
        module = import_module(f"simgpt.{folder}")
        offered = {name for name in module.__all__ if callable(getattr(module, name))}
        assert {f"simgpt.{folder}.{name}" for name in offered} <= described


def test_without_a_published_repository_no_button_leads_there(pages):
    for path, soup in pages.items():
        assert not soup.select(".dropdown-launch-buttons, .dropdown-source-buttons [href^=http]")
        assert "mybinder.org" not in str(soup), path.name


def test_the_landing_page_shows_the_measured_numbers(checkout, pages):
    """Recomputed here from the committed files, not by the code that made the page."""
    results = REPOSITORY / "book" / "results" / "headline"
    paths = sorted(results.glob("llm-all-*.json"))
    if len(paths) < 2:  # what the same runs were called before there was a grid
        paths = sorted(results.glob("laptop-*.json"))
    averages = [json.loads(path.read_text())["average"] for path in paths]
    untouched = json.loads((results / "untouched.json").read_text())["average"]
    mean = sum(averages) / len(averages)
    text = pages[checkout / "_build" / "html" / "book" / "index.html"].get_text()
    assert f"{untouched:.2f} to {mean:.2f} ({mean - untouched:+.2f};" in " ".join(text.split())


def test_a_second_build_executes_nothing(checkout):
    done = build(checkout)
    assert done.returncode == 0
    assert done.stderr.count("unchanged since it was executed") == len(CHAPTERS)


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
    """Visits a page of the book, once the theme has said what is wrong with itself."""
    html = checkout / "_build" / "html"
    (html / "favicon.ico").touch()  # browsers ask for it at any time
    with serving(html) as address, chromium() as browser:

        @contextmanager
        def visit(name, **settings):
            with visiting(browser, f"{address}/book/{name}.html", **settings) as page:
                page.wait_for_load_state("networkidle")
                page.wrong.clear()
                yield page

        yield visit


def test_the_headlines_rows_sort_and_open_and_are_copied_as_latex_and_csv(opened):
    with opened("index", permissions=["clipboard-read", "clipboard-write"]) as page:
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


def assert_accessible(page, parts):
    """Nothing in these parts is below WCAG AA, as far as a program can tell."""
    from axe_playwright_python.sync_playwright import Axe

    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    found = Axe().run(page, context={"include": [[part] for part in parts]}, options=rules)
    page.wrong.clear()  # axe looks for style sheets where there are none
    assert not found.response["violations"], found.generate_report()


def load_triplets(page):
    page.get_by_label("Source").select_option("all")
    page.get_by_role("button", name="Load", exact=True).click()
    page.locator(".explorer-list li").first.wait_for()


def test_the_explorer_shows_the_sample_that_the_page_states(opened):
    with opened("explorer") as page:
        assert "300 of 17,385 triplets" in page.locator("article").inner_text()
        load_triplets(page)
        assert page.get_by_role("status").inner_text().startswith("300 of 300 triplets")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("index", [".results-table", ".table-note"]),
        ("study", [".results-table", ".table-note"]),
        ("explorer", ["#explorer"]),
    ],
)
def test_tables_and_explorer_are_accessible(opened, name, parts, scheme):
    with opened(name, color_scheme=scheme) as page:
        assert page.locator("html").get_attribute("data-theme") == scheme
        if name == "explorer":
            load_triplets(page)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert_accessible(page, parts)


@pytest.mark.parametrize("name", ["index", "study", "explorer"])
def test_on_a_phone_only_wide_tables_scroll_sideways(opened, name):
    with opened(name, viewport={"width": 360, "height": 740}) as page:
        if name == "explorer":
            load_triplets(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_tries_the_model_of_this_build(opened, scheme):
    """Nothing in the box is below WCAG AA, and nothing is asked of another host."""
    with opened("tryit", color_scheme=scheme) as page:
        assert page.locator("html").get_attribute("data-theme") == scheme
        assert "smoke run" in page.locator("article").inner_text()
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("Cosine 0.").wait_for()
        assert not page.wrong
        assert_accessible(page, ["#tryit"])
