"""The grids of runs behind the book's claims: train, score, compare, again for every seed."""

from simgpt.study.grid import Study, load_study, study_names
from simgpt.study.run import run_study

__all__ = ["Study", "load_study", "run_study", "study_names"]
