"""What annotation costs: dated prices, an estimate beforehand, and a budget while it runs."""

import asyncio
import math
import statistics
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from simgpt.annotate.ledger import Ledger
from simgpt.annotate.prompting import answer_text
from simgpt.annotate.requests import Answer, Request, Setup
from simgpt.errors import SimgptError
from simgpt.files import read_text
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets

PRICES = Path(str(resources.files("simgpt") / "annotate" / "prices.toml"))
PILOT = 20  # answers from which their length is known well enough

# UTF-8 bytes to a token: the bundled prompts have 4.2 to 4.6 with OpenAI's tokenisers, and
# sentences on their own vary more. Used only where nothing better is at hand.
_BYTES_PER_TOKEN, _FEWEST_BYTES, _MOST_BYTES = 4.4, 3.5, 5.5
_LENGTH_DOUBT = (0.7, 1.6)  # another model may write shorter or longer answers than the bundle's
# Rounding leaves crumbs when what was set aside is taken back in other portions.
_NOTHING_USD = 1e-6


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, and where the figures come from."""

    input: float
    output: float
    cached_input: float | None = None
    batch_factor: float = 0.5
    source: str = ""

    def usd(self, answer: Answer) -> float | None:
        """What an answer cost; None where the server did not count its tokens."""
        if not self.input and not self.output:
            return 0.0
        if answer.input_tokens is None or answer.output_tokens is None:
            return None
        cached = min(answer.cached_tokens or 0, answer.input_tokens)
        if self.cached_input is None:
            cached = 0
        return (
            (answer.input_tokens - cached) * self.input
            + cached * (self.cached_input or 0.0)
            + answer.output_tokens * self.output
        ) / 1e6

    def most_usd(self, request: Request) -> float:
        """No answer to `request` can cost more."""
        setup = request.setup
        most_input = setup.most_input_tokens(request.inputs)
        dearest = max(self.input, self.cached_input or 0.0)
        return (most_input * dearest + setup.sampling.max_tokens * self.output) / 1e6

    def in_batch(self) -> "Price":
        """The price through the Batch API."""
        cached = self.cached_input
        return replace(
            self,
            input=self.input * self.batch_factor,
            output=self.output * self.batch_factor,
            cached_input=None if cached is None else cached * self.batch_factor,
        )


FREE = Price(0.0, 0.0, source="nothing is charged")


def parse_price(text: str) -> Price:
    """A price as `--price` takes it: `0`, or `INPUT/OUTPUT` in dollars per million tokens.

    Raises:
        SimgptError: it is neither.
    """
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    legal = all(math.isfinite(number) and number >= 0 for number in numbers)
    if not legal or not (len(numbers) == 2 or numbers == [0.0]):
        raise SimgptError(
            f"--price {text!r}: give INPUT/OUTPUT in dollars per million tokens, as in 0.15/0.60, "
            "or 0 for a model that costs nothing"
        )
    return Price(numbers[0], numbers[-1], source="given with --price")


def load_prices(path: Path = PRICES) -> dict[str, Price]:
    """Prices by model, from a dated file.

    Raises:
        SimgptError: the file is missing, not TOML, or lacks its date, its source or a price.
    """
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SimgptError(f"{path}: not valid TOML ({error})") from error
    as_of, source = content.get("as_of"), content.get("source")
    if not isinstance(as_of, date) or not isinstance(source, str):
        raise SimgptError(f"{path}: as_of must be a date and source must be text")
    factor = _number(content.get("batch_factor", 1.0), f"{path}: batch_factor")
    models = content.get("models")
    if not isinstance(models, dict) or not models:
        raise SimgptError(f'{path}: holds no [models."NAME"] table')
    return {
        name: _price(row, f'{path}: models."{name}"', factor, f"{source}, {as_of}")
        for name, row in models.items()
    }


def price_of(model: str, path: Path = PRICES) -> Price:
    """The price of `model`.

    Raises:
        SimgptError: the file does not know it: an unknown price is not zero.
    """
    prices = load_prices(path)
    if model not in prices:
        raise SimgptError(
            f"the price of {model!r} is not known; give it with --price INPUT/OUTPUT in dollars "
            "per million tokens (0 for a model of your own), or a file with --prices; known: "
            + ", ".join(prices)
        )
    return prices[model]


class BudgetReached(Exception):
    """The next call might cost more than what is left."""


class Budget:
    """Money that may be spent. Calls under way count with the most that they can cost."""

    def __init__(self, limit_usd: float | None, spent_usd: float) -> None:
        """`spent_usd` is what the ledger holds already; without a limit everything fits."""
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self._held = 0.0
        self._changed = asyncio.Event()

    async def hold(self, most_usd: float) -> None:
        """Set aside the most that a call can cost; wait while calls under way may free some.

        Raises:
            BudgetReached: it does not fit, and nothing under way will change that.
        """
        while not self._fits(most_usd):
            if self._held < _NOTHING_USD:
                raise BudgetReached
            self._changed.clear()
            await self._changed.wait()
        self._held += most_usd

    def settle(self, most_usd: float, usd: float | None) -> None:
        """Replace what was set aside by what was charged; unknown charges count in full."""
        self._held = max(0.0, self._held - most_usd)
        self.spent_usd += most_usd if usd is None else usd
        self._changed.set()

    def reclaim(self, most_usd: float) -> None:
        """Set aside again what the ledger counts as spent for calls that are still under way."""
        self.spent_usd -= most_usd
        self._held += most_usd

    def _fits(self, usd: float) -> bool:
        return self.limit_usd is None or self.spent_usd + self._held + usd <= self.limit_usd


@dataclass(frozen=True)
class Interval:
    """A figure with the bounds between which it is expected."""

    low: float
    middle: float
    high: float

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> "Interval":
        return Interval(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True)
class Estimate:
    """What asking the rest would take.

    Attributes:
        requests: Requests that have no answer yet.
        input_tokens: Tokens of their prompts.
        output_tokens: Tokens of their answers.
        usd: Price of one call each.
        batch_usd: Price through the Batch API.
        basis: What the figures rest on.
    """

    requests: int
    input_tokens: Interval
    output_tokens: Interval
    usd: Interval
    batch_usd: Interval
    basis: str


def estimate(setups: Sequence[tuple[Setup, int, int]], price: Price, ledger: Ledger) -> Estimate:
    """Estimate what is left to pay.

    Args:
        setups: Each setup with the number of its open requests and the bytes of what they are
            about.
        price: Price per token.
        ledger: Answers to a setup that are in it, a pilot's for example, beat any guess.

    The intervals hold the total with 95% where it rests on a pilot (a prediction interval for a
    sum, from the spread of the pilot's answers). Where it rests on lengths of text they are wide
    bounds rather than a probability.
    """
    total = Interval(0, 0, 0)
    inputs, outputs, bases = total, total, []
    for setup, count, size in setups:
        usage = ledger.usage(setup)
        if len(usage) >= PILOT:
            sizes = [of for of, _, _ in usage]
            inputs += _predicted(sizes, [tokens for _, tokens, _ in usage], count, size)
            outputs += _predicted(sizes, [tokens for _, _, tokens in usage], count, size)
            bases.append(f"{setup.prompt.name}: {len(usage)} answers in the ledger")
            continue
        counted, how = _input_tokens(setup, count, size)
        inputs += counted
        low, high = _LENGTH_DOUBT
        likely = count * min(_bundled_answer_tokens(), setup.sampling.max_tokens)
        outputs += Interval(likely * low, likely, likely * high)
        bases.append(f"{setup.prompt.name}: {how}; answers as long as the bundle's")

    usd = inputs * (price.input / 1e6) + outputs * (price.output / 1e6)
    return Estimate(
        requests=sum(count for _, count, _ in setups),
        input_tokens=inputs,
        output_tokens=outputs,
        usd=usd,
        batch_usd=usd * price.batch_factor,
        basis="; ".join(bases),
    )


def _predicted(sizes: Sequence[int], tokens: Sequence[int], count: int, size: int) -> Interval:
    """95% prediction interval for the tokens of `count` more requests, about `size` bytes in all.

    A pilot is seldom a fair sample: it takes the first sentences, which may be shorter than the
    rest. So tokens y are predicted from bytes x by least squares, y = a + b x, over the pilot's n
    answers; with S = sum of (x - mean x)^2 and s^2 the residuals' variance, the total of m more has
    the variance s^2 (m + m^2 / n + m^2 (mean of the new x - mean x)^2 / S).
    """
    from scipy.stats import t

    n, mean_x, mean_y = len(sizes), statistics.fmean(sizes), statistics.fmean(tokens)
    square = sum((x - mean_x) ** 2 for x in sizes)
    slope = (
        sum((x - mean_x) * y for x, y in zip(sizes, tokens, strict=True)) / square if square else 0
    )
    residuals = [y - mean_y - slope * (x - mean_x) for x, y in zip(sizes, tokens, strict=True)]
    freedom = n - 2 if square else n - 1
    variance = sum(residual**2 for residual in residuals) / freedom
    away = size / count - mean_x
    middle = count * (mean_y + slope * away)
    factor = count + count**2 / n + (count**2 * away**2 / square if square else 0)
    half = float(t.ppf(0.975, freedom)) * math.sqrt(variance * factor)
    return Interval(max(0.0, middle - half), middle, middle + half)


def _input_tokens(setup: Setup, count: int, size: int) -> tuple[Interval, str]:
    """Tokens of `count` prompts that are about `size` bytes of text together."""
    fixed = count_tokens(setup.prompt.text, setup.model)
    if fixed is not None:
        # The prompt is counted; the sentences, its smallest part, are taken from their length.
        sentences = [size / per for per in (_MOST_BYTES, _BYTES_PER_TOKEN, _FEWEST_BYTES)]
        return (
            Interval(*(count * fixed + tokens for tokens in sentences)),
            "prompt counted with tiktoken",
        )
    whole = count * len(setup.prompt.text.encode()) + size
    tokens = [whole / per for per in (_MOST_BYTES, _BYTES_PER_TOKEN, _FEWEST_BYTES)]
    return Interval(*tokens), "tokens estimated from bytes"


@cache
def count_tokens(text: str, model: str) -> int | None:
    """Tokens of `text` by OpenAI's tokeniser for `model`; None where it is not to be had.

    tiktoken knows OpenAI's models only, and fetches a tokeniser's table when it is first used.
    """
    try:
        import tiktoken

        return len(tiktoken.encoding_for_model(model).encode(text))
    except Exception:  # an unknown model, no network: tiktoken raises from several libraries
        return None


@cache
def _bundled_answer_tokens() -> float:
    lengths: Iterable[int] = (
        len(answer_text(triplet.similar, triplet.dissimilar).encode())
        for triplet in read_triplets(BUNDLED_TRIPLETS)
    )
    return statistics.fmean(lengths) / _BYTES_PER_TOKEN


def _price(row: Any, where: str, batch_factor: float, source: str) -> Price:
    if not isinstance(row, dict) or not {"input", "output"} <= row.keys():
        raise SimgptError(f"{where}: input and output are needed, in dollars per million tokens")
    numbers = {name: _number(value, f"{where}: {name}") for name, value in row.items()}
    unknown = numbers.keys() - {"input", "output", "cached_input", "batch_factor"}
    if unknown:
        raise SimgptError(f"{where}: unknown {', '.join(sorted(unknown))}")
    return Price(
        numbers["input"],
        numbers["output"],
        numbers.get("cached_input"),
        numbers.get("batch_factor", batch_factor),
        source,
    )


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise SimgptError(f"{where} is {value!r}; it must be a number from 0 up")
    return float(value)
