"""The data card of the bundled annotations: prose from here, every count from the files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from simgpt.annotate.statistics import (
    counts,
    lengths,
    openings,
    overlaps,
    word_overlap,
)
from simgpt.files import sha256_of
from simgpt.markdown import Row, markdown_table
from simgpt.triplets import (
    BUNDLED_DEV_PAIRS,
    BUNDLED_TRIPLETS,
    BUNDLED_WAVE_4,
    load_dev_pairs,
    read_triplets,
)

_SIMILAR = 4  # from here on the STS rubric says that only details differ

_CARD = """\
---
license: cc0-1.0
language: en
pretty_name: simgpt annotations
task_categories:
- sentence-similarity
configs:
- config_name: triplets
  data_files: {triplets_file}
- config_name: wave_4
  data_files: {wave_4_file}
- config_name: dev_pairs
  data_files: {pairs_file}
---

# Data card: the bundled annotations

<!-- Written by `simgpt triplets card`; edit simgpt/annotate/card.py and run it again. -->

{triplet_count} English triplets for training sentence encoders (a sentence, one that definitely
means the same, one that definitely does not) and {pair_count} scored pairs for choosing between
trained models. They follow the recipe of
[Sim-GPT](https://arxiv.org/abs/2312.05603) but are not the paper's data: the paper's 371K
annotations by GPT-4 are a separate release.

## Licence

[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/): use them for anything, with or
without naming the source. The code around them has its own licence.

## How they were made

A large language model wrote every line in November 2026: the source sentence, the similar one and
the dissimilar one. No source sentence was taken from another data set, and no text comes from a
template. The work was done in four waves, which the field `wave` tells apart:

1. **Free rewording.** Similar sentences share few words with their sentence, and many dissimilar
   ones begin as it does.
2. **Plain and balanced.** Plainer language; word overlap and openings were evened out between
   similar and dissimilar.
3. **More genres.** Scenes with quantifiers, roles and absences, newswire, translated and formal
   prose, headlines and social comments, forum posts, dictionary glosses, questions from many
   boards, explanations and narrative. In part of this wave a script swapped sentence and similar
   to even out openings.
4. **More of the same kinds**, written once the first three had been measured. It is a file of its
   own, `{wave_4_file}`: what the package calls "bundled" are the first three waves, which its
   studies draw from. Left out are lines that the audit of `simgpt annotate` refuses, lines with a
   text that resembles one of the seven STS benchmarks or of the development sets (at any level of
   `simgpt evaluate contamination`), and lines whose sentence resembles an earlier one. As in wave
   3, a script swapped sentence and similar in some lines, to even out openings.

Three lines of the first three waves were removed because their sentence also stands in one of the
seven STS benchmarks (compared without case and punctuation). Names of real firms and living people
in invented events were replaced by invented names. Questions may still name real products and
places, as questions do.

## Files and fields

{files}

A line of either file of triplets is a JSON object:

| field | content |
| --- | --- |
| `id` | first 16 hex digits of SHA-256 over sentence, similar and dissimilar, joined by U+001F |
| `source` | kind of source sentence: `captions`, `questions` or `multi_genre` |
| `genre` | finer kind, see below |
| `wave` | 1 to 3, or 4 |
| `sentence`, `similar`, `dissimilar` | the three texts |

## Counts

{counts}

## Length in words

{lengths}

## Word overlap

The overlap of two texts is the number of words they share, divided by the number of words that
occur in either (the Jaccard index over sets of lower-cased words). The last column is the share of
triplets in which the *dissimilar* sentence shares more words with the sentence than the similar
one does, so that counting words would give the wrong answer.

{overlap_by_wave}

{overlap_by_source}

{overlap_by_genre}

## Openings

How many of the similar and of the dissimilar sentences begin with the two words that the sentence
begins with. Where the two shares differ, a model can learn to tell similar from dissimilar by the
opening alone.

{openings}

## Known weaknesses

- **Word overlap points the wrong way** in parts of wave 1, most of all in `everyday`: see the
  tables.
- **Openings give the answer away** in wave 1 and, less so, in parts of wave 3: see the table.
- **Similar is not always equivalent.** Some similar sentences follow from their sentence but not
  the other way round.
- **Dissimilar is not always unrelated.** Some dissimilar sentences reverse the sentence; a rater
  on the STS scale would give those 1 or 2 rather than 0. By estimate, fewer than one in four is
  about something else entirely.
- **Captions of wave 1 are livelier** than captions of photographs usually are.
- **Spelling is mostly British.**
- **Nothing was fact-checked.** News lines are invented, explanations may be wrong, and opinions
  argue contested matters from several sides.
- **Near-duplicates were not looked for** in the first three waves, neither among themselves nor
  against the benchmarks.
- **Wave 4 rewords stiffly in places**: fronted phrases, passives; and some of its dissimilar
  sentences play with words rather than say what anyone would say. In its `boards` and `prose` a
  part of the lines are drafts that were revised after the file had been closed. For real firms and
  living people only its news, forum posts and prose were searched, by a short list of names.
- **One model wrote everything**, so its habits run through all of it.

## Development pairs

`{pairs_file}` holds {pair_count} pairs (`genre`, `sentence1`, `sentence2`) with a `score` from 0
(unrelated) to 5 (equivalent) after the STS rubric, given by **one rater, a language model**. They
are there to pick checkpoints and settings without looking at a test set. They are **no
benchmark**: do not report a score on them as a result.

They were built so that word overlap does not predict the score: the Spearman correlation between
the two is {pair_correlation:.2f}.

{pairs}
"""


def data_card() -> str:
    """The Markdown card that is committed as `simgpt/data/README.md`.

    Raises:
        SimgptError: a bundled file is missing or malformed.
    """
    files = {path: list(read_triplets(path)) for path in (BUNDLED_TRIPLETS, BUNDLED_WAVE_4)}
    triplets = [triplet for held in files.values() for triplet in held]
    pairs = load_dev_pairs().to_list()
    return _CARD.format(
        triplets_file=BUNDLED_TRIPLETS.name,
        wave_4_file=BUNDLED_WAVE_4.name,
        pairs_file=BUNDLED_DEV_PAIRS.name,
        triplet_count=f"{len(triplets):,}",
        pair_count=f"{len(pairs):,}",
        files=markdown_table(_files(files | {BUNDLED_DEV_PAIRS: pairs})),
        counts=markdown_table(counts(triplets, "source", "genre", "wave")),
        lengths=markdown_table(lengths(triplets)),
        overlap_by_wave=markdown_table(overlaps(triplets, "wave")),
        overlap_by_source=markdown_table(overlaps(triplets, "source")),
        overlap_by_genre=markdown_table(overlaps(triplets, "genre")),
        openings=markdown_table(openings(triplets)),
        pair_correlation=_overlap_correlation(pairs),
        pairs=markdown_table(_pair_rows(pairs)),
    )


def _files(held: Mapping[Path, Sequence[object]]) -> list[Row]:
    return [
        {"file": f"`{path.name}`", "lines": len(lines), "SHA-256": f"`{sha256_of(path)}`"}
        for path, lines in held.items()
    ]


def _overlap_correlation(pairs: Sequence[Row]) -> float:
    from scipy.stats import spearmanr

    overlap = [word_overlap(pair["sentence1"], pair["sentence2"]) for pair in pairs]
    return float(spearmanr(overlap, [pair["score"] for pair in pairs]).statistic)


def _pair_rows(pairs: Sequence[Row]) -> list[Row]:
    rows = []
    for genre in sorted({pair["genre"] for pair in pairs}):
        scores = [pair["score"] for pair in pairs if pair["genre"] == genre]
        share = 100 * sum(score >= _SIMILAR for score in scores) / len(scores)
        rows.append(
            {
                "genre": genre,
                "pairs": len(scores),
                "mean score": sum(scores) / len(scores),
                f"scored {_SIMILAR} or more (%)": share,
            }
        )
    return rows
