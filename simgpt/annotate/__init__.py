"""Annotation: a teacher writes a similar and a dissimilar sentence for each source sentence."""

from simgpt.annotate.card import data_card
from simgpt.annotate.parsing import AnswerError, parse_answer
from simgpt.annotate.prompting import Prompt, load_prompt
from simgpt.annotate.run import Annotated, annotate
from simgpt.annotate.teachers import RecordedTeacher, Teacher

__all__ = [
    "Annotated",
    "AnswerError",
    "Prompt",
    "RecordedTeacher",
    "Teacher",
    "annotate",
    "data_card",
    "load_prompt",
    "parse_answer",
]
