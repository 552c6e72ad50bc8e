"""`simgpt study ...`: the grids of runs behind the book's claims."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from simgpt.errors import SimgptError
from simgpt.progress import span

app = typer.Typer(
    no_args_is_help=True,
    help="Train and score a grid of runs: `simgpt study run NAME`.",
)

Seeds = Annotated[
    str | None, typer.Option(help="As in 1,2,3 or 1-5; default: the study's.", metavar="SEEDS")
]
Rows = Annotated[str | None, typer.Option(help="Only these, as in captions,all.", metavar="ROWS")]
Shard = Annotated[
    str, typer.Option(help="I/N takes the I-th of N parts of the cells.", metavar="I/N")
]
Results = Annotated[Path, typer.Option("--output", help="Folder for the studies' results.")]
_STUDY = "A bundled study, or a .toml file of one's own."


@app.command()
def run(
    study: Annotated[str, typer.Argument(help=_STUDY)],
    seeds: Seeds = None,
    rows: Rows = None,
    shard: Shard = "1/1",
    cores: Annotated[
        int | None, typer.Option(min=1, help="Threads of this process; default: all cores.")
    ] = None,
    output: Results = Path("book/results"),
) -> None:
    """Train and score every cell that has no result yet.

    Stop at any time; the same command goes on. Several processes may share a study, on one
    machine by themselves and on several with --shard.
    """
    if cores is not None:
        os.environ["OMP_NUM_THREADS"] = str(cores)  # read when torch is loaded
        import torch

        torch.set_num_threads(cores)
    wanted = _wanted(seeds, rows, shard)
    from simgpt.study import run_study

    try:
        left_out = run_study(study, **wanted, output=output)
    except KeyboardInterrupt as error:  # outside of training, which stops by itself
        interrupted = SimgptError("interrupted; run the same command to go on")
        interrupted.exit_status = 130
        raise interrupted from error
    typer.echo(f"Results: {output / Path(study).stem}")
    for name, reason in left_out.items():
        typer.echo(f"Left out: {name}: {reason}")


@app.command()
def plan(
    study: Annotated[str | None, typer.Argument(help=f"{_STUDY} Default: all bundled.")] = None,
    seeds: Seeds = None,
    rows: Rows = None,
    shard: Shard = "1/1",
    output: Results = Path("book/results"),
) -> None:
    """Say what is finished and how long the rest will take; train nothing."""
    from simgpt.study.plan import plan_study

    wanted = _wanted(seeds, rows, shard)
    if study is not None:
        _show_cells(plan_study(study, **wanted, output=output))
        return
    if rows is not None:
        raise SimgptError("--rows needs a study: simgpt study plan NAME --rows ROWS")
    _show_studies(wanted, output)


def _wanted(seeds: str | None, rows: str | None, shard: str) -> dict[str, Any]:
    part = re.fullmatch(r"(\d+)/(\d+)", shard)
    if part is None:
        raise SimgptError(f"--shard is {shard!r}; it must be as in 1/4")
    return {
        "seeds": None if seeds is None else _numbers(seeds),
        "rows": None if rows is None else [row.strip() for row in rows.split(",")],
        "shard": (int(part[1]), int(part[2])),
    }


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if found is None:
            raise SimgptError(f"--seeds is {text!r}; it must be as in 1,2,3 or 1-5")
        numbers.extend(range(int(found[1]), int(found[2] or found[1]) + 1))
    return numbers


def _show_cells(cells: list[Any]) -> None:
    table = Table("row", "seed", "triplets", "state", "time left, about", box=None)
    for planned in cells:
        table.add_row(
            planned.cell.row.name,
            "" if planned.cell.seed is None else str(planned.cell.seed),
            "" if planned.triplets is None else f"{planned.triplets:,}",
            planned.state,
            "" if planned.seconds is None else span(planned.seconds),
        )
    console = Console(width=max(180, Console().width))
    console.print(table)
    console.print(f"{len(cells)} cells, about {_left(cells)} left")


def _show_studies(wanted: dict[str, Any], output: Path) -> None:
    from simgpt.study import load_study, study_names
    from simgpt.study.plan import FINISHED, plan_study

    table = Table("study", "question", "cells", "finished", "time left, about", box=None)
    everything = []
    for name in study_names():
        cells = plan_study(name, **wanted, output=output)
        everything += cells
        finished = sum(planned.state == FINISHED for planned in cells)
        counts = str(len(cells)), str(finished)
        table.add_row(name, load_study(name).question, *counts, _left(cells))
    console = Console(width=max(180, Console().width))
    console.print(table)
    console.print(f"{len(everything)} cells, about {_left(everything)} left")


def _left(cells: list[Any]) -> str:
    return span(sum(planned.seconds or 0.0 for planned in cells))
