import random
from collections import Counter

import pytest

from simgpt.annotate.audit import (
    MAX_CHARACTERS,
    REJECTING,
    REUSE_LIMIT,
    Verdict,
    audit,
    reused_answers,
)
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets

SENTENCE = "A man in a straw hat is playing the trumpet on a street corner."
SIMILAR = "On the corner of a street, somebody wearing a straw hat blows a trumpet."
DISSIMILAR = "Two women are carrying a sofa up the stairs of an old house."


def verdicts(sentence=SENTENCE, similar=SIMILAR, dissimilar=DISSIMILAR, reused=frozenset()):
    return audit(sentence, similar, dissimilar, reused=reused)


def test_a_good_triplet_gets_no_verdict():
    assert verdicts() == ()


@pytest.mark.parametrize("partner", ["similar", "dissimilar"])
@pytest.mark.parametrize("copy", [SENTENCE, SENTENCE.upper(), f"“{SENTENCE[:-1]}”  !"])
def test_a_partner_with_the_sentences_words_is_a_copy(partner, copy):
    assert Verdict.COPY in verdicts(**{partner: copy})
    assert Verdict.NEAR_COPY not in verdicts(**{partner: copy})


def test_a_contraction_is_the_same_with_either_apostrophe():
    assert verdicts("Don't run in here.", similar="Don’t run in here") == (Verdict.COPY,)


def test_a_partner_that_differs_in_a_letter_or_two_is_a_near_copy():
    close = SENTENCE.replace("the trumpet", "a trumpet")
    assert verdicts(similar=close) == (Verdict.NEAR_COPY,)
    assert Verdict.NEAR_COPY in verdicts(dissimilar=close)


def test_a_near_copy_is_found_where_no_spaces_divide_words():
    chinese = "一位戴着草帽的男子正在街角吹小号"
    assert Verdict.NEAR_COPY in verdicts(chinese, dissimilar=chinese + "。")


@pytest.mark.parametrize(
    ("sentence", "similar"),
    [
        ("The dog is barking.", "The dog barks."),
        ("There is a fox in the yard.", "In the yard, there is a fox."),
        ("The butcher is at work.", "The meat cutter is working."),
    ],
)
def test_a_reworded_similar_sentence_is_no_near_copy(sentence, similar):
    assert verdicts(sentence, similar) == ()


@pytest.mark.parametrize(
    ("sentence", "dissimilar"),
    [
        ("A cat is biting the tail of a dog.", "A dog is biting the tail of a cat."),
        ("How can I lose five kilos?", "How can I gain five kilos?"),
    ],
)
def test_a_dissimilar_sentence_may_keep_the_words_when_the_meaning_changes(sentence, dissimilar):
    assert REJECTING.isdisjoint(verdicts(sentence, sentence[::-1], dissimilar))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The dog is barking.", "The dog is not barking."),
        ("The dog is barking.", "The dog isn’t barking."),
        ("The dog is barking.", "No dog is barking."),
        ("The dog is barking.", "No dog barks."),
        ("She likes old films.", "She doesn't like old films."),
        ("They walked home.", "They did not walk home."),
        ("You can park here.", "You can't park here."),
        ("You can park here.", "You cannot park here."),
        ("It will rain.", "It won't rain."),
        ("He has been to Rome.", "He has never been to Rome."),
        ("There are some eggs left.", "There are no eggs left."),
        ("She left with her coat.", "She left without her coat."),
        ("Touch the wire.", "Do not touch the wire!"),
    ],
)
def test_a_negation_put_in_or_taken_out_is_found(first, second):
    assert Verdict.NEGATION in verdicts(first, dissimilar=second)
    assert Verdict.NEGATION in verdicts(second, dissimilar=first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Nobody liked it.", "Everybody liked it."),
        ("The dog is barking.", "The dog is not sleeping."),
        ("The dog is barking.", "The cat is barking."),
        ("He is not tall.", "He isn't tall."),
        ("I like tea, not coffee.", "I like coffee, not tea."),
        ("The knot is tight.", "The notice is tight."),
        ("Is it raining?", "Was it raining?"),
    ],
)
def test_other_changes_are_no_negation(first, second):
    assert Verdict.NEGATION not in verdicts(first, dissimilar=second)


def test_only_the_dissimilar_sentence_is_searched_for_a_negation():
    assert Verdict.NEGATION not in verdicts("It is warm.", similar="It is not warm.")


@pytest.mark.parametrize(
    "dissimilar",
    [
        "A man is playing the trumpet.",
        "The man is playing a trumpet on the corner of it.",
        "Somebody blows a trumpet.",  # of the similar sentence
    ],
)
def test_a_dissimilar_sentence_that_says_a_part_of_the_same_is_a_fragment(dissimilar):
    assert verdicts(dissimilar=dissimilar)[0] is Verdict.FRAGMENT


@pytest.mark.parametrize(
    "dissimilar",
    [
        "A woman is playing the trumpet.",
        "A trumpet is playing the man.",  # another order, another meaning
        "A man is not playing the trumpet.",
        "It is the one that they have.",  # nothing but function words
    ],
)
def test_another_word_or_another_order_makes_no_fragment(dissimilar):
    assert Verdict.FRAGMENT not in verdicts(dissimilar=dissimilar)


def test_a_similar_sentence_may_leave_something_out():
    assert verdicts(similar="A man is playing the trumpet.") == ()


def test_similar_and_dissimilar_with_the_same_words_are_the_same():
    assert verdicts(similar="It is late.", dissimilar="it is LATE")[-1:] == (Verdict.SAME,)
    assert verdicts(similar="It is late.", dissimilar="Is it late?") == ()


@pytest.mark.parametrize("partner", ["similar", "dissimilar"])
def test_a_partner_that_declines_the_task_is_a_refusal(partner):
    assert verdicts(**{partner: "I'm sorry, but I can't help with that."}) == (Verdict.REFUSAL,)
    assert verdicts(**{partner: "I'm sorry, but I can't find my keys."}) == ()


@pytest.mark.parametrize(
    ("sentence", "partner", "found"),
    [
        ("a heritable mutation", "a change in the genes that can be passed on to a child", False),
        ("to make a drink weaker by adding water to it", "dilute", False),
        (SENTENCE, "Music.", True),
        ("It rains.", "Water falls " * 8, True),
        (SENTENCE, "啊" * MAX_CHARACTERS, True),
        (" ".join([SENTENCE] * 5), "trumpet " * 100, True),
    ],
)
def test_a_partner_far_out_of_proportion_gets_a_verdict_on_length(sentence, partner, found):
    assert (Verdict.LENGTH in verdicts(sentence, partner, sentence)) == found
    assert (Verdict.LENGTH in verdicts(sentence, sentence, partner)) == found


def test_an_answer_given_too_often_is_reused():
    pairs = [(f"similar {n}", "I do not know!") for n in range(REUSE_LIMIT)]
    reused = reused_answers(iter(pairs))
    assert len(reused) == 1
    assert verdicts(dissimilar="i do not  KNOW", reused=reused) == (Verdict.REUSED,)
    assert verdicts(similar="I do not know.", reused=reused) == (Verdict.REUSED,)
    assert verdicts(reused=reused) == ()
    assert reused_answers(pairs[1:]) == reused_answers([]) == frozenset()


def test_reuse_is_what_counting_all_texts_finds():
    rng = random.Random(7)
    texts = [f"text {n}" for n in range(60)]
    pairs = [(rng.choice(texts), rng.choice(texts)) for _ in range(70)]
    reused = reused_answers(pairs)
    counts = Counter(text for pair in pairs for text in set(pair))
    assert 0 < sum(count >= REUSE_LIMIT for count in counts.values()) < len(counts)
    for text in texts:
        found = Verdict.REUSED in verdicts(similar=text, reused=reused)
        assert found == (counts[text] >= REUSE_LIMIT)


def test_an_opening_that_only_the_dissimilar_sentence_shares_is_noted_and_kept():
    found = verdicts(dissimilar="A man is asleep.")
    assert found == (Verdict.OPENING,)
    assert REJECTING.isdisjoint(found)
    assert verdicts(similar="A man blows a trumpet.", dissimilar="A man is asleep.") == ()


def test_verdicts_come_in_one_order():
    found = verdicts(similar=SENTENCE, dissimilar=SENTENCE, reused=reused_answers([("a", "b")] * 3))
    assert found == (Verdict.COPY, Verdict.SAME)
    refusal = "As an AI, I do not write."
    many = audit("As an AI, I write.", refusal, refusal, reused=reused_answers([("", refusal)] * 3))
    assert list(many) == [verdict for verdict in Verdict if verdict in many]
    assert {Verdict.NEGATION, Verdict.SAME, Verdict.REFUSAL, Verdict.REUSED} <= set(many)


@pytest.mark.parametrize(
    "text", ["", " ", "...", "😀", "สุนัข", "كلب يجري", "\x00", "\ud83d", "n't", "’"]
)
def test_any_text_gets_through(text):
    for texts in ((text, "a", "b"), ("a", text, "b"), ("a", "b", text), (text,) * 3):
        assert all(verdict in Verdict for verdict in verdicts(*texts))


def test_few_of_the_bundled_triplets_would_be_rejected():
    triplets = list(read_triplets(BUNDLED_TRIPLETS))
    reused = reused_answers((t.similar, t.dissimilar) for t in triplets)
    found = [set(audit(*t.texts, reused=reused)) for t in triplets]
    rejected = Counter(verdict for each in found for verdict in each & REJECTING)
    assert sum(not REJECTING.isdisjoint(each) for each in found) < 0.01 * len(triplets)
    assert set(rejected) == {Verdict.NEAR_COPY, Verdict.NEGATION, Verdict.FRAGMENT}
