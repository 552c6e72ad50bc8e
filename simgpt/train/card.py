"""The model card of a run: prose from here, every number from the run's files, and no path."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simgpt.config import Pooling, RunConfig
from simgpt.encoder import weights_sha256
from simgpt.evaluate.tasks import TASK_LABELS
from simgpt.files import COMPLETE, read_json, read_jsonl, write_json, write_text
from simgpt.markdown import Row, markdown_table
from simgpt.train.folder import CONFIG, ENVIRONMENT, LOG
from simgpt.train.origin import origin_of

_METRIC = "eval_development_spearman"
_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
{front}tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
- simgpt
- {recipe}
---

# {name}

<!-- Written by `simgpt train` and `simgpt evaluate` from the run's files. -->

{what}

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder"{trust})
vectors = model.encode(["A dog runs on the beach.", "A dog is running by the sea."])
print(model.similarity(vectors, vectors))
```
{note}
## Training data

{data}

## Training

{settings}

{selection}

{run}
{history}
## Scores

{scores}

## Limits

{limits}
"""
_PREFIX_NOTE = """
The prefix is read by a class of simgpt, which must be installed; sentence-transformers imports
classes of other packages only with `trust_remote_code=True`.
"""
_POOLING = {
    Pooling.AUTO: "as the backbone itself pools",
    Pooling.MEAN: "the mean of the last layer's token vectors",
    Pooling.CLS: "the first token's vector, through a trained dense layer and tanh",
    Pooling.CLS_BEFORE_POOLER: "the first token's vector after the last layer",
    Pooling.AVG_TOP2: "the mean of the token vectors of the last two layers",
    Pooling.AVG_FIRST_LAST: "the mean of the token vectors of the first and the last layer",
}


def write_card(run: Path) -> None:
    """Write the model card of a run, `checkpoint/README.md`, anew.

    Where the triplets and the backbone come from is noted in `environment.json` at the end of
    training: a later card may be written on another machine, without them.
    """
    environment = read_json(run / ENVIRONMENT)
    if "origin" not in environment or not (run / COMPLETE).is_file():
        environment["origin"] = origin_of(read_json(run / CONFIG), environment)
        write_json(run / ENVIRONMENT, environment)
    write_text(run / "checkpoint" / "README.md", model_card(run))


def model_card(run: Path) -> str:
    """The Markdown card of a trained run, with a Hugging Face model card's front matter.

    Args:
        run: A run folder with its `checkpoint`. Scores are told where its `scores.json` is of
            these weights.

    Raises:
        SimgptError: a file of the run is missing or not valid JSON.
    """
    held: dict[str, Any] = read_json(run / CONFIG)
    config = asdict(RunConfig()) | held
    environment: dict[str, Any] = read_json(run / ENVIRONMENT)
    origin = environment.get("origin") or origin_of(held, environment)
    prefix = config["prefix_tokens"] > 0
    front = {"base_model": origin["hub_id"], "language": origin["language"]}
    return _CARD.format(
        front="".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items() if value),
        recipe="promcse" if prefix else "simcse",
        name=run.resolve().name,
        what=_what(config, origin, run / "checkpoint"),
        trust=", trust_remote_code=True" if prefix else "",
        note=_PREFIX_NOTE if prefix else "",
        data=_data(config, environment, origin),
        settings=_settings(held, origin),
        selection=_selection(run, config, environment),
        run=_table(_sitting(run, environment)),
        history=_history(environment),
        scores=_scores(run),
        limits=_limits(config, origin),
    )


def _what(config: dict[str, Any], origin: dict[str, Any], checkpoint: Path) -> str:
    modules = [entry["type"].split(".")[-1] for entry in read_json(checkpoint / "modules.json")]
    losses = ["the contrastive loss of SimCSE over the other sentences of a batch"]
    if config["hard_negatives"]:
        losses[0] += " and the triplets' dissimilar ones"
    if config["energy_weight"]:
        losses.append("PromCSE's energy hinge")
    if config["mlm_weight"]:
        losses.append("a masked language model's loss")
    trained = f"Its backbone, `{origin['backbone']}`, was fine-tuned"
    if tokens := config["prefix_tokens"]:
        trained = (
            f"Its backbone, `{origin['backbone']}`, is frozen behind PromCSE's prefix, {tokens} "
            "keys and values in every layer, which was trained"
        )
    return (
        f"A sentence encoder: texts of like meaning get vectors of a high cosine. {trained} with "
        f"{' plus '.join(losses)}.\nThe sentence vector is {_POOLING[Pooling(config['pooling'])]} "
        f"(modules: {', '.join(modules)}).\nSHA-256 of the weights: "
        f"`{weights_sha256(str(checkpoint))}`."
    )


def _data(config: dict[str, Any], environment: dict[str, Any], origin: dict[str, Any]) -> str:
    rows = [
        {
            "file": f"`{origin['triplets']}`",
            "triplets trained on": environment["triplets"]["count"],
            "SHA-256 of the file": f"`{environment['triplets']['sha256']}`",
        }
    ]
    parts = [markdown_table(rows)]
    if config["triplets"] == "bundled":
        parts.append(
            "Bundled with simgpt, which has their data card; a large language model wrote them. "
            f"Licence: {origin['licence']}."
        )
    elif annotation := origin["annotation"]:
        parts.append("A large language model wrote the similar and the dissimilar sentences:")
        parts.append(
            markdown_table(
                [
                    {
                        "teacher": f"`{setup['model']}`",
                        "prompt": f"`{setup['prompt']}`",
                        "prompt hash": f"`{setup['prompt_hash']}`",
                        "sampling": ", ".join(f"{k} {v}" for k, v in setup["sampling"].items()),
                    }
                    for setup in annotation["setups"]
                ]
            )
        )
        parts.append(
            f"Models that answered: {', '.join(f'`{name}`' for name in annotation['models'])}. All "
            f"that was asked in this way cost {annotation['usd']:.4f} US dollars."
        )
    else:
        parts.append(
            "No summary of `simgpt annotate` lay beside the file: who wrote it is unknown."
        )
    return "\n\n".join(parts)


def _settings(held: dict[str, Any], origin: dict[str, Any]) -> str:
    """The run's config, but for the teacher: a notebook's setting that no training reads."""
    told = {name: _shown(name, value) for name, value in held.items() if name != "teacher"}
    told |= {"backbone": origin["backbone"], "triplets": origin["triplets"]}
    return markdown_table([{"setting": f"`{k}`", "value": f"`{v}`"} for k, v in told.items()])


def _selection(run: Path, config: dict[str, Any], environment: dict[str, Any]) -> str:
    scored = [row for _, row in read_jsonl(run / LOG) if _METRIC in row]
    if not scored:
        return "No development score was logged."
    best = max(scored, key=lambda row: float(row[_METRIC]))
    task = environment["development"]["task"]
    text = (
        f"Of {len(scored)} checkpoints that of step {best['step']} was kept: it has the highest "
        f"Spearman on the development pairs `{task}`, {100 * best[_METRIC]:.2f} (x 100). No test "
        "set took part in the choice."
    )
    if (share := config["trained_share"]) < 1:
        text += (
            f" Its weights were then averaged with the backbone's: {share} x trained + the rest."
        )
    return text


def _sitting(run: Path, environment: dict[str, Any]) -> Row:
    machine, packages = environment["machine"], environment["packages"]
    steps = max((row["step"] for _, row in read_jsonl(run / LOG)), default=0)
    return {
        "seed": read_json(run / CONFIG)["seed"],
        "steps": steps,
        "seconds": environment.get("seconds", "unknown"),
        "processes": environment.get("processes", 1),
        "machine": f"{machine['system']}, {machine['cpu']}, {machine['cores']} cores",
        "GPUs": ", ".join(machine["gpus"]) or "none",
        "started": environment["started"],
        "versions": ", ".join(
            f"{name} {version}"
            for name, version in {
                "simgpt": environment["simgpt"],
                "Python": environment["python"],
                **packages,
            }.items()
        ),
        "commit of simgpt": _commit(environment["git"]),
    }


def _history(environment: dict[str, Any]) -> str:
    lines = [
        f"- Went on after step {sitting['step']}, {_processes(sitting['processes'])}, commit "
        f"{_commit(sitting['git'])}."
        for sitting in environment.get("resumed", [])
    ]
    for change in environment.get("config_changes", []):
        told = "; ".join(
            f"{name} from {_shown(name, before)} to {_shown(name, after)}"
            for name, (before, after) in change["changes"].items()
        )
        lines.append(f"- **Changed after step {change['step']}:** {told}.")
    return "\nThe run was cut short and went on:\n\n" + "\n".join(lines) + "\n" if lines else ""


def _scores(run: Path) -> str:
    path = run / "scores.json"
    scores = read_json(path) if path.is_file() else {}
    if scores and scores["model"]["weights_sha256"] != weights_sha256(str(run / "checkpoint")):
        scores = {}
    parts = []
    if tasks := scores.get("tasks"):
        rows = [_score_row(TASK_LABELS.get(name, name), score) for name, score in tasks.items()]
        average = {"task": "average", "Spearman x 100": f"{scores['average']:.2f}"}
        parts.append(markdown_table([*rows, average | {"signature": "mean of rounded scores"}]))
    else:
        parts.append("On the STS benchmarks: not scored yet; `simgpt evaluate` scores a run.")
    if development := scores.get("development"):
        parts.append("Development pairs, which pick checkpoints and settings: **not a benchmark**.")
        rows = [_score_row(f"`{name}`", score) for name, score in development.items()]
        parts.append(markdown_table(rows))
    if scores:
        measured = scores["environment"]
        parts.append(f"Scored with simgpt {measured['simgpt']}, commit {_commit(measured['git'])}.")
    return "\n\n".join(parts)


def _score_row(label: str, score: dict[str, Any]) -> Row:
    return {
        "task": label,
        "Spearman x 100": f"{100 * score['spearman']:.2f}",
        "signature": f"`{score['signature']}`",
    }


def _limits(config: dict[str, Any], origin: dict[str, Any]) -> str:
    kinds = f" ({', '.join(origin['kinds'])})" if origin["kinds"] else ""
    writer = "Trained on text that a language model wrote, whose habits and errors it learned."
    if config["triplets"] != "bundled" and not origin["annotation"]:
        writer = (
            "If a language model wrote the triplets, it learned that model's habits and errors."
        )
    return "\n".join(
        f"- {limit}"
        for limit in (
            "English: simgpt's prompts, audit and benchmarks know no other language.",
            f"Texts were cut at {config['max_tokens']} tokens in training. Longer ones are "
            "encoded, but it has not been trained on any.",
            f"It was taught likeness between sentences of the triplets' kinds{kinds}; not search, "
            "and not documents.",
            writer,
            "The backbone's licence is not recorded here; look it up before passing these on.",
        )
    )


def _table(row: Row) -> str:
    return markdown_table([{"run": key, "": str(value)} for key, value in row.items()])


def _commit(git: dict[str, Any]) -> str:
    if not git:
        return "unknown (an installed package)"
    return f"`{git['commit']}`{' with uncommitted changes' if git['dirty'] else ''}"


def _processes(count: int) -> str:
    return f"{count} process" if count == 1 else f"{count} processes"


def _shown(name: str, value: Any) -> str:
    """A setting as it may be published: of a file or folder only the name, of data the hash."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {str(v)[:8] if k == 'sha256' else v}" for k, v in value.items())
    if name in ("triplets", "benchmarks") or (name == "backbone" and Path(value).is_dir()):
        return Path(value).name
    return str(value)
