"""`simgpt evaluate ...`: score a model, or one against another."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from simgpt.cli_diagnose import diagnose
from simgpt.cli_group import DEFAULT, RunByDefault
from simgpt.config import Aggregation, Pooling, ScoringPrecision
from simgpt.errors import SimgptError

app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    help="Score a model on the seven STS benchmarks: `simgpt evaluate MODEL`.",
)
app.command()(diagnose)

_MODEL = "`bundled`, a run folder, a model folder, a hub id, or a result that --output wrote."
Model = Annotated[str, typer.Argument(help=_MODEL)]
Benchmarks = Annotated[
    str,
    typer.Option(
        help="Folder in SentEval's layout, tokenised or not, or its senteval.tar; folder with "
        "MTEB's datasets, or `mteb` to fetch them; `bundled` (no benchmark)."
    ),
]
Output = Annotated[Path | None, typer.Option(help="Write scores and provenance here.")]
PoolingName = Annotated[
    Pooling,
    typer.Option(help="Sentence vector; `cls` for published SimCSE models, which do not say."),
]


@app.command(DEFAULT)
def evaluate(
    models: Annotated[list[str], typer.Argument(help=_MODEL)],
    benchmarks: Benchmarks = "auto",
    output: Annotated[
        Path | None,
        typer.Option(help="Write the result here; for several models, a folder."),
    ] = None,
    pooling: PoolingName = Pooling.AUTO,
    precision: Annotated[
        ScoringPrecision, typer.Option(help="In what sentences are embedded; the protocol's: fp32.")
    ] = ScoringPrecision.FP32,
    aggregation: Annotated[
        Aggregation, typer.Option(help="How subsets become one score; the paper's is all.")
    ] = Aggregation.ALL,
) -> None:
    """Score models on the seven STS benchmarks: seven numbers with intervals, or an error.

    Without --benchmarks they are looked for in SIMGPT_SENTEVAL, in the local cache and on the
    Hugging Face hub, in this order. With --output, a model that is finished is not scored again.
    """
    from simgpt.evaluate import evaluate_model, evaluate_models

    settings: dict[str, Any] = {
        "benchmarks": benchmarks,
        "pooling": pooling,
        "precision": precision,
        "aggregation": aggregation,
        "progress": True,
    }
    if len(models) > 1:
        if output is None or output.suffix == ".json":
            raise SimgptError("several models need --output FOLDER, which gets a file for each")
        for name, result in evaluate_models(models, output, **settings).items():
            Console(width=180).print(f"[bold]{name}[/bold]")
            _show_scores(result)
        return
    (model,) = models
    for_card = output is None and (Path(model) / "COMPLETE").is_file()
    if for_card:
        output = Path(model) / "scores.json"
    result = evaluate_model(model, output=output, **settings)
    if for_card:
        from simgpt.train.card import write_card

        write_card(Path(model))
    _show_scores(result)


@app.command()
def compare(
    first: Model,
    second: Model,
    benchmarks: Benchmarks = "auto",
    output: Output = None,
) -> None:
    """Test whether the first model scores otherwise than the second, on the same pairs."""
    from simgpt.evaluate import compare_models
    from simgpt.files import write_json

    result = compare_models(first, second, benchmarks=benchmarks, progress=True)
    if output is not None:
        write_json(output, result)
    _show_comparison(result)


@app.command()
def speed(
    model: Model = "bundled",
    benchmarks: Benchmarks = "auto",
    output: Output = None,
    llm: Annotated[
        Path | None,
        typer.Option(help="The local LLM's measurement: read if there, else made and kept."),
    ] = None,
    machine_usd_per_hour: Annotated[
        float | None, typer.Option(help="Price of this machine; default: a dated cloud price.")
    ] = None,
) -> None:
    """Measure how fast pairs are scored, and reckon when annotating once becomes cheaper."""
    import time

    from simgpt.environment import describe_environment
    from simgpt.evaluate.scored import describe_model
    from simgpt.files import write_json
    from simgpt.llm_speed import local_llm
    from simgpt.savings import load_machine, reckon, training_of
    from simgpt.speed import measure_speed

    environment, began = describe_environment(), time.monotonic()
    machine = load_machine(machine_usd_per_hour)
    described = describe_model(model)
    training = training_of(described)
    asked = local_llm(llm)
    measured = measure_speed(model, benchmarks=benchmarks, progress=True)
    counted = None if "skipped" in asked else asked
    result = {
        "model": described,
        **measured,
        "llm_measured": asked,
        "training": training,
        **reckon(measured["encoders"], machine=machine, training=training, llm=counted),
        "environment": environment,
        "seconds": round(time.monotonic() - began, 1),
    }
    if output is not None:
        write_json(output, result)
    _show_speed(result)


@app.command()
def contamination(
    models: Annotated[list[str] | None, typer.Argument(help=_MODEL)] = None,
    triplets: Annotated[
        str, typer.Option(help="`bundled`, a triplets file, or a .txt file, a sentence a line.")
    ] = "bundled",
    benchmarks: Benchmarks = "auto",
    output: Output = None,
    matches: Annotated[
        Path | None,
        typer.Option(help="Write each match here, with texts (benchmark text: do not publish)."),
    ] = None,
) -> None:
    """Look for benchmark sentences in training data, and score models without them.

    To tell what a model has gained from pairs that it has seen, name one beside it that has not
    seen them: `simgpt evaluate contamination runs/demo bundled`.
    """
    from simgpt.cli_contamination import show_contamination
    from simgpt.evaluate import audit_contamination
    from simgpt.files import write_json

    result = audit_contamination(
        triplets, models=models or (), benchmarks=benchmarks, matches=matches, progress=True
    )
    if output is not None:
        write_json(output, result)
    show_contamination(result)


def _show_scores(result: dict[str, Any]) -> None:
    """Scores x 100, each with its interval and signature; development sets are told apart."""
    from simgpt.evaluate import TASK_LABELS

    table = Table("task", "Spearman x 100", "95 % interval", "signature", box=None)
    for name, score in {**result["tasks"], **result["development"]}.items():
        label = TASK_LABELS.get(name, f"{name} (development)")
        interval = _interval(score["interval"])
        table.add_row(label, f"{100 * score['spearman']:.2f}", interval, score["signature"])
        if len(score["subsets"]) > 1:
            for subset, value in score["subsets"].items():
                table.add_row(f"  {subset}", f"{100 * value:.2f}", "", "")
    if result["average"] is not None:
        table.add_row(
            f"average of seven ({result['suite']})",
            f"{result['average']:.2f}",
            _interval(result["average_interval"]),
            "mean of rounded scores",
        )
    Console(width=180).print(table)
    if result["average"] is None:
        sys.stderr.write("simgpt: these are development pairs, NOT a benchmark\n")


def _show_comparison(result: dict[str, Any]) -> None:
    from simgpt.evaluate import TASK_LABELS

    columns = ("task", "first", "second", "difference", "95 % interval")
    table = Table(*columns, "p (bootstrap)", "p (randomisation)", "p (Holm)", box=None)
    for name, row in result["tasks"].items():
        table.add_row(
            TASK_LABELS.get(name, f"{name} (development)"),
            *(f"{100 * row[key]:.2f}" for key in ("first", "second")),
            f"{100 * row['difference']:+.2f}",
            _interval(row["interval"]),
            *(f"{row[key]:.4f}" for key in ("p_bootstrap", "p_randomisation", "p_holm")),
        )
    if average := result["average"]:
        table.add_row(
            f"average of seven ({result['suite']})",
            *(f"{100 * average[key]:.2f}" for key in ("first", "second")),
            f"{100 * average['difference']:+.2f}",
            _interval(average["interval"]),
            f"{average['p_bootstrap']:.4f}",
            "",
            "",
        )
    Console(width=180).print(table)


def _show_speed(result: dict[str, Any]) -> None:
    """Speeds, prices and break-evens, and what they leave out."""
    from simgpt.report import break_even_rows, llm_finding, price_rows, speed_rows, time_finding

    console = Console(width=180)
    once = result["one_off"]
    for title, (header, rows) in (
        ("Speed", speed_rows(result)),
        ("Asking about every pair", price_rows(result)),
        *(
            (
                f"Annotating {once[name]['sentences']:,} sentences once",
                break_even_rows(result, name),
            )
            for name in once
        ),
    ):
        table = Table(*header, box=None)
        for row in rows:
            table.add_row(*row)
        console.print(f"[bold]{title}[/bold]")
        console.print(table)
    for engine, reason in result["skipped"].items():
        console.print(f"Left out: {engine}, {reason}.")
    machine = result["machine"]
    price = f"${machine['usd_per_hour']:g} an hour"
    console.print(f"Machine: {machine['name']}, {price} ({machine['source']}).")
    priced = next(iter(result["llm_priced"].values()))
    console.print(f"Language models: {priced['source']}; {priced['basis']}.")
    console.print(llm_finding(result), time_finding(result))
    console.print("Not counted: " + "; ".join(result["not_counted"]) + ".")


def _interval(interval: dict[str, float]) -> str:
    return f"{100 * interval['low']:.2f} to {100 * interval['high']:.2f}"
