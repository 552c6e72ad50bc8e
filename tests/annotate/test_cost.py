import asyncio
import random
import sys
from datetime import date
from types import SimpleNamespace

import pytest

from simgpt import SimgptError
from simgpt.annotate import FREE, Price, Prompt, Sampling, load_prices, parse_price, price_of
from simgpt.annotate.cost import PRICES, Budget, BudgetReached
from simgpt.annotate.estimate import PILOT, estimate
from simgpt.annotate.prompting import load_prompt
from simgpt.annotate.requests import Answer, Setup
from simgpt.encoder import locate
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets

PRICE = Price(2.0, 10.0, cached_input=0.5)
OWN = Prompt("own", "Say it again: {sentence}")


def answer(prompt_tokens, answer_tokens, cached=None):
    return Answer(
        "x", input_tokens=prompt_tokens, cached_tokens=cached, output_tokens=answer_tokens
    )


@pytest.mark.parametrize(
    ("price", "given", "usd"),
    [
        (PRICE, answer(1000, 50), 0.0025),  # 1000 * 2 + 50 * 10 millionths
        (PRICE, answer(1000, 50, cached=0), 0.0025),
        (PRICE, answer(1000, 50, cached=400), 0.0019),  # 600 * 2 + 400 * 0.5 + 50 * 10
        (PRICE, answer(1000, 50, cached=1000), 0.001),
        (PRICE, answer(1000, 50, cached=9999), 0.001),  # no more than there are
        (Price(2.0, 10.0), answer(1000, 50, cached=400), 0.0025),  # no discount known
        (Price(0.0, 10.0), answer(1000, 50), 0.0005),
        (PRICE, answer(0, 0), 0.0),
        (PRICE, answer(None, None), None),
        (PRICE, answer(1000, None), None),
        (PRICE, answer(None, 50), None),
        (FREE, answer(None, None), 0.0),
        (FREE, answer(1000, 50), 0.0),
    ],
)
def test_an_answer_costs_its_tokens(price, given, usd):
    assert price.usd(given) == (None if usd is None else pytest.approx(usd, rel=1e-12))


def test_a_batch_costs_the_batch_factor_of_it():
    assert PRICE.in_batch().usd(answer(1000, 50, cached=400)) == pytest.approx(0.00095)
    assert Price(2.0, 10.0, batch_factor=1.0).in_batch().usd(answer(1000, 50)) == 0.0025
    assert Price(2.0, 10.0).in_batch().usd(answer(1000, 50, cached=400)) == 0.00125


def test_no_answer_within_the_limit_costs_more_than_the_most():
    rng = random.Random(5)
    sentence = "Zwölf Boxkämpfer jagen Viktor 👀 quer über den Sylter Deich."
    for _ in range(300):
        price = Price(
            rng.uniform(0, 30), rng.uniform(0, 60), rng.choice([None, rng.uniform(0, 40)])
        )
        setup = Setup("e", "m", load_prompt("captions"), Sampling(max_tokens=rng.randint(1, 300)))
        request = setup.request([sentence])
        most_input = len(request.text.encode())  # a token holds a byte or more
        tokens = rng.randint(0, most_input)
        given = answer(
            tokens, rng.randint(0, setup.sampling.max_tokens), rng.choice([None, 0, tokens])
        )
        assert price.usd(given) <= price.most_usd(request)


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("0", (0, 0)),
        ("0.15/0.60", (0.15, 0.6)),
        ("0/0", (0, 0)),
        ("0/3", (0, 3)),
        ("2 / 8", (2, 8)),
    ],
)
def test_a_price_is_read_from_text(text, prices):
    price = parse_price(text)
    assert (price.input, price.output) == prices
    assert price.source == "given with --price"


@pytest.mark.parametrize(
    "text", ["", "1", "free", "-1/2", "1/-2", "1/2/3", "nan/1", "inf/1", "1/", "/", "$1/$2", "1,2"]
)
def test_what_is_no_price_is_refused_with_what_is(text):
    with pytest.raises(SimgptError) as caught:
        parse_price(text)
    assert str(caught.value).startswith(f"--price {text!r}: give INPUT/OUTPUT")


def test_every_bundled_price_is_positive_and_says_where_it_comes_from():
    prices = load_prices()
    assert "gpt-4" in prices
    for price in prices.values():
        assert 0 < price.input < price.output
        assert price.cached_input is None or 0 < price.cached_input < price.input
        assert price.batch_factor == 0.5
        stated, _, day = price.source.rpartition(", ")
        assert "litellm" in stated.lower()
        assert date(2026, 1, 1) < date.fromisoformat(day) < date(2027, 1, 1)
    assert price_of("gpt-4").usd(answer(1000, 100)) == pytest.approx(0.036)


def test_an_unknown_price_is_not_zero():
    with pytest.raises(SimgptError, match=r"'my-model' is not known; .*--price.*known: .*gpt-4o"):
        price_of("my-model")


GOOD = """
as_of = 2026-01-02
source = "a list"
batch_factor = 0.25

[models."a"]
input = 1
output = 2.5

[models."b"]
input = 1
output = 2
cached_input = 0.5
batch_factor = 1
"""


@pytest.fixture
def prices(tmp_path):
    def write(content):
        path = tmp_path / "prices.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_a_price_file_of_ones_own_is_read(prices):
    path = prices(GOOD)
    assert load_prices(path) == {
        "a": Price(1.0, 2.5, None, 0.25, "a list, 2026-01-02"),
        "b": Price(1.0, 2.0, 0.5, 1.0, "a list, 2026-01-02"),
    }
    with pytest.raises(SimgptError, match="known: a, b$"):
        price_of("gpt-4", path)


def test_without_a_word_on_batches_they_cost_the_same(prices):
    path = prices(GOOD.replace("batch_factor = 0.25\n", ""))
    assert load_prices(path)["a"].batch_factor == 1.0


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("as_of = 2026-01-02", "", "as_of must be a date and source must be text"),
        ("2026-01-02", '"2026-01-02"', "as_of must be a date"),
        ('source = "a list"', "", "as_of must be a date and source must be text"),
        ("as_of =", "as_of", "not valid TOML"),
        (
            "batch_factor = 0.25",
            'batch_factor = "half"',
            "batch_factor is 'half'; it must be a num",
        ),
        (GOOD[GOOD.index("[models") :], "", 'holds no [models."NAME"] table'),
        ("input = 1\noutput = 2.5", "input = 1", 'models."a": input and output are needed'),
        (
            "input = 1\noutput = 2.5",
            "input = -1\noutput = 1",
            'models."a": input is -1; it must be',
        ),
        ("output = 2.5", "output = true", 'models."a": output is True; it must be a number'),
        ("output = 2.5", 'output = "2"', "models.\"a\": output is '2'; it must be a number"),
        ("output = 2.5", "output = nan", 'models."a": output is nan; it must be a number'),
        ("cached_input", "cache", 'models."b": unknown cache'),
    ],
)
def test_a_malformed_price_file_is_refused_with_file_and_key(prices, old, new, complaint):
    assert old in GOOD
    path = prices(GOOD.replace(old, new))
    with pytest.raises(SimgptError) as caught:
        load_prices(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_the_bundled_price_file_stands_beside_the_code():
    assert load_prices(PRICES) == load_prices()


def within(seconds, coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, seconds))


def test_calls_under_way_count_with_the_most_they_can_cost():
    async def main():
        budget = Budget(1.0, 0.25)
        await budget.hold(0.5)
        waiting = asyncio.create_task(budget.hold(0.5))
        await asyncio.sleep(0.01)
        assert not waiting.done()  # 0.25 spent + 0.5 under way + 0.5
        budget.settle(0.5, 0.125)
        await waiting
        assert budget.spent_usd == 0.375
        budget.settle(0.5, None)  # nobody knows what it cost
        assert budget.spent_usd == 0.875

    within(5, main())


def test_what_does_not_fit_and_never_will_ends_it():
    async def main():
        budget = Budget(1.0, 0.0)
        await budget.hold(1.0)
        waiting = [asyncio.create_task(budget.hold(0.5)) for _ in range(3)]
        await asyncio.sleep(0.01)
        budget.settle(1.0, 0.75)
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in found] == [BudgetReached] * 3
        await budget.hold(0.25)

    within(5, main())


def test_crumbs_of_rounding_keep_nobody_waiting():
    async def main():
        budget = Budget(1.0, 0.0)
        await budget.hold(0.1 + 0.2)  # a little more than the two that are taken back
        budget.settle(0.1, 0.0)
        budget.settle(0.2, 0.0)
        with pytest.raises(BudgetReached):
            await budget.hold(2.0)

    within(5, main())


def test_a_budget_of_nothing_lets_only_free_calls_through():
    async def main():
        budget = Budget(0.0, 0.0)
        await budget.hold(0.0)
        budget.settle(0.0, 0.0)
        with pytest.raises(BudgetReached):
            await budget.hold(0.001)
        unlimited = Budget(None, 1e9)
        await unlimited.hold(1e9)

    within(5, main())


def test_what_a_ledger_counts_as_spent_for_calls_under_way_is_set_aside_again():
    async def main():
        budget = Budget(1.0, 0.75)
        budget.reclaim(0.5)
        assert budget.spent_usd == 0.25
        waiting = asyncio.create_task(budget.hold(0.5))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        budget.settle(0.5, 0.125)
        await waiting
        assert budget.spent_usd == 0.375

    within(5, main())


@pytest.mark.parametrize("seed", range(4))
def test_spent_and_set_aside_never_exceed_the_budget(seed):
    """Random calls: they cost what was set aside, less, or nobody knows."""
    rng = random.Random(seed)
    limit, under_way, highest = 3.0, {}, 0.0
    budget = Budget(limit, 0.5)

    async def call(number):
        nonlocal highest
        most = rng.uniform(0.0, 0.2)
        await asyncio.sleep(rng.uniform(0, 0.02))
        try:
            await budget.hold(most)
        except BudgetReached:
            assert budget.spent_usd + sum(under_way.values()) + most > limit - 1e-9
            return 0
        under_way[number] = most
        highest = max(highest, budget.spent_usd + sum(under_way.values()))
        await asyncio.sleep(rng.uniform(0, 0.005))
        del under_way[number]
        budget.settle(most, rng.choice([most, rng.uniform(0, most), None, 0.0]))
        return 1

    async def main():
        return sum(await asyncio.gather(*(call(number) for number in range(200))))

    done = within(10, main())
    assert 0 < done < 200
    assert limit - 0.2 < highest <= limit + 1e-9
    assert limit - 0.2 < budget.spent_usd <= limit + 1e-9


class Pilot:
    """Stands in for a ledger that holds some answers."""

    def __init__(self, usage):
        self._usage = usage

    def usage(self, setup):
        return self._usage


def setup_of(prompt=OWN, model="no-tokeniser-knows-me", **sampling):
    return Setup("e", model, prompt, Sampling(**sampling))


def test_a_pilot_with_no_spread_predicts_exactly():
    found = estimate([(setup_of(), 1000, 9000)], Price(2.0, 10.0), Pilot([(9, 500, 40)] * PILOT))
    for interval, expected in (
        (found.input_tokens, 500_000),
        (found.output_tokens, 40_000),
        (found.usd, 1.4),
        (found.batch_usd, 0.7),
    ):
        assert [interval.low, interval.middle, interval.high] == pytest.approx([expected] * 3)
    assert found.requests == 1000


def test_the_interval_is_that_of_a_sum_of_further_draws():
    # Mean 30, standard deviation sqrt(2000 / 19); t(0.975, 19) = 2.0930; 80 more draws:
    # half = 2.0930 * 10.2598 * sqrt(80 + 80 * 80 / 20) = 429.5
    usage = [(9, 100, 20), (9, 100, 40)] * 10
    found = estimate([(setup_of(), 80, 720)], FREE, Pilot(usage)).output_tokens
    assert found.middle == 2400
    assert found.high - found.middle == pytest.approx(429.5, abs=0.1)
    assert found.middle - found.low == pytest.approx(429.5, abs=0.1)


def test_a_pilot_of_the_shorter_sentences_predicts_the_longer_ones():
    # Exactly 100 tokens and one for each two bytes; the pilot has 10 to 29 bytes, the rest 60.
    usage = [(size, 100 + size // 2, size // 2) for size in range(10, 50, 2)]
    found = estimate([(setup_of(), 10, 600)], FREE, Pilot(usage))
    assert found.input_tokens.middle == pytest.approx(1300)
    assert found.output_tokens.middle == pytest.approx(300)
    assert found.output_tokens.high - found.output_tokens.low == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("count", [50, 2000])
def test_the_interval_holds_the_true_total_95_times_in_a_hundred(count):
    import numpy as np

    rng = np.random.default_rng(count)
    hits = 0
    for _ in range(300):
        sizes = rng.integers(20, 90, size=30 + count)
        sizes[:30] = rng.integers(20, 60, size=30)  # the pilot's sentences are shorter
        tokens = (5 + sizes / 4 + rng.gamma(9, 1, size=30 + count)).astype(int)  # skewed
        pilot = [(int(x), 100, int(y)) for x, y in zip(sizes[:30], tokens[:30], strict=True)]
        rest = (setup_of(), count, int(sizes[30:].sum()))
        found = estimate([rest], Price(0.0, 1.0), Pilot(pilot))
        hits += found.usd.low * 1e6 <= tokens[30:].sum() <= found.usd.high * 1e6
    assert 0.91 <= hits / 300 <= 0.99


def test_estimates_of_several_setups_add_up():
    one, other = setup_of(), setup_of(load_prompt("captions"))
    ledger = SimpleNamespace(usage=lambda s: [(9, 10, 1) if s is one else (9, 100, 2)] * PILOT)
    found = estimate([(one, 5, 45), (other, 7, 63)], Price(1.0, 1.0), ledger)
    assert (found.requests, found.input_tokens.middle, found.output_tokens.middle) == (12, 750, 19)
    assert found.basis == "own: 20 answers in the ledger; captions: 20 answers in the ledger"


def test_nothing_to_ask_costs_nothing():
    found = estimate([], PRICE, Pilot([]))
    assert (found.requests, found.usd.high, found.batch_usd.high, found.basis) == (0, 0, 0, "")


def test_too_few_answers_are_no_pilot():
    usage = [(40, 500, 40 + n % 5) for n in range(PILOT)]
    sure = estimate([(setup_of(), 100, 4000)], PRICE, Pilot(usage))
    unsure = estimate([(setup_of(), 100, 4000)], PRICE, Pilot(usage[1:]))
    assert "20 answers in the ledger" in sure.basis
    assert "estimated from bytes" in unsure.basis
    for name in ("input_tokens", "output_tokens", "usd"):
        narrow, wide = getattr(sure, name), getattr(unsure, name)
        assert narrow.low <= narrow.middle <= narrow.high
        assert wide.low < wide.middle < wide.high
        assert (wide.high - wide.low) / wide.middle > (narrow.high - narrow.low) / narrow.middle


@pytest.mark.parametrize("name", ["captions", "questions.brief", "multi_genre.rater"])
def test_the_bounds_from_bytes_hold_the_tokens_of_a_real_tokeniser(name):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(locate("bundled") / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    prompt = load_prompt(name)
    kind = name.split(".")[0]
    rows = [row for row in read_triplets(BUNDLED_TRIPLETS) if row.source == kind][::200]
    asked = sum(len(tokenizer.encode(prompt.render(row.sentence)).ids) for row in rows)
    answered = sum(
        len(tokenizer.encode(f"1. {row.similar}\n2. {row.dissimilar}").ids) for row in rows
    )
    size = sum(len(row.sentence.encode()) for row in rows)
    found = estimate([(setup_of(prompt), len(rows), size)], PRICE, Pilot([]))
    assert found.input_tokens.low <= asked <= found.input_tokens.high
    assert found.output_tokens.low <= answered <= found.output_tokens.high


def test_an_answer_is_not_expected_to_be_longer_than_it_may_be():
    found = estimate([(setup_of(max_tokens=3), 100, 4000)], PRICE, Pilot([]))
    assert found.output_tokens.middle == 300


def test_tiktoken_counts_the_prompt_where_it_knows_the_model(monkeypatch):
    words = SimpleNamespace(encode=lambda text: text.split())
    known = SimpleNamespace(
        encoding_name_for_model=lambda model: "words", get_encoding=lambda name: words
    )
    monkeypatch.setitem(sys.modules, "tiktoken", known)
    found = estimate([(setup_of(model="counted-by-words"), 100, 4400)], PRICE, Pilot([]))
    assert "counted with tiktoken" in found.basis
    # Three words and six tokens of the chat's form each, and 44 bytes of sentence.
    assert found.input_tokens.low > 900
    assert found.input_tokens.middle == pytest.approx(900 + 4400 / 4.4)
