"""From notebooks to a book: pair, execute, stage, build.

`notebooks/NN_name.py` is what one edits; `NN_name.ipynb` is derived from it and holds no outputs.
Execution works on copies under `_build/`, so the tree is never touched, and a copy whose inputs
have not changed since is not executed again.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from simgpt.config import Pooling, RunConfig
from simgpt.environment import git_state
from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import ENVIRONMENT_VARIABLE
from simgpt.files import read_text, staged, write_text
from simgpt.report.pages import write_generated_pages
from simgpt.repository import Published, find_published
from simgpt.triplets import BUNDLED_TRIPLETS

logger = logging.getLogger(__name__)

_BUILD = Path("_build")
_STAGED_ONLY = ("generated", "data.md")  # in the staged book/, made by the build
_SMOKE_SAMPLE = 300  # embedding all triplets would take as long as the rest of the book
_SMOKE_WARNING = """```{{warning}}
This page was executed at the `{profile}` profile: {triplets} triplets, enough to show that every
step runs. Its numbers mean nothing. `make book PROFILE=laptop` executes it in full.
```"""
_FULL_NOTE = """```{{note}}
This page was executed at the `{profile}` profile with {triplets} triplets.
```"""
_ELSEWHERE = """```{{tip}}
Opened in Colab by the button above, this notebook needs the package first: `{install}`
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


def execute_all(root: Path, params: Mapping[str, Any], output: Path) -> list[Path]:
    """Execute a copy of every notebook with `params`, in order; return the copies.

    Args:
        root: The repository; notebooks run with it as their working folder.
        params: Any `RunConfig` settings.
        output: Folder for the copies. One that is there already and whose notebook, package, data
            and settings are the same is kept.

    Raises:
        SimgptError: a setting is unknown or illegal, or a cell fails (notebook and error named).
    """
    cfg = RunConfig.from_params(params)
    return [_execute(root, notebook, params, cfg, output) for _, notebook in _pairs(root)]


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
    source = root / _BUILD / "source"
    _mirror(root / "book", source / "book")
    published = find_published(root)
    for path in executed:
        _stage(path, source / "notebooks" / path.name, published)
    _copy(root / "_toc.yml", source / "_toc.yml")
    generated = source / "book" / "generated"
    facts = write_generated_pages(root / "book" / "results", generated)
    facts |= write_tryit(model_of_page(root, profile), generated / "static" / "tryit")
    facts |= _write_explorer(root, profile, generated / "static" / "explorer")
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


def _stage(executed: Path, target: Path, published: Published | None) -> None:
    """Copy a notebook into the book; where a button opens it in Colab, say what it needs there."""
    if published is None or not published.on_github:
        _copy(executed, target)
        return
    notebook = nbformat.read(executed, as_version=4)
    tip = _ELSEWHERE.format(install=published.install)
    notebook.cells.insert(2, nbformat.v4.new_markdown_cell(tip, id="elsewhere"))
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


def _execute(
    root: Path, notebook: Path, params: Mapping[str, Any], cfg: RunConfig, output: Path
) -> Path:
    import papermill

    target = output / notebook.name
    digest = _digest(root, notebook, params)
    if target.is_file() and _stamp(target).get("digest") == digest:
        logger.info("%s: unchanged since it was executed at %s", notebook.name, cfg.profile)
        return target
    logger.info("%s: executing at %s", notebook.name, cfg.profile)
    started = time.monotonic()
    with staged(target) as temporary:
        try:
            papermill.execute_notebook(
                str(notebook), str(temporary), parameters=dict(params), cwd=str(root)
            )
        except papermill.PapermillExecutionError as error:
            raise SimgptError(
                f"{notebook}, cell {error.exec_count}: {error.ename}: {error.evalue}"
            ) from error
        done = nbformat.read(temporary, as_version=4)
        done.metadata["simgpt"] = {
            "digest": digest,
            "parameters": cfg.to_dict(),
            "git": git_state(),
            "seconds": round(time.monotonic() - started, 1),
        }
        template = _SMOKE_WARNING if cfg.profile == "smoke" else _FULL_NOTE
        triplets = f"{cfg.max_triplets:,}" if cfg.max_triplets else "all bundled"
        note = template.format(profile=cfg.profile, triplets=triplets)
        done.cells.insert(1, nbformat.v4.new_markdown_cell(note, id="profile-note"))
        nbformat.write(done, temporary)
    return target


def _stamp(executed: Path) -> dict[str, Any]:
    stamp: dict[str, Any] = json.loads(read_text(executed))["metadata"].get("simgpt", {})
    return stamp


def _digest(root: Path, notebook: Path, params: Mapping[str, Any]) -> str:
    """Hash of all that an executed notebook depends on: itself, package, data, settings."""
    digest = hashlib.sha256(json.dumps(dict(params), sort_keys=True, default=str).encode())
    digest.update(os.environ.get(ENVIRONMENT_VARIABLE, "").encode())
    package = Path(__file__).parent
    files = [path for path in package.rglob("*") if path.suffix in (".py", ".toml", ".jsonl")]
    results = (root / "book" / "results").rglob("*.json")
    for path in [notebook, *sorted(files), *sorted(results)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


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


def _mirror(source: Path, target: Path) -> None:
    """Make `target` hold the files of `source`, leaving unchanged ones their time stamps."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for name in wanted:
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
