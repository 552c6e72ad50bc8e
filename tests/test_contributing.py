"""CONTRIBUTING.md's recipes, carried out as they stand."""

import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from simgpt import SimgptError
from simgpt.notebooks import check_pairs, sync_pairs
from simgpt.sentences import SourceSentence
from simgpt.triplets import read_triplets
from tests.annotate.support import annotate_with
from tests.conftest import REPOSITORY

RECIPES = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(title):
    """The code of a recipe, block by block."""
    recipe = RECIPES.split(f"## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^   ```python\n(.*?)^   ```", recipe, re.MULTILINE | re.DOTALL)
    return [re.sub("^   ", "", block, flags=re.MULTILINE) for block in found]


def insert(path, before, text):
    """Put `text` in front of the one line that begins with `before`."""
    content = path.read_text(encoding="utf-8")
    assert content.count(f"\n{before}") == 1
    path.write_text(content.replace(f"\n{before}", f"\n{text}{before}"), encoding="utf-8")


TRY_OBJECTIVE = """
import sys
from pathlib import Path
import torch
from tests.tiny import TEXTS, tiny_bert
from simgpt.config import RunConfig
from simgpt.encoder import load_encoder
from simgpt.train import model
assert str(Path(model.__file__)).startswith(sys.argv[1]), model.__file__
encoder = load_encoder(str(tiny_bert(Path(sys.argv[1]) / "tiny"))).eval()
rows = encoder.tokenizer(TEXTS[:2] * 3, padding=True, return_tensors="pt")
losses = {}
for weight in ("0", "2"):
    cfg = RunConfig.from_params({"spread_weight": weight})
    losses[weight] = model.TripletModel(encoder, cfg)(**rows)
added = losses["2"]["loss"] - losses["0"]["loss"]
assert "spread" not in losses["0"]
assert 0 < losses["2"]["spread"] <= 1
assert torch.isclose(added, 2 * losses["2"]["spread"], atol=1e-5), (added, losses)
"""


def test_an_objective_is_added_by_its_three_pieces_of_code(tmp_path):
    loss, setting, term = blocks("Add an objective")
    package = tmp_path / "simgpt"
    shutil.copytree(REPOSITORY / "simgpt", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "tests", tmp_path / "tests")
    with (package / "train" / "objectives.py").open("a", encoding="utf-8") as objectives:
        objectives.write(f"\n\n{loss}")
    insert(package / "config.py", "    energy_margin: float", setting)
    insert(package / "train" / "model.py", "        return cfg.contrastive_weight * loss", term)
    insert(
        package / "train" / "model.py",
        "from simgpt.train.objectives import",
        "from simgpt.train.objectives import spread_loss\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", TRY_OBJECTIVE, str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_teacher_is_a_class_with_these_methods(tmp_path):
    (code,) = blocks("Add a teacher")
    namespace = {}
    exec(code, namespace)
    texts = ["A dog runs on the beach.", "The kitchen was painted last summer."]
    items = [SourceSentence(text, "captions") for text in texts]
    summary = annotate_with(namespace["TemplateTeacher"](), tmp_path, items)
    assert summary["triplets"] == 2
    written = {triplet.texts for triplet in read_triplets(tmp_path / "triplets.jsonl")}
    assert (
        "A dog runs on the beach.",
        "We are told that a dog runs on the beach.",
        "Nobody knows what a dog costs.",
    ) in written


def test_a_benchmark_is_read_scored_and_refused_where_it_is_torn(tmp_path):
    from simgpt.evaluate import score_task

    (code,) = blocks("Add a benchmark")
    namespace = {}
    exec(
        "from pathlib import Path\n"
        "from simgpt.evaluate.rows import sound_row, whole_subset\n"
        "from simgpt.evaluate.tasks import Task\n"
        "from simgpt.evaluate.textform import text_form\n"
        "from simgpt.files import read_csv, sha256_of\n" + code,
        namespace,
    )
    path = tmp_path / "mine.tsv"
    path.write_text("A cat, asleep.\tA cat.\t4\nIt rains, now.\tSnow.\t2\nYes, it is.\tNo.\t0\n")
    task = namespace["load_mine"](path)
    found = score_task(task, [0.9, 0.5, 0.1])
    assert found.spearman == pytest.approx(1.0)
    assert found.signature.startswith("mine|pairs:3|agg:all|text:raw|")
    path.write_text("A cat, asleep.\tA cat.\t4\nIt rains, now.\t\t2\n")
    with pytest.raises(SimgptError, match=r"mine\.tsv, line 2: the second sentence is empty"):
        namespace["load_mine"](path)


def test_a_chapter_is_a_script_that_becomes_a_notebook(tmp_path):
    (script,) = blocks("Add a chapter")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "99_new.py").write_text(textwrap.dedent(script), encoding="utf-8")
    assert sync_pairs(tmp_path) == check_pairs(tmp_path) == 1
    notebook = (tmp_path / "notebooks" / "99_new.ipynb").read_text(encoding="utf-8")
    assert "# A new chapter" in notebook
    assert '"parameters"' in notebook


def test_every_file_and_name_that_a_recipe_gives_is_there():
    quoted = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", RECIPES, flags=re.DOTALL)))
    paths = {word for word in quoted if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word) and "/" in word}
    paths -= {"notebooks/NN_name.py", "book/NAME.md", "pr-preview/", "simgpt/files.py"}
    missing = [path for path in paths if not (REPOSITORY / path).exists()]
    assert not missing
    source = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("simgpt", "tests")
        for path in (REPOSITORY / folder).rglob("*.py")
    )
    names = ("Teacher", "CallError", "Task", "Suite", "RunConfig", "TripletModel", "SimgptError")
    for name in names:
        assert f"`{name}" in RECIPES
        assert f"class {name}" in source, name
    functions = ("_contrast", "_teacher", "sound_row", "whole_subset", "find_tasks")
    for name in (*functions, "__post_init__"):
        assert re.search(rf"`(\w+\.)?{name}`", RECIPES), name
        assert f"def {name}(" in source, name
