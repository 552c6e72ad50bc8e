"""A reproducible companion to Sim-GPT: text similarity from LLM-annotated triplets."""

import os

# Read when torch and tokenizers are loaded, which is later. Threads that spin while they wait crawl
# when another process wants their core; tokenizers' own threads warn of every fork.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.triplets import load_dev_pairs, load_triplets
from simgpt.version import __version__

__all__ = ["RunConfig", "SimgptError", "__version__", "load_dev_pairs", "load_triplets"]
