"""A sentence encoder together with its training objective."""

from functools import partial
from typing import TYPE_CHECKING, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from simgpt.config import RunConfig
from simgpt.train.embedding import Features, Lookup, length_sorted_chunks, run_chunks
from simgpt.train.mlm import IGNORED, mask_tokens, mlm_loss_sum
from simgpt.train.objectives import energy_hinge_loss, gather_across_ranks, simcse_loss

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

# Chunks of like length in a step: padding is then under a tenth of its tokens.
CHUNKS = 6


class TripletModel(nn.Module):
    r"""From the token ids of a batch of triplets to its loss.

    .. math:: \lambda_c (\ell_{contrastive} + \lambda_e \ell_{energy}) + \lambda_m \ell_{mlm}

    with the settings `contrastive_weight`, `energy_weight` and `mlm_weight`. All is in one module,
    so that data-parallel training sees one forward pass a step and every trained parameter.

    Attributes:
        encoder: The sentence encoder.
        mlm_head: The language-model head, where `mlm_weight` is above 0.
    """

    def __init__(
        self, encoder: "SentenceTransformer", cfg: RunConfig, mlm_head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.mlm_head = mlm_head
        self.cfg = cfg
        self.columns = 3 if cfg.hard_negatives else 2
        self.special: Tensor
        tokenizer = encoder.tokenizer
        self.mask_id = tokenizer.mask_token_id
        self.vocabulary = len(tokenizer)
        self.register_buffer("special", torch.tensor(tokenizer.all_special_ids), persistent=False)

    def forward(self, **rows: Tensor) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            rows: `input_ids`, `attention_mask`, ... of shape (columns x batch, tokens): all
                anchors, then all positives, then all hard negatives.

        Returns:
            Scalars: `loss`, and its parts before their weights: `contrastive`, and `energy` and
            `mlm` where they take part.
        """
        cfg = self.cfg
        hidden: dict[str, Tensor] = {}
        if self.mlm_head is not None:
            hidden = self._hide_words(rows)
        chunks, back = length_sorted_chunks(
            {**rows, **hidden}, CHUNKS, largest=cfg.mini_batch_size * self.columns or None
        )
        recompute = cfg.mini_batch_size > 0
        table = cast("Transformer", self.encoder[0]).model.get_input_embeddings()
        ids = [rows["input_ids"]] + ([hidden["hidden_ids"]] if hidden else [])
        lookup = Lookup(table, *ids)
        embed = partial(self._embed, lookup)
        vectors = torch.cat(list(run_chunks(embed, chunks, recompute=recompute)))[back]
        # Half precision would cost a cosine two of its three digits: it is for the encoder alone.
        with torch.autocast(vectors.device.type, enabled=False):
            loss, parts = self._contrast(vectors.float())
        if self.mlm_head is not None:
            guess = partial(self._guess, self.mlm_head, lookup)
            total = torch.stack(list(run_chunks(guess, chunks, recompute=recompute))).sum()
            parts["mlm"] = total / _mean_over_ranks((hidden["labels"] != IGNORED).sum())
            loss = loss + cfg.mlm_weight * parts["mlm"]
        return {"loss": loss} | {name: part.detach() for name, part in parts.items()}

    def _contrast(self, vectors: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The terms that compare sentences: their weighted sum and each on its own."""
        cfg = self.cfg
        columns = [gather_across_ranks(column) for column in vectors.chunk(self.columns)]
        anchor, positive = columns[:2]
        negative = columns[2] if cfg.hard_negatives else None
        parts = {
            "contrastive": simcse_loss(
                anchor,
                positive,
                negative,
                temperature=cfg.temperature,
                hard_negative_weight=cfg.hard_negative_weight,
            )
        }
        loss = parts["contrastive"]
        if cfg.energy_weight and negative is not None:
            parts["energy"] = energy_hinge_loss(
                anchor, positive, negative, margin=cfg.energy_margin
            )
            loss = loss + cfg.energy_weight * parts["energy"]
        return cfg.contrastive_weight * loss, parts

    def _embed(self, lookup: Lookup, chunk: Features) -> Tensor:
        features = lookup.features(chunk, "input_ids")
        vectors: Tensor = self.encoder(features)["sentence_embedding"]
        return vectors

    def _guess(self, head: nn.Module, lookup: Lookup, chunk: Features) -> Tensor:
        features = lookup.features(chunk, "hidden_ids")
        hidden = self.encoder[0](features)["token_embeddings"]
        return mlm_loss_sum(head, hidden, chunk["labels"])

    def _hide_words(self, rows: Features) -> dict[str, Tensor]:
        """The second input of a step; the contrastive pass reads the words unhidden."""
        ids = rows["input_ids"]
        maskable = ~torch.isin(ids, self.special) & rows["attention_mask"].bool()
        hidden, labels = mask_tokens(
            ids,
            maskable,
            rate=self.cfg.mlm_rate,
            mask_id=self.mask_id,
            vocabulary=self.vocabulary,
        )
        return {"hidden_ids": hidden, "labels": labels}


def _mean_over_ranks(count: Tensor) -> Tensor:
    """The count of a process on average, at least one.

    A sum divided by it and averaged over processes is divided by the count of all, as on one.
    """
    count = count.clone().float()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(count)
        count /= dist.get_world_size()
    return count.clamp(min=1)
