//! A double of an Oracle server: what its authors believe from Oracle's manuals, and no proof of anything else.
//!
//! Its tables are in a SQLite file. A transaction is the list of its statements: each statement runs after those before it, on
//! what is committed, and is rolled back then; the commit runs all of them. So, any number of transactions are open at a time,
//! each sees what is committed (READ COMMITTED) and its own changes, and prepared branches survive the process. Rows are not
//! locked, but for the rows of the ledger: there, an INSERT of a key waits for the transaction that has inserted it.

mod catalog;
mod ddl;
mod translate;
mod value;
mod xa;

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion_landfall_oracle::session::{Bind, Connect, Datum, Failure, Session};
use rusqlite::Connection;
use serde_json::Value as Json;

use value::Value;
use xa::{Branch, Name};

/// The servers of the process, by file.
static SERVERS: LazyLock<Mutex<HashMap<PathBuf, Arc<Server>>>> = LazyLock::new(Mutex::default);

/// All statements that were run, in any test.
static STATEMENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The statements that were run so far, in any test of this process.
pub(crate) fn statements() -> BTreeSet<String> {
    STATEMENTS.lock().unwrap().clone()
}

/// A server.
#[derive(Debug)]
struct Server {
    state: Mutex<State>,
    changed: Condvar,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct State {
    db: Connection,
    /// Branches that are not prepared.
    branches: HashMap<Name, Branch>,
    /// The keys of the ledger that open transactions have inserted, with the number of the transaction.
    locks: HashMap<String, u64>,
    /// What a DBA has done to branches.
    forced: HashMap<Name, i64>,
    /// Whether the user lacks the privileges for two-phase commit.
    lacks_privileges: bool,
}

/// A statement of a transaction, with the rows of its binds.
#[derive(Debug, Clone)]
struct Entry {
    sql: String,
    rows: Vec<Vec<Value>>,
}

impl Entry {
    fn to_json(&self) -> Json {
        let rows = self.rows.iter().map(|row| row.iter().map(Value::to_json).collect::<Json>());
        serde_json::json!({ "sql": self.sql, "rows": rows.collect::<Json>() })
    }

    fn of_json(json: &Json) -> Self {
        let rows = json["rows"].as_array().unwrap().iter();
        let rows = rows.map(|row| row.as_array().unwrap().iter().map(Value::of_json).collect());
        Self { sql: json["sql"].as_str().unwrap().to_owned(), rows: rows.collect() }
    }
}

/// Opens sessions of the server whose tables are in a file.
#[derive(Debug, Clone)]
pub(crate) struct Double(Arc<Server>);

impl Double {
    pub(crate) fn open(file: &Path) -> Self {
        let mut servers = SERVERS.lock().unwrap();
        let server = servers.entry(file.to_owned()).or_insert_with(|| {
            let db = Connection::open(file).unwrap();
            db.busy_timeout(Duration::from_secs(20)).unwrap();
            catalog::create(&db);
            let state = State {
                db,
                branches: HashMap::new(),
                locks: HashMap::new(),
                forced: HashMap::new(),
                lacks_privileges: false,
            };
            Arc::new(Server { state: Mutex::new(state), changed: Condvar::new(), numbers: AtomicU64::new(1) })
        });
        Self(Arc::clone(server))
    }

    /// Creates a table, with Oracle's DDL.
    pub(crate) fn create(&self, ddl: &str) {
        ddl::create(&self.state().db, ddl).unwrap();
    }

    /// The rows of a query of SQLite, on what is committed.
    pub(crate) fn committed(&self, sql: &str) -> Vec<String> {
        let state = self.state();
        let mut statement = state.db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let texts = (0..columns).map(|index| {
                Ok(match row.get_ref(index)? {
                    rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
                })
            });
            Ok(texts.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
        });
        rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    /// Takes the privileges for two-phase commit away.
    pub(crate) fn revoke(&self) {
        self.state().lacks_privileges = true;
    }

    /// Makes the next completion of the only prepared branch answer this code, as after a DBA has completed it.
    pub(crate) fn force(&self, code: i64) {
        let mut state = self.state();
        let names = xa::prepared(&state.db);
        let [name] = &names[..] else { panic!("{} branches are prepared", names.len()) };
        state.forced.insert(name.clone(), code);
    }

    /// Completes the only prepared branch, as a DBA does: it is no longer pending, and its state is known.
    pub(crate) fn complete_by_hand(&self, state: &str) {
        let state_of = self.state();
        let moved = "INSERT INTO DBA_2PC_PENDING SELECT FORMATID || '.' || hex(GLOBALID), ?1, 'no' FROM DBA_PENDING_TRANSACTIONS";
        assert_eq!(state_of.db.execute(moved, [state]).unwrap(), 1);
        state_of.db.execute("DELETE FROM DBA_PENDING_TRANSACTIONS", []).unwrap();
    }

    /// The number of open branches that are not prepared.
    pub(crate) fn open_branches(&self) -> usize {
        self.state().branches.len()
    }

    /// The number of sessions that were opened.
    pub(crate) fn sessions(&self) -> u64 {
        self.0.numbers.load(Relaxed) - 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl Connect for Double {
    fn connect(&self) -> Result<Box<dyn Session>, Failure> {
        let number = self.0.numbers.fetch_add(1, Relaxed);
        Ok(Box::new(DoubleSession { server: Arc::clone(&self.0), number, local: Vec::new(), branch: None }))
    }
}

/// A session: with an open branch, or a local transaction.
struct DoubleSession {
    server: Arc<Server>,
    number: u64,
    local: Vec<Entry>,
    branch: Option<Name>,
}

/// Runs a statement once for each row. Returns the number of changed rows.
fn run(db: &Connection, entry: &Entry) -> Result<u64, Failure> {
    catalog::check_names(db, &entry.sql)?;
    let mut changed = 0;
    let merge = translate::merge(&entry.sql);
    for row in &entry.rows {
        changed += match &merge {
            Some((update, insert)) => {
                let updated = match update {
                    Some(update) => value::execute(db, update, row)?,
                    None => 0,
                };
                updated + if updated == 0 { value::execute(db, insert, row)? } else { 0 }
            }
            None => value::execute(db, &translate::statement(&entry.sql)?, row)?,
        };
    }
    Ok(changed)
}

/// The binds of a statement. An empty text is NULL.
fn values(binds: &[Bind]) -> Vec<Value> {
    let value = |bind: &Bind| match bind {
        Bind::Integer(value) => Value::Integer(*value),
        Bind::Double(value) => Value::Real(*value),
        Bind::Text(text) => Value::text(text),
        Bind::Bytes(bytes) => Value::bytes(bytes),
    };
    binds.iter().map(value).collect()
}

impl DoubleSession {
    /// The statements of the open transaction.
    fn log<'a>(&'a mut self, state: &'a mut State) -> &'a mut Vec<Entry> {
        match &self.branch {
            Some(name) => &mut state.branches.get_mut(name).expect("the branch of a session exists").log,
            None => &mut self.local,
        }
    }

    /// Runs work after the statements of the open transaction, and rolls all of it back.
    fn after_log<T>(
        &mut self,
        state: &mut State,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let log = self.log(state).clone();
        value::batch(&state.db, "BEGIN IMMEDIATE")?;
        let done = log.iter().try_for_each(|entry| run(&state.db, entry).map(drop)).and_then(|()| work(&state.db));
        value::batch(&state.db, "ROLLBACK")?;
        done
    }

    /// Waits until no other transaction has inserted this key into the ledger.
    fn lock<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        key: Option<String>,
    ) -> Result<MutexGuard<'a, State>, Failure> {
        let Some(key) = key else { return Ok(state) };
        while state.locks.get(&key).is_some_and(|owner| *owner != self.number) {
            let (waited, timeout) = self.server.changed.wait_timeout(state, Duration::from_secs(20)).unwrap();
            state = waited;
            if timeout.timed_out() {
                return Err(Failure::of_server(60, "ORA-00060: deadlock detected while waiting for resource"));
            }
        }
        state.locks.insert(key, self.number);
        Ok(state)
    }

    fn unlock(&self, state: &mut State) {
        state.locks.retain(|_, owner| *owner != self.number);
        self.server.changed.notify_all();
    }

    /// Runs a statement for its rows, and adds it to the open transaction.
    fn change(&mut self, sql: &str, rows: Vec<Vec<Value>>) -> Result<u64, Failure> {
        let server = Arc::clone(&self.server);
        let key = sql.starts_with("INSERT INTO landfall_ledger").then(|| format!("{:?}", &rows[0][..2]));
        let mut state = self.lock(server.state.lock().unwrap(), key)?;
        let entry = Entry { sql: sql.to_owned(), rows };
        let changed = self.after_log(&mut state, |db| run(db, &entry))?;
        if changed > 0 {
            self.log(&mut state).push(entry);
        }
        Ok(changed)
    }
}

impl Session for DoubleSession {
    fn execute(&mut self, sql: &str, binds: &[Bind]) -> Result<u64, Failure> {
        record(sql);
        let server = Arc::clone(&self.server);
        match sql.split_whitespace().next().unwrap_or_default() {
            "ALTER" if sql.starts_with("ALTER SESSION SET ") => Ok(0),
            // Two changes of the same rows at a time are not tested.
            "LOCK" => catalog::check_names(&server.state.lock().unwrap().db, sql).map(|()| 0),
            "CREATE" => {
                if self.branch.is_some() {
                    return Err(Failure::of_server(2089, "ORA-02089: COMMIT is not allowed in a subordinate session"));
                }
                self.commit()?;
                ddl::create(&server.state.lock().unwrap().db, sql).map(|()| 0)
            }
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" => self.change(sql, vec![values(binds)]),
            _ => Err(Failure::of_server(900, format!("ORA-00900: invalid SQL statement: {sql}"))),
        }
    }

    fn execute_batch(&mut self, sql: &str, rows: &RecordBatch) -> Result<u64, Failure> {
        record(sql);
        self.change(sql, value::rows(rows)?)
    }

    fn call(&mut self, block: &str, binds: &[Bind]) -> Result<i64, Failure> {
        record(block);
        let server = Arc::clone(&self.server);
        let mut state = server.state.lock().unwrap();
        if state.lacks_privileges {
            return Err(Failure::of_server(6550, "ORA-06550: PLS-00201: identifier 'DBMS_XA' must be declared"));
        }
        self.xa(&mut state, block, binds)
    }

    fn query(
        &mut self,
        sql: &str,
        binds: &[Bind],
        _: usize,
        each: &mut dyn FnMut(Vec<Datum>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        record(sql);
        let server = Arc::clone(&self.server);
        let rows = match catalog::constant(sql) {
            Some(row) => vec![row],
            None => {
                let mut state = server.state.lock().unwrap();
                if sql.contains(" SYS.DBA_") && state.lacks_privileges {
                    return Err(Failure::of_server(942, "ORA-00942: table or view does not exist"));
                }
                let (translated, binds) = (translate::statement(sql)?, values(binds));
                self.after_log(&mut state, |db| {
                    catalog::check_names(db, sql)?;
                    value::query(db, &translated, &binds)
                })?
            }
        };
        // A reader may write through another session.
        let _ = rows.into_iter().try_for_each(each);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.branch.is_some() {
            return Err(Failure::of_server(2089, "ORA-02089: COMMIT is not allowed in a subordinate session"));
        }
        let server = Arc::clone(&self.server);
        let mut state = server.state.lock().unwrap();
        let log = std::mem::take(&mut self.local);
        let done = commit(&state.db, &log);
        self.unlock(&mut state);
        done
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        let server = Arc::clone(&self.server);
        let mut state = server.state.lock().unwrap();
        if self.branch.is_some() {
            return Err(Failure::of_server(2074, "ORA-02074: cannot ROLLBACK in a distributed transaction"));
        }
        self.local.clear();
        self.unlock(&mut state);
        Ok(())
    }

    fn ping(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn close(self: Box<Self>) {}
}

impl Drop for DoubleSession {
    /// The server rolls back what is not prepared.
    fn drop(&mut self) {
        let server = Arc::clone(&self.server);
        let Ok(mut state) = server.state.lock() else { return };
        if let Some(name) = self.branch.take() {
            state.branches.remove(&name);
        }
        self.unlock(&mut state);
    }
}

/// Runs the statements of a transaction, and commits them.
fn commit(db: &Connection, log: &[Entry]) -> Result<(), Failure> {
    value::batch(db, "BEGIN IMMEDIATE")?;
    match log.iter().try_for_each(|entry| run(db, entry).map(drop)) {
        Ok(()) => value::batch(db, "COMMIT"),
        Err(failure) => {
            value::batch(db, "ROLLBACK")?;
            Err(failure)
        }
    }
}

fn record(sql: &str) {
    STATEMENTS.lock().unwrap().insert(sql.to_owned());
}
