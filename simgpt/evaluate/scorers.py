"""What computes vectors from token ids: torch, or ONNX Runtime for an exported graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simgpt.config import Pooling, ScoringPrecision
from simgpt.encoder import load_encoder, longest_text, onnx_graph
from simgpt.errors import SimgptError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# No STS sentence is longer; encoders with fewer positions keep their own limit.
MAX_TOKENS = 512
# Tokens of a batch: on a processor, for each of its threads, few enough for the thread's caches.
TOKENS_PER_THREAD = 1024
TOKENS_ON_GPU = 65_536
_TOKENISED_AT_ONCE = 2048

Floats32 = NDArray[np.float32]
Ids = NDArray[np.int64]


class Scorer(Protocol):
    """A tokenizer and something that embeds what it makes.

    Attributes:
        tokenizer: A tokenizer of transformers.
        limit: Tokens of a text at most, special ones included.
        batch_tokens: Tokens of a batch, padding included.
    """

    tokenizer: Any
    limit: int
    batch_tokens: int

    def embed(self, ids: Ids, mask: Ids) -> Floats32:
        """Vectors of shape (batch, dim) from ids and attention mask of shape (batch, tokens)."""
        ...


def load_scorer(
    name: str,
    *,
    pooling: Pooling = Pooling.AUTO,
    precision: ScoringPrecision = ScoringPrecision.FP32,
) -> "Scorer | SentenceTransformer":
    """Load what `simgpt.evaluate.encoding.encode` takes.

    Args:
        name: As `simgpt.encoder.load_encoder` takes it, or a folder that `simgpt export --to onnx`
            wrote.
        pooling: As there; a graph has its own.
        precision: In what the encoder computes; a graph in what it was written.

    Returns:
        A scorer; where there is no tokenizer in front of a transformer, or a prompt in front of
        every text, the encoder itself, in fp32.

    Raises:
        SimgptError: as `load_encoder`, or something was asked for that this model cannot do.
    """
    if graph := onnx_graph(name):
        if pooling is not Pooling.AUTO or precision is not ScoringPrecision.FP32:
            raise SimgptError(f"{name}: an exported graph keeps its own pooling and precision")
        return OnnxScorer(graph)
    encoder = load_encoder(name, pooling=pooling)
    if takes_tokens(encoder):
        return TorchScorer(encoder, precision=precision)
    if precision is not ScoringPrecision.FP32:
        raise SimgptError(f"{name}: not a plain transformer; it is scored in fp32 only")
    return encoder


def takes_tokens(encoder: "SentenceTransformer") -> bool:
    """Whether its vectors depend on a text's tokens and on nothing else."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    first = encoder[0]
    return (
        isinstance(first, Transformer)
        and callable(encoder.tokenizer)
        and encoder.default_prompt_name is None
        and "message" not in first.modality_config
    )


class TorchScorer:
    """A SentenceTransformer whose first module is a transformer."""

    def __init__(
        self,
        encoder: "SentenceTransformer",
        *,
        precision: ScoringPrecision = ScoringPrecision.FP32,
    ) -> None:
        import torch

        self.encoder = encoder.eval()
        self.tokenizer: Any = encoder.tokenizer
        # Training cuts sentences at 32 tokens, evaluation does not.
        self.limit = min(MAX_TOKENS, longest_text(encoder) or MAX_TOKENS)
        on_processor = encoder.device.type == "cpu"
        self.batch_tokens = (
            TOKENS_PER_THREAD * torch.get_num_threads() if on_processor else TOKENS_ON_GPU
        )
        self.half = precision is ScoringPrecision.BF16
        self.has_types = "token_type_ids" in self.tokenizer.model_input_names

    def embed(self, ids: Ids, mask: Ids) -> Floats32:
        """As `Scorer.embed`."""
        import torch

        features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self.has_types:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        device = self.encoder.device
        features = {name: tensor.to(device) for name, tensor in features.items()}
        half = torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.half)
        with torch.inference_mode(), half:
            vectors = self.encoder(features)["sentence_embedding"]
        found: Floats32 = vectors.float().cpu().numpy()
        return found


class OnnxScorer:
    """An exported graph, computed on the processor."""

    def __init__(self, graph: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise SimgptError(
                f'{graph}: onnxruntime not installed; pip install ".[onnx]"'
            ) from error
        import torch
        from transformers import AutoTokenizer

        threads = torch.get_num_threads()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Waiting threads give way, as OMP_WAIT_POLICY makes torch's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(graph, options, providers=providers)
        self.inputs = [given.name for given in self.session.get_inputs()]
        self.tokenizer: Any = AutoTokenizer.from_pretrained(graph.parent)
        self.limit = min(MAX_TOKENS, self.tokenizer.model_max_length)
        self.batch_tokens = TOKENS_PER_THREAD * threads

    def embed(self, ids: Ids, mask: Ids) -> Floats32:
        """As `Scorer.embed`."""
        features = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: features[name] for name in self.inputs}
        vectors: Floats32 = self.session.run(None, given)[0]
        return vectors


def token_ids(scorer: Scorer, sentences: Sequence[str]) -> list[list[int]]:
    """Token ids of each sentence, special tokens included, none of them padding.

    Padding is refused by name: a tokenizer's file may ask for it, to 128 tokens for all. Some
    thousands at a time, since besides the ids a tokenizer hands over every token's text and place.
    """
    found: list[list[int]] = []
    for first in range(0, len(sentences), _TOKENISED_AT_ONCE):
        found += scorer.tokenizer(
            list(sentences[first : first + _TOKENISED_AT_ONCE]),
            truncation=True,
            max_length=scorer.limit,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
    return found
