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
# After this chapter you will know how both objectives work on a handful of triplets, how a run goes,
# and what it leaves behind. [The objectives](../book/objectives.md) are explained at length in the chapter
# before.
#
# The triplets are there. Now a small encoder learns from them, once. It maps a sentence $x$ to a
# vector $h(x)$, and the similarity of two sentences is the cosine of their vectors. Training moves
# the vectors: towards those of similar sentences, away from those of dissimilar ones.

# %% tags=["parameters"]
profile = "smoke"  # smoke (a minute); laptop, laptop-promcse (all triplets); colab (GPU)

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
# ## The first objective: SimCSE
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
# Here are four triplets of this run:

# %%
from simgpt.triplets import training_triplets

triplets = [triplet for triplet, _ in zip(training_triplets(cfg), range(4), strict=False)]
texts = [triplet.texts for triplet in triplets]
pd.options.display.max_colwidth = None  # whole sentences
pd.DataFrame(texts, columns=["sentence", "similar", "dissimilar"], index=range(1, 5))

# %% [markdown]
# And here they are as the encoder places them *before* training. Each row is a sentence, each column
# a candidate, and each cell a score $s$. The loss is low where the outlined cell, the right answer,
# is the brightest of its row.

# %% mystnb={"image": {"alt": "A grid of four rows and eight columns of scores: the right answers are outlined on the diagonal of the left half, the sentences' own hard negatives lie on the diagonal of the right half."}}
# %matplotlib inline
import torch

from simgpt.encoder import load_encoder
from simgpt.report import figure_style, score_grid
from simgpt.train.objectives import simcse_logits

encoder = load_encoder(cfg.backbone, pooling=cfg.pooling, fresh_head=True)
columns = zip(*texts, strict=True)
anchor, positive, negative = (torch.tensor(encoder.encode(list(c))) for c in columns)
logits = simcse_logits(anchor, positive, negative, temperature=cfg.temperature)
with figure_style():
    figure = score_grid(logits.numpy())
figure

# %% [markdown]
# The equation in code is short: the logits of the picture, and a cross-entropy whose right answer in
# row $i$ is column $i$. By hand, and by the package's function:

# %%
from simgpt.train import simcse_loss

by_hand = (torch.logsumexp(logits, dim=1) - logits.diagonal()).mean()
pd.Series(
    {
        "by hand, w = 0": by_hand.item(),
        **{
            f"simcse_loss, w = {w}": simcse_loss(
                anchor, positive, negative, temperature=cfg.temperature, hard_negative_weight=w
            ).item()
            for w in (0, 0.8, -1)
        },
    },
    name="loss",
).to_frame()

# %% [markdown]
# The trap for those who implement it: $w$ is a *logit*, added after dividing by $\tau$, and only on
# the sentence's own hard negative.
#
# ## The second objective: PromCSE
#
# PromCSE {cite}`jiang-etal-2022-promcse` differs in two ways. First, **the encoder stays frozen.** In
# front of the text, every layer $l$ gets $P$ *keys and values* that belong to no word, and only these
# are trained:
#
# $$
# \mathrm{Attention}\left( Q,\; [P_K^{(l)}; K],\; [P_V^{(l)}; V] \right)
# $$
#
# With $L$ layers of $H$ dimensions these are $2PLH$ numbers, and $H^2 + H$ more for the head on the first
# token. At the paper's prefix:

# %%
P = RunConfig.from_params({"profile": "paper-promcse-base"}).prefix_tokens
pd.DataFrame(
    {
        name: {"prefix": 2 * P * L * H, "head": H * H + H, "together": 2 * P * L * H + H * H + H}
        for name, L, H in (("RoBERTa-base", 12, 768), ("RoBERTa-large", 24, 1024))
    }
)

# %% [markdown]
# Second, an **energy-based hinge** is added, which looks at the hardest negative only and asks for a
# margin $m$ between it and the right answer:
#
# $$
# \frac{1}{N} \sum_{i=1}^{N} \max\left( 0,\; m - \cos(x_i, x_i^+)
#   + \max\left( \max_{j \neq i} \cos(x_i, x_j^+),\; \max_{k} \cos(x_i, x_k^-) \right) \right)
# $$
#
# Its traps: these are plain cosines, not divided by $\tau$, and another sentence's *similar* partner
# may be the hardest negative. On the same four triplets:

# %%
from simgpt.train import energy_hinge_loss

cosines = logits * cfg.temperature
right = cosines.diagonal()
wrong = cosines.masked_fill(torch.eye(4, 8, dtype=torch.bool), -1).amax(dim=1)
by_hand = torch.relu(cfg.energy_margin - right + wrong).mean()
pd.Series(
    {
        "by hand": by_hand.item(),
        "energy_hinge_loss": energy_hinge_loss(
            anchor, positive, negative, margin=cfg.energy_margin
        ).item(),
    },
    name="hinge",
).to_frame()

# %% [markdown]
# The settings say which of the two a run is: `prefix_tokens` above 0 freezes the encoder behind a
# prefix, and `energy_weight` adds the hinge with that factor. The profile `laptop-promcse` has both. The
# paper's SimCSE run on RoBERTa-base has a third term, with the weight `mlm_weight`: a share of the words is
# hidden and guessed, which keeps what the encoder knows about words while its sentence vectors move.
#
# ## From tokens to a sentence vector
#
# | `pooling` | sentence vector |
# |:--|:--|
# | `cls` | the first token's vector through a fresh dense layer and tanh (the paper's) |
# | `cls_before_pooler` | the first token's vector |
# | `mean` | mean of all tokens' vectors |
# | `avg_top2` | mean over the last two layers |
# | `avg_first_last` | mean over the first and the last layer |
# | `auto` | what the backbone was published with |
#
# ## The run
#
# The library's trainer does what is common to all training; our part is the objective, the order of
# the sentences and the choice of the checkpoint. Within a step, sentences are sorted by length and go
# through the encoder in chunks, because padded to the longest sentence about half of the work would
# be spent on padding. Every `eval_steps` steps the trainer stops and scores the *development* pairs;
# the weights with the best score are kept. No test set is looked at.
#
# At the end the kept weights $\theta_{trained}$ can be averaged with those the encoder came with:
# $\theta = (1 - \alpha)\,\theta_{start} + \alpha\,\theta_{trained}$, with $\alpha$ the setting
# `trained_share` {cite}`wortsman-etal-2022-robust`. The encoder then gives up a little of what the
# triplets taught it and keeps more of what it knew before. The paper does not do this: it corresponds to
# $\alpha = 1$.
#
# What will it take? An estimate from the sizes of data and encoder, for this machine and for three GPUs
# (the GPUs' published peak speed, of which a run reaches a part):

# %%
from simgpt.train.dry_run import dry_run

print(*dry_run(cfg), sep="\n")

# %% [markdown]
# The same command, or this cell again, goes on where it was interrupted: each score comes with a
# checkpoint that is written whole or not at all. If this very run is already there and finished, it is used
# as it is.

# %%
from pathlib import Path

from simgpt.train import train

run = train(cfg, Path("runs") / cfg.run_name)

# %% [markdown]
# The run folder holds the config, the environment, the log and the checkpoint:

# %%
sorted(path.name for path in run.iterdir())

# %% [markdown]
# ## How it went
#
# The loss falls while the development score rises. The score is Spearman's rank correlation between
# the model's cosines and the scores of a rater: 1 would mean that the model puts all pairs in the
# rater's order.

# %% mystnb={"image": {"alt": "Two curves over training steps: the loss falls, the development Spearman of each evaluation is marked."}}
from simgpt.report import training_curves

log = pd.read_json(run / "train_log.jsonl", lines=True)
with figure_style():
    figure = training_curves(log)
figure

# %%
log.dropna(subset="eval_development_spearman")[["step", "eval_development_spearman"]].round(4)

# %% [markdown]
# And the four triplets again, as the *trained* encoder places them:

# %% mystnb={"image": {"alt": "The same grid after training: the outlined right answers stand out more from the rest of their rows."}}
trained = load_encoder(str(run))
columns = zip(*texts, strict=True)
vectors = [torch.tensor(trained.encode(list(column))) for column in columns]
with figure_style():
    figure = score_grid(simcse_logits(*vectors, temperature=cfg.temperature).numpy())
figure

# %% [markdown]
# ## What we have now
#
# A folder that `SentenceTransformer` opens, with `trust_remote_code=True` where there is a prefix, since
# that is a class of this package:

# %%
pair = trained.encode(["A dog runs along the beach.", "A dog is running on the sand."])
round(float(trained.similarity(pair[:1], pair[1:])), 3)

# %% [markdown]
# Its model card, `checkpoint/README.md`, says what it was trained on and how. For other programs,
# `simgpt export` writes it as a plain `AutoModel` folder or as an ONNX file, each checked against the
# original before it is put in place.
#
# Whether it is any *good* is told by [the seven benchmarks](../book/benchmarks.md), the next chapter.
