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

    /// Creates a job name from a text.
    ///
    /// # Errors
    /// `Config` if the name is empty, longer than [`Self::MAX_BYTES`], or contains a control character.
    pub fn try_new(name: &str) -> Result<Self> {
        if name.trim().is_empty() {
            return Err(Error::config("a job's name cannot be empty"));
        }
        if name.len() > Self::MAX_BYTES {
            return Err(Error::config(format!(
                "a job's name can have at most {} bytes, but this name has {}",
                Self::MAX_BYTES,
                name.len()
            )));
        }
        if name.chars().any(char::is_control) {
            return Err(Error::config("a job's name cannot contain control characters"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The generated name of a statement without a job, used in the log while the statement runs.
    pub fn of_statement(run: Uuid) -> Self {
        Self(format!("statement {run}"))
    }

    /// Whether this is the generated name of a statement without a job.
    pub fn is_of_statement(&self) -> bool {
        self.0.strip_prefix("statement ").is_some_and(|run| Uuid::try_parse(run).is_ok())
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

/// The name of a global transaction. It contains the job, the epoch and the run.
///
/// Displays as `landfall-<job>-<epoch>-<run>` in hexadecimal, 59 bytes at most, which fits the 64 bytes of a gtrid in
/// X/Open XA.
/// It contains the job's number, which is drawn with the job's first record and kept in its later records. A job of the
/// same name in another log has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gtrid {
    job: JobNumber,
    epoch: Epoch,
    run: u64,
}

/// The number of a job in one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobNumber(u64);

/// The prefix of Landfall's transaction names.
pub const PREFIX: &str = "landfall-";

impl JobNumber {
    /// Draws a new number.
    pub fn draw() -> Self {
        Self::of_run(Uuid::new_v4())
    }

    /// The number of a job whose first run this is: the same in all processes of the run.
    pub fn of_run(run: Uuid) -> Self {
        Self(run.as_u64_pair().1)
    }

    /// The common prefix of the names of the job's transactions.
    pub fn prefix(self) -> String {
        format!("{PREFIX}{:016x}-", self.0)
    }
}

impl Gtrid {
    /// Creates the name for `epoch` of `job`. `run` distinguishes the runs of a job.
    pub fn new(job: JobNumber, epoch: Epoch, run: Uuid) -> Self {
        Self { job, epoch, run: run.as_u64_pair().0 }
    }

    /// Whether it belongs to this run.
    pub fn is_of(&self, run: Uuid) -> bool {
        self.run == run.as_u64_pair().0
    }

    /// Parses the output of [`Display`](fmt::Display); `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('-');
        let mut next = || u64::from_str_radix(parts.next()?, 16).ok();
        let read = Self { job: JobNumber(next()?), epoch: Epoch(next()?), run: next()? };
        (read.to_string() == text).then_some(read)
    }

    /// The number of the job.
    pub fn job(&self) -> JobNumber {
        self.job
    }

    /// The number of the run.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl fmt::Display for Gtrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:x}-{:016x}", self.job.prefix(), self.epoch.0, self.run)
    }
}

/// The name of a branch: its global transaction (`gtrid`) and its number in it (`bqual`). Displays as
/// `<gtrid>-<bqual>`, 76 bytes at most: a gtrid and a bqual of X/Open XA have 64 bytes each, and a name in PostgreSQL 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Xid {
    /// The global transaction.
    pub gtrid: Gtrid,
    /// The branch: counted from 0 in a transaction of one process, drawn if several processes write it.
    pub bqual: u64,
}

impl Xid {
    /// Parses the output of [`Display`](fmt::Display); `None` for a transaction of another program.
    pub fn parse(text: &str) -> Option<Self> {
        let (gtrid, bqual) = text.rsplit_once('-')?;
        let read = Self { gtrid: Gtrid::parse(gtrid)?, bqual: u64::from_str_radix(bqual, 16).ok()? };
        (read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.gtrid, self.bqual)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_xid_fits_and_is_read_back() {
        let gtrid = Gtrid::new(JobNumber(u64::MAX), Epoch(u64::MAX), Uuid::max());
        assert!(gtrid.to_string().len() <= 64, "{gtrid}");
        let xid = Xid { gtrid, bqual: u64::MAX };
        assert!(xid.to_string().len() <= 200, "{xid}");
        assert_eq!(Xid::parse(&xid.to_string()), Some(xid));
        assert!(xid.to_string().starts_with(&gtrid.job().prefix()));
    }

    #[test]
    fn the_names_of_others_are_not_read() {
        let xid = Xid { gtrid: Gtrid::new(JobNumber(7), Epoch(1), Uuid::nil()), bqual: 0 }.to_string();
        assert!(Xid::parse(&xid).is_some());
        for other in ["", "landfall-", "landfall-7-1-0-0", &xid.to_uppercase(), &format!("{xid}-0"), &format!("{xid} ")]
        {
            assert_eq!(Xid::parse(other), None, "{other:?}");
        }
        assert_eq!(Xid::parse(&xid.replace("landfall-0", "landfall-+")), None);
    }

    #[test]
    fn a_bad_job_name_is_refused() {
        for name in ["", "  ", "a\nb", &"x".repeat(JobId::MAX_BYTES + 1)] {
            assert!(JobId::try_new(name).is_err(), "{name:?}");
        }
    }
}
