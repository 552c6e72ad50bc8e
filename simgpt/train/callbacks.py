"""What happens beside the training steps: the log, the progress bar, stopping on a signal."""

import json
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import ProgressCallback, TrainerCallback

from simgpt.errors import SimgptError
from simgpt.signals import Stop


class LogFile(TrainerCallback):
    """Append what the trainer logs (losses, rate, development score) to `train_log.jsonl`."""

    def __init__(self, path: Path, *, seconds_before: float) -> None:
        self.path = path
        self.started = time.monotonic() - seconds_before

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write one line; a kill can tear the last one only.

        The library's summary at the end is left out: it is that of one sitting.
        """
        if not state.is_world_process_zero or "train_runtime" in kwargs["logs"]:
            return
        row = {"step": state.global_step, "seconds": round(time.monotonic() - self.started, 2)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | kwargs["logs"]) + "\n")


class ProgressBar(ProgressCallback):
    """The library's bar with time left, without its printed logs: those go to the file."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print nothing."""


class StopOnSignal(TrainerCallback):
    """After a signal, finish the step, write a checkpoint and stop, all processes alike."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask the others too: a signal reaches them at different steps."""
        if args.world_size > 1:
            flag = torch.tensor(int(bool(self.stop)), device=args.device)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            if flag.item():
                self.stop("interrupted")
        if self.stop and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def tensorboard_log(folder: Path) -> TrainerCallback:
    """What the trainer logs, as TensorBoard's event files in `folder`.

    Raises:
        SimgptError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SimgptError("TensorBoard is not installed; pip install tensorboard") from error
    from transformers.integrations.integration_utils import TensorBoardCallback

    return TensorBoardCallback(tb_writer=SummaryWriter(log_dir=str(folder)))
