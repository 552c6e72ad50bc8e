"""The forward pass of a training step, with little padding."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Features = Mapping[str, Tensor]


def embed_columns(
    model: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    columns: Sequence[Features],
    *,
    chunks: int = 4,
) -> tuple[Tensor, ...]:
    """Embed a batch's anchors, positives and negatives together, sorted by length.

    Padded to the longest sentence, about half of a step's tokens are padding. Here all rows of the
    step are sorted by length, split into `chunks`, and each chunk is cut to its own longest row.
    Loss and gradients stay the same; only dropout draws other masks.

    Args:
        model: Takes `input_ids`, `attention_mask`, ... of shape (rows, tokens), gives
            `sentence_embedding` of shape (rows, dim).
        columns: One feature dictionary a column, each of shape (batch, tokens of that column).
        chunks: Forward passes a step.

    Returns:
        One tensor of shape (batch, dim) for each column.
    """
    rows = _stack(columns)
    lengths = rows["attention_mask"].sum(dim=1)
    order = torch.argsort(lengths)
    embeddings = [
        model({name: tensor[chunk, : int(lengths[chunk].max())] for name, tensor in rows.items()})[
            "sentence_embedding"
        ]
        for chunk in order.tensor_split(min(chunks, len(order)))
    ]
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return torch.cat(embeddings)[back].chunk(len(columns))


def _stack(columns: Sequence[Features]) -> dict[str, Tensor]:
    """Concatenate the columns' rows, padded to the longest. Padding is masked, so 0 will do."""
    names = [name for name, value in columns[0].items() if isinstance(value, Tensor)]
    width = max(column["input_ids"].shape[1] for column in columns)
    return {
        name: torch.cat(
            [functional.pad(column[name], (0, width - column[name].shape[1])) for column in columns]
        )
        for name in names
    }
