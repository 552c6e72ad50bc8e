"""The other way to use a large language model: ask it about every pair.

It needs no training, and one call for each pair, for ever. The paper's case for annotating once
rests on this being slower and dearer.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simgpt.annotate.ledger import Ledger
from simgpt.annotate.prompting import PAIR, PROMPTS, Prompt, read_prompt
from simgpt.annotate.requests import Api, Sampling, Setup
from simgpt.annotate.run import Asking, ask
from simgpt.annotate.task import CHUNK, Asked, chunks
from simgpt.annotate.teachers import Teacher
from simgpt.errors import SimgptError
from simgpt.files import read_jsonl, staged
from simgpt.progress import progress

LOWEST, HIGHEST = 0.0, 5.0  # the STS scale

# The first number that stands alone. "4/5" is 4 of 5; in "Score (0-5): 3" it is the 3.
_SCALE = re.compile(
    r"\(?\b[01]\s*(?:-|–|to|and)\s*5\b\)?|(?<=\d)\s*(?:/|(?:out )?of)\s*5\b", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.,−-])-?\d+(?:[.,]\d+)?(?!\w|[.,]\d)")
# "3 or 4" is no score, and "4/10" is one on another scale.
_MORE = re.compile(r"\s*(?:[-–/]|to|or|and|(?:out )?of)\s*\d", re.IGNORECASE)


@dataclass(frozen=True)
class Pairs:
    """Pairs of sentences from a JSONL file with `sentence1` and `sentence2`; read anew each time.

    Further keys, such as a gold `score`, travel along.
    """

    path: Path
    setup: Setup

    def __iter__(self) -> Iterator[Asked]:
        for row in self.rows():
            inputs = (row["sentence1"], row["sentence2"])
            yield Asked(inputs, "pairs", self.setup, self.setup.key(inputs))

    def rows(self) -> Iterator[dict[str, Any]]:
        """The file's rows.

        Raises:
            SimgptError: a line is malformed or lacks a sentence; file and line are named.
        """
        for line, row in read_jsonl(self.path):
            for name in PAIR:
                if not isinstance(row.get(name), str) or not row[name].strip():
                    raise SimgptError(f"{self.path}, line {line}: {name} is missing or empty")
            yield row


def load_scoring_prompt(path: Path | None = None) -> Prompt:
    """The bundled scoring prompt, or one's own text file with `{sentence1}` and `{sentence2}`.

    Raises:
        SimgptError: as `read_prompt`.
    """
    return read_prompt(path or PROMPTS / "score.txt", PAIR)


def score_pairs(
    pairs: Path,
    teacher: Teacher,
    *,
    output: Path,
    ledger: Path,
    prompt: Prompt | None = None,
    sampling: Sampling | None = None,
    api: Api = Api.CHAT,
    asking: Asking | None = None,
) -> dict[str, Any]:
    """Ask a model for the similarity of each pair, from 0 to 5.

    Writes the rows of `pairs` to `output`, in order, each with `llm_score`: a number, or null where
    the answer holds none.

    Returns:
        Counts, and where the rows carry a gold `score`, Spearman's correlation with it over the
        pairs that were scored (from -1 to 1).

    Raises:
        Interrupted: something stopped the run before all pairs were scored.
        SimgptError: a bad file, or a ledger in use.
    """
    setup = Setup(
        teacher.endpoint,
        teacher.model,
        prompt or load_scoring_prompt(),
        sampling or Sampling(max_tokens=8),
        api,
    )
    task = Pairs(pairs, setup)
    with Ledger(ledger) as opened:
        found = ask(
            task,
            teacher,
            opened,
            asking or Asking(),
            lambda answer: parse_score(answer.text) is not None,
        )
        gold: list[float] = []
        given: list[float] = []
        scored = 0
        with (
            progress("writing", found.wanted) as advance,
            staged(output) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            for row, score in zip(task.rows(), _scores(task, opened), strict=True):
                advance()
                file.write(json.dumps({**row, "llm_score": score}, ensure_ascii=False) + "\n")
                if score is not None:
                    scored += 1
                    if isinstance(row.get("score"), int | float):
                        gold.append(row["score"])
                        given.append(score)
        totals = opened.totals([setup])
    return {"pairs": found.wanted, "scored": scored, "spearman": _spearman(given, gold), **totals}


def parse_score(text: str) -> float | None:
    """The score in an answer: a number from 0 to 5; None where there is none or not just one."""
    plain = _SCALE.sub(" ", text)
    found = _NUMBER.search(plain)
    if found is None or _MORE.match(plain, found.end()):
        return None
    score = float(found[0].replace(",", "."))
    return score if LOWEST <= score <= HIGHEST else None


def _scores(task: Iterable[Asked], ledger: Ledger) -> Iterator[float | None]:
    for chunk in chunks(task, CHUNK):
        answers = ledger.answers([asked.key for asked in chunk])
        for asked in chunk:
            answer = answers.get(asked.key)
            yield None if answer is None else parse_score(answer.text)


def _spearman(given: list[float], gold: list[float]) -> float | None:
    if len(set(given)) < 2 or len(set(gold)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(given, gold).statistic)
