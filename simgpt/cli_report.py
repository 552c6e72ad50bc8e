"""`simgpt report ...`: tables of results, and whether results still hold."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from simgpt.errors import SimgptError

app = typer.Typer(help="Tables of results, and whether they still hold.", no_args_is_help=True)


@app.command()
def table(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Results, comparisons, paper.json: files, or folders of them."),
    ],
    form: Annotated[
        str, typer.Option("--format", help="`markdown`, `latex`, `csv` or `html`.")
    ] = "markdown",
    output: Annotated[Path | None, typer.Option(help="Write it here.")] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Join runs that differ in nothing but the seed.")
    ] = False,
) -> None:
    """Make a table of results: models by tasks, with intervals and marks of difference.

    Marks come from what `simgpt evaluate compare --output` wrote. Scores that were not got alike
    are refused.
    """
    from simgpt.files import write_text
    from simgpt.report.formats import Format, render
    from simgpt.report.table import build_table

    if form not in list(Format):
        raise SimgptError(f"--format is {form!r}; it must be one of: {', '.join(Format)}")
    text = render(build_table(paths, seeds=seeds), Format(form))
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)


@app.command()
def verify(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Results: files, or folders of them.")
    ] = None,
    rerun: Annotated[
        Path | None,
        typer.Option(help="Folder of results or runs, made again by the same commands."),
    ] = None,
    benchmarks: Annotated[
        str, typer.Option(help="Folder in SentEval's layout, or `bundled` (no benchmark).")
    ] = "auto",
) -> None:
    """Check whether results still hold: a line for each file; any FAIL gives exit status 1.

    Without a path, the committed ones in book/results. Scores are computed anew from the cosines
    beside a result; nothing is trained or encoded. With --rerun, they are held against yours.
    """
    from simgpt.report.rerun import Verdict
    from simgpt.verify import Check
    from simgpt.verify import verify as verify_all

    verified = verify_all(paths or [Path("book/results")], rerun=rerun, benchmarks=benchmarks)
    checks = [check for check in Check if any(check in one.findings for one in verified)]
    table = Table(Column("file", overflow="fold"), *checks, "verdict", box=None)
    files: dict[tuple[Verdict, str], list[str]] = {}
    for one in verified:
        cells = (one.findings.get(check) for check in checks)
        # As Text, since names may hold brackets, which are rich's markup.
        table.add_row(
            Text(str(one.path)), *(cell.verdict if cell else "" for cell in cells), one.verdict
        )
        for check, finding in one.findings.items():
            if finding.reason:
                told = f"{finding.verdict}, {check}: {finding.reason}"
                files.setdefault((finding.verdict, told), []).append(str(one.path))
    Console(width=180).print(table)
    for (verdict, told), named in files.items():
        few = len(named) <= 3 or verdict is not Verdict.UNCHECKED
        typer.echo(f"\n{told}\n  {'  '.join(named) if few else f'{len(named)} files'}")
    if any(one.verdict is Verdict.FAIL for one in verified):
        raise typer.Exit(1)


@app.command()
def stale(
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("book/results"),
) -> None:
    """Tell which results are older than what they depend on; any gives exit status 1.

    Settings, data and code are compared with what was recorded. Of the code only what a number is
    made by counts, and of that the meaning: no comments, no layout, nothing that was added.
    """
    from simgpt.freshness import HARMLESS, check_freshness
    from simgpt.stale_pages import told

    found = check_freshness(results)
    old = [one for one in found if one.is_stale and not one.kept]
    for one in old:
        typer.echo("\n  ".join([str(one.path), *told(one)]))
    for one in found:
        for reason in one.untold:
            typer.echo(f"{one.path}: not compared with the code: {reason}")
    for reason, count in Counter(one.kept for one in found if one.kept).items():
        typer.echo(f"{count} more are kept as they were: {reason}")
    typer.echo(f"{len(old)} of {len(found)} results are stale")
    if not old:
        return
    changes = sorted({change for one in old for change in one.digests})
    typer.echo(
        "Measure them again; or, where a change leaves them as they are, say so in "
        f"{results / HARMLESS}:"
    )
    for name, digest in changes:
        typer.echo(f'\n[[change]]\ndefinition = "{name}"\ndigest = "{digest}"\nbecause = ""')
    raise typer.Exit(1)
