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
      runs a script; landfall sql without a script is an interactive shell
  landfall status postgres://me@localhost/my_database
      shows the state of jobs, and prepared transactions left by a crash

landfall help COMMAND shows the help of a command, for example landfall help load.";

/// Of `landfall sql`.
pub(crate) const SQL_EXAMPLES: &str = "\
Examples:
  landfall sql sql/quickstart.sql
      runs a script
  landfall sql -c \"
    CREATE EXTERNAL TABLE weather (origin VARCHAR, time_hour TIMESTAMP, temp DOUBLE)
      STORED AS SQLITE LOCATION 'weather.db' OPTIONS ('job' 'weather of 2013');
    INSERT INTO weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      writes the rows of a query to a SQLite table, all of them or none, and only once
  PGPASSWORD=… landfall sql -c \"
    ATTACH 'postgres://me@localhost/my_database' AS pg;
    INSERT INTO pg.weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      writes the same rows to an existing PostgreSQL table

More help:
  landfall help statements   the statements
  landfall help options      the options of tables
  landfall help values       how values are stored";

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
      a column list, the table is created if it does not exist. MYSQL also supports MariaDB.
  CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b' [OPTIONS ('job' '…')]
      An INSERT into the table both writes every row to the tables a and b, in one transaction.
  BEGIN [ISOLATION LEVEL …] [JOB 'name'] [OPTIONS ('idle_timeout' '10min', 'log' 'url')], COMMIT,
  ROLLBACK, SAVEPOINT a, ROLLBACK TO a, RELEASE a
      A transaction of several statements, also in several databases; with JOB, it commits once.
  ATTACH 'postgres://user@host/database' [AS pg] [OPTIONS …], DETACH pg, USE pg[.schema]
      ATTACH registers every table of a database as pg.schema.table. After USE, names without a
      schema refer to this schema.
  CREATE TABLE pg.t AS SELECT …, CREATE TABLE pg.t (…), ALTER TABLE, DROP TABLE, CREATE SCHEMA, …
      Run in an attached database. CREATE TABLE AS creates the table with all rows, or does not
      create it.
  INSERT INTO t …            adds rows; the option on_conflict applies to existing keys
  INSERT OVERWRITE t …       deletes the old rows in the same transaction
  REPLACE INTO t …           adds rows, and replaces existing rows that have the same key
  INSERT … ON CONFLICT (k)   DO NOTHING, or DO UPDATE SET a = excluded.a; also MySQL's
                             ON DUPLICATE KEY UPDATE
  UPDATE t SET … WHERE …     changes rows
  UPDATE t SET … FROM s …    changes the rows that match rows of other tables
  DELETE FROM t WHERE …      deletes rows
  DELETE FROM t USING s …    deletes the rows that match rows of other tables
  TRUNCATE TABLE t           deletes all rows
  MERGE INTO t USING … ON …  updates, deletes and inserts rows, depending on whether they match the
                             rows of a query
  EXPLAIN INSERT …           shows how each column is assigned: price: Float64 -> numeric(10,2)
                             rounded
  EXPLAIN ANALYZE INSERT …   shows the number of rows and bytes, and the time spent encoding,
                             sending and committing"
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
  A value is stored unchanged, or the statement fails and changes nothing. The error names the row
  and the column.
  12, 2.0 and '12' fit an INT; 1.7 and ' 12' do not: write round(1.7), CAST(1.7 AS INT), trim(' 12').
  1.50 fits a DECIMAL(10, 1), 1.55 does not. In a decimal column, a double is rounded from its
  shortest decimal form, half away from zero. In a REAL column, a double becomes the nearest real.
  A product or a quotient of decimals is rounded to the column's scale, as in PostgreSQL.
  A timestamp fits a DATE only if its time is midnight. Times with nanoseconds fit a column with
  microsecond precision only with the option 'nanoseconds' 'truncate'.
  A timestamp with a zone does not fit a column without one: write to_local_time(x). The exception
  is now(), which also fits a column without a zone, a DATE and a TIME.
  A number does not fit a date or timestamp: write to_timestamp_seconds(x), …
  Text values can be stored in columns of other types if they look like this: -1.5e3, true,
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
