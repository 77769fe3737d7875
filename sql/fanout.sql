-- One INSERT into two databases, as one transaction: a PostgreSQL server and a SQLite file have the same rows, or
-- neither has them. Run it from the top of the repository, as often as you like:
--
--     PGHOST=localhost PGUSER=me PGDATABASE=mine PGPASSWORD=… cargo run -- sql sql/fanout.sql
--
-- The server's max_prepared_transactions must not be 0, as it is unless somebody set it. Without a server at hand,
-- tests/postgres starts one in an empty folder and prints its URL.

CREATE EXTERNAL TABLE here (
    origin VARCHAR NOT NULL, time_hour TIMESTAMP WITH TIME ZONE NOT NULL, temp DOUBLE, PRIMARY KEY (origin, time_hour)
)
STORED AS SQLITE LOCATION 'fanout.db' OPTIONS ('table' 'weather');

CREATE EXTERNAL TABLE there (
    origin VARCHAR NOT NULL, time_hour TIMESTAMP WITH TIME ZONE NOT NULL, temp DOUBLE, PRIMARY KEY (origin, time_hour)
)
STORED AS POSTGRES LOCATION 'postgres://' OPTIONS ('table' 'public.landfall_fanout');

-- What is written to it goes to both. PostgreSQL prepares; SQLite cannot, so it is the last agent: it commits with the
-- decision in the same transaction, and then PostgreSQL is told.
CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'here, there';

INSERT OVERWRITE both
SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE origin = 'JFK';

-- Several writers are several branches of one transaction, too: four connections, one outcome.
CREATE EXTERNAL TABLE there_by_four STORED AS POSTGRES LOCATION 'postgres://'
OPTIONS ('table' 'public.landfall_fanout', 'writers' '4');

REPLACE INTO there_by_four
SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE origin = 'EWR';

-- A job is written once, in all of its tables: the second run of it writes nothing and says so. (The script's own second
-- run finds it finished already.)
CREATE EXTERNAL TABLE both_once STORED AS FANOUT LOCATION 'here, there' OPTIONS ('job' 'fanout of 2013');
INSERT INTO both_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE false;
INSERT INTO both_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet' WHERE false;

SELECT 'here' AS "where", origin, count(*) AS hours, round(avg(temp), 1) AS mean_temp FROM here GROUP BY origin
UNION ALL
SELECT 'there', origin, count(*), round(avg(temp), 1) FROM there GROUP BY origin
ORDER BY "where", origin;
