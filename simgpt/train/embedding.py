"""The encoder's forward passes of a training step, with little padding."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Features = Mapping[str, Tensor]


def length_sorted_chunks(
    rows: Features, count: int, *, largest: int | None = None
) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Split rows into chunks of like length, each cut to its own longest row.

    Padded to the longest sentence of a step, about half of its tokens are padding. In chunks it is
    under a tenth.

    Args:
        rows: `input_ids`, `attention_mask`, ... of shape (rows, tokens), padded at the end.
        count: Number of chunks, where there are as many different lengths.
        largest: Rows of a chunk at most; longer ones are split.

    Returns:
        The chunks, and the positions, shape (rows,), that put the concatenated chunks' rows back
        into their first order.
    """
    lengths = rows["attention_mask"].sum(dim=1)
    order = torch.argsort(lengths, stable=True)
    groups = torch.tensor_split(order, _cuts(lengths[order].tolist(), count))
    chunks = [
        {name: tensor[chosen, : int(lengths[chosen[-1]])] for name, tensor in rows.items()}
        for group in groups
        for chosen in torch.split(group, largest or len(order))
    ]
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return chunks, back


def _cuts(lengths: list[int], count: int) -> list[int]:
    """Where to cut rows sorted by length into `count` chunks so that least is padded.

    Dynamic programming over the different lengths: the best way to cover the shorter rows with one
    chunk less, plus the last chunk, padded to its longest row.
    """
    values, firsts = np.unique(lengths, return_index=True)
    starts = np.append(firsts, len(lengths))
    # Tokens of a chunk from the i-th different length up to the j-th: rows times the longest.
    tokens = (starts[None, 1:] - starts[:-1, None]) * values[None, :].astype(float)
    tokens[np.tril_indices(len(values), -1)] = np.inf
    best, before = tokens[0], []
    for _ in range(min(count, len(values)) - 1):
        totals = np.vstack([tokens[:1], best[:-1, None] + tokens[1:]])
        before.append(totals.argmin(axis=0))
        best = totals.min(axis=0)
    cuts, last = [], len(values) - 1
    for starts_at in reversed(before):
        first = int(starts_at[last])
        if first == 0:
            break
        cuts.append(int(firsts[first]))
        last = first - 1
    return cuts[::-1]


def run_chunks(
    forward: Callable[[dict[str, Tensor]], Tensor],
    chunks: list[dict[str, Tensor]],
    *,
    recompute: bool,
) -> Iterator[Tensor]:
    """Run `forward` on each chunk.

    With `recompute`, activations are dropped at once and computed again, chunk by chunk, when
    gradients are: the memory of a step is that of one chunk, whatever the batch, for one forward
    pass more. The contrastive loss still sees the whole batch. This is gradient caching (Gao et
    al., 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup") written
    as activation checkpointing: random numbers are replayed, so dropout masks are the same both
    times, and the gradients are those of one pass.
    """
    for chunk in chunks:
        yield checkpoint(forward, chunk, use_reentrant=False) if recompute else forward(chunk)


class Lookup:
    """The word vectors of a step, looked up once for all its chunks.

    The gradient of a lookup has the size of the whole table, most of it zeros: for a small encoder
    a quarter of a step went into making and adding one for each chunk. Here the chunks look up in
    a table of the step's own words, and that one in the encoder's. A frozen table has no gradient,
    and its encoder gets the ids.

    Args:
        table: The encoder's word embeddings.
        ids: All ids that the chunks hold.
    """

    def __init__(self, table: nn.Module, *ids: Tensor) -> None:
        self.vectors: Tensor | None = None
        if any(weight.requires_grad for weight in table.parameters()):
            self.words = torch.unique(torch.cat([one.flatten() for one in ids]))
            self.vectors = table(self.words)

    def features(self, chunk: Features, ids: str) -> dict[str, Tensor]:
        """What the encoder takes of a chunk, its words those of the key `ids`."""
        features = {name: chunk[name] for name in _MODEL_INPUTS if name in chunk}
        if self.vectors is None:
            return features | {"input_ids": chunk[ids]}
        rows = torch.searchsorted(self.words, chunk[ids])
        return features | {"inputs_embeds": functional.embedding(rows, self.vectors)}


_MODEL_INPUTS = ("attention_mask", "token_type_ids")
