"""A reproducible companion to Sim-GPT: text similarity from LLM-annotated triplets."""

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.triplets import load_dev_pairs, load_triplets
from simgpt.version import __version__

__all__ = ["RunConfig", "SimgptError", "__version__", "load_dev_pairs", "load_triplets"]
