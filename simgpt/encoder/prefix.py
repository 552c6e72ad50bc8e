"""PromCSE's prefix: a frozen transformer that is steered by a few trained keys and values."""

from pathlib import Path
from typing import Any, Self, cast

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn
from transformers import DynamicCache

from simgpt.encoder.inspection import check_takes_prefix, text_positions
from simgpt.encoder.locating import PREFIX_FILE
from simgpt.errors import SimgptError


class PrefixTransformer(Transformer):
    r"""A transformer with a soft prompt in every layer (Jiang et al., 2022, section 3.2).

    Each layer attends, besides the text, to :math:`P` keys and values that come from no token:

    .. math::

        \mathrm{Attention}\left( Q,\; [P_K^{(l)}; K],\; [P_V^{(l)}; V] \right)

    They are the only weights that train here; a base model's 124 million stay as they are, in
    training mode, dropout included. No query is added, so the output keeps the text's length and
    its first token. Three traps:

    - The text's positions start after the prefix, at :math:`P`.
    - Dropout acts on the prefix, too, with a mask of its own for every sentence.
    - The cache that carries the prefix is lengthened by the forward pass, so each needs a new one.

    Attributes:
        prefix_tokens: The length :math:`P`.
        prefix: The trained table, shape (P, layers x 2 x hidden). A row reads as (layers x 2,
            heads, size of a head): the first layer's key, its value, the second layer's key, ...
    """

    config_keys: list[str] = [*Transformer.config_keys, "prefix_tokens"]

    def __init__(self, model_name_or_path: str, *, prefix_tokens: int, **kwargs: Any) -> None:
        super().__init__(model_name_or_path, **kwargs)
        self._add_prefix(prefix_tokens)

    @classmethod
    def around(cls, transformer: Transformer, prefix_tokens: int) -> Self:
        """`transformer` itself, which becomes a `PrefixTransformer`; nothing is read again."""
        transformer.__class__ = cls
        module = cast(Self, transformer)
        module._add_prefix(prefix_tokens)
        return module

    def _add_prefix(self, prefix_tokens: int) -> None:
        """Freeze the transformer and draw a fresh prefix from N(0, initializer_range)."""
        config, model = self.model.config, self.model
        longest = text_positions(model, prefix_tokens=prefix_tokens) or 0
        self.prefix_tokens = prefix_tokens
        self.max_seq_length = min(self.max_seq_length or longest, longest)
        self.unpad_inputs = False  # padded rows are where every sentence finds the prefix
        model.requires_grad_(False)
        width = config.num_hidden_layers * 2 * config.hidden_size
        table = torch.empty(prefix_tokens, width, device=model.device)
        self.prefix = nn.Parameter(table.normal_(0, config.initializer_range))
        self.prefix_dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As the transformer's, for `input_ids` and `attention_mask` of shape (batch, tokens).

        `attention_mask` stays the text's in `features`, which is what pooling averages over.
        """
        mask = features["attention_mask"]
        ones = mask.new_ones(len(mask), self.prefix_tokens)
        return super().forward(
            features,
            past_key_values=self._keys_and_values(len(mask)),
            attention_mask=torch.cat([ones, mask], dim=1),
            **kwargs,
        )

    def _keys_and_values(self, batch: int) -> DynamicCache:
        """The prefix as a cache: a key and a value of (batch, heads, P, size of a head) a layer."""
        config = self.model.config
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        table = self.prefix.view(1, self.prefix_tokens, 2 * layers, heads, -1)
        rows: Tensor = self.prefix_dropout(table.expand(batch, -1, -1, -1, -1))
        blocks = rows.permute(2, 0, 3, 1, 4)
        cache = DynamicCache()
        for layer in range(layers):
            cache.update(blocks[2 * layer], blocks[2 * layer + 1], layer)
        return cache

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save as the transformer does, and the prefix beside it."""
        super().save(output_path, *args, **kwargs)
        table = self.prefix.detach().cpu().contiguous()
        save_file({"prefix": table}, Path(output_path) / PREFIX_FILE)

    @classmethod
    def load(cls, model_name_or_path: str, *args: Any, **kwargs: Any) -> Self:
        """Load what `save` has written.

        Raises:
            SimgptError: the prefix is missing.
            ValueError: it is of another shape.
        """
        module = super().load(model_name_or_path, *args, **kwargs)
        where = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        places = {name: kwargs[name] for name in where if name in kwargs}
        file = cls.load_file_path(model_name_or_path, PREFIX_FILE, **places)
        if file is None:
            raise SimgptError(f"{model_name_or_path}: holds no {PREFIX_FILE}")
        module.copy_prefix(load_file(file)["prefix"])
        return module

    def copy_prefix(self, table: Tensor) -> None:
        """Take over a trained prefix.

        Raises:
            ValueError: `table` is of another shape than `prefix`.
        """
        if table.shape != self.prefix.shape:
            raise ValueError(
                f"a prefix of shape {tuple(table.shape)} does not fit this transformer, which "
                f"takes {tuple(self.prefix.shape)}"
            )
        with torch.no_grad():
            self.prefix.copy_(table)


def add_prefix(
    encoder: SentenceTransformer, prefix_tokens: int, *, name: str = "this encoder"
) -> SentenceTransformer:
    """Freeze the transformer of `encoder` and put a fresh prefix in front of it, in place.

    The modules that follow stay, and what they train stays trainable: with the head of `cls`, a
    base model of 12 layers and 768 dimensions trains 774,912 weights at a prefix of 10.

    Args:
        encoder: A loaded encoder.
        prefix_tokens: Length of the prefix (paper: 10).
        name: What the user calls the encoder, for the error.

    Raises:
        SimgptError: the architecture takes no prefix, the encoder has one, or the prefix leaves
            no position for a text.
    """
    check_takes_prefix(encoder, name)
    transformer = cast(Transformer, encoder[0])
    positions = text_positions(transformer.model, prefix_tokens=prefix_tokens)
    if prefix_tokens < 1 or positions is None or positions < 3:
        raise SimgptError(
            f"{name}: a prefix of {prefix_tokens} tokens leaves {positions} positions for a text; "
            "it must be 1 or longer and leave 3 or more"
        )
    PrefixTransformer.around(transformer, prefix_tokens)
    return encoder
