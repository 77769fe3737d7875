//! Names of jobs, epochs and global transactions.

use std::fmt;

use uuid::Uuid;

use crate::error::{Error, Result};

/// The name of a job. Two runs with the same name on the same database are the same write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(String);

impl JobId {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Takes a name as it is.
    ///
    /// # Errors
    /// `Config` when it is empty, longer than [`Self::MAX_BYTES`], or has a control character.
    pub fn try_new(name: &str) -> Result<Self> {
        if name.trim().is_empty() {
            return Err(Error::config("a job's name cannot be empty"));
        }
        if name.len() > Self::MAX_BYTES {
            return Err(Error::config(format!(
                "a job's name has at most {} bytes, this one {}",
                Self::MAX_BYTES,
                name.len()
            )));
        }
        if name.chars().any(char::is_control) {
            return Err(Error::config("a job's name cannot have control characters"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of an epoch within its job; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a global transaction: which run writes which epoch of which job.
///
/// Displays as `landfall-<job>-<epoch>-<run>` in hexadecimal, 59 bytes at most, which fits the 64 bytes that
/// X/Open XA gives to a `gtrid` and the 200 of a PostgreSQL `gid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xid {
    job: u64,
    epoch: Epoch,
    run: u64,
}

impl Xid {
    /// The name for `epoch` of `job`; `run` tells the runs of a job apart. Without a job the run is its own job.
    pub fn new(job: Option<&JobId>, epoch: Epoch, run: Uuid) -> Self {
        let job = match job {
            Some(job) => Uuid::new_v5(&Uuid::NAMESPACE_OID, job.as_str().as_bytes()),
            None => run,
        };
        Self { job: job.as_u64_pair().0, epoch, run: run.as_u64_pair().0 }
    }

    /// The epoch that the transaction writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the transaction belongs to `job`.
    pub fn is_of(&self, job: &JobId) -> bool {
        Self::new(Some(job), self.epoch, Uuid::nil()).job == self.job
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "landfall-{:016x}-{:x}-{:016x}", self.job, self.epoch.0, self.run)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_xid_fits_a_gtrid() {
        let job = JobId::try_new(&"x".repeat(JobId::MAX_BYTES)).unwrap();
        let xid = Xid::new(Some(&job), Epoch(u64::MAX), Uuid::max());
        assert!(xid.to_string().len() <= 64, "{xid}");
        assert!(xid.is_of(&job));
        assert!(!xid.is_of(&JobId::try_new("y").unwrap()));
    }

    #[test]
    fn a_bad_job_name_is_refused() {
        for name in ["", "  ", "a\nb", &"x".repeat(JobId::MAX_BYTES + 1)] {
            assert!(JobId::try_new(name).is_err(), "{name:?}");
        }
    }
}
