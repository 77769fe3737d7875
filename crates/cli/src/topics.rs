//! The topics of `landfall help` that do not fit on the screen of a command.

use clap::{Args, Command};

use crate::load::LoadArguments;

/// Of the program.
pub(crate) const EXAMPLES: &str = "\
Examples:
  landfall load weather.csv sqlite:weather.db weather --mode create
      creates a table from a file
  landfall sql -c \"SELECT count(*) FROM 'examples/data/weather.parquet'\"
      runs one query on a file
  landfall sql script.sql
      runs a script; without a script, landfall sql starts an interactive shell
  landfall status postgres://me@localhost/my_database
      shows the state of jobs, and the prepared transactions that a crash left behind

landfall help COMMAND shows the help of a command, for example landfall help load.";

/// Of `landfall recover`.
pub(crate) const RECOVER: &str = "\
The command changes only branches that Landfall has prepared, and can be run at any time, also
repeatedly. A branch without a decision may belong to a statement that is still running, so the
command skips the branch until it is as old as --older-than says. Then the command stores the
decision ROLLBACK in the log, and rolls the branch back.";

/// Of `landfall bench`.
pub(crate) const BENCH: &str = "\
Measured are Landfall, single-row INSERTs, multi-row INSERTs and upserts, with one-phase and
two-phase commit, with one and several writers, and the latency of small statements. The command
creates a table and a ledger with unique names, and drops them at the end, also after an error or
Ctrl-C.";

/// Of `landfall sql`.
pub(crate) const SQL_EXAMPLES: &str = "\
Examples:
  landfall sql sql/quickstart.sql
      runs a script
  landfall sql -c \"
    CREATE EXTERNAL TABLE weather (origin VARCHAR, time_hour TIMESTAMP, temp DOUBLE)
      STORED AS SQLITE LOCATION 'weather.db' OPTIONS ('job' 'weather of 2013');
    INSERT INTO weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      writes the rows of a query to a SQLite table, all or none; a second run writes nothing
  PGPASSWORD=… landfall sql -c \"
    ATTACH 'postgres://me@localhost/my_database' AS pg;
    INSERT INTO pg.weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      writes the same rows to an existing PostgreSQL table

More help:
  landfall help statements   lists the statements
  landfall help options      lists the options of tables
  landfall help values       describes how values are stored";

macro_rules! statements {
    () => {
        "\
Statements:
  CREATE EXTERNAL TABLE t [(columns, PRIMARY KEY (…))] STORED AS SQLITE LOCATION 'file.db'
      [OPTIONS ('key' 'value', …)]
  CREATE EXTERNAL TABLE t … STORED AS POSTGRES
      LOCATION 'postgres://user@host:port/database?sslmode=…' [OPTIONS …]
  CREATE EXTERNAL TABLE t … STORED AS MYSQL
      LOCATION 'mysql://user@host:port/database?ssl-mode=…' [OPTIONS …]
      Without a column list, the external table has the columns of the table in the database. With
      a column list, the table is created in the database if it does not exist. MYSQL also supports
      MariaDB.
  CREATE EXTERNAL TABLE ab STORED AS FANOUT LOCATION 'a, b' [OPTIONS ('job' '…')]
      INSERT INTO ab writes every row to table a and to table b, in one transaction.
  BEGIN [ISOLATION LEVEL …] [JOB 'name'] [OPTIONS ('idle_timeout' '10min', 'log' 'url')], COMMIT,
  ROLLBACK, SAVEPOINT a, ROLLBACK TO a, RELEASE a
      A transaction of several statements, in one or several databases. A transaction with JOB is
      committed only once, even if its statements are run again.
  ATTACH 'postgres://user@host/database' [AS pg] [OPTIONS …], DETACH pg, USE pg[.schema]
      ATTACH registers every table of a database as pg.schema.table. USE sets the schema of table
      names that do not contain a schema.
  CREATE TABLE pg.t AS SELECT …, CREATE TABLE pg.t (…), ALTER TABLE, DROP TABLE, CREATE SCHEMA, …
      These statements run in an attached database. CREATE TABLE … AS creates the table with all of
      its rows, or does not create the table.
  INSERT INTO t …            adds rows; if a key already exists, the option on_conflict applies
  INSERT OVERWRITE t …       deletes all existing rows and adds new ones, in one transaction
  REPLACE INTO t …           adds rows, and replaces existing rows that have the same key
  INSERT … ON CONFLICT (k)   with DO NOTHING, keeps existing rows; with DO UPDATE SET …, updates
                             them; MySQL's ON DUPLICATE KEY UPDATE is supported, too
  UPDATE t SET … WHERE …     changes rows
  UPDATE t SET … FROM s …    changes the rows that match rows of other tables
  DELETE FROM t WHERE …      deletes rows
  DELETE FROM t USING s …    deletes the rows that match rows of other tables
  TRUNCATE TABLE t           deletes all rows
  MERGE INTO t USING … ON …  updates, deletes and inserts rows, depending on whether they match the
                             rows of a query
  EXPLAIN INSERT …           shows how each column is assigned, for example
                             price: Float64 -> numeric(10,2) rounded
  EXPLAIN ANALYZE INSERT …   runs the INSERT, and shows the number of rows and bytes, and the time
                             spent encoding, sending and committing"
    };
}

#[cfg(not(feature = "oracle"))]
pub(crate) const STATEMENTS: &str = statements!();

#[cfg(feature = "oracle")]
pub(crate) const STATEMENTS: &str = concat!(
    statements!(),
    "

Oracle Database (experimental: not yet run against a live server by its authors):
  CREATE EXTERNAL TABLE t STORED AS ORACLE LOCATION 'oracle://user@host:port/service'
      OPTIONS ('password_env' 'ORACLE_PASSWORD', …)
  ATTACH 'oracle://user@host:port/service' [AS ora] OPTIONS ('password_env' 'ORACLE_PASSWORD')"
);

pub(crate) const VALUES: &str = "\
Values:
  A value is stored unchanged, apart from the rounding that is described here, or the statement
  fails and changes nothing. The error names the row and the column.
  12, 2.0 and '12' fit an INT column, but 1.7 and ' 12' do not: write round(1.7),
  CAST(1.7 AS INT) or trim(' 12').
  1.50 fits a DECIMAL(10, 1) column, but 1.55 does not. If a double is stored in a decimal
  column, its shortest decimal form is rounded to the column's scale, half away from zero. If a
  double is stored in a REAL column, it is rounded to the nearest REAL value.
  A product or a quotient of decimals is rounded to the column's scale, as in PostgreSQL.
  A timestamp fits a DATE column only if its time of day is midnight. A time with nanoseconds fits a
  column of microsecond precision only if the option 'nanoseconds' is 'truncate'.
  A timestamp with a time zone does not fit a column without a time zone: write to_local_time(x).
  The exception is now(), which also fits a column without a time zone, a DATE and a TIME.
  A number does not fit a date or timestamp column: convert it, for example with
  to_timestamp_seconds(x).
  A text value can be stored in a column of another type if it has one of these forms: -1.5e3, true,
  2013-01-31, 23:59:59.999, 2013-01-31 23:59:59+02:00.
  DEFAULT in VALUES is the default value of the column in the database.";

/// The options of tables.
pub(crate) fn options() -> String {
    let mut text = "Options of a table, set with OPTIONS ('key' 'value'):\n".to_owned();
    let mut list = |key: &str, meaning: &str, values: &str, default: &str| {
        text += &format!("  {key:<20} {meaning}\n{:23}{values} (default: {default})\n", "");
    };
    for option in datafusion_landfall::options::OPTIONS {
        list(option.key, option.meaning, option.values, option.default);
    }
    for (backend, options) in datafusion_landfall::backend_options() {
        for option in options {
            let database = match backend {
                "sqlite" => "SQLite",
                "postgres" => "PostgreSQL",
                "mysql" => "MySQL",
                "oracle" => "Oracle",
                other => other,
            };
            let meaning = format!("{database} only: {}", option.meaning);
            list(option.key, &meaning, option.values, option.default);
        }
    }
    text
}

/// The options of `landfall load` for text files, which its own help does not list.
pub(crate) fn text_files() -> String {
    let load = LoadArguments::augment_args(Command::new("load"));
    let mut text = "Options of landfall load for text files (CSV, TSV, JSON lines):\n".to_owned();
    for option in load.get_arguments().filter(|option| option.is_hide_set()) {
        let value = match option.get_value_names() {
            Some([name, ..]) if option.get_action().takes_values() => format!(" <{name}>"),
            _ => String::new(),
        };
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        text += &format!("  --{}{value}\n      {help}\n", option.get_long().unwrap_or_default());
    }
    text
}
