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
    """How token vectors become one sentence vector."""

    MEAN = "mean"
    CLS = "cls"


class Selector(StrEnum):
    """The development set whose Spearman picks the checkpoint. Never a test set."""

    BUNDLED = "bundled"
    STSB_DEV = "stsb_dev"


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
        pooling: Sentence vector of a backbone that brings no pooling of its own.
        temperature: Divides every cosine in the loss (paper: 0.05).
        hard_negative_weight: Logit added to each anchor's own hard negative (paper: 0 base, 0.8
            large).
        learning_rate: Peak learning rate of AdamW.
        warmup: Fraction of the steps in which the rate rises linearly; it then falls to zero.
        batch_size: Triplets a step. Each adds one in-batch and one hard negative to all others.
        epochs: Passes over the triplets.
        trained_share: Share of the trained weights in the saved ones, the rest being the
            backbone's; 1 saves the trained weights as they are (paper: 1).
        evals_per_epoch: How often an epoch is stopped to score the development set.
        selector: Development set that picks the checkpoint: `bundled` or `stsb_dev`.
        benchmarks: `auto`, `bundled` (the development pairs; no benchmark), or a folder in
            SentEval's layout.
        teacher: Model that the live cell of the chapter on annotation asks, where OPENAI_API_KEY or
            OPENAI_BASE_URL is set; without them nobody is asked.
        seed: Seeds sampling, data order and dropout.
    """

    profile: str = "smoke"
    backbone: str = "bundled"
    triplets: str = "bundled"
    max_triplets: int = 0
    max_tokens: int = 32
    pooling: Pooling = Pooling.MEAN
    temperature: float = 0.05
    hard_negative_weight: float = 0.0
    learning_rate: float = 5e-5
    warmup: float = 0.1
    batch_size: int = 64
    epochs: int = 1
    trained_share: float = 1.0
    evals_per_epoch: int = 4
    selector: Selector = Selector.BUNDLED
    benchmarks: str = "auto"
    teacher: str = "gpt-4o-mini"
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse values that no run could use."""
        for name, legal, holds in (
            ("max_triplets", "0 (all) or more", self.max_triplets >= 0),
            ("max_tokens", "3 or more", self.max_tokens >= 3),
            ("temperature", "above 0", self.temperature > 0),
            ("hard_negative_weight", "finite", abs(self.hard_negative_weight) < float("inf")),
            ("learning_rate", "above 0", 0 < self.learning_rate < float("inf")),
            ("warmup", "from 0 to 1", 0 <= self.warmup <= 1),
            ("batch_size", "2 or more, or a step has no in-batch negative", self.batch_size >= 2),
            ("epochs", "1 or more", self.epochs >= 1),
            ("trained_share", "above 0 and at most 1", 0 < self.trained_share <= 1),
            ("evals_per_epoch", "1 or more", self.evals_per_epoch >= 1),
            ("seed", "0 or more", 0 <= self.seed < 2**32),
        ):
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be {legal}")

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
        in the second cell.

        Raises:
            ConfigError: as `from_params`.
        """
        return cls.from_params(
            {
                name: value
                for name, value in namespace.items()
                if not name.startswith("_")
                and name not in _IPYTHON_NAMES
                and isinstance(value, str | int | float | list | dict | None)
            }
        )

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
