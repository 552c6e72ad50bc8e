"""What a run was made from, as far as it can be published: backbone, triplets, their writer."""

import re
from pathlib import Path
from typing import Any

from simgpt.files import read_json, read_text
from simgpt.triplets import BUNDLED_TRIPLETS, read_triplets, summary_path


def origin_of(config: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    """Backbone and triplets by names that mean something elsewhere, and who wrote the triplets.

    Args:
        config: The run's `config.json`.
        environment: Its `environment.json`.

    Returns:
        `backbone`, `hub_id`, `triplets` (a file's name), `language`, `licence`, `kinds` of
        sentences and `annotation` (models, setups and cost, where a summary lies beside the
        triplets); None or empty where nothing is known.
    """
    backbone, local = config["backbone"], Path(config["backbone"]).is_dir()
    hub_id = None if local else backbone
    if backbone == "bundled":
        hub_id = "sentence-transformers/all-MiniLM-L6-v2"
    origin: dict[str, Any] = {
        "backbone": Path(backbone).name if local else hub_id,
        "hub_id": hub_id,
        "triplets": BUNDLED_TRIPLETS.name,
        "language": None,
        "licence": None,
        "kinds": [],
        "annotation": None,
    }
    if config["triplets"] == "bundled":
        card = read_text(BUNDLED_TRIPLETS.with_name("README.md"))
        for key, name in (("language", "language"), ("licence", "license")):
            if found := re.search(rf"^{name}: (.+)$", card, re.MULTILINE):
                origin[key] = found[1]
        origin["kinds"] = sorted({t.source for t in read_triplets(BUNDLED_TRIPLETS)})
        return origin
    triplets = Path(config["triplets"])
    origin["triplets"] = triplets.name
    summary = read_json(summary_path(triplets)) if summary_path(triplets).is_file() else {}
    # Of the very file that was trained on, or it says nothing.
    if summary.get("files", {}).get(triplets.name) == environment["triplets"]["sha256"]:
        origin["kinds"] = sorted(kind for kind in summary["outcomes"] if kind)
        origin["annotation"] = {key: summary[key] for key in ("models", "setups", "usd")}
    return origin
