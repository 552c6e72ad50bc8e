"""From token vectors to one sentence vector, made of stock sentence-transformers modules only.

A saved encoder therefore loads anywhere, without this package.
"""

from typing import cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Transformer,
    WeightedLayerPooling,
)
from sentence_transformers.sentence_transformer.modules import Pooling as PoolingModule
from torch import Tensor, nn

from simgpt.config import Pooling

_TWO_LAYERS = (Pooling.AVG_TOP2, Pooling.AVG_FIRST_LAST)


def pooling_modules(
    transformer: Transformer, pooling: Pooling, *, head: Dense | None = None
) -> list[nn.Module]:
    r"""The modules that follow `transformer`, whose output is (batch, tokens, hidden).

    With :math:`h^{(l)}_t` the vector of token :math:`t` after layer :math:`l` of :math:`L` and
    means taken over the text's tokens, padding left out, the sentence vector is

    ==================== =================================================================
    `mean`               mean of :math:`h^{(L)}_t`
    `cls_before_pooler`  :math:`h^{(L)}_0`
    `cls`                :math:`\tanh(W h^{(L)}_0 + b)`
    `avg_top2`           mean of :math:`(h^{(L-1)}_t + h^{(L)}_t) / 2`
    `avg_first_last`     mean of :math:`(h^{(1)}_t + h^{(L)}_t) / 2`
    ==================== =================================================================

    (Gao et al., 2021, section 6.1 and appendix B.) The trap is in the last row: layer 1 is the
    first layer's output; index 0 of the hidden states is the embedding layer.

    Args:
        transformer: Its config is told whether to hand over the hidden states of all layers.
        pooling: Any but `auto`.
        head: :math:`W` and :math:`b` of `cls`; fresh ones if None.
    """
    size, layers = transformer.get_embedding_dimension(), transformer.config.num_hidden_layers
    transformer.config.output_hidden_states = pooling in _TWO_LAYERS
    if pooling is Pooling.CLS_BEFORE_POOLER:
        return [PoolingModule(size, pooling_mode="cls")]
    if pooling is Pooling.CLS:
        return [PoolingModule(size, pooling_mode="cls"), head or fresh_head(transformer)]
    mean = PoolingModule(size, pooling_mode="mean")
    if pooling is Pooling.AVG_TOP2:
        return [_mean_of_layers(size, layers, torch.ones(2)), mean]
    if pooling is Pooling.AVG_FIRST_LAST:
        weights = torch.zeros(layers)
        weights[[0, -1]] = 1
        return [_mean_of_layers(size, layers, weights), mean]
    return [mean]


def set_pooling(
    encoder: SentenceTransformer, pooling: Pooling, *, head: Dense | None = None
) -> SentenceTransformer:
    """Keep the transformer of `encoder` and its prompts, replace everything that follows.

    Args:
        encoder: Its first module must be a transformer, with or without a prefix.
        pooling: As for `pooling_modules`.
        head: As for `pooling_modules`.
    """
    transformer = cast(Transformer, encoder[0])
    return SentenceTransformer(
        modules=[transformer, *pooling_modules(transformer, pooling, head=head)],
        prompts={name: text for name, text in encoder.prompts.items() if text is not None},
        default_prompt_name=encoder.default_prompt_name,
    )


def fresh_head(transformer: Transformer) -> Dense:
    """The head that `cls` training starts from: N(0, initializer_range) weights, zero bias.

    The papers do not start from the pooler that BERT was published with: that one was trained to
    tell whether two sentences follow each other.
    """
    size = transformer.get_embedding_dimension()
    spread = getattr(transformer.config, "initializer_range", 0.02)
    return dense_tanh(torch.empty(size, size).normal_(0, spread), torch.zeros(size))


def dense_tanh(weight: Tensor, bias: Tensor) -> Dense:
    """The `cls` head of the given weight (hidden, hidden) and bias (hidden,), copied."""
    outputs, inputs = weight.shape
    return Dense(
        inputs,
        outputs,
        activation_function=nn.Tanh(),
        init_weight=weight.detach().clone().float(),
        init_bias=bias.detach().clone().float(),
    )


def own_head(encoder: SentenceTransformer) -> Dense | None:
    """The head of an encoder that pools by `cls` itself; None of any other."""
    if len(encoder) < 3:
        return None
    pooling, head = encoder[1], encoder[2]
    if (
        isinstance(pooling, PoolingModule)
        and pooling.pooling_mode == "cls"
        and isinstance(head, Dense)
        and isinstance(head.activation_function, nn.Tanh)
        and head.in_features == head.out_features
    ):
        return head
    return None


def freeze_unused(encoder: SentenceTransformer) -> None:
    """Stop gradients where training must not or cannot reach.

    The layers' weights of `avg_top2` and `avg_first_last` are constants. A transformer's pooler
    computes something that nobody reads; left trainable, data-parallel training would wait for
    its gradient for ever.
    """
    for module in encoder:
        if isinstance(module, WeightedLayerPooling):
            module.requires_grad_(False)
    pooler = getattr(encoder.transformers_model, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)


def _mean_of_layers(size: int, layers: int, weights: Tensor) -> WeightedLayerPooling:
    """Weighted mean of the last `len(weights)` of the layers 1 to `layers`."""
    return WeightedLayerPooling(
        size,
        num_hidden_layers=layers,
        layer_start=layers + 1 - len(weights),
        layer_weights=nn.Parameter(weights, requires_grad=False),
    )
