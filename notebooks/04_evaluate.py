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
# After this chapter you will know what training has done to the scores, how sure these are, and where the
# model is right and where not.
#
# People have rated pairs of sentences from 0 (nothing in common) to 5 (the same meaning). A good
# encoder puts the pairs in the same order as the raters. Seven collections of such pairs have become
# the yardstick: STS12 to STS16, STS-B and SICK-R. [The chapter before](../book/benchmarks.md) tells what is in
# them.

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
# If the run of the last chapter is there, it is used; otherwise it is trained now. Each result is kept
# with the cosines of all pairs beside it; whatever follows starts from these, and encodes nothing again.

# %%
from pathlib import Path

from simgpt.evaluate import evaluate_or_fall_back
from simgpt.train import train

run = train(cfg, Path("runs") / cfg.run_name)
models = {"untouched": cfg.backbone, "trained": str(run)}
kept = {label: Path("runs") / f"{cfg.run_name}-{label}.json" for label in models}
results = {
    label: evaluate_or_fall_back(name, benchmarks=cfg.benchmarks, output=kept[label])
    for label, name in models.items()
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

benchmarks = cfg.benchmarks if results["trained"]["tasks"] else "bundled"
compared = compare_models(str(kept["trained"]), str(kept["untouched"]), benchmarks=benchmarks)
Markdown(comparison_table(compared))

# %% [markdown]
# The same from the command line: `simgpt evaluate compare runs/demo bundled`.
#
# Pairs are one source of chance; the seed of training is another, which no bootstrap over pairs sees.
# Only runs with several seeds show it: `simgpt report table RESULTS --seeds` gives the mean of their
# scores, the deviation of single runs, and an interval of the mean by Student's t.
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
# ## Three ways to one score
#
# Papers differ in how they make one score of a task's subsets. `all` ranks the pooled pairs, as the
# paper does and all tables here; `mean` averages the subsets' own scores, `wmean` weights them by their
# pairs. The model is the same, the numbers are not, so the signature says which it is.

# %%
from simgpt.report import aggregation_table

Markdown(aggregation_table(results["trained"]))

# %% [markdown]
# ## Behind the score
#
# One number hides where a model is good and where it is not. A *diagnosis* looks at the same cosines
# from several sides.

# %%
from simgpt.evaluate import diagnose_model

diagnosed = {
    "untouched": diagnose_model(str(kept["untouched"]), benchmarks=benchmarks),
    "trained": diagnose_model(
        str(kept["trained"]), against=str(kept["untouched"]), benchmarks=benchmarks
    ),
}

# %% [markdown]
# **Length.** Pairs are put into bins of about equal size by the words of their longer sentence. Within
# a bin each task is ranked by itself, and the tasks' scores are averaged by their pairs: raters of
# different tasks used the scale differently, and ranking them together would measure which task a pair
# is from. Compare the two models within a bin; two bins differ in how far apart their gold scores lie,
# too, and the closer these are, the lower every model's score.

# %% mystnb={"image": {"alt": "Spearman by words of the longer sentence, a mark with its interval for each bin: one line for the untouched and one for the trained encoder."}}
from simgpt.report import bin_plot

lengths = {label: found["length"]["bins"] for label, found in diagnosed.items()}
with figure_style():
    figure = bin_plot(lengths, value="words of the longer sentence")
figure

# %% [markdown]
# **Word overlap**: words that both sentences have, over words that either has. Where many words are
# shared, the few others decide, and an encoder has to notice them.

# %% mystnb={"image": {"alt": "Spearman by word overlap, a mark with its interval for each bin: one line for the untouched and one for the trained encoder."}}
overlaps = {label: found["overlap"]["bins"] for label, found in diagnosed.items()}
with figure_style():
    figure = bin_plot(overlaps, value="word overlap (0 to 1)")
figure

# %% [markdown]
# Overlap by itself is a score, too: counting shared words costs nothing and understands nothing. What
# an encoder is worth is the distance between the two marks.

# %% mystnb={"image": {"alt": "Dot plot by task of two Spearmans: that of word overlap by itself, with its interval, and that of the trained encoder."}}
from simgpt.report import baseline_plot

with figure_style():
    figure = baseline_plot(diagnosed["trained"]["overlap"]["baseline"])
figure

# %% [markdown]
# **Calibration.** Spearman asks for the right order only. Who sets a threshold or shows the cosine to
# people needs more: does a cosine of 0.8 mean what raters mean by 0.8? Each mark is a tenth of the
# pairs; on the diagonal, mean cosine and mean gold score (from 0 to 1) are equal. The *expected
# calibration error* is the mean distance from it. On the right, isotonic regression has bent the cosines
# to gold scores, fitted on development pairs only; without benchmarks, on one half of them and tested
# on the other. What is fitted can only rise: it corrects the scale and, ties apart, leaves the order.

# %% mystnb={"image": {"alt": "Two panels of mean gold score against mean prediction with the diagonal: the trained encoder's cosine on the left, the same after isotonic regression on the right."}}
from simgpt.report import calibration_plot

with figure_style():
    figure = calibration_plot(diagnosed["trained"]["calibration"])
figure

# %% [markdown]
# **Worst errors.** The pairs that trained encoder and raters rank most differently, among the bundled
# development pairs, whose texts are free to print. A rank is the share of pairs below.

# %%
from simgpt.evaluate.benchmarks import bundled_dev_task
from simgpt.evaluate.ranks import pair_text
from simgpt.report import error_table

on_development = {
    label: diagnose_model(name, benchmarks="bundled") for label, name in models.items()
}
errors = on_development["trained"]["errors"]["overall"]
texts = [pair_text(bundled_dev_task(), error["subset"], error["pair"]) for error in errors]
Markdown(error_table(errors, texts))

# %% [markdown]
# **Alignment and uniformity** {cite}`wang-isola-2020-understanding` look at the vectors $f(x)$ of length
# one themselves. Pairs that mean the same (gold above 4, as in SimCSE) should lie close together, and
# all sentences together should spread over the sphere:
#
# $$ \ell_{\text{align}} = \mathop{\mathbb{E}}_{(x, y)} \lVert f(x) - f(y) \rVert^2, \qquad
# \ell_{\text{uniform}} = \log \mathop{\mathbb{E}}_{x \ne y} e^{-2 \lVert f(x) - f(y) \rVert^2}. $$
#
# Both are better when lower, and each is easy without the other: one point for all sentences aligns
# them perfectly. Before and after training, on the development pairs:

# %%
from simgpt.report import geometry_table

Markdown(geometry_table({label: found["geometry"] for label, found in on_development.items()}))

# %% [markdown]
# **Agreement.** How much did training change? The left panel shows how alike the two models order the
# pairs (1 is the same order). Where they differ, the right panel counts which of the two ranks a pair
# closer to the raters.

# %% mystnb={"image": {"alt": "Two panels by task: rank correlations between the cosines of the trained and the untouched encoder, and how many pairs each of the two ranks closer to the raters."}}
from simgpt.report import agreement_plot

with figure_style():
    figure = agreement_plot(diagnosed["trained"]["agreement"], names=("trained", "untouched"))
figure

# %% [markdown]
# All of it, with data and figures in a folder:
# `simgpt evaluate diagnose runs/demo --against bundled --output runs/diagnosis`.
#
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
#
# A score counts for something if the test was new to the model. Whether it was is the question of
# [the next chapter](05_contamination.ipynb).
