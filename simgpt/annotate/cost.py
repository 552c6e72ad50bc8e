"""What annotation costs: dated prices, and a budget while it runs."""

import asyncio
import math
import tomllib
from dataclasses import dataclass, replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from simgpt.annotate.requests import Answer, Request
from simgpt.errors import SimgptError
from simgpt.files import read_text

PRICES = Path(str(resources.files("simgpt") / "annotate" / "prices.toml"))
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
        while not self.fits(most_usd):
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

    def fits(self, usd: float) -> bool:
        """May this be spent beside what is spent and set aside?"""
        return self.limit_usd is None or self.spent_usd + self._held + usd <= self.limit_usd


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
