"""The repository's address: from git alone, without secrets, and nowhere in the files."""

import subprocess

import nbformat
import pytest
import yaml

from simgpt.notebooks import _stage, _write_config
from simgpt.repository import Published, find_published

ADDRESS = "https://github.com/someone/sim-gpt.book"


@pytest.fixture
def checkout(tmp_path):
    """A repository whose remote is what the test says."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    def with_remote(address):
        subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", address], check=True)
        return tmp_path

    return with_remote


@pytest.mark.parametrize(
    "remote",
    [
        ADDRESS,
        f"{ADDRESS}.git",
        f"{ADDRESS}/",
        "git@github.com:someone/sim-gpt.book.git",
        "ssh://git@github.com:22/someone/sim-gpt.book.git",
        "https://someone:s3cret@github.com/someone/sim-gpt.book.git",
        "https://x-access-token:s3cret@github.com/someone/sim-gpt.book",
    ],
)
def test_every_way_to_write_a_remote_gives_one_address_without_secrets(checkout, remote):
    assert find_published(checkout(remote)) == Published(ADDRESS, "main")


@pytest.mark.parametrize("remote", ["/srv/git/simgpt", "../simgpt", "file:///srv/simgpt.git"])
def test_a_remote_that_is_a_folder_is_no_address(checkout, remote):
    assert find_published(checkout(remote)) is None


def test_without_a_remote_or_without_git_there_is_none(tmp_path):
    assert find_published(tmp_path) is None
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert find_published(tmp_path) is None
    (tmp_path / "folder").mkdir()
    assert find_published(tmp_path / "folder") is None


def test_the_branch_is_the_one_that_visitors_see(checkout):
    root = checkout(ADDRESS)
    head = ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]
    subprocess.run(["git", "-C", str(root), *head], check=True)
    published = find_published(root)
    assert published.branch == "trunk"
    assert published.install == f"%pip install git+{ADDRESS}@trunk"


def test_colab_opens_what_is_on_github_only():
    assert "colab_url" in Published(ADDRESS, "main").book_config()["launch_buttons"]
    elsewhere = Published("https://gitlab.com/someone/simgpt", "main").book_config()
    assert "colab_url" not in elsewhere["launch_buttons"]
    assert elsewhere["launch_buttons"]["binderhub_url"]


def test_no_file_of_the_repository_holds_its_address(repository):
    published = find_published(repository)
    if published is None:
        pytest.skip("this checkout has no remote: there is no address to look for")
    place = published.url.removeprefix("https://")
    command = ["git", "-C", str(repository), "grep", "--name-only", "--fixed-strings", place]
    assert subprocess.run(command, capture_output=True, text=True).stdout == ""


def test_a_notebook_that_colab_can_open_says_what_it_needs_there(tmp_path):
    executed, target = tmp_path / "executed.ipynb", tmp_path / "book" / "staged.ipynb"
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# A chapter", "a note", "the rest")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), executed)
    _stage(executed, target, None)
    assert target.read_bytes() == executed.read_bytes()
    _stage(executed, target, Published(ADDRESS, "main"))
    staged = nbformat.read(target, as_version=4)
    assert [cell.source for cell in staged.cells if cell.id != "elsewhere"] == [
        cell.source for cell in cells
    ]
    assert f"%pip install git+{ADDRESS}@main" in staged.cells[2].source


def test_a_book_gets_its_buttons_from_the_remote_and_keeps_all_other_settings(tmp_path, repository):
    source, target = repository / "_config.yml", tmp_path / "_config.yml"
    _write_config(source, target, {"gain": "+1"}, None)
    plain = yaml.safe_load(target.read_text(encoding="utf-8"))
    assert plain["parse"]["myst_substitutions"] == {"gain": "+1"}
    assert not {"repository", "launch_buttons"} & plain.keys()
    published = Published(ADDRESS, "main")
    _write_config(source, target, {"gain": "+1"}, published)
    assert yaml.safe_load(target.read_text(encoding="utf-8")) == plain | published.book_config()
