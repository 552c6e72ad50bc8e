"""The ledger: every request, every attempt at it and every answer, in one SQLite file.

An answer is in the ledger, on disk, before the next thing is asked in its place, so a kill at any
moment loses at most the answers that were on their way. What was asked is found again by its key:
asking the same thing once more costs nothing, and reading an old answer with a newer parser needs
no model.

The file uses SQLite's write-ahead log, which needs a local disk: a network drive or a mounted Drive
folder is no place for it.
"""

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from simgpt.annotate.attempts import Ending, Outcome, Statement, ending_statement
from simgpt.annotate.requests import Answer, Request, Setup
from simgpt.errors import SimgptError

_VERSION = 1
_GATHER_S = 0.002  # a commit waits so long for others' to join it; calls take far longer
_CHUNK = 500  # keys looked up at once
_MIN_FREE = 32 << 20  # bytes; room for the answers on their way when the disk fills up

_SCHEMA = resources.files("simgpt") / "annotate" / "ledger.sql"


class Ledger:
    """A ledger that is open for one run; a second run on the same file is refused.

    Use as a context manager. Methods that write are coroutines and return when what they wrote is
    on disk; what several callers write at once is committed together.
    """

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path`, or begin one.

        Raises:
            SimgptError: another run has it open, or the file is no ledger or cannot be written.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise SimgptError(
                f"{path}: another run is using this ledger; wait for it to end, or name another "
                "file with --ledger"
            ) from error
        try:
            with _telling(path):
                self._db = _connect(path)
                _prepare(self._db, path)
                # Whoever held these is dead: we have the lock.
                self._db.execute(
                    "UPDATE attempt SET outcome = ? WHERE outcome = ? AND batch IS NULL",
                    (Outcome.LOST, Outcome.IN_FLIGHT),
                )
                (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM attempt").fetchone()
                (request,) = self._db.execute("SELECT coalesce(max(id), 0) FROM request").fetchone()
                self.last_attempt, self._last_request = last, request
                self._reader = _connect(path)
        except BaseException:
            self._lock.release()
            raise
        self._room, self._look_again = True, 0.0
        self._setups: dict[str, int] = {}
        self._waiting: list[tuple[list[Statement], asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._db.close()
        self._lock.release()

    # --- Reading

    def answers(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The answers that are there, by key; of several to one request, the first."""
        found: dict[bytes, Answer] = {}
        for begin in range(0, len(keys), _CHUNK):
            some = keys[begin : begin + _CHUNK]
            with _telling(self.path):
                rows = self._reader.execute(
                    "SELECT key, answer, model, fingerprint, finish, input_tokens, cached_tokens,"
                    " output_tokens FROM request JOIN attempt ON request = request.id"
                    f" WHERE outcome = 'answered' AND key IN ({_marks(some)}) ORDER BY attempt.id",
                    some,
                )
                for key, *columns in rows:
                    found.setdefault(key, Answer(*columns))
        return found

    def rejections(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """What the server said to those of `keys` that it will not take, by key."""
        with _telling(self.path):
            return dict(
                self._reader.execute(
                    "SELECT key, detail FROM request JOIN attempt ON request = request.id"
                    f" WHERE outcome = 'rejected' AND key IN ({_marks(keys)})",
                    keys,
                )
            )

    def answered(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` that have an answer, or are on their way in a batch."""
        found: set[bytes] = set()
        for begin in range(0, len(keys), _CHUNK):
            some = keys[begin : begin + _CHUNK]
            with _telling(self.path):
                found.update(
                    key
                    for (key,) in self._reader.execute(
                        f"SELECT key FROM request WHERE key IN ({_marks(some)}) AND EXISTS (SELECT"
                        " 1 FROM attempt WHERE request = request.id AND outcome IN"
                        " ('answered', 'in flight'))",
                        some,
                    )
                )
        return found

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        with _telling(self.path):
            return self._reader.execute(sql, values).fetchall()

    def in_batches(self, endpoint: str, model: str) -> int:
        """Requests to a model that are on their way in a batch."""
        (count,) = self.rows(
            "SELECT count(*) FROM attempt JOIN shard ON batch = shard.id"
            " WHERE outcome = 'in flight' AND endpoint = ? AND shard.model = ?",
            (endpoint, model),
        )[0]
        return int(count)

    def spent_usd(self) -> float:
        """What the ledger's attempts have cost; where nobody can tell, the most it can be."""
        (usd,) = self._reader.execute(
            "SELECT coalesce(sum(coalesce(usd, most_usd)), 0) FROM attempt"
        ).fetchone()
        return float(usd)

    def usage(self, setup: Setup) -> list[tuple[int, int, int]]:
        """Bytes asked about, tokens in and tokens out of the setup's newest answers (1,000)."""
        rows = self.rows(
            "SELECT inputs, input_tokens, output_tokens FROM attempt JOIN request"
            " ON request = request.id JOIN setup ON setup = setup.id WHERE hash = ?"
            " AND outcome = 'answered' AND input_tokens NOT NULL AND output_tokens NOT NULL"
            " ORDER BY attempt.id DESC LIMIT 1000",
            (setup.hash,),
        )
        return [
            (sum(len(text.encode()) for text in json.loads(inputs)), tokens_in, tokens_out)
            for inputs, tokens_in, tokens_out in rows
        ]

    def totals(self, setups: Sequence[Setup]) -> dict[str, Any]:
        """Attempts, tokens, dollars, models and times of all that was asked in these ways."""
        rows = (
            "FROM attempt JOIN request ON request = request.id JOIN setup ON setup = setup.id"
            f" WHERE hash IN ({_marks(setups)})"
        )
        hashes = [setup.hash for setup in setups]
        with _telling(self.path):
            attempts, inputs, outputs, usd, first, last = self._reader.execute(
                "SELECT count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
                f" coalesce(sum(coalesce(usd, most_usd)), 0), min(started), max(started) {rows}",
                hashes,
            ).fetchone()
            models = self._reader.execute(
                "SELECT model || iif(fingerprint = '', '', ' (' || fingerprint || ')'), count(*)"
                f" {rows} AND outcome = 'answered' GROUP BY 1 ORDER BY 2 DESC",
                hashes,
            ).fetchall()
        return {
            "attempts": attempts,
            "input_tokens": inputs,
            "output_tokens": outputs,
            "usd": usd,
            "first_call": _moment(first),
            "last_call": _moment(last),
            "models": dict(models),
        }

    def abilities(self, endpoint: str, model: str) -> dict[str, bool]:
        """What was found out about a server, by name."""
        rows = self._reader.execute(
            "SELECT name, supported FROM ability WHERE endpoint = ? AND model = ?",
            (endpoint, model),
        )
        return {name: bool(supported) for name, supported in rows}

    # --- Writing

    async def begin(
        self,
        requests: Sequence[Request],
        most_usd: Sequence[float],
        *,
        batch: str | None = None,
        also: Sequence[Statement] = (),
    ) -> list[int]:
        """Note, before they are sent, that `requests` are about to be asked; return attempt ids."""
        statements = list(also)
        attempts = []
        for request, most in zip(requests, most_usd, strict=True):
            self._last_request += 1
            self.last_attempt += 1
            attempts.append(self.last_attempt)
            inputs = json.dumps(request.inputs, ensure_ascii=False)
            statements += [
                (
                    "INSERT INTO request VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                    (self._last_request, request.key, self._setup_id(request.setup), inputs),
                ),
                (
                    "INSERT INTO attempt (id, request, batch, started, outcome, most_usd)"
                    " VALUES (?, (SELECT id FROM request WHERE key = ?), ?, ?, ?, ?)",
                    (attempts[-1], request.key, batch, time.time(), Outcome.IN_FLIGHT, most),
                ),
            ]
        await self.write(statements)
        return attempts

    async def begin_job(self, wanted: int, had: int) -> int:
        """Note that a run begins, which `status` reckons its time left from; return its id."""
        (job,) = self._reader.execute("SELECT coalesce(max(id), 0) + 1 FROM job").fetchone()
        values = (job, time.time(), wanted, had)
        await self.write(
            [("INSERT INTO job (id, started, wanted, had) VALUES (?, ?, ?, ?)", values)]
        )
        return int(job)

    async def end_job(self, job: int) -> None:
        """Note that a run came to its end."""
        await self.write([("UPDATE job SET ended = ? WHERE id = ?", (time.time(), job))])

    async def note_ability(
        self, endpoint: str, model: str, name: str, supported: bool, detail: str
    ) -> None:
        """Note what was found out about a server."""
        values = (endpoint, model, name, supported, detail, time.time())
        await self.write([("INSERT OR REPLACE INTO ability VALUES (?, ?, ?, ?, ?, ?)", values)])

    async def end(self, endings: Sequence[tuple[int, Ending]]) -> None:
        """Note how attempts ended."""
        await self.write([ending_statement(attempt, ending) for attempt, ending in endings])

    async def write(self, statements: list[Statement]) -> None:
        """Execute statements in one transaction, together with what others wait to write."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((statements, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await asyncio.shield(done)

    async def _flush(self) -> None:
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            group, self._waiting = self._waiting, []
            try:
                await self._commit([s for some, _ in group for s in some])
            except Exception as error:  # each waiting caller must hear of it
                for _, done in group:
                    done.set_exception(error)
                    done.exception()  # a caller that was cancelled does not fetch it
            else:
                for _, done in group:
                    done.set_result(None)

    async def _commit(self, statements: list[Statement]) -> None:
        with _telling(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for sql, values in statements:
                    self._db.execute(sql, values)
                # Only the wait for the disk goes to a thread: there, each statement would have to
                # wait for Python's lock.
                await asyncio.to_thread(self._db.execute, "COMMIT")
            except Exception:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def has_room(self) -> bool:
        """Is there room on the disk for the answers on their way? Looked up once a second."""
        now = time.monotonic()
        if now >= self._look_again:
            self._look_again = now + 1.0
            self._room = shutil.disk_usage(self.path.parent).free >= _MIN_FREE
        return self._room

    def _setup_id(self, setup: Setup) -> int:
        if setup.hash not in self._setups:
            with _telling(self.path):
                self._db.execute(
                    "INSERT INTO setup (hash, prompt_hash, prompt_name, content)"
                    " VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
                    (
                        setup.hash,
                        setup.prompt.hash,
                        setup.prompt.name,
                        json.dumps(setup.describe(), ensure_ascii=False),
                    ),
                )
                (found,) = self._db.execute(
                    "SELECT id FROM setup WHERE hash = ?", (setup.hash,)
                ).fetchone()
            self._setups[setup.hash] = found
        return self._setups[setup.hash]


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A ledger opened for looking at, also while a run is using it.

    Raises:
        SimgptError: there is no ledger at `path`.
    """
    if not path.is_file():
        raise SimgptError(f"{path}: no such ledger; --ledger names one")
    with _telling(path):
        db = _connect(path)
        try:
            db.execute("PRAGMA query_only = ON")
            _check_version(db, path)
            yield db
        finally:
            db.close()


def _connect(path: Path) -> sqlite3.Connection:
    # Commits run in a worker thread, one at a time.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    db.execute("PRAGMA synchronous = FULL")  # an answer that was paid for survives a power cut
    db.execute("PRAGMA cache_size = -8192")  # KiB; the system caches the file as well
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        schema = _SCHEMA.read_text(encoding="utf-8")
        db.executescript(f"BEGIN; {schema} PRAGMA user_version = {_VERSION}; COMMIT;")
    _check_version(db, path)


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:
        raise SimgptError(f"{path}: not a ledger of this version of simgpt")


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one sentence that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise SimgptError(
                f"{path}: the disk is full or failing ({error}); free some space and run the "
                "command again: what was answered is kept"
            ) from error
        raise SimgptError(f"{path}: the ledger cannot be used ({error})") from error
