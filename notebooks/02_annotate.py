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
# After this chapter you will know how a language model is asked for triplets, how its answers are kept,
# read and audited, and which flaws the bundled ones have.
#
# A large language model can tell whether two sentences mean the same, but asking it about every pair
# is slow and costs money each time. Sim-GPT asks it **once**, for training data: for each sentence
# the model writes one that is definitely similar and one that is definitely dissimilar. A small
# encoder learns from these, and from then on no large model is needed.

# %% tags=["remove-cell"]
# In Google Colab this cell fetches and installs the package; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    import json
    import os
    import subprocess
    from pathlib import Path
    from urllib.parse import unquote
    from urllib.request import urlopen

    # Colab knows from where on GitHub this notebook was opened.
    _server = os.environ.get("COLAB_JUPYTER_IP", "172.28.0.12")
    _opened = unquote(json.load(urlopen(f"http://{_server}:9000/api/sessions"))[0]["path"])
    _url, _, _rest = _opened.removeprefix("fileId=").partition("/blob/")
    _url = os.environ.get("SIMGPT_REPOSITORY", _url)
    if not _url.startswith("https://"):
        raise SystemExit("Open this notebook by the button on its page, or set SIMGPT_REPOSITORY.")
    _branch = ["--branch", _rest.partition("/notebooks/")[0]] if _rest else []
    _folder = Path("/content/simgpt")
    if not _folder.exists():
        subprocess.run(["git", "clone", "--quiet", *_branch, _url, _folder], check=True)
    sys.path.insert(0, str(_folder))
    from simgpt.colab import set_up

    _gpu_profile = set_up(_folder, tell=print)  # or the name of a profile for runtimes with a GPU

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
# The paper reports that its results hardly depend on the prompt. Whether that holds for a weak
# teacher can be tried: each prompt comes in four *variants*. `brief` says as little as possible,
# with other examples; `rater` puts the task in terms of the STS scale; `turns` sends the examples as
# a conversation; `json` asks for a JSON object, and servers that can are made to give one. A prompt's
# *hash* stands in for its text wherever annotations are kept, so one can tell which prompt an answer
# belongs to:

# %%
import pandas as pd

from simgpt.annotate import prompt_names

prompts = [load_prompt(name) for name in prompt_names()]
pd.DataFrame(
    {
        "hash": [prompt.hash[:8] for prompt in prompts],
        "examples": [len(prompt.examples) for prompt in prompts],
        "characters": [len(prompt.text) for prompt in prompts],
        "answer": [str(prompt.answer) for prompt in prompts],
    },
    index=pd.Index([prompt.name for prompt in prompts], name="prompt"),
)

# %% [markdown]
# A prompt of your own is a file like these, or a text file with `{sentence}` in it; the text files
# that the paper's authors released work as they are (`simgpt annotate ... --prompt FILE`).
#
# ## The teacher
#
# A teacher is anything that answers a prompt. The one on this page is the **recorded** teacher: it
# replays annotations that a language model wrote before, costs nothing and needs no network. It knows
# the sentences of the bundle and no others; asked about a new one, it says so.
#
# The other is **any model behind the OpenAI protocol**: OpenAI's own, or one that vLLM, Ollama or
# llama.cpp serves on a machine of yours. Both go through the same steps. The first of them is
# book-keeping.
#
# ## The ledger
#
# Answers are paid for, and a run over hundreds of thousands of sentences will be interrupted. So
# every call is noted in a *ledger*, a database file, before it is made, and its answer before the
# next call takes its place. What was asked is found again by its *key*, a hash $k$ of everything that
# decides an answer:
#
# $$ k = \operatorname{SHA256}(\text{endpoint}, \text{model}, \text{prompt}, \text{sampling}, \text{sentence}). $$
#
# Asking the same thing once more costs nothing. A run that was killed goes on where it was, and loses
# at most the answers that were on their way. And since the ledger keeps answers raw, a better parser
# can read them again for nothing.
#
# All together now: for each sentence of this run, render the prompt of its kind, ask, note, parse and
# check.

# %%
from pathlib import Path

from simgpt.annotate import RecordedTeacher, Task, annotate
from simgpt.sentences import SourceSentence

teacher = RecordedTeacher(triplets_path(cfg))
folder = Path("runs") / f"{cfg.run_name}-annotation"
task = Task(
    sentences=[SourceSentence(t.sentence, t.source) for t in bundle],
    endpoint=teacher.endpoint,
    model=teacher.model,
)
summary = annotate(task, teacher, output=folder / "triplets.jsonl", ledger=folder / "ledger.sqlite")
pd.Series(
    {name: summary[name] for name in ("sentences", "triplets", "attempts", "usd")},
    name="count",
    dtype=object,
).to_frame()

# %% [markdown]
# From the command line, with a live model:
#
# ```bash
# export OPENAI_API_KEY=...
# simgpt annotate sentences.txt --source captions --model gpt-4o-mini --dry-run
# simgpt annotate sentences.txt --source captions --model gpt-4o-mini \
#     --budget-usd 5 --output triplets.jsonl
# simgpt annotate status
# ```
#
# `--dry-run` tells what it would cost before anything is spent, `--budget-usd` makes sure that it
# costs no more, and `status` says how far a run is. Without any account, `simgpt annotate serve`
# starts a very small model on your own machine (`pip install ".[local-llm]"`); what such a
# teacher is worth is the subject of {doc}`another page <../book/teacher>`.
#
# A few triplets of each kind, side by side. Read them as a rater would: does the second text say the
# same as the first, and the third something else?

# %%
from simgpt.triplets import read_triplets

annotated = list(read_triplets(folder / "triplets.jsonl"))
pd.set_option("display.max_colwidth", None)
table = pd.DataFrame(t.to_dict() for t in annotated).sample(frac=1, random_state=cfg.seed)
table.groupby("source").head(3).sort_values("source").set_index("source")[
    ["sentence", "similar", "dissimilar"]
]

# %% [markdown]
# ## Reading answers
#
# Models number, label, quote and decorate their answers in ways of their own, chat around them, or
# run on. One parser reads all of that as long as it can mean one thing only:

# %%
from simgpt.annotate import AnswerError, parse_answer

parse_answer(
    "Sure! Here you go:\n\n**2.** “The city pool is closed.”\n**1)** After dark, they reap."
)

# %% [markdown]
# The rest is refused by name rather than guessed at, because a wrong guess would end up in the
# training data without anyone noticing:

# %%
for _answer in (
    "1. Machines bring in the crop after dark.",
    "I'm sorry, but I can't help with that.",
    "1. Similar: They reap at night.\n2. Similar: The pool is closed.",
):
    try:
        parse_answer(_answer)
    except AnswerError as _error:
        print(f"{_error.kind}: {_error}")

# %% [markdown]
# ## The audit
#
# An answer in the right form can still teach the wrong thing: it hands the sentence back, swaps one
# word, puts a "not" in, says half of the same, or tells everyone the same. Each such fault has a
# *verdict*. Here they are at
# work on made-up answers to one sentence:

# %%
from simgpt.annotate import audit, reused_answers

_sentence = "Farmers are harvesting the wheat at night."
_answers = {
    "good": ("After dark, wheat is being brought in.", "The city pool is closed for repairs."),
    "handed back": ("Farmers are harvesting the wheat at night!", "The city pool is closed."),
    "one word swapped": ("Farmers are harvesting wheat at night.", "The city pool is closed."),
    "a not put in": (
        "After dark, wheat is brought in.",
        "Farmers are not harvesting the wheat at night.",
    ),
    "a part of it": ("After dark, wheat is brought in.", "Farmers are harvesting wheat."),
    "declined": ("As an AI model, I cannot write this sentence.", "The city pool is closed."),
    "twice the same": ("The city pool is closed.", "the city pool is closed"),
    "same opening": ("After dark, wheat is brought in.", "Farmers are selling apples at the gate."),
    "told to everyone": ("They work.", "It is raining."),
}
_reused = reused_answers([("They work.", "It is raining.")] * 3)
pd.DataFrame(
    [
        (label, *texts, ", ".join(audit(_sentence, *texts, reused=_reused)) or "none")
        for label, texts in _answers.items()
    ],
    columns=["answer", "similar", "dissimilar", "verdicts"],
).set_index("answer")

# %% [markdown]
# All verdicts but the last kind, `opening`, keep a triplet out of the training file. Nothing is
# dropped without a trace: what is kept out stands in a second file, with the raw answer and the
# reason. For this page's run:

# %%
from simgpt.annotate import outcome_rows

pd.DataFrame(outcome_rows(summary)).set_index("outcome").round(2)

# %% mystnb={"image": {"alt": "Stacked bars, one for each kind of sentence: the share of sentences that became triplets, and of those kept out, by reason. Nearly all of the recorded teacher's answers are kept; a fraction of a per cent are near-copies."}}
# %matplotlib inline
from simgpt.report import figure_style, yield_bars

with figure_style():
    figure = yield_bars(summary["outcomes"])
figure

# %% [markdown]
# The recorded teacher was a strong model, and it shows. The same figure for a weak one is on
# {doc}`its own page <../book/teacher>`. From the command line, `simgpt triplets report FILE` prints
# these tables.
#
# ## What it costs
#
# The paper annotated 371,000 sentences and does not say what GPT-4 charged for it. At list prices the
# cost can be reckoned: the prompt is sent with every sentence, so it is most of what is paid for. The
# three prompts in equal parts, with sentences and answers as long as the bundle's:

# %%
from IPython.display import Markdown

from simgpt.annotate import cost_table, load_prices

_kinds = [load_prompt(name) for name in ("captions", "questions", "multi_genre")]
_source = next(iter(load_prices().values())).source
Markdown(
    f"Prices: {_source}. Models that reason before they answer charge for that too; it is not in here."
)

# %%
pd.DataFrame(cost_table(371_000, _kinds)).set_index("model").round(2)

# %% [markdown]
# The *Batch API* answers within a day instead of at once, for half the price. `simgpt annotate
# --batch` uses it: shards of up to 50,000 requests, each noted before it is sent, collected by key.
#
# ## Ask a live model
#
# The next cell asks a live model about three sentences if `OPENAI_API_KEY` or `OPENAI_BASE_URL` is
# set; `teacher`, one of the settings, names the model. It may spend ten cents at most, and what it
# asks is in the ledger, so that executing this page again costs nothing. Without either, nobody is
# asked, and the recorded answers are shown.

# %%
import os

from simgpt import SimgptError
from simgpt.annotate import Asking, OpenAITeacher, price_of

live = bool(os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"))
try:
    who = OpenAITeacher(cfg.teacher) if live else teacher
    few = Task(sentences=task.sentences[:3], endpoint=who.endpoint, model=who.model)
    how = Asking(price=price_of(cfg.teacher), budget_usd=0.1) if live else Asking()
    annotate(few, who, output=folder / "few.jsonl", ledger=folder / "ledger.sqlite", asking=how)
    shown = pd.DataFrame(t.to_dict() for t in read_triplets(folder / "few.jsonl"))
    shown = shown.set_index("teacher")[["sentence", "similar", "dissimilar"]]
except SimgptError as _error:
    shown = Markdown(f"No live answers: {_error}")
shown

# %% [markdown]
# ## What the triplets look like
#
# The bundle was written in three *waves*: the first reworded freely, the second is plainer and was
# balanced on purpose, the third added genres. A fourth came later; it is a file of its own, and only
# the {doc}`data card <../book/data>` and the study's headline have it.

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
import matplotlib.pyplot as plt

overlap = pd.DataFrame(statistics.overlaps(bundle, "wave")).set_index("wave")
with figure_style():
    figure, axes = plt.subplots(figsize=(8, 3.6))
    overlap.filter(like="overlap, ").plot.bar(ax=axes, rot=0)
    [axes.bar_label(bars, fmt="%.0f") for bars in axes.containers]
    axes.set_ylabel("words shared (%)")
    axes.legend(["similar", "dissimilar"], loc="lower right", ncols=2, bbox_to_anchor=(1, 1))

# %%
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
# Triplets, and a fair idea of their flaws. What training should make of them is the subject of
# [the objectives](../book/objectives.md), the next chapter.
