"""Fine-tune a sentence encoder on triplets."""

from simgpt.train.objectives import simcse_loss
from simgpt.train.run import train

__all__ = ["simcse_loss", "train"]
