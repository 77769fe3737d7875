//! `DBMS_XA`: PL/SQL Packages and Types Reference, chapter DBMS_XA. Prepared branches are rows of
//! `DBA_PENDING_TRANSACTIONS`, with their statements.

use datafusion_landfall_oracle::session::{Bind, Failure};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value as Json;

use super::{DoubleSession, Entry, State, commit, value};

const XA_OK: i64 = 0;
const XA_RDONLY: i64 = 3;
const XAER_NOTA: i64 = -4;
const XAER_PROTO: i64 = -6;
const XAER_DUPID: i64 = -8;
const XAER_OUTSIDE: i64 = -9;
const XA_RBINTEGRITY: i64 = 103;

/// Format, gtrid and bqual.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name(i64, Vec<u8>, Vec<u8>);

impl Name {
    fn of(binds: &[Bind]) -> Self {
        let [Bind::Integer(format), Bind::Bytes(gtrid), Bind::Bytes(bqual)] = binds else {
            panic!("DBMS_XA_XID({binds:?})")
        };
        assert!(gtrid.len() <= 64 && bqual.len() <= 64, "RAW(64)");
        Self(*format, gtrid.clone(), bqual.clone())
    }
}

/// A branch that is not prepared.
#[derive(Debug, Default)]
pub(super) struct Branch {
    pub(super) log: Vec<Entry>,
    /// Whether a session is in it.
    is_active: bool,
}

/// The names of the prepared branches.
pub(super) fn prepared(db: &Connection) -> Vec<Name> {
    let mut statement = db.prepare("SELECT FORMATID, GLOBALID, BRANCHID FROM DBA_PENDING_TRANSACTIONS").unwrap();
    let names = statement.query_map([], |row| Ok(Name(row.get(0)?, row.get(1)?, row.get(2)?)));
    names.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

const OF_NAME: &str = "FORMATID = ?1 AND GLOBALID = ?2 AND BRANCHID = ?3";

/// The statements of a prepared branch.
fn log_of(db: &Connection, Name(format, gtrid, bqual): &Name) -> Option<Vec<Entry>> {
    let sql = format!("SELECT LOG FROM DBA_PENDING_TRANSACTIONS WHERE {OF_NAME}");
    let log: Option<String> = db.query_row(&sql, params![format, gtrid, bqual], |row| row.get(0)).optional().unwrap();
    let log: Json = serde_json::from_str(&log?).unwrap();
    Some(log.as_array().unwrap().iter().map(Entry::of_json).collect())
}

fn forget(db: &Connection, Name(format, gtrid, bqual): &Name) {
    let sql = format!("DELETE FROM DBA_PENDING_TRANSACTIONS WHERE {OF_NAME}");
    db.execute(&sql, params![format, gtrid, bqual]).unwrap();
}

impl DoubleSession {
    /// Calls a function of the package.
    pub(super) fn xa(&mut self, state: &mut State, block: &str, binds: &[Bind]) -> Result<i64, Failure> {
        let call = block.strip_prefix("BEGIN :1 := DBMS_XA.").and_then(|rest| rest.split_once('('));
        let (function, rest) = call.unwrap_or_else(|| panic!("not a call of DBMS_XA: {block}"));
        match function {
            "XA_SETTIMEOUT" | "XA_GETLASTOER" => return Ok(0),
            _ => {}
        }
        let name = Name::of(binds);
        match function {
            "XA_START" => {
                assert!(rest.contains("DBMS_XA.TMNOFLAGS"));
                if self.branch.is_some() {
                    return Ok(XAER_PROTO);
                }
                if !self.local.is_empty() {
                    return Ok(XAER_OUTSIDE);
                }
                if state.branches.contains_key(&name) || log_of(&state.db, &name).is_some() {
                    return Ok(XAER_DUPID);
                }
                state.branches.insert(name.clone(), Branch { log: Vec::new(), is_active: true });
                self.branch = Some(name);
                Ok(XA_OK)
            }
            "XA_END" => {
                assert!(rest.contains("DBMS_XA.TMSUCCESS"));
                match state.branches.get_mut(&name) {
                    Some(branch) if self.branch.as_ref() == Some(&name) => {
                        branch.is_active = false;
                        self.branch = None;
                        Ok(XA_OK)
                    }
                    Some(_) => Ok(XAER_PROTO),
                    None => Ok(XAER_NOTA),
                }
            }
            "XA_PREPARE" => Ok(self.prepare(state, &name)),
            "XA_COMMIT" => self.complete(state, &name, rest.contains("TRUE")),
            "XA_ROLLBACK" => Ok(self.abort(state, &name)),
            "XA_FORGET" => {
                state.forced.remove(&name);
                forget(&state.db, &name);
                Ok(XA_OK)
            }
            other => panic!("DBMS_XA.{other}"),
        }
    }

    fn prepare(&mut self, state: &mut State, name: &Name) -> i64 {
        let Some(branch) = state.branches.get(name) else { return XAER_NOTA };
        if branch.is_active {
            return XAER_PROTO;
        }
        let log = state.branches.remove(name).unwrap().log;
        // Branches of one gtrid are tightly coupled: the last of them answers for all (Error Messages, OCI-24767; Development
        // Guide, Developing Applications with Oracle XA).
        let mut others = state.branches.iter_mut();
        if let Some((_, coupled)) = others.find(|(other, _)| other.0 == name.0 && other.1 == name.1) {
            coupled.log.extend(log);
            return XA_RDONLY;
        }
        if log.is_empty() {
            self.unlock(state);
            return XA_RDONLY;
        }
        let log = log.iter().map(Entry::to_json).collect::<Json>().to_string();
        let Name(format, gtrid, bqual) = name;
        let sql = "INSERT INTO DBA_PENDING_TRANSACTIONS (FORMATID, GLOBALID, BRANCHID, LOG) VALUES (?1, ?2, ?3, ?4)";
        state.db.execute(sql, params![format, gtrid, bqual, log]).unwrap();
        self.unlock(state);
        XA_OK
    }

    fn complete(&mut self, state: &mut State, name: &Name, one_phase: bool) -> Result<i64, Failure> {
        if one_phase {
            let Some(branch) = state.branches.get(name) else { return Ok(XAER_NOTA) };
            if branch.is_active {
                return Ok(XAER_PROTO);
            }
            let log = state.branches.remove(name).unwrap().log;
            let done = commit(&state.db, &log);
            self.unlock(state);
            return Ok(if done.is_ok() { XA_OK } else { XA_RBINTEGRITY });
        }
        if let Some(code) = state.forced.get(name) {
            return Ok(*code);
        }
        // The commit and the end of the branch are one.
        value::batch(&state.db, "BEGIN IMMEDIATE")?;
        let Some(log) = log_of(&state.db, name) else {
            value::batch(&state.db, "ROLLBACK")?;
            return Ok(if state.branches.contains_key(name) { XAER_PROTO } else { XAER_NOTA });
        };
        for entry in &log {
            super::run(&state.db, entry)?;
        }
        forget(&state.db, name);
        value::batch(&state.db, "COMMIT")?;
        Ok(XA_OK)
    }

    fn abort(&mut self, state: &mut State, name: &Name) -> i64 {
        if let Some(code) = state.forced.get(name) {
            return *code;
        }
        if let Some(branch) = state.branches.get(name) {
            if branch.is_active {
                return XAER_PROTO;
            }
            state.branches.remove(name);
            self.unlock(state);
            return XA_OK;
        }
        match log_of(&state.db, name) {
            Some(_) => {
                forget(&state.db, name);
                XA_OK
            }
            None => XAER_NOTA,
        }
    }
}
