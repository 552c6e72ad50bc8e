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
# # Source sentences: where it starts
#
# After this chapter you will know which sentences the recipe starts from, what cleaning does to them,
# and how to bring your own.
#
# Sim-GPT needs no labelled data to begin with, only sentences. What they are about and how they are
# built decides what the encoder will later be good at, so it is worth a look at them before anything
# is paid for or trained.

# %% tags=["parameters"]
profile = "smoke"  # smoke or laptop

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# ## Three kinds
#
# The [paper](https://arxiv.org/abs/2312.05603) draws on three kinds of sentence, and so do the
# sentences that come with this package:
#
# | kind | what it is | in the paper | here |
# | --- | --- | --- | --- |
# | `captions` | what can be seen in a picture | Flickr30K | written for this project |
# | `questions` | what people ask on the internet | Quora Question Pairs | written for this project |
# | `multi_genre` | sentences of many genres, often longer | released in annotated form only | written for this project |
#
# The kinds differ in ways that matter. A caption lists things and what they do; change one of them
# and the meaning is another. Two questions mean the same if they have the same answers. And a
# sentence from a report or a story may carry a time, a cause and an attitude, all of which a good
# paraphrase keeps.
#
# The bundle was written by a large language model and is free to use (CC0). Loading it needs no
# network:

# %%
from simgpt.sentences import load_sentences

loaded = load_sentences("bundled")

# %% [markdown]
# ## What cleaning does, and what it leaves alone
#
# Every sentence is brought to Unicode's composed form (NFC), so that an accented letter is one
# character however it was typed; control characters and zero-width ones go, and runs of white space
# become one space. Words, case and punctuation stay: an encoder will meet them in real text, too.

# %%
from simgpt.sentences import clean

clean("  A  cafe\u0301\twith\u200b\n two   tables. ")

# %% [markdown]
# Then a sentence is dropped if it is very short or very long, or if it is a duplicate. With $k(x)$ for
# the cleaned sentence $x$ in lower case and without punctuation at its ends, $x$ is a duplicate of
# $y$ if
#
# $$ k(x) = k(y). $$
#
# Paying twice for "Why do cats purr?" and "why do cats purr" would buy nothing. Two sentences that
# say the same in other words are both kept: finding those is what the whole project is about.
#
# How many were read, dropped and kept:

# %%
import pandas as pd

pd.Series(loaded.counts, name="sentences").to_frame()

# %% [markdown]
# And of each kind, with their lengths in words:

# %%
table = pd.DataFrame(loaded.sentences)
table["words"] = table["text"].str.split().str.len()
table.groupby("source")["words"].describe(percentiles=[0.05, 0.5, 0.95]).round(1)

# %% [markdown]
# ## A sample
#
# A few of each kind. They are drawn with the run's seed, so the same page shows the same sentences.

# %%
pd.set_option("display.max_colwidth", None)
table.groupby("source").sample(3, random_state=cfg.seed).set_index("source")[["text"]]

# %% [markdown]
# ## How long they are
#
# Length matters for what comes later: the paper, and this package, cut sentences to 32 *tokens* when
# training. A token is a word or a piece of one, so sentences on the far right lose their end.

# %% mystnb={"image": {"alt": "Three histograms of sentence length in words, one for each kind, one above the other. Captions and questions are short and much alike; the multi-genre sentences spread wider, with more very short ones and a long tail to the right."}}
# %matplotlib inline
import matplotlib.pyplot as plt

from simgpt.report import figure_style

with figure_style():
    figure, axes = plt.subplots(3, 1, figsize=(8, 5.5), sharex=True)
    table.hist(column="words", by="source", bins=range(45), align="left", ax=axes, xrot=0)
    figure.supxlabel("words in the sentence")
    figure.supylabel("sentences")

# %% [markdown]
# Captions and questions are short and much alike in length. The multi-genre sentences are not "long"
# throughout: the kind holds dictionary glosses of a few words as well as sentences from reports, and
# the mean hides that.
#
# ## Sentences of your own
#
# A text file with one sentence a line, a CSV or a JSONL file will do. Where a file has several
# columns, `column` names the one to read:
#
# ```python
# load_sentences("sentences.txt")
# load_sentences("reviews.csv", column="review")
# ```
#
# With a network, two of the paper's three kinds can be had from the Hugging Face hub by name. What
# these data sets allow you to do with them is for their own licences to say:
#
# ```python
# load_sentences("captions")   # Flickr30K
# load_sentences("questions")  # Quora
# ```
#
# One warning about captions: Flickr30K's also stand in some of the STS benchmarks, so a model that
# was trained on them may have seen test sentences. The bundled captions were written anew.
#
# The same from the command line:
#
# ```bash
# simgpt sentences bundled --output sentences.txt
# ```
#
# ## What we have now, and what is next
#
# Clean sentences of three kinds, each of them once. They have no labels yet. In
# [the next chapter](02_annotate.ipynb) a large language model, the *teacher*, gives each of them a
# similar and a dissimilar partner.
