import os
import subprocess
import sys
from itertools import combinations, product

import pytest

from simgpt import SimgptError
from simgpt.annotate import Api, Prompt, Sampling, load_prompt
from simgpt.annotate.prompting import AnswerForm
from simgpt.annotate.requests import Setup
from simgpt.encoder import locate

TEXTS = {
    "English": "A man in a straw hat is playing the trumpet on a street corner.",
    "Chinese": "一位戴着草帽的男子正在街角吹小号,路人停下来听。",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈 dance 🕺🏽🕺🏽🕺🏽 all night!!! ¡¿…?",
    "digits": "1234567890 " * 20,
}


def prompt(text="Say it again: {sentence}", **more):
    return Prompt("own", text, **more)


def key(
    endpoint="http://127.0.0.1/v1",
    model="m",
    api=Api.CHAT,
    text="Say it again: {sentence}",
    answer=AnswerForm.NUMBERED,
    inputs=("A dog runs.",),
    **sampling,
):
    asked = prompt(text, answer=answer)
    return Setup(endpoint, model, asked, Sampling(**sampling), api).key(inputs)


CHOICES = {
    "endpoint": ["http://127.0.0.1/v1", "http://127.0.0.1/v2"],
    "model": ["m", "m2"],
    "api": list(Api),
    "text": ["Say it again: {sentence}", "Say it again:  {sentence}"],
    "answer": list(AnswerForm),
    "max_tokens": [200, 20],
    "temperature": [None, 0.0],
    "top_p": [None, 1.0],
    "seed": [None, 0],
    "inputs": [("A dog runs.",), ("A dog runs",), ("a dog runs.",), ("A dog", "runs.")],
}


def test_requests_have_the_same_key_exactly_when_they_are_the_same():
    settings = [dict(zip(CHOICES, chosen, strict=True)) for chosen in product(*CHOICES.values())]
    keys = [key(**each) for each in settings]
    assert len(set(keys)) == len(settings) == 2048
    assert [key(**each) for each in settings[::50]] == keys[::50]
    assert {len(each) for each in keys} == {32}


def test_white_space_in_what_is_asked_about_does_not_matter():
    assert key(inputs=("  A dog\n\truns. ",)) == key()
    assert key(inputs=("Ad og runs.",)) != key()


def test_two_sentences_are_not_one_that_is_split_elsewhere():
    inputs = [("a b", "c"), ("a", "b c"), ("a b c",), ("a", "b", "c"), ('a", "b', "c"), ("a", "")]
    assert len({key(inputs=each) for each in inputs}) == len(inputs)


def test_a_prompts_name_is_no_part_of_the_key():
    one, other = (Setup("e", "m", Prompt(name, "x {sentence}")) for name in ("one", "other"))
    assert one.key(["a"]) == other.key(["a"])
    assert one.hash == other.hash


def test_turns_make_another_request_in_a_chat_and_the_same_where_text_is_continued():
    base, turns = load_prompt("captions"), load_prompt("captions.turns")
    chat = {Setup("e", "m", asked, api=Api.CHAT).key(["a"]) for asked in (base, turns)}
    text = {Setup("e", "m", asked, api=Api.COMPLETIONS).key(["a"]) for asked in (base, turns)}
    assert (len(chat), len(text)) == (2, 1)


@pytest.mark.parametrize(("whole", "point"), [(0, 0.0), (1, 1.0)])
def test_a_whole_number_is_the_same_setting_as_one_with_a_point(whole, point):
    assert key(temperature=whole) == key(temperature=point)
    assert key(top_p=1) == key(top_p=1.0)


def test_all_bundled_prompts_ask_differently():
    setups = [Setup("e", "m", load_prompt(f"captions{v}")) for v in ("", ".json", ".turns")]
    for one, other in combinations(setups, 2):
        assert one.hash != other.hash
        assert one.key(["a"]) != other.key(["a"])


def test_a_key_is_the_same_in_every_process():
    code = (
        "from simgpt.annotate.prompting import load_prompt\n"
        "from simgpt.annotate.requests import Sampling, Setup\n"
        "prompt, sampling = load_prompt('captions.turns'), Sampling(temperature=0.5, seed=3)\n"
        "setup = Setup('e', 'm', prompt, sampling)\n"
        "print(setup.key(['Ein schöner Tag.']).hex(), setup.hash)"
    )
    setup = Setup("e", "m", load_prompt("captions.turns"), Sampling(temperature=0.5, seed=3))
    here = f"{setup.key(['Ein schöner Tag.']).hex()} {setup.hash}"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


def test_a_request_carries_what_is_sent():
    request = Setup("e", "m", prompt()).request(["A dog\nruns."])
    assert request.text == "Say it again: A dog runs."
    assert request.messages == [{"role": "user", "content": "Say it again: A dog runs."}]
    assert request.key == key(endpoint="e")


@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [
        ("max_tokens", 0, "1 or more"),
        ("temperature", -0.1, "from 0 to 2"),
        ("temperature", 2.1, "from 0 to 2"),
        ("temperature", float("nan"), "from 0 to 2"),
        ("top_p", 0, "above 0 and at most 1"),
        ("top_p", 1.01, "above 0 and at most 1"),
    ],
)
def test_sampling_that_no_server_takes_is_refused(name, value, legal):
    with pytest.raises(SimgptError) as caught:
        Sampling(**{name: value})
    assert str(caught.value) == f"{name} is {value!r}; it must be {legal}"


def test_what_is_left_to_the_server_is_not_sent():
    assert Sampling().given() == {"max_tokens": 200}
    assert Sampling(max_tokens=5, temperature=0, top_p=1, seed=0).given() == {
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 1,
        "seed": 0,
    }


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(locate("bundled") / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", ["captions", "captions.turns", "captions.json", "tiny"])
def test_no_tokeniser_makes_more_tokens_of_a_request_than_it_says(tokenizer, name, text):
    asked = prompt("{sentence}") if name == "tiny" else load_prompt(name)
    for api in Api:
        setup = Setup("e", "m", asked, api=api)
        request = setup.request([text])
        parts = [request.text]
        if api is Api.CHAT:
            parts = [message["content"] for message in request.messages]
        most = setup.most_input_tokens(request.inputs)
        # A chat template puts a handful of tokens around every message.
        assert sum(len(tokenizer.encode(part).ids) + 6 for part in parts) <= most
        # Nothing is finer than a token for each byte.
        assert sum(len(part.encode()) + 6 for part in parts) <= most
