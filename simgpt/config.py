"""One typed configuration: notebook parameters, `--set` on the command line and `config.json`."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from importlib import resources
from typing import Any, Self

from simgpt.errors import SimgptError

# What IPython puts into a notebook's namespace before the first cell runs.
_IPYTHON_NAMES = {"In", "Out", "exit", "quit", "get_ipython", "open"}


class ConfigError(SimgptError):
    """A setting that does not exist or holds an illegal value."""


class Pooling(StrEnum):
    """How token vectors become one sentence vector; the names are SimCSE's."""

    AUTO = "auto"  # the backbone's own, or the mean where it brings none
    MEAN = "mean"
    CLS = "cls"  # the first token, through a dense layer and tanh
    CLS_BEFORE_POOLER = "cls_before_pooler"
    AVG_TOP2 = "avg_top2"  # mean of the last two layers
    AVG_FIRST_LAST = "avg_first_last"  # mean of the first and the last layer, not the embeddings


class Precision(StrEnum):
    """Number format of the training forward pass; weights are always fp32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class ScoringPrecision(StrEnum):
    """Number format in which sentences are embedded for scoring; cosines are always fp32."""

    FP32 = "fp32"  # the protocol's
    BF16 = "bf16"  # faster where the processor is good at it, and named in the signature


class Selector(StrEnum):
    """The development set whose Spearman picks the checkpoint. Never a test set."""

    BUNDLED = "bundled"
    STSB_DEV = "stsb_dev"


class Aggregation(StrEnum):
    """How the subsets of a task become one score."""

    ALL = "all"  # one Spearman over all pairs: SimCSE's, and the paper's
    MEAN = "mean"  # of the subsets' Spearmans
    WMEAN = "wmean"  # the same, weighted by their pairs: SentEval's


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of one run. Field names are the notebooks' parameter names.

    A profile (`simgpt/profiles/*.toml`) fills the fields; anything else given overrides it.

    Attributes:
        profile: Name of the profile that fills the other settings.
        backbone: `bundled` (all-MiniLM-L6-v2), a model folder, or a Hugging Face hub id.
        triplets: `bundled`, or a JSONL or CSV file of triplets.
        max_triplets: Train on at most this many triplets, drawn with `seed`; 0 means all.
        max_tokens: Training cuts sentences to this many tokens, special tokens included.
        pooling: How token vectors become the sentence vector. `auto` keeps the backbone's own; the
            others replace it. `cls` starts from a fresh dense layer (the paper's).
        prefix_tokens: Length of PromCSE's prefix; the backbone is then frozen (paper: 10). 0 trains
            the backbone itself.
        hard_negatives: Whether the dissimilar sentences take part. Without them the triplets file
            needs none.
        temperature: Divides every cosine in the loss (paper: 0.05).
        hard_negative_weight: Logit added to each anchor's own hard negative (paper: 0 base, 0.8
            large).
        energy_weight: Factor on PromCSE's energy hinge; 0 leaves it out (paper: 5 base, 5.7 large).
        energy_margin: Cosine by which the positive should beat every negative (paper: 0.2).
        contrastive_weight: Factor on the contrastive loss and the hinge together, not on the masked
            language model's. The reference code's gathering over 4 GPUs makes it 0.25.
        mlm_weight: Factor on the masked language model's loss; 0 leaves it out (paper: 0.05).
        mlm_rate: Share of the tokens that the masked language model has to guess (paper: 0.1).
        learning_rate: Peak learning rate of AdamW.
        warmup: Fraction of the steps in which the rate rises linearly; it then falls to zero.
        batch_size: Triplets a step, over all processes together. Each adds one in-batch and one
            hard negative to all others.
        mini_batch_size: Triplets a forward pass, for a batch that does not fit into memory: passes
            are repeated while gradients are computed, the result is the same. 0 is off.
        epochs: Passes over the triplets.
        precision: `auto` takes bf16 or fp16 on a GPU, whichever it is good at, and fp32 elsewhere.
        trained_share: Share of the trained weights in the saved ones, the rest being the
            backbone's; 1 saves the trained weights as they are (paper: 1).
        eval_steps: Every so many steps, and after the last, the development set is scored and a
            checkpoint to resume from is written (paper: 125, large PromCSE 25).
        selector: Development set that picks the checkpoint: `bundled` or `stsb_dev`; the former
            stands in where STS-B cannot be had.
        benchmarks: `auto`, `bundled` (the development pairs; no benchmark), a folder in SentEval's
            layout or an archive of one, a folder with MTEB's datasets, or `mteb` (the hub's).
        teacher: Model that the live cell of the chapter on annotation asks, where OPENAI_API_KEY or
            OPENAI_BASE_URL is set; without them nobody is asked.
        seed: Seeds sampling, data order, fresh weights, masks and dropout.
    """

    profile: str = "smoke"
    backbone: str = "bundled"
    triplets: str = "bundled"
    max_triplets: int = 0
    max_tokens: int = 32
    pooling: Pooling = Pooling.AUTO
    prefix_tokens: int = 0
    hard_negatives: bool = True
    temperature: float = 0.05
    hard_negative_weight: float = 0.0
    energy_weight: float = 0.0
    energy_margin: float = 0.2
    contrastive_weight: float = 1.0
    mlm_weight: float = 0.0
    mlm_rate: float = 0.15
    learning_rate: float = 5e-5
    warmup: float = 0.1
    batch_size: int = 64
    mini_batch_size: int = 0
    epochs: int = 1
    precision: Precision = Precision.AUTO
    trained_share: float = 1.0
    eval_steps: int = 125
    selector: Selector = Selector.BUNDLED
    benchmarks: str = "auto"
    teacher: str = "gpt-4o-mini"
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse values that no run could use."""
        for name, legal, holds in (
            ("max_triplets", "0 (all) or more", self.max_triplets >= 0),
            ("max_tokens", "3 or more", self.max_tokens >= 3),
            ("prefix_tokens", "0 (no prefix) or more", self.prefix_tokens >= 0),
            ("temperature", "above 0", 0 < self.temperature < float("inf")),
            ("hard_negative_weight", "finite", abs(self.hard_negative_weight) < float("inf")),
            ("energy_weight", "0 (off) or more", 0 <= self.energy_weight < float("inf")),
            ("energy_margin", "from 0 to 2", 0 <= self.energy_margin <= 2),
            ("contrastive_weight", "above 0", 0 < self.contrastive_weight < float("inf")),
            ("mlm_weight", "0 (off) or more", 0 <= self.mlm_weight < float("inf")),
            ("mlm_rate", "above 0 and below 1", 0 < self.mlm_rate < 1),
            ("learning_rate", "above 0", 0 < self.learning_rate < float("inf")),
            ("warmup", "from 0 to 1", 0 <= self.warmup <= 1),
            ("batch_size", "2 or more, or a step has no in-batch negative", self.batch_size >= 2),
            ("mini_batch_size", "0 (off) or more", self.mini_batch_size >= 0),
            ("epochs", "1 or more", self.epochs >= 1),
            ("trained_share", "above 0 and at most 1", 0 < self.trained_share <= 1),
            ("eval_steps", "1 or more", self.eval_steps >= 1),
            ("seed", "0 or more", 0 <= self.seed < 2**32),
        ):
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be {legal}")
        if self.energy_weight and not self.hard_negatives:
            raise ConfigError(
                "energy_weight needs hard_negatives; set energy_weight=0 without them"
            )
        if self.trained_share < 1 and (self.prefix_tokens or self.pooling is Pooling.CLS):
            raise ConfigError(
                "trained_share must be 1 with prefix_tokens or pooling=cls: fresh weights have no "
                "earlier ones to be averaged with"
            )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Build a config from names and values as a command line, YAML or JSON gives them.

        Raises:
            ConfigError: an unknown name, profile or choice, or a value of the wrong type.
        """
        known = {field.name: field.type for field in fields(cls)}
        unknown = sorted(params.keys() - known)
        if unknown:
            raise ConfigError(f"unknown setting {', '.join(unknown)}; known: {', '.join(known)}")
        profile = str(params.get("profile", cls.profile))
        merged = {**load_profile(profile), **params, "profile": profile}
        return cls(**{name: _coerce(name, known[name], value) for name, value in merged.items()})

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any]) -> Self:
        """Build a config from a notebook's `globals()`: whatever the parameters cells have set.

        papermill only warns about a parameter that no cell knows and runs on with the defaults.
        Here every public plain value in the namespace must be a setting, so a misspelt name fails
        in the second cell. In Colab the first cell has looked for a GPU; the profile that suits it
        stands in for the default one.

        Raises:
            ConfigError: as `from_params`.
        """
        params = {
            name: value
            for name, value in namespace.items()
            if not name.startswith("_")
            and name not in _IPYTHON_NAMES
            and isinstance(value, str | int | float | list | dict | None)
        }
        if params.get("profile") == cls.profile and namespace.get("_gpu_profile"):
            params["profile"] = namespace["_gpu_profile"]
        return cls.from_params(params)

    def to_dict(self) -> dict[str, Any]:
        """Names and plain values, as saved in `config.json`."""
        return asdict(self)

    @property
    def run_name(self) -> str:
        """Folder name of this run: the profile and a digest, so no two configs share one."""
        canonical = json.dumps(self.to_dict(), sort_keys=True)
        return f"{self.profile}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"


def profile_names() -> list[str]:
    """Names that `--profile` and the `profile` parameter take."""
    folder = resources.files("simgpt") / "profiles"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load_profile(name: str) -> dict[str, Any]:
    """Settings that the profile `name` fills in.

    Raises:
        ConfigError: there is no such profile.
    """
    if name not in profile_names():
        raise ConfigError(f"unknown profile {name!r}; known: {', '.join(profile_names())}")
    text = (resources.files("simgpt") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _coerce(name: str, kind: Any, value: Any) -> Any:
    """Bring `value` to the type `kind`: YAML hands "5e-5" over as text, `--set` everything."""
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise ConfigError(f"{name} is {value!r}; it must be one of: {', '.join(kind)}")
        return kind(value)
    if kind is str:
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{name} is {value!r}; it must be text")
        return value
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ConfigError(f"{name} is {value!r}; it must be true or false")
        return str(value).lower() == "true"
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = float("nan")
    if kind is int and number.is_integer():
        return int(number)
    if kind is float and number == number:
        return number
    legal = "a whole number" if kind is int else "a number"
    raise ConfigError(f"{name} is {value!r}; it must be {legal}")
