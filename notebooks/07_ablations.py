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
# # Ablations: what matters, and what does not
#
# After this chapter you will know how to ask what one ingredient of the recipe is worth, and how sure the
# answer is.
#
# A trained encoder scores better than an untouched one. But why? Because of the triplets, or of any
# training at all? Because of the dissimilar sentences, or would the similar ones have done? An *ablation*
# takes one ingredient away, leaves everything else as it was, and looks at what happens.
#
# This chapter runs a small one, of three rows, and then shows the results of the large ones. What these
# found is told in {doc}`what matters, and what does not <../book/study>`.

# %% tags=["parameters"]
profile = "smoke"  # smoke (development pairs, a minute) or laptop (the benchmarks, ten)

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# ## A grid
#
# A study is one file: a question, the seeds, and the rows. Each row is a training run with settings and
# data of its own; all it does not mention is shared. The question here is whether it takes a language
# model to write the partners, and whether it takes both of them:
#
# - `both`: sentence, similar and dissimilar sentence, as an LLM wrote them;
# - `similar`: without the dissimilar sentences; the other sentences of the batch are negatives enough,
#   perhaps;
# - `rules`: partners made without any model, in the style of EDA {cite}`wei-zou-2019-eda`: the sentence
#   with a word deleted and two swapped as the similar one, the sentence with some words of other sentences
#   as the dissimilar one.
#
# The other settings are this notebook's. To keep it short, few triplets are trained on, with one seed.

# %%
import json
from pathlib import Path

from simgpt.evaluate import evaluate_or_fall_back
from simgpt.files import write_text

kept = Path("runs") / f"{cfg.run_name}-untouched.json"
untouched = evaluate_or_fall_back(cfg.backbone, benchmarks=cfg.benchmarks, output=kept)
few = {
    "max_triplets": min(cfg.max_triplets // 4 or 1000, 1000),
    "benchmarks": cfg.benchmarks if untouched["tasks"] else "bundled",
}
elsewhere = ("profile", "seed", "triplets")
settings = {k: v for k, v in {**cfg.to_dict(), **few}.items() if k not in elsewhere}

grid = Path("runs") / f"{cfg.run_name}-partners.toml"
write_text(
    grid,
    f"""\
question = "Does it take an LLM's partners, and both of them?"
profile = "{cfg.profile}"
seeds = [{cfg.seed}]
reference = "both"

[data.written]
from = {json.dumps(cfg.triplets)}

[data.rules]
from = {json.dumps(cfg.triplets)}
perturb = true

[[rows]]
name = "both"
label = "both partners"
data = "written"

[[rows]]
name = "similar"
label = "similar partner only"
data = "written"
set = {{ hard_negatives = false }}

[[rows]]
name = "rules"
label = "partners made by rules"
data = "rules"

[settings]
"""
    + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()),
)

# %% [markdown]
# What there is to do, and how long it will take here (`simgpt study plan FILE` on the command line):

# %%
import pandas as pd

from simgpt.progress import span
from simgpt.study.plan import plan_study

results = Path("runs") / "results"
pd.DataFrame(
    [
        (cell.cell.name, cell.triplets, cell.state, span(cell.seconds or 0))
        for cell in plan_study(str(grid), output=results)
    ],
    columns=["row and seed", "triplets", "state", "time left, about"],
)

# %% [markdown]
# ## Running it
#
# Each cell is trained and scored, and its result is a file. What has a result is not trained again, so a
# study that was stopped goes on with the same call; several machines can share one
# (`simgpt study run FILE --shard 1/4`).

# %%
from simgpt.study import run_study

left_out = run_study(str(grid), output=results)

# %%
from IPython.display import Markdown

from simgpt.report import (
    difference_plot,
    figure_style,
    load_study_results,
    rows_table,
    scored_on,
    study_finding,
)

study = load_study_results(results, str(grid))
Markdown(f"{scored_on(untouched)}\n\n{rows_table(study)}")

# %% mystnb={"image": {"alt": "Dot plot with a mark for each of two rows, the similar partner only and partners made by rules: the difference of the score from that of training on both partners. There is one seed, so the marks have no intervals."}}
# %matplotlib inline
with figure_style():
    figure = difference_plot(study)
figure

# %%
from simgpt.report import RESULTS

Markdown(study_finding(study, RESULTS))

# %% [markdown]
# One seed says little. Train again with another seed and each row moves; a difference that is no larger
# than this is no finding. With the same seeds $1, \ldots, k$ in both rows, the differences $d_i$, seed by seed,
# have a mean $\bar d$ and a standard deviation $s$, and Student's
#
# $$ t = \frac{\bar d}{s / \sqrt{k}} $$
#
# says how far the mean is from zero, by the measure of how far the seeds are from each other. Three
# seeds make a weak test: its 95 % interval reaches 2.5 standard deviations to either side. And whoever
# tests ten rows at 0.05 finds something in nothing four times out of ten; Holm's correction makes each test as much
# stricter as it takes.
#
# ## The studies of this book
#
# The same, with all triplets, several seeds and the seven benchmarks. These results are committed:

# %%
from simgpt.study import study_names

Markdown(
    "\n\n".join(
        f"**{found.question}** {study_finding(found, RESULTS)}\n\n{rows_table(found)}"
        for found in (load_study_results(RESULTS, name) for name in study_names())
    )
    if RESULTS.is_dir()
    else "*There are no committed results in `book/results/`.*"
)

# %% [markdown]
# ## What we have now
#
# A way to ask what an ingredient is worth, and to be told how sure the answer is. A study of your own is a
# file like the one above:
#
# ```bash
# simgpt study plan                        # the bundled studies: what is done, how long the rest takes
# simgpt study run my_study.toml --output results
# simgpt study run size --rows 250,all --seeds 1
# ```
#
# [What matters, and what does not](../book/study.md) reads the results, question by question.
