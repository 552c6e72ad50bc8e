import asyncio

import pytest

from simgpt import SimgptError
from simgpt.annotate import Api, Prompt, Sampling, Task, load_prompt
from simgpt.annotate.attempts import Ending, Outcome
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.requests import Answer, Setup
from simgpt.annotate.task import Open, chunks
from simgpt.sentences import SourceSentence

DOG = SourceSentence("A dog runs.", "captions")
WHY = SourceSentence("Why do cats purr?", "questions")
ANY = SourceSentence("It rains a lot.", "")


def task(*sentences, **settings):
    return Task(sentences=sentences, endpoint="e", model="m", **settings)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def answer(ledger, request, outcome=Outcome.ANSWERED):
    async def main():
        (attempt,) = await ledger.begin([request], [0.0])
        text = Answer("1. a\n2. b") if outcome is Outcome.ANSWERED else None
        await ledger.end([(attempt, Ending(outcome, text))])

    asyncio.run(main())


def test_each_kind_of_sentence_gets_its_own_prompt_and_the_broadest_is_for_all_others():
    found = [(asked.source, asked.setup.prompt) for asked in task(DOG, WHY, ANY)]
    assert found == [
        ("captions", load_prompt("captions")),
        ("questions", load_prompt("questions")),
        ("multi_genre", load_prompt("multi_genre")),
    ]


@pytest.mark.parametrize("variant", ["brief", "json", "rater", "turns"])
def test_a_variant_is_taken_for_every_kind(variant):
    names = [asked.setup.prompt.name for asked in task(DOG, WHY, ANY, variant=variant)]
    assert names == [f"{kind}.{variant}" for kind in ("captions", "questions", "multi_genre")]


def test_a_prompt_of_ones_own_is_for_all_kinds_known_or_not():
    own = Prompt("own", "Say it again: {sentence}")
    found = list(task(DOG, SourceSentence("Roses are red.", "poems"), prompt=own))
    assert [asked.setup.prompt for asked in found] == [own, own]
    assert [asked.source for asked in found] == ["captions", "poems"]


def test_a_prompt_of_ones_own_and_a_variant_contradict_each_other():
    own = Prompt("own", "Say it again: {sentence}")
    with pytest.raises(SimgptError, match="variant is 'brief'.*prompt 'own'"):
        task(DOG, prompt=own, variant="brief")


@pytest.mark.parametrize(
    ("kind", "variant", "name"), [("poems", "", "poems"), ("captions", "long", "captions.long")]
)
def test_a_kind_or_variant_without_a_prompt_is_refused_with_the_known_ones(kind, variant, name):
    with pytest.raises(SimgptError, match=f"no prompt for '{name}'; known: captions, captions.b"):
        list(task(SourceSentence("Roses are red.", kind), variant=variant))


def test_how_it_is_asked_is_the_same_for_all_and_in_every_key():
    sampling = Sampling(max_tokens=9, seed=1)
    (asked,) = task(DOG, sampling=sampling, api=Api.COMPLETIONS)
    setup = Setup("e", "m", load_prompt("captions"), sampling, Api.COMPLETIONS)
    assert asked.inputs == ("A dog runs.",)
    assert asked.setup == setup
    assert asked.key == setup.key(["A dog runs."])


def test_a_task_can_be_read_again_and_again():
    asking = task(DOG, WHY)
    assert [asked.key for asked in asking] == [asked.key for asked in asking]


def test_open_is_what_has_no_answer_in_the_order_of_the_sentences(ledger):
    asking = task(DOG, WHY, ANY)
    answer(ledger, next(iter(Open(task(WHY), ledger))))
    assert [request.inputs[0] for request in Open(asking, ledger)] == [DOG.text, ANY.text]
    answer(ledger, next(iter(Open(asking, ledger))), Outcome.SERVER_ERROR)
    assert [request.inputs[0] for request in Open(asking, ledger)] == [DOG.text, ANY.text]
    other = task(DOG, WHY, ANY, variant="brief")
    assert len(list(Open(other, ledger))) == 3


def test_an_open_request_is_what_the_task_says(ledger):
    (request,) = Open(task(DOG), ledger)
    (asked,) = task(DOG)
    assert (request.setup, request.inputs, request.key) == (asked.setup, asked.inputs, asked.key)


def test_a_sentence_that_comes_twice_is_asked_once(ledger):
    spaced = SourceSentence(" A  dog runs.\n", "captions")
    another_kind = SourceSentence("A dog runs.", "")
    far = [SourceSentence(f"Dog {n} runs.", "captions") for n in range(1200)]
    found = list(Open(task(DOG, spaced, another_kind, *far, DOG, *far), ledger))
    assert len(found) == 1202
    assert len({request.key for request in found}) == 1202


@pytest.mark.parametrize(("limit", "count"), [(None, 3), (0, 0), (2, 2), (9, 3)])
def test_a_limit_is_the_most_that_is_asked(ledger, limit, count):
    assert len(list(Open(task(DOG, WHY, ANY), ledger, limit))) == count


def test_chunks_are_lists_of_one_size_but_for_the_last():
    assert list(chunks(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(chunks([], 3)) == []
