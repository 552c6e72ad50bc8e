"""What a run will take, before it starts: steps, time and memory.

Time is the floating-point operations of a transformer's matrix products over what the device
reaches of its peak; memory is weights, gradients, Adam's moments and kept activations. Not counted:
loading, tokenising, writing checkpoints and what processes say to each other.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from simgpt.config import Pooling, RunConfig, Selector
from simgpt.errors import SimgptError
from simgpt.progress import span
from simgpt.train.devices import GIB, Device
from simgpt.train.model import CHUNKS

# Assumption: the share of a device's memory that tensors may fill. The rest is the libraries' own
# and the gaps between tensors.
_USABLE = 0.9
# Assumption: a layer's forward and backward pass takes so long, however little there is to do.
_LAUNCH_S = 4e-4

# Sentences of a development set.
_DEVELOPMENT = {Selector.STSB_DEV: 3000, Selector.BUNDLED: 1600}


@dataclass(frozen=True)
class Shape:
    """What counts of a BERT-like backbone.

    Attributes:
        layers: Transformer layers.
        hidden: Width of a token's vector.
        intermediate: Width inside the feed-forward blocks.
        vocabulary: Different tokens.
        parameters: All weights, embeddings included.
    """

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    parameters: int

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """The shape that a transformers config of BERT's or RoBERTa's kind describes.

        Needs no weights: a layer has four square matrices (query, key, value, output), two of
        the feed-forward block, their biases and two norms; embeddings of tokens, positions and
        types come with a norm, and a pooler on top.

        Raises:
            SimgptError: the config describes something else.
        """
        names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
        try:
            layers, hidden, inner, vocabulary = (int(getattr(config, name)) for name in names)
            positions = int(config.max_position_embeddings)
        except AttributeError as error:
            raise SimgptError(
                f"no estimate for this backbone: its config has no {error.name}; known are those "
                "like BERT and RoBERTa"
            ) from error
        rows = vocabulary + positions + getattr(config, "type_vocab_size", 0)
        layer = 4 * hidden * (hidden + 1) + 2 * hidden * inner + inner + hidden + 4 * hidden
        parameters = rows * hidden + 2 * hidden + layers * layer + hidden * (hidden + 1)
        return cls(layers, hidden, inner, vocabulary, parameters)

    @property
    def matrices(self) -> int:
        """Weights that every token is multiplied with: all but embeddings, biases and norms."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        device: Name of the device.
        steps: Optimiser steps.
        seconds: Low and high.
        memory_gib: Peak of one process on the device.
        fits: Whether that fits; None where the device's memory is not known.
        device_gib: The device's memory.
    """

    device: str
    steps: int
    seconds: tuple[float, float]
    memory_gib: float
    fits: bool | None
    device_gib: float | None


def estimate_run(
    cfg: RunConfig,
    *,
    triplets: int,
    tokens_per_sentence: float,
    shape: Shape,
    device: Device,
    processes: int = 1,
) -> Estimate:
    """Estimate a run's steps, time and memory.

    Args:
        cfg: The run.
        triplets: Triplets in its file.
        tokens_per_sentence: Their mean length, cut to `max_tokens`, special tokens included.
        shape: The backbone's.
        device: What one process computes on, in the precision of `cfg`.
        processes: Data-parallel processes, a device each.
    """
    count = min(triplets, cfg.max_triplets or triplets)
    steps = math.ceil(count / cfg.batch_size) * cfg.epochs
    work = _Work(cfg, shape, min(tokens_per_sentence, cfg.max_tokens), processes)
    training = count * cfg.epochs * work.triplet_flops() / processes / (device.tflops * 1e12)
    scorings = math.ceil(steps / cfg.eval_steps)
    scoring = scorings * work.development_flops() / (device.fp32_tflops * 1e12)
    starting = steps * work.chunks * shape.layers * _LAUNCH_S
    low, high = (
        max(training / share, starting) + scoring / share for share in reversed(device.reached)
    )
    memory = work.peak_bytes(device) / GIB
    fits = None if device.memory_gib is None else memory <= _USABLE * device.memory_gib
    return Estimate(device.name, steps, (low, high), memory, fits, device.memory_gib)


def estimate_scoring(
    cfg: RunConfig, *, sentences: int, tokens: float, shape: Shape, device: Device
) -> tuple[float, float]:
    """Seconds, low and high, in which the run's encoder embeds sentences in fp32.

    Args:
        cfg: The run.
        sentences: How many.
        tokens: Their mean length, special tokens included.
        shape: The backbone's.
        device: What computes.
    """
    work = sentences * _Work(cfg, shape, tokens, 1).forward_flops(tokens)
    low, high = (work / (device.fp32_tflops * 1e12 * share) for share in reversed(device.reached))
    return low, high


@dataclass(frozen=True)
class _Work:
    """Operations and bytes of a run."""

    cfg: RunConfig
    shape: Shape
    tokens: float  # of a sentence
    processes: int

    @property
    def columns(self) -> int:
        return 3 if self.cfg.hard_negatives else 2

    @property
    def batch(self) -> int:
        """Triplets a step of one process."""
        return math.ceil(self.cfg.batch_size / self.processes)

    @property
    def chunks(self) -> int:
        """Forward passes a step of one process, over sentences of like length."""
        size = self.cfg.mini_batch_size
        return max(CHUNKS, math.ceil(self.batch / size)) if size else CHUNKS

    @property
    def padded(self) -> float:
        """Tokens of a sentence, padding included: of six chunks about a twelfth of the text's."""
        return min(self.tokens * (1 + 1 / (2 * CHUNKS)), self.cfg.max_tokens)

    def forward_flops(self, tokens: float) -> float:
        """One sentence through the backbone.

        Twice the weights a token (a multiplication and an addition each), and in each layer
        `tokens` products of its query with keys, and of the scores with values.
        """
        keys = tokens + self.cfg.prefix_tokens
        scores = 4 * self.shape.layers * self.shape.hidden * keys
        return tokens * (2 * self.shape.matrices + scores)

    def triplet_flops(self) -> float:
        """Training on one triplet.

        A backward pass is worth two forward ones, for the gradients of activations and of
        weights; one where the backbone is frozen. Recomputation adds a forward pass.
        """
        again = 1 if self.cfg.mini_batch_size else 0
        passes = again + (2 if self.cfg.prefix_tokens else 3)
        flops = passes * self.forward_flops(self.padded)
        if self.cfg.mlm_weight:
            head = 2 * self.shape.hidden * (self.shape.hidden + self.shape.vocabulary)
            flops = 2 * flops + (3 + again) * self.tokens * self.cfg.mlm_rate * head
        return self.columns * flops

    def development_flops(self) -> float:
        return _DEVELOPMENT[self.cfg.selector] * self.forward_flops(self.tokens)

    @property
    def head_parameters(self) -> int:
        """Weights beside the backbone's, all trained: prefix, dense layer, language-model head."""
        hidden, count = self.shape.hidden, 0
        if self.cfg.pooling is Pooling.CLS:
            count += hidden * (hidden + 1)
        if self.cfg.mlm_weight:
            count += hidden * (hidden + 3) + self.shape.vocabulary * (hidden + 1)
        return count + 2 * self.shape.layers * hidden * self.cfg.prefix_tokens

    def peak_bytes(self, device: Device) -> float:
        """Memory of one process at its worst moment.

        Weights, their gradients and Adam's two moments are fp32: 16 bytes a trained weight, 4 a
        frozen one. Mixed precision keeps 16-bit copies of the weights for the step, several
        processes keep the gradients twice, the second time in buckets to be averaged, and
        `trained_share` keeps the weights of the start.
        """
        heads, backbone = self.head_parameters, self.shape.parameters
        trained = heads if self.cfg.prefix_tokens else heads + backbone
        weights = 4.0 * (heads + backbone) + 12 * trained
        if device.number_bytes == 2:
            weights += 2 * (heads + backbone)
        if self.processes > 1:
            weights += 4 * trained
        if self.cfg.trained_share < 1:
            weights += 4 * backbone
        cosines = 32 * (self.columns - 1) * self.cfg.batch_size**2  # eight fp32 copies, say
        kept = self._activation_bytes() * device.number_bytes / 2 * device.overhead
        return weights + kept + self._word_bytes() + cosines

    def _activation_bytes(self) -> float:
        """What the backward pass needs of the forward one, in 16 bits.

        Korthikanti et al. (2022), "Reducing Activation Recomputation in Large Transformer Models",
        equation 2: a token leaves 34 h bytes a layer in 16 bits, here 18 h + 4 i for a feed-forward
        block of any width i, and about twice that in fp32. Their second term, attention's scores,
        is left out: PyTorch's fused attention does not keep them on a GPU, and for sentences they
        are small. Frozen matrices need not keep their inputs, 4 h + 2 i.
        """
        hidden, inner = self.shape.hidden, self.shape.intermediate
        token = 14 * hidden + 2 * inner if self.cfg.prefix_tokens else 18 * hidden + 4 * inner
        if self.cfg.mini_batch_size:
            # One chunk at a time; the longest has sentences of the greatest length.
            tokens = min(self.cfg.mini_batch_size, self.batch) * self.cfg.max_tokens * 1.0
        else:
            tokens = self.batch * self.padded * (2 if self.cfg.mlm_weight else 1)
        return self.columns * tokens * self.shape.layers * token

    def _word_bytes(self) -> float:
        """fp32 scores of all words for each hidden one; two more copies of the chunk in work."""
        if not self.cfg.mlm_weight:
            return 0.0
        hidden = self.columns * self.batch * self.tokens * self.cfg.mlm_rate
        kept = hidden / self.chunks if self.cfg.mini_batch_size else hidden
        return self.shape.vocabulary * (4 * kept + 8 * hidden / self.chunks)


def describe(estimate: Estimate) -> str:
    """One line: `T4: 3,625 steps, about 80 min to 2 h 40 min, 9.8 GiB of 15 (estimate)`."""
    low, high = (span(_rounded(seconds)) for seconds in estimate.seconds)
    memory = f"{estimate.memory_gib:.1f} GiB"
    if estimate.device_gib is not None:
        memory += f" of {estimate.device_gib:.3g}"
    if estimate.fits is False:
        memory += ", which does not fit"
    steps = f"{estimate.steps:,} step{'' if estimate.steps == 1 else 's'}"
    times = low if low == high else f"{low} to {high}"
    return f"{estimate.device}: {steps}, about {times}, {memory} (estimate)"


def _rounded(seconds: float) -> float:
    """No finer than an estimate can be: above an hour in tens of minutes, above ten in hours."""
    grain = 3600 if seconds > 36_000 else 600 if seconds > 3600 else 1
    return max(1.0, round(seconds / grain) * grain)


def advice(
    cfg: RunConfig,
    *,
    triplets: int,
    tokens_per_sentence: float,
    shape: Shape,
    device: Device,
    processes: int = 1,
) -> str | None:
    """What to set when a run does not fit; None when it does or nobody knows.

    Takes what `estimate_run` takes. The advice is the largest power of two for `mini_batch_size`
    that fits: training takes longer by a forward pass a step, its result is the same.
    """

    def fits(size: int) -> bool | None:
        return estimate_run(
            replace(cfg, mini_batch_size=size),
            triplets=triplets,
            tokens_per_sentence=tokens_per_sentence,
            shape=shape,
            device=device,
            processes=processes,
        ).fits

    if fits(cfg.mini_batch_size) is not False:
        return None
    size = 1 << (cfg.batch_size // processes).bit_length() - 1
    while size and not fits(size):
        size //= 2
    if not size:
        return f"{device.name} is too small for this backbone at any mini_batch_size"
    return f"set mini_batch_size={size}: same result, in the memory of {size} triplets at a time"
