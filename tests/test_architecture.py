"""Imports run one way, as the page on the architecture draws them."""

import ast
from graphlib import TopologicalSorter

import pytest

from simgpt.report.architecture import GROUND, STAGES, draw_architecture
from tests.conftest import REPOSITORY


def imported_units():
    """Each module or folder right under `simgpt/`, and the others that it imports anywhere."""
    found = {}
    for path in (REPOSITORY / "simgpt").rglob("*.py"):
        unit = path.relative_to(REPOSITORY / "simgpt").with_suffix("").parts[0]
        names = found.setdefault(unit, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module == "simgpt":
                names.update(f"simgpt.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
    return {
        unit: {name.split(".")[1] for name in names if name.startswith("simgpt.")} - {unit}
        for unit, names in found.items()
    }


UNITS = imported_units()


def test_every_name_in_the_picture_is_there():
    assert set(GROUND) | set(STAGES) <= UNITS.keys()


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_imports_nothing_from_above(module):
    assert UNITS[module] <= set(GROUND)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_the_ground_floor_and_what_the_picture_says(stage):
    assert UNITS[stage] <= {*GROUND, *STAGES[stage]}
    assert set(STAGES[stage]) <= UNITS[stage], "an arrow that no import needs any more"


def test_nobody_imports_in_a_circle():
    assert list(TopologicalSorter(UNITS).static_order())


def test_the_picture_says_in_words_what_it_shows(tmp_path):
    drawing = draw_architecture(tmp_path)
    assert "train imports encoder and evaluate too" in drawing.alt
    for mode in ("light", "dark"):
        assert (tmp_path / f"architecture-{mode}.svg").is_file()
