//! A prepared INSERT whose texts and blobs SQLite reads in place, without copying them.
//!
//! rusqlite makes SQLite copy every bound text, on the hottest path. Here, texts are bound as `SQLITE_STATIC`: SQLite keeps
//! the pointer. This file is the only unsafe one of the crate. It is sound because:
//!
//! 1. A statement is used only while its connection is open, because it borrows the connection.
//! 2. SQLite reads bound memory only inside `sqlite3_step` (and in `expanded_sql` and trace hooks, which are not
//!    used). [`Statement::execute`] binds every parameter anew and steps to the end while it borrows the values;
//!    before that a step is impossible, afterwards the statement is reset.
//! 3. What `sqlite3_step` keeps after it returns (rows, temporary tables) are copies; `reset`, rebinding and `finalize`
//!    of a static value do not touch its memory.
//!
//! The tests below run without errors under valgrind: `valgrind <unit test program> sqlite::statement`.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result, ffi};

/// A statement that returns no rows.
#[derive(Debug)]
pub(super) struct Statement<'c> {
    raw: NonNull<ffi::sqlite3_stmt>,
    parameters: i32,
    connection: &'c Connection,
}

impl<'c> Statement<'c> {
    pub(super) fn prepare(connection: &'c Connection, sql: &str) -> Result<Self> {
        let length = i32::try_from(sql.len()).map_err(|_| failure(ffi::SQLITE_TOOBIG, None))?;
        let mut raw = ptr::null_mut();
        // SAFETY: the handle is open for as long as `connection` is borrowed; `sql` has `length` bytes.
        let code = unsafe {
            let flags = ffi::SQLITE_PREPARE_PERSISTENT;
            let db = connection.handle();
            ffi::sqlite3_prepare_v3(db, sql.as_ptr().cast(), length, flags, &mut raw, ptr::null_mut())
        };
        match NonNull::new(raw) {
            // SAFETY: the statement was prepared just now.
            Some(raw) if code == ffi::SQLITE_OK => {
                Ok(Self { raw, parameters: unsafe { ffi::sqlite3_bind_parameter_count(raw.as_ptr()) }, connection })
            }
            _ => Err(last_error(connection)),
        }
    }

    /// Binds all parameters and runs the statement to its end. The values are needed only until this returns.
    ///
    /// # Errors
    /// Errors of SQLite; `SQLITE_RANGE` if the number of values differs from the number of parameters.
    pub(super) fn execute<'v>(&mut self, values: impl Iterator<Item = ValueRef<'v>>) -> Result<()> {
        let statement = self.raw.as_ptr();
        let mut bound = 0;
        for value in values {
            bound += 1;
            // SAFETY: the statement is reset, so it can be bound. Pointers and lengths are of slices that live
            // until this function returns, and no step happens after that without another binding (point 2).
            let code = unsafe {
                match value {
                    ValueRef::Null => ffi::sqlite3_bind_null(statement, bound),
                    ValueRef::Integer(value) => ffi::sqlite3_bind_int64(statement, bound, value),
                    ValueRef::Real(value) => ffi::sqlite3_bind_double(statement, bound, value),
                    ValueRef::Text(text) => ffi::sqlite3_bind_text64(
                        statement,
                        bound,
                        text.as_ptr().cast(),
                        text.len() as u64,
                        ffi::SQLITE_STATIC(),
                        ffi::SQLITE_UTF8 as u8,
                    ),
                    ValueRef::Blob(blob) => ffi::sqlite3_bind_blob64(
                        statement,
                        bound,
                        blob.as_ptr().cast(),
                        blob.len() as u64,
                        ffi::SQLITE_STATIC(),
                    ),
                }
            };
            if code != ffi::SQLITE_OK {
                return Err(last_error(self.connection));
            }
        }
        if bound != self.parameters {
            return Err(failure(ffi::SQLITE_RANGE, Some("not every parameter has a value".into())));
        }
        // SAFETY: every parameter was bound above, to memory that lives until this function returns.
        let code = unsafe { ffi::sqlite3_step(statement) };
        let result = match code {
            ffi::SQLITE_DONE => Ok(()),
            ffi::SQLITE_ROW => Err(Error::ExecuteReturnedResults),
            _ => Err(last_error(self.connection)),
        };
        // SAFETY: a statement can be reset at any time. Its code repeats what the step said.
        unsafe { ffi::sqlite3_reset(statement) };
        result
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: it was prepared, is finalized once, and its connection is still borrowed.
        unsafe { ffi::sqlite3_finalize(self.raw.as_ptr()) };
    }
}

fn last_error(connection: &Connection) -> Error {
    // SAFETY: the handle is open; the message is copied before anything else is called on it.
    unsafe {
        let db = connection.handle();
        let message = std::ffi::CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned();
        failure(ffi::sqlite3_extended_errcode(db), Some(message))
    }
}

fn failure(code: i32, message: Option<String>) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::types::Value;

    use super::*;

    fn table() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (a, b UNIQUE, c CHECK (c <> 'bad'))").unwrap();
        db
    }

    #[test]
    fn an_error_has_its_code_and_text_and_the_statement_goes_on() {
        let db = table();
        let mut insert = Statement::prepare(&db, "INSERT INTO t VALUES (?, ?, ?)").unwrap();
        let row = |key, c: &'static str| [ValueRef::Null, ValueRef::Integer(key), ValueRef::Text(c.as_bytes())];
        insert.execute(row(1, "x").into_iter()).unwrap();
        let error = insert.execute(row(1, "x").into_iter()).unwrap_err();
        assert_eq!(error.sqlite_error().unwrap().extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE);
        assert!(error.to_string().contains("t.b"), "{error}");
        assert!(insert.execute(row(2, "bad").into_iter()).is_err());
        assert!(insert.execute(row(3, "x").into_iter().take(2)).is_err(), "a parameter without a value");
        insert.execute(row(4, "y").into_iter()).unwrap();
        let rows: i64 = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
        assert!(Statement::prepare(&db, "INSERT INTO nowhere VALUES (1)").is_err());
        assert!(Statement::prepare(&db, "").is_err());
    }

    #[test]
    fn what_is_inserted_outlives_what_was_bound() {
        // Covers each copy that SQLite makes later: an index, a trigger through a temporary table, an upsert.
        let db = table();
        db.execute_batch(
            "CREATE TABLE log (x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.a || NEW.b); \
             END; CREATE INDEX i ON t (c)",
        )
        .unwrap();
        proptest!(|(rows: Vec<(Option<String>, Vec<u8>, Option<f64>)>)| {
            db.execute_batch("DELETE FROM t; DELETE FROM log").unwrap();
            let sql = "INSERT INTO t VALUES (?, ?, ?), (?, ?, ?) ON CONFLICT (b) DO UPDATE SET a = excluded.a";
            let mut insert = Statement::prepare(&db, sql).unwrap();
            for (text, blob, number) in &rows {
                // Copies that are gone, and overwritten, when the statement is used again.
                let (mut text, mut blob) = (text.clone().map(String::into_bytes), blob.clone());
                let value = |text: &'static str| ValueRef::Text(text.as_bytes());
                insert.execute([
                    text.as_deref().map_or(ValueRef::Null, ValueRef::Text),
                    ValueRef::Blob(&blob),
                    number.map_or(ValueRef::Null, ValueRef::Real),
                    value("fixed"), value("key"), value(""),
                ].into_iter()).unwrap();
                blob.fill(0xAA);
                if let Some(text) = &mut text { text.fill(b'#') }
            }
            for (text, blob, _) in &rows {
                let last = rows.iter().rfind(|row| row.1 == *blob).unwrap();
                let found: Value = db.query_row("SELECT a FROM t WHERE b = ?", [blob], |row| row.get(0)).unwrap();
                prop_assert_eq!(found, last.0.clone().map_or(Value::Null, Value::Text));
                let _ = text;
            }
        });
    }
}
