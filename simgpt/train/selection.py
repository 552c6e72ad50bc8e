"""Which development set picks the checkpoint. Test sets cannot be asked for."""

from simgpt.config import RunConfig, Selector
from simgpt.evaluate.benchmarks import Task, bundled_dev_task, find_benchmarks, load_stsb


def development_task(cfg: RunConfig) -> Task:
    """The development pairs that `cfg.selector` names.

    Raises:
        SimgptError: STS-B's development split was asked for and cannot be found.
    """
    if cfg.selector is Selector.BUNDLED:
        return bundled_dev_task()
    return load_stsb(find_benchmarks(cfg.benchmarks), "dev")
