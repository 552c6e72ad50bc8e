"""Score a sentence encoder on the seven STS benchmarks by SentEval's protocol."""

from simgpt.evaluate.benchmarks import TASK_NAMES, Subset, Task
from simgpt.evaluate.comparison import compare_models
from simgpt.evaluate.run import evaluate_model, evaluate_or_fall_back
from simgpt.evaluate.scores import TaskScore, score_pairs, score_tasks

__all__ = [
    "TASK_NAMES",
    "Subset",
    "Task",
    "TaskScore",
    "compare_models",
    "evaluate_model",
    "evaluate_or_fall_back",
    "score_pairs",
    "score_tasks",
]
