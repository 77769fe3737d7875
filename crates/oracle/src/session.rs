//! A session of an Oracle server: the few calls that the backend needs of a driver.

use std::fmt;
use std::ops::ControlFlow;

use arrow::array::RecordBatch;

/// A value that is bound to a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Bind {
    /// A NUMBER.
    Integer(i64),
    /// A BINARY_DOUBLE.
    Double(f64),
    /// A VARCHAR2.
    Text(String),
    /// A RAW.
    Bytes(Vec<u8>),
}

/// A value of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// NULL.
    Null,
    /// A NUMBER in decimal notation, without exponent.
    Number(String),
    /// A BINARY_FLOAT.
    Float(f32),
    /// A BINARY_DOUBLE.
    Double(f64),
    /// A text, also of a CLOB.
    Text(String),
    /// A RAW or a BLOB.
    Bytes(Vec<u8>),
    /// A BOOLEAN.
    Boolean(bool),
    /// A DATE or a TIMESTAMP without time zone: seconds since 1970 in the proleptic Gregorian calendar, and nanoseconds.
    Timestamp(i64, u32),
}

/// The failure of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The number of the server's error: 1 for ORA-00001. `None` if the server has not answered.
    pub code: Option<u32>,
    /// The text of the server or of the driver.
    pub message: String,
    /// Whether the session can no longer be used. The server rolls its transaction back.
    pub is_lost: bool,
}

impl Failure {
    /// An error that the server reports.
    pub fn of_server(code: u32, message: impl Into<String>) -> Self {
        Self { code: Some(code), message: message.into(), is_lost: is_lost(code) }
    }

    /// A connection that was lost, or not established.
    pub fn lost(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), is_lost: true }
    }

    /// A failure of the driver before it has sent anything.
    pub fn of_driver(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), is_lost: false }
    }
}

/// Whether the server has ended the session with this error.
fn is_lost(code: u32) -> bool {
    matches!(code, 28 | 600 | 1012 | 1033 | 1034 | 1041 | 1089 | 1090 | 1092 | 2396 | 3106 | 3113 | 3114 | 3135)
        || (12_150..=12_699).contains(&code)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A session of the server. Its calls block. Nothing is committed but by [`Session::commit`], by a statement of DDL, and by
/// `DBMS_XA`. Dropping it closes the connection, and the server rolls back.
///
/// Statements have placeholders `:1`, `:2` …, each once and in this order.
pub trait Session: Send {
    /// Runs a statement that is no query. Returns the number of rows that it affected.
    ///
    /// # Errors
    /// The server's or the driver's failure.
    fn execute(&mut self, sql: &str, binds: &[Bind]) -> Result<u64, Failure>;

    /// Runs a statement once for each row, in one round trip, with a column for each placeholder. Returns the number of rows
    /// that all of them affected. If a row fails, the rows before it stay written.
    ///
    /// # Errors
    /// As of [`Session::execute`].
    fn execute_batch(&mut self, sql: &str, rows: &RecordBatch) -> Result<u64, Failure>;

    /// Runs a PL/SQL block whose first placeholder is an integer that it returns; the others are `binds`.
    ///
    /// # Errors
    /// As of [`Session::execute`].
    fn call(&mut self, block: &str, binds: &[Bind]) -> Result<i64, Failure>;

    /// Runs a query, and passes its rows to `each` until it breaks. About `fetch` rows are fetched at a time.
    ///
    /// # Errors
    /// As of [`Session::execute`].
    fn query(
        &mut self,
        sql: &str,
        binds: &[Bind],
        fetch: usize,
        each: &mut dyn FnMut(Vec<Datum>) -> ControlFlow<()>,
    ) -> Result<(), Failure>;

    /// Commits the local transaction.
    ///
    /// # Errors
    /// As of [`Session::execute`].
    fn commit(&mut self) -> Result<(), Failure>;

    /// Rolls the local transaction back.
    ///
    /// # Errors
    /// As of [`Session::execute`].
    fn rollback(&mut self) -> Result<(), Failure>;

    /// Asks the server for an answer.
    ///
    /// # Errors
    /// As of [`Session::execute`].
    fn ping(&mut self) -> Result<(), Failure>;

    /// Ends the session.
    fn close(self: Box<Self>);
}

/// Opens sessions.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Opens a session. It blocks.
    ///
    /// # Errors
    /// The server's or the driver's failure.
    fn connect(&self) -> Result<Box<dyn Session>, Failure>;
}
