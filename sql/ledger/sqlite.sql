CREATE TABLE IF NOT EXISTS landfall_ledger (
    job        TEXT    NOT NULL, -- the `job` option
    epoch      INTEGER NOT NULL, -- numbered per job, never reused
    gtrid      TEXT    NOT NULL, -- the global transaction whose proposal stands
    decision   TEXT    NOT NULL CHECK (decision IN ('commit', 'abort')),
    "rows"     INTEGER NOT NULL, -- rows consumed by the epoch
    positions  TEXT    NOT NULL, -- how far the epoch reaches into its input, JSON
    decided_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), -- for people; no decision goes by it
    PRIMARY KEY (job, epoch)
) WITHOUT ROWID;
