-- Lands a stream that never ends in SQLite: what came in is committed, and visible, once a second. Run it from the top
-- of the repository, with something that writes to a named pipe:
--
--     mkfifo observations.csv
--     while sleep 0.001; do echo "$RANDOM,$(date +%s)"; done > observations.csv &
--     cargo run -- sql sql/stream.sql
--
-- Ctrl-C, or SIGTERM, commits what was read and ends it. From another terminal, meanwhile:
--
--     sqlite3 stream.db "SELECT count(*) FROM observed"

-- DataFusion hands on the lines of a pipe in batches of so many: a slow stream should not wait for 8192 of them. It is
-- read when the table is created.
SET datafusion.execution.batch_size = 100;

CREATE UNBOUNDED EXTERNAL TABLE observations (value BIGINT, seconds BIGINT)
STORED AS CSV LOCATION 'observations.csv' OPTIONS ('format.has_header' 'false');

-- Without the option a stream is committed every 10 seconds. 'checkpoint.rows' and 'checkpoint.bytes' end an epoch
-- earlier, whichever comes first. A stream brings its rows once: it is no job, as nobody could read it again.
CREATE EXTERNAL TABLE observed (value BIGINT, observed_at TIMESTAMP)
STORED AS SQLITE LOCATION 'stream.db' OPTIONS ('checkpoint.interval' '1s');

-- Of a time with a zone its column keeps none: that it is the local one, here UTC, is said.
INSERT INTO observed SELECT value, to_local_time(to_timestamp(seconds)) FROM observations WHERE value % 2 = 0;
