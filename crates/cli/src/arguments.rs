//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::load::LoadArguments;

const EXAMPLES: &str = "\
Examples:
  landfall load weather.csv sqlite:weather.db weather --mode create
      makes a table of a file; landfall load --help has more

  landfall sql sql/quickstart.sql
      runs a script

  landfall sql -c \"SELECT count(*) FROM 'examples/data/weather.parquet'\"
      asks one question of a file

  landfall sql -c \"
    CREATE EXTERNAL TABLE weather (origin VARCHAR, time_hour TIMESTAMP, temp DOUBLE, PRIMARY KEY (origin, time_hour))
      STORED AS SQLITE LOCATION 'weather.db' OPTIONS ('on_conflict' 'update');
    INSERT INTO weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      lands a query's rows in a SQLite table, all of them or none

  PGPASSWORD=… landfall sql -c \"
    CREATE EXTERNAL TABLE weather STORED AS POSTGRES LOCATION 'postgres://me@localhost/my_database';
    INSERT INTO weather SELECT origin, time_hour, temp FROM 'examples/data/weather.parquet'\"
      the same in a PostgreSQL table that is there

  landfall bench postgres://me@localhost/my_database
      how fast rows land there, beside INSERTs; in a table of its own that it drops again

  landfall status postgres://me@localhost/my_database
      what has become of jobs, and whether a crash left something to be recovered

What can be written in SQL:
  CREATE EXTERNAL TABLE t [(columns, PRIMARY KEY (…))] STORED AS SQLITE LOCATION 'file.db' [OPTIONS ('key' 'value', …)]
  CREATE EXTERNAL TABLE t … STORED AS POSTGRES LOCATION 'postgres://user@host:port/database?sslmode=…' [OPTIONS …]
      Without columns they are taken from the table in the database. With them it is created where it is not there.
  CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b' [OPTIONS ('job' '…')]
      What is inserted into it goes to the tables a and b, in one transaction.
  \\attach pg postgres://user@host/database
      On the first lines of a script, or in the shell: every table of the database is pg.schema.table.
  INSERT INTO t …            appends; what a key does that is there already, the option on_conflict says
  INSERT OVERWRITE t …       deletes the old rows in the same transaction
  REPLACE INTO t …           replaces rows that have the same key
  UPDATE t SET … WHERE …     changes rows, DELETE FROM t WHERE … deletes them, TRUNCATE TABLE t all of them
  MERGE INTO t USING … ON …  updates, deletes and inserts what a query's rows match or do not
  EXPLAIN INSERT …           shows of each column what is assigned to it: price: Float64 -> numeric(10,2) rounded
  EXPLAIN ANALYZE INSERT …   shows rows, bytes, and the time of encoding, sending and committing

What is stored:
  A value is stored unchanged, or the statement fails, names the row and the column, and changes nothing.
  12, 2.0 and '12' fit an INT; 1.7 and ' 12' do not: write round(1.7), CAST(1.7 AS INT), trim(' 12').
  1.50 fits a DECIMAL(10, 1), and 1.55 does not. A column of doubles in a decimal column is rounded, half away from
  zero, by its shortest digits; a double in a REAL column is the nearest real.
  A product or a quotient of decimals that the statement computes is rounded to its column, as PostgreSQL does.
  A timestamp fits a DATE at midnight only, and nanoseconds fit microseconds only under 'nanoseconds' = 'truncate'.
  A timestamp with a zone fits no column without: write to_local_time(x). now() fits either, and a DATE or a TIME.
  A number is neither a date nor a timestamp: write to_timestamp_seconds(x), to_timestamp_millis(x), …
  A text is read by one grammar: -1.5e3, true, 2013-01-31, 23:59:59.999, 2013-01-31 23:59:59+02:00.
";

/// Lands the rows of SQL queries in databases: all of them or none, and with a job once.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_long_help = help_after())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs SQL: scripts, statements, or what is typed
    #[command(after_long_help = help_after())]
    Sql(SqlArguments),
    /// Loads files into a table
    Load(Box<LoadArguments>),
    /// Shows jobs, their last checkpoints, and branches that are in doubt
    Status(StatusArguments),
    /// Ends the branches that a crash left in doubt, as the decision log says
    Recover(RecoverArguments),
    /// Measures writes into a database of yours, in a table of its own that it drops again
    Bench(BenchArguments),
}

/// Measures how many rows a second land in a database: Landfall beside INSERTs row by row and many at once, upserts,
/// transactions in one and in two phases, several writers. It makes a table, and a ledger, of its own, with names that
/// nobody has, and drops them at the end, also after an error or Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArguments {
    /// The database, such as postgres://me@host/my_database; a SQLite file that is removed again where none is given
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The environment variable that has the password
    #[arg(long, value_name = "NAME")]
    pub(crate) password_env: Option<String>,

    /// Rows of one measurement; of INSERTs row by row it takes fewer
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub(crate) rows: u32,

    /// Writers at once, at most
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) writers: u16,

    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) runs: u8,

    /// How they are printed
    #[arg(long = "format", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

/// A database, and where its transactions are decided.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The database, such as postgres://me@host/my_database; for status also a decision log
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// The decision log, where that is not the database's own ledger: file:///folder, s3://bucket/prefix, or a database
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,

    /// The ledger table, where the option ledger_table named one
    #[arg(long, value_name = "TABLE")]
    pub(crate) ledger_table: Option<String>,

    /// The environment variable that has the password
    #[arg(long, value_name = "NAME")]
    pub(crate) password_env: Option<String>,
}

/// Shows the jobs of a decision log, their last checkpoints, and the prepared branches of a database.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// How it is printed
    #[arg(long = "format", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

/// Commits or rolls back prepared branches as the log has decided. Where it has not, the run that prepared them is
/// gone or still at work: they are left until they are old enough, and then the log is made to decide to roll back.
/// Only Landfall's own branches are touched. Can be run at any time, and again.
#[derive(Debug, clap::Args)]
pub(crate) struct RecoverArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Only the branches of this job
    #[arg(long)]
    pub(crate) job: Option<String>,

    /// How old a branch must be that is not decided
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(crate) older_than: Duration,

    /// Only says what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// How it is printed
    #[arg(long = "format", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| "give an address of this machine and a port, such as 127.0.0.1:9187".into())
}

fn time(text: &str) -> Result<Duration, String> {
    datafusion_landfall::options::duration(text).ok_or_else(|| "give a time such as 0s, 30s, 5m or 2h".into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// Tables for people
    Table,
    /// One JSON object
    Json,
}

/// Runs scripts and then statements, in order, in one session; stops at the first error. With nothing to run it
/// reads standard input, and on a terminal it is an interactive shell.
#[derive(Debug, clap::Args)]
pub(crate) struct SqlArguments {
    /// Scripts to run; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,

    /// Statements to run, after the scripts; can be given more than once
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub(crate) commands: Vec<String>,

    /// How the rows of a query are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Serves metrics for Prometheus there while it runs, such as 127.0.0.1:9187; port 0 lets the system choose
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Says on stderr how long each step of a write took: connecting, starting, preparing, deciding, committing
    #[arg(long)]
    pub(crate) trace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// Comma-separated values with a header, as they come
    Csv,
    /// An array of objects, as they come
    Json,
}

fn help_after() -> String {
    let mut text = format!("{EXAMPLES}\nOptions of a table, OPTIONS ('key' 'value'):\n");
    let mut list = |key: &str, meaning: &str, values: &str, default: &str| {
        text += &format!("  {key:<20} {meaning}\n{:23}{values} (default: {default})\n", "");
    };
    for option in datafusion_landfall::options::OPTIONS {
        list(option.key, option.meaning, option.values, option.default);
    }
    for (backend, options) in datafusion_landfall::backend_options() {
        for option in options {
            let meaning = format!("{}: {}", backend.to_uppercase(), option.meaning);
            list(option.key, &meaning, option.values, option.default);
        }
    }
    text
}
