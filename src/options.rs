//! Typed options of a Landfall table: the single source for SQL `OPTIONS (…)`, the API, the program's help and
//! the documentation.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::xa::{JobId, OnConflict, Upsert};

/// What to do with an unsigned 64-bit integer where the database has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uint64 {
    /// Store it as an integer; a value beyond the signed range is an error.
    #[default]
    Error,
    /// A column that Landfall creates stores every value as decimal text.
    Text,
}

/// What to do with nanoseconds where the database counts microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nanoseconds {
    /// A value with some is an error.
    #[default]
    Error,
    /// They are cut off, toward the past.
    Truncate,
}

/// In how many phases a write commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commit {
    /// In one where one transaction does, else in two.
    #[default]
    Auto,
    /// In one, with one writer.
    OnePhase,
    /// In two, even with one writer.
    TwoPhase,
}

/// How a table is written. Build it with [`SinkOptions::new`] and the `with_…` methods, or from text with
/// [`SinkOptions::set`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkOptions {
    pub(crate) table: Option<String>,
    pub(crate) job: Option<JobId>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) conflict_key: Vec<String>,
    pub(crate) upsert: Upsert,
    pub(crate) diff_lock: bool,
    pub(crate) lock_timeout: Duration,
    pub(crate) uint64: Uint64,
    pub(crate) nanoseconds: Nanoseconds,
    pub(crate) password_env: Option<String>,
    pub(crate) writers: Option<u16>,
    pub(crate) commit: Commit,
    pub(crate) log: Option<String>,
    pub(crate) ledger_table: Option<String>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) flush_interval: Duration,
    pub(crate) retry: Retry,
    pub(crate) pragmas: Vec<(String, String)>,
}

/// When a checkpoint is made: at whichever comes first. Without any of them a write is one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpoints {
    /// After so many rows.
    pub rows: Option<u64>,
    /// After so many bytes of rows in memory.
    pub bytes: Option<u64>,
    /// So long after the epoch's first row.
    pub interval: Option<Duration>,
}

impl Checkpoints {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// How often a write is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Failures in a row, without an epoch between them, after which it is given up.
    pub max: u32,
    /// The pause after the first one; it doubles with each, up to a minute.
    pub backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max: 3, backoff: Duration::from_secs(1) }
    }
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            table: None,
            job: None,
            on_conflict: OnConflict::Error,
            conflict_key: Vec::new(),
            upsert: Upsert::Auto,
            diff_lock: false,
            lock_timeout: Duration::from_secs(5),
            uint64: Uint64::Error,
            nanoseconds: Nanoseconds::Error,
            password_env: None,
            writers: None,
            commit: Commit::Auto,
            log: None,
            ledger_table: None,
            checkpoints: Checkpoints::default(),
            flush_interval: Duration::from_millis(100),
            retry: Retry::default(),
            pragmas: Vec::new(),
        }
    }
}

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
    set: fn(&mut SinkOptions, &str) -> Result<(), String>,
}

/// Every option, in the order of the documentation. `pragma.<name>` stands for the names in [`PRAGMAS`].
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
];

/// The SQLite settings that `pragma.<name>` sets on the writing connection.
pub const PRAGMAS: &[&str] = &[
    "cache_size",
    "foreign_keys",
    "journal_mode",
    "max_page_count",
    "mmap_size",
    "recursive_triggers",
    "secure_delete",
    "synchronous",
    "temp_store",
    "wal_autocheckpoint",
];

const PRAGMA_PREFIX: &str = "pragma.";

impl SinkOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the job; see [`OPTIONS`].
    ///
    /// # Errors
    /// `Config` when the name is empty or longer than [`JobId::MAX_BYTES`].
    pub fn with_job(mut self, job: &str) -> Result<Self> {
        self.job = Some(JobId::try_new(job)?);
        Ok(self)
    }

    /// What INSERT INTO does with a row whose key is in the table already.
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// The columns of the key that conflicts are found by, where it is not the primary key.
    pub fn with_conflict_key<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.conflict_key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// How rows that are there are updated.
    pub fn with_upsert(mut self, upsert: Upsert) -> Self {
        self.upsert = upsert;
        self
    }

    /// Whether rows that are compared are locked until the commit.
    pub fn with_diff_lock(mut self, locks: bool) -> Self {
        self.diff_lock = locks;
        self
    }

    /// How long to wait for another writer's lock.
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// What to do with UInt64 values where the database has no such type.
    pub fn with_uint64(mut self, uint64: Uint64) -> Self {
        self.uint64 = uint64;
        self
    }

    /// What to do with nanoseconds where the database counts microseconds.
    pub fn with_nanoseconds(mut self, nanoseconds: Nanoseconds) -> Self {
        self.nanoseconds = nanoseconds;
        self
    }

    /// The environment variable that has the password of a server.
    pub fn with_password_env(mut self, variable: impl Into<String>) -> Self {
        self.password_env = Some(variable.into());
        self
    }

    /// How many connections write at once.
    pub fn with_writers(mut self, writers: NonZeroU16) -> Self {
        self.writers = Some(writers.get());
        self
    }

    /// In how many phases a write commits.
    pub fn with_commit(mut self, commit: Commit) -> Self {
        self.commit = commit;
        self
    }

    /// The URL of the decision log for two-phase commits.
    pub fn with_log(mut self, url: impl Into<String>) -> Self {
        self.log = Some(url.into());
        self
    }

    /// The ledger table in the database.
    pub fn with_ledger_table(mut self, table: impl Into<String>) -> Self {
        self.ledger_table = Some(table.into());
        self
    }

    /// When a checkpoint is made.
    pub fn with_checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// How long a few rows wait for more.
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// How often a write is tried again by itself.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The password that the option `password_env` leads to.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn password(&self) -> Result<Option<String>> {
        let Some(variable) = &self.password_env else { return Ok(None) };
        let password = std::env::var(variable).map_err(|_| {
            Error::config(format!("option 'password_env' names the variable {variable}, which is not set: export it"))
        });
        password.map(Some)
    }

    /// Sets one option from text, as `OPTIONS ('key' 'value')` does.
    ///
    /// # Errors
    /// `Config` for a key that does not exist (the nearest one is named) or a value that it does not take.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let key = key.to_ascii_lowercase();
        if let Some(name) = key.strip_prefix(PRAGMA_PREFIX) {
            if !PRAGMAS.contains(&name) {
                return Err(unknown(&key));
            }
            if value.is_empty() || !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                return Err(Error::config(format!("option '{key}': '{value}' is neither a number nor a word")));
            }
            if name == "journal_mode" && ["off", "memory"].iter().any(|mode| value.eq_ignore_ascii_case(mode)) {
                return Err(Error::config(format!(
                    "option '{key}' cannot be '{value}': SQLite could not roll a failed write back; use wal, delete, \
                     truncate or persist"
                )));
            }
            self.pragmas.push((name.to_owned(), value.to_owned()));
            return Ok(());
        }
        let option = OPTIONS.iter().find(|option| option.key == key).ok_or_else(|| unknown(&key))?;
        (option.set)(self, value).map_err(|why| Error::config(format!("option '{key}' cannot be '{value}': {why}")))
    }

    /// Options from the pairs of a `CREATE EXTERNAL TABLE … OPTIONS (…)`. DataFusion hands an undotted key over as
    /// `format.<key>`; both forms are taken.
    ///
    /// # Errors
    /// As [`SinkOptions::set`].
    pub fn try_from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in pairs {
            options.set(key.strip_prefix("format.").unwrap_or(key), value)?;
        }
        Ok(options)
    }
}

fn unknown(key: &str) -> Error {
    let known = OPTIONS
        .iter()
        .map(|option| option.key.to_owned())
        .chain(PRAGMAS.iter().map(|name| format!("{PRAGMA_PREFIX}{name}")));
    let nearest = known
        .clone()
        .map(|known| (strsim::damerau_levenshtein(key, &known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3));
    let hint = match nearest {
        Some((_, name)) => format!("did you mean '{name}'?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Error::config(format!("unknown option '{key}': {hint}"))
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> Result<SinkOptions> {
        SinkOptions::try_from_pairs([(key, value)])
    }

    #[test]
    fn a_key_is_taken_plain_and_as_datafusion_hands_it_over() {
        let plain = set("on_conflict", "update").unwrap();
        assert_eq!(plain.on_conflict, OnConflict::Update);
        assert_eq!(plain, set("format.on_conflict", "update").unwrap());
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        let error = set("on_conflit", "update").unwrap_err();
        assert_eq!(error.to_string(), "unknown option 'on_conflit': did you mean 'on_conflict'?");
        assert!(set("compression", "x").unwrap_err().to_string().contains("known are table, job,"));
        assert!(set("pragma.syncronous", "off").unwrap_err().to_string().contains("'pragma.synchronous'"));
    }

    #[test]
    fn a_bad_value_says_what_is_taken() {
        let error = set("on_conflict", "merge").unwrap_err().to_string();
        assert_eq!(error, "option 'on_conflict' cannot be 'merge': it takes error, update or ignore");
        assert!(set("lock_timeout", "5").is_err());
        assert!(set("job", "").is_err());
        assert!(set("pragma.synchronous", "off; DROP TABLE t").is_err());
        assert!(set("pragma.journal_mode", "OFF").unwrap_err().to_string().contains("roll a failed write back"));
        assert!(set("pragma.journal_mode", "wal").is_ok());
    }

    #[test]
    fn the_guide_lists_every_option_as_it_is() {
        let guide = include_str!("lib.rs");
        for option in OPTIONS {
            let OptionKey { key, values, default, meaning, .. } = option;
            let row = format!("//! | `{key}` | {values} | {default} | {meaning} |");
            assert!(guide.contains(&row), "lib.rs lacks: {row}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        for (text, millis) in [("500ms", 500), ("5s", 5_000), ("1m", 60_000), ("2 h", 7_200_000)] {
            assert_eq!(set("lock_timeout", text).unwrap().lock_timeout, Duration::from_millis(millis));
        }
        assert!(set("checkpoint.interval", "0s").is_err());
        assert!(set("lock_timeout", "99999999999999999999s").is_err());
        assert!(set("lock_timeout", "9999h").is_err());
    }

    #[test]
    fn sizes_have_a_unit_or_are_bytes() {
        for (text, bytes) in [("5", 5), ("500KB", 500_000), ("64 MB", 64_000_000), ("1GiB", 1 << 30)] {
            assert_eq!(set("checkpoint.bytes", text).unwrap().checkpoints.bytes, Some(bytes));
        }
        for bad in ["", "0", "-1", "1XB", "MB", "99999999999999GB"] {
            let error = set("checkpoint.bytes", bad).unwrap_err().to_string();
            assert!(error.contains("it takes a size such as"), "{error}");
        }
        for bad in ["0", "-5", "many", "1.5"] {
            let error = set("checkpoint.rows", bad).unwrap_err().to_string();
            assert!(error.contains("1 or more"), "{error}");
        }
    }
}
