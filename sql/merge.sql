-- Changes existing rows in a SQLite file with MERGE INTO, UPDATE, DELETE and TRUNCATE, each of them all or nothing.
-- Run it in the root directory of the repository, as often as you like:   cargo run -- sql sql/merge.sql
-- The same statements can be used with STORED AS POSTGRES and STORED AS MYSQL.

CREATE EXTERNAL TABLE stock (
    item      VARCHAR NOT NULL PRIMARY KEY,
    quantity  BIGINT NOT NULL,
    price     DECIMAL(10, 2),
    checked   DATE
)
STORED AS SQLITE LOCATION 'merge.db';

-- OVERWRITE deletes the old rows in the same transaction. REPLACE replaces the row with the same key, and sets omitted
-- columns to their default values.
INSERT OVERWRITE stock VALUES
    ('anchor', 4, 120.00, DATE '2024-01-31'), ('buoy', 30, 19.90, DATE '2024-01-31'), ('cleat', 0, 4.50, NULL),
    ('dinghy', 1, 2100.00, DATE '2023-11-02');
REPLACE INTO stock (item, quantity, price) VALUES ('cleat', 12, 4.75);

-- The delivery is the source. It can be any query, on files, on other databases, or with joins.
CREATE VIEW delivery AS SELECT * FROM (VALUES
    ('buoy', 20, 17.50), ('fender', 40, 12.25), ('anchor', -4, NULL), ('rope', 0, 1.10)) AS d (item, quantity, price);

-- For each row, the first clause whose condition is true applies; a condition that is NULL is not true. A row of the source
-- that matches no row of the table is inserted, and the database fills in its other columns.
MERGE INTO stock AS s USING delivery AS d ON s.item = d.item
WHEN MATCHED AND s.quantity + d.quantity = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET quantity = s.quantity + d.quantity, price = coalesce(d.price, s.price)
WHEN NOT MATCHED AND d.quantity > 0 THEN INSERT (item, quantity, price) VALUES (d.item, d.quantity, d.price)
WHEN NOT MATCHED BY SOURCE AND s.checked IS NULL THEN UPDATE SET checked = DATE '2024-02-29';

SELECT * FROM stock ORDER BY item;

-- EXPLAIN shows how a statement is executed: this UPDATE is a native statement of the database, with the whole condition …
EXPLAIN UPDATE stock SET price = 18.00 WHERE item = 'buoy';
UPDATE stock SET price = 18.00 WHERE item = 'buoy';

-- … and for this DELETE, DataFusion finds the rows, which are then deleted by their keys, under a lock.
EXPLAIN DELETE FROM stock WHERE price > (SELECT avg(price) FROM stock) AND item LIKE 'd%';
DELETE FROM stock WHERE price > (SELECT avg(price) FROM stock) AND item LIKE 'd%';

-- Two rows of the source that match one row of the table would be an error, before anything is changed, so the query selects
-- one of them.
MERGE INTO stock USING (
    SELECT item, max(quantity) AS quantity FROM (VALUES ('rope', 5), ('rope', 9), ('buoy', 1)) AS r (item, quantity)
    GROUP BY item) AS r
ON stock.item = r.item
WHEN MATCHED THEN UPDATE SET quantity = r.quantity
WHEN NOT MATCHED THEN INSERT (item, quantity) VALUES (r.item, r.quantity);

SELECT * FROM stock ORDER BY item;

-- A job is run only once: the second UPDATE, and every later run of this script, changes nothing and reports this.
CREATE EXTERNAL TABLE stock_once STORED AS SQLITE LOCATION 'merge.db'
OPTIONS ('table' 'stock', 'job' 'dearer in 2024');
UPDATE stock_once SET price = price * 1.1 WHERE price IS NOT NULL;
UPDATE stock_once SET price = price * 1.1 WHERE price IS NOT NULL;

TRUNCATE TABLE stock;
