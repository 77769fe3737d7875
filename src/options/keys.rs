//! Every option by its key: how it is set from text, and what it means.

use std::time::Duration;

use super::{Commit, MIN_MEMORY, Nanoseconds, SinkOptions, Uint64};
use crate::error::Result;
use crate::xa::{JobId, OnConflict, Upsert};

/// One option: its key, the values it takes, its default and what it means.
#[derive(Debug)]
#[non_exhaustive]
pub struct OptionKey {
    /// The key in `OPTIONS ('key' 'value')`.
    pub key: &'static str,
    /// The values that it takes.
    pub values: &'static str,
    /// What holds when it is not given.
    pub default: &'static str,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    pub(super) set: fn(&mut SinkOptions, &str) -> Result<(), String>,
}

/// Every option, in the order of the documentation. `pragma.<name>` stands for the names in [`PRAGMAS`](super::PRAGMAS).
pub const OPTIONS: &[OptionKey] = &[
    OptionKey {
        key: "table",
        values: "a table's name",
        default: "the external table's name",
        meaning: "the table in the database, spelled as the database spells it; in PostgreSQL and MySQL also schema.table",
        set: |options, value| {
            options.table = Some(non_empty(value)?.to_owned());
            Ok(())
        },
    },
    OptionKey {
        key: "job",
        values: "a name",
        default: "none",
        meaning: "makes the write happen once: a second run of a finished job writes nothing and says so",
        set: |options, value| {
            options.job = Some(JobId::try_new(value).map_err(|error| error.to_string())?);
            Ok(())
        },
    },
    OptionKey {
        key: "on_conflict",
        values: "error, update, ignore",
        default: "error",
        meaning: "what INSERT INTO does with a row whose key is in the table already: fail, set the inserted columns, or leave the row that is there",
        set: |options, value| {
            options.on_conflict = match value {
                "error" => OnConflict::Error,
                "update" => OnConflict::Update,
                "ignore" => OnConflict::Ignore,
                _ => return Err("it takes error, update or ignore".into()),
            };
            Ok(())
        },
    },
    OptionKey {
        key: "conflict_key",
        values: "column names, comma-separated",
        default: "the primary key",
        meaning: "the key that on_conflict and REPLACE INTO go by; a unique index must cover exactly these columns",
        set: |options, value| {
            options.conflict_key =
                value.split(',').map(|name| non_empty(name).map(str::to_owned)).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    OptionKey {
        key: "upsert",
        values: "auto, blind, diff",
        default: "auto",
        meaning: "how rows that are there are updated: blind whatever is there, diff reads them first and leaves those alone that are equal, auto does that where few change",
        set: |options, value| {
            options.upsert = match value {
                "auto" => Upsert::Auto,
                "blind" => Upsert::Blind,
                "diff" => Upsert::Diff,
                _ => return Err("it takes auto, blind or diff".into()),
            };
            Ok(())
        },
    },
    OptionKey {
        key: "diff.lock",
        values: "true, false",
        default: "false",
        meaning: "whether rows that are compared are locked until the commit, so that nobody changes meanwhile what was found equal",
        set: |options, value| {
            options.diff_lock = match value {
                "true" => true,
                "false" => false,
                _ => return Err("it takes true or false".into()),
            };
            Ok(())
        },
    },
    OptionKey {
        key: "lock_timeout",
        values: "a time: 500ms, 5s, 1m",
        default: "5s",
        meaning: "how long to wait for another writer's lock",
        set: |options, value| {
            let days = Duration::from_secs(24 * 86_400);
            options.lock_timeout = duration(value)
                .filter(|time| *time <= days)
                .ok_or("it takes a time such as 500ms, 5s or 1m, of 24 days at most")?;
            Ok(())
        },
    },
    OptionKey {
        key: "uint64",
        values: "error, text",
        default: "error",
        meaning: "SQLite: a UInt64 beyond 9223372036854775807: fail, or create the column as text",
        set: |options, value| {
            options.uint64 = match value {
                "error" => Uint64::Error,
                "text" => Uint64::Text,
                _ => return Err("it takes error or text".into()),
            };
            Ok(())
        },
    },
    OptionKey {
        key: "nanoseconds",
        values: "error, truncate",
        default: "error",
        meaning: "PostgreSQL, MySQL: a time with nanoseconds that its microseconds cannot hold: fail, or cut them off",
        set: |options, value| {
            options.nanoseconds = match value {
                "error" => Nanoseconds::Error,
                "truncate" => Nanoseconds::Truncate,
                _ => return Err("it takes error or truncate".into()),
            };
            Ok(())
        },
    },
    OptionKey {
        key: "password_env",
        values: "a variable's name",
        default: "none",
        meaning: "PostgreSQL, MySQL: the environment variable that has the password",
        set: |options, value| {
            options.password_env = Some(non_empty(value)?.to_owned());
            Ok(())
        },
    },
    OptionKey {
        key: "writers",
        values: "1 to 64",
        default: "as many as pay",
        meaning: "PostgreSQL, MySQL: connections that write at once, as branches of one transaction; by itself up to 4, for more than 65536 rows",
        set: |options, value| {
            let writers = value.trim().parse().ok().filter(|writers| (1..=64).contains(writers));
            options.writers = Some(writers.ok_or("it takes a number from 1 to 64")?);
            Ok(())
        },
    },
    OptionKey {
        key: "commit",
        values: "auto, one_phase, two_phase",
        default: "auto",
        meaning: "whether a write prepares before it commits: auto does with several branches; one_phase has one writer",
        set: |options, value| {
            options.commit = match value {
                "auto" => Commit::Auto,
                "one_phase" => Commit::OnePhase,
                "two_phase" => Commit::TwoPhase,
                _ => return Err("it takes auto, one_phase or two_phase".into()),
            };
            Ok(())
        },
    },
    OptionKey {
        key: "log",
        values: "a URL: file:///…, s3://…, gs://…, az://…",
        default: "the database's ledger table",
        meaning: "where two-phase commits are decided: a folder, or a prefix of an object store",
        set: |options, value| {
            options.log = Some(non_empty(value)?.to_owned());
            Ok(())
        },
    },
    OptionKey {
        key: "ledger_table",
        values: "a table's name",
        default: "landfall_ledger",
        meaning: "the ledger table in the database; in PostgreSQL and MySQL also schema.table",
        set: |options, value| {
            options.ledger_table = Some(non_empty(value)?.to_owned());
            Ok(())
        },
    },
    OptionKey {
        key: "checkpoint.rows",
        values: "a number of rows",
        default: "none",
        meaning: "commits after so many rows, and goes on: what is committed is visible, and a job goes on behind it",
        set: |options, value| {
            let rows = value.trim().parse().ok().filter(|rows| *rows > 0);
            options.checkpoints.rows = Some(rows.ok_or("it takes a number of rows, 1 or more")?);
            Ok(())
        },
    },
    OptionKey {
        key: "checkpoint.bytes",
        values: "a size: 500KB, 64MB, 1GiB",
        default: "none",
        meaning: "commits after so many bytes of rows, as they are in memory",
        set: |options, value| {
            let bytes = size(value).filter(|bytes| *bytes > 0);
            options.checkpoints.bytes = Some(bytes.ok_or("it takes a size such as 500KB, 64MB or 1GiB")?);
            Ok(())
        },
    },
    OptionKey {
        key: "checkpoint.interval",
        values: "a time: 500ms, 10s, 1m",
        default: "none; 10s for a stream that never ends",
        meaning: "commits so long after the first row that is not committed",
        set: |options, value| {
            options.checkpoints.interval = Some(longer_than_none(value)?);
            Ok(())
        },
    },
    OptionKey {
        key: "flush.interval",
        values: "a time: 20ms, 1s",
        default: "100ms",
        meaning: "how long a few rows wait for more, so that they are written together",
        set: |options, value| {
            options.flush_interval = longer_than_none(value)?;
            Ok(())
        },
    },
    OptionKey {
        key: "retry.max",
        values: "0 to 1000",
        default: "3",
        meaning: "how often a write goes on by itself after a lost connection or a deadlock, without a checkpoint in between",
        set: |options, value| {
            let max = value.trim().parse().ok().filter(|max| *max <= 1000);
            options.retry.max = max.ok_or("it takes a number from 0 to 1000")?;
            Ok(())
        },
    },
    OptionKey {
        key: "retry.backoff",
        values: "a time: 200ms, 1s",
        default: "1s",
        meaning: "the pause before the first of them; it doubles with each, up to a minute",
        set: |options, value| {
            options.retry.backoff = longer_than_none(value)?;
            Ok(())
        },
    },
    OptionKey {
        key: "memory.limit",
        values: "a size: 16MB, 1GiB",
        default: "64MB",
        meaning: "bytes of rows that a write holds at most, in whatever form; who brings more waits",
        set: |options, value| {
            let bytes = size(value).and_then(|bytes| usize::try_from(bytes).ok());
            let bytes = bytes.filter(|bytes| *bytes >= MIN_MEMORY);
            options.memory_limit = bytes.ok_or("it takes a size such as 16MB or 1GiB, of 1MB at least")?;
            Ok(())
        },
    },
    OptionKey {
        key: "pool.max",
        values: "4 to 10000",
        default: "32, more for more than 14 writers",
        meaning: "connections to the database at most, of which writes leave two to what they read; a write takes two for each writer",
        set: |options, value| {
            let max = value.trim().parse().ok().filter(|max| (4..=10_000).contains(max));
            options.pool_max = Some(max.ok_or("it takes a number from 4 to 10000")?);
            Ok(())
        },
    },
    OptionKey {
        key: "pool.min_idle",
        values: "0 to 10000",
        default: "0",
        meaning: "connections that are kept open while nobody uses them, from the first use on",
        set: |options, value| {
            let idle = value.trim().parse().ok().filter(|idle| *idle <= 10_000);
            options.pool.min_idle = idle.ok_or("it takes a number from 0 to 10000")?;
            Ok(())
        },
    },
    OptionKey {
        key: "pool.acquire_timeout",
        values: "a time: 500ms, 30s",
        default: "30s",
        meaning: "how long to wait for a connection that is free, and for the server to answer a new one",
        set: |options, value| {
            options.pool.acquire_timeout = longer_than_none(value)?;
            Ok(())
        },
    },
    OptionKey {
        key: "pool.idle_timeout",
        values: "a time: 10s, 5m",
        default: "1m",
        meaning: "how long a connection stays open that nobody uses",
        set: |options, value| {
            options.pool.idle_timeout = longer_than_none(value)?;
            Ok(())
        },
    },
    OptionKey {
        key: "pool.idle_check",
        values: "a time: 0s, 1s, 30s",
        default: "1s",
        meaning: "a connection that nobody used for longer is looked at before it is used again",
        set: |options, value| {
            options.pool.idle_check = duration(value).ok_or("it takes a time such as 0s, 500ms or 1m")?;
            Ok(())
        },
    },
    OptionKey {
        key: "pool.max_lifetime",
        values: "a time: 5m, 1h",
        default: "30m",
        meaning: "the age at which a connection is not used again",
        set: |options, value| {
            options.pool.max_lifetime = longer_than_none(value)?;
            Ok(())
        },
    },
];

fn non_empty(value: &str) -> Result<&str, String> {
    let value = value.trim();
    if value.is_empty() { Err("it is empty".into()) } else { Ok(value) }
}

/// `500ms`, `5s`, `1m`, `2h`; a bare number is refused because its unit would be a guess.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit_at].parse().ok()?;
    let millis = match text[unit_at..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A time, and not none at all.
fn longer_than_none(value: &str) -> Result<Duration, String> {
    let weeks = Duration::from_secs(24 * 86_400);
    let time = duration(value).filter(|time| !time.is_zero() && *time <= weeks);
    time.ok_or_else(|| "it takes a time such as 500ms, 10s or 1m, of 24 days at most".into())
}

/// `500KB`, `64MB`, `1GiB`; a bare number is one of bytes.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[unit_at..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    text[..unit_at].parse::<u64>().ok()?.checked_mul(unit)
}
