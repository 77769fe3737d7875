-- One row for each epoch of a job that was decided; see datafusion_landfall::xa.
CREATE TABLE IF NOT EXISTS landfall_ledger (
    job text NOT NULL,
    epoch bigint NOT NULL,
    gtrid text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('commit', 'abort')),
    "rows" bigint NOT NULL,
    positions text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, epoch)
)
