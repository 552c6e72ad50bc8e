"""Whether results still hold: against themselves, against what is at hand, against a rerun.

Nothing is trained or encoded here. Scores are computed anew from the cosines that are kept beside
a result; a rerun is somebody's results of the same commands.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from simgpt.config import Aggregation, ScoringPrecision
from simgpt.errors import SimgptError
from simgpt.evaluate import Task, score_model, score_task
from simgpt.evaluate.benchmarks import bundled_dev_task, find_tasks
from simgpt.evaluate.scored import cosines_file, same_protocol
from simgpt.evaluate.scores import signature
from simgpt.files import read_json, sha256_of
from simgpt.holm import holm
from simgpt.hub import HubError
from simgpt.report.checks import ROUNDING, Kind, git_states, kind_of, problems_of
from simgpt.report.rerun import Verdict, command_of, difference, is_rerun, verdict_of
from simgpt.report.results import Measured
from simgpt.report.store import json_files, read_results
from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS


class Check(StrEnum):
    """What is checked of a file, as far as it applies."""

    PIECES = "pieces"  # it can be read, and its numbers agree with each other
    COMMIT = "commit"  # it was made with a committed state of the code
    DATA = "data"  # it was trained on the bundled files that are at hand
    SIGNATURES = "signatures"  # it was scored on the benchmark files that are at hand
    COSINES = "cosines"  # its cosines are the ones it names, and give its scores
    RERUN = "rerun"


@dataclass(frozen=True)
class Finding:
    """A verdict and, but for OK, what is to be said of it."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Verified:
    """All that was found of one file."""

    path: Path
    findings: dict[Check, Finding]

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks that were made; `not checked` where none was."""
        found = {finding.verdict for finding in self.findings.values()}
        order = (Verdict.FAIL, Verdict.NEAR, Verdict.OK)
        return next((verdict for verdict in order if verdict in found), Verdict.UNCHECKED)


@dataclass(frozen=True)
class _AtHand:
    """Tasks by name, and why there are not more of them."""

    tasks: dict[str, Task]
    missing: str


def verify(
    paths: Sequence[Path], *, rerun: Path | None = None, benchmarks: str = "auto"
) -> list[Verified]:
    """Check every JSON file among `paths`.

    Args:
        paths: Results and other measurements: files, or folders that hold them.
        rerun: Results of the same commands, run again: a folder of result files or of runs with
            their `scores.json`.
        benchmarks: As `simgpt.evaluate.evaluate_model` takes it. Where none are to be had, what
            needs them is not checked.

    Raises:
        SimgptError: a path does not exist, `benchmarks` names no benchmarks, or a file of the
            rerun is unsound.
    """
    files = list(dict.fromkeys(json_files(paths)))
    at_hand = _tasks_at_hand(benchmarks)
    again = None if rerun is None else read_results([rerun]).measured
    return [Verified(path, dict(_check(path, at_hand, again, rerun))) for path in files]


def _tasks_at_hand(benchmarks: str) -> _AtHand:
    try:
        found = find_tasks(benchmarks).all_tasks
    except HubError as error:
        return _AtHand({"bundled_dev": bundled_dev_task()}, str(error))
    return _AtHand({task.name: task for task in found}, "not among the benchmarks at hand")


def _check(
    path: Path, at_hand: _AtHand, again: Sequence[Measured] | None, rerun: Path | None
) -> Iterator[tuple[Check, Finding]]:
    try:
        content = read_json(path)
    except SimgptError as error:
        yield Check.PIECES, Finding(Verdict.FAIL, str(error))
        return
    kind = kind_of(content)
    problems = problems_of(content)
    if kind is Kind.COMPARISON and not problems:
        problems = list(_holm_problems(content["tasks"]))
    yield Check.PIECES, _fail_or_ok(problems)
    scored = kind in (Kind.RESULT, Kind.COMPARISON)
    states = list(git_states(content))
    if states or scored:
        yield Check.COMMIT, _commit(states)
    if problems or not scored:
        return
    yield Check.SIGNATURES, _signatures(content, at_hand)
    if kind is Kind.RESULT:
        result = Measured(path, content)
        if result.config:
            yield Check.DATA, _data(result)
        yield Check.COSINES, _cosines(result, at_hand)
        if again is not None and rerun is not None:
            yield Check.RERUN, _rerun(result, again, rerun)


def _fail_or_ok(problems: Sequence[str]) -> Finding:
    return Finding(Verdict.FAIL, "; ".join(problems)) if problems else Finding(Verdict.OK)


def _holm_problems(tasks: Mapping[str, Any]) -> Iterator[str]:
    corrected = holm([row["p_randomisation"] for row in tasks.values()])
    for (name, row), p in zip(tasks.items(), corrected, strict=True):
        if abs(row["p_holm"] - p) > ROUNDING:
            yield f"{name}: p_holm is {row['p_holm']}, and the p values give {p}"


def _commit(states: Sequence[Mapping[str, Any]]) -> Finding:
    if any(state.get("dirty") for state in states):
        return Finding(Verdict.FAIL, "made with changes that were not committed")
    if not states or not all(state.get("commit") for state in states):
        return Finding(Verdict.UNCHECKED, "a commit was not recorded")
    return Finding(Verdict.OK)


def _data(result: Measured) -> Finding:
    config, training = result.config or {}, result.content["model"]["training"]
    if config["triplets"] != "bundled":
        return Finding(Verdict.UNCHECKED, f"trained on {config['triplets']}, which is not bundled")
    problems = []
    if training["triplets"]["sha256"] != sha256_of(BUNDLED_TRIPLETS):
        problems.append("trained on other triplets than are bundled now")
    development = training["development"]
    if development["task"] == "bundled_dev" and development["sha256"] != sha256_of(
        BUNDLED_DEV_PAIRS
    ):
        problems.append("its checkpoint was chosen by other pairs than are bundled now")
    return _fail_or_ok(problems)


def _scores(content: Mapping[str, Any]) -> dict[str, Any]:
    """All scores by name: of test and of development sets."""
    return {**content["tasks"], **content.get("development", {})}


def _signatures(content: Mapping[str, Any], at_hand: _AtHand) -> Finding:
    aggregation = Aggregation(content.get("aggregation", "all"))
    model = content.get("model") or content["models"]["first"]
    precision = ScoringPrecision(model.get("precision", "fp32"))
    scores, problems = _scores(content), []
    for name in scores.keys() & at_hand.tasks.keys():
        given = signature(at_hand.tasks[name], aggregation=aggregation, precision=precision)
        if not same_protocol(scores[name]["signature"], given):
            problems.append(f"{scores[name]['signature']} is {given} at hand")
    return _unless_all(scores, at_hand) if not problems else _fail_or_ok(sorted(problems))


def _unless_all(scores: Mapping[str, Any], at_hand: _AtHand) -> Finding:
    missing = [name for name in scores if name not in at_hand.tasks]
    if missing:
        return Finding(Verdict.UNCHECKED, f"{', '.join(missing)}: {at_hand.missing}")
    return Finding(Verdict.OK)


def _cosines(result: Measured, at_hand: _AtHand) -> Finding:
    content, scores = result.content, _scores(result.content)
    if not cosines_file(result.path).is_file():
        return Finding(Verdict.UNCHECKED, "its cosines are not beside it")
    tasks = [task for name, task in at_hand.tasks.items() if name in scores]
    try:
        scored = score_model(str(result.path), tasks)
    except SimgptError as error:
        return Finding(Verdict.FAIL, str(error))
    problems = [] if scored.model == content["model"] else ["its cosines are of another model"]
    aggregation = Aggregation(content.get("aggregation", "all"))
    for task in tasks:
        given = score_task(task, scored.cosines[task.name], aggregation=aggregation)
        held = scores[task.name]
        stored = {"spearman": held["spearman"], **held.get("aggregations", {}), **held["subsets"]}
        anew = {"spearman": given.spearman, **given.aggregations, **given.subsets}
        for key, value in anew.items():
            before = stored.get(key)
            if value != before and (
                value is None or before is None or abs(value - before) > ROUNDING
            ):
                problems.append(f"{task.name}: {key} is {before}, and its cosines give {value}")
    return _unless_all(scores, at_hand) if not problems else _fail_or_ok(problems)


def _rerun(result: Measured, again: Sequence[Measured], rerun: Path) -> Finding:
    matched = [other for other in again if is_rerun(result, other)]
    if not matched:
        return Finding(Verdict.UNCHECKED, f"no rerun of it in {rerun}; {command_of(result, rerun)}")
    farthest = max(matched, key=lambda other: difference(result, other))
    apart, task = difference(result, farthest)
    verdict = verdict_of(apart)
    if verdict is Verdict.OK:
        return Finding(verdict)
    return Finding(verdict, f"{task} differs by {apart:.2f} in {farthest.path}")
