"""The built book, as its files have it."""

import json
import re
import shutil
import subprocess
from importlib import import_module
from urllib.parse import unquote, urlsplit

from tests.book import build, pages_of
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


def test_every_figure_names_its_data_and_its_code(pages):
    figures = [figure for soup in pages.values() for figure in soup.find_all("figure")]
    assert len(figures) >= 20
    for figure in figures:
        named = [code.get_text() for code in figure.select("figcaption code")]
        assert named[-1].endswith(".py"), figure
        for path in named:
            assert (REPOSITORY / path).exists(), path


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
        assert not soup.select("figcaption a[href^=http]"), path.name


def test_the_landing_page_shows_the_measured_numbers(checkout, pages):
    """Recomputed here from the committed files, not by the code that made the page."""
    results = REPOSITORY / "book" / "results" / "headline"
    paths = results.glob("llm-all-seed*.json")
    averages = [json.loads(path.read_text())["average"] for path in paths]
    untouched = json.loads((results / "untouched.json").read_text())["average"]
    mean = sum(averages) / len(averages)
    text = pages[checkout / "_build" / "html" / "book" / "index.html"].get_text()
    assert f"{untouched:.2f} to {mean:.2f} ({mean - untouched:+.2f};" in " ".join(text.split())


def test_a_published_checkout_gets_its_buttons_and_executes_nothing_again(checkout, tmp_path):
    copy = tmp_path / "my published book"
    shutil.copytree(checkout, copy)
    address = "https://github.com/someone/sim-gpt-again"
    for arguments in (["init", "-q", "-b", "main"], ["remote", "add", "origin", f"{address}.git"]):
        subprocess.run(["git", *arguments], cwd=copy, check=True)
    done = build(copy)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr.count("unchanged since it was executed") == len(CHAPTERS)
    colab = "https://colab.research.google.com/github/someone/sim-gpt-again/blob/main"
    for path, soup in pages_of(copy).items():
        if path.stem in CHAPTERS:
            assert (copy / "notebooks" / f"{path.stem}.ipynb").is_file()
            assert soup.select(f'a[href="{colab}/notebooks/{path.stem}.ipynb"]'), path.name
        for code in soup.select("figcaption code"):
            assert code.parent["href"] == f"{address}/blob/main/{code.get_text()}"
        if path.parent.name == "book":
            assert "colab.research.google.com" not in str(soup.select("header a")), path.name
