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
# # Contamination: has the training data seen the test?
#
# After this chapter you will know how test sentences in training data are found, how many there are, and
# what they do to a score.
#
# A score on a test set means something only if the test is new to the model. Training data is written
# or collected by people and models who may have met the test's sentences before, and nobody notices
# unless somebody looks. This chapter looks.
#
# There is a reason to suspect something here. The paper takes its caption sentences from Flickr30K,
# a collection of photo captions. The `images` subsets of STS14 and STS15 consist of photo captions,
# too, and SICK {cite}`marelli-etal-2014-sick` was made by rewording such captions. Whoever annotates
# captions may well annotate half of a test pair.

# %% tags=["parameters"]
profile = "smoke"  # smoke (development pairs, a minute) or laptop (the benchmarks)

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# ## Four levels
#
# "The same sentence" can mean several things. The audit tells four levels apart:
#
# - **exact**: the same text;
# - **normalised**: the same letters and digits. Case, punctuation and spaces do not count, since
#   SentEval's files are tokenised ("it 's") and training data is not ("it's");
# - **ngram**: eight words in a row are the same. Shorter runs are mostly stock phrases, and a run of
#   the thirteen words that are usual for web pages would not fit into most of the benchmarks' sentences;
# - **near**: nearly the same letters. Take all runs of four characters of each text, the sets
#   $A$ and $B$; their Jaccard index must be at least 0.7:
#
# $$ J(A, B) = \frac{|A \cap B|}{|A \cup B|} \ge 0.7. $$
#
# In captions of photographs, texts at 0.7 differ in a word or an ending; at 0.5 they are other scenes in
# the same frame. Here are the levels at work on made-up sentences (the index of a paraphrase shows
# what none of the four can see):

# %%
import pandas as pd

from simgpt.evaluate.overlap import SentenceIndex, jaccard, shingles, split_words

_sentence = "A heron stands on one leg in the shallow marsh and it 's watching the fish ."
_texts = (
    _sentence,
    "A heron stands on one leg in the shallow marsh, and it's watching the fish!",
    "A heron stood on one leg in the shallow marsh and it's watching the fish.",
    "Near us a heron stands on one leg in the shallow water.",
    "A tall grey bird waits in the swamp for something to eat.",
)
_index = SentenceIndex([_sentence])
_found = [_index.match(text).get(0) for text in _texts]
_sets = [shingles("".join(split_words(text))) for text in _texts]
pd.DataFrame(
    {
        "levels": [", ".join(lv.label for lv in m.levels) if m else "none" for m in _found],
        "Jaccard index": [round(jaccard(_sets[0], one), 2) for one in _sets],
    },
    index=pd.Index(_texts, name="training text"),
)

# %% [markdown]
# ## How to compare a million sentences with the tests
#
# The paper's triplets hold more than a million sentences, the benchmarks 26,083 different ones: too
# many pairs to look at each. The first three levels are look-ups in a table. For the fourth there is
# *MinHash*: number all possible runs of four characters at random and keep the smallest number in
# each text. Two texts keep the same one with a probability that is just their Jaccard index. Take 96
# such numberings in 24 groups of four, and call two texts candidates if all four of any group agree.
# With index $J$ they are missed with probability
#
# $$ (1 - J^4)^{24}, $$
#
# which is below two in a thousand at 0.7 and falls fast above it. Each candidate is then measured exactly,
# so what is reported is true. The training data streams past; memory does not grow with it.
#
# ## The audit of the triplets
#
# What is looked for is each sentence of the test pairs, in all three texts of each triplet. A pair can be
# touched on one side or on both. `together` is the worst case: its two sentences match two texts of the
# *same* triplet, so training has pushed or pulled this very pair.
#
# If the run of the earlier chapters is there, it is used; otherwise it is trained now.

# %%
from pathlib import Path

from simgpt.evaluate import audit_or_fall_back
from simgpt.train import train

run = train(cfg, Path("runs") / cfg.run_name)
models = (cfg.backbone, str(run))
audit = audit_or_fall_back(cfg.triplets, models=models, benchmarks=cfg.benchmarks)

# %%
from IPython.display import Markdown

from simgpt.report import audited_on, touched_table

Markdown(audited_on(audit))

# %%
Markdown(touched_table(audit))

# %% [markdown]
# The columns after `sentences` count sentences found at each level, those after `pairs` count pairs
# that are touched at any level.
#
# ## Scores without the touched pairs
#
# Does it matter? Leave the touched pairs out and score again. Touched pairs may simply be easier or
# harder than others, though, so the score of *every* model may change a little. The untouched encoder
# has not been trained on these triplets: its change shows what kind of pairs were left out. If training
# had profited from them, the trained encoder would lose more.
#
# The interval is that of the *change*, from the bootstrap of {doc}`the last chapter <04_evaluate>`: in
# each resample of pairs both scores are computed, with and without the touched ones.

# %%
from simgpt.report import clean_table

labels = ("untouched encoder", "trained encoder")
Markdown(clean_table(audit, labels))

# %% mystnb={"image": {"alt": "Dot plot with a row for each task and two marks in each, for the untouched and for the trained encoder: the change in Spearman when touched pairs are left out, with its 95 per cent interval. In every row the two encoders' intervals overlap, so there is no sign that training profited from having seen the pairs."}}
# %matplotlib inline
from simgpt.report import change_plot, figure_style

with figure_style():
    figure = change_plot(audit, labels)
figure

# %% [markdown]
# ## Three collections, audited in full
#
# The above was found while the page was made. These audits were made once, against all seven benchmarks,
# and are kept with their machine and commit: the bundled triplets, triplets that people wrote for natural
# language inference (of the counterfactually revised SNLI sample), and the captions of Flickr8k, which
# one might annotate. For the last there is no `together`: they are sentences, not triplets.

# %%
from simgpt.report import RESULTS, audits_table, load_audits

kept = load_audits(RESULTS)
Markdown(audits_table(kept) if kept else "*There is no committed audit in `book/results/`.*")

# %% [markdown]
# Captions of photographs are what it looks like when the test *is* in the data. And a trap: without the pairs
# that the human triplets touch, an encoder loses that was not trained on them here. Such pairs are
# short and plain captions, easier to put in order than the rest. A lower score on clean pairs is no
# proof of a leak; what counts is whether one encoder loses more than another that has not seen the data.
#
# ## What this does not show
#
# - **Paraphrases.** A test sentence in other words is not found, by these levels or by any that look at
#   letters.
# - **What the encoder saw before.** Only the triplets were audited. A backbone has been trained on much
#   more; the model card of all-MiniLM-L6-v2 lists the captions of Flickr30K among its data. What it has
#   seen there, the untouched and the trained encoder have in common.
# - **Guilt.** Short captions ("A dog runs.") are written again and again by people who have never met.
#   An audit counts coincidences, too.
#
# ## What we have now
#
# Scores, and a fair idea of how new the tests were to the model. The same from the command line, for any
# file of triplets or, before a cent is spent on annotating them, of source sentences:
#
# ```bash
# simgpt evaluate contamination
# simgpt evaluate contamination runs/demo bundled --triplets triplets.jsonl --output audit.json
# simgpt evaluate contamination --triplets sentences.txt --matches matches.jsonl
# ```
#
# `--matches` writes each match with both texts, for reading. The benchmarks' texts are not ours to
# publish, so that file should stay where it is; the audit's result holds no text.
#
# Scores are one half of the paper's case. The other is that annotating once pays:
# [cost and speed](06_cost_and_speed.ipynb) reckons.
