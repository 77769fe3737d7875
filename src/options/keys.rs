//! The declaration of every option: its key, typed field, values, default, meaning, and whether a FANOUT table has it.
//! The macro generates the fields of [`SinkOptions`], the `with_…` methods, the parser of SQL's `OPTIONS (…)`, the
//! documentation, the list [`OPTIONS`] and the program's help from it.

use std::time::Duration;

use super::reject::Rejected;
use super::values::{BOOLEAN, JobName, Names, Number, RowLimit, Size, Text, Time, Values, Words};
use super::{Assignment, Commit, Evolution, JobId, Nanoseconds, Overwrite};
use crate::error::{Error, Result};
use crate::options::{Indexes, OnConflict, RejectLimit, Upsert};

/// Which tables have an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A table in a database.
    Table,
    /// A table in a database, or a FANOUT table. The members of a FANOUT table cannot set it.
    Transaction,
}

/// The description of an option.
#[derive(Debug)]
#[non_exhaustive]
pub struct OptionKey {
    /// The key in `OPTIONS ('key' 'value')`.
    pub key: &'static str,
    /// The values that it accepts.
    pub values: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// Its meaning, in one sentence.
    pub meaning: &'static str,
    /// Which tables have it.
    pub scope: Scope,
    pub(super) set: fn(&mut SinkOptions, &str) -> Result<(), String>,
    /// The text of the value; `None` for the default.
    pub(super) show: fn(&SinkOptions) -> Option<String>,
}

macro_rules! declare_options {
    ($(
        $scope:ident $key:literal: $values:literal, $default:literal, $meaning:literal,
        $field:ident: $stored:ty = $initial:expr, $type:ty: $takes:expr,
        $with:ident($given:ident: $from:ty => $value:expr);
    )*) => {
        /// The options of a table. Build them with [`SinkOptions::new`] and the `with_…` methods, or from text with
        /// [`SinkOptions::set`], as SQL's `OPTIONS ('key' 'value')` does:
        ///
        /// | option | values | default | meaning |
        /// | --- | --- | --- | --- |
        $(#[doc = concat!("| `", $key, "` | ", $values, " | ", $default, " | ", $meaning, " |")])*
        ///
        /// [`backend_options`](crate::backend_options) lists options that only one kind of database has.
        /// [`SinkOptions::with_own`] sets them.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct SinkOptions {
            $(pub(crate) $field: $stored,)*
            /// Options that only one kind of database has.
            pub(super) own: Vec<(String, String)>,
        }

        impl Default for SinkOptions {
            fn default() -> Self {
                Self { $($field: $initial,)* own: Vec::new() }
            }
        }

        impl SinkOptions {
            $(
                #[doc = concat!("Sets the option `", $key, "`: ", $meaning, ".")]
                ///
                /// # Errors
                #[doc = concat!("`Config` for other values than these: ", $values, ".")]
                pub fn $with(mut self, $given: $from) -> Result<Self> {
                    let value: $type = $value;
                    $takes.check(&value).map_err(|why| refused($key, &value, &why))?;
                    self.$field = value.into();
                    Ok(self)
                }
            )*
        }

        /// Every option, in the order of the documentation.
        pub const OPTIONS: &[OptionKey] = &[$(OptionKey {
            key: $key,
            values: $values,
            default: $default,
            meaning: $meaning,
            scope: Scope::$scope,
            set: |options, text| {
                let takes = $takes;
                let value: $type = takes.parse(text)?;
                takes.check(&value)?;
                options.$field = value.into();
                Ok(())
            },
            show: |options| {
                let value = Some(&options.$field).filter(|value| **value != SinkOptions::default().$field)?;
                Option::<$type>::from(value.clone()).map(|value| $takes.show(&value))
            },
        }),*];
    };
}

fn refused(key: &str, value: &dyn std::fmt::Debug, why: &str) -> Error {
    Error::config(format!("option '{key}' cannot be {value:?}: {why}"))
}

declare_options! {
    Table "table": "a table name", "the name of the external table",
        "the name of the table in the database, in the database's spelling; in PostgreSQL and MySQL, the name can have the form schema.table",
        table: Option<String> = None, String: Text,
        with_table(table: impl Into<String> => table.into());

    Transaction "job": "a name", "none",
        "makes the statement a job with this name, whose rows are written exactly once: another run of a finished job writes nothing and reports that the job is finished",
        job: Option<JobId> = None, JobId: JobName,
        with_job(name: &str => JobId::try_new(name)?);

    Table "on_conflict": "'error', 'update', 'ignore'", "'error'",
        "how INSERT INTO handles a row whose key already exists: 'error' makes the statement fail; 'update' sets the inserted columns of the existing row; 'ignore' keeps the existing row",
        on_conflict: OnConflict = OnConflict::Error, OnConflict: Words(&[("error", OnConflict::Error), ("update", OnConflict::Update), ("ignore", OnConflict::Ignore)]),
        with_on_conflict(on_conflict: OnConflict => on_conflict);

    Table "assignment": "'exact', 'cast'", "'exact'",
        "how a value is assigned to a column of another type: 'exact' stores the value unchanged or makes the statement fail; 'cast' converts the value with DataFusion's CAST, for example 1.7 to 1 for an INT column",
        assignment: Assignment = Assignment::Exact, Assignment: Words(&[("exact", Assignment::Exact), ("cast", Assignment::Cast)]),
        with_assignment(assignment: Assignment => assignment);

    Table "conflict_key": "column names, separated by commas", "the primary key",
        "the key that on_conflict and REPLACE INTO use; the table must have a unique index on exactly these columns",
        conflict_key: Vec<String> = Vec::new(), Vec<String>: Names,
        with_conflict_key(columns: impl IntoIterator<Item = impl Into<String>> => columns.into_iter().map(Into::into).collect());

    Table "overwrite": "'delete', 'truncate'", "'delete'",
        "how INSERT OVERWRITE empties a PostgreSQL table: 'delete' lets readers see the old rows until the commit; 'truncate' is faster, but readers wait for the commit, and a transaction with an older snapshot then sees an empty table",
        overwrite: Overwrite = Overwrite::Delete, Overwrite: Words(&[("delete", Overwrite::Delete), ("truncate", Overwrite::Truncate)]),
        with_overwrite(overwrite: Overwrite => overwrite);

    Table "indexes": "'auto', 'rebuild', 'keep'", "'auto'",
        "when the database builds the indexes of the table (building them after the rows is faster for many rows, but then no other session can read the table until the commit): 'auto' builds them after the rows in a PostgreSQL table that Landfall creates; 'rebuild' does so also in an existing table that is empty or that INSERT OVERWRITE truncates; 'keep' builds them while rows are written; in SQLite, only 'rebuild' has an effect, and only on indexes that are not unique",
        indexes: Indexes = Indexes::Auto, Indexes: Words(&[("auto", Indexes::Auto), ("rebuild", Indexes::Rebuild), ("keep", Indexes::Keep)]),
        with_indexes(indexes: Indexes => indexes);

    Table "schema.evolution": "'off', 'add', 'widen', 'rewrite'", "'off'",
        "how an INSERT without a column list alters its table: 'add' adds the columns of the query that the table lacks; 'widen' also widens the types of columns if the server can do this without rewriting the table; 'rewrite' widens types even if the server must rewrite the table",
        evolution: Evolution = Evolution::Off, Evolution: Words(&[("off", Evolution::Off), ("add", Evolution::Add), ("widen", Evolution::Widen), ("rewrite", Evolution::Rewrite)]),
        with_evolution(evolution: Evolution => evolution);

    Table "upsert": "'auto', 'blind', 'diff'", "'auto'",
        "how existing rows are updated: 'blind' overwrites them without reading them; 'diff' reads them and skips rows that would not change; 'auto' uses 'diff' as long as that is faster, and 'blind' otherwise",
        upsert: Upsert = Upsert::Auto, Upsert: Words(&[("auto", Upsert::Auto), ("blind", Upsert::Blind), ("diff", Upsert::Diff)]),
        with_upsert(upsert: Upsert => upsert);

    Table "diff.lock": "'true', 'false'", "'false'",
        "whether an upsert by 'diff' locks the existing rows that it reads, so that no other transaction can change these rows before the commit",
        diff_lock: bool = false, bool: BOOLEAN,
        with_diff_lock(diff_lock: bool => diff_lock);

    Table "lock_timeout": "a time such as 500ms, 5s, 1m", "5s",
        "how long a statement waits for a lock before it fails",
        lock_timeout: Duration = Duration::from_secs(5), Duration: Time::ANY,
        with_lock_timeout(lock_timeout: Duration => lock_timeout);

    Table "socket_timeout": "a time such as 10s, 1m", "60s",
        "how long to wait while the server accepts no data or does not work on the statement, before the connection is considered lost (PostgreSQL and MySQL only)",
        socket_timeout: Duration = Duration::from_secs(60), Duration: Time::SOME,
        with_socket_timeout(socket_timeout: Duration => socket_timeout);

    Table "nanoseconds": "'error', 'truncate'", "'error'",
        "how to store a time with nanoseconds in a column with microsecond precision: 'error' makes the statement fail; 'truncate' drops the nanoseconds",
        nanoseconds: Nanoseconds = Nanoseconds::Error, Nanoseconds: Words(&[("error", Nanoseconds::Error), ("truncate", Nanoseconds::Truncate)]),
        with_nanoseconds(nanoseconds: Nanoseconds => nanoseconds);

    Table "password_env": "the name of a variable", "none",
        "the environment variable that contains the password (PostgreSQL and MySQL only)",
        password_env: Option<String> = None, String: Text,
        with_password_env(password_env: impl Into<String> => password_env.into());

    Table "writers": "1 to 64", "chosen by Landfall",
        "the number of connections that write in parallel, as branches of one transaction (PostgreSQL and MySQL only); by default, Landfall uses up to 4 connections, and more than 1 only for more than 65,536 rows",
        writers: Option<u16> = None, u16: Number(1..=64),
        with_writers(writers: u16 => writers);

    Transaction "commit": "'auto', 'one_phase', 'two_phase'", "'auto'",
        "whether a statement uses two-phase commit: 'auto' uses two-phase commit for a transaction with several branches and with the option log; 'one_phase' never uses it and writes with a single writer; 'two_phase' always uses it",
        commit: Commit = Commit::Auto, Commit: Words(&[("auto", Commit::Auto), ("one_phase", Commit::OnePhase), ("two_phase", Commit::TwoPhase)]),
        with_commit(commit: Commit => commit);

    Transaction "log": "a URL (file:///…, s3://…, gs://…, az://…) or the URL of a database", "the ledger table in the target database",
        "where commit decisions are stored: in a folder, under a prefix of an object store, or in the ledger table of another database",
        log: Option<String> = None, String: Text,
        with_log(url: impl Into<String> => url.into());

    Transaction "ledger_table": "a table name", "landfall_ledger",
        "the name of the ledger table, which stores jobs and commit decisions; in PostgreSQL and MySQL, the name can have the form schema.table",
        ledger_table: Option<String> = None, String: Text,
        with_ledger_table(ledger_table: impl Into<String> => ledger_table.into());

    Transaction "checkpoint.rows": "a number of rows", "none",
        "the number of rows after which a statement commits and continues with the next rows; other sessions see the committed rows, and a job that is run again resumes after them",
        checkpoint_rows: Option<u64> = None, u64: RowLimit,
        with_checkpoint_rows(checkpoint_rows: u64 => checkpoint_rows);

    Transaction "checkpoint.bytes": "a size such as 500KB, 64MB, 1GiB", "none",
        "the number of bytes of row data, measured in memory, after which a statement commits and continues with the next rows",
        checkpoint_bytes: Option<u64> = None, u64: Size { least: 1, least_told: "1 byte" },
        with_checkpoint_bytes(checkpoint_bytes: u64 => checkpoint_bytes);

    Transaction "checkpoint.interval": "a time such as 500ms, 10s, 1m", "none; 10s for an unbounded input",
        "how long after the first uncommitted row a statement commits and continues with the next rows",
        checkpoint_interval: Option<Duration> = None, Duration: Time::SOME,
        with_checkpoint_interval(checkpoint_interval: Duration => checkpoint_interval);

    Transaction "reject.max": "a number of rows such as 100, or a percentage such as 0.1 %", "none",
        "how many rows that cannot be stored are set aside before the statement fails: either a number of rows of the whole statement or job, or a percentage of the rows read so far; by default, the first row that cannot be stored makes the statement fail",
        reject_max: Option<RejectLimit> = None, RejectLimit: Rejected,
        with_reject_max(reject_max: RejectLimit => reject_max);

    Transaction "reject.table": "a table name", "none",
        "the table for the rows that are set aside; the table is in the same database, is written in the same transaction as the other rows, and is created if it does not exist",
        reject_table: Option<String> = None, String: Text,
        with_reject_table(reject_table: impl Into<String> => reject_table.into());

    Transaction "flush.interval": "a time such as 20ms, 1s", "100ms",
        "how long a small batch waits for more rows, so that they are written together",
        flush_interval: Duration = Duration::from_millis(100), Duration: Time::SOME,
        with_flush_interval(flush_interval: Duration => flush_interval);

    Transaction "retry.max": "0 to 1000", "3",
        "how many times in a row a statement is retried after a lost connection or a deadlock; a checkpoint resets the count",
        retry_max: u32 = 3, u32: Number(0..=1_000),
        with_retry_max(retry_max: u32 => retry_max);

    Transaction "retry.backoff": "a time such as 200ms, 1s", "1s",
        "the pause before the first retry; the pause doubles with each further retry, up to a minute",
        retry_backoff: Duration = Duration::from_secs(1), Duration: Time::SOME,
        with_retry_backoff(retry_backoff: Duration => retry_backoff);

    Table "memory.limit": "a size such as 16MB, 1GiB", "64MB",
        "maximum memory for the rows of one statement, both in batches and encoded; at the limit, the query waits until rows are written",
        memory_limit: usize = 64_000_000, usize: Size { least: 1_000_000, least_told: "1MB" },
        with_memory_limit(memory_limit: usize => memory_limit);

    Table "pool.max": "4 to 10000", "32, or more if there are more than 14 writers",
        "maximum number of connections to the database: each writer of a statement needs two connections, and two connections are reserved for reading",
        pool_max: Option<usize> = None, usize: Number(4..=10_000),
        with_pool_max(pool_max: usize => pool_max);

    Table "pool.min_idle": "0 to 10000", "0",
        "minimum number of idle connections that the pool keeps open after its first use",
        pool_min_idle: usize = 0, usize: Number(0..=10_000),
        with_pool_min_idle(pool_min_idle: usize => pool_min_idle);

    Table "pool.acquire_timeout": "a time such as 500ms, 30s", "30s",
        "how long to wait for a free connection, and for the server to accept a new one",
        pool_acquire_timeout: Duration = Duration::from_secs(30), Duration: Time::SOME,
        with_pool_acquire_timeout(pool_acquire_timeout: Duration => pool_acquire_timeout);

    Table "pool.idle_timeout": "a time such as 10s, 5m", "1m",
        "how long an idle connection stays open before the pool closes it",
        pool_idle_timeout: Duration = Duration::from_secs(60), Duration: Time::SOME,
        with_pool_idle_timeout(pool_idle_timeout: Duration => pool_idle_timeout);

    Table "pool.idle_check": "a time such as 0s, 1s, 30s", "1s",
        "how long a connection can be idle before the pool tests it when it is used again",
        pool_idle_check: Duration = Duration::from_secs(1), Duration: Time::UNBOUNDED,
        with_pool_idle_check(pool_idle_check: Duration => pool_idle_check);

    Table "pool.max_lifetime": "a time such as 5m, 1h", "30m",
        "the age at which an idle connection is closed",
        pool_max_lifetime: Duration = Duration::from_secs(30 * 60), Duration: Time::SOME,
        with_pool_max_lifetime(pool_max_lifetime: Duration => pool_max_lifetime);
}
