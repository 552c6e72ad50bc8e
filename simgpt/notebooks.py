"""From notebooks to a book: pair, execute, stage, build.

`notebooks/NN_name.py` is what one edits; `NN_name.ipynb` is derived from it and holds no outputs.
Execution works on copies under `_build/`, so the tree is never touched, and a copy whose inputs
have not changed since is not executed again.
"""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from simgpt.colab import estimates
from simgpt.config import Pooling, RunConfig
from simgpt.errors import SimgptError
from simgpt.execution import execute_notebooks
from simgpt.files import read_json, read_text, write_text
from simgpt.report.pages import write_generated_pages
from simgpt.repository import Published, find_published
from simgpt.stale_pages import page_warnings, under_title
from simgpt.triplets import BUNDLED_TRIPLETS

_BUILD = Path("_build")
_STAGED_ONLY = ("generated", "data.md")  # in the staged book/, made by the build
_SMOKE_SAMPLE = 300  # embedding all triplets would take as long as the rest of the book
_ELSEWHERE = """```{tip}
The button above opens this notebook in Colab, where its first cell installs the package. See
{ref}`in Colab <in-colab>`.
```"""


def sync_pairs(root: Path) -> int:
    """Rewrite each `.ipynb` from its `.py`, keeping cell ids; return how many."""
    pairs = _pairs(root)
    for script, notebook in pairs:
        fresh = _without_outputs(jupytext.read(script))
        if notebook.is_file():
            _keep_cell_ids(fresh, nbformat.read(notebook, as_version=4))
        write_text(notebook, nbformat.writes(fresh) + "\n")
    return len(pairs)


def check_pairs(root: Path) -> int:
    """Check that each `.ipynb` holds what its `.py` says and no outputs; return how many.

    Raises:
        SimgptError: one does not; it is named.
    """
    pairs = _pairs(root)
    for script, notebook in pairs:
        if not notebook.is_file():
            raise SimgptError(f"{notebook}: missing; run `simgpt notebooks sync`")
        held = nbformat.read(notebook, as_version=4)
        if any(cell.get("outputs") or cell.get("execution_count") for cell in held.cells):
            raise SimgptError(f"{notebook}: holds outputs; run `simgpt notebooks sync`")
        if _content(held) != _content(jupytext.read(script)):
            raise SimgptError(f"{notebook}: differs from {script}; run `simgpt notebooks sync`")
    return len(pairs)


def execute_all(
    root: Path, params: Mapping[str, Any], output: Path, *, jobs: int = 1
) -> list[Path]:
    """Execute a copy of every notebook of the repository: see `execute_notebooks`."""
    notebooks = [notebook for _, notebook in _pairs(root)]
    return execute_notebooks(root, notebooks, params, output, jobs=jobs)


def build_book(root: Path, *, profile: str) -> Path:
    """Execute the notebooks at `profile`, stage all pages and build the book.

    Returns:
        The landing page.

    Raises:
        SimgptError: a notebook fails, the page cannot run the model that it is to run, or Sphinx
            warns about anything.
    """
    from simgpt.tryit import write_tryit  # with torch, which `simgpt notebooks check` need not load

    executed = execute_all(root, {"profile": profile}, root / _BUILD / "executed" / profile)
    source, published = root / _BUILD / "source", find_published(root)
    warnings = page_warnings(root / "book" / "results")
    _mirror(root / "book", source / "book", warnings)
    for path in executed:
        warning = warnings.get(f"notebooks/{path.stem}", "")
        _stage(path, source / "notebooks" / path.name, published, warning)
    _copy(root / "_toc.yml", source / "_toc.yml")
    generated = source / "book" / "generated"
    facts = write_generated_pages(root / "book" / "results", generated)
    facts |= write_tryit(model_of_page(root, profile), generated / "static" / "tryit")
    facts |= _write_explorer(root, profile, generated / "static" / "explorer")
    _write_if_changed(generated / "colab.txt", _on_colab(root))
    _copy(BUNDLED_TRIPLETS.with_name("README.md"), source / "book" / "data.md")
    _write_config(root / "_config.yml", source / "_config.yml", facts, published)
    _sphinx(root, source)
    return root / _BUILD / "html" / "index.html"


def _write_explorer(root: Path, profile: str, output: Path) -> dict[str, str]:
    """The page of triplets, with cosines of the encoder that this build trained."""
    from simgpt.explorer import write_explorer

    sample, told = 0, f"trained at the profile `{profile}`"
    if profile == "smoke":
        sample, told = _SMOKE_SAMPLE, f"{told}, which only shows that every step runs"
    facts = write_explorer(str(_trained(root, profile)), output, sample=sample)
    chapter = "[the chapter on training](../notebooks/03_train)"
    return facts | {"explorer_model": f"the encoder of {chapter} ({told})"}


def _stage(executed: Path, target: Path, published: Published | None, warning: str) -> None:
    """Copy a notebook into the book, with what is to be said of it there below its title."""
    notes = {"stale": warning}
    if published is not None and published.on_github:
        notes["elsewhere"] = _ELSEWHERE
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells[2:2] = [
        nbformat.v4.new_markdown_cell(text, id=name) for name, text in notes.items() if text
    ]
    _write_if_changed(target, nbformat.writes(notebook) + "\n")


def model_of_page(root: Path, profile: str) -> str:
    """The model that the page runs: the one named, or else what the chapter on training trained.

    Profiles that train what a page cannot run leave it with the untouched encoder.
    """
    from simgpt.tryit import ENVIRONMENT_VARIABLE as NAMED

    if named := os.environ.get(NAMED):
        return named
    cfg = RunConfig.from_params({"profile": profile})
    mean = cfg.pooling in (Pooling.AUTO, Pooling.MEAN)
    if cfg.backbone != "bundled" or cfg.prefix_tokens or not mean:
        return "bundled"
    return str(_trained(root, profile))


def _trained(root: Path, profile: str) -> Path:
    """The run that the chapter on training has left behind; trained again where it is gone."""
    from simgpt.train import train

    cfg = RunConfig.from_params({"profile": profile})
    return train(cfg, root / "runs" / cfg.run_name)


def _on_colab(root: Path) -> str:
    """A list of what the paper's run takes on Colab's GPUs."""
    measured = read_json(root / "book" / "results" / "benchmarks" / "train_memory.json")
    paper = max(map(int, measured["triplets"]))  # as many triplets as the paper has
    return "".join(f"- {line}\n" for line in estimates(paper))


def _write_config(
    source: Path, target: Path, facts: Mapping[str, str], published: Published | None
) -> None:
    """Copy the book's configuration, with the measured numbers that pages refer to by name.

    Where the repository is published, readers get buttons that lead there.
    """
    config = yaml.safe_load(read_text(source))
    config["parse"]["myst_substitutions"] = dict(facts)
    if published is not None:
        config |= published.book_config()
    _write_if_changed(target, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _write_if_changed(target: Path, text: str) -> None:
    if not target.is_file() or read_text(target) != text:
        write_text(target, text)


def _sphinx(root: Path, source: Path) -> None:
    """Build with warnings as errors; `--keep-going` shows all of them at once."""
    jupyter_book = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    command = [str(jupyter_book), "build", str(source)]
    command += ["--path-output", str(root), "-W", "-n", "--keep-going"]
    # The reference describes the package that builds the book, wherever another is installed.
    package = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path}
    if subprocess.run(command, check=False, env=environment).returncode != 0:  # noqa: S603
        raise SimgptError("the book has warnings or errors; they are listed above")


def _pairs(root: Path) -> list[tuple[Path, Path]]:
    scripts = sorted((root / "notebooks").glob("[0-9]*.py"))
    if not scripts:
        raise SimgptError(f"{root / 'notebooks'}: no notebooks; run this in the repository")
    return [(script, script.with_suffix(".ipynb")) for script in scripts]


def _content(notebook: NotebookNode) -> list[tuple[str, str, dict[str, Any]]]:
    """What a pair must share: kind, text, and the metadata that a text file keeps."""
    kept = ("tags", "mystnb")
    return [
        (cell.cell_type, cell.source, {k: cell.metadata[k] for k in kept if k in cell.metadata})
        for cell in notebook.cells
    ]


def _without_outputs(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _keep_cell_ids(fresh: NotebookNode, held: NotebookNode) -> None:
    """Give each cell of `fresh` the id that the same text had, so that diffs stay small."""
    ids: dict[str, list[str]] = {}
    for cell in held.cells:
        ids.setdefault(cell.source, []).append(cell.id)
    for cell in fresh.cells:
        cell.id = ids[cell.source].pop(0) if ids.get(cell.source) else cell.id


def _mirror(source: Path, target: Path, warnings: Mapping[str, str]) -> None:
    """Make `target` hold the files of `source`, leaving unchanged ones their time stamps.

    A page that is named among `warnings`, as in `book/index`, gets its own below the title.
    """
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for name in wanted:
        if warning := warnings.get(f"{source.name}/{name.stem}" if name.suffix == ".md" else ""):
            page = under_title(read_text(source / name), warning)
            _write_if_changed(target / name, page)
        else:
            _copy(source / name, target / name)
    for path in [path for path in target.rglob("*") if path.is_file()]:
        name = path.relative_to(target)
        if name not in wanted and name.parts[0] not in _STAGED_ONLY:
            path.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy where the content differs: Sphinx rebuilds what has a new time stamp."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
