//! What the server answers to a statement that writes rows: its errors and warnings, with the rows that they are about.

use mysql_async::prelude::Queryable;

use super::error::{DUPLICATE_ENTRY, row_in};
use super::row::text;
use super::statements::OTHER_KEY;
use super::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::sql::{self, TableName};

/// The session variable with the row of an error.
const ROW: &str = "@landfall_row";

impl Writer {
    /// Replaces the names of the staging table's columns, and of a table that is being created, in a message of the server.
    pub(super) fn with_names(&self, message: String) -> String {
        let message = self.new.iter().fold(message, |message, new| new.named(&message));
        let renamed = self.spec.columns.fields().iter().zip(&self.names);
        renamed.fold(message, |message, (field, name)| {
            ["'", "`"].iter().fold(message, |message, quote| {
                message.replace(&format!("{quote}{}{quote}", field.name()), &format!("{quote}{name}{quote}"))
            })
        })
    }

    /// The result of a statement that writes rows.
    pub(super) async fn accepted(&mut self, done: mysql_async::Result<()>, rows_before: u64) -> Result<()> {
        match done {
            Ok(()) => Ok(()),
            Err(error) => {
                let row = match &error {
                    mysql_async::Error::Server(error) => self.row_of(1, &error.message, rows_before).await,
                    _ => None,
                };
                let error = self.refused(error, row, rows_before);
                Err(self.open.database.pool.connector().with_holder(self.open.connection.conn.id(), error).await)
            }
        }
    }

    /// The row of a condition of the last statement. MariaDB counts the rows also where its message has no number. In a
    /// trigger, it counts those of the trigger's statement, whose message has the name of another table.
    async fn row_of(&mut self, condition: usize, message: &str, rows_before: u64) -> Option<u64> {
        if let Some(row) = row_in(message).or((self.rows == rows_before + 1).then_some(1)) {
            return Some(row);
        }
        let table = TableName::try_parse(&self.spec.table).ok()?.table;
        if !self.open.connection.server.flavor.counts_rows() || !message.contains(&format!("`{table}`")) {
            return None;
        }
        let (database, connection) = (&self.open.database, &mut self.open.connection);
        let get = format!("GET DIAGNOSTICS CONDITION {condition} {ROW} = ROW_NUMBER");
        database.execute(connection, &get).await.ok()?;
        let (id, conn) = (connection.conn.id(), &mut connection.conn);
        database.answer(id, "SELECT", conn.query_first(format!("SELECT {ROW}"))).await.ok()?
    }

    /// The error of a statement, with the row of the stream that the server names.
    fn refused(&self, mut error: mysql_async::Error, row: Option<u64>, rows_before: u64) -> Error {
        match &mut error {
            mysql_async::Error::Server(error) => error.message = self.with_names(std::mem::take(&mut error.message)),
            _ => return self.open.database.error(error),
        }
        let error = match (&self.guarded, &error) {
            (Some(keys), mysql_async::Error::Server(error)) if error.code == OTHER_KEY => {
                Error::new(ErrorKind::Constraint, sql::other_key(&self.spec, keys)).with_code(DUPLICATE_ENTRY)
            }
            _ => self.open.database.error(error),
        };
        self.at(error, row, rows_before)
    }

    /// Adds the row of the statement, or all its rows if it is unknown.
    fn at(&self, error: Error, row: Option<u64>, rows_before: u64) -> Error {
        match row.filter(|row| *row > 0 && rows_before + row <= self.rows) {
            Some(row) => error.in_rows(rows_before + row, rows_before + row, ""),
            None => error.in_rows(rows_before + 1, self.rows, ""),
        }
    }

    /// Checks that all rows were stored.
    pub(super) async fn check(&mut self, rows_before: u64) -> Result<()> {
        let stored = self.open.connection.conn.affected_rows();
        self.check_warnings(rows_before).await?;
        if self.spec.on_conflict == OnConflict::Error && stored != self.rows - rows_before {
            let sent = self.rows - rows_before;
            let error = format!(
                "table {} stored {stored} of {sent} rows, and the server reported no reason: check the triggers of the table, \
                 and the log of the server",
                self.spec.table
            );
            return Err(self.at(Error::new(ErrorKind::Database, error), None, rows_before));
        }
        Ok(())
    }

    /// Turns a warning into an error: with LOAD DATA LOCAL, the server reports errors as warnings only.
    pub(super) async fn check_warnings(&mut self, rows_before: u64) -> Result<()> {
        if self.open.connection.conn.get_warnings() > 0 {
            let warnings = self.open.database.rows(&mut self.open.connection, "SHOW WARNINGS", Vec::new()).await?;
            if warnings.is_empty() {
                let error = Error::new(
                    ErrorKind::Database,
                    "the server reported warnings, but SHOW WARNINGS returned none, so the server may have changed \
                     values, and the statement was not committed: run the statement again; if there is a proxy, \
                     connect directly to the server",
                );
                return Err(self.at(error, None, rows_before));
            }
            for (condition, warning) in (1..).zip(warnings) {
                let (code, message) = (text(&warning, 1)?, text(&warning, 2)?);
                let code = code.parse().unwrap_or(0);
                // Deprecated syntax, and statements that are unsafe for statement-based binary logs.
                if !matches!(code, 1287 | 1592 | 1681) {
                    let row = self.row_of(condition, &message, rows_before).await;
                    let message = self.with_names(message);
                    return Err(self.at(self.open.database.pool.connector().warned(code, message), row, rows_before));
                }
            }
        }
        Ok(())
    }
}
