-- One INSERT into two databases, as one transaction: either both a PostgreSQL server and a SQLite file store the rows, or
-- neither does. Run it in the root directory of the repository, as often as you like:
--
--     PGHOST=localhost PGUSER=me PGDATABASE=mine PGPASSWORD=… cargo run -- sql sql/fanout.sql
--
-- The setting max_prepared_transactions of the server must not be 0, which is the default. If no server is available,
-- tests/postgres starts one in an empty folder and prints its URL.

CREATE EXTERNAL TABLE here (
    origin VARCHAR NOT NULL, time_hour TIMESTAMP WITH TIME ZONE NOT NULL, temp DOUBLE, PRIMARY KEY (origin, time_hour)
)
STORED AS SQLITE LOCATION 'fanout.db' OPTIONS ('table' 'weather');

CREATE EXTERNAL TABLE there (
    origin VARCHAR NOT NULL, time_hour TIMESTAMP WITH TIME ZONE NOT NULL, temp DOUBLE, PRIMARY KEY (origin, time_hour)
)
STORED AS POSTGRES LOCATION 'postgres://' OPTIONS ('table' 'public.landfall_fanout');

-- Rows that are written to this table are written to both members. PostgreSQL prepares. SQLite cannot prepare, so it is the
-- last agent: it commits the rows and the decision in one transaction, and then PostgreSQL commits.
CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'here, there';

INSERT OVERWRITE both
SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE origin = 'JFK';

-- With several writers, one transaction also has several branches: four connections, one outcome.
CREATE EXTERNAL TABLE there_by_four STORED AS POSTGRES LOCATION 'postgres://'
OPTIONS ('table' 'public.landfall_fanout', 'writers' '4');

REPLACE INTO there_by_four
SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE origin = 'EWR';

-- A job is run only once, for all of its tables: its second run writes nothing and reports this. (If this script is run a
-- second time, the job is already finished.)
CREATE EXTERNAL TABLE both_once STORED AS FANOUT LOCATION 'here, there' OPTIONS ('job' 'fanout of 2013');
INSERT INTO both_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE false;
INSERT INTO both_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE false;

SELECT 'here' AS "where", origin, count(*) AS hours, round(avg(temp), 1) AS mean_temp FROM here GROUP BY origin
UNION ALL
SELECT 'there', origin, count(*), round(avg(temp), 1) FROM there GROUP BY origin
ORDER BY "where", origin;
