"""Load an encoder by name, whole or not at all: no weight is left random without an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from simgpt.config import Pooling
from simgpt.encoder.inspection import longest_text
from simgpt.encoder.locating import locate
from simgpt.errors import SimgptError
from simgpt.files import read_json

if TYPE_CHECKING:  # importing it takes seconds, which `simgpt --help` should not wait for
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Transformer
    from torch import nn

_PREFIX_CLASS = "simgpt.encoder.prefix.PrefixTransformer"
_STOCK = "sentence_transformers."


def load_encoder(
    name: str, *, pooling: Pooling = Pooling.AUTO, fresh_head: bool = False
) -> "SentenceTransformer":
    """Load an encoder in fp32.

    Args:
        name: `bundled`, a run folder, a SentenceTransformer or plain transformer folder, a
            checkpoint of the SimCSE or PromCSE training code, or a hub id.
        pooling: `auto` keeps what the encoder was trained with: a SentenceTransformer's own
            modules, a training checkpoint's head; a plain transformer gets the mean. Any other
            replaces it. `cls` takes the head from the encoder, or from a plain transformer's
            pooler, where published SimCSE models keep it.
        fresh_head: For training: `cls` starts from a fresh head, drawn with torch's generator.

    Raises:
        SimgptError: the folder holds no weights or an unfinished run, weights are missing, `cls`
            was asked for and there is no head, the bundled weights are not the published ones, or
            the hub has no such model or cannot be reached.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # bars that last a blink hide the one with the time left
    source = locate(name)
    with loading(name):
        encoder = _load(name, source, pooling, fresh_head)

    from simgpt.encoder.pooling import freeze_unused

    freeze_unused(encoder)
    # Where the tokenizer names no limit, RoBERTa's would be two tokens too long.
    if encoder.max_seq_length and (longest := longest_text(encoder)):
        encoder.max_seq_length = min(encoder.max_seq_length, longest)
    return encoder.float()


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn what the libraries' loaders raise, of many kinds, into one sentence.

    Raises:
        SimgptError: the encoder called `name` could not be loaded.
    """
    try:
        yield
    except SimgptError:
        raise
    except Exception as error:
        raise SimgptError(
            f"model {name!r} could not be loaded ({type(error).__name__}: {_first_line(error)})"
        ) from error


def _load(
    name: str, source: Path | str, pooling: Pooling, fresh_head: bool
) -> "SentenceTransformer":
    from sentence_transformers.sentence_transformer.modules import Transformer

    from simgpt.encoder.pooling import own_head, set_pooling

    if not _is_sentence_transformer(source):
        return _load_transformer(name, source, pooling, fresh_head)
    encoder = _load_sentence_transformer(source)
    if pooling is Pooling.AUTO:
        return encoder
    if not isinstance(encoder[0], Transformer):
        raise SimgptError(f"{name}: its pooling cannot be replaced; use pooling=auto")
    head = None if fresh_head else own_head(encoder)
    if pooling is Pooling.CLS and not fresh_head and head is None:
        # Its transformer may hold a pooler, but one that took no part in its training.
        raise _no_head(name)
    return set_pooling(encoder, pooling, head=head)


def _load_sentence_transformer(source: Path | str) -> "SentenceTransformer":
    """Load a SentenceTransformer; with a prefix, module by module.

    SentenceTransformer itself imports classes of other packages only if told to trust whatever
    code a folder names. Here one such class is known, and no other is imported.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import import_from_string

    from simgpt.encoder.prefix import PrefixTransformer

    if isinstance(source, str):
        return SentenceTransformer(source)
    entries = read_json(source / "modules.json")
    if _PREFIX_CLASS not in [entry["type"] for entry in entries]:
        return SentenceTransformer(str(source))
    modules: list[nn.Module] = []
    for entry in entries:
        kind, place = entry["type"], entry["path"]
        if kind != _PREFIX_CLASS and not kind.startswith(_STOCK):
            raise SimgptError(f"{source}: its module {kind} is not one of sentence-transformers")
        loader: Any = PrefixTransformer if kind == _PREFIX_CLASS else import_from_string(kind)
        modules.append(loader.load(str(source), subfolder=place))
    settings = source / "config_sentence_transformers.json"
    held = read_json(settings) if settings.is_file() else {}
    return SentenceTransformer(
        modules=modules,
        prompts=held.get("prompts"),
        default_prompt_name=held.get("default_prompt_name"),
    )


def _load_transformer(
    name: str, source: Path | str, pooling: Pooling, fresh_head: bool
) -> "SentenceTransformer":
    """Load a plain transformer, or a training checkpoint, which is one with a head or a prefix."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    from simgpt.encoder.pooling import dense_tanh, pooling_modules
    from simgpt.encoder.prefix import PrefixTransformer, add_prefix
    from simgpt.encoder.reference import read_reference

    reference = read_reference(source) if isinstance(source, Path) else None
    with _quiet():  # what is missing is said in one sentence, not in transformers' table
        transformer = Transformer(str(source))
        missing = _missing_weights(transformer, source)
    if absent := sorted(weight for weight in missing if not weight.startswith("pooler.")):
        raise SimgptError(
            f"{name}: {len(absent)} of the encoder's weights are missing and would be random "
            f"({absent[0]}{', ...' if len(absent) > 1 else ''})"
        )
    if reference is None:
        trained_with, head = Pooling.MEAN, _pooler_as_head(transformer, missing)
    elif reference.head:
        trained_with, head = Pooling.CLS, dense_tanh(*reference.head)
    else:
        trained_with, head = Pooling.CLS_BEFORE_POOLER, None
    _clear_missing_pooler(transformer, missing)
    if pooling is Pooling.AUTO:
        pooling = trained_with
    if fresh_head:
        head = None
    elif pooling is Pooling.CLS and head is None:
        raise _no_head(name)
    encoder = SentenceTransformer(
        modules=[transformer, *pooling_modules(transformer, pooling, head=head)]
    )
    if reference and reference.prefix is not None:
        add_prefix(encoder, len(reference.prefix), name=name)
        cast(PrefixTransformer, encoder[0]).copy_prefix(reference.prefix)
    return encoder


def _missing_weights(transformer: "Transformer", source: Path | str) -> set[str]:
    """Names of weights that the checkpoint does not hold, by the loader's own account."""
    loaded: Any = type(transformer.model).from_pretrained(
        str(source),
        config=transformer.config,
        device_map="meta",  # names only: no weight is read a second time
        output_loading_info=True,
    )
    return set(loaded[1]["missing_keys"])


def _pooler_as_head(transformer: "Transformer", missing: set[str]) -> "Dense | None":
    """The `cls` head that a checkpoint keeps as its pooler; None where it holds none."""
    from torch import nn

    from simgpt.encoder.pooling import dense_tanh

    pooler = getattr(transformer.model, "pooler", None)
    dense = getattr(pooler, "dense", None)
    if (
        missing & {"pooler.dense.weight", "pooler.dense.bias"}
        or not isinstance(dense, nn.Linear)
        or not isinstance(getattr(pooler, "activation", None), nn.Tanh)
    ):
        return None
    return dense_tanh(dense.weight, dense.bias)


def _clear_missing_pooler(transformer: "Transformer", missing: set[str]) -> None:
    """Zero the pooler that a checkpoint lacks. Nothing reads it, but it is saved along."""
    import torch

    with torch.no_grad():
        for weight, parameter in transformer.model.named_parameters():
            if weight in missing:
                parameter.zero_()


def _no_head(name: str) -> SimgptError:
    return SimgptError(
        f"{name}: holds no trained head, so its cls head would be random; choose another pooling"
    )


def _is_sentence_transformer(source: Path | str) -> bool:
    if isinstance(source, Path):
        return (source / "modules.json").is_file()
    from huggingface_hub import file_exists

    return file_exists(source, "modules.json")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' warnings for a while."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
