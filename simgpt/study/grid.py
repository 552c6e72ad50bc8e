"""A study: its question, its rows (settings and data) and the seeds of each, from one TOML file."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any

from simgpt.config import ConfigError, RunConfig, ScoringPrecision
from simgpt.errors import SimgptError
from simgpt.files import read_text

BUNDLED, WAVE_4 = "bundled", "wave-4"
OPENINGS = "openings"
_FOLDER = Path(str(resources.files("simgpt") / "study" / "grids"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEED = re.compile(r"-seed\d+$")
_REQUIRED = object()
# Settings that a grid gives elsewhere, and where.
_ELSEWHERE = {"seed": "seeds", "triplets": "a row's data", "profile": "the study's profile"}


class GridError(SimgptError):
    """A study's file that says what no study can do."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Training data by name.

    Attributes:
        name: In the grid, and in the derived file's name.
        sources: One or more of `bundled` (waves 1 to 3), `wave-4`, a triplets file, and
            "$VARIABLE", which names one.
        where: Keeps the triplets whose key is one of the values, for every key.
        balance: `openings`, or empty: see `simgpt.study.data.balanced`.
        perturb: Whether rules replace the partners: see `simgpt.study.data.perturbed`.
    """

    name: str
    sources: Sequence[str] = (BUNDLED,)
    where: Mapping[str, Sequence[str | int]]
    balance: str = ""
    perturb: bool = False

    @property
    def is_derived(self) -> bool:
        """Whether its triplets are others than those of a single source."""
        return bool(len(self.sources) > 1 or self.where or self.balance or self.perturb)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a study's table.

    Attributes:
        name: In file names.
        label: What tables and figures print.
        settings: Settings of its own, over the study's.
        data: What it trains on.
        untouched: Not trained: the backbone as it is.
        average_of: Not trained: the mean of the weights of this row's runs, all seeds together.
    """

    name: str
    label: str
    settings: Mapping[str, Any]
    data: Data
    untouched: bool
    average_of: str

    @property
    def is_trained(self) -> bool:
        """Whether it has a run for every seed."""
        return not self.untouched and not self.average_of


@dataclass(frozen=True)
class Cell:
    """A row with one seed; what is not trained has none."""

    row: Row
    seed: int | None

    @property
    def name(self) -> str:
        """Name of its result and of its run folder."""
        return self.row.name if self.seed is None else f"{self.row.name}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A grid of runs that answers a question.

    Attributes:
        name: The file's name without its ending.
        question: What it asks, in one sentence.
        profile: Fills the settings that nothing else gives.
        seeds: Seeds of every trained row.
        reference: Name of the row that the others are compared with, seed by seed.
        keep_models: Whether trained weights stay in the run folders.
        scoring_precision: In what the benchmarks' sentences are embedded; the protocol's is fp32.
        settings: Settings of all rows.
        rows: In the order of the tables.
    """

    name: str
    question: str
    profile: str
    seeds: Sequence[int]
    reference: str
    keep_models: bool
    scoring_precision: ScoringPrecision
    settings: Mapping[str, Any]
    rows: Sequence[Row]

    def config(self, cell: Cell, *, triplets: str = BUNDLED) -> RunConfig:
        """The settings of a cell: those of its row, over the study's, over the profile's."""
        given = {"profile": self.profile, **self.settings, **cell.row.settings}
        if cell.seed is not None:
            given["seed"] = cell.seed
        return RunConfig.from_params(given | {"triplets": triplets})

    def cells(
        self,
        *,
        seeds: Sequence[int] | None = None,
        rows: Sequence[str] | None = None,
        shard: tuple[int, int] = (1, 1),
    ) -> list[Cell]:
        """The cells, seeds outermost: a study cut short has every row before any twice.

        Averages come last, after the runs that they are made of.

        Args:
            seeds: Instead of the study's.
            rows: Names of the only rows wanted.
            shard: The i-th of n parts: every n-th cell, from the i-th on.

        Raises:
            GridError: an unknown row, a seed that cannot be one, or no such shard.
        """
        seeds = _checked_seeds("seeds", self.seeds if seeds is None else list(seeds))
        known = [row.name for row in self.rows]
        if unknown := [name for name in rows or () if name not in known]:
            raise GridError(
                f"study {self.name} has no row {', '.join(unknown)}; its rows: {', '.join(known)}"
            )
        part, parts = shard
        if not 1 <= part <= parts:
            raise GridError(f"shard {part}/{parts}: the first number must be from 1 to {parts}")
        wanted = [row for row in self.rows if rows is None or row.name in rows]
        cells = [
            Cell(row, seed if row.is_trained else None)
            for turn, seed in enumerate(seeds)
            for row in wanted
            if row.is_trained or (row.untouched and not turn)
        ]
        cells += [Cell(row, None) for row in wanted if row.average_of]
        return cells[part - 1 :: parts]


def study_names() -> list[str]:
    """Names of the bundled studies."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_study(name: str) -> Study:
    """Read a bundled study by its name, or one's own from a .toml file.

    Raises:
        GridError: there is no such study, or its file has an unknown key, a value of a wrong type
            or kind, or settings that no run could use; the sentence names file and key.
        SimgptError: the file is missing or not UTF-8.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if name not in study_names():
            raise GridError(
                f"unknown study {name!r}; known: {', '.join(study_names())}, or a .toml file"
            )
        path = _FOLDER / f"{name}.toml"
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise GridError(f"{path}: not valid TOML ({error})") from error
    try:
        return _study(path.stem, content)
    except SimgptError as error:
        raise GridError(f"{path}: {error}") from error


def _study(name: str, content: dict[str, Any]) -> Study:
    if not _NAME.fullmatch(name):
        raise GridError("a study's file is named with letters, digits, dots, dashes, underscores")
    table = _Table("", content)
    data = {
        key: _data(key, _Table(f"data.{key}", value))
        for key, value in table.take("data", dict, {}).items()
    }
    rows = table.take("rows", list)
    found: dict[str, Any] = {
        "name": name,
        "question": table.take("question", str),
        "profile": table.take("profile", str),
        "seeds": _checked_seeds("seeds", table.take("seeds", list)),
        "reference": table.take("reference", str),
        "keep_models": table.take("keep_models", bool, False),
        "scoring_precision": _precision(table.take("scoring_precision", str, "fp32")),
        "settings": _settings("settings", table.take("settings", dict, {})),
        "rows": [_row(_Table(f"rows[{n}]", row), data) for n, row in enumerate(rows, start=1)],
    }
    table.end()
    names = [row.name for row in found["rows"]]
    if not names:
        raise GridError("rows is empty; a study has one or more [[rows]]")
    if twice := sorted({row for row in names if names.count(row) > 1}):
        raise GridError(f"rows: two are named {', '.join(twice)}; every row needs its own name")
    if found["reference"] not in names:
        raise GridError(
            f"reference is {found['reference']!r}; it must be one of the rows: {', '.join(names)}"
        )
    study = Study(**found)
    _check_averages(study)
    for cell in study.cells(seeds=study.seeds[:1]):
        try:
            study.config(cell)
        except ConfigError as error:
            raise GridError(f"row {cell.row.name}: {error}") from error
    return study


def _check_averages(study: Study) -> None:
    trained = [row.name for row in study.rows if row.is_trained]
    for row in study.rows:
        if row.average_of and row.average_of not in trained:
            raise GridError(
                f"row {row.name}: average_of is {row.average_of!r}; it must be one of the trained "
                f"rows: {', '.join(trained)}"
            )
        if row.average_of and (not study.keep_models or len(study.seeds) < 2):
            raise GridError(
                f"row {row.name}: an average needs two or more seeds and keep_models = true"
            )


def _data(name: str, table: "_Table") -> Data:
    _check_name(table.place, name)
    given = table.take("from", str | list)
    found = Data(
        name=name,
        sources=[given] if isinstance(given, str) else given,
        where=table.take("where", dict, {}),
        balance=table.take("balance", str, ""),
        perturb=table.take("perturb", bool, False),
    )
    table.end()
    if not found.sources or not all(map(_is_source, found.sources)):
        raise GridError(
            f"{table.place}.from is {given!r}; it must be {BUNDLED}, {WAVE_4}, a .jsonl or .csv "
            'file, "$" and the name of an environment variable that names one, or a list of these'
        )
    if found.balance not in ("", OPENINGS):
        raise GridError(f"{table.place}.balance is {found.balance!r}; it must be {OPENINGS}")
    for key, values in found.where.items():
        if not isinstance(values, list) or not values or not all(map(_is_plain, values)):
            raise GridError(
                f"{table.place}.where.{key} is {values!r}; it must be a list of texts or whole "
                "numbers"
            )
    return found


def _row(table: "_Table", data: Mapping[str, Data]) -> Row:
    name = table.take("name", str)
    _check_name(f"{table.place}.name", name)
    if _SEED.search(name):
        raise GridError(f"{table.place}.name is {name!r}; results of another row may end so")
    place, untouched = f"row {name}", table.take("untouched", bool, False)
    average_of, source = table.take("average_of", str, ""), table.take("data", str, "")
    settings = _settings(f"{place}: set", table.take("set", dict, {}))
    if untouched and average_of:
        raise GridError(f"{place} is untouched or an average_of, not both")
    if (untouched and source) or (average_of and (source or settings)):
        kind = "an untouched" if untouched else "an averaged"
        raise GridError(f"{place}: {kind} row trains on nothing; leave out its data and settings")
    if source not in ("", BUNDLED, *data):
        raise GridError(
            f"{place}: data is {source!r}; it must be one of: {', '.join((BUNDLED, *data))}"
        )
    row = Row(
        name=name,
        label=table.take("label", str, name),
        settings=settings,
        data=data.get(source, Data(name=BUNDLED, where={})),
        untouched=untouched,
        average_of=average_of,
    )
    table.end()
    return row


def _precision(value: str) -> ScoringPrecision:
    if value not in list(ScoringPrecision):
        raise GridError(
            f"scoring_precision is {value!r}; it must be one of: {', '.join(ScoringPrecision)}"
        )
    return ScoringPrecision(value)


def _settings(place: str, given: dict[str, Any]) -> dict[str, Any]:
    for name, instead in _ELSEWHERE.items():
        if name in given:
            raise GridError(
                f"{place} has {name}, which is no setting here; it comes from {instead}"
            )
    return given


def _checked_seeds(place: str, seeds: Sequence[Any]) -> list[int]:
    numbers = [seed for seed in seeds if isinstance(seed, int) and not isinstance(seed, bool)]
    if not seeds or len(numbers) < len(seeds) or min(numbers) < 0 or len(set(seeds)) < len(seeds):
        raise GridError(
            f"{place} is {list(seeds)!r}; it must be one or more different whole numbers from 0 on"
        )
    return numbers


def _check_name(place: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise GridError(
            f"{place}: {name!r} is no name for a file; take letters, digits, dots, dashes and "
            "underscores"
        )


def _is_source(value: object) -> bool:
    return isinstance(value, str) and (
        value in (BUNDLED, WAVE_4) or value.startswith("$") or value.endswith((".jsonl", ".csv"))
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


class _Table:
    """A TOML table whose keys are taken one by one, so that what is left over is unknown."""

    _KINDS: Mapping[type | UnionType, str] = {
        str: "text",
        bool: "true or false",
        list: "a list",
        dict: "a table",
        str | list: "text or a list",
    }

    def __init__(self, place: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise GridError(f"{place} is {content!r}; it must be a table")
        self.place = place
        self._left = dict(content)
        self._known: list[str] = []

    def take(self, key: str, kind: type | UnionType, default: Any = _REQUIRED) -> Any:
        """The value of `key`; without a default it must be there."""
        self._known.append(key)
        name = f"{self.place}.{key}" if self.place else key
        if key not in self._left:
            if default is _REQUIRED:
                raise GridError(f"{name} is missing; it must be {self._KINDS[kind]}")
            return default
        value = self._left.pop(key)
        if not isinstance(value, kind) or (default is _REQUIRED and value == ""):
            raise GridError(f"{name} is {value!r}; it must be {self._KINDS[kind]}")
        return value

    def end(self) -> None:
        """Refuse what nobody took."""
        if self._left:
            place = f"{self.place}: " if self.place else ""
            raise GridError(
                f"{place}unknown key {', '.join(self._left)}; known: {', '.join(self._known)}"
            )
