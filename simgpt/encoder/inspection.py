"""What an encoder is, before it is trained or given a long text."""

from typing import TYPE_CHECKING

from simgpt.errors import SimgptError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

# Transformers whose attention takes keys and values from outside, and counts positions after them.
PREFIX_ARCHITECTURES = ("bert", "camembert", "roberta", "xlm-roberta")


def check_trainable(name: str, encoder: "SentenceTransformer", *, prefix: bool = False) -> None:
    """Refuse an encoder that training could load, but not sensibly train.

    The papers train encoders that were pretrained by masking: their attention sees the words on
    both sides, and a first token stands for the sentence. The masked-word objective needs such a
    head, too.

    Args:
        name: What the user calls the encoder, for the error.
        encoder: The loaded encoder.
        prefix: Whether a prefix is going to be put in front of it.

    Raises:
        SimgptError: a decoder, an encoder-decoder or no transformer at all; with `prefix`, an
            architecture that takes none, or an encoder that has one.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    model = encoder.transformers_model
    if model is None:
        raise SimgptError(f"{name}: no transformer; training takes a BERT- or RoBERTa-like encoder")
    config = model.config
    if (
        config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        or getattr(config, "is_encoder_decoder", False)
        or getattr(config, "is_decoder", False)
    ):
        decoding = "decoding " if getattr(config, "is_decoder", False) else ""
        raise SimgptError(
            f"{name}: a {decoding}{config.model_type} model; training takes a BERT- or "
            "RoBERTa-like encoder"
        )
    if prefix:
        check_takes_prefix(encoder, name)


def check_takes_prefix(encoder: "SentenceTransformer", name: str) -> None:
    """Refuse an encoder that PromCSE's prefix cannot be put in front of.

    Raises:
        SimgptError: its architecture is another one, or it has a prefix already.
    """
    if getattr(encoder[0], "prefix_tokens", 0):
        raise SimgptError(f"{name}: has a prefix of {encoder[0].prefix_tokens} tokens already")
    kind = getattr(encoder.config, "model_type", type(encoder[0]).__name__)
    if kind not in PREFIX_ARCHITECTURES:
        raise SimgptError(
            f"{name}: a {kind} model takes no prefix; it must be one of: "
            f"{', '.join(PREFIX_ARCHITECTURES)}"
        )


def longest_text(encoder: "SentenceTransformer") -> int | None:
    """Tokens, special ones included, that fit the encoder's positions; None if nothing limits them.

    The trap: RoBERTa keeps `padding_idx + 1` of its positions for itself, so its table of 514
    holds texts of 512 tokens, and a prefix of P tokens takes the first P that are left.
    """
    model = encoder.transformers_model
    if model is None:
        return None
    return text_positions(model, prefix_tokens=getattr(encoder[0], "prefix_tokens", 0))


def text_positions(model: "PreTrainedModel", *, prefix_tokens: int) -> int | None:
    """As `longest_text`, of a transformer on its own."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None or positions < 1:  # XLNet writes -1
        return None
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return int(positions) - (0 if padding is None else padding + 1) - prefix_tokens
