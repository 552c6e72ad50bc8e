"""The files that the page loads, made at each build from the model at hand."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simgpt.encoder import load_encoder, weights_sha256
from simgpt.errors import SimgptError
from simgpt.evaluate.scored import describe_model
from simgpt.files import read_json, sha256_of, write_json, write_text
from simgpt.triplets import load_dev_pairs
from simgpt.tryit.encoder import (
    architecture,
    check_runs_in_page,
    page_weights,
    take_weights,
    tokenizer_settings,
)
from simgpt.tryit.weights import read_weights, write_weights

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "SIMGPT_TRYIT_MODEL"
MODEL, WEIGHTS, VOCABULARY = "model.json", "weights.bin", "vocabulary.txt"
RATED_PAIRS, CHECKED_PAIRS = 200, 50
LARGEST_DIFFERENCE = 0.01

Pair = tuple[str, str]


def write_tryit(model: str, output: Path) -> dict[str, str]:
    """Write a model in the form that the page loads; return the facts for substitutions.

    `model.json` describes it: its architecture, where each weight is in `weights.bin`, its
    tokenizer, whose tokens are in `vocabulary.txt`, and where it comes from. Its `check` holds
    some of the bundled development pairs with the model's own cosines, and the largest
    difference that rounding makes to them; its `levels` say which cosines stand for which ratings.
    Files that were made from the same weights by this very code are kept.

    Args:
        model: `bundled`, a run folder, or anything else that `load_encoder` takes.
        output: Folder for the files.

    Raises:
        SimgptError: the page cannot run the model, or rounding changes a cosine by too much.
    """
    header, made_from = output / MODEL, _made_from(model)
    if not header.is_file() or read_json(header)["made_from"] != made_from:
        _write(model, output, made_from)
    return _facts(read_json(header))


def _write(model: str, output: Path, made_from: dict[str, Any]) -> None:
    logger.info("%s: rounding it to 8 bits for the book's page", model)
    encoder = load_encoder(model)
    check_runs_in_page(encoder, model)
    rated = _spread(load_dev_pairs().to_list(), RATED_PAIRS)
    pairs = [(row["sentence1"], row["sentence2"]) for row in rated]
    cosines = _cosines(encoder, pairs)
    chosen = slice(None, None, RATED_PAIRS // CHECKED_PAIRS)
    tensors = write_weights(output / WEIGHTS, page_weights(encoder))
    take_weights(encoder, read_weights(output / WEIGHTS, tensors))
    difference = float(np.abs(_cosines(encoder, pairs[chosen]) - cosines[chosen]).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise SimgptError(
            f"{model}: in 8 bits a cosine changes by {difference:.4f}, and the book's page allows "
            f"{LARGEST_DIFFERENCE}; name another model in {ENVIRONMENT_VARIABLE}"
        )
    vocabulary, settings = tokenizer_settings(encoder)
    write_text(output / VOCABULARY, "\n".join(vocabulary))
    content = {
        "made_from": made_from,
        "model": describe_model(model),
        "architecture": architecture(encoder),
        "tokenizer": settings,
        "tensors": tensors,
        "bytes": (output / WEIGHTS).stat().st_size,
        "sha256": sha256_of(output / WEIGHTS),
        "check": {
            "pairs": pairs[chosen],
            "cosines": [round(float(cosine), 6) for cosine in cosines[chosen]],
            "difference": difference,
        },
        "levels": levels(cosines, np.array([row["score"] for row in rated])),
    }
    # Last: whoever finds it finds the others whole.
    write_json(output / MODEL, content)


def levels(cosines: NDArray[Any], ratings: NDArray[Any]) -> list[float]:
    """The cosines that stand for the ratings 1, 2, 3 and 4.

    Two models that order pairs alike may give them quite different cosines. So a rating's cosine
    is the one below which there are as many pairs as were rated below it.

    Args:
        cosines: Of some pairs, shape (pairs,).
        ratings: From 0 to 5, of the same pairs.
    """
    return [float(np.quantile(cosines, (ratings < rating).mean())) for rating in (1, 2, 3, 4)]


def _spread(rows: list[Any], count: int) -> list[Any]:
    """`count` of the rows, evenly spread, so that all genres are there."""
    return rows[:: len(rows) // count][:count]


def _made_from(model: str) -> dict[str, Any]:
    """What the files depend on: the weights and this code."""
    code = sorted(Path(__file__).parent.glob("*.py"))
    return {"weights_sha256": weights_sha256(model), "code_sha256": sha256_of(*code)}


def _cosines(encoder: "SentenceTransformer", pairs: Sequence[Pair]) -> NDArray[Any]:
    texts = [text for pair in pairs for text in pair]
    vectors = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    cosines: NDArray[Any] = (vectors[::2] * vectors[1::2]).sum(axis=1)
    return cosines


def _facts(content: dict[str, Any]) -> dict[str, str]:
    check = content["check"]
    return {
        "tryit_model": _words(content["model"]),
        "tryit_megabytes": f"{content['bytes'] / 1e6:.0f}",
        "tryit_pairs": str(len(check["pairs"])),
        "tryit_difference": f"{check['difference']:.4f}",
        "tryit_longest": str(content["tokenizer"]["longest"]),
        "tryit_sha256": content["made_from"]["weights_sha256"] or "unknown",
    }


def _words(model: dict[str, Any]) -> str:
    """Which model it is, in words that cannot be taken for another's."""
    if "config" not in model:
        if model["name"] == "bundled":
            return "the **untouched** encoder, all-MiniLM-L6-v2, before any training of ours"
        return f"the model `{model['name']}`, which this book did not train"
    config, training = model["config"], model["training"]
    start = training["origin"]["backbone"]
    profile, count = config["profile"], f"{training['triplets']['count']:,}"
    if profile == "smoke":
        return (
            f"a **smoke run**: {start}, trained on {count} triplets, enough to show that every "
            "step runs; it is not the model whose scores this book reports"
        )
    run = f"a run at the profile `{profile}` on {count} triplets"
    return f"a **trained** model: {start} after {run}"
