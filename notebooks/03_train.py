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
# # Training: pull the similar, push the dissimilar
#
# The triplets are there. Now a small encoder learns from them, once. It maps a sentence $x$ to a
# vector $h(x)$, and the similarity of two sentences is the cosine of their vectors. Training moves
# the vectors: towards those of similar sentences, away from those of dissimilar ones.

# %% tags=["parameters"]
profile = "smoke"  # smoke (a minute) or laptop (all bundled triplets)

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# Every setting of this run. Any of them can be given to papermill (`-p seed 3`); a name that is not
# in this list, or a value of the wrong type, stops the notebook in the cell above.

# %%
import pandas as pd

pd.Series(cfg.to_dict(), name="value").to_frame()

# %% [markdown]
# ## The objective
#
# Take a batch of $N$ triplets $(x_i, x_i^+, x_i^-)$: a sentence, its similar and its dissimilar
# partner. Write $s(a, b) = \cos(h(a), h(b)) / \tau$ with a temperature $\tau$. Supervised SimCSE
# {cite}`gao-etal-2021-simcse` asks each sentence to find its own similar partner among *all* similar
# and dissimilar sentences of the batch:
#
# $$
# \ell_i = -\log \frac{e^{s(x_i, x_i^+)}}
#   {\sum_{j=1}^{N} \left( e^{s(x_i, x_j^+)} + e^{w\,[i=j]}\, e^{s(x_i, x_j^-)} \right)}
# $$
#
# So a batch of $N$ gives every sentence one right answer and $2N - 1$ wrong ones. One of the wrong
# ones, its own $x_i^-$, was written to be hard: it shares the topic and often the words. The weight
# $w$ makes it count more ($w > 0$) or less ($w < 0$) than the others.
#
# The trap for those who implement it: $w$ is a *logit*, added after dividing by $\tau$, and only on
# the sentence's own hard negative.
#
# Here is the function at work on four made-up anchors, with a similar sentence close to each and a
# dissimilar one half-way off:

# %%
import torch

from simgpt.train import simcse_loss

anchor = torch.eye(4, dtype=torch.float64)
positive = anchor + 0.1
negative = anchor - anchor.roll(1, 0)
pd.Series(
    {
        f"w = {w}": simcse_loss(anchor, positive, negative, hard_negative_weight=w).item()
        for w in (-1, 0, 0.8)
    },
    name="loss",
).to_frame()

# %% [markdown]
# ## The run
#
# The library's trainer does what is common to all training; our part is the objective, the order of
# the sentences and the choice of the checkpoint. Within a step, sentences are sorted by length and go
# through the encoder in chunks, because padded to the longest sentence about half of the work would
# be spent on padding. A few times in an epoch the trainer stops and scores the *development* pairs;
# the weights with the best score are kept. No test set is looked at.
#
# At the end the kept weights $\theta_{trained}$ can be averaged with those the encoder came with:
# $\theta = (1 - \alpha)\,\theta_{start} + \alpha\,\theta_{trained}$, with $\alpha$ the setting
# `trained_share` {cite}`wortsman-etal-2022-robust`. The encoder then gives up a little of what the
# triplets taught it and keeps more of what it knew before. The paper does not do this: it corresponds to
# $\alpha = 1$.

# %%
from pathlib import Path

from simgpt.train import train

run = train(cfg, Path("runs") / cfg.run_name)

# %% [markdown]
# If this very run is already there and finished, it is used as it is; nothing is trained twice. The
# run folder holds the config, the environment, the log and the checkpoint:

# %%
sorted(path.name for path in run.iterdir())

# %% [markdown]
# ## How it went
#
# The loss falls while the development score rises. The score is Spearman's rank correlation between
# the model's cosines and the scores of a rater: 1 would mean that the model puts all pairs in the
# rater's order.

# %% mystnb={"image": {"alt": "Two curves over training steps: the loss falls, the development Spearman of each evaluation is marked."}}
# %matplotlib inline
from simgpt.report import figure_style, training_curves

log = pd.read_json(run / "train_log.jsonl", lines=True)
with figure_style():
    figure = training_curves(log)
figure

# %%
log.dropna(subset="eval_development_spearman")[["step", "eval_development_spearman"]].round(4)

# %% [markdown]
# ## What we have now
#
# A folder that `SentenceTransformer` opens as it is:

# %%
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(str(run / "checkpoint"))
pair = model.encode(["A dog runs along the beach.", "A dog is running on the sand."])
round(float(model.similarity(pair[:1], pair[1:])), 3)

# %% [markdown]
# Whether it is any *good* is the question of the next chapter.
