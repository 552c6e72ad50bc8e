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
# # Evaluation: seven benchmarks, one protocol
#
# People have rated pairs of sentences from 0 (nothing in common) to 5 (the same meaning). A good
# encoder puts the pairs in the same order as the raters. Seven collections of such pairs have become
# the yardstick: STS12 to STS16, STS-B and SICK-R.

# %% tags=["parameters"]
profile = "smoke"  # smoke (a minute) or laptop (all bundled triplets)

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# ## The protocol
#
# The same model can differ by several points between two ways of scoring, so the way is part of the
# number. This is the one the paper uses, that of SentEval {cite}`conneau-kiela-2018-senteval` as
# SimCSE {cite}`gao-etal-2021-simcse` extended it:
#
# - **Text** as SentEval prepares it: tokenised, lower-cased except for SICK, nothing cut off.
# - **Similarity** is the cosine of the two vectors, in 32-bit floats (fewer bits make ties).
# - **Score** is Spearman's rank correlation with the raters; tied values share their average rank.
# - **'All' aggregation**: STS12 to STS16 consist of subsets. Their pairs are pooled and ranked
#   *together*. The mean of the subsets' own scores is another number, often several points away.
# - **Average** of the seven scores, each rounded to two decimals first, as tables print it.
#
# With $d_i$ the difference between pair $i$'s rank by cosine and its rank by the raters, and no ties,
# the score over $n$ pairs is
#
# $$ \rho = 1 - \frac{6 \sum_i d_i^2}{n (n^2 - 1)}. $$
#
# ## The untouched encoder and the trained one
#
# If the run of the last chapter is there, it is used; otherwise it is trained now.

# %%
from pathlib import Path

from simgpt.evaluate import evaluate_or_fall_back
from simgpt.train import train

run = train(cfg, Path("runs") / cfg.run_name)
results = {
    "untouched": evaluate_or_fall_back(cfg.backbone, benchmarks=cfg.benchmarks),
    "trained": evaluate_or_fall_back(str(run), benchmarks=cfg.benchmarks),
}

# %%
from IPython.display import Markdown

from simgpt.report import score_table, scored_on

Markdown(scored_on(results["untouched"]))

# %%
Markdown(score_table(results))

# %% [markdown]
# ## How sure is a score?
#
# A benchmark's pairs are a sample of what could be asked. The *bootstrap* asks how much the score would
# move with another sample: it draws as many pairs with replacement, subset by subset, scores them, and
# does so thousands of times. The middle 95 per cent of these scores are the interval:

# %%
from simgpt.report import interval_table

Markdown(interval_table(results))

# %% [markdown]
# Two intervals that overlap do not mean that two models are alike: both were scored on the *same*
# pairs, and what one finds hard the other does, too. So the difference has a test of its own. The
# bootstrap draws the same pairs for both; the randomisation test exchanges the two models' ranks, pair
# by pair, at random, and counts how often chance makes as large a difference. Who tests seven
# benchmarks at once has seven chances to find something in nothing; Holm's correction accounts for
# that.

# %%
from simgpt.evaluate import compare_models
from simgpt.report import comparison_table

compared = compare_models(
    str(run), cfg.backbone, benchmarks=cfg.benchmarks if results["trained"]["tasks"] else "bundled"
)
Markdown(comparison_table(compared))

# %% [markdown]
# The same from the command line: `simgpt evaluate compare runs/demo bundled`.
#
# ## Subset by subset
#
# Where does the change come from? Each mark is one subset; above the line the trained encoder is
# better.

# %% mystnb={"image": {"alt": "Scatter plot of each subset's Spearman: untouched encoder on the horizontal, trained encoder on the vertical axis, with the line of equality."}}
# %matplotlib inline
from simgpt.report import figure_style, subset_scatter

with figure_style():
    figure = subset_scatter(results["untouched"], results["trained"])
figure

# %% [markdown]
# ## A number that can be cited
#
# Each score carries a signature: what another must do alike to get the same number. `data` is the
# beginning of the SHA-256 of the benchmark's files.

# %%
Markdown(
    "\n".join(
        f"- `{score['signature']}`"
        for score in (
            *results["trained"]["tasks"].values(),
            *results["trained"]["development"].values(),
        )
    )
)

# %% [markdown]
# ## What we have now
#
# A trained encoder and its scores. The same from the command line:
#
# ```bash
# simgpt evaluate bundled --benchmarks path/to/SentEval/data
# simgpt evaluate runs/demo --benchmarks path/to/SentEval/data
# ```
#
# The numbers of the {doc}`landing page <../book/index>` were measured this way, with several seeds.
