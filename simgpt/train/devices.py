"""What a run computes on: GPUs by their data sheets, and this machine."""

import math
import os
import time
from dataclasses import dataclass, replace

import torch

from simgpt.config import Precision
from simgpt.errors import SimgptError

GIB = 2**30

# Peak dense TFLOP/s in fp16 or bf16 (tensor cores) and in fp32, and the GiB that a program gets.
# NVIDIA's data sheets "T4 Tensor Core GPU", "L4 Tensor Core GPU" (which prints twice the 121, for
# sparse matrices) and "A100 Tensor Core GPU".
_PUBLISHED = {
    "T4": (65.0, 8.1, 15.0),
    "L4": (121.0, 30.3, 22.5),
    "A100-40": (312.0, 19.5, 40.0),
}
# Assumptions: the share of the peak that training reaches. Data sheets count matrix products at
# full clock; a measured product has met the machine's clock and memory already. What training on a
# CPU reached is in book/results/benchmarks/train_estimate.json; no GPU has been measured.
_OF_PUBLISHED = (0.2, 0.4)
_OF_MEASURED = (0.45, 0.95)
# Measured by tests/benchmarks/train_estimate.py: activations on a CPU take three quarters as much
# again as in equation 2 (see below). Its attention keeps the scores, its dropout a number for each
# bit of the mask, and its allocator leaves gaps.
_CPU_OVERHEAD = 1.75


@dataclass(frozen=True)
class Device:
    """What a run computes on.

    Attributes:
        name: How it is called.
        tflops: Matrix products in the training's precision, TFLOP/s at best.
        fp32_tflops: The same in fp32, in which the development set is scored.
        memory_gib: Memory for one process; None where it is not known.
        reached: Shares of these rates, low and high, that a run reaches. An assumption.
        number_bytes: Bytes of an activation: 2 in fp16 and bf16, 4 in fp32.
        overhead: Memory of activations, over what they need in theory.
    """

    name: str
    tflops: float
    fp32_tflops: float
    memory_gib: float | None
    reached: tuple[float, float]
    number_bytes: int
    overhead: float = 1.0


def published_device(name: str, precision: Precision) -> Device:
    """A GPU by its data sheet: `T4`, `L4` or `A100-40`.

    Raises:
        SimgptError: there is no such GPU here.
    """
    if name not in _PUBLISHED:
        raise SimgptError(f"unknown device {name!r}; known: {', '.join(_PUBLISHED)}")
    half, full, memory = _PUBLISHED[name]
    if precision is Precision.FP32:
        return Device(name, full, full, memory, _OF_PUBLISHED, number_bytes=4)
    return Device(name, half, full, memory, _OF_PUBLISHED, number_bytes=2)


def this_machine(precision: Precision) -> Device:
    """The GPU here, or else the CPU. What has no data sheet above is measured, in half a second."""
    if not torch.cuda.is_available():
        dtype = _DTYPES.get(precision, torch.float32)
        full = _measured_tflops("cpu", torch.float32)
        rate = full if dtype == torch.float32 else _measured_tflops("cpu", dtype)
        ram, size = _ram_gib(), dtype.itemsize
        return Device("this CPU", rate, full, ram, _OF_MEASURED, size, _CPU_OVERHEAD)
    name = torch.cuda.get_device_name()
    memory = torch.cuda.get_device_properties(0).total_memory / GIB
    for known in _PUBLISHED:
        if known.partition("-")[0] in name.replace("-", " ").split():
            return replace(published_device(known, precision), name=name, memory_gib=memory)
    dtype = _DTYPES.get(precision, torch.float16)
    rates = [_measured_tflops("cuda", kind) for kind in (dtype, torch.float32)]
    return Device(name, rates[0], rates[1], memory, _OF_MEASURED, dtype.itemsize)


_DTYPES = {
    Precision.FP32: torch.float32,
    Precision.FP16: torch.float16,
    Precision.BF16: torch.bfloat16,
}


def _measured_tflops(device: str, dtype: torch.dtype) -> float:
    """TFLOP/s of the fastest of some square matrix products: 2 n^3 operations each."""
    size = 512 if device == "cpu" else 4096
    matrix = torch.rand(size, size, device=device).to(dtype)
    fastest, began = math.inf, time.perf_counter()
    while time.perf_counter() - began < 0.15:
        start = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # reading a number waits for the GPU
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest / 1e12


def _ram_gib() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    except (AttributeError, ValueError, OSError):  # not every system tells
        return None
