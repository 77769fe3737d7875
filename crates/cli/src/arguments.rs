//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::copy::CopyArguments;
use crate::load::LoadArguments;

const EXAMPLES: &str = "\
Examples:
  landfall load weather.csv sqlite:weather.db weather --mode create
      creates a table from a file; landfall load --help has more examples

  landfall sql sql/quickstart.sql
      runs a script

  landfall sql -c \"SELECT count(*) FROM 'examples/data/weather.parquet'\"
      runs one query on a file

  landfall sql -c \"
    CREATE EXTERNAL TABLE weather (origin VARCHAR, time_hour TIMESTAMP, temp DOUBLE, PRIMARY KEY (origin, time_hour))
      STORED AS SQLITE LOCATION 'weather.db' OPTIONS ('on_conflict' 'update');
    INSERT INTO weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      writes the rows of a query to a SQLite table, all of them or none

  PGPASSWORD=… landfall sql -c \"
    CREATE EXTERNAL TABLE weather STORED AS POSTGRES LOCATION 'postgres://me@localhost/my_database';
    INSERT INTO weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      writes the same rows to an existing PostgreSQL table

  landfall bench postgres://me@localhost/my_database
      measures how fast rows are written to this database, compared with INSERTs; creates a table and drops it at the end

  landfall status postgres://me@localhost/my_database
      shows the state of jobs, and prepared transactions left by a crash

Statements:
  CREATE EXTERNAL TABLE t [(columns, PRIMARY KEY (…))] STORED AS SQLITE LOCATION 'file.db' [OPTIONS ('key' 'value', …)]
  CREATE EXTERNAL TABLE t … STORED AS POSTGRES LOCATION 'postgres://user@host:port/database?sslmode=…' [OPTIONS …]
  CREATE EXTERNAL TABLE t … STORED AS MYSQL LOCATION 'mysql://user@host:port/database?ssl-mode=…' [OPTIONS …]
      Without a column list, the external table has the columns of the table in the database. With a column list, the
      table is created if it does not exist. MYSQL also supports MariaDB.
  CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b' [OPTIONS ('job' '…')]
      An INSERT into the table both writes every row to the tables a and b, in one transaction.
  ATTACH 'postgres://user@host/database' [AS pg] [OPTIONS …], DETACH pg, USE pg[.schema]
      ATTACH registers every table of a database as pg.schema.table. After USE, names without a schema refer to this schema.
  CREATE TABLE pg.t AS SELECT …, CREATE TABLE pg.t (…), ALTER TABLE, DROP TABLE, CREATE SCHEMA, DROP SCHEMA
      Run in an attached database. CREATE TABLE AS creates the table with all rows, or does not create it.
  INSERT INTO t …            adds rows; the option on_conflict sets how rows with an existing key are handled
  INSERT OVERWRITE t …       deletes the old rows in the same transaction
  REPLACE INTO t …           adds rows, and replaces existing rows that have the same key
  INSERT … ON CONFLICT (k)   DO NOTHING, or DO UPDATE SET a = excluded.a; also MySQL's ON DUPLICATE KEY UPDATE
  UPDATE t SET … WHERE …     changes rows; DELETE FROM t WHERE … deletes rows; TRUNCATE TABLE t deletes all rows
  MERGE INTO t USING … ON …  updates, deletes and inserts rows, depending on whether they match the rows of a query
  EXPLAIN INSERT …           shows how each column is assigned: price: Float64 -> numeric(10,2) rounded
  EXPLAIN ANALYZE INSERT …   shows the number of rows and bytes, and the time spent encoding, sending and committing

Values:
  A value is stored unchanged, or the statement fails and changes nothing. The error names the row and the column.
  12, 2.0 and '12' fit an INT; 1.7 and ' 12' do not: write round(1.7), CAST(1.7 AS INT), trim(' 12').
  1.50 fits a DECIMAL(10, 1), 1.55 does not. In a decimal column, a double is rounded from its shortest decimal
  form, half away from zero. In a REAL column, a double becomes the nearest real.
  A product or a quotient of decimals is rounded to the column's scale, as in PostgreSQL.
  A timestamp fits a DATE only if its time is midnight. Times with nanoseconds fit a column with microsecond precision only
  with the option 'nanoseconds' 'truncate'.
  A timestamp with a zone does not fit a column without one: write to_local_time(x). The exception is now(),
  which also fits a column without a zone, a DATE and a TIME.
  A number does not fit a date or timestamp: write to_timestamp_seconds(x), to_timestamp_millis(x), …
  Text values can be stored in columns of other types if they look like this: -1.5e3, true, 2013-01-31, 23:59:59.999,
  2013-01-31 23:59:59+02:00.
";

/// Writes the rows of SQL queries to databases: all rows or none, and exactly once if the statement has a job name.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_long_help = help_after())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs SQL scripts and statements, or an interactive shell
    #[command(after_long_help = help_after())]
    Sql(SqlArguments),
    /// Loads files into a table
    Load(Box<LoadArguments>),
    /// Copies a table to another database
    Copy(Box<CopyArguments>),
    /// Shows jobs, their last checkpoints, and in-doubt transaction branches
    Status(StatusArguments),
    /// Commits or rolls back in-doubt transaction branches after a crash, as recorded in the decision log
    Recover(RecoverArguments),
    /// Measures how fast rows are written into your database
    Bench(BenchArguments),
}

/// Measures how many rows per second are written to a database: by Landfall, by single-row and multi-row INSERTs, and by
/// upserts; with one-phase and two-phase commit; with one and several writers. The command creates a table and a ledger with
/// unique names, and drops them at the end, also after an error or Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArguments {
    /// The database, such as postgres://me@host/my_database; without it, a temporary SQLite file
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    pub(crate) password_env: Option<String>,

    /// Number of rows that each measurement writes; single-row INSERTs write fewer
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub(crate) rows: u32,

    /// Maximum number of parallel writers
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) writers: u16,

    /// Number of runs of each measurement; the median is reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) runs: u8,

    /// Output format
    #[arg(long = "format", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

/// A database and its decision log.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The URL of the database, such as postgres://me@host/my_database; for landfall status, also that of a decision log, such as
    /// file:///folder
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// The decision log, if it is not the ledger table of this database: file:///folder, s3://bucket/prefix, or the URL of another
    /// database
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,

    /// The ledger table; required if the option ledger_table was set in the run that wrote the rows
    #[arg(long, value_name = "TABLE")]
    pub(crate) ledger_table: Option<String>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    pub(crate) password_env: Option<String>,
}

/// Shows the jobs in a decision log, their last checkpoints, and the prepared transaction branches of a database.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Output format
    #[arg(long = "format", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

/// Commits or rolls back prepared transaction branches, as recorded in the decision log. A branch without a decision may
/// belong to a running statement, so it is skipped until it reaches a minimum age; then the decision to roll it back is
/// stored in the log. Only branches of Landfall are changed. The command can be run at any time, also repeatedly.
#[derive(Debug, clap::Args)]
pub(crate) struct RecoverArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Recovers only the branches of this job
    #[arg(long)]
    pub(crate) job: Option<String>,

    /// The minimum age of a branch without a decision
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(crate) older_than: Duration,

    /// Reports what would be done, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Rolls back branches that the decision log does not contain, after a question; for a log that no longer exists
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) roll_back_unknown: bool,

    /// Answers the question with yes
    #[arg(long, requires = "roll_back_unknown")]
    pub(crate) yes: bool,

    /// Output format
    #[arg(long = "format", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| "use an address of this machine and a port, such as 127.0.0.1:9187".into())
}

fn time(text: &str) -> Result<Duration, String> {
    datafusion_landfall::options::duration(text).ok_or_else(|| "use a time such as 0s, 30s, 5m or 2h".into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// Readable tables
    Table,
    /// One JSON object
    Json,
}

/// Runs scripts and then statements, in order, in one session. Stops at the first error. Without scripts and statements, the
/// command reads standard input; on a terminal, it starts an interactive shell.
#[derive(Debug, clap::Args)]
pub(crate) struct SqlArguments {
    /// Scripts to run; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,

    /// Statements to run after the scripts; can be repeated
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub(crate) commands: Vec<String>,

    /// Output format of queries
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Serves Prometheus metrics at this address, such as 127.0.0.1:9187, while the command runs; with port 0, the system
    /// chooses a port
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Prints to stderr how long each step of a write took: connecting, starting, preparing, deciding, committing
    #[arg(long)]
    pub(crate) trace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A readable table
    Table,
    /// Comma-separated values with a header, streamed
    Csv,
    /// An array of objects, streamed
    Json,
}

fn help_after() -> String {
    let mut text = format!("{EXAMPLES}\nOptions of a table, set with OPTIONS ('key' 'value'):\n");
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
                other => other,
            };
            let meaning = format!("{database} only: {}", option.meaning);
            list(option.key, &meaning, option.values, option.default);
        }
    }
    text
}
