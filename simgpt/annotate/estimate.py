"""What annotation would cost: tokens counted or predicted, and priced."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from simgpt.annotate.cost import Price, load_prices
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.prompting import PAIR, Prompt, answer_text
from simgpt.annotate.requests import Setup
from simgpt.markdown import Row
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets

PILOT = 20  # answers from which their length is known well enough

# UTF-8 bytes to a token: the bundled prompts have 4.2 to 4.6 with OpenAI's tokenisers, and
# sentences on their own vary more. Used only where nothing better is at hand.
_BYTES_PER_TOKEN, _FEWEST_BYTES, _MOST_BYTES = 4.4, 3.5, 5.5
_LENGTH_DOUBT = (0.7, 1.6)  # another model may write shorter or longer answers than the bundle's
# A score is one token, or three with its decimal: the digit, the point and the digit after it.
_SCORE_TOKENS = (1, 3)


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
        asked, answered, how = expected_tokens(setup, count, size)
        inputs += asked
        outputs += answered
        bases.append(f"{setup.prompt.name}: {how}")

    usd = inputs * (price.input / 1e6) + outputs * (price.output / 1e6)
    return Estimate(
        requests=sum(count for _, count, _ in setups),
        input_tokens=inputs,
        output_tokens=outputs,
        usd=usd,
        batch_usd=usd * price.batch_factor,
        basis="; ".join(bases),
    )


def expected_tokens(setup: Setup, count: int, size: int) -> tuple[Interval, Interval, str]:
    """Tokens of `count` requests that nobody has asked yet, and of the answers to them.

    Args:
        setup: How they are asked. Its model picks the tokeniser, where that is to be had.
        count: Requests.
        size: Bytes of what they are about, together.

    Returns:
        Tokens in, tokens out, and what the figures rest on.
    """
    inputs, how = _input_tokens(setup, count, size)
    if setup.prompt.places == PAIR:
        low, middle = _SCORE_TOKENS
        outputs = Interval(low, middle, max(middle, setup.sampling.max_tokens)) * count
        return inputs, outputs, f"{how}; answers are a number"
    low_share, high_share = _LENGTH_DOUBT
    likely = count * min(_bundled_bytes()[1] / _BYTES_PER_TOKEN, setup.sampling.max_tokens)
    outputs = Interval(likely * low_share, likely, likely * high_share)
    return inputs, outputs, f"{how}; answers as long as the bundle's"


def annotation_tokens(setups: Sequence[Setup]) -> tuple[Interval, Interval, str]:
    """Tokens in and out for one sentence, as `expected_tokens` gives them.

    Setups are taken in equal parts; the sentence and the answer have the bundle's mean length.
    """
    count, size = 1000, round(1000 * _bundled_bytes()[0])
    inputs = outputs = Interval(0, 0, 0)
    how = ""
    for setup in setups:
        asked, answered, how = expected_tokens(setup, count, size)
        share = 1 / (count * len(setups))
        inputs, outputs = inputs + asked * share, outputs + answered * share
    return inputs, outputs, how


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
    own = _own_text(setup.prompt)
    fixed = count_tokens(own, setup.model)
    if fixed is not None:
        # OpenAI's chat form adds three tokens to each message and three to the whole.
        fixed += 3 * (max(1, len(setup.prompt.turns)) + 1)
        # The prompt is counted; the sentences, its smallest part, are taken from their length.
        sentences = [size / per for per in (_MOST_BYTES, _BYTES_PER_TOKEN, _FEWEST_BYTES)]
        return (
            Interval(*(count * fixed + tokens for tokens in sentences)),
            "prompt counted with tiktoken",
        )
    whole = count * len(own.encode()) + size
    tokens = [whole / per for per in (_MOST_BYTES, _BYTES_PER_TOKEN, _FEWEST_BYTES)]
    return Interval(*tokens), "tokens estimated from bytes"


def _own_text(prompt: Prompt) -> str:
    """A prompt's text without the places for what is asked about."""
    text = prompt.text
    for place in prompt.places:
        text = text.replace(f"{{{place}}}", "")
    return text


@cache
def count_tokens(text: str, model: str) -> int | None:
    """Tokens of `text` by OpenAI's tokeniser for `model`; None where it is not to be had.

    tiktoken knows OpenAI's models only, and fetches a tokeniser's table when it is first used.
    """
    import tiktoken

    try:
        encoding = _encoding(tiktoken.encoding_name_for_model(model))
    except KeyError:
        return None
    return None if encoding is None else len(encoding.encode(text))


@cache
def _encoding(name: str) -> Any | None:
    """A tokeniser, which several models share; where it is not to be had, it is tried once only."""
    import tiktoken

    try:
        return tiktoken.get_encoding(name)
    except Exception:  # no network, no place to keep the table: it raises from several libraries
        return None


def cost_table(count: int, prompts: Sequence[Prompt]) -> list[Row]:
    """Dollars for `count` sentences by model, at the bundled prices: one row a model.

    Prompts are taken in equal parts. Tokens are reckoned from bytes; sentences and answers have the
    bundle's mean length.
    """
    fixed = statistics.fmean(len(_own_text(prompt).encode()) for prompt in prompts)
    sentence, answer = _bundled_bytes()
    tokens_in = count * (fixed + sentence) / _BYTES_PER_TOKEN
    tokens_out = count * answer / _BYTES_PER_TOKEN
    rows = []
    for model, price in load_prices().items():
        usd = (tokens_in * price.input + tokens_out * price.output) / 1e6
        rows.append(
            {
                "model": model,
                "input, $ per million tokens": price.input,
                "output, $ per million tokens": price.output,
                "one call each, $": usd,
                "Batch API, $": usd * price.batch_factor,
            }
        )
    return sorted(rows, key=lambda row: float(row["one call each, $"]))


@cache
def _bundled_bytes() -> tuple[float, float]:
    """Mean bytes of the bundle's sentences and of the answers to them."""
    lengths = [
        (len(t.sentence.encode()), len(answer_text(t.similar, t.dissimilar).encode()))
        for t in read_triplets(BUNDLED_TRIPLETS)
    ]
    sentences, answers = zip(*lengths, strict=True)
    return statistics.fmean(sentences), statistics.fmean(answers)
