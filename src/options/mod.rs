//! Typed options of a Landfall table: the single source for SQL `OPTIONS (…)`, the API, the program's help and
//! the documentation.

mod keys;

use std::num::NonZeroU16;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::xa::{JobId, OnConflict, Upsert};

pub(crate) use keys::duration;
pub use keys::{OPTIONS, OptionKey};

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
    pub(crate) memory_limit: usize,
    /// Without `max`, which [`SinkOptions::pool`] finds.
    pub(crate) pool: PoolOptions,
    pub(crate) pool_max: Option<usize>,
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

/// Connections that are not lent to write: what a write reads of the same database must not wait for other writes, which
/// wait for their own.
const RESERVED: usize = 2;

/// How many connections there are to a database, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolOptions {
    /// Connections that are kept open, even if nobody uses them.
    pub min_idle: usize,
    /// Connections that there are at most.
    pub max: usize,
    /// How long to wait for one that is free, and for the server to answer a new one.
    pub acquire_timeout: Duration,
    /// The age at which a connection is not used again.
    pub max_lifetime: Duration,
    /// How long a connection stays open that nobody uses.
    pub idle_timeout: Duration,
    /// A connection that was idle for longer is looked at before it is lent.
    pub idle_check: Duration,
}

impl PoolOptions {
    /// How many connections can be lent to write.
    pub(crate) fn most_writing(&self) -> usize {
        self.max.saturating_sub(RESERVED).max(1)
    }
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            min_idle: 0,
            max: 32,
            acquire_timeout: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(30 * 60),
            idle_timeout: Duration::from_secs(60),
            idle_check: Duration::from_secs(1),
        }
    }
}

/// The least that `memory.limit` can be.
const MIN_MEMORY: usize = 1_000_000;

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
            memory_limit: 64_000_000,
            pool: PoolOptions::default(),
            pool_max: None,
            pragmas: Vec::new(),
        }
    }
}

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

    /// How many bytes of rows a write holds at most; one megabyte is the least.
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes.max(MIN_MEMORY);
        self
    }

    /// How many connections there are to the database, and how long.
    pub fn with_pool(mut self, pool: PoolOptions) -> Self {
        (self.pool, self.pool_max) = (pool, Some(pool.max));
        self
    }

    /// The pool that is to be.
    pub(crate) fn pool(&self) -> Result<PoolOptions> {
        // An epoch is written while the one before commits.
        let needed = 2 * usize::from(self.writers.unwrap_or(1)) + RESERVED;
        let max = self.pool_max.unwrap_or(PoolOptions::default().max.max(needed));
        if max < needed {
            let writers = self.writers.unwrap_or(1);
            return Err(Error::config(format!(
                "option 'pool.max' = {max} is too small for 'writers' = {writers}: give {needed} or more"
            )));
        }
        if self.pool.min_idle > max {
            let idle = self.pool.min_idle;
            return Err(Error::config(format!("option 'pool.min_idle' = {idle} is more than 'pool.max' = {max}")));
        }
        Ok(PoolOptions { max, ..self.pool })
    }

    /// How many writers the pool has connections for.
    pub(crate) fn pool_writers(&self) -> Result<u16> {
        let writers = self.pool()?.most_writing() / 2;
        Ok(u16::try_from(writers).unwrap_or(u16::MAX).max(1))
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
        let guide = include_str!("../lib.rs");
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
