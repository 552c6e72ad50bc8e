"""What the page's program can run: BERT with WordPiece tokens, mean pooling and cosines."""

import json
from typing import TYPE_CHECKING, Any

import torch

from simgpt.errors import SimgptError
from simgpt.tryit.weights import Floats

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_POSITIONS = "embeddings.position_embeddings.weight"
_KINDS = "embeddings.token_type_embeddings.weight"
_MODULES = ["Transformer", "Pooling", "Normalize"]
_NORMALIZER = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}


def check_runs_in_page(encoder: "SentenceTransformer", name: str) -> None:
    """Refuse an encoder that the page's program would compute wrongly.

    Args:
        encoder: A loaded encoder.
        name: What the user calls it, for the error.

    Raises:
        SimgptError: it is no BERT with learned positions and GELU, pools otherwise than by the
            mean, puts a prompt before each text, or its tokenizer is not BERT's uncased one.
    """
    config = getattr(encoder, "config", None)
    kind = getattr(config, "model_type", "no transformer")
    names = [type(module).__name__ for module in encoder]
    pooling = getattr(encoder[1], "pooling_mode", None) if len(encoder) > 1 else None
    tokenizer = _tokenizer(encoder) if kind == "bert" else {}
    prompt = encoder.default_prompt_name
    for what, holds in (
        (f"{kind} and no BERT", kind == "bert"),
        (f"made of {', '.join(names)}", names in (_MODULES, _MODULES[:2])),
        (f"pooled by {pooling}", pooling == "mean"),
        ("given a prompt with each text", not prompt or not encoder.prompts.get(prompt)),
        ("without gelu", getattr(config, "hidden_act", None) == "gelu"),
        (
            "with relative positions",
            getattr(config, "position_embedding_type", "absolute") == "absolute",
        ),
        (
            "with another tokenizer than BERT's uncased one",
            tokenizer.get("normalizer") == _NORMALIZER
            and tokenizer.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
            and tokenizer["model"]["type"] == "WordPiece"
            and tokenizer["model"]["max_input_chars_per_word"] == 100,
        ),
    ):
        if not holds:
            raise SimgptError(
                f"{name}: {what}; the book's page runs a BERT with an uncased WordPiece tokenizer "
                "and mean pooling"
            )


def architecture(encoder: "SentenceTransformer") -> dict[str, Any]:
    """The sizes that the page's program needs besides the weights' shapes."""
    config: Any = encoder.config
    return {
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "intermediate": config.intermediate_size,
        "epsilon": config.layer_norm_eps,
    }


def tokenizer_settings(encoder: "SentenceTransformer") -> tuple[list[str], dict[str, Any]]:
    """The vocabulary in the order of its numbers, and the page's settings of the tokenizer.

    Tokens that are special stand for themselves wherever a text holds them.
    """
    tokenizer, content = encoder.tokenizer, _tokenizer(encoder)
    numbers = tokenizer.get_vocab()
    return sorted(numbers, key=numbers.__getitem__), {
        "start": tokenizer.cls_token,
        "end": tokenizer.sep_token,
        "unknown": content["model"]["unk_token"],
        "prefix": content["model"]["continuing_subword_prefix"],
        "special": [token["content"] for token in content["added_tokens"]],
        "longest": encoder.max_seq_length,
    }


def page_weights(encoder: "SentenceTransformer") -> dict[str, Floats]:
    """The weights by BERT's own names, without what takes no part.

    A single text is of kind 0 throughout, so that kind's vector is added to every position.
    """
    model: Any = encoder[0].model
    weights = {
        name: weight.numpy()
        for name, weight in model.state_dict().items()
        if not name.startswith("pooler.")
    }
    weights[_POSITIONS] = weights[_POSITIONS] + weights.pop(_KINDS)[0]
    return weights


def take_weights(encoder: "SentenceTransformer", weights: dict[str, Floats]) -> None:
    """Put weights that the page uses into an encoder, in place."""
    model: Any = encoder[0].model
    state = {name: torch.tensor(weight) for name, weight in weights.items()}
    state[_KINDS] = torch.zeros_like(model.state_dict()[_KINDS])
    model.load_state_dict(state, strict=False)


def _tokenizer(encoder: "SentenceTransformer") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(encoder.tokenizer.backend_tokenizer.to_str())
    return content
