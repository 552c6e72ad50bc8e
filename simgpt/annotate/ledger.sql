-- The tables of a ledger; see ledger.py.
CREATE TABLE setup (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,      -- of endpoint, model, prompt, sampling and interface
    prompt_hash TEXT NOT NULL,
    prompt_name TEXT NOT NULL,
    content TEXT NOT NULL           -- JSON: Setup.describe()
);
CREATE TABLE request (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,       -- Setup.key()
    setup INTEGER NOT NULL REFERENCES setup,
    inputs TEXT NOT NULL            -- JSON list of what was asked about
);
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    request INTEGER NOT NULL REFERENCES request,
    batch TEXT REFERENCES shard,    -- NULL for a call of its own
    started REAL NOT NULL,          -- seconds since 1970
    seconds REAL,                   -- until the answer was there
    outcome TEXT NOT NULL,
    detail TEXT,                    -- what the server said where it gave no answer
    answer TEXT, finish TEXT, model TEXT, fingerprint TEXT,
    input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER,
    most_usd REAL NOT NULL,         -- no answer could cost more
    usd REAL                        -- what it cost; NULL where nobody can tell
);
CREATE INDEX attempt_of_request ON attempt (request);
CREATE INDEX attempt_in_flight ON attempt (batch) WHERE outcome = 'in flight';
CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    ended REAL,
    wanted INTEGER NOT NULL,        -- answers wanted in all
    had INTEGER NOT NULL            -- answers that were there at the start
);
CREATE TABLE ability (
    endpoint TEXT NOT NULL, model TEXT NOT NULL, name TEXT NOT NULL,
    supported INTEGER NOT NULL, detail TEXT NOT NULL, checked REAL NOT NULL,
    PRIMARY KEY (endpoint, model, name)
);
CREATE TABLE shard (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    endpoint TEXT NOT NULL, model TEXT NOT NULL,
    path TEXT NOT NULL,             -- of the interface that its requests go to
    file_id TEXT, batch_id TEXT     -- the server's names
);
