"""Annotation: a teacher writes a similar and a dissimilar sentence for each source sentence."""

from simgpt.annotate.audit import REJECTING, Verdict, audit, reused_answers
from simgpt.annotate.card import data_card
from simgpt.annotate.cost import FREE, Price, load_prices, parse_price, price_of
from simgpt.annotate.estimate import cost_table
from simgpt.annotate.openai_teacher import OpenAITeacher
from simgpt.annotate.parsing import AnswerError, parse_answer
from simgpt.annotate.prompting import Prompt, load_prompt, prompt_names, read_prompt
from simgpt.annotate.requests import Api, Sampling
from simgpt.annotate.run import Asking, annotate, dry_run
from simgpt.annotate.summary import outcome_rows, read_summary, verdict_rows
from simgpt.annotate.task import Task
from simgpt.annotate.teachers import RecordedTeacher, Teacher

__all__ = [
    "FREE",
    "REJECTING",
    "AnswerError",
    "Api",
    "Asking",
    "OpenAITeacher",
    "Price",
    "Prompt",
    "RecordedTeacher",
    "Sampling",
    "Task",
    "Teacher",
    "Verdict",
    "annotate",
    "audit",
    "cost_table",
    "data_card",
    "dry_run",
    "load_prices",
    "load_prompt",
    "outcome_rows",
    "parse_answer",
    "parse_price",
    "price_of",
    "prompt_names",
    "read_prompt",
    "read_summary",
    "reused_answers",
    "verdict_rows",
]
