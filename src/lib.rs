//! Landfall is the transactional write path of [Apache DataFusion](datafusion): a query's Arrow stream lands in a
//! database, all of its rows or none, and, as a named *job*, exactly once.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! use datafusion::prelude::SessionContext;
//!
//! let context = SessionContext::new();
//! datafusion_landfall::register(&context);
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("people.db").display().to_string();
//! # let sql = |text: &str| text.replace("people.db", &file);
//! context
//!     .sql(&sql("CREATE EXTERNAL TABLE people (id BIGINT PRIMARY KEY, name VARCHAR NOT NULL)
//!                STORED AS SQLITE LOCATION 'people.db' OPTIONS ('on_conflict' 'update')"))
//!     .await?;
//! context.sql("INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')").await?.collect().await?;
//! let people = context.sql("SELECT name FROM people WHERE id = 2").await?.collect().await?;
//! assert_eq!(people[0].num_rows(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # Tables
//!
//! [`register`] teaches a session `CREATE EXTERNAL TABLE t [(columns)] STORED AS … LOCATION '…' [OPTIONS (…)]`:
//!
//! | `STORED AS` | `LOCATION` | more |
//! | --- | --- | --- |
//! | `SQLITE` | a path, or `sqlite:path` | `sqlite` |
//! | `POSTGRES` | `postgres://user@host:port/database?sslmode=…`; what is left out is taken from libpq's environment | `postgres` |
//! | `MYSQL` | `mysql://user@host:port/database?ssl-mode=…`, or `mariadb://…` | `mysql` |
//! | `FANOUT` | names of tables that are registered: `a, b` | [below](#several-writers-several-databases) |
//! | any name | what a database of another crate takes | [`backend`], [`register_backend`] |
//!
//! Columns that are left out are taken from the table in the database. Where they are given and the table is not
//! there, it is created, with its PRIMARY KEY, UNIQUE, NOT NULL and DEFAULT; where it is there, it must have these
//! columns. From code the same is [`LandfallTable::connect`] and [`LandfallTable::connect_or_create`].
//!
//! * `INSERT INTO t` appends. `INSERT OVERWRITE t` deletes the old rows in the same transaction. `REPLACE INTO t`
//!   replaces, by the key, whole rows: columns that are not written get their defaults.
//!   Deleting obeys foreign keys: `ON DELETE CASCADE` takes the referring rows with it. Readers go on with the old rows
//!   until the commit, and see all of the new ones after it. In PostgreSQL the option `overwrite` = `truncate` asks for a
//!   TRUNCATE: readers wait for the commit then, and a transaction whose snapshot is older sees an empty table.
//! * Of rows with one key the last one wins; where `on_conflict` is `ignore`, the first. Rows arrive in the order of ORDER BY, else of the scan that they are from;
//!   what joins and aggregates produce has none.
//! * Columns that an INSERT leaves out are filled in by the database itself, whatever their default is. A number that is
//!   given is kept, 0 too, and MySQL and SQLite go on behind it; PostgreSQL's sequences stay where they are, which a warning
//!   says, unless the option `identity` moves them, and its GENERATED ALWAYS columns take no values without it.
//! * `DataFrame::write_table` writes by column names, in any order.
//! * How each type is stored: `sqlite::types`, `postgres::types`, `mysql::types`.
//!
//! # Values
//!
//! A value is stored unchanged or not at all. What its column cannot have is an error that names the row and the column, and
//! the statement is rolled back. The rules are the same for INSERT, upserts, UPDATE, MERGE and `DataFrame::write_table`, on
//! every database:
//!
//! | value | column | what is stored |
//! | --- | --- | --- |
//! | integer, decimal | integer, decimal | the same number, or an error: 2.0 is the integer 2, and 1.7 is none; 1.50 has one digit to lose, 1.55 has none |
//! | integer, decimal | float | the float whose shortest digits are the number, or an error: 16777217 is no `REAL` |
//! | float | integer | the same number, or an error |
//! | float | decimal | its shortest digits, *rounded* half away from zero: 1.005 is 1.01; an error where 0 or too many digits would be left |
//! | product, quotient of decimals | decimal | *rounded* half away from zero |
//! | double | real | the *nearest* real; an error beyond its range |
//! | boolean | number | 1 or 0, and back; any other number is an error |
//! | timestamp | date | the day, of midnight; an error at any other time |
//! | date | timestamp | midnight |
//! | timestamp, text without a zone | timestamp with a zone | that time in UTC |
//! | timestamp with a zone | timestamp, date | refused: say where, `to_local_time(x)`; but see `now()` |
//! | number | date, timestamp, and back | refused: say what it counts, `to_timestamp_seconds(x)` |
//! | nanoseconds | microseconds | an error, or *cut off* by the option `nanoseconds` |
//! | `now()`, `current_date`, `current_time` | date, time, timestamp | the time in the session's zone, with as many digits of a second as the column has |
//! | text | number, boolean, date, time, timestamp | what it says, by the grammar below, or an error |
//! | any | text | its text, as a query prints it; of a float the shortest digits |
//! | struct | struct | its fields by their names, each by these rules: one that it lacks is NULL, one that the column lacks is refused |
//!
//! The grammar: no blanks around; numbers `-1.5e3`; `true`, `t`, `yes`, `y`, `on`, `1` and their opposites in any case;
//! `2013-01-31`; `23:59`, `23:59:59.999`; a date and a time with a space or a `T` between them, and `Z`, `+02` or `+02:00`
//! behind them, only for a column with a zone; years beyond 9999 and before 0 with a sign, `-0044-03-15`.
//!
//! By types: *exact* fits whatever the value, *checked* may be refused for a value, and an empty cell is refused when the
//! statement is planned. The value's type is on the left, the column's above.
//!
#![doc = include_str!("assignments.md")]
//!
//! EXPLAIN shows of each column which it is: `price: Float64 -> numeric(10,2) rounded`. A cast of the query's own is the
//! user's, and is done as DataFusion does it: `CAST(1.7 AS INT)` is 1. The option `assignment` = `cast` brings DataFusion's
//! casts back for a whole table.
//!
//! DataFusion reads 12345678901234567890.12 as a float, makes the types of the table those of any VALUES in an INSERT, and its
//! plan does not tell a cast of the user's from its own; nor does it take `{'a': 1}` in VALUES for a struct of more fields. So run statements by [`sql`](fn@sql), as the program `landfall`
//! does. A number that is written for an integer or decimal column then has the digits that were written, also in what is
//! computed for it (`price * 1.1`); elsewhere a number of more than 15 digits is a decimal, and a shorter one a float:
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! # let context = datafusion::prelude::SessionContext::new();
//! # datafusion_landfall::register(&context);
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("bank.db").display().to_string();
//! # context
//! #     .sql(&format!("CREATE EXTERNAL TABLE accounts (id INT, balance DECIMAL(30, 2)) STORED AS SQLITE LOCATION '{file}'"))
//! #     .await?;
//! datafusion_landfall::sql(&context, "INSERT INTO accounts VALUES (CAST(1.7 AS INT), 12345678901234567890.12)")
//!     .await?
//!     .collect()
//!     .await?;
//! let refused = datafusion_landfall::sql(&context, "INSERT INTO accounts VALUES (1.7, 0)").await?.collect().await;
//! assert!(refused.is_err());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! [`SessionContext::sql`](datafusion::prelude::SessionContext::sql) changes nothing silently either. It refuses what it
//! cannot tell: a number of 16 digits or more for an integer or a decimal, VALUES in a CTE or a UNION. It checks a cast to the
//! type of the column as it checks the planner's, where the cast is a value of VALUES, UPDATE or MERGE, or a data frame over
//! another query selects it for `write_table`. A session without [`register`] has DataFusion's casts, and INSERT says so.
//!
//! # Changing rows
//!
//! DELETE, UPDATE, TRUNCATE and MERGE INTO do on every database what PostgreSQL does, in one transaction, and as a job
//! once; `sql/merge.sql` is an example. A MERGE takes any query for its source:
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! # let context = datafusion::prelude::SessionContext::new();
//! # datafusion_landfall::register(&context);
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("stock.db").display().to_string();
//! # context
//! #     .sql(&format!("CREATE EXTERNAL TABLE stock (item VARCHAR PRIMARY KEY, quantity BIGINT, price DOUBLE DEFAULT 1.5)
//! #                    STORED AS SQLITE LOCATION '{file}'"))
//! #     .await?;
//! # let run = async |sql: &str| context.sql(sql).await?.collect().await;
//! // All old rows go, in the same transaction.
//! run("INSERT OVERWRITE stock VALUES ('anchor', 4, 120.0), ('buoy', 30, 20.0)").await?;
//! // By the key whole rows are replaced: a price that is left out is the default again.
//! run("REPLACE INTO stock (item, quantity) VALUES ('buoy', 25)").await?;
//! run("MERGE INTO stock AS s USING (VALUES ('buoy', 5), ('rope', 7), ('anchor', -4)) AS d (item, quantity)
//!      ON s.item = d.item
//!      WHEN MATCHED AND s.quantity + d.quantity = 0 THEN DELETE
//!      WHEN MATCHED THEN UPDATE SET quantity = s.quantity + d.quantity
//!      WHEN NOT MATCHED THEN INSERT (item, quantity) VALUES (d.item, d.quantity)").await?;
//! run("UPDATE stock SET price = price * 2 WHERE item LIKE 'b%'").await?;
//! let left = context.sql("SELECT item FROM stock WHERE quantity = 30 AND price = 3.0 OR quantity = 7 AND price = 1.5").await?;
//! assert_eq!(left.count().await?, 2);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! * `DELETE FROM t [WHERE …] [LIMIT n]` and `UPDATE t SET … [WHERE …]` take any condition, and subqueries over other
//!   tables; a column that is set to itself keeps its value. `MERGE INTO t USING … ON …` has WHEN MATCHED, WHEN NOT
//!   MATCHED [BY TARGET] and WHEN NOT MATCHED BY SOURCE, each with a condition or without: the first clause that fits
//!   is taken, and NULL fits nothing. Two rows of the source that would change one row of the table are an error before
//!   anything is changed. An INSERT of some columns leaves the others to the database: defaults, numbers, generated
//!   columns.
//! * A constant is compared as it is written, in all queries of a session that [`register`] was called for: where a column
//!   has microseconds, days, or two digits behind the point, none is equal to `'2020-01-31 00:00:00.0000001'`, to
//!   `'2020-01-31 01:00:00'`, to `'1.499'`. DataFusion alone would cut it to one that is. What a cast of the query's own
//!   cuts, and what is cut of a text in another column, stays cut.
//! * Nothing of a condition is dropped. Where a statement is comparisons of columns with constants that the database
//!   answers as DataFusion would, and sets constants, it becomes one statement of the database. Else DataFusion finds
//!   the rows and their new values, they are staged, and applied by their key: what LIKE, arithmetic, casts and
//!   functions mean is what they mean in a query, on every database. EXPLAIN shows which it is: `UPDATE WHERE …`, or
//!   `UPDATE of the rows that the query finds, by (key)`. That needs a primary key or a unique index without NULL, of values
//!   that are stored as Landfall stores them: in SQLite a timestamp can be spelled otherwise, and is refused.
//! * A MERGE whose ON says that a unique key is equal to values of the source, and whose clauses ask for no column of
//!   the table and compute nothing that can fail or differ (a division, `random()`), is `joined at the server`: the
//!   source is staged as an INSERT would write it, and PostgreSQL 15 and newer runs its own MERGE, SQLite an upsert, or
//!   statements of the same transaction find what is there. Others are joined by DataFusion, which reads the table
//!   (PostgreSQL before 17 knows no BY SOURCE).
//! * What a statement has read of its table nobody changes until it commits: PostgreSQL locks the table against other
//!   writers (SHARE ROW EXCLUSIVE), MySQL the rows and gaps that the condition looks at, or all of them; SQLite has one
//!   writer. Who waits longer than `lock_timeout` is told. Statements of the database itself lock what they change, as
//!   MERGE in PostgreSQL does. A scalar subquery is computed before, as at READ COMMITTED.
//! * Functions such as `random()` are computed once for each row. A row that a trigger keeps from being changed is an
//!   error where rows were staged. The options `on_conflict`, `writers` and `checkpoint.…` are of INSERT; `commit`,
//!   `log` and `job` hold for all: a `job` is one statement.
//! * TRUNCATE is PostgreSQL's own, which refuses tables that foreign keys refer to, where nobody watches or hides rows
//!   of the table; else it is a DELETE of all rows, as MySQL's would commit. A FANOUT table can be truncated; it finds
//!   no rows for the other statements, which are run on its members.
//! * The statements are taken over by a rule of the session's analyzer, which [`register`] puts there: DataFusion hands
//!   a table what the optimizer has left of a condition, and without the rule they are refused. DataFusion plans no
//!   `UPDATE … FROM` and no `DELETE … USING`: write MERGE INTO.
//! * In statements that write, IN, NOT IN and `<> ALL` of a subquery are unknown where a NULL makes them so, and integers that
//!   overflow are an error (but in `sum`, which DataFusion lets wrap: sum a DECIMAL); in a SELECT both are DataFusion's. IN and EXISTS of a subquery in ON and WHEN of a MERGE are
//!   refused: put them into the source.
//! * Run by [`sql`](fn@sql), operators without parentheses are grouped as PostgreSQL does, or the statement is refused where
//!   DataFusion's grammar differs: `a = b LIKE c`, `'x' || n + 1`. A plan has no parentheses, so that `SessionContext::sql`
//!   only refuses `a IS DISTINCT FROM b OR c`, of which DataFusion makes `a IS DISTINCT FROM (b OR c)`.
//! * The program says how many rows were inserted, updated and deleted, and so do EXPLAIN ANALYZE and
//!   [`LandfallSink::changed`](provider::LandfallSink::changed).
//!
//! # Catalogs
//!
//! [`register_catalog`]`(&context, "pg", "postgres://…")` registers every table of a database as `pg.schema.table` (of
//! SQLite as `name.main.table`), and so does `\attach pg postgres://…` in the shell and on the first lines of a script.
//! [`LandfallCatalog`] takes options for all of them.
//!
//! # Options
//!
//! `CREATE EXTERNAL TABLE … OPTIONS ('key' 'value')` and the methods of [`SinkOptions`] take the same options, with the same
//! checks; the page of [`SinkOptions`] lists them all, and so does `landfall sql --help`.
//!
//! # Upserts by difference
//!
//! Most upserts change little. Under `on_conflict` = update and REPLACE INTO the rows that are in the table with the keys
//! of the stream are read back in bulk (a range of keys where they lie close together, else a list of them), compared
//! column by column ([`columnar::compare`]), and only what is new or has changed goes on to the upsert; rows that are
//! equal are not touched: nothing is logged or replicated for them, no trigger sees them, no lock is held on them.
//! `INSERT` answers with the rows that it read; the program, EXPLAIN ANALYZE and [`WriteStats`](backend::WriteStats) say how many
//! keys were inserted, updated and unchanged. A key counts once, however many rows have it.
//!
//! * The option `upsert` says `diff` or `blind`. By itself (`auto`) Landfall compares some rows, and goes on with it while
//!   that takes less time than writing the equal ones would (at first: while at most 70 of 100 have to be written); else it
//!   writes blindly, and looks again after half a million rows, then after twice as many. A few hundred rows, tables with triggers, and SQLite, which updates a row in the time that it takes to
//!   read it, are written blindly.
//! * Two rows are equal where the database would store the same: they are compared in its own form (the bytes of COPY in
//!   PostgreSQL, storage classes in SQLite), where NULL is equal to NULL, NaN to the same NaN, and 0.0 is not -0.0. A
//!   document of JSON that the server spells otherwise counts as changed. What cannot be read is overwritten. What is written takes the same way as without: a row that was taken for a new one is
//!   upserted all the same.
//! * Not compared are: keys of which the server may find values equal that are spelled otherwise (collations without case
//!   or with padding, floats), REPLACE INTO that leaves columns out, PostgreSQL's types that are sent as text, and by
//!   itself views.
//! * Beside other writers: a row that was found equal is left to whoever changes it later, even while this write goes on,
//!   as if this write had come first for that row; a blind upsert would wait for him and have the last word. That holds row
//!   by row: of a transaction that changes several rows meanwhile some can stay and others be overwritten. With the option
//!   `diff.lock` the rows that are compared are read FOR UPDATE and stay locked until the commit. SQLite has one writer at
//!   a time, so that nobody comes in between.
//! * Of rows with one key in the stream the last one counts, and the others may not be written at all: nobody checks them,
//!   and a value of another unique key that they would have freed stays taken. A row that is equal is not checked again
//!   either (NOT VALID constraints), gets no history (system versioning) and takes no number of a sequence. MySQL's
//!   tables with several unique keys are written blindly by themselves. Checkpoints wait for each other: what is compared is
//!   what the epoch before has committed.
//!
//! # Exactly once
//!
//! Without the option `job` a statement is atomic, and nothing is remembered when it is over. With it, the commit leaves
//! a record in the decision log: the table `landfall_ledger` of the same database, in the same transaction where it is
//! only one. Whoever runs the job again, after `kill -9` or after success, finds there whether it is done. A job is one
//! statement: the record has a hash of its plan (not of how it is laid out, nor of the rows that it reads), of the places of
//! its files, and of the options `on_conflict`, `conflict_key`, `assignment` and `nanoseconds`. Another statement under the
//! name is an error, and so is the same one into another database by a shared `log`; a finished job answers 0 rows. Two runs at once cannot both commit; the later one to
//! start takes over, the other fails with [`ErrorKind::Fenced`]; two statements of one process are not let in at once.
//!
//! # Checkpoints and streams
//!
//! The options `checkpoint.rows`, `checkpoint.bytes` and `checkpoint.interval` cut one INSERT into *epochs*, each a
//! transaction of its own: what came in up to a checkpoint is committed, visible and kept, whatever happens later. While
//! an epoch commits the next one is written, by other connections; at most one is committing. INSERT OVERWRITE is one
//! epoch.
//!
//! With a `job`, each checkpoint remembers how far the input is consumed, and a run after a crash goes on from there.
//! For that the input must bring the same rows again, which is looked at when the statement is planned:
//!
//! * files, tables in memory, VALUES, `generate_series` and UNION ALL of them, below filters and projections: they are
//!   cut into pieces that do not depend on the cores (a file, or 32 MiB of one, where DataFusion may cut it); pieces that
//!   are consumed are not opened again, of the one that is half consumed the rows are skipped;
//! * queries with ORDER BY over written columns, of joins, aggregates and other tables too: they are computed again, and
//!   the rows are skipped. Checkpoints are made where the sort key changes, so that rows with the same key may come in any
//!   order. A table of another database must not be changed meanwhile;
//! * a [`ReplayableSource`](provider::ReplayableSource), which can be read from a position on that it names itself: a log, a
//!   queue, a file that grows (`examples/follow_a_file.rs`);
//! * not: joins, aggregates and tables of databases without ORDER BY, LIMIT, window functions, filters such as
//!   `random() < 0.5`, subqueries in them, and queries that read the database that they write. The error says what to
//!   change. Without checkpoints every query can be a job.
//!
//! What the input was made of is remembered too (names, sizes and times of files, filters, ORDER BY, the columns): when a job
//! goes on with something else it fails and names what is different. Expressions that only compute a column are not part of
//! it: rows behind the checkpoint are computed as the statement says now. A filter with `now()` is another one each time. `landfall_checkpoints('t')` is a table of the jobs
//! that write table t, their epochs, rows and positions; `landfall status` shows the same.
//!
//! An input that never ends (`CREATE UNBOUNDED EXTERNAL TABLE … STORED AS CSV` over a named pipe, a `StreamingTable`) is
//! committed every ten seconds, unless the options say otherwise. Ctrl-C, SIGTERM or an [`Interrupt`] commit what was read
//! and end it. DataFusion reads a pipe in batches of `datafusion.execution.batch_size` rows: make it small for a slow one.
//! What is read once cannot be a job with checkpoints. `sql/stream.sql` is an example.
//!
//! A lost connection, a server that restarts, a deadlock: the write goes on from the last checkpoint by itself, up to
//! `retry.max` times in a row, where its input can be read again; without a checkpoint it begins anew. Whoever waits for
//! another's lock is told so after `lock_timeout`, and does not try again.
//!
//! # What can be watched
//!
//! The metrics of all writes and pools go through the facade of the crate `metrics`, to whatever recorder the process
//! has installed before its tables are registered; the program has one that Prometheus reads, under `landfall sql
//! --metrics 127.0.0.1:9187`. `examples/monitoring` has alert rules and a dashboard. Times are in seconds.
//!
//! | metric | kind | labels | meaning |
//! | --- | --- | --- | --- |
//! | `landfall_rows_total` | counter | table | rows handed to the database |
//! | `landfall_bytes_total` | counter | table | bytes of them, as they are encoded for the database |
//! | `landfall_batches_total` | counter | table | batches that writers took from the stream |
//! | `landfall_epochs_total` | counter | table | epochs that were begun |
//! | `landfall_commits_total` | counter | table | epochs that were committed |
//! | `landfall_aborts_total` | counter | table | epochs that were rolled back |
//! | `landfall_retries_total` | counter | table | writes that were tried again after a failure |
//! | `landfall_in_doubt` | gauge | table | epochs whose commit was sent and not answered, until their job is opened again by this process |
//! | `landfall_phase_seconds` | histogram | table, phase | time that one step of a phase takes |
//! | `landfall_epoch_seconds` | histogram | table | time from an epoch's first row to its commit |
//! | `landfall_memory_bytes` | gauge | table | bytes of rows that are held |
//! | `landfall_memory_limit_bytes` | gauge | table | bytes that may be held |
//! | `landfall_pool_idle` | gauge | database | connections that wait to be used |
//! | `landfall_pool_busy` | gauge | database | connections that are in use |
//! | `landfall_pool_max` | gauge | database | connections that there can be |
//! | `landfall_pool_waits_total` | counter | database | times that somebody waited for a connection to become free |
//! | `landfall_pool_timeouts_total` | counter | database | times that none did within `pool.acquire_timeout` |
//! | `landfall_pool_opened_total` | counter | database | connections that were opened |
//! | `landfall_pool_acquire_seconds` | histogram | database | time until a connection was had, where it was not there at once |
//!
//! The label `phase` is `buffer` (a batch waits for its writer), `compare`, `encode`, `send`, `prepare`, `decide` or
//! `commit`. `EXPLAIN ANALYZE INSERT …` shows the sums of one write.
//!
//! Each step is also a span of the crate `tracing`, at the level debug: write, open, start, connect, branch, prepare,
//! decide, complete, commit. `landfall sql --trace` shows how long each took.
//!
//! `landfall bench URL` measures how fast rows land in a database of yours, beside INSERTs, in a table of its own that it
//! drops again. `benches/README.md` has the figures of this crate, and the command for each.
//!
//! # Connections and memory
//!
//! Connections come from a [pool] for each registered table and stay open for a minute (`pool.idle_timeout`) after
//! they were used; one in which something may be open is closed, never lent again. `pool.max` bounds them: a write needs two
//! for each writer, and writes together leave two to what they read there. Who finds all in use waits for
//! `pool.acquire_timeout`, in turn, and is told then who has them. What is prepared is ended at once, by one connection more
//! where there is none.
//!
//! A write holds at most `memory.limit` bytes of rows, batches that wait and what is encoded together, each measured as
//! it is, a slice as a slice: whoever brings more waits. What is needed to go on goes all the same: a batch that is larger
//! than the limit, the buffers of a connection (1 MB or so), the rows that a comparison keeps (some 10 MB). The bytes are
//! counted in the memory pool of the session, too, and the write fails where that has no room for a single batch.
//!
//! # Several writers, several databases
//!
//! For more than 65,536 rows that come fast, a plain table of PostgreSQL or MySQL gets several writers by itself, each a connection
//! with a branch of one global transaction (of MySQL only where there are four cores or more, as each keeps a core of the
//! server busy): batches go to them in turn, or rows by their key where there is one. It keeps
//! one writer where several would show: under `on_conflict` and REPLACE INTO, under ORDER BY, where the server numbers the
//! rows or fills in other columns, where the ledger cannot be created. The option `writers` asks for them there, too; two
//! transactions that then upsert the same keys at once can wait for each other until `lock_timeout`. Tables with triggers,
//! with several unique keys, or whose rows refer to each other always have one writer, and so has INSERT OVERWRITE. An
//! error names the row where batches went in turn, and the batch that it was in where rows went by key.
//!
//! `CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b'` makes one table of several that are registered, in any
//! databases: an INSERT into it, of any kind, lands in all of them or in none. It takes the options `job`, `commit`, `log`,
//! `ledger_table`, `checkpoint.…`, `flush.interval` and `retry.…`; how rows are written, the members' own options say. It cannot be read. Each member is written by a
//! connection of its own: a foreign key from one member to another is not satisfied by the same INSERT.
//!
//! Several branches commit in two phases: all prepare, the decision is written down once, all are told. For that
//! PostgreSQL needs `max_prepared_transactions` as large as the number of branches that are prepared at once; where it is
//! 0 (as it is unless somebody set it) a table has one writer, and the program says so. MySQL needs the privilege
//! XA_RECOVER_ADMIN, MariaDB nothing from version 10.5 on. One database that commits in one
//! phase can take part, as the last agent: SQLite, or the first member. Between the first branch's commit and the last one's a reader may see some of
//! it.
//!
//! The process may die at any moment. A job's next run ends what the last one left, by itself. For statements without a
//! job, and to see what there is:
//!
//! ```text
//! landfall status  postgres://me@host/db                   jobs, checkpoints, branches in doubt and their age
//! landfall recover postgres://me@host/db [--log URL]       commits or rolls back, as the decision log says
//! ```
//!
//! A branch that nobody has decided is left alone for five minutes (`--older-than`), as its run may live; that is only
//! politeness, no decision depends on a clock. `--log` names the log where it is not the database's own ledger: the
//! option `log`, or with a FANOUT table the SQLite member, else the first one. A job is looked for in that log under the
//! tables' names and locations: spell them alike. What recovery rolled back of a statement without a job leaves its record
//! in the log, which fences the run if it lives after all. The error of a write that ends in doubt
//! ([`ErrorKind::InDoubt`]) has the command to run. Transactions of others, and of jobs that another log decides, are
//! never touched. The protocol is drawn in [`txn`], and [`log`] has the logs.
//!
//! To stop a write in an orderly way, give the session an [`Interrupt`]: it is rolled back, or with checkpoints committed
//! as far as it was read. Dropping the future of a statement rolls its epoch back, unless the commit has begun.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `sqlite` | `STORED AS SQLITE` | on |
//! | `postgres` | `STORED AS POSTGRES` | |
//! | `mysql` | `STORED AS MYSQL`, also for MariaDB | |
//! | `cloud` | decision logs in `s3://`, `gs://` and `az://` | |
//! | `testing` | the conformance suite, databases in memory and with faults, the encoders of COPY and LOAD DATA by themselves | |
//! | `failpoints` | lets a test end the process at a step of the protocol ([`backend::POINTS`]) | |
//!
//! The program `landfall` is a package of its own, with all databases, `cloud`, and DataFusion's functions and file
//! formats. Of DataFusion the library itself needs only the feature `sql`.
//!
//! # Layout
//!
//! Dependencies point down only, between modules and between the files of one, and a test keeps it so.
//!
//! ```text
//! provider                the DataFusion face: statements as they were written (statement, values), what they assign
//!                         (assign, functions, defaults), register, factory, catalog, table, target, insert, dml, merge,
//!                         fanout, agreement, sink, replay, scan, pushdown
//! registry                the databases that URLs and STORED AS mean
//! pipeline    sqlite      from a stream to commits: run, landing, epoch, assignments, writer │ databases, each with the
//!             postgres    same files: backend, branch, catalog, change, create, dialect, encode, decode, …
//!             mysql
//! sql  log  manager       what databases of SQL share │ logs in an object store │ drives branches, recovers them
//! backend                 what a database brings: its traits, descriptions of tables, conformance suite
//! columnar    pool        work on arrays that needs no database: comparison, keys, assignment │ connections
//! options
//! txn                     the protocol: names, records, state
//! buffer                  the queue without locks that rows wait in, and the memory that they take
//! error       metrics
//! ```

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("datafusion-landfall needs a database: enable one of its features sqlite, postgres, mysql");

pub mod backend;
pub mod buffer;
pub mod columnar;
pub mod error;
pub mod log;
pub mod manager;
pub mod metrics;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod options;
pub mod pipeline;
pub mod pool;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod provider;
mod registry;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod txn;

pub use error::{Error, ErrorKind, Result};
pub use options::{OnConflict, SinkOptions, Upsert};
pub use pipeline::Interrupt;
pub use provider::{FanoutTable, LandfallCatalog, LandfallTable, register, register_backend, register_catalog, sql};
pub use registry::{backend_options, database, decision_log, without_ledger};
