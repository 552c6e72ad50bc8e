"""What is saved by annotating once instead of asking a large language model about every pair.

Asking costs the same for each pair, for ever. An encoder costs once (annotation and training) and
then next to nothing for a pair, so from some number of pairs on it is cheaper: the break-even.
"""

import math
import statistics
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from simgpt.annotate.cost import Price, price_of
from simgpt.annotate.estimate import Interval, annotation_tokens, expected_tokens
from simgpt.annotate.prompting import PAIR, load_prompt
from simgpt.annotate.requests import Sampling, Setup
from simgpt.annotate.scoring import load_scoring_prompt
from simgpt.errors import SimgptError
from simgpt.files import read_jsonl, read_text
from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS, read_triplets

MACHINE = Path(str(resources.files("simgpt") / "annotate" / "machine.toml"))
# Models that answer at once. Those that reason first charge for that too, and how much they reason
# cannot be told beforehand.
MODELS = (
    "gpt-4",
    "gpt-4-turbo",
    "gpt-3.5-turbo",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
)
KINDS = ("captions", "questions", "multi_genre")  # the annotation prompts, in equal parts
PAPER_SENTENCES = 371_000
LOCAL = "local"

NOT_COUNTED = (
    "labour: writing prompts, reading samples, keeping either system running",
    "quality: a language model that scores pairs may order them better or worse than the encoder",
    "discounts for batches and cached prompts, and several pairs in one request, which share the "
    "instructions",
    "runs that failed or were made to choose settings, and the machine's idle hours; the rented "
    "machine is taken to be as fast as the one that was measured",
    "what GPT-4 charged the paper's authors, which the paper does not say: list prices of the day "
    "given are put on estimated tokens",
)


@dataclass(frozen=True)
class Machine:
    """A machine for the encoder, its price in US dollars, and where that comes from."""

    name: str
    usd_per_hour: float
    source: str

    def usd(self, seconds: float) -> float:
        """What so many seconds cost."""
        return seconds / 3600 * self.usd_per_hour


def load_machine(usd_per_hour: float | None = None) -> Machine:
    """The bundled machine price, or one's own.

    Raises:
        SimgptError: one's own is negative or not finite.
    """
    if usd_per_hour is None:
        content = tomllib.loads(read_text(MACHINE))
        as_of: date = content["as_of"]
        return Machine(content["name"], content["usd_per_hour"], f"{content['source']}, {as_of}")
    if not 0 <= usd_per_hour < math.inf:
        raise SimgptError(
            f"--machine-usd-per-hour is {usd_per_hour}; it must be a number from 0 up"
        )
    return Machine("a machine of your own", usd_per_hour, "given on the command line")


def break_even_pairs(*, one_off: float, llm: float, encoder: float) -> float | None:
    """From how many pairs on the encoder is cheaper, one-off cost included.

    Args:
        one_off: What the encoder costs before its first pair.
        llm: What the language model costs for a pair, in the same unit: dollars or seconds.
        encoder: What the encoder costs for a pair.

    Returns:
        one_off / (llm - encoder); None where the encoder is not cheaper by the pair.
    """
    return one_off / (llm - encoder) if llm > encoder else None


def break_even_sentences(
    *, one_off: float, llm: float, sentence: float, cosine: float
) -> float | None:
    """From how many sentences on, all compared with all, the encoder is cheaper.

    n sentences make n (n - 1) / 2 pairs, each of which the language model reads; the encoder reads
    n sentences, and a pair is a cosine. So with g = (llm - cosine) / 2, n is the positive root of
    g n^2 - (g + sentence) n - one_off = 0.

    Args:
        one_off: As for `break_even_pairs`.
        llm: As for `break_even_pairs`.
        sentence: What the encoder costs for a sentence.
        cosine: What it costs for a pair whose vectors are at hand.

    Returns:
        The root, seldom a whole number; None where a cosine is not cheaper than asking.
    """
    if llm <= cosine:
        return None
    gain = (llm - cosine) / 2
    middle = gain + sentence
    return (middle + math.sqrt(middle**2 + 4 * gain * one_off)) / (2 * gain)


def reckon(
    encoders: Mapping[str, Mapping[str, Any]],
    *,
    machine: Machine,
    training: Mapping[str, Any] | None = None,
    llm: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Cost by the pair, one-off cost and break-even, in US dollars.

    Args:
        encoders: As `simgpt.speed.measure_speed` measures them: `sentences_per_s`, `pairs_per_s`
            and `cosines_per_s` by label. The slowest one is reckoned with.
        machine: What an hour of the machine costs on which they were measured.
        training: `seconds` and `triplets` of one training; None where it is not known, and then
            it is not counted. Other numbers of triplets are taken to need time in proportion.
        llm: A local model's speed on the same machine, as `simgpt.llm_speed.measure_llm` measures
            it. Its break-even is one in time, and so one in dollars.

    Returns:
        `llm_priced`: by model its price, tokens, and dollars for a million pairs and for one
        annotation. `encoder_usd_per_million_pairs` by label. `one_off`, for as many sentences as
        the bundle has and as the paper: `training_s`, `training_usd`, `usd` by model, and
        `local_s`, the local model's time for annotation and that of training.
        `break_even`, for both: `pairs` and `sentences` by model, each with bounds; and the label
        of the `encoder`. `local_usd_per_million_pairs`, `machine`, `not_counted`.
    """
    label = min(encoders, key=lambda name: float(encoders[name]["pairs_per_s"]))
    encoder_s = {
        what: 1 / float(encoders[label][f"{what}s_per_s"])
        for what in ("pair", "sentence", "cosine")
    }
    encoder_usd = {what: machine.usd(seconds) for what, seconds in encoder_s.items()}
    priced = _prices()
    one_off: dict[str, Any] = {}
    break_even: dict[str, Any] = {"encoder": label}
    bundled = sum(1 for _ in read_triplets(BUNDLED_TRIPLETS))
    for name, count in (("bundled", bundled), ("paper", PAPER_SENTENCES)):
        training_s = training["seconds"] * count / training["triplets"] if training else None
        training_usd = machine.usd(training_s or 0.0)
        once = {
            model: Interval(**row["usd_per_annotation"]) * count + _exactly(training_usd)
            for model, row in priced.items()
        }
        break_even[name] = {
            model: _break_even(
                once[model], Interval(**row["usd_per_million_pairs"]) * 1e-6, encoder_usd
            )
            for model, row in priced.items()
        }
        local_s = None
        if llm is not None:
            local_s = count / llm["annotating"]["sentences_per_s"] + (training_s or 0.0)
            once[LOCAL] = _exactly(machine.usd(local_s))
            pair_s = 1 / llm["scoring"]["pairs_per_s"]
            break_even[name][LOCAL] = _break_even(_exactly(local_s), _exactly(pair_s), encoder_s)
        one_off[name] = {
            "sentences": count,
            "training_s": training_s,
            "training_usd": training_usd,
            "local_s": local_s,
            "usd": {model: asdict(usd) for model, usd in once.items()},
        }
    return {
        "llm_priced": priced,
        "local_usd_per_million_pairs": (
            1e6 * machine.usd(1 / llm["scoring"]["pairs_per_s"]) if llm else None
        ),
        "encoder_usd_per_million_pairs": {
            name: 1e6 * machine.usd(1 / measured["pairs_per_s"])
            for name, measured in encoders.items()
        },
        "machine": asdict(machine),
        "one_off": one_off,
        "break_even": break_even,
        "not_counted": list(NOT_COUNTED),
    }


def _exactly(value: float) -> Interval:
    return Interval(value, value, value)


def _break_even(once: Interval, pair: Interval, encoder: Mapping[str, float]) -> dict[str, Any]:
    """Pairs and sentences; the bounds take each cost at the end that moves them furthest."""
    ends = {
        "low": (once.low, pair.high),
        "middle": (once.middle, pair.middle),
        "high": (once.high, pair.low),
    }
    return {
        "pairs": {
            end: break_even_pairs(one_off=one_off, llm=llm, encoder=encoder["pair"])
            for end, (one_off, llm) in ends.items()
        },
        "sentences": {
            end: break_even_sentences(
                one_off=one_off, llm=llm, sentence=encoder["sentence"], cosine=encoder["cosine"]
            )
            for end, (one_off, llm) in ends.items()
        },
    }


def training_of(model: Mapping[str, Any]) -> dict[str, Any] | None:
    """How long training took: `seconds`, `triplets` and `runs`; None where it is not known.

    Args:
        model: As `simgpt.evaluate.scored.describe_model` describes it. A model that was not
            trained here is taken to need what the runs behind the headline did (their median).
    """
    from simgpt.report import RESULTS, headline

    if "training" in model:
        records = [model["training"]]
    elif (RESULTS / "headline").is_dir():
        records = [run.content["model"]["training"] for run in headline(RESULTS).trained]
    else:
        return None
    return {
        "seconds": statistics.median(record["seconds"] for record in records),
        "triplets": records[0]["triplets"]["count"],
        "runs": len(records),
    }


def _prices() -> dict[str, dict[str, Any]]:
    """By model, what one pair and one annotation take in tokens and in dollars."""
    pairs = [row for _, row in read_jsonl(BUNDLED_DEV_PAIRS)]
    size = sum(len(row[key].encode()) for row in pairs for key in PAIR)
    scoring, annotating = load_scoring_prompt(), [load_prompt(kind) for kind in KINDS]
    rows = {}
    for model in MODELS:
        price = price_of(model)
        setup = Setup("", model, scoring, Sampling(max_tokens=8))
        *totals, basis = expected_tokens(setup, len(pairs), size)
        pair = [tokens * (1 / len(pairs)) for tokens in totals]
        shared, _, _ = expected_tokens(setup, 1, 0)
        *annotation, _ = annotation_tokens([Setup("", model, prompt) for prompt in annotating])
        rows[model] = {
            "usd_per_million_tokens": {"input": price.input, "output": price.output},
            "source": price.source,
            "basis": basis,
            "pair_tokens": _tokens(*pair),
            "shared_tokens": shared.middle,  # of a pair's: the instructions, the same each time
            "annotation_tokens": _tokens(*annotation),
            "usd_per_million_pairs": asdict(_usd(price, *pair) * 1e6),
            "usd_per_annotation": asdict(_usd(price, *annotation)),
        }
    return rows


def _tokens(inputs: Interval, outputs: Interval) -> dict[str, Any]:
    return {"input": asdict(inputs), "output": asdict(outputs)}


def _usd(price: Price, inputs: Interval, outputs: Interval) -> Interval:
    return inputs * (price.input / 1e6) + outputs * (price.output / 1e6)
