-- Loads readings of which some cannot be stored: those are set aside in another table, with the reason for each.
-- Run it in the root directory of the repository, as often as you like:   cargo run -- sql sql/rejects.sql

ATTACH 'sqlite:rejects.db' AS lab;
CREATE TABLE IF NOT EXISTS lab.main.readings (id BIGINT PRIMARY KEY, sensor VARCHAR NOT NULL, celsius DOUBLE);
DELETE FROM lab.main.readings;

CREATE EXTERNAL TABLE readings STORED AS SQLITE LOCATION 'rejects.db'
OPTIONS ('reject.max' '10 %', 'reject.table' 'bad_readings');

-- One text is no number, one sensor is missing, and one key occurs twice. The other rows are stored in the same transaction.
INSERT INTO readings
SELECT CASE WHEN value = 41 THEN 30 ELSE value END,
    CASE WHEN value = 20 THEN NULL ELSE 'sensor ' || (value % 3) END,
    CASE WHEN value = 10 THEN 'n/a' ELSE value || '.5' END
FROM generate_series(1, 41);

SELECT sensor, count(*) AS readings, avg(celsius) AS celsius FROM readings GROUP BY sensor ORDER BY sensor;

CREATE EXTERNAL TABLE bad_readings STORED AS SQLITE LOCATION 'rejects.db';
SELECT source_row, column_name, error_class FROM bad_readings ORDER BY rejected_at DESC, source_row LIMIT 3;
