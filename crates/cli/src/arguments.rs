//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::copy::CopyArguments;
use crate::load::LoadArguments;
use crate::topics;

/// Writes the rows of SQL queries to databases: all rows or none. A statement with a job name writes its rows only
/// once, even if it is run again.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_help = topics::EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs SQL scripts and statements, or starts an interactive shell
    #[command(after_help = topics::SQL_EXAMPLES)]
    Sql(SqlArguments),
    /// Loads files into a table of a database
    Load(Box<LoadArguments>),
    /// Copies the rows of a table to another database
    Copy(Box<CopyArguments>),
    /// Shows jobs, their last checkpoints, and in-doubt transaction branches
    Status(StatusArguments),
    /// Commits or rolls back the transaction branches that a crash left in doubt, as the decision log says
    #[command(after_help = topics::RECOVER)]
    Recover(RecoverArguments),
    /// Measures how fast rows are written to your database
    #[command(after_help = topics::BENCH)]
    Bench(BenchArguments),
    /// Lists the options of tables
    #[command(help_template = TOPIC, after_help = topics::options())]
    Options,
    /// Lists the statements of landfall sql
    #[command(help_template = TOPIC, after_help = topics::STATEMENTS)]
    Statements,
    /// Describes how values are stored
    #[command(help_template = TOPIC, after_help = topics::VALUES)]
    Values,
    /// Lists the options of landfall load for text files
    #[command(help_template = TOPIC, after_help = topics::text_files())]
    TextFiles,
}

/// The help of a topic is nothing but its text.
const TOPIC: &str = "{after-help}";

/// What is measured, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArguments {
    /// The URL of the database, such as postgres://me@host/my_database [default: a temporary SQLite file]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    pub(crate) password_env: Option<String>,

    /// Number of rows that a measurement writes; single-row INSERTs, multi-row INSERTs and the latency of small statements are
    /// measured with fewer rows
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub(crate) rows: u32,

    /// Maximum number of connections that write in parallel
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) writers: u16,

    /// Number of runs of each measurement; the median is reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) runs: u8,

    /// Output format
    #[arg(long = "format", value_name = "FORMAT", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

/// A database and its decision log.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The URL of the database, such as postgres://me@host/my_database
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// The decision log, which records whether transactions commit: file:///folder, s3://bucket/prefix, or the URL of
    /// another database [default: the ledger table in this database]
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,

    /// The name of the ledger table; required if the rows were written with the option ledger_table
    #[arg(long, value_name = "TABLE")]
    pub(crate) ledger_table: Option<String>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    pub(crate) password_env: Option<String>,
}

/// The database whose jobs and branches are shown.
#[derive(Debug, clap::Args)]
#[command(mut_arg("url", |url| {
    url.help("The URL of a database, such as postgres://me@host/my_database, or of a decision log, such as file:///folder")
}))]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Output format
    #[arg(long = "format", value_name = "FORMAT", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

/// The branches that are completed.
#[derive(Debug, clap::Args)]
pub(crate) struct RecoverArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Recovers only the branches of this job
    #[arg(long)]
    pub(crate) job: Option<String>,

    /// Rolls back a branch for which the log has no decision only if the branch is at least this old
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(crate) older_than: Duration,

    /// Reports what would be done, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Rolls back branches that have no entry in the decision log, after asking for confirmation; use this option only
    /// if the log that contained their decisions no longer exists
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) roll_back_unknown: bool,

    /// Does not ask for confirmation before --roll-back-unknown
    #[arg(long, requires = "roll_back_unknown")]
    pub(crate) yes: bool,

    /// Output format
    #[arg(long = "format", value_name = "FORMAT", value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| "use an address of this machine and a port, for example 127.0.0.1:9187".into())
}

fn time(text: &str) -> Result<Duration, String> {
    datafusion_landfall::options::duration(text).ok_or_else(|| "use a time such as 0s, 30s, 5m or 2h".into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    // Readable tables
    Table,
    // One JSON object
    Json,
}

/// The scripts and statements of a session.
#[derive(Debug, clap::Args)]
pub(crate) struct SqlArguments {
    /// Scripts to run, in order; - is standard input. Without scripts and statements, the command reads standard input; on a
    /// terminal, it starts a shell
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,

    /// Statements to run after the scripts; this option can be repeated
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub(crate) commands: Vec<String>,

    /// Runs the statements on the Ballista cluster of this scheduler, such as df://host:50050
    #[arg(long, value_name = "URL", hide = !cfg!(feature = "ballista"))]
    pub(crate) ballista: Option<String>,

    /// Output format of query results
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Serves Prometheus metrics at this address, such as 127.0.0.1:9187, while the command runs; with port 0, the
    /// operating system chooses a port
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Prints to stderr how long each step of a write takes, such as connecting, preparing and committing
    #[arg(long)]
    pub(crate) trace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // A readable table
    Table,
    // Comma-separated values with a header, streamed
    Csv,
    // An array of objects, streamed
    Json,
}
