-- One row for each epoch of a job that was decided; see datafusion_landfall::xa. Names are compared byte by byte.
CREATE TABLE IF NOT EXISTS landfall_ledger (
    job varbinary(512) NOT NULL,
    epoch bigint NOT NULL,
    gtrid varchar(64) CHARACTER SET ascii NOT NULL,
    decision varchar(6) CHARACTER SET ascii NOT NULL CHECK (decision IN ('commit', 'abort')),
    "rows" bigint NOT NULL,
    positions longtext CHARACTER SET utf8mb4 NOT NULL,
    decided_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (job, epoch)
) ENGINE = InnoDB
