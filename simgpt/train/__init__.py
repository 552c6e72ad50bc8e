"""Fine-tune a sentence encoder on triplets."""

from simgpt.train.objectives import energy_hinge_loss, simcse_loss
from simgpt.train.run import train

__all__ = ["energy_hinge_loss", "simcse_loss", "train"]
