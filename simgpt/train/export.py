"""An encoder in forms that need neither simgpt nor sentence-transformers, each checked.

Whatever is written is read back and compared with the encoder; a form that differs is not kept.
"""

import importlib.util
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from simgpt.config import Pooling
from simgpt.encoder import load_encoder, weights_sha256
from simgpt.encoder.locating import ONNX_FILE
from simgpt.errors import SimgptError
from simgpt.files import staged

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TEXTS = (
    "No.",
    "A dog runs on the beach.",
    "TWO people talk quietly, in the kitchen of a very old house that nobody else knows!",
    "the dog and the cat " * 19,
)

_PLAIN = """\
# {name} as a plain transformer

Written by `simgpt export`. The sentence vector is {words}.
{pooler}
```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
model = AutoModel.from_pretrained("FOLDER"{arguments}).eval()
texts = ["A dog runs on the beach.", "No."]
batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    output = model(**batch{hidden})
{code}
```

Vectors are compared by their cosine. The tokenizer cuts texts at {longest} tokens. SHA-256 of the
weights it was written from: `{sha256}`.
"""
_ONNX = """\
# {name} in ONNX

Written by `simgpt export`: one graph in fp32 from tokens to `sentence_embedding`, pooling and all,
for any number of texts.

```python
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
session = onnxruntime.InferenceSession("FOLDER/{file}")
texts = ["A dog runs on the beach.", "No."]
batch = tokenizer(texts, padding=True, truncation=True, return_tensors="np")
inputs = {{entry.name: batch[entry.name] for entry in session.get_inputs()}}
vectors = session.run(None, inputs)[0]
```

Vectors are compared by their cosine. The tokenizer cuts texts at {longest} tokens. SHA-256 of the
weights it was written from: `{sha256}`.
"""
# Where each pooling finds token vectors to take the mean of, among the hidden states.
_LAYERS = {Pooling.MEAN: (-1,), Pooling.AVG_TOP2: (-2, -1), Pooling.AVG_FIRST_LAST: (1, -1)}
_WORDS = {
    Pooling.MEAN: "the mean of the last layer's token vectors, padding left out",
    Pooling.CLS: "the output of the model's own pooler: dense and tanh over the first token,\n"
    "trained as its head",
    Pooling.CLS_BEFORE_POOLER: "the first token's vector after the last layer",
    Pooling.AVG_TOP2: "the mean of the token vectors of the last two layers, padding left out",
    Pooling.AVG_FIRST_LAST: "the mean of the token vectors of the first and the last layer, "
    "padding\nleft out; entry 0 of the hidden states is no layer's, but the embeddings",
}


class Form(StrEnum):
    """What an encoder can be exported to."""

    TRANSFORMERS = "transformers"  # a folder for AutoModel
    ONNX = "onnx"  # one graph, pooling and prefix included

    @property
    def tolerance(self) -> float:
        """Largest difference allowed in any number of a vector of length 1."""
        return 1e-6 if self is Form.TRANSFORMERS else 1e-5


def export_model(name: str, form: Form, output: Path) -> float:
    """Write an encoder into the new folder `output`, with its tokenizer and a README.

    `transformers` gives the form in which SimCSE was published: the head of `cls` becomes the
    model's own pooler. `onnx` takes every encoder, one with a prefix, too.

    Args:
        name: As `simgpt.encoder.load_encoder` takes it.
        form: What to export to.
        output: A folder that does not exist or is empty.

    Returns:
        The largest difference between the written model's vectors, scaled to length 1, and the
        encoder's.

    Raises:
        SimgptError: `output` is not empty, the encoder cannot be loaded or has no such form, a
            package is missing, or what was written gives other vectors; nothing is left then.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SimgptError(f"{output}: exists and is not an empty folder; give another --output")
    if form is Form.ONNX:
        if missing := packages_missing():
            raise SimgptError(missing)
    encoder = load_encoder(name).cpu().eval()
    if (prompt := encoder.default_prompt_name) is not None:
        raise SimgptError(
            f"{name}: puts a prompt ({prompt}) in front of every text, which {form} cannot carry"
        )
    write = _write_onnx if form is Form.ONNX else _write_transformer
    with staged(output) as folder:
        folder.mkdir()
        difference = write(name, encoder, folder)
        if not difference <= form.tolerance:  # nor is NaN
            raise SimgptError(
                f"{name}: the exported model's vectors differ by {difference:.1g} from the "
                f"encoder's, more than {form.tolerance:.0g}; nothing was written"
            )
    return difference


def _write_transformer(name: str, encoder: "SentenceTransformer", folder: Path) -> float:
    """Write the plain form; return how far its vectors, pooled as its README says, differ."""
    from transformers import AutoModel, AutoTokenizer

    pooling = plain_pooling(name, encoder)
    model: Any = encoder.transformers_model
    with torch.no_grad():
        expected = encoder(encoder.preprocess(list(_TEXTS)))["sentence_embedding"]
    arguments, pooler = {}, ""
    if pooling is Pooling.CLS:
        _head_to_pooler(name, encoder)
    elif getattr(model, "pooler", None) is not None:
        # Left in, it passes for the sentence vector; dropped without a word, AutoModel makes one.
        pooler = "`pooler_output` is something else: this pooler was never trained as a head.\n"
        if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
            model.pooler, arguments = None, {"add_pooling_layer": False}
            pooler = "Loaded without `add_pooling_layer=False`, the model gets a random pooler.\n"
    model.config.output_hidden_states = False
    model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    _write_readme(
        _PLAIN,
        name,
        encoder,
        folder,
        words=_WORDS[pooling],
        code=_code(pooling),
        pooler=pooler,
        arguments="".join(f", {key}={value}" for key, value in arguments.items()),
        hidden=", output_hidden_states=True" if pooling in _LAYERS else "",
    )
    again = AutoModel.from_pretrained(folder, **arguments).eval()
    if type(again) is not type(model):
        raise SimgptError(f"{name}: AutoModel takes it for a {type(again).__name__}; use --to onnx")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(list(_TEXTS), padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        found = _pool(pooling, again(**batch, output_hidden_states=True), batch["attention_mask"])
    return _difference(found, expected)


def plain_pooling(name: str, encoder: "SentenceTransformer") -> Pooling:
    """How an encoder pools, where a plain transformer's user can do the same by hand.

    Raises:
        SimgptError: it has a prefix, or modules that are none of simgpt's poolings.
    """
    from sentence_transformers.sentence_transformer import modules

    from simgpt.encoder.pooling import own_head

    if getattr(encoder[0], "prefix_tokens", 0):
        raise SimgptError(
            f"{name}: a plain transformer cannot carry a prefix; use --to onnx, or the checkpoint "
            "as it is"
        )
    rest = [module for module in encoder][1:]
    if rest and isinstance(rest[-1], modules.Normalize):  # cosines do not see it
        rest.pop()
    kinds = [type(module) for module in rest]
    mode = getattr(rest[-1], "pooling_mode", None) if rest else None
    if isinstance(encoder[0], modules.Transformer):
        if kinds == [modules.Pooling, modules.Dense] and own_head(encoder) is not None:
            return Pooling.CLS
        if kinds == [modules.Pooling] and mode in ("cls", "mean"):
            return Pooling.MEAN if mode == "mean" else Pooling.CLS_BEFORE_POOLER
        if kinds == [modules.WeightedLayerPooling, modules.Pooling] and mode == "mean":
            weights = cast(Tensor, rest[0].layer_weights).tolist()
            if weights == [1, 1]:
                return Pooling.AVG_TOP2
            if weights == [1, *[0] * (len(weights) - 2), 1] and rest[0].layer_start == 1:
                return Pooling.AVG_FIRST_LAST
    told = ", ".join(type(module).__name__ for module in encoder)
    raise SimgptError(f"{name}: its modules ({told}) have no plain form; use --to onnx")


def _head_to_pooler(name: str, encoder: "SentenceTransformer") -> None:
    """Put the head's weights where a published SimCSE model has them."""
    pooler = getattr(encoder.transformers_model, "pooler", None)
    dense, linear = getattr(pooler, "dense", None), cast(nn.Linear, encoder[2].linear)
    if not isinstance(dense, nn.Linear) or dense.weight.shape != linear.weight.shape:
        kind = cast(Any, encoder.config).model_type
        raise SimgptError(f"{name}: a {kind} model has no pooler for its head; use --to onnx")
    with torch.no_grad():
        dense.weight.copy_(linear.weight)
        dense.bias.copy_(torch.zeros(()) if linear.bias is None else linear.bias)


def _code(pooling: Pooling) -> str:
    """The README's way from a plain transformer's `output` to `vectors`; `_pool` does the same."""
    if pooling not in _LAYERS:
        is_cls = pooling is Pooling.CLS
        return f"vectors = output.{'pooler_output' if is_cls else 'last_hidden_state[:, 0]'}"
    layers = [f"output.hidden_states[{layer}]" for layer in _LAYERS[pooling]]
    tokens = layers[0] if len(layers) == 1 else f"({' + '.join(layers)}) / {len(layers)}"
    return (
        'mask = batch["attention_mask"].unsqueeze(-1)\n'
        f"tokens = {tokens}\n"
        "vectors = (tokens * mask).sum(1) / mask.sum(1)"
    )


def _pool(pooling: Pooling, output: Any, attention_mask: Tensor) -> Tensor:
    vectors: Tensor = output.last_hidden_state[:, 0]
    if pooling is Pooling.CLS:
        vectors = output.pooler_output
    elif pooling in _LAYERS:
        mask = attention_mask.unsqueeze(-1)
        tokens = torch.stack([output.hidden_states[layer] for layer in _LAYERS[pooling]]).mean(0)
        vectors = (tokens * mask).sum(1) / mask.sum(1)
    return vectors


class _FromTokens(nn.Module):
    """An encoder as a function of tensors only, which is what can be traced."""

    def __init__(self, encoder: "SentenceTransformer", inputs: list[str]) -> None:
        super().__init__()
        self.encoder, self.inputs = encoder, inputs

    def forward(self, *tensors: Tensor) -> Tensor:
        features: dict[str, Any] = dict(zip(self.inputs, tensors, strict=True))
        for module in self.encoder:
            features = module(features)
        vectors: Tensor = features["sentence_embedding"]
        return vectors


def _write_onnx(name: str, encoder: "SentenceTransformer", folder: Path) -> float:
    """Write the graph; return how far it differs over batches of several shapes."""
    import onnxruntime
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    batches = [[text] for text in _TEXTS] + [list(_TEXTS[:2]), list(_TEXTS) * 3]
    example = encoder.preprocess(list(_TEXTS[1:3]))
    inputs = [given for given in _INPUTS if given in example]
    model = _FromTokens(encoder, inputs).eval()
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                model,
                tuple(example[given] for given in inputs),
                input_names=inputs,
                output_names=["sentence_embedding"],
                # A graph traced the older way holds for the example's shapes only.
                dynamo=True,
                dynamic_shapes={"tensors": tuple({0: "batch", 1: "tokens"} for _ in inputs)},
                verbose=False,
            )
            # Its nodes quote the code they come from, with this machine's paths.
            ClearMetadataAndDocStringPass()(program.model)
            program.save(folder / ONNX_FILE)
    except OSError:
        raise
    except Exception as error:  # torch's exporter and onnx raise from several places
        told = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise SimgptError(
            f"{name}: could not be written as ONNX ({type(error).__name__}: {told})"
        ) from error
    encoder.tokenizer.save_pretrained(folder)
    _write_readme(_ONNX, name, encoder, folder, file=ONNX_FILE)
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])
    differences = []
    for texts in batches:
        features = encoder.preprocess(texts)
        found = session.run(None, {given: features[given].numpy() for given in inputs})[0]
        with torch.no_grad():
            expected = model(*(features[given] for given in inputs))
        differences.append(_difference(torch.from_numpy(found), expected))
    return max(differences)


def packages_missing() -> str | None:
    """Which packages that ONNX needs are not there, and how to get them; None if all are."""
    missing = [
        package
        for package in ("onnx", "onnxscript", "onnxruntime")
        if importlib.util.find_spec(package) is None
    ]
    return f'{", ".join(missing)} not installed; pip install ".[onnx]"' if missing else None


def _write_readme(
    template: str, name: str, encoder: "SentenceTransformer", folder: Path, **words: str
) -> None:
    told: Mapping[str, Any] = {
        "name": Path(name).name if Path(name).is_dir() else name,
        "sha256": weights_sha256(name) or "unknown",
        "longest": encoder.max_seq_length,
    }
    (folder / "README.md").write_text(template.format(**told, **words), encoding="utf-8")


def _difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference in any number, both sides scaled to length 1."""
    return float((normalize(found) - normalize(expected)).abs().max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of packages that nobody needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
