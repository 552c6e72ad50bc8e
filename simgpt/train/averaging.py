"""Average weights: of a run with the ones it started from, or of several runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from simgpt.encoder import load_encoder, weights_sha256
from simgpt.encoder.locating import AVERAGED
from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, read_json, staged, write_json
from simgpt.train.folder import CONFIG, ENVIRONMENT


def average_weights(model: nn.Module, start: Mapping[str, Tensor], *, share: float) -> None:
    r"""Move `model`'s weights to :math:`(1 - \alpha)\,\theta_{start} + \alpha\,\theta_{trained}`.

    Fine-tuning makes an encoder better at what its triplets show and can make it worse at the
    rest; a point on the way keeps more of both (Wortsman et al., 2022, "WiSE-FT"). It costs
    nothing when the encoder is used.

    Args:
        model: Holds the trained weights; changed in place.
        start: State dictionary from before training, same names and shapes.
        share: The share :math:`\alpha` of the trained weights, from 0 to 1.
    """
    with torch.no_grad():
        for name, trained in model.state_dict().items():
            if trained.is_floating_point():
                trained.copy_(torch.lerp(start[name].to(trained), trained, share))


def average_runs(runs: Sequence[Path], output: Path) -> Path:
    r"""Write a model whose weights are the mean of those of finished runs.

    Runs that start from one backbone and differ in their seed or their settings can end close
    enough to each other for the mean of their weights to be a model too (Wortsman et al., 2022,
    "Model soups", the uniform soup; they found it better than single runs, of other models):

    .. math:: \theta = \frac{1}{K} \sum_{k=1}^{K} \theta_k

    It costs K trainings, and nothing when the encoder is used.

    Args:
        runs: Two or more run folders.
        output: Folder for the model; new or empty.

    Returns:
        `output`, a SentenceTransformer folder with `averaged.json`: each run's weights by their
        hash, its config and what it was trained on.

    Raises:
        SimgptError: a folder holds no finished run, two hold the same weights, or the runs began
            from different backbones or end in weights of different names or shapes.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SimgptError(f"{output}: not empty; give another --output")
    if len(runs) < 2:
        raise SimgptError(f"{len(runs)} run; give two or more to average")
    for run in runs:
        if not (run / COMPLETE).is_file():
            raise SimgptError(f"{run}: holds no finished run")
    hashes = [weights_sha256(str(run)) for run in runs]
    for place, (run, digest) in enumerate(zip(runs, hashes, strict=True)):
        if digest in hashes[:place]:
            raise SimgptError(f"{run}: the same weights as {runs[hashes.index(digest)]}")
    configs = [read_json(run / CONFIG) for run in runs]
    for run, config in zip(runs[1:], configs[1:], strict=True):
        for name in ("backbone", "pooling", "prefix_tokens"):
            if config[name] != configs[0][name]:
                raise SimgptError(
                    f"{run}: its {name} is {config[name]!r}, that of {runs[0]} is "
                    f"{configs[0][name]!r}; only runs from one start can be averaged"
                )
    mean = load_encoder(str(runs[0]))
    for count, run in enumerate(runs[1:], start=2):  # one more model in memory, however many runs
        average_weights(mean, load_encoder(str(run)).state_dict(), share=1 - 1 / count)
    with staged(output) as temporary:
        mean.save(str(temporary), create_model_card=False)
        write_json(temporary / AVERAGED, [_origin(*run) for run in zip(runs, hashes, strict=True)])
    return output


def _origin(run: Path, digest: str | None) -> dict[str, object]:
    config = read_json(run / CONFIG)
    # Results are published: of a local file or folder only the name.
    local = [key for key in ("backbone", "triplets", "benchmarks") if Path(config[key]).exists()]
    return {
        "weights_sha256": digest,
        "config": config | {key: Path(config[key]).name for key in local},
        "training": read_json(run / ENVIRONMENT),
    }
