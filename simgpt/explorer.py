"""The triplets that readers of the book look through in their browser: judged and embedded.

The page's program is `book/static/explorer.js`. It takes the data as scripts, which a browser also
loads from a page that was opened as a file.
"""

import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simgpt.annotate.audit import Verdict, audit, reused_answers
from simgpt.encoder import load_encoder, weights_sha256
from simgpt.evaluate.encoding import encode
from simgpt.files import read_text, sha256_of, write_text
from simgpt.triplets import BUNDLED_TRIPLETS, Triplet, read_triplets

logger = logging.getLogger(__name__)

INDEX = "index.js"
PIECE = 2500  # triplets a file: about 0.6 MB, so that a slow connection shows how far it is
_SEED = 0

# Sentence, similar, dissimilar; cosine x 1000 of the sentence with either; verdicts' numbers.
Line = tuple[str, str, str, int, int, list[int]]


def write_explorer(
    model: str, output: Path, *, triplets: Path = BUNDLED_TRIPLETS, sample: int = 0
) -> dict[str, str]:
    """Write what the page loads; return the facts for substitutions.

    `index.js` says what there is: the verdicts by number, and by source the files and how many
    triplets they hold. What was made of the same triplets and weights by this very code is kept.

    Args:
        model: A run folder, or anything else that `load_encoder` takes; its cosines are shown.
        output: Folder for the files.
        triplets: What is shown.
        sample: Only so many of them, drawn at random and always the same; 0 for all.
    """
    made_from = {
        "weights": weights_sha256(model),
        "triplets": sha256_of(triplets),
        "sample": sample,
        "code": sha256_of(Path(__file__)),
    }
    index = output / INDEX
    if not index.is_file() or _read(index)["made_from"] != made_from:
        _write(model, output, triplets, sample, made_from)
    content = _read(index)
    shown, total = content["shown"], content["total"]
    count = f"all {total:,} triplets" if shown == total else f"{shown:,} of {total:,} triplets"
    return {
        "explorer_count": count + ("" if shown == total else ", drawn at random"),
        "explorer_megabytes": f"{content['bytes'] / 1e6:.1f}",
    }


def _write(
    model: str, output: Path, triplets: Path, sample: int, made_from: dict[str, Any]
) -> None:
    everything = list(read_triplets(triplets))
    reused = reused_answers((one.similar, one.dissimilar) for one in everything)
    shown = everything
    if 0 < sample < len(everything):
        draw = random.Random(_SEED)  # noqa: S311
        shown = [everything[n] for n in sorted(draw.sample(range(len(everything)), sample))]
    logger.info("%s: cosines of %s triplets for the book's explorer", model, f"{len(shown):,}")
    cosines = triplet_cosines(model, shown)
    verdicts = list(Verdict)
    by_source: dict[str, list[Line]] = {}
    counts: Counter[str] = Counter()
    for one, (similar, dissimilar) in zip(shown, cosines, strict=True):
        found = audit(*one.texts, reused=reused)
        counts.update(found)
        numbers = [verdicts.index(verdict) for verdict in found]
        line = (*one.texts, round(1000 * similar), round(1000 * dissimilar), numbers)
        by_source.setdefault(one.source, []).append(line)
    sources = [
        {"name": name, "count": len(lines), **_write_pieces(output, name, lines)}
        for name, lines in by_source.items()
    ]
    content = {
        "made_from": made_from,
        "shown": len(shown),
        "total": len(everything),
        "bytes": sum(source["bytes"] for source in sources),
        "verdicts": [{"name": one, "count": counts[one]} for one in verdicts],
        "sources": sources,
    }
    # Last: whoever finds it finds the others whole.
    _write_script(output / INDEX, "index", content)


def triplet_cosines(model: str, triplets: Sequence[Triplet]) -> list[tuple[float, float]]:
    """Cosines of each sentence with its similar and with its dissimilar sentence."""
    texts = [text for one in triplets for text in one.texts]
    vectors = encode(load_encoder(model), texts, progress=True)
    unit = {text: vector / np.linalg.norm(vector) for text, vector in vectors.items()}
    return [
        (
            float(unit[one.sentence] @ unit[one.similar]),
            float(unit[one.sentence] @ unit[one.dissimilar]),
        )
        for one in triplets
    ]


def _write_pieces(output: Path, source: str, lines: Sequence[Line]) -> dict[str, Any]:
    files, size = [], 0
    for number, start in enumerate(range(0, len(lines), PIECE), start=1):
        path = output / f"{source}-{number}.js"
        _write_script(path, path.stem, lines[start : start + PIECE])
        files.append(path.stem)
        size += path.stat().st_size
    return {"files": files, "bytes": size}


def _write_script(path: Path, name: str, content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    write_text(path, f"{_call(name)}{text});\n")


def _read(path: Path) -> Any:
    return json.loads(read_text(path).removeprefix(_call(path.stem)).removesuffix(");\n"))


def _call(name: str) -> str:
    return f'simgptTriplets("{name}",'
