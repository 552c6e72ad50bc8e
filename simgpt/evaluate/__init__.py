"""Score a sentence encoder on the seven STS benchmarks by SentEval's protocol."""

from simgpt.evaluate.comparison import compare_models
from simgpt.evaluate.contamination import audit_contamination, audit_or_fall_back
from simgpt.evaluate.diagnostics import diagnose_model
from simgpt.evaluate.run import evaluate_model, evaluate_models, evaluate_or_fall_back
from simgpt.evaluate.scored import Scored, score_model
from simgpt.evaluate.scores import TaskScore, score_pairs, score_task
from simgpt.evaluate.tasks import TASK_LABELS, TASK_NAMES, Benchmarks, Subset, Suite, Task

__all__ = [
    "TASK_LABELS",
    "TASK_NAMES",
    "Benchmarks",
    "Scored",
    "Subset",
    "Suite",
    "Task",
    "TaskScore",
    "audit_contamination",
    "audit_or_fall_back",
    "compare_models",
    "diagnose_model",
    "evaluate_model",
    "evaluate_models",
    "evaluate_or_fall_back",
    "score_model",
    "score_pairs",
    "score_task",
]
