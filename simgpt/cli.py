"""The command line: `simgpt ...`, also `python -m simgpt`."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from simgpt import cli_annotate, cli_evaluate, cli_report, cli_study
from simgpt.cli_group import PapermillParameters
from simgpt.config import ConfigError, RunConfig, profile_names
from simgpt.errors import SimgptError
from simgpt.released import RELEASES, import_release
from simgpt.version import __version__

app = typer.Typer(
    help="A companion to Sim-GPT: text similarity from LLM-annotated triplets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
notebooks_app = typer.Typer(help="The notebooks behind the book.", no_args_is_help=True)
app.add_typer(notebooks_app, name="notebooks")
triplets_app = typer.Typer(help="The annotated triplets.", no_args_is_help=True)
app.add_typer(triplets_app, name="triplets")
app.add_typer(cli_annotate.app, name="annotate")
app.add_typer(cli_evaluate.app, name="evaluate")
app.add_typer(cli_report.app, name="report")
app.add_typer(cli_study.app, name="study")

Profile = Annotated[str, typer.Option(help=f"One of: {', '.join(profile_names())}.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Override a setting; may be repeated."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"simgpt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None: ...


@app.command("train")
def train_encoder(
    output: Annotated[
        Path | None, typer.Option(help="Folder for the run; new, empty or this run's.")
    ] = None,
    profile: Profile = "smoke",
    settings: Settings = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate time and memory, train nothing.")
    ] = False,
    allow_config_change: Annotated[
        bool,
        typer.Option(
            "--allow-config-change",
            help="Go on with an unfinished run under other settings or data; it is recorded.",
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log for TensorBoard too.")
    ] = False,
) -> None:
    """Fine-tune an encoder on triplets.

    Stop at any time; the same command goes on. On several GPUs: torchrun --nproc-per-node 4 -m
    simgpt train ...
    """
    from simgpt.train import train

    cfg = RunConfig.from_params(_params(profile, settings))
    if dry_run:
        from simgpt.train.dry_run import dry_run as estimate

        for line in estimate(cfg):
            typer.echo(line)
        return
    if output is None:
        raise SimgptError("simgpt train needs --output FOLDER, or --dry-run")
    train(cfg, output, allow_config_change=allow_config_change, tensorboard=tensorboard)
    if int(os.environ.get("RANK", "0")) == 0:
        typer.echo(f"Trained model: {output / 'checkpoint'}")
        typer.echo(f"Score it with: simgpt evaluate {output}")


@app.command("average")
def average(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders, two or more.")],
    output: Annotated[Path, typer.Option(help="Folder for the model; new or empty.")],
) -> None:
    """Average the weights of several runs from one backbone into one model."""
    from simgpt.train.averaging import average_runs

    average_runs(runs, output)
    typer.echo(f"Averaged model: {output}")
    typer.echo(f"Score it with: simgpt evaluate {output}")


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="`bundled`, a run folder, a model folder, or a hub id.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--to",
            help="`transformers`, a folder for AutoModel, or `onnx`, one graph with the pooling.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for it; new or empty.")],
) -> None:
    """Write a model in a form that needs no simgpt, and check that its vectors are the same."""
    from simgpt.train.export import Form, export_model

    if form not in list(Form):
        raise SimgptError(f"--to is {form!r}; it must be one of: {', '.join(Form)}")
    difference = export_model(model, Form(form), output)
    typer.echo(f"Exported model: {output}")
    typer.echo(f"Its vectors differ from the encoder's by {difference:.1g} at most")


@app.command()
def sentences(
    source: Annotated[
        str,
        typer.Argument(
            help="`bundled`, a .txt, .csv or .jsonl file, or a hub source: captions, questions."
        ),
    ] = "bundled",
    output: Annotated[Path | None, typer.Option(help="Write them here, one a line.")] = None,
    column: Annotated[str, typer.Option(help="Column or key that holds the sentence.")] = "",
) -> None:
    """Load source sentences, clean and deduplicate them, and count what was dropped."""
    from simgpt.files import write_text
    from simgpt.sentences import load_sentences

    loaded = load_sentences(source, column=column or None)
    if output is not None:
        write_text(output, "".join(f"{sentence.text}\n" for sentence in loaded.sentences))
    for label, count in loaded.counts.items():
        typer.echo(f"{label}: {count:,}")


@triplets_app.command("card")
def show_card(
    output: Annotated[Path | None, typer.Option(help="Write it here.")] = None,
) -> None:
    """Print the data card of the bundled annotations, recomputed from the files."""
    from simgpt.annotate import data_card
    from simgpt.files import write_text

    if output is None:
        typer.echo(data_card(), nl=False)
    else:
        write_text(output, data_card())


@triplets_app.command("import")
def import_triplets(
    source: Annotated[
        str,
        typer.Argument(help=f"A .csv file of three columns, or one of: {', '.join(RELEASES)}."),
    ],
    output: Annotated[Path, typer.Option(help="Write the triplets here: .jsonl or .csv.")],
) -> None:
    """Turn a released training file into triplets, and count the rows that were left out."""
    for label, count in import_release(source, output).items():
        typer.echo(f"{label}: {count:,}")


@triplets_app.command("report")
def report_triplets(
    triplets: Annotated[Path, typer.Argument(help="A file that `simgpt annotate` wrote.")],
) -> None:
    """Say what became of the sentences: triplets kept, unusable answers, the audit's verdicts."""
    from simgpt.annotate import outcome_rows, read_summary, verdict_rows
    from simgpt.annotate.statistics import openings
    from simgpt.triplets import read_triplets

    summary = read_summary(triplets)
    for title, rows in (
        ("What became of the sentences", outcome_rows(summary)),
        ("Verdicts of the audit; a triplet may have several", verdict_rows(summary)),
        (
            "Partners that open with their sentence's first two words",
            openings(read_triplets(triplets), "source"),
        ),
    ):
        if rows:
            table = Table(*rows[0], title=title, box=None, title_justify="left")
            for row in rows:
                table.add_row(
                    *(f"{v:.1f}" if isinstance(v, float) else str(v) for v in row.values())
                )
            Console().print(table)


@app.command()
def book(profile: Profile = "smoke") -> None:
    """Execute the notebooks and build the Jupyter Book into _build/html."""
    from simgpt.notebooks import build_book

    page = build_book(Path.cwd(), profile=profile)
    typer.echo(f"Open {page} in a browser.")


@notebooks_app.command("run", cls=PapermillParameters)
def run_notebooks(
    profile: Profile = "smoke",
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--set",
            metavar="NAME=VALUE",
            help="Any setting; may be repeated. `-p NAME VALUE`, as papermill has it, will do too.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the executed copies.")] = Path(
        "_build/executed"
    ),
    jobs: Annotated[int, typer.Option(help="How many notebooks run at a time.")] = 1,
) -> None:
    """Execute copies of the notebooks with papermill; the originals stay as they are.

    A copy whose notebook, package, data and settings have not changed since is kept.
    """
    from simgpt.notebooks import execute_all

    for path in execute_all(Path.cwd(), _params(profile, parameters), output, jobs=jobs):
        typer.echo(path)


@notebooks_app.command("check")
def check_notebooks() -> None:
    """Fail when a notebook and its text pair differ or a notebook holds outputs."""
    from simgpt.notebooks import check_pairs

    typer.echo(f"{check_pairs(Path.cwd())} notebooks in step with their pairs")


@notebooks_app.command("sync")
def sync_notebooks() -> None:
    """Bring each .ipynb in step with its .py, keeping cell ids; outputs are dropped."""
    from simgpt.notebooks import sync_pairs

    typer.echo(f"{sync_pairs(Path.cwd())} notebooks written")


def main() -> None:
    """Run the command line; a `SimgptError` becomes one sentence on stderr."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_time=False, show_path=False)],
    )
    # It retries by itself; what comes of it is said in one sentence.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # Started by torchrun, one of the processes speaks.
    talks = os.environ.get("RANK", "0") == "0"
    logging.getLogger("simgpt").setLevel(logging.INFO if talks else logging.ERROR)
    try:
        app()
    except SimgptError as error:
        sys.stderr.write(f"simgpt: {error}\n")
        sys.exit(error.exit_status)


def _params(profile: str, settings: list[str] | None) -> dict[str, Any]:
    params: dict[str, Any] = {"profile": profile}
    for setting in settings or []:
        name, separator, value = setting.partition("=")
        if not separator:
            raise ConfigError(f"--set {setting!r}: expected NAME=VALUE")
        params[name.strip()] = value.strip()
    return params
