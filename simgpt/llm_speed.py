"""How fast a large language model scores pairs and annotates sentences, measured.

Pairs and sentences are bundled ones, drawn with a fixed seed, and go through the same client,
ledger and parser as any others. Whatever else the machine does shows in the rates.
"""

import json
import os
import random
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from simgpt.annotate.export import usable
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.local_llm import MODEL_NAME, SLOTS, installed, model_file, serve
from simgpt.annotate.openai_teacher import OpenAITeacher
from simgpt.annotate.requests import Api, Sampling
from simgpt.annotate.run import Asking, ask
from simgpt.annotate.scoring import score_pairs
from simgpt.annotate.task import Task
from simgpt.annotate.teachers import Teacher
from simgpt.environment import describe_environment
from simgpt.errors import SimgptError
from simgpt.files import read_json, read_jsonl, sha256_of, write_json, write_text
from simgpt.sentences import SourceSentence
from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS, read_triplets

SEED = 7
PAIRS, SENTENCES = 200, 40
_NOT_INSTALLED = (
    "The local language model was not measured, because it is not installed: `make local-llm` "
    "installs it."
)


def local_llm(
    kept: Path | None = None, *, pairs: int = PAIRS, sentences: int = SENTENCES
) -> dict[str, Any]:
    """The local model's speed: from `kept` where that is there, else measured and kept there.

    Args:
        kept: A .json file; None measures anew and keeps nothing.
        pairs: As for `measure_llm`.
        sentences: As for `measure_llm`.

    Returns:
        As `measure_local_llm`; where the model is not installed, `skipped` alone, which says so.

    Raises:
        SimgptError: `kept` holds something else, or as `measure_local_llm`.
    """
    if kept is not None and kept.is_file():
        held: dict[str, Any] = read_json(kept)
        if not {"model", "scoring", "annotating"} <= held.keys():
            raise SimgptError(f"{kept}: holds no measurement of a language model's speed")
        return held
    if not installed():
        return {"skipped": _NOT_INSTALLED}
    measured = measure_local_llm(pairs=pairs, sentences=sentences)
    if kept is not None:
        write_json(kept, measured)
    return measured


def measure_local_llm(*, pairs: int = PAIRS, sentences: int = SENTENCES) -> dict[str, Any]:
    """Measure the local model: `measure_llm`, and which server and weights it was.

    Raises:
        SimgptError: as `simgpt.annotate.local_llm.serve` and `measure_llm`.
    """
    with serve(port=0) as url:
        teacher = OpenAITeacher(MODEL_NAME, base_url=url)
        measured = measure_llm(teacher, pairs=pairs, sentences=sentences, api=Api.COMPLETIONS)
    server = {
        "xllamacpp": metadata.version("xllamacpp"),
        "weights_sha256": sha256_of(model_file()),
    }
    return measured | {"server": server}


def measure_llm(
    teacher: Teacher, *, pairs: int, sentences: int, api: Api = Api.CHAT
) -> dict[str, Any]:
    """Time a model on bundled development pairs and on bundled source sentences.

    Args:
        teacher: Who is asked; nothing is charged to a budget.
        pairs: Pairs that are scored, after a few that are not timed: they fill the server's caches.
        sentences: Captions that are annotated, in the same way.
        api: Which interface is used.

    Returns:
        `scoring`: `pairs`, `seconds`, `pairs_per_s`; `prompt_tokens` and `completion_tokens` a pair
        (None where the server does not count); `parsed`, the share of answers that hold a score;
        `spearman` of these with the gold scores (-1 to 1; None where all scores are the same).
        `annotating`: the same for sentences, `parsed` being the share of answers that hold two.
        `model`, `seed`, `calls` (at once), `environment`, and `load`: how many processes wanted a
        core in the minute before (None where the system does not say).

    Raises:
        Interrupted: the model answered nothing of use.
    """
    environment = describe_environment()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    calls = min(SLOTS, pairs, sentences)
    rows = [row for _, row in read_jsonl(BUNDLED_DEV_PAIRS)]
    drawn = random.Random(SEED).sample(rows, pairs + calls)  # noqa: S311
    captions = [
        SourceSentence(triplet.sentence, triplet.source)
        for triplet in read_triplets(BUNDLED_TRIPLETS)
        if triplet.source == "captions"
    ]
    some = random.Random(SEED).sample(captions, sentences + calls)  # noqa: S311
    asking = Asking(concurrency=calls)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _score(drawn[pairs:], teacher, folder / "first pairs", api, asking)
        seconds, scored = _timed(
            lambda: _score(drawn[:pairs], teacher, folder / "pairs", api, asking)
        )
        _annotate(some[sentences:], teacher, folder / "first captions", api, asking)
        annotating_s, annotated = _timed(
            lambda: _annotate(some[:sentences], teacher, folder / "captions", api, asking)
        )
    return {
        "model": teacher.model,
        "seed": SEED,
        "calls": calls,
        "load": load,
        "scoring": {
            **_pace("pairs", pairs, seconds, scored),
            "parsed": scored["scored"] / pairs,
            "spearman": scored["spearman"],
        },
        "annotating": {
            **_pace("sentences", sentences, annotating_s, annotated),
            "parsed": annotated["usable"] / sentences,
        },
        "environment": environment,
    }


def _score(
    pairs: list[dict[str, Any]], teacher: Teacher, folder: Path, api: Api, asking: Asking
) -> dict[str, Any]:
    file = folder / "pairs.jsonl"
    write_text(file, "".join(json.dumps(row) + "\n" for row in pairs))
    return score_pairs(
        file,
        teacher,
        output=folder / "scored.jsonl",
        ledger=folder / "ledger.sqlite",
        sampling=Sampling(max_tokens=8, temperature=0),
        api=api,
        asking=asking,
    )


def _annotate(
    captions: list[SourceSentence], teacher: Teacher, folder: Path, api: Api, asking: Asking
) -> dict[str, Any]:
    """Ask, without writing triplets: of a weak model's answers none may become one."""
    task = Task(
        sentences=captions,
        endpoint=teacher.endpoint,
        model=teacher.model,
        sampling=Sampling(max_tokens=80, temperature=0),
        api=api,
    )
    with Ledger(folder / "ledger.sqlite") as ledger:
        ask(task, teacher, ledger, asking, usable)
        asked = list(task)
        answers = ledger.answers([each.key for each in asked])
        totals = ledger.totals([asked[0].setup])
    return totals | {"usable": sum(usable(answer) for answer in answers.values())}


def _timed(work: Callable[[], dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    began = time.monotonic()
    done = work()
    return time.monotonic() - began, done


def _pace(what: str, count: int, seconds: float, totals: dict[str, Any]) -> dict[str, Any]:
    return {
        what: count,
        "seconds": round(seconds, 2),
        f"{what}_per_s": count / seconds,
        "prompt_tokens": totals["input_tokens"] / count or None,
        "completion_tokens": totals["output_tokens"] / count or None,
    }
