"""`simgpt evaluate diagnose`: what one number hides, as tables, figures and data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simgpt.config import Pooling
from simgpt.errors import SimgptError

if TYPE_CHECKING:
    from simgpt.evaluate import Task

_SCORE = ("Spearman x 100", "95 % interval")


def diagnose(
    model: Annotated[
        str, typer.Argument(help="A model, or a result (which holds no vectors, so no uniformity).")
    ],
    against: Annotated[str, typer.Option(help="Another model or result to compare with.")] = "",
    benchmarks: Annotated[
        str, typer.Option(help="Folder in SentEval's layout, or `bundled` (no benchmark).")
    ] = "auto",
    output: Annotated[
        Path | None, typer.Option(help="Folder for diagnostics.json and the figures.")
    ] = None,
    pooling: Annotated[
        Pooling, typer.Option(help="Sentence vector of both models, as for `simgpt evaluate`.")
    ] = Pooling.AUTO,
    errors: Annotated[
        int, typer.Option(min=1, help="How many of the worst errors to name and to show.")
    ] = 5,
) -> None:
    """Look behind a model's scores: subsets, length, overlap, errors, geometry, calibration.

    Sentences of the worst errors are shown here and written nowhere.
    """
    from simgpt.evaluate.benchmarks import find_tasks
    from simgpt.evaluate.diagnostics import diagnose_model
    from simgpt.files import write_json
    from simgpt.report.diagnostics import draw_diagnostics

    if output is not None and output.suffix:
        raise SimgptError(f"--output is {output}; it must be a folder, which gets several files")
    result = diagnose_model(
        model,
        against=against or None,
        benchmarks=benchmarks,
        pooling=pooling,
        errors=errors,
        progress=True,
    )
    _show(result)
    if result["agreement"]:
        _show_agreement(result["agreement"])
    _show_errors(result["errors"], find_tasks(benchmarks).all_tasks)
    if output is not None:
        drawings = draw_diagnostics(output, result)
        figures = {drawing.name: drawing.alt for drawing in drawings}
        write_json(output / "diagnostics.json", result | {"figures": figures})
        typer.echo(f"Written: {output / 'diagnostics.json'} and {len(figures)} figures, each twice")


def _show(result: Mapping[str, Any]) -> None:
    for task, subsets in result["subsets"].items():
        _table(
            result["signatures"][task],
            ("subset", "pairs", *_SCORE),
            [(row["subset"], f"{row['pairs']:,}", *_score(row)) for row in subsets],
        )
    for name, title in (("length", "words of the longer sentence"), ("overlap", "word overlap")):
        bins = [
            (
                f"{row['low']:.3g} to {row['high']:.3g}",
                f"{row['pairs']:,}",
                *_score(row),
                _decimals(row["gold_deviation"]),
            )
            for row in result[name]["bins"]
        ]
        _table(f"Score by {title}", (title, "pairs", *_SCORE, "deviation of gold"), bins)
    calibration, geometry = result["calibration"], result["geometry"]
    rows = []
    for task, row in geometry["tasks"].items():
        errors = (calibration["tasks"][task][kind]["error"] for kind in ("plain", "fitted"))
        numbers = map(_decimals, (row["alignment"], row["uniformity"], *errors))
        rows.append((task, *_score(result["overlap"]["baseline"][task]), *numbers))
    calibrated = ("calibration error", "after isotonic regression")
    _table(
        "Word overlap by itself; geometry and calibration of the model",
        ("task", *_SCORE, "alignment", "uniformity", *calibrated),
        rows,
    )
    if geometry["note"]:
        _console().print(geometry["note"])


def _show_agreement(agreement: Mapping[str, Any]) -> None:
    rows = [
        (
            task,
            *(_decimals(row[kind]) for kind in ("spearman", "kendall", "ordered_alike")),
            *(f"{row[side]:,}" for side in ("first_closer", "second_closer")),
        )
        for task, row in agreement["tasks"].items()
    ]
    columns = ("task", "Spearman", "Kendall's tau-b", "ordered alike")
    closer = ("first is closer to gold", "second is")
    _table("Agreement of the two models", (*columns, *closer), rows)


def _show_errors(errors: Mapping[str, Any], tasks: Sequence["Task"]) -> None:
    from simgpt.evaluate.ranks import pair_text

    _console().print("[bold]Worst errors[/bold]; those with a * are the worst of all")
    for task in tasks:
        for error in errors["tasks"].get(task.name, []):
            star = "* " if error in errors["overall"] else ""
            _console().print(
                f"{star}{task.name} {error['subset']} {error['pair']}: gold {error['gold']:g}, "
                f"above {100 * error['gold_rank']:.0f} % of the task's pairs; cosine "
                f"{error['cosine']:.3f}, above {100 * error['cosine_rank']:.0f} %"
            )
            left, right = pair_text(task, error["subset"], error["pair"])
            _console().print(f"  {escape(left)}\n  {escape(right)}", highlight=False)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _console().print(f"[bold]{escape(title)}[/bold]", highlight=False)
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _score(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["spearman"] is None:
        return "-", ""
    held = row["interval"]
    return f"{100 * row['spearman']:.2f}", f"{100 * held['low']:.2f} to {100 * held['high']:.2f}"


def _console() -> Console:
    return Console(width=180)


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
