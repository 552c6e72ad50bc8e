"""Executing notebooks with papermill: copies, side by side where they may be, each with a stamp."""

import hashlib
import json
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from platform import python_version
from typing import Any

import nbformat

from simgpt.config import RunConfig, load_profile
from simgpt.environment import git_state
from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import ENVIRONMENT_VARIABLE
from simgpt.files import read_text, sha256_of, staged
from simgpt.progress import progress, span
from simgpt.triplets import BUNDLED_DEV_PAIRS, triplets_path
from simgpt.version import __version__

logger = logging.getLogger(__name__)

# The notebooks that train and score `runs/<run name>` go one after the other: the first to come
# does the work, and the others use it.
AFTER = {
    "04_evaluate": ("03_train",),
    "05_contamination": ("03_train",),
    "07_ablations": ("04_evaluate",),
}
# It measures speed, which others at work would change.
ALONE = ("06_cost_and_speed",)
_THREADS = "OMP_NUM_THREADS"

_SMOKE_WARNING = """```{{warning}}
This page was executed at the `{profile}` profile: {triplets} triplets, enough to show that every
step runs. Its numbers mean nothing. `make book PROFILE=laptop` executes it in full.
```"""
_FULL_NOTE = """```{{note}}
This page was executed at the `{profile}` profile with {triplets} triplets.
```"""
_FOOT = """:::{{dropdown}} How this page was made
{rows}

To make it again: `{command}`
:::"""


def execute_notebooks(
    root: Path,
    notebooks: Sequence[Path],
    params: Mapping[str, Any],
    output: Path,
    *,
    jobs: int = 1,
) -> list[Path]:
    """Execute a copy of each notebook with `params`; return the copies, in the notebooks' order.

    Each copy says in its metadata, under `simgpt`, what it was made from, and at its end for
    readers.

    Args:
        root: The repository; notebooks run with it as their working folder.
        notebooks: Notebooks in the order in which readers meet them.
        params: Any `RunConfig` settings.
        output: Folder for the copies. One that is there already and whose notebook, package, data
            and settings are the same is kept.
        jobs: How many run at a time. Those that share a run wait for each other.

    Raises:
        SimgptError: a setting is unknown or illegal, `jobs` is below 1, or a cell fails (notebook
            and error named).
    """
    if jobs < 1:
        raise SimgptError(f"jobs is {jobs}; it must be 1 or more")
    cfg = RunConfig.from_params(params)

    def execute(notebook: Path) -> Path:
        return _execute(root, notebook, params, cfg, output)

    with _sharing_threads(jobs):
        return _in_turn(notebooks, execute, jobs)


def _in_turn(notebooks: Sequence[Path], execute: Callable[[Path], Path], jobs: int) -> list[Path]:
    """Call `execute` for every notebook as soon as those that it waits for are done."""
    by_name = {notebook.stem: notebook for notebook in notebooks}
    waits_for = {
        name: [other for other in by_name if name in ALONE and other not in ALONE]
        + [other for other in AFTER.get(name, ()) if other in by_name]
        for name in by_name
    }
    order: TopologicalSorter[str] = TopologicalSorter(waits_for)
    order.prepare()
    running: dict[Future[Path], str] = {}
    copies: dict[str, Path] = {}
    pool = ThreadPoolExecutor(jobs)
    try:
        with progress("notebooks", len(by_name)) as advance:
            while order.is_active():
                for name in order.get_ready():
                    running[pool.submit(execute, by_name[name])] = name
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(done)
                    copies[name] = done.result()
                    order.done(name)
                    advance()
    finally:
        # After a failure: what runs may end, what waits does not begin.
        pool.shutdown(cancel_futures=True)
    return [copies[name] for name in by_name]


@contextmanager
def _sharing_threads(jobs: int) -> Iterator[None]:
    """Give each of several kernels its part of the cores, unless the environment says otherwise."""
    if jobs == 1 or _THREADS in os.environ:
        yield
        return
    os.environ[_THREADS] = str(max(1, (os.cpu_count() or 1) // jobs))
    try:
        yield
    finally:
        del os.environ[_THREADS]


def _execute(
    root: Path, notebook: Path, params: Mapping[str, Any], cfg: RunConfig, output: Path
) -> Path:
    import papermill

    target = output / notebook.name
    digest = _digest(root, notebook, params)
    if target.is_file() and stamp_of(target).get("digest") == digest:
        logger.info("%s: unchanged since it was executed at %s", notebook.name, cfg.profile)
        return target
    logger.info("%s: executing at %s", notebook.name, cfg.profile)
    began, started = datetime.now(UTC), time.monotonic()
    with staged(target) as temporary:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(temporary),
                parameters=dict(params),
                cwd=str(root),
                progress_bar=False,
            )
        except papermill.PapermillExecutionError as error:
            raise SimgptError(
                f"{notebook}, cell {error.exec_count}: {error.ename}: {error.evalue}"
            ) from error
        done = nbformat.read(temporary, as_version=4)
        stamp = {
            "digest": digest,
            "parameters": cfg.to_dict(),
            "git": git_state(),
            "data": _data(cfg),
            "simgpt": __version__,
            "python": python_version(),
            "started": began.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started, 1),
        }
        done.metadata["simgpt"] = stamp
        template = _SMOKE_WARNING if cfg.profile == "smoke" else _FULL_NOTE
        triplets = f"{cfg.max_triplets:,}" if cfg.max_triplets else "all bundled"
        note = template.format(profile=cfg.profile, triplets=triplets)
        done.cells.insert(1, nbformat.v4.new_markdown_cell(note, id="profile-note"))
        foot = page_foot(stamp, notebook.name)
        done.cells.append(nbformat.v4.new_markdown_cell(foot, id="provenance"))
        nbformat.write(done, temporary)
    return target


def page_foot(stamp: Mapping[str, Any], notebook: str) -> str:
    """What a copy's stamp says, for readers: folded, in MyST."""
    settings = RunConfig.from_params(stamp["parameters"]).to_dict()
    profile = settings.pop("profile")
    usual = RunConfig.from_params({"profile": profile}).to_dict()
    own = {name: value for name, value in settings.items() if value != usual[name]}
    given = [word for name, value in own.items() for word in ("-p", name, str(value))]
    filled = {**load_profile(profile), **own}
    git = stamp["git"]
    commit = f"`{git['commit']}`" if git else "not known: the package is installed without one"
    rows = {
        "Settings": f"profile `{profile}`: "
        + ", ".join(f"`{name}` {value}" for name, value in filled.items()),
        "Commit": commit + (", with changes that were not committed" if git.get("dirty") else ""),
        "Package": f"simgpt {stamp['simgpt']}, Python {stamp['python']}",
        "Data (SHA-256)": ", ".join(f"{k} `{v[:16]}`" for k, v in stamp["data"].items()),
        "Executed": f"{stamp['started']}, in {span(stamp['seconds'])}",
    }
    words = ["papermill", f"notebooks/{notebook}", notebook, "-p", "profile", profile, *given]
    return _FOOT.format(
        rows="\n".join(f"- {label}: {value}" for label, value in rows.items()),
        command=shlex.join(words),
    )


def stamp_of(executed: Path) -> dict[str, Any]:
    """What an executed copy was made from; empty where it does not say."""
    stamp: dict[str, Any] = json.loads(read_text(executed))["metadata"].get("simgpt", {})
    return stamp


def _data(cfg: RunConfig) -> dict[str, str]:
    """SHA-256 of the files that notebooks read. Benchmarks are in the signatures they print."""
    files = {"triplets": triplets_path(cfg), "development pairs": BUNDLED_DEV_PAIRS}
    return {label: sha256_of(path) for label, path in files.items() if path.is_file()}


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
