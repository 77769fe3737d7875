//! The options of a table. SQL's `OPTIONS (…)`, the API, the program's help and the documentation use this one
//! declaration.

mod conflict;
mod indexes;
mod keys;
mod own;
mod reject;
mod transaction;
mod values;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::txn::JobId;

pub use conflict::{OnConflict, Upsert};
pub use indexes::Indexes;
pub use keys::{OPTIONS, OptionKey, Scope, SinkOptions};
pub use own::BackendOption;
pub use reject::RejectLimit;
pub use transaction::{Isolation, TransactionOptions};
pub use values::duration;

/// How SQL assigns a value to a column of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Assignment {
    /// The value is stored unchanged, or the statement fails.
    #[default]
    Exact,
    /// DataFusion casts the value.
    Cast,
}

/// How INSERT OVERWRITE empties a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// With DELETE. Readers see the old rows until the commit.
    #[default]
    Delete,
    /// With TRUNCATE. Readers wait for the commit, and a transaction with an older snapshot then sees an empty table.
    Truncate,
}

/// How an INSERT alters its table to fit the columns of its query, which are matched by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evolution {
    /// Not at all.
    #[default]
    Off,
    /// Adds columns.
    Add,
    /// Adds columns, and widens types if the server does not rewrite the table for it.
    Widen,
    /// Adds columns, and widens types.
    Rewrite,
}

/// How nanoseconds are stored if the database has microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Nanoseconds {
    /// A value with nanoseconds is an error.
    #[default]
    Error,
    /// Nanoseconds are truncated, toward the past.
    Truncate,
}

/// Whether a statement uses one-phase or two-phase commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commit {
    /// One-phase commit for one branch, two-phase commit for several branches and with the option `log`.
    #[default]
    Auto,
    /// One-phase commit, with one writer.
    OnePhase,
    /// Two-phase commit, even with one writer.
    TwoPhase,
}

/// When a checkpoint is made: as soon as the first of these limits is reached. Without a limit, a statement is one
/// epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpoints {
    /// After this number of rows.
    pub rows: Option<u64>,
    /// After this many bytes of row data (size in memory).
    pub bytes: Option<u64>,
    /// After this time since the epoch's first row.
    pub interval: Option<Duration>,
}

impl Checkpoints {
    /// Whether any limit is set.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// How often a failed statement is retried automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The maximum number of consecutive failures without a committed epoch between them.
    pub max: u32,
    /// The pause before the first retry. It doubles with each retry, up to a minute.
    pub backoff: Duration,
}

/// Connections that writes cannot use. A write that also reads the database would otherwise wait for connections of other
/// writes, which may wait in the same way.
const RESERVED: usize = 2;

/// The limits of a connection pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolOptions {
    /// The minimum number of idle connections.
    pub min_idle: usize,
    /// The maximum number of connections.
    pub max: usize,
    /// How long to wait for a free connection, and for the server to accept a new one.
    pub acquire_timeout: Duration,
    /// An idle connection that has reached this age is closed.
    pub max_lifetime: Duration,
    /// How long an idle connection stays open.
    pub idle_timeout: Duration,
    /// A connection that has been idle for longer than this is tested before reuse.
    pub idle_check: Duration,
}

impl PoolOptions {
    /// The maximum number of connections that writes can use.
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

impl SinkOptions {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// When a checkpoint is made.
    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints { rows: self.checkpoint_rows, bytes: self.checkpoint_bytes, interval: self.checkpoint_interval }
    }

    /// How often a write is retried.
    pub(crate) fn retry(&self) -> Retry {
        Retry { max: self.retry_max, backoff: self.retry_backoff }
    }

    /// The options of the connection pool.
    ///
    /// # Errors
    /// `Config` for options that contradict each other.
    pub fn pool(&self) -> Result<PoolOptions> {
        // An epoch is written while the one before commits.
        let needed = 2 * usize::from(self.writers.unwrap_or(1)) + RESERVED;
        let max = self.pool_max.unwrap_or(PoolOptions::default().max.max(needed));
        if max < needed {
            let writers = self.writers.unwrap_or(1);
            return Err(Error::config(format!(
                "option 'pool.max' = {max} is too small for 'writers' = {writers}: use {needed} or more"
            )));
        }
        let idle = self.pool_min_idle;
        if idle > max {
            return Err(Error::config(format!(
                "option 'pool.min_idle' = {idle} is greater than 'pool.max' = {max}: decrease 'pool.min_idle', or \
                 increase 'pool.max'"
            )));
        }
        Ok(PoolOptions {
            min_idle: idle,
            max,
            acquire_timeout: self.pool_acquire_timeout,
            max_lifetime: self.pool_max_lifetime,
            idle_timeout: self.pool_idle_timeout,
            idle_check: self.pool_idle_check,
        })
    }

    /// The number of writers for which the pool has connections.
    pub(crate) fn pool_writers(&self) -> Result<u16> {
        let writers = self.pool()?.most_writing() / 2;
        Ok(u16::try_from(writers).unwrap_or(u16::MAX).max(1))
    }

    /// The ledger's table, if the option `ledger_table` names one.
    pub fn ledger_table(&self) -> Option<&str> {
        self.ledger_table.as_deref()
    }

    /// How long a statement waits for a lock.
    pub fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    /// The password in the environment variable that the option `password_env` names.
    pub fn password(&self) -> Result<Option<String>> {
        let Some(variable) = &self.password_env else { return Ok(None) };
        let password = std::env::var(variable).map_err(|_| {
            Error::config(format!(
                "option 'password_env' names the environment variable {variable}, which is not set: export the variable"
            ))
        });
        password.map(Some)
    }

    /// Sets one option from text, as `OPTIONS ('key' 'value')` does.
    ///
    /// # Errors
    /// `Config` for an unknown key (the message suggests the nearest one) or an invalid value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set_known(key, value, &[])
    }

    /// Like `set`. The suggestion also considers the options of a database.
    fn set_known(&mut self, key: &str, value: &str, own: &[BackendOption]) -> Result<()> {
        let key = key.to_ascii_lowercase();
        let option = OPTIONS.iter().find(|option| option.key == key).ok_or_else(|| unknown(&key, own))?;
        (option.set)(self, value).map_err(|why| Error::config(format!("option '{key}' cannot be '{value}': {why}")))
    }

    /// Creates options from the pairs of a `CREATE EXTERNAL TABLE … OPTIONS (…)`. DataFusion passes a key without a dot
    /// as `format.<key>`; both forms are accepted.
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

    /// The options that differ from their defaults, as [`SinkOptions::set`] and [`SinkOptions::with_own`] set them.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let common = OPTIONS.iter().filter_map(|option| Some((option.key.to_owned(), (option.show)(self)?)));
        common.chain(self.own.iter().cloned()).collect()
    }
}

fn unknown(key: &str, own: &[BackendOption]) -> Error {
    let known =
        OPTIONS.iter().map(|option| option.key.to_owned()).chain(own.iter().map(|option| option.key.to_owned()));
    let nearest = known
        .clone()
        .map(|known| (strsim::damerau_levenshtein(key, &known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3));
    let hint = match nearest {
        Some((_, name)) => format!("did you mean '{name}'?"),
        None => format!("valid options are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Error::config(format!("unknown option '{key}': {hint}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::options::OnConflict;

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
        assert!(set("compression", "x").unwrap_err().to_string().contains("valid options are table, job,"));
    }

    #[test]
    fn a_bad_value_says_what_is_taken() {
        let error = set("on_conflict", "merge").unwrap_err().to_string();
        assert_eq!(error, "option 'on_conflict' cannot be 'merge': use 'error', 'update' or 'ignore'");
        assert!(set("lock_timeout", "5").is_err());
        assert!(set("job", "").is_err());
    }

    #[test]
    fn what_is_shown_of_options_can_be_set_again() {
        assert_eq!(SinkOptions::new().pairs(), []);
        let pairs = [
            ("table", "s.t"),
            ("job", "a job"),
            ("on_conflict", "update"),
            ("conflict_key", "a,b"),
            ("diff.lock", "true"),
            ("lock_timeout", "1500ms"),
            ("writers", "3"),
            ("checkpoint.rows", "7"),
            ("checkpoint.bytes", "64000"),
            ("memory.limit", "1000000"),
            ("pool.max", "40"),
        ];
        let shown = SinkOptions::try_from_pairs(pairs).unwrap().pairs();
        let shown: Vec<_> = shown.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(shown, pairs);
        let set = SinkOptions::new().with_flush_interval(Duration::from_micros(1)).unwrap().pairs();
        assert_eq!(set, [("flush.interval".to_owned(), "1ms".to_owned())]);
    }

    #[test]
    fn a_builder_refuses_what_sql_refuses() {
        let new = SinkOptions::new;
        let refused = [
            new().with_writers(65),
            new().with_memory_limit(999_999),
            new().with_pool_max(3),
            new().with_flush_interval(Duration::ZERO),
            new().with_conflict_key([""]),
            new().with_log(" "),
            new().with_job(""),
        ];
        for refused in refused {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), crate::error::ErrorKind::Config, "{refused}");
        }
        let told = new().with_writers(65).unwrap_err().to_string();
        assert_eq!(told, "option 'writers' cannot be 65: use a number from 1 to 64");
        assert_eq!(new().with_writers(8).unwrap(), set("writers", "8").unwrap());
    }

    #[test]
    fn defaults_are_what_the_documentation_says() {
        // Other options have no default, or a computed one.
        let told = |option: &&OptionKey| {
            option.default.starts_with(|c: char| c.is_ascii_digit()) && option.key != "pool.max"
                || option.default.starts_with('\'')
        };
        let told: Vec<_> = OPTIONS.iter().filter(told).collect();
        assert_eq!(told.len(), 20, "{told:?}");
        for OptionKey { key, default, .. } in told {
            assert_eq!(
                set(key, default.trim_matches('\'')).unwrap(),
                SinkOptions::new(),
                "the default of '{key}' is not {default}"
            );
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
            assert_eq!(set("checkpoint.bytes", text).unwrap().checkpoints().bytes, Some(bytes));
        }
        for bad in ["", "0", "-1", "1XB", "MB", "99999999999999GB"] {
            let error = set("checkpoint.bytes", bad).unwrap_err().to_string();
            assert!(error.contains("use a size of at least 1 byte, such as"), "{error}");
        }
        for bad in ["0", "-5", "many", "1.5"] {
            let error = set("checkpoint.rows", bad).unwrap_err().to_string();
            assert!(error.contains("1 or more"), "{error}");
        }
    }
}
