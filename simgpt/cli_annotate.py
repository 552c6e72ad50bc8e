"""`simgpt annotate ...`: ask a large language model, once."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from simgpt.cli_group import DEFAULT, RunByDefault
from simgpt.errors import SimgptError

app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    help="Let a large language model write triplets: `simgpt annotate SENTENCES --output FILE`.",
)

Output = Annotated[Path, typer.Option(help="Write here.")]
LedgerFile = Annotated[
    Path,
    typer.Option(help="Keeps every answer; on a local disk. The same file again costs nothing."),
]
Model = Annotated[str, typer.Option(help="The model's name at the server.")]
BaseUrl = Annotated[
    str, typer.Option(help="Server's address, as in http://127.0.0.1:8080/v1; default: OpenAI.")
]
ApiName = Annotated[str, typer.Option("--api", help="chat, or completions for base models.")]
Temperature = Annotated[float | None, typer.Option(help="From 0 to 2; default: the server's.")]
TopP = Annotated[float | None, typer.Option(help="Above 0, at most 1; default: the server's.")]
Seed = Annotated[int | None, typer.Option(help="For servers that can repeat a draw.")]
Concurrency = Annotated[int, typer.Option(help="Calls at once, at most.")]
Limit = Annotated[
    int | None, typer.Option(help="Ask at most so many new requests; 0 writes what is there.")
]
PriceText = Annotated[
    str, typer.Option("--price", help="INPUT/OUTPUT dollars per million tokens, or 0.")
]
PriceFile = Annotated[Path | None, typer.Option(help="Prices by model, instead of the bundled.")]
Budget = Annotated[
    float | None, typer.Option("--budget-usd", help="The ledger's total never exceeds this.")
]
LEDGER = Path("runs") / "ledger.sqlite"


@app.command(DEFAULT)
def annotate(
    sentences: Annotated[
        str, typer.Argument(help="`bundled`, a .txt, .csv or .jsonl file, or a hub source.")
    ],
    output: Annotated[Path | None, typer.Option(help="Triplets: a .jsonl or .csv file.")] = None,
    source: Annotated[
        str, typer.Option(help="Their kind, which picks the prompt; default: the broadest.")
    ] = "",
    column: Annotated[str, typer.Option(help="Column or key that holds the sentence.")] = "",
    teacher: Annotated[
        str, typer.Option(help="recorded (replays the bundle, free) or openai (any server).")
    ] = "",
    model: Model = "",
    base_url: BaseUrl = "",
    api: ApiName = "chat",
    prompt: Annotated[
        Path | None, typer.Option(help="A prompt file of your own, .toml or .txt.")
    ] = None,
    variant: Annotated[
        str, typer.Option(help="Variant of the bundled prompts: brief, rater, turns or json.")
    ] = "",
    max_tokens: Annotated[int, typer.Option(help="Longest answer.")] = 200,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    concurrency: Concurrency = 16,
    limit: Limit = None,
    price: PriceText = "",
    prices: PriceFile = None,
    budget_usd: Budget = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would cost.")
    ] = False,
    batch: Annotated[
        bool, typer.Option("--batch", help="Use the Batch API: cheaper, within a day.")
    ] = False,
    shard_requests: Annotated[int, typer.Option(help="Requests in one batch, at most.")] = 50_000,
    poll_s: Annotated[float, typer.Option(help="Seconds between two looks at a batch.")] = 30.0,
    keep_flagged: Annotated[
        bool, typer.Option("--keep-flagged", help="Write what the audit rejects, too.")
    ] = False,
    ledger: LedgerFile = LEDGER,
) -> None:
    """Write triplets: each sentence with a similar and a dissimilar one.

    The key is read from OPENAI_API_KEY. Stop at any time; the same command goes on.
    """
    from simgpt.annotate import Asking, Sampling, Task, read_prompt
    from simgpt.annotate import annotate as run
    from simgpt.annotate import dry_run as estimate

    who = _teacher(teacher, model, base_url)
    cost = _price(who.model, price, prices)
    task = Task(
        sentences=_Sentences(sentences, column or None, source),
        endpoint=who.endpoint,
        model=who.model,
        prompt=None if prompt is None else read_prompt(prompt),
        variant=variant,
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed),
        api=_api(api),
    )
    asking = Asking(
        price=cost,
        budget_usd=budget_usd,
        concurrency=concurrency,
        limit=limit,
        batch=batch,
        shard_requests=shard_requests,
        poll_s=poll_s,
    )
    if dry_run:
        _show_estimate(*estimate(task, ledger, cost), cost)
        return
    if output is None:
        raise SimgptError("--output is missing: name a .jsonl or .csv file for the triplets")
    summary = run(
        task,
        who,
        output=output,
        ledger=ledger,
        asking=asking,
        keep_flagged=keep_flagged,
        origin=_origin(sentences, column, source),
    )
    typer.echo(
        f"{summary['triplets']:,} triplets from {summary['sentences']:,} sentences: {output}"
    )
    typer.echo(f"What became of the others: simgpt triplets report {output}")


@app.command("score")
def score(
    pairs: Annotated[Path, typer.Argument(help="JSONL with sentence1 and sentence2.")],
    output: Output,
    model: Model,
    base_url: BaseUrl = "",
    api: ApiName = "chat",
    prompt: Annotated[
        Path | None, typer.Option(help="A .txt file with {sentence1} and {sentence2}.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Longest answer.")] = 8,
    temperature: Temperature = None,
    seed: Seed = None,
    concurrency: Concurrency = 16,
    limit: Limit = None,
    price: PriceText = "",
    prices: PriceFile = None,
    budget_usd: Budget = None,
    ledger: LedgerFile = LEDGER,
) -> None:
    """Ask a model how similar two sentences are, from 0 to 5, for every pair."""
    from simgpt.annotate import Asking, Sampling
    from simgpt.annotate.scoring import load_scoring_prompt, score_pairs

    who = _teacher("openai", model, base_url)
    found = score_pairs(
        pairs,
        who,
        output=output,
        ledger=ledger,
        prompt=load_scoring_prompt(prompt),
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed),
        api=_api(api),
        asking=Asking(
            price=_price(model, price, prices),
            budget_usd=budget_usd,
            concurrency=concurrency,
            limit=limit,
        ),
    )
    typer.echo(f"{found['scored']:,} of {found['pairs']:,} pairs scored: {output}")
    if found["spearman"] is not None:
        typer.echo(f"Spearman with the gold scores: {found['spearman']:.4f}")


@app.command("status")
def status(
    ledger: LedgerFile = LEDGER,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what a ledger holds: calls, tokens, dollars, failures, rate and time left."""
    from simgpt.annotate.status import status as look
    from simgpt.annotate.status import status_lines

    found = look(ledger)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, show_header=False)
    for label, value in status_lines(found):
        table.add_row(label, value)
    Console().print(table)


@app.command("serve")
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8080,
) -> None:
    """Serve a small language model on this machine, to annotate without account or key."""
    from simgpt.annotate.local_llm import serve_until_interrupted

    serve_until_interrupted(port, say=typer.echo)


class _Sentences:
    """Source sentences of a file, read anew each time, so that none are held."""

    def __init__(self, name: str, column: str | None, kind: str) -> None:
        self.name, self.column, self.kind = name, column, kind

    def __iter__(self) -> Iterator[Any]:
        from simgpt.sentences import SourceSentence, stream_sentences

        for sentence in stream_sentences(self.name, column=self.column):
            yield SourceSentence(sentence.text, self.kind) if self.kind else sentence


def _origin(name: str, column: str, kind: str) -> str:
    """Hash of a file of sentences and how it is read; empty for what is no file."""
    from simgpt.files import sha256_of

    path = Path(name)
    return f"{sha256_of(path)}:{column}:{kind}" if path.is_file() else ""


def _teacher(name: str, model: str, base_url: str) -> Any:
    from simgpt.annotate import OpenAITeacher, RecordedTeacher

    name = name or ("openai" if model or base_url else "recorded")
    if name not in ("recorded", "openai"):
        raise SimgptError(f"--teacher {name!r}: it must be recorded or openai")
    if name == "recorded":
        if model or base_url:
            raise SimgptError("--model and --base-url go with --teacher openai")
        return RecordedTeacher()
    if not model:
        raise SimgptError("--model is missing: name the model as the server knows it")
    return OpenAITeacher(model, base_url=base_url or None)


def _price(model: str, price: str, prices: Path | None) -> Any:
    from simgpt.annotate import FREE, parse_price, price_of

    if model == "recorded":
        return FREE
    if price:
        return parse_price(price)
    return price_of(model) if prices is None else price_of(model, prices)


def _api(name: str) -> Any:
    from simgpt.annotate import Api

    if name not in list(Api):
        raise SimgptError(f"--api {name!r}: it must be one of: {', '.join(Api)}")
    return Api(name)


def _show_estimate(survey: Any, found: Any, price: Any) -> None:
    table = Table("", "expected", "at least", "at most", box=None)
    for label, interval, form in (
        ("input tokens", found.input_tokens, ",.0f"),
        ("output tokens", found.output_tokens, ",.0f"),
        ("dollars, one call each", found.usd, ",.2f"),
        ("dollars, Batch API", found.batch_usd, ",.2f"),
    ):
        values = (interval.middle, interval.low, interval.high)
        table.add_row(label, *(format(value, form) for value in values))
    sys.stdout.write(
        f"{survey.wanted:,} sentences, {survey.wanted - survey.open:,} of them answered before; "
        f"{found.requests:,} to ask\n"
    )
    Console().print(table)
    sys.stdout.write(f"Price: {price.source or 'free'}\nBasis: {found.basis or 'nothing to ask'}\n")
