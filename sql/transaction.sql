-- Moves an amount from one account to another, and logs it, in one transaction.
-- Run it in the root directory of the repository, as often as you like:   cargo run -- sql sql/transaction.sql
-- The tables can be in different databases: in the second one, use ATTACH 'postgres://me@host/my_database' AS …

ATTACH 'sqlite:transaction.db' AS bank;
CREATE TABLE IF NOT EXISTS bank.main.accounts (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bank.main.transfers (at TIMESTAMP, amount INTEGER NOT NULL, was INTEGER NOT NULL);
INSERT OVERWRITE bank.main.accounts VALUES (1, 'Ada', 100), (2, 'Grace', 0);

BEGIN;
UPDATE bank.main.accounts SET amount = amount - 25 WHERE id = 1;
UPDATE bank.main.accounts SET amount = amount + 25 WHERE id = 2;
-- A statement sees what the transaction has written.
INSERT INTO bank.main.transfers SELECT now(), 25, sum(amount) FROM bank.main.accounts;
COMMIT;

-- Nothing of this one remains.
BEGIN;
DELETE FROM bank.main.accounts;
SELECT count(*) AS accounts_in_the_transaction FROM bank.main.accounts;
ROLLBACK;

SELECT * FROM bank.main.accounts ORDER BY id;
