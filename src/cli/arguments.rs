//! The command line.

use clap::{Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
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

What can be written in SQL:
  CREATE EXTERNAL TABLE t [(columns, PRIMARY KEY (…))] STORED AS SQLITE LOCATION 'file.db' [OPTIONS ('key' 'value', …)]
  CREATE EXTERNAL TABLE t … STORED AS POSTGRES LOCATION 'postgres://user@host:port/database?sslmode=…' [OPTIONS …]
      Without columns they are taken from the table in the database. With them it is created where it is not there.
  INSERT INTO t …            appends; what a key does that is there already, the option on_conflict says
  INSERT OVERWRITE t …       deletes the old rows in the same transaction
  REPLACE INTO t …           replaces rows that have the same key
  EXPLAIN ANALYZE INSERT …   shows rows, bytes, and the time of encoding, sending and committing
";

/// Lands the rows of SQL queries in databases: all of them or none, and with a job once.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_long_help = help_after())]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs SQL: scripts, statements, or what is typed
    #[command(after_long_help = help_after())]
    Sql(SqlArguments),
}

/// Runs scripts and then statements, in order, in one session; stops at the first error. With nothing to run it
/// reads standard input, and on a terminal it is an interactive shell.
#[derive(Debug, clap::Args)]
pub(super) struct SqlArguments {
    /// Scripts to run; - is standard input
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<String>,

    /// Statements to run, after the scripts; can be given more than once
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub(super) commands: Vec<String>,

    /// How the rows of a query are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table for people
    Table,
    /// Comma-separated values with a header, as they come
    Csv,
    /// An array of objects, as they come
    Json,
}

fn help_after() -> String {
    let mut text = format!("{EXAMPLES}\nOptions of a table, OPTIONS ('key' 'value'):\n");
    for option in crate::options::OPTIONS {
        text += &format!(
            "  {:<14} {}\n{:17}{} (default: {})\n",
            option.key, option.meaning, "", option.values, option.default
        );
    }
    text += &format!(
        "  {:<14} sets a SQLite pragma for the writing connection\n{:17}{}\n",
        "pragma.<name>",
        "",
        crate::options::PRAGMAS.join(", ")
    );
    text
}
