"""How fast an encoder scores, by the program that computes it, and whether its scores hold."""

import logging
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simgpt.config import ScoringPrecision
from simgpt.encoder import locate
from simgpt.encoder.locating import ONNX_FILE
from simgpt.errors import SimgptError
from simgpt.evaluate import Benchmarks, Task, score_task
from simgpt.evaluate.benchmarks import find_tasks
from simgpt.evaluate.encoding import encode
from simgpt.evaluate.scorers import load_scorer
from simgpt.evaluate.scores import score_pairs, task_cosines
from simgpt.progress import progress as progress_bar

logger = logging.getLogger(__name__)

# A change of a score x 100 beyond which an engine's scores no longer stand for the encoder's.
HOLDS_WITHIN = 0.1
_WARM_UP = 128
_T = TypeVar("_T")


class Engine(StrEnum):
    """A program and the numbers it computes with."""

    FP32 = "torch fp32"
    BF16 = "torch bf16"
    ONNX = "ONNX Runtime fp32"
    INT8 = "ONNX Runtime int8"


def measure_speed(
    name: str,
    *,
    benchmarks: str = "auto",
    engines: Sequence[Engine] = tuple(Engine),
    progress: bool = False,
) -> dict[str, Any]:
    """Score the same pairs with each engine, each in a process of its own.

    Args:
        name: As `simgpt.encoder.load_encoder` takes it.
        benchmarks: The pairs, as `simgpt.evaluate.benchmarks.find_tasks` takes it.
        engines: Which to try; the first is what the others' scores are held against.
        progress: Show how many are done.

    Returns:
        `encoders`, by engine: `sentences_per_s`, `pairs_per_s` (two sentences that nobody has seen
        before), `cosines_per_s` (vectors at hand), `peak_mib`, `load_s`, `spearman` by task (-1 to
        1), `largest_change` of one (x 100), and whether it `holds` within 0.1. `skipped`, by
        engine: why. `sentences`, how many different ones were embedded.

    Raises:
        SimgptError: the encoder or the pairs are not to be had.
    """
    locate(name)
    found = find_tasks(benchmarks)
    measured: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar("engines", len(engines), show=progress) as advance,
    ):
        for engine in engines:
            if reason := _obstacle(engine):
                logger.info("%s: left out, %s", engine, reason)
                skipped[engine] = reason
            else:
                model = _model_for(engine, name, Path(folder))
                measured[engine] = _in_process(_measure, model, engine, benchmarks)
            advance()
    if not measured:
        raise SimgptError(f"{name}: no engine can run here ({skipped})")
    first = next(iter(measured.values()))["spearman"]
    for one in measured.values():
        changes = [abs(one["spearman"][task] - first[task]) for task in first]
        one["largest_change"] = 100 * max(changes)
        one["holds"] = one["largest_change"] <= HOLDS_WITHIN
    texts = {text for task in _pairs(found) for text in (*task.left, *task.right)}
    return {"encoders": measured, "skipped": skipped, "sentences": len(texts)}


def _pairs(found: Benchmarks) -> list[Task]:
    """The test sets, or the development pairs where there are none."""
    return found.tasks or found.development


def _measure(model: str, engine: Engine, benchmarks: str) -> dict[str, Any]:
    """Load an encoder, embed all sentences, score all pairs."""
    tasks = _pairs(find_tasks(benchmarks))
    began = time.perf_counter()
    half = engine is Engine.BF16
    scorer = load_scorer(model, precision=ScoringPrecision.BF16 if half else ScoringPrecision.FP32)
    load_s = time.perf_counter() - began
    texts = list(dict.fromkeys(text for task in tasks for text in (*task.left, *task.right)))
    encode(scorer, texts[:_WARM_UP])
    began = time.perf_counter()
    vectors = encode(scorer, texts)
    sentences_per_s = len(texts) / (time.perf_counter() - began)
    left = np.stack([vectors[text] for task in tasks for text in task.left])
    right = np.stack([vectors[text] for task in tasks for text in task.right])
    began = time.perf_counter()
    score_pairs(left, right)
    cosines_per_s = len(left) / (time.perf_counter() - began)
    return {
        "sentences_per_s": sentences_per_s,
        "pairs_per_s": sentences_per_s / 2,
        "cosines_per_s": cosines_per_s,
        "load_s": load_s,
        "peak_mib": _peak_mib(),
        "spearman": {
            task.name: score_task(task, task_cosines(task, vectors)).spearman for task in tasks
        },
    }


def _model_for(engine: Engine, name: str, folder: Path) -> str:
    """The encoder's name, or the folder of its graph, which is written on first use."""
    if engine in (Engine.FP32, Engine.BF16):
        return name
    graph = folder / "fp32"
    if not graph.exists():
        _in_process(_export, name, graph)
    if engine is Engine.ONNX:
        return str(graph)
    _in_process(_quantise, graph, folder / "int8")
    return str(folder / "int8")


def _export(name: str, output: Path) -> None:
    from simgpt.train.export import Form, export_model

    export_model(name, Form.ONNX, output)


def _quantise(graph: Path, output: Path) -> None:
    """Eight-bit weights, a scale for each column; activations are quantised as they come."""
    import shutil

    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises a step that changes nothing here
    shutil.copytree(graph, output)
    quantize_dynamic(
        graph / ONNX_FILE,
        output / ONNX_FILE,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
    )


def _obstacle(engine: Engine) -> str | None:
    """Why an engine cannot run here, or is not worth it."""
    if engine in (Engine.ONNX, Engine.INT8):
        from simgpt.train.export import packages_missing

        return packages_missing()
    if engine is Engine.BF16 and not _good_at_bf16():
        return "this processor multiplies bf16 numbers no faster than fp32"
    return None


def _good_at_bf16() -> bool:
    """Whether a matrix product is faster in bf16; where the hardware lacks it, it takes ages."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    left, right = torch.randn(256, 384), torch.randn(384, 1536)

    def seconds(one: torch.Tensor, other: torch.Tensor) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            one @ other
            times.append(time.perf_counter() - began)
        return min(times)

    return seconds(left.bfloat16(), right.bfloat16()) < seconds(left, right)


def _in_process(function: Callable[..., _T], *words: Any) -> _T:
    """Call a function in a process of its own: its memory is then nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *words).result()
        except BrokenProcessPool as error:
            raise SimgptError(f"{words[0]}: the process that measures it was killed") from error


def _peak_mib() -> float:
    """Most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage says includes the time before this program was started
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
