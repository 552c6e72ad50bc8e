"""Made-up results in the form in which `simgpt evaluate` and its `compare` write them."""

import json

from simgpt.report.results import TASKS, task_names

PAIRS = dict(zip(TASKS, (3108, 1500, 3750, 3000, 1186, 1379, 4927), strict=True))
CLEAN = {"commit": "c0ffee00" * 5, "dirty": False}
CONFIG = {"profile": "laptop", "backbone": "bundled", "pooling": "auto", "triplets": "bundled"}
CONFIG |= {"benchmarks": "auto", "learning_rate": 5e-5, "batch_size": 64, "eval_steps": 68}
CONFIG |= {"trained_share": 0.8}


def signature(name, *, aggregation="all", data="b701cd14", version="0.1.0"):
    pairs = PAIRS.get(name.split("_")[-1], 800)
    return f"{name}|pairs:{pairs}|agg:{aggregation}|text:x|sim:cos|fp32|data:{data}|v{version}"


def model(name="bundled", *, weights="5" * 64, seed=None, pooling="auto", **settings):
    """An untouched model; with `seed`, a trained one."""
    held = {"weights_sha256": weights, "pooling": pooling}
    if seed is None:
        return held | {"name": name}
    training = {
        "triplets": {"count": 17385, "sha256": "7" * 64},
        "development": {"task": "bundled_dev", "sha256": "8" * 64},
        "git": CLEAN,
    }
    return held | {"config": CONFIG | {"seed": seed} | settings, "training": training}


def result(score=80.0, *, suite="senteval", aggregation="all", intervals=True, of=None, **told):
    """A result of seven scores, from `score` on in steps of one, x 100."""
    tasks = {}
    for step, name in enumerate(task_names(suite)):
        value = round((score + step) / 100, 6)
        tasks[name] = {
            "spearman": value,
            "aggregations": {"all": value, "mean": value, "wmean": value},
            "subsets": {"only": value},
            "pairs": PAIRS[name.split("_")[-1]],
            "signature": signature(name, aggregation=aggregation, **told),
            "interval": {"low": value - 0.01, "high": value + 0.01, "level": 0.95},
        }
        if not intervals:
            del tasks[name]["interval"], tasks[name]["aggregations"]
    content = {"tasks": tasks, "development": {}, "average": round(score + 3, 2)}
    content |= {"model": of or model(), "environment": {"git": CLEAN}}
    if intervals:
        content |= {"suite": suite, "aggregation": aggregation}
        content |= {"average_unrounded": (score + 3) / 100}
        content |= {"average_interval": {"low": score / 100, "high": (score + 5) / 100}}
    return content


def comparison(first, second, *, p_holm=(0.001,) * 7, suite="senteval", **told):
    """Two models, task by task; `p_holm` as wanted, not as Holm would have it."""
    tasks = {
        name: {
            "first": 0.8,
            "second": 0.75,
            "difference": 0.05,
            "interval": {"low": 0.04, "high": 0.06, "level": 0.95},
            "p_bootstrap": 0.01,
            "p_randomisation": 0.01,
            "p_holm": p,
            "signature": signature(name, **told),
        }
        for name, p in zip(task_names(suite), p_holm, strict=True)
    }
    average = {"first": 0.8, "second": 0.75, "difference": 0.05, "p_bootstrap": 0.01}
    models = {"first": first, "second": second}
    environment = {"git": CLEAN}
    return {
        "suite": suite,
        "models": models,
        "tasks": tasks,
        "average": average,
        "environment": environment,
    }


def write(folder, **contents):
    """A file for each name; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder
