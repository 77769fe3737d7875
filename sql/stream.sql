-- Writes an unbounded stream to SQLite: the new rows are committed, and become visible, once per second. Run it in the root
-- directory of the repository, together with a process that writes to a named pipe:
--
--     mkfifo observations.csv
--     while sleep 0.001; do echo "$RANDOM,$(date +%s)"; done > observations.csv &
--     cargo run -- sql sql/stream.sql
--
-- Ctrl-C, or SIGTERM, commits the rows that were read and ends the statement. Meanwhile, in another terminal:
--
--     sqlite3 stream.db "SELECT count(*) FROM observed"

-- The number of lines of a pipe that DataFusion reads as one batch: a slow stream should not wait for 8192 lines. The option
-- is read when the table is created.
SET datafusion.execution.batch_size = 100;

CREATE UNBOUNDED EXTERNAL TABLE observations (value BIGINT, seconds BIGINT)
STORED AS CSV LOCATION 'observations.csv' OPTIONS ('format.has_header' 'false');

-- Without the option, a stream is committed every 10 seconds. With 'checkpoint.rows' and 'checkpoint.bytes', an epoch ends
-- when the first limit is reached. A stream can be read only once, so it cannot be a job with checkpoints.
CREATE EXTERNAL TABLE observed (value BIGINT, observed_at TIMESTAMP)
STORED AS SQLITE LOCATION 'stream.db' OPTIONS ('checkpoint.interval' '1s');

-- The column has no time zone, so the statement converts the time with a zone to the local time, which is UTC.
INSERT INTO observed SELECT value, to_local_time(to_timestamp(seconds)) FROM observations WHERE value % 2 = 0;
