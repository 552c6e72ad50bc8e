"""A model's cosines on the pairs of tasks: what every score, interval, test and audit starts from.

They are kept beside a result (`NAME.safetensors` with `NAME.json`), so that nothing is encoded
twice: whatever takes a model takes such a result in its place.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from simgpt.config import Pooling, ScoringPrecision
from simgpt.encoder import weights_sha256
from simgpt.encoder.locating import AVERAGED
from simgpt.errors import SimgptError
from simgpt.evaluate.encoding import encode
from simgpt.evaluate.scorers import load_scorer
from simgpt.evaluate.scores import (
    Cosines,
    TaskScore,
    Vectors,
    score_task,
    signature,
    task_cosines,
)
from simgpt.evaluate.tasks import Task
from simgpt.files import read_json, staged
from simgpt.hub import hub_revision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MODEL = "model"


@dataclass(frozen=True)
class Scored:
    """What a model is, and its cosines by task, each of shape (pairs,)."""

    model: dict[str, Any]
    cosines: dict[str, Cosines]

    @property
    def precision(self) -> ScoringPrecision:
        """In what the sentences were embedded."""
        return ScoringPrecision(self.model["precision"])


def score_model(
    name: str,
    tasks: Sequence[Task],
    *,
    pooling: Pooling = Pooling.AUTO,
    precision: ScoringPrecision = ScoringPrecision.FP32,
    progress: bool = False,
) -> Scored:
    """The cosines of a model on all pairs of `tasks`.

    A sentence that several tasks share is encoded once.

    Args:
        name: As `simgpt.evaluate.scorers.load_scorer` takes it, or a result that `simgpt
            evaluate --output` wrote (a .json file with its cosines beside it).
        tasks: Test and development sets.
        pooling: Replaces the model's own.
        precision: In what the sentences are embedded.
        progress: Show a progress bar.

    Raises:
        SimgptError: the model or the result is missing or unsound, the result is of other tasks,
            or a vector is not finite.
    """
    return score_with_vectors(name, tasks, pooling=pooling, precision=precision, progress=progress)[
        0
    ]


def score_with_vectors(
    name: str,
    tasks: Sequence[Task],
    *,
    pooling: Pooling = Pooling.AUTO,
    precision: ScoringPrecision = ScoringPrecision.FP32,
    progress: bool = False,
) -> tuple[Scored, Vectors | None]:
    """As `score_model`, with the sentences' vectors; None for a result, which keeps none."""
    if name.endswith(".json"):
        return _read_result(Path(name), tasks), None
    scorer = load_scorer(name, pooling=pooling, precision=precision)
    sentences = (sentence for task in tasks for sentence in (*task.left, *task.right))
    vectors = encode(scorer, sentences, progress=progress)
    model = describe_model(name, pooling=pooling, precision=precision)
    return Scored(model, {task.name: task_cosines(task, vectors) for task in tasks}), vectors


def score_tasks(encoder: "SentenceTransformer", tasks: Sequence[Task]) -> dict[str, TaskScore]:
    """Scores of an encoder that is in memory, by task."""
    vectors = encode(encoder, (text for task in tasks for text in (*task.left, *task.right)))
    return {task.name: score_task(task, task_cosines(task, vectors)) for task in tasks}


def describe_model(
    name: str,
    *,
    pooling: Pooling = Pooling.AUTO,
    precision: ScoringPrecision = ScoringPrecision.FP32,
) -> dict[str, Any]:
    """What a model is: hash of its weights, how it pools and computes, and where it comes from.

    A run folder brings its config and the data it was trained on, an average of runs that of each;
    a model of the hub, the revision that was loaded.
    """
    described: dict[str, Any] = {
        "weights_sha256": weights_sha256(name),
        "pooling": str(pooling),
        "precision": str(precision),
    }
    folder = Path(name)
    if (folder / "config.json").is_file() and (folder / "environment.json").is_file():
        config = read_json(folder / "config.json")
        # Results are published: of a local file or folder only the name; hashes say which it was.
        local = [k for k in ("backbone", "triplets", "benchmarks") if Path(config[k]).exists()]
        described["config"] = config | {key: Path(config[key]).name for key in local}
        described["training"] = read_json(folder / "environment.json")
    elif folder.is_dir() or name == "bundled":
        described["name"] = folder.name
        if (folder / AVERAGED).is_file():
            described["averaged"] = read_json(folder / AVERAGED)
    else:
        described |= {"name": name, "revision": hub_revision(name)}
    return described


def cosines_file(result: Path) -> Path:
    """Where a result's cosines are."""
    return result.with_suffix(".safetensors")


def cosines_sha256(cosines: Mapping[str, Cosines]) -> str:
    """Hex SHA-256 over the tasks' names and cosines, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(cosines):
        digest.update(name.encode() + b"\0" + cosines[name].astype("<f4").tobytes())
    return digest.hexdigest()


def write_cosines(result: Path, scored: Scored, tasks: Sequence[Task]) -> None:
    """Keep the cosines beside `result`, with the model and the tasks' signatures."""
    told = {task.name: signature(task, precision=scored.precision) for task in tasks}
    held = {_MODEL: scored.model} | told
    metadata = {name: json.dumps(value, sort_keys=True) for name, value in held.items()}
    with staged(cosines_file(result)) as temporary:
        temporary.write_bytes(save(scored.cosines, metadata=metadata))


def read_cosines(result: Path, tasks: Sequence[Task]) -> Scored:
    """What `write_cosines` kept of `tasks`.

    Raises:
        SimgptError: there is no such file, it is torn, or its tasks are not the ones at hand.
    """
    path = cosines_file(result)
    metadata, cosines = _load(path)
    precision = ScoringPrecision(metadata[_MODEL].get("precision", ScoringPrecision.FP32))
    for task in tasks:
        wanted = signature(task, precision=precision)
        if task.name not in cosines:
            raise SimgptError(f"{path}: holds no cosines of {task.name}; score the model again")
        if not same_protocol(metadata[task.name], wanted):
            raise SimgptError(
                f"{path}: its {task.name} is {metadata[task.name]}, and the one at hand is "
                f"{wanted}; score the model again"
            )
        if cosines[task.name].shape != (task.pairs,) or not np.isfinite(cosines[task.name]).all():
            raise SimgptError(f"{path}: not {task.pairs} finite cosines of {task.name}")
    return Scored(metadata[_MODEL], {task.name: cosines[task.name] for task in tasks})


def same_protocol(one: str, other: str) -> bool:
    """Whether two signatures differ in no more than the version of this package."""
    return one.rpartition("|v")[0] == other.rpartition("|v")[0]


def _read_result(path: Path, tasks: Sequence[Task]) -> Scored:
    content = read_json(path)
    if not isinstance(content, dict) or "cosines_sha256" not in content:
        raise SimgptError(f"{path}: no result with cosines; write one with simgpt evaluate")
    scored = read_cosines(path, tasks)
    if cosines_sha256(_load(cosines_file(path))[1]) != content["cosines_sha256"]:
        raise SimgptError(f"{cosines_file(path)}: these are not the cosines of {path.name}")
    return scored


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Cosines]]:
    if not path.is_file():
        raise SimgptError(f"{path}: no such file; it holds a result's cosines; score it again")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
            cosines = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise SimgptError(f"{path}: not a sound file of cosines ({error})") from error
    if missing := {_MODEL, *cosines} - metadata.keys():
        raise SimgptError(f"{path}: not a file of cosines; says nothing of {', '.join(missing)}")
    return metadata, cosines
