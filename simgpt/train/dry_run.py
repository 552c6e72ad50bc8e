"""What a run would take, told before anything is trained."""

from itertools import islice
from typing import Any

from simgpt.config import RunConfig
from simgpt.train.devices import Device, published_device, this_machine
from simgpt.train.estimate import Shape, advice, describe, estimate_run
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
    from transformers import AutoConfig, AutoTokenizer

    from simgpt.encoder import locate
    from simgpt.encoder.loading import loading

    with loading(cfg.backbone):
        source = str(locate(cfg.backbone))
        config, tokenizer = (
            AutoConfig.from_pretrained(source),
            AutoTokenizer.from_pretrained(source),
        )
    count = sum(1 for _ in training_triplets(cfg))
    devices = [this_machine(cfg.precision), *(published_device(g, cfg.precision) for g in _GPUS)]
    return [
        line
        for device in devices
        for line in estimate_lines(cfg, device, count=count, config=config, tokenizer=tokenizer)
    ]


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
    texts = [text for triplet in islice(training_triplets(cfg), _SAMPLE) for text in triplet.texts]
    ids = tokenizer(texts, truncation=True, max_length=cfg.max_tokens, padding=False)["input_ids"]
    sizes: dict[str, Any] = {
        "triplets": count,
        "tokens_per_sentence": sum(map(len, ids)) / len(ids),
        "shape": Shape.of(config),
        "device": device,
        "processes": processes,
    }
    told = advice(cfg, **sizes)
    return [describe(estimate_run(cfg, **sizes)), *([f"  {told}"] if told else [])]
