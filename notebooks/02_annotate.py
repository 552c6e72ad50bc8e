# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Annotation: ask the teacher once
#
# A large language model can tell whether two sentences mean the same, but asking it about every pair
# is slow and costs money each time. Sim-GPT asks it **once**, for training data: for each sentence
# the model writes one that is definitely similar and one that is definitely dissimilar. A small
# encoder learns from these, and from then on no large model is needed.

# %% tags=["parameters"]
profile = "smoke"  # smoke (a sample) or laptop (all bundled triplets)

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# ## Why once is enough
#
# Annotating takes one request for each sentence, however often the encoder is used later. Scoring
# all pairs of $n$ sentences with a large model takes
#
# $$ \binom{n}{2} = \frac{n(n-1)}{2} $$
#
# requests, and as many again for the next collection. With an encoder, $n$ sentences are $n$ vectors,
# and every pair is a cosine, a few multiplications.
#
# What the teacher writes is a **triplet** $(x, x^+, x^-)$: a sentence, its similar and its dissimilar
# partner. "Definitely" is the point: on the STS scale from 0 (unrelated) to 5 (equivalent), $x^+$
# should get a 4 or a 5 and $x^-$ a 0 or a 1. Pairs in between, over which raters quarrel, are not
# asked for.
#
# ## The prompt
#
# There is one prompt for each kind of sentence, a TOML file in `simgpt/annotate/prompts/`. It has the
# paper's structure, in words of our own: a task, two instructions, a note against shortcuts, eight
# worked examples and the sentence. Here it is in full for the first sentence of this run, with long
# lines wrapped for the page:

# %%
import textwrap

from simgpt.annotate import load_prompt
from simgpt.triplets import training_triplets, triplets_path

bundle = tuple(training_triplets(cfg))
first = bundle[0]
prompt = load_prompt(first.source or "multi_genre")
print(*(textwrap.fill(line, 92) for line in prompt.render(first.sentence).split("\n")), sep="\n")

# %% [markdown]
# The note is there because a lazy teacher has two shortcuts: to swap a word for a synonym, and to put
# in a "not". Both would teach the encoder something cheaper than meaning.
#
# A prompt's *hash* stands in for its text wherever annotations are kept, so one can tell which prompt
# an answer belongs to:

# %%
prompt.hash

# %% [markdown]
# ## The teacher
#
# A teacher is anything that takes a prompt and gives back text. The one on this page is the
# **recorded** teacher: it replays annotations that a language model wrote before, costs nothing and
# needs no network. It knows the sentences of the bundle and no others; asked about a new one, it says
# so. This is its raw answer:

# %%
from simgpt.annotate import RecordedTeacher

teacher = RecordedTeacher(triplets_path(cfg))
print(teacher.answer(prompt.render(first.sentence), first.sentence))

# %% [markdown]
# A parser takes the two sentences out of it:

# %%
from simgpt.annotate import AnswerError, parse_answer

parse_answer(teacher.answer(prompt.render(first.sentence), first.sentence))

# %% [markdown]
# The parser is strict. It does not guess at an answer in another form, because a wrong guess would
# end up in the training data without anyone noticing:

# %%
try:
    parse_answer("1. Machines bring in the crop after dark.")
except AnswerError as _error:
    print(_error)

# %% [markdown]
# ## Annotate
#
# All together now: for each sentence of this run, render the prompt of its kind, ask, parse and
# check. An answer that cannot be used is kept with the reason.

# %%
import pandas as pd

from simgpt.annotate import annotate
from simgpt.sentences import SourceSentence

annotated = annotate((SourceSentence(t.sentence, t.source) for t in bundle), teacher)
pd.Series(
    {
        "sentences": len(bundle),
        "triplets": len(annotated.triplets),
        "failures": len(annotated.failures),
        "same as recorded": len({t.id for t in annotated.triplets} & {t.id for t in bundle}),
    },
    name="count",
).to_frame()

# %% [markdown]
# A few triplets of each kind, side by side. Read them as a rater would: does the second text say the
# same as the first, and the third something else?

# %%
pd.set_option("display.max_colwidth", None)
table = pd.DataFrame(t.to_dict() for t in annotated.triplets).sample(frac=1, random_state=cfg.seed)
table.groupby("source").head(3).sort_values("source").set_index("source")[
    ["sentence", "similar", "dissimilar"]
]

# %% [markdown]
# ## What the triplets look like
#
# The bundle was written in three *waves*: the first reworded freely, the second is plainer and was
# balanced on purpose, the third added genres.

# %%
from simgpt.annotate import statistics

pd.DataFrame(statistics.counts(bundle, "source", "wave")).pivot(index="source", columns="wave")

# %% [markdown]
# ### Can one tell similar from dissimilar without reading?
#
# If so, an encoder can, too, and would learn the shortcut. The plainest shortcut is to count words.
# For the sets of words $A$ and $B$ of two sentences, their overlap is
#
# $$ J(A, B) = \frac{|A \cap B|}{|A \cup B|}, $$
#
# the *Jaccard index*: none shared gives 0, the same words give 1 (shown here in per cent).

# %% mystnb={"image": {"alt": "Bar chart with two bars for each wave and for all: mean word overlap of the sentence with its similar and with its dissimilar partner. In the first wave the two bars are about level; in the later waves the similar partners share somewhat more words, but not many more."}}
# %matplotlib inline
import matplotlib.pyplot as plt

from simgpt.report import figure_style

overlap = pd.DataFrame(statistics.overlaps(bundle, "wave")).set_index("wave")
with figure_style():
    figure, axes = plt.subplots(figsize=(8, 3.6))
    overlap.filter(like="overlap, ").plot.bar(ax=axes, rot=0)
    [axes.bar_label(bars, fmt="%.0f") for bars in axes.containers]
    axes.set_ylabel("words shared (%)")
    axes.legend(["similar", "dissimilar"], loc="lower right", ncols=2, bbox_to_anchor=(1, 1))

# %%
from IPython.display import Markdown

Markdown(
    f"Over all, in **{overlap.loc['all', 'dissimilar overlaps more (%)']:.0f} %** of the triplets on "
    "this page the *dissimilar* sentence shares more words with the sentence than the similar one "
    "does. There, whoever counts words gets it wrong."
)

# %% [markdown]
# This is good and bad. Good, because a set in which similar sentences always share more words would
# teach to count words, and the encoder would be fooled by a reversal such as *dog bites man*. Bad
# where it goes too far: real similar sentences do share words, and data that says otherwise throws
# away a clue that holds. In parts of the first wave it does go too far. By genre:

# %%
pd.DataFrame(statistics.overlaps(bundle, "genre")).set_index("genre").round(1)

# %% [markdown]
# ### The opening-word artefact
#
# A second shortcut: how a sentence begins. Here is how many partners begin with the same two words as
# their sentence:

# %% mystnb={"image": {"alt": "Bar chart with two bars for each wave and for all: share of similar and of dissimilar partners that begin with the sentence's first two words. In the first wave the dissimilar ones do so far more often than the similar ones; in the second wave both do about equally often; the third wave lies in between."}}
opening = pd.DataFrame(statistics.openings(bundle, "wave")).set_index("wave")
with figure_style():
    figure, axes = plt.subplots(figsize=(8, 3.6))
    opening.plot.bar(ax=axes, rot=0)
    [axes.bar_label(bars, fmt="%.0f") for bars in axes.containers]
    axes.set_ylabel("same two first words (%)")
    axes.legend(["similar", "dissimilar"], loc="lower right", ncols=2, bbox_to_anchor=(1, 1))

# %% [markdown]
# In the first wave an opening that recurs is a strong hint at *dissimilar*. Nobody asked the teacher
# for that; it is how it went about changing a sentence. The second wave was balanced against it,
# and there the hint is all but gone. It lingers in the third. A model trained on all three can still pick
# it up, which is a reason to count such things before training and to state them on the
# {doc}`data card <../book/data>`.
#
# ### Lengths
#
# Length, too, could give the answer away, if similar partners were longer than dissimilar ones. They
# are, by a little:

# %%
pd.DataFrame(statistics.lengths(bundle)).set_index(["source", "text"]).round(1)

# %% [markdown]
# ## What these numbers do not show
#
# Whether a similar sentence *is* similar. Counting finds shortcuts, not errors: a partner that leaves
# out a detail, or one that reverses the sentence and is thus more related to it than "definitely
# dissimilar" allows, passes every count on this page. The bundle has some of both.
#
# ## What we have now, and what is next
#
# Triplets, and a fair idea of their flaws. In the next chapter an encoder is trained on them.
