"""Triplets on disk as batches of token ids."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from torch import Tensor

from simgpt.files import staged
from simgpt.triplets import TEXTS, Triplet

_ROWS = 1000  # of a batch on disk; what is in memory at once


def write_dataset(triplets: Iterable[Triplet], path: Path) -> int:
    """Write the texts to an Arrow file of columns `sentence`, `similar`, `dissimilar`.

    Opened memory-mapped (`datasets.Dataset.from_file`), it takes no memory, however long.

    Returns:
        The number of triplets.
    """
    schema = pa.schema([(name, pa.string()) for name in TEXTS])
    rows = iter(triplet.texts for triplet in triplets)
    count = 0
    with staged(path) as temporary, pa.ipc.new_stream(str(temporary), schema) as file:
        while batch := list(islice(rows, _ROWS)):
            file.write_batch(pa.record_batch(list(zip(*batch, strict=True)), schema=schema))
            count += len(batch)
    return count


class Collator:
    """Turn a batch of triplets into padded token ids, column by column."""

    def __init__(self, tokenizer: Any, *, max_tokens: int, columns: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.texts = TEXTS[:columns]

    def __call__(self, triplets: Sequence[dict[str, str]]) -> dict[str, Tensor]:
        """Tokenise each sentence on its own, cut to `max_tokens` with the special ones.

        Returns:
            `input_ids`, `attention_mask`, ... of shape (columns x batch, tokens): all anchors,
            then all positives, then all hard negatives, padded to the longest of them.
        """
        sentences = [triplet[name] for name in self.texts for triplet in triplets]
        features: dict[str, Tensor] = dict(
            self.tokenizer(
                sentences,
                truncation=True,
                max_length=self.max_tokens,
                padding="longest",
                return_tensors="pt",
            )
        )
        return features
