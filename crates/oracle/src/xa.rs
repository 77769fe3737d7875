//! Branches of global transactions: the names and the calls of `DBMS_XA`, from Oracle's PL/SQL Packages and Types Reference,
//! chapter DBMS_XA.
//!
//! A branch is a global transaction of its own in Oracle: its gtrid is the name of the branch. Branches with the same gtrid
//! would be tightly coupled, and only the last of them would vote. Its bqual is the time at which it began, because the server
//! does not list it.

use std::time::Duration;

use datafusion_landfall::backend::InDoubt;
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::txn::Xid;

use crate::session::{Bind, Datum};

/// Blocks that return a code of XA. Their binds are the parts of a branch's name.
pub(crate) const START: &str = "BEGIN :1 := DBMS_XA.XA_START(DBMS_XA_XID(:2, :3, :4), DBMS_XA.TMNOFLAGS); END;";
pub(crate) const END: &str = "BEGIN :1 := DBMS_XA.XA_END(DBMS_XA_XID(:2, :3, :4), DBMS_XA.TMSUCCESS); END;";
pub(crate) const PREPARE: &str = "BEGIN :1 := DBMS_XA.XA_PREPARE(DBMS_XA_XID(:2, :3, :4)); END;";
pub(crate) const COMMIT: &str = "BEGIN :1 := DBMS_XA.XA_COMMIT(DBMS_XA_XID(:2, :3, :4), FALSE); END;";
pub(crate) const COMMIT_ONE_PHASE: &str = "BEGIN :1 := DBMS_XA.XA_COMMIT(DBMS_XA_XID(:2, :3, :4), TRUE); END;";
pub(crate) const ROLLBACK: &str = "BEGIN :1 := DBMS_XA.XA_ROLLBACK(DBMS_XA_XID(:2, :3, :4)); END;";
pub(crate) const FORGET: &str = "BEGIN :1 := DBMS_XA.XA_FORGET(DBMS_XA_XID(:2, :3, :4)); END;";

/// The seconds after which the server rolls an inactive branch back that is not prepared. Its bind is a number.
pub(crate) const SET_TIMEOUT: &str = "BEGIN :1 := DBMS_XA.XA_SETTIMEOUT(:2); END;";

/// The number of the last error of this session.
pub(crate) const LAST_ERROR: &str = "BEGIN :1 := DBMS_XA.XA_GETLASTOER(); END;";

/// The prepared branches of the whole database.
pub(crate) const PENDING: &str = "SELECT FORMATID, GLOBALID, BRANCHID FROM SYS.DBA_PENDING_TRANSACTIONS";

/// A pattern of the transaction's name: what a DBA has done to a branch, if the server has not forgotten it.
pub(crate) const FORCED: &str = "SELECT STATE, MIXED FROM SYS.DBA_2PC_PENDING WHERE UPPER(GLOBAL_TRAN_ID) LIKE :1";

/// The pattern of a branch for [`FORCED`]: its gtrid in hexadecimal, behind the format ID.
pub(crate) fn pattern(xid: &Xid) -> Bind {
    let hex = xid.to_string().bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    Bind::Text(format!("%{hex}%"))
}

/// What a DBA has done, from a row of [`FORCED`].
pub(crate) fn forced(state: &str, mixed: &str) -> Option<Code> {
    match state {
        _ if mixed.eq_ignore_ascii_case("yes") => Some(Code::Other(5)),
        "forced commit" => Some(Code::ForcedCommit),
        "forced rollback" => Some(Code::ForcedRollback),
        _ => None,
    }
}

/// The seconds since 1970 on the server's clock.
pub(crate) const NOW: &str =
    "SELECT ROUND((CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) AS DATE) - DATE '1970-01-01') * 86400) FROM DUAL";

/// The format ID of Landfall's branches.
pub(crate) const FORMAT_ID: i64 = 0x4c46;

/// The longest gtrid and bqual, in bytes.
const MAX_BYTES: usize = 64;

/// The name of a branch in the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BranchName {
    gtrid: String,
    bqual: String,
}

impl BranchName {
    /// The name of a new branch that began at this time, in seconds since 1970.
    pub(crate) fn try_new(xid: &Xid, began: u64) -> Result<Self> {
        let gtrid = xid.to_string();
        if gtrid.len() > MAX_BYTES {
            let text =
                format!("the name of branch {xid} is longer than the {MAX_BYTES} bytes of XA: begin the job anew");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Ok(Self { gtrid, bqual: began.to_string() })
    }

    /// The binds of a block.
    pub(crate) fn binds(&self) -> Vec<Bind> {
        let bytes = |text: &String| Bind::Bytes(text.clone().into_bytes());
        vec![Bind::Integer(FORMAT_ID), bytes(&self.gtrid), bytes(&self.bqual)]
    }
}

/// A prepared branch in the server's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) xid: Xid,
    pub(crate) name: BranchName,
    began: u64,
}

impl Pending {
    /// Parses a row of [`PENDING`]; `None` if the branch is not Landfall's.
    pub(crate) fn parse(row: &[Datum]) -> Option<Self> {
        let [Datum::Number(format), Datum::Bytes(gtrid), Datum::Bytes(bqual)] = row else { return None };
        if *format != FORMAT_ID.to_string() {
            return None;
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let name = BranchName { gtrid: text(gtrid)?, bqual: text(bqual)? };
        Some(Self { xid: Xid::parse(&name.gtrid)?, began: name.bqual.parse().ok()?, name })
    }

    /// The branch, at this time in seconds since 1970.
    pub(crate) fn in_doubt(&self, now: u64) -> InDoubt {
        InDoubt { xid: self.xid, age: Duration::from_secs(now.saturating_sub(self.began)) }
    }
}

/// The answer to a call: a code of XA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// `XA_OK`
    Ok,
    /// `XA_RDONLY`: the branch has changed nothing and has ended.
    ReadOnly,
    /// `XAER_NOTA`: there is no such branch.
    Unknown,
    /// `XA_HEURCOM`: a DBA has committed it.
    ForcedCommit,
    /// `XA_HEURRB`: a DBA has rolled it back.
    ForcedRollback,
    /// Another code.
    Other(i64),
}

impl From<i64> for Code {
    fn from(code: i64) -> Self {
        match code {
            0 => Self::Ok,
            3 => Self::ReadOnly,
            -4 => Self::Unknown,
            7 => Self::ForcedCommit,
            6 => Self::ForcedRollback,
            other => Self::Other(other),
        }
    }
}

impl Code {
    /// The error of a call that should have answered `XA_OK`. `last` is the number of the session's last error.
    pub(crate) fn error(self, call: &str, xid: &str, last: i64) -> Error {
        let (kind, text) = self.kind_and_text();
        let error = Error::new(kind, format!("{call} of branch {xid}: {text}"));
        match last {
            1.. => error.with_source(format!("ORA-{last:05}")).with_code(format!("ORA-{last:05}")),
            _ => error,
        }
    }

    fn kind_and_text(self) -> (ErrorKind, String) {
        use ErrorKind::{Constraint, Database, Deadlock, Internal, Locked, Unavailable};
        let (kind, text) = match self {
            Self::Ok | Self::ReadOnly => (Internal, "the call has succeeded"),
            // Not `Unavailable`: the outcome is known.
            Self::Unknown => (
                Deadlock,
                "the server does not know the branch (XAER_NOTA), and has rolled it back: it was inactive for longer than the \
                 option 'xa_timeout', or the server was restarted; run the statement again",
            ),
            Self::ForcedCommit => (Database, "a DBA has committed it with COMMIT FORCE (XA_HEURCOM)"),
            Self::ForcedRollback => (Database, "a DBA has rolled it back with ROLLBACK FORCE (XA_HEURRB)"),
            Self::Other(code) => match code {
                5 => (
                    Database,
                    "a DBA has committed a part of it and rolled a part back (XA_HEURMIX): compare the rows of both databases",
                ),
                8 => (Database, "it may have been completed by a DBA (XA_HEURHAZ): see DBA_2PC_PENDING"),
                4 => (Locked, "the server asks to try again (XA_RETRY)"),
                102 => (Deadlock, "the server has rolled it back because of a deadlock: run the statement again"),
                103 => (Constraint, "the server has rolled it back, as it violates a constraint"),
                106 => (Deadlock, "the server has rolled it back after its timeout: increase the option 'xa_timeout'"),
                107 => (Deadlock, "the server has rolled it back (XA_RBTRANSIENT): run the statement again"),
                100..=107 => (Database, "the server has rolled it back"),
                -2 => (Internal, "an asynchronous call is outstanding (XAER_ASYNC)"),
                -3 => (Database, "the server has failed to do it (XAER_RMERR)"),
                -5 => (Internal, "invalid arguments (XAER_INVAL)"),
                -6 => (Locked, "a session is still connected with it (XAER_PROTO)"),
                -7 => (Unavailable, "the server is not available (XAER_RMFAIL)"),
                -8 => (Internal, "the branch exists already (XAER_DUPID)"),
                -9 => (Internal, "a local transaction is open in the session (XAER_OUTSIDE)"),
                other => return (Database, format!("the server has answered with the code {other}")),
            },
        };
        (kind, text.to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_found_again_by_its_name() {
        let xid = Xid::parse("landfall-0123456789abcdef-1-00000000000000ff-3").unwrap();
        let name = BranchName::try_new(&xid, 1_700_000_000).unwrap();
        let [Bind::Integer(format), Bind::Bytes(gtrid), Bind::Bytes(bqual)] = &name.binds()[..] else { panic!() };
        assert_eq!(gtrid, b"landfall-0123456789abcdef-1-00000000000000ff-3");
        let row = |format: i64, bqual: &[u8]| {
            [Datum::Number(format.to_string()), Datum::Bytes(gtrid.clone()), Datum::Bytes(bqual.to_vec())]
        };
        let found = Pending::parse(&row(*format, bqual)).unwrap();
        assert_eq!((found.xid, &found.name), (xid, &name));
        assert_eq!(found.in_doubt(1_700_000_007).age, Duration::from_secs(7));
        assert_eq!(found.in_doubt(1).age, Duration::ZERO);
        assert_eq!(Pending::parse(&row(1, bqual)), None);
        assert_eq!(Pending::parse(&row(*format, b"x")), None);
    }

    #[test]
    fn what_a_dba_did_is_said() {
        for (code, part) in [(7, "COMMIT FORCE"), (6, "ROLLBACK FORCE"), (5, "XA_HEURMIX"), (8, "XA_HEURHAZ")] {
            let error = Code::from(code).error("XA_COMMIT", "b", 0);
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.kind().is_transient());
        }
        let error = Code::from(-3).error("XA_PREPARE", "b", 1_653);
        assert_eq!(error.code(), Some("ORA-01653"));
        assert!(Code::from(102).error("XA_PREPARE", "b", 0).kind().is_transient());
    }
}
