"""Which development set picks the checkpoint. Test sets cannot be asked for."""

import logging

from simgpt.config import RunConfig, Selector
from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import bundled_dev_task, find_stsb_dev
from simgpt.evaluate.tasks import Task
from simgpt.hub import HubError

logger = logging.getLogger(__name__)


def development_task(cfg: RunConfig) -> Task:
    """The development pairs that `cfg.selector` names; the bundled ones where STS-B is not there.

    Raises:
        SimgptError: STS-B's development split is there, and torn, or `cfg.benchmarks` are MTEB's,
            which are not looked into for one.
    """
    if cfg.selector is Selector.BUNDLED or cfg.benchmarks == "bundled":
        return bundled_dev_task()
    try:
        return find_stsb_dev(cfg.benchmarks)
    except HubError as error:
        logger.warning("%s; the bundled development pairs pick the checkpoint instead", error)
        return bundled_dev_task()


def refuse_test_split(task: Task) -> None:
    """Let nothing but a development split near the choice of a checkpoint.

    Raises:
        SimgptError: `task` is a test split.
    """
    if not task.is_development:
        raise SimgptError(
            f"{task.name} is a test set; checkpoints are chosen on a development set only "
            f"({', '.join(Selector)})"
        )
