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
# # Cost and speed: when does annotating once pay?
#
# After this chapter you will know what a pair costs with a language model and with an encoder, and from how
# many pairs on annotating once is the cheaper way.
#
# The paper's case for annotating once is that it saves in the long run: a large language model that is
# asked about every pair is paid for every pair, while an encoder is paid for once. That is a claim
# about numbers, so here they are: what one pair costs either way, where the two lines cross, and what
# this reckoning leaves out.

# %% tags=["parameters"]
profile = "smoke"  # smoke or laptop; this page measures the same in both

# %%
from simgpt import RunConfig

cfg = RunConfig.from_notebook(globals())

# %% [markdown]
# ## What a pair takes
#
# Two sentences that nobody has seen before take an encoder two forward passes and one cosine. If their
# vectors are at hand, the cosine is all. Here is the untouched encoder on the bundled development
# pairs, on the machine that executed this page, in 32-bit floats and, where its processor is good at
# it, in 16 bits:

# %%
from simgpt.speed import Engine, measure_speed

engines = [Engine.FP32, Engine.BF16]
measured = measure_speed(cfg.backbone, benchmarks="bundled", engines=engines)

# %% [markdown]
# A language model reads instructions, worked examples and both sentences, and writes a number. Where
# the package's small local model is installed (`make local-llm`), it is asked about a few pairs and,
# for comparison, annotates a few captions:

# %%
from IPython.display import Markdown

from simgpt.llm_speed import local_llm
from simgpt.report import llm_finding, markdown_table, speed_bars, speed_finding, speed_rows
from simgpt.savings import load_machine, reckon, training_of

asked = local_llm(pairs=6, sentences=2)
machine = load_machine()
here = {
    **measured,
    "llm_measured": asked,
    **reckon(
        measured["encoders"],
        machine=machine,
        training=training_of({}),
        llm=None if "skipped" in asked else asked,
    ),
}
Markdown(llm_finding(here))

# %%
Markdown(markdown_table(*speed_rows(here)))

# %% mystnb={"image": {"alt": "Bar chart of pairs scored in a second, on a logarithmic axis: the language model where it was measured, the encoder in each form that was measured, and cosines of vectors that are at hand, which are faster by several powers of ten."}}
# %matplotlib inline
from simgpt.report import figure_style

with figure_style():
    figure = speed_bars(here)
figure

# %%
Markdown(speed_finding(here))

# %% [markdown]
# The dollars in the table are the machine's time. Its price is a public one, for a rented machine of
# about this kind:

# %%
Markdown(f"{machine.name}: **{machine.usd_per_hour:g} USD an hour** ({machine.source}).")

# %% [markdown]
# ## What a pair costs with a language model
#
# Large models are paid by the token. The project's scoring prompt is put in for the bundled development
# pairs, its tokens are counted or estimated, and dated list prices are put on them:

# %%
from simgpt.report import break_even_rows, cost_finding, cost_lines, price_rows

Markdown(markdown_table(*price_rows(here)))

# %%
example = here["llm_priced"]["gpt-4"]
tokens, shared = example["pair_tokens"]["input"]["middle"], example["shared_tokens"]
Markdown(
    f"Prices: {example['source']}. Basis: {example['basis']}. Of a pair's {tokens:.0f} tokens "
    f"{shared:.0f} are the instructions, the same each time. A request about many pairs at once would "
    f"share them, and read no less than 1/{tokens / (tokens - shared):.0f} of the tokens for each."
)

# %% [markdown]
# ## Where the lines cross
#
# Let $F$ be what the encoder costs before its first pair: annotation of $N$ sentences and training.
# With $c_{\text{LLM}}$ and $c_{\text{enc}}$ the costs of one pair, both ways cost the same after
#
# $$ p = \frac{F}{c_{\text{LLM}} - c_{\text{enc}}} $$
#
# pairs, and there is no such point where the encoder is not cheaper by the pair. Often the pairs are
# those of $n$ sentences with each other, as in a search for duplicates. Then the language model reads
# $n(n-1)/2$ pairs, the encoder reads $n$ sentences, and $n$ solves
#
# $$ F + n \, c_{\text{sentence}} + \frac{n(n-1)}{2} \, c_{\text{cosine}} = \frac{n(n-1)}{2} \, c_{\text{LLM}}. $$
#
# For as many annotations as the bundle has, with the same model as annotator and as scorer:

# %%
Markdown(markdown_table(*break_even_rows(here)))

# %% mystnb={"image": {"alt": "Line chart of cost in dollars against pairs scored, both axes logarithmic, for a cheap, a middling and a dear language model. Asking about every pair is a rising straight line; annotating once is flat over most of the range. A dot marks where the two lines of a model cross, at nearly the same number of pairs for all three."}}
with figure_style():
    figure = cost_lines(here)
figure

# %%
from simgpt.report import time_finding

Markdown(cost_finding(here) + "\n\n" + time_finding(here))

# %% [markdown]
# The break-even hardly depends on the model. A dear model is dear both ways: its price stands above and
# below the fraction bar and all but cancels, and what remains is how many tokens an annotation takes
# compared with a scored pair, times $N$. Training and the encoder's own work are small beside it.
#
# For as many annotations as the paper has, training the same encoder for as much longer:

# %%
Markdown(markdown_table(*break_even_rows(here, "paper")))

# %% [markdown]
# ## What is not counted

# %%
Markdown("\n".join(f"- {text}" for text in here["not_counted"]))

# %% [markdown]
# Quality is the one to keep in mind. The tables compare prices of two ways that need not give equally
# good scores: a strong language model may judge pairs better than a small encoder does, and a weak one
# much worse. And several pairs in one request would make asking cheaper, by no more than the factor
# above, and move the break-even up by as much, unless annotations share a request, too.
#
# ## The full measurement
#
# The above was measured while the page was made, on whatever machine made it, and on few questions.
# The full measurement was made once and is kept with its machine and commit:

# %%
from simgpt.report import RESULTS, load_speed, measured_on

kept = load_speed(RESULTS)
Markdown(
    "\n\n".join(
        f"**{name}, measured elsewhere:** {measured_on(speed)}\n\n"
        f"{markdown_table(*speed_rows(speed))}\n\n{llm_finding(speed)} "
        f"{time_finding(speed)}\n\n"
        f"{markdown_table(*break_even_rows(speed))}"
        for name, speed in kept.items()
    )
    or "*There is no committed measurement yet in `book/results/speed/`.*"
)

# %% [markdown]
# ## To repeat it
#
# ```bash
# make local-llm                                   # optional: 300 MB
# simgpt evaluate speed bundled --output speed.json
# simgpt evaluate speed runs/demo --machine-usd-per-hour 0.05
# ```
#
# `--llm FILE` keeps the language model's part, which takes minutes, and reads it the next time.
#
# What it costs depends on how much data it takes, and of which kind. [Ablations](07_ablations.ipynb) find
# out.
