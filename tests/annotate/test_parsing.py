import pickle
import random
import time

import pytest

from simgpt import SimgptError
from simgpt.annotate import AnswerError, parse_answer
from simgpt.annotate.parsing import AnswerFault, is_refusal

TEXTS = ("A dog runs.", "A cat sleeps.")
PLAIN = "1. A dog runs.\n2. A cat sleeps."
JSON = '{"similar": "A dog runs.", "dissimilar": "A cat sleeps."}'


def fault(answer, **options):
    with pytest.raises(AnswerError) as caught:
        parse_answer(answer, **options)
    return caught.value


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN,
        "1) A dog runs.\n2) A cat sleeps.",
        "1: A dog runs.\n2: A cat sleeps.",
        "1 . A dog runs.\n2 . A cat sleeps.",
        "1.A dog runs.\n2.A cat sleeps.",
        "(1) A dog runs.\n(2) A cat sleeps.",
        "1 - A dog runs.\n2 – A cat sleeps.",
        "１．A dog runs.\n２．A cat sleeps.",
        "1、A dog runs.\n2、A cat sleeps.",
        "（１）A dog runs.\n（２）A cat sleeps.",
        "١. A dog runs.\n٢. A cat sleeps.",
        "- 1. A dog runs.\n- 2. A cat sleeps.",
        "**1.** A dog runs.\n**2.** A cat sleeps.",
        "**1. A dog runs.**\n**2. A cat sleeps.**",
        "Sentence 1: A dog runs.\nSentence 2: A cat sleeps.",
        "Output: 1. A dog runs.\n2. A cat sleeps.",
        "\n\n  1.   A dog \t runs.  \r\n\n\t2. A cat sleeps.\n\n",
        "1. A dog\nruns.\n2. A cat\n   sleeps.",
        "2. A cat sleeps.\n1. A dog runs.",
        f"{PLAIN}\n{PLAIN}",
    ],
)
def test_two_numbered_items_are_read_in_their_usual_spellings(answer):
    assert parse_answer(answer) == TEXTS


@pytest.mark.parametrize(
    "answer",
    [
        "1. Similar: A dog runs.\n2. Dissimilar: A cat sleeps.",
        "1. similar sentence: A dog runs.\n2. DISSIMILAR SENTENCE : A cat sleeps.",
        "1. **Similar:** A dog runs.\n2. **Dissimilar**: A cat sleeps.",
        "1. (Similar) A dog runs.\n2. *Dissimilar:* A cat sleeps.",
        "Similar: A dog runs.\nDissimilar: A cat sleeps.",
        "Dissimilar：A cat sleeps.\nSimilar：A dog runs.",
        "**Similar sentence:** A dog runs.\n**Dissimilar sentence:** A cat sleeps.",
        "### Similar sentence\n\nA dog runs.\n\n### Dissimilar sentence\n\nA cat sleeps.",
        "1.\nDefinitely similar: A dog runs.\n2.\nDefinitely dissimilar: A cat sleeps.",
    ],
)
def test_labels_are_read_with_numbers_and_without(answer):
    assert parse_answer(answer) == TEXTS


@pytest.mark.parametrize(
    "answer",
    [
        f"Sure! Here are two sentences:\n{PLAIN}",
        f"{PLAIN}\n\nLet me know if you need more.",
        "1. A dog runs.\n\nThis keeps the meaning.\n\n2. A cat sleeps.\n\nThis does not.",
        f"```text\n{PLAIN}\n```\nThe first keeps the meaning.",
        f"{PLAIN}\nInput: A horse jumps.\nOutput:\n1. A horse leaps.\n2. It rains.",
        f"{PLAIN}\n\ninput: A horse jumps.\n3. more",
        f"Input: The dog runs.\nOutput:\n{PLAIN}",
    ],
)
def test_text_around_the_items_is_dropped(answer):
    assert parse_answer(answer) == TEXTS


@pytest.mark.parametrize(
    "answer",
    [
        JSON,
        JSON.replace("similar", "Similar"),
        f"Here you are: {JSON} I hope it helps!",
        f"```json\n{JSON}\n```",
        f'{{"sentence": "The dog runs.", "score": 1, {JSON[1:]}',
        JSON.replace(", ", ",\n  ").replace("A dog", "A\ndog"),
        "{“similar”: “A dog runs.”, “dissimilar”: “A cat sleeps.”}",
        '{"similar": “A dog runs.”, "dissimilar": "A cat sleeps."}',
        f"{JSON}\n\nInput: A horse jumps.\nOutput:\n{{",
    ],
)
def test_a_json_object_is_read(answer):
    assert parse_answer(answer) == TEXTS


def test_smart_quotes_stay_in_json_that_parses():
    assert parse_answer('{"similar": "She said “no”.", "dissimilar": "b"}')[0] == "She said “no”."


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ('"A dog runs."', "A dog runs."),
        ("“A dog runs.”", "A dog runs."),
        ("‘It’s a dog.’", "It’s a dog."),
        ("«Un chien.»", "Un chien."),
        ("「犬が走る。」", "犬が走る。"),
        ('"He said "no" twice."', 'He said "no" twice.'),
        ('"Yes" and "no"', '"Yes" and "no"'),
        ("“Yes” and “no”", "“Yes” and “no”"),
        ('He said "no"', 'He said "no"'),
        ('"Run," he said.', '"Run," he said.'),
    ],
)
def test_only_quotes_around_a_whole_item_are_stripped(item, text):
    assert parse_answer(f"1. {item}\n2. other") == (text, "other")


@pytest.mark.parametrize(
    "text",
    [
        "1.5 million people, 2) of them new: yes.",
        "Note: 3. May is late.",
        "Similar dogs run.",
        "一只狗在跑。",
        "كلب يجري في الحديقة.",
        "Собака бежит по парку.",
        "สุนัขกำลังวิ่ง",
        "He paid 5 * 3 ** 2.",
        "I can't find my keys.",
    ],
)
def test_a_sentence_stays_as_it_is(text):
    assert parse_answer(f"1. {text}\n2. {text} Or not?") == (text, f"{text} Or not?")


def test_a_figure_at_the_start_of_a_wrapped_line_is_no_number():
    answer = "1. It cost the city\n2.5 million.\n2. A cat sleeps."
    assert parse_answer(answer)[0] == "It cost the city 2.5 million."


def test_half_an_emoji_is_dropped():
    assert parse_answer("1. A dog \ud83d\n2. b") == ("A dog", "b")


@pytest.mark.parametrize(
    ("answer", "kind", "complaint"),
    [
        ("", "empty", "the answer is empty"),
        (" \n\t\n", "empty", "the answer is empty"),
        ("I'm sorry, but I can't help with that.", "refusal", "a refusal: "),
        ("I cannot write this.", "refusal", "a refusal: "),
        ("I\u2019m unable to do that.", "refusal", "a refusal: "),
        ("As an AI model, I would rather not.", "refusal", "a refusal: "),
        ("Lo siento, pero no puedo ayudar con eso.", "refusal", "a refusal: "),
        ("Je suis désolé, mais je ne peux pas.", "refusal", "a refusal: "),
        ("Es tut mir leid, das geht nicht.", "refusal", "a refusal: "),
        ("抱歉，我无法满足这个请求。", "refusal", "a refusal: "),
        ("1. I'm sorry, but I can't assist with that.", "refusal", "a refusal: "),
        ("1. A dog runs.\n2. I cannot provide such a sentence.", "refusal", "a refusal: "),
        ("A dog runs.\nA cat sleeps.", "unnumbered", "no numbered line: 'A dog runs."),
        ("1.5 million people came.\n2.5 million left.", "unnumbered", "no numbered line: "),
        ('{"sentence": "A dog runs."}', "unnumbered", "no numbered line: "),
        ("1. A dog runs.", "missing", 'line "2." is missing'),
        ("2. A cat sleeps.", "missing", 'line "1." is missing'),
        ("1. A dog runs. 2. A cat sleeps.", "missing", 'line "2." is missing'),
        ("1.\n2. A cat sleeps.", "missing", 'line "1." is missing or empty'),
        ('1. A dog runs.\n2. ""', "missing", 'line "2." is missing or empty'),
        ("1. A dog runs.\n2. Dissimilar:", "missing", 'line "2." is missing or empty'),
        ("1. A dog runs.\nInput: x\n2. A cat sleeps.", "missing", 'line "2." is missing'),
        ('{"similar": "A dog runs."}', "missing", 'line "2." is missing'),
        ('{"similar": " ", "dissimilar": "b"}', "missing", 'line "1." is missing or empty'),
        ("1. A dog runs.\n1. A cat sleeps.\n2. b", "ambiguous", 'line "1." comes with different'),
        (f"{PLAIN}\n\nOr:\n1. c\n2. d", "ambiguous", 'line "1." comes with different'),
        (f"{PLAIN}\n3. More.", "ambiguous", "neither item 1 nor 2: '3. More.'"),
        ("1. A dog runs.\n12. A cat sleeps.", "ambiguous", "neither item 1 nor 2: "),
        ("1. Dissimilar: a\n2. Similar: b", "ambiguous", "neither item 1 nor 2: "),
        (f"{PLAIN}\nNote: The second is new.", "ambiguous", "a remark in an item: "),
        (f"{PLAIN}\nLet me know if you need more.", "ambiguous", "a remark in an item: "),
        (f"{JSON}\n{JSON}", "ambiguous", "more than one JSON object"),
        ('{"similar": "a", "Similar": "c", "dissimilar": "b"}', "ambiguous", 'line "1." comes'),
        ('{"similar": "a", "dissim', "truncated", "truncated answer: "),
        ('{"similar": "a" "dissimilar": "b"}', "malformed_json", "malformed json answer: "),
        ("{'similar': 'a', 'dissimilar': 'b'}", "malformed_json", "malformed json answer: "),
        ('{"similar": ["a"], "dissimilar": "b"}', "malformed_json", "not text in the JSON: "),
        ("1. A dog runs.\n2. a DOG runs.", "same", "both lines say 'A dog runs.'"),
    ],
)
def test_any_other_answer_is_refused_with_the_reason(answer, kind, complaint):
    error = fault(answer)
    assert error.kind == kind
    assert str(error).startswith(complaint)


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN,
        f"{PLAIN}\n",
        "1. A dog runs.\n2.",
        "1. A dog runs.\n\n",
        "2. A cat sleeps.\n1. A dog",
        "Sure! Here",
        "",
        '{"similar": "a", "dissimilar": "{}',
    ],
)
def test_an_item_that_the_token_limit_may_have_cut_is_not_trusted(answer):
    assert fault(answer, truncated=True).kind == AnswerFault.TRUNCATED


@pytest.mark.parametrize(
    "answer", [f"{PLAIN}\n\nInp", f"{PLAIN}\nInput: A ho", f"{JSON}\nI ho", f"```\n{PLAIN}\n```"]
)
def test_items_that_were_closed_before_the_token_limit_are_fine(answer):
    assert parse_answer(answer, truncated=True) == TEXTS


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist you with this request.",
        "Sorry. I am unable to provide sentences about this.",
        "I cannot generate that.",
        "I won't write content of this kind.",
        "I cannot comply.",
        "As an AI language model, I do not have opinions.",
        "As an AI, I cannot judge this.",
    ],
)
def test_a_sentence_that_declines_the_task_is_a_refusal(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I can't find my keys.",
        "I'm sorry I broke your vase.",
        "Sorry, I can't come to your party on Friday.",
        "I can't help laughing.",
        "I cannot provide for a family of six.",
        "I can't write without my glasses.",
        "We cannot comply with this directive.",
        "As an AI researcher, she travels a lot.",
        "He said that I cannot generate that.",
        "",
    ],
)
def test_an_ordinary_sentence_is_no_refusal(text):
    assert not is_refusal(text)


def test_a_mutated_answer_is_read_whole_or_refused():
    rng = random.Random(7)
    chatty = "Sure!\n**1.** Similar: “a b”\n\n(2) c\n\nInput: d"
    seeds = [PLAIN, JSON, chatty, f"```json\n{JSON}```"]
    pieces = ["\n\n", "Input:", "Similar:", "1. "]
    pieces += "12.3)(:{}[]\"“”'’*#`-\\\n\r\u2028\x00\ud83d٢、 "
    read = 0
    for _ in range(6000):
        answer = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(answer) + 1)
            answer[at : at + rng.choice((0, 1, 1, 12))] = rng.choice((rng.choice(pieces), ""))
        try:
            texts = parse_answer("".join(answer), truncated=rng.random() < 0.2)
        except AnswerError as error:
            assert error.kind in AnswerFault
            assert str(error)
            continue
        read += 1
        assert len({text.casefold() for text in texts}) == 2
        for text in texts:
            assert text
            assert text == " ".join(text.split())
            assert len(text.splitlines()) == 1
            text.encode()
    assert read > 500


@pytest.mark.parametrize(
    "unit",
    [
        *("1", "1. ", "1. \n", "{", '{"a":', "[", "(", " ", "\n", "- ", "**a ", "*", '"', "a' "),
        *("similar ", "I'm sorry ", "I can't write ", "Input ", "“", "٢", "sentence "),
    ],
)
@pytest.mark.parametrize("start", ["", "1. ", '1. "', '{"a": ', f"{JSON}", "1. a\n2. b\n"])
def test_a_huge_odd_answer_takes_no_time(start, unit):
    began = time.perf_counter()
    try:
        parse_answer(start + unit * (200_000 // len(unit)))
    except AnswerError:
        pass
    assert time.perf_counter() - began < 2


def test_a_long_bad_line_is_quoted_in_part():
    assert len(str(fault("word " * 1000))) < 100


def test_an_answer_error_is_an_error_that_users_read_and_that_can_cross_processes():
    error = fault("1. A dog runs.")
    assert isinstance(error, SimgptError)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.kind, str(copy)) == (error.kind, str(error))
