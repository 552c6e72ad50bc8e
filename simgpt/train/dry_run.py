"""What a run would take, told before anything is trained."""

from itertools import islice
from typing import Any

from simgpt.config import RunConfig
from simgpt.train.devices import Device, published_device, this_machine
from simgpt.train.estimate import Shape, advice, describe, estimate_run, estimate_scoring
from simgpt.triplets import training_triplets

# Triplets whose sentences are measured, from the head of the file.
_SAMPLE = 1000
_GPUS = ("T4", "L4", "A100-40")


def dry_run(cfg: RunConfig) -> list[str]:
    """Steps, time and memory of a run on this machine and on three common GPUs, a line each.

    No weights are read; only the triplets, and the backbone's config and tokenizer.

    Raises:
        SimgptError: the triplets are unusable, or the backbone's config is not to be had.
    """
    config, tokenizer = _backbone(cfg)
    count = sum(1 for _ in training_triplets(cfg))
    devices = [this_machine(cfg.precision), *(published_device(g, cfg.precision) for g in _GPUS)]
    return [
        line
        for device in devices
        for line in estimate_lines(cfg, device, count=count, config=config, tokenizer=tokenizer)
    ]


def estimated_seconds(
    cfg: RunConfig, device: Device, *, count: int, sentences: int, tokens: float
) -> tuple[float, float]:
    """What training takes on a device, and embedding other sentences afterwards.

    The middle of the estimate's range. Reads what `dry_run` reads.

    Args:
        cfg: The run.
        device: What it computes on.
        count: Triplets of the run.
        sentences: Sentences to embed.
        tokens: Their mean length, special tokens included.

    Raises:
        SimgptError: as `dry_run`.
    """
    config, tokenizer = _backbone(cfg)
    sizes = _sizes(cfg, device, count=count, config=config, tokenizer=tokenizer)
    scoring = estimate_scoring(
        cfg, sentences=sentences, tokens=tokens, shape=sizes["shape"], device=device
    )
    return sum(estimate_run(cfg, **sizes).seconds) / 2, sum(scoring) / 2


def estimate_lines(
    cfg: RunConfig,
    device: Device,
    *,
    count: int,
    config: Any,
    tokenizer: Any,
    processes: int = 1,
) -> list[str]:
    """The estimate for one device and, where the run does not fit, what to set.

    Args:
        cfg: The run.
        device: What one process computes on.
        count: Triplets of the run.
        config: The backbone's transformers config.
        tokenizer: The backbone's tokenizer.
        processes: Data-parallel processes.
    """
    sizes = _sizes(
        cfg, device, count=count, config=config, tokenizer=tokenizer, processes=processes
    )
    told = advice(cfg, **sizes)
    return [describe(estimate_run(cfg, **sizes)), *([f"  {told}"] if told else [])]


def _backbone(cfg: RunConfig) -> tuple[Any, Any]:
    """Config and tokenizer, without the weights."""
    from transformers import AutoConfig, AutoTokenizer

    from simgpt.encoder import locate
    from simgpt.encoder.loading import loading

    with loading(cfg.backbone):
        source = str(locate(cfg.backbone))
        return AutoConfig.from_pretrained(source), AutoTokenizer.from_pretrained(source)


def _sizes(
    cfg: RunConfig, device: Device, *, count: int, config: Any, tokenizer: Any, processes: int = 1
) -> dict[str, Any]:
    texts = [text for triplet in islice(training_triplets(cfg), _SAMPLE) for text in triplet.texts]
    ids = tokenizer(texts, truncation=True, max_length=cfg.max_tokens, padding=False)["input_ids"]
    return {
        "triplets": count,
        "tokens_per_sentence": sum(map(len, ids)) / len(ids),
        "shape": Shape.of(config),
        "device": device,
        "processes": processes,
    }
