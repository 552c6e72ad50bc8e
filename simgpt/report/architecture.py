"""The picture of the package: which folder stands on which, from one list that a test holds to."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from simgpt.report.figures import Colours, Drawing, save

# Modules that any other may import.
GROUND = (
    "config",
    "environment",
    "errors",
    "files",
    "holm",
