"""The field's released training files, with the traps on the way to triplets.

They are CSV files whose column order, not names, gives the roles: anchor, positive, hard negative.
Readers that guess types turn sentences such as "NA" or "null" into missing values, which the
field's trainers then feed as a single space; here every cell is text. Rows that cannot be a triplet
are left out and counted.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from simgpt.errors import SimgptError
from simgpt.files import read_csv, read_text, sha256_of, staged, write_text
from simgpt.hub import fetch_dataset_file
from simgpt.triplets import TEXTS, Triplet, repeats, write_triplets

logger = logging.getLogger(__name__)

DRIVE_URL = "https://drive.google.com/uc?id={}"
_NAME = re.compile(r"[\w-]{1,20}")


@dataclass(frozen=True, kw_only=True)
class Release:
    """Where a released file is: a Google Drive id, or a dataset repository on the hub and a file.

    `source` is the kind of its sentences where the file holds one kind, and `rows` the exact
    number of its rows where that is known.
    """

    drive_id: str = ""
    repository: str = ""
    file: str = ""
    source: str = ""
    rows: int | None = None


# Of the paper's files it is not known how many rows each has ("371K" is all that was published of
# the final one), which rows of the final one are of which kind, or how the parts are laid out: one
# that is no three-column CSV is refused. The NLI file is often said to have 314K rows; those are
# the pairs, before rows without a hard negative were dropped.
RELEASES = {
    "simgpt": Release(drive_id="1hcOwNn2b6730yb8HyM_uyaTtPc5sBCys"),
    "simgpt-captions": Release(drive_id="1wqy1vYLfe1fg01DMjsGAzbf46u6KOt5o", source="captions"),
    "simgpt-questions": Release(drive_id="1-aSCCoupDQvojk1wHNLsoJnPd-lSYwPN", source="questions"),
    "simgpt-multi-genre": Release(
        drive_id="1vvejC0RZadq0B7nZZCaay5B0HLIXaJsW", source="multi_genre"
    ),
    "nli": Release(
        repository="princeton-nlp/datasets-for-simcse", file="nli_for_simcse.csv", rows=275_601
    ),
}


def import_release(source: str, output: Path) -> dict[str, int]:
    """Turn a released file into a triplets file; return `read_release`'s counts.

    Args:
        source: A name in `RELEASES`, which is downloaded once, or a local `.csv` file.
        output: The `.jsonl` or `.csv` file to write; in `.jsonl`, `origin` says where a triplet
            comes from.

    Raises:
        SimgptError: `source` is neither, cannot be downloaded or read, or `output` not written.
    """
    release = RELEASES.get(source, Release())
    path = fetch_release(source) if source in RELEASES else Path(source)
    if path.suffix != ".csv":
        raise SimgptError(f"{source}: neither a .csv file nor one of {', '.join(RELEASES)}")
    origin = source if source in RELEASES else path.name
    counts: dict[str, int] = {}
    write_triplets(
        output,
        (
            replace(triplet, source=release.source, extra={"origin": origin})
            for triplet in read_release(path, counts=counts)
        ),
    )
    write_text(output.with_name(f"{output.stem}.card.md"), _card(origin, path, counts, output))
    rows, kept = counts["rows"], counts["kept"]
    logger.info("%s: %d rows, %d kept, %d left out", path, rows, kept, rows - kept)
    logger.info("%s: SHA-256 %s", path, sha256_of(path))
    if release.rows not in (None, rows):
        logger.warning("%s: %d rows; the published file has %d", path, rows, release.rows)
    return counts


def _card(origin: str, path: Path, counts: dict[str, int], output: Path) -> str:
    return (
        f"# Data card: {output.name}\n\n"
        f"Triplets from the released file `{origin}`, whose terms apply.\n\n"
        f"- SHA-256 of the released file: `{sha256_of(path)}`\n"
        f"- SHA-256 of this one: `{sha256_of(output)}`\n"
        f"- rows: {counts['rows']:,}, of which {counts['kept']:,} are triplets; left out: "
        f"{counts['empty']:,} with an empty text, {counts['repeated']:,} with one that repeats "
        "another\n"
    )


def read_release(path: Path, *, counts: dict[str, int] | None = None) -> Iterator[Triplet]:
    """Yield the triplets of a three-column file while it is being read.

    The first row is a header if its three cells are short names without spaces, whatever they
    are; otherwise it is data, and a warning says so. Cells are parted by commas, or by tabs if
    the file's name contains "tsv", as in the reference code.

    Args:
        path: The file.
        counts: Filled on the way: `rows`, `kept`, and the rows left out because a text is `empty`
            or one `repeated` another (but for case and spacing).

    Raises:
        SimgptError: the file is missing, not UTF-8, not valid CSV or without triplets, or a row
            has not three columns; the sentence names file and line.
    """
    if counts is None:
        counts = {}
    counts |= {"rows": 0, "kept": 0, "empty": 0, "repeated": 0}
    table = read_csv(path, delimiter="\t" if "tsv" in path.name else ",")
    rows = (row for row in table if row[1])  # an empty line is no row
    for number, (line, cells) in enumerate(rows):
        if len(cells) != len(TEXTS):
            raise SimgptError(f"{path}, line {line}: {len(cells)} columns instead of {len(TEXTS)}")
        if number == 0:
            if all(_NAME.fullmatch(cell) for cell in cells):
                continue
            logger.warning("%s: no header; the first row is read as data", path)
        counts["rows"] += 1
        if not all(cell.strip() for cell in cells):
            counts["empty"] += 1
        elif repeats(cells):
            counts["repeated"] += 1
        else:
            counts["kept"] += 1
            sentence, similar, dissimilar = cells
            yield Triplet(sentence, similar, dissimilar)
    if not counts["kept"]:
        raise SimgptError(f"{path}: holds no triplets")


def fetch_release(name: str) -> Path:
    """Download a release into the local cache; a second call finds it there.

    Its SHA-256 is kept in the cache at the first call and checked at each later one.

    Raises:
        SimgptError: there is no such release, the file is not to be had, or it is not the one
            that was first downloaded.
    """
    from huggingface_hub import constants

    if name not in RELEASES:
        raise SimgptError(f"{name}: no such release; known: {', '.join(RELEASES)}")
    release = RELEASES[name]
    # Beside the hub's own cache, so that one setting (HF_HOME) moves both.
    path = Path(constants.HF_HOME) / "simgpt" / f"{name}.csv"
    sidecar = path.with_name(f"{path.name}.sha256")
    if release.repository:
        path = fetch_dataset_file(
            release.repository, release.file, instead="download it by hand and pass the file"
        )
    elif not path.is_file():
        _download_from_drive(release.drive_id, path)
    found = sha256_of(path)
    if not sidecar.is_file():
        write_text(sidecar, f"{found}  {path.name}\n")
    elif (first := read_text(sidecar).partition(" ")[0]) != found:
        raise SimgptError(
            f"{path}: SHA-256 is {found}, but was {first} at the first download; delete the file "
            f"to download it again, or {sidecar} to accept this one"
        )
    return path


def _download_from_drive(drive_id: str, path: Path) -> None:
    try:
        import gdown
        import requests
    except ImportError as error:
        raise SimgptError(
            'Google Drive needs a further package: pip install ".[released]"'
        ) from error
    instead = (
        f"download it by hand in a browser at https://drive.google.com/file/d/{drive_id}/view "
        "and pass the file"
    )
    logger.info("fetching %s from Google Drive", path.name)
    with staged(path) as temporary:
        try:
            with temporary.open("wb") as file:
                gdown.download(
                    DRIVE_URL.format(drive_id), file, quiet=True, use_cookies=False, timeout=60
                )
        except (gdown.DownloadError, requests.RequestException) as error:
            reason = type(error).__name__
            raise SimgptError(
                f"{path.name} could not be downloaded ({reason}); {instead}"
            ) from error
        # Past its quota Drive answers with a page, and status 200.
        with temporary.open("rb") as file:
            if file.read(1) == b"<":
                raise SimgptError(f"{path.name}: Google Drive sent a page, not the file; {instead}")
