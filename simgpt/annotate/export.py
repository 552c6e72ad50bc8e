"""From answers to a data set: parse, audit, write, and count what became of every sentence."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from simgpt.annotate.audit import REJECTING, Verdict, audit, reused_answers
from simgpt.annotate.ledger import Ledger
from simgpt.annotate.parsing import AnswerError, parse_answer, unquoted
from simgpt.annotate.requests import Answer, Setup
from simgpt.annotate.task import CHUNK, Asked, chunks
from simgpt.errors import SimgptError
from simgpt.files import sha256_of, staged
from simgpt.progress import Advance
from simgpt.triplets import Triplet, write_triplets

KEPT = "kept"
UNANSWERED = "not answered"
REJECTED = "rejected by the server"


@dataclass(frozen=True)
class Judged:
    """What became of one sentence.

    Attributes:
        asked: The sentence and how it was asked about.
        answer: The raw answer; empty where there is none.
        texts: The similar and the dissimilar sentence; None where the answer holds none.
        fault: Why there is no usable pair of texts; empty where there is one.
        verdicts: What the audit found.
    """

    asked: Asked
    answer: str = ""
    texts: tuple[str, str] | None = None
    fault: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def outcome(self) -> str:
        """`kept`, or the first reason why not."""
        if self.texts is None:
            return self.fault
        return next((str(v) for v in self.verdicts if v in REJECTING), KEPT)


@dataclass(frozen=True)
class Yield:
    """How many sentences became triplets, and what became of the others.

    Attributes:
        outcomes: By kind of sentence, how many had each outcome; they add up to all sentences.
        verdicts: By kind of sentence, how often the audit gave each verdict; a triplet may have
            several.
        setups: The ways in which the sentences were asked about, by hash.
    """

    outcomes: dict[str, Counter[str]]
    verdicts: dict[str, Counter[str]]
    setups: dict[str, Setup]

    def count(self, *outcomes: str) -> int:
        """Sentences with one of these outcomes; all sentences where none is named."""
        return sum(
            counter[name]
            for counter in self.outcomes.values()
            for name in (outcomes or tuple(counter))
        )


def rejected_path(output: Path) -> Path:
    """Where the answers that did not become triplets go: beside the triplets."""
    return output.with_name(f"{output.stem}.rejected.jsonl")


def export(
    task: Iterable[Asked],
    ledger: Ledger,
    output: Path,
    *,
    keep_flagged: bool = False,
    advance: Advance = lambda count=1: None,
) -> Yield:
    """Write the triplets to `output` and everything else beside it, in the order of the sentences.

    Both files depend on the sentences and the answers alone, and not on the order in which the
    answers came in.

    Args:
        task: What was asked.
        ledger: Holds the answers.
        output: A `.jsonl` or `.csv` file.
        keep_flagged: Write triplets that the audit rejects to `output` too, with their verdicts,
            as long as the three texts differ.
        advance: Called after each sentence, twice in all: what is reused shows in the end only.

    Raises:
        SimgptError: there is not one triplet to write.
    """

    def texts() -> Iterator[tuple[str, str]]:
        for judged in judge(task, ledger):
            advance()
            if judged.texts is not None:
                yield judged.texts

    reused = reused_answers(texts())
    result = Yield({}, {}, {})

    def triplets(rejected: TextIO) -> Iterator[Triplet]:
        for judged in judge(task, ledger, reused):
            advance()
            result.setups[judged.asked.setup.hash] = judged.asked.setup
            outcomes = result.outcomes.setdefault(judged.asked.source, Counter())
            outcomes[judged.outcome] += 1
            counted = result.verdicts.setdefault(judged.asked.source, Counter())
            counted.update(str(verdict) for verdict in judged.verdicts)
            distinct = not {Verdict.COPY, Verdict.SAME} & set(judged.verdicts)
            if judged.texts and (judged.outcome == KEPT or (keep_flagged and distinct)):
                yield _triplet(judged.asked, judged.texts, judged.verdicts)
            elif judged.outcome != UNANSWERED:
                rejected.write(json.dumps(_rejection(judged), ensure_ascii=False) + "\n")

    with staged(rejected_path(output)) as temporary, temporary.open("w", encoding="utf-8") as file:
        written = write_triplets(output, triplets(file))
    if not written:
        output.unlink()
        raise SimgptError(
            f"{output}: no answer of {result.count():,} became a triplet ("
            + ", ".join(f"{count:,} {name}" for name, count in _totals(result).most_common(4))
            + f"); {rejected_path(output)} has them all"
        )
    return result


def judge(
    task: Iterable[Asked], ledger: Ledger, reused: frozenset[int] = frozenset()
) -> Iterator[Judged]:
    """Parse and audit the answer to each sentence, in order."""
    for chunk in chunks(task, CHUNK):
        answers = ledger.answers([asked.key for asked in chunk])
        missing = [asked.key for asked in chunk if asked.key not in answers]
        rejections = ledger.rejections(missing) if missing else {}
        for asked in chunk:
            answer = answers.get(asked.key)
            if answer is not None:
                yield _judged(asked, answer, reused)
            elif asked.key in rejections:
                yield Judged(asked, answer=rejections[asked.key], fault=REJECTED)
            else:
                yield Judged(asked, fault=UNANSWERED)


def usable(answer: Answer) -> bool:
    """Does the answer hold two sentences?"""
    try:
        parse_answer(answer.text, truncated=answer.finish == "length")
    except AnswerError:
        return False
    return True


def hashes(output: Path) -> dict[str, str]:
    """SHA-256 of the files that `export` wrote, by name."""
    return {path.name: sha256_of(path) for path in (output, rejected_path(output))}


def _judged(asked: Asked, answer: Answer, reused: frozenset[int]) -> Judged:
    sentence = asked.inputs[0]
    try:
        texts = parse_answer(
            answer.text,
            truncated=answer.finish == "length",
            quoted=unquoted(sentence) != sentence,
        )
    except AnswerError as error:
        return Judged(asked, answer.text, fault=error.kind)
    return Judged(asked, answer.text, texts, verdicts=audit(sentence, *texts, reused=reused))


def _triplet(asked: Asked, texts: tuple[str, str], verdicts: tuple[Verdict, ...]) -> Triplet:
    setup = asked.setup
    extra: dict[str, Any] = {"teacher": setup.model, "prompt": setup.prompt.hash[:8]}
    if verdicts:
        extra["audit"] = [str(verdict) for verdict in verdicts]
    return Triplet(asked.inputs[0], *texts, asked.source, extra)


def _rejection(judged: Judged) -> dict[str, Any]:
    row: dict[str, Any] = {
        "source": judged.asked.source,
        "sentence": judged.asked.inputs[0],
        "outcome": judged.outcome,
    }
    if judged.verdicts:
        row["audit"] = [str(verdict) for verdict in judged.verdicts]
    return {**row, "answer": judged.answer}


def _totals(result: Yield) -> Counter[str]:
    return sum(result.outcomes.values(), Counter())
