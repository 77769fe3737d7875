//! One connection's open transaction: inserts encoded rows. It blocks; see [`branch`](super::branch).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arrow::array::RecordBatch;
use log::warn;
use rusqlite::{ffi, limits::Limit};

use super::catalog;
use super::change::Plan;
use super::encode::{BoundRows, Encoder};
use super::existing::{ExistingRows, Wanted};
use super::indexes::{Dropped, build_indexes, drop_indexes};
use super::open::Open;
use super::statement::Statement;
use crate::backend::{Change, Existing, WriteSpec};
use crate::error::{Error, Result};
use crate::options::{Indexes, OnConflict};
use crate::sql::{DUPLICATE_KEY, Savepoint, SentRows, Targets, insert_into, other_key, quote, shown_names, suppressed};

/// The numbers of rows of one INSERT statement, tried in this order, because several rows share the cost of a statement.
const STATEMENT_ROWS: [usize; 3] = [64, 8, 1];

/// The rows of the first slice from which on the indexes are built after them. For fewer rows, that would not pay.
const MANY_ROWS: usize = 8_192;

/// FAIL keeps the rows before a refused one: the whole transaction is rolled back anyway, and SQLite needs no journal for
/// the single statement.
const VERB: &str = "INSERT OR FAIL INTO";

/// An open transaction. Dropping it rolls it back.
#[derive(Debug)]
pub(super) struct Writer {
    open: Open,
    spec: WriteSpec,
    statements: Vec<(usize, String)>,
    counting: Counting,
    existing: Option<ExistingRows>,
    change: Option<Plan>,
    /// The indexes that are built after the rows.
    dropped: Option<Dropped>,
    rows: u64,
    not_stored: u64,
    savepoint: Savepoint,
}

/// Which rows SQLite counts as changed by a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    EveryRow,
    /// Rows that are stored, without those that are ignored or that a trigger suppresses.
    Stored,
    /// None, because triggers write the rows of a view, and an upsert without a column to set does nothing for an existing row.
    None,
}

impl Counting {
    fn of(is_view: bool, has_triggers: bool, statements: &[(usize, String)], on_conflict: OnConflict) -> Self {
        let does_nothing = statements.iter().any(|(_, sql)| sql.ends_with("DO NOTHING"));
        match on_conflict {
            _ if is_view => Self::None,
            OnConflict::Ignore => Self::Stored,
            _ if does_nothing => Self::None,
            _ if has_triggers => Self::Stored,
            _ => Self::EveryRow,
        }
    }
}

impl Writer {
    /// Begins a statement of an open transaction, and returns the encoders for the table as described inside it. After an
    /// error, the transaction stays where it was.
    pub(super) fn begin(
        transaction: &mut Option<Open>,
        spec: WriteSpec,
        change: Option<&Arc<Change>>,
    ) -> Result<(Self, Targets<Encoder>)> {
        let ended = || Error::internal("the transaction has ended");
        let open = transaction.as_ref().ok_or_else(ended)?;
        let (database, connection) = (&open.database, &open.lease.connection);
        if let Some(new) = &spec.create {
            database.create_in(connection, new)?;
        }
        let table = catalog::describe(connection, &spec.table).map_err(|error| database.error(error))?;
        let table = table
            .ok_or_else(|| Error::schema(format!("table {} no longer exists: create the table again", spec.table)))?;
        let (change, table, spec, names) = match change {
            Some(change) => {
                let (plan, stage, spec) = {
                    let upserts = catalog::upserts(connection, &table).map_err(|error| database.error(error))?;
                    Plan::of(&table, &spec, change, upserts)?
                };
                (Some(plan), stage, spec, shown_names(change).collect())
            }
            None => (None, table, spec, Vec::new()),
        };
        let encoder = Targets::try_new(&table, &spec, Encoder::try_new)?.named(names.into_iter());
        let has_triggers = catalog::has_triggers(connection, &table.name).map_err(|error| database.error(error))?;
        let is_view = catalog::is_view(connection, &table.name).map_err(|error| database.error(error))?;
        let existing = ExistingRows::of(&table, &spec)?;
        let parameters =
            connection.limit(Limit::SQLITE_LIMIT_VARIABLE_NUMBER).map_err(|error| database.error(error))?;
        let columns = spec.columns.fields().len();
        let statements: Vec<(usize, String)> = STATEMENT_ROWS
            .into_iter()
            .filter(|rows| *rows == 1 || rows * columns <= usize::try_from(parameters).unwrap_or_default())
            .map(|rows| (rows, insert_into(VERB, &table, &spec, rows)))
            .collect();
        if spec.existing != Existing::Keep {
            connection
                .execute_batch(&format!("DELETE FROM {}", quote(&table.name)))
                .map_err(|error| database.error(error).with_context("deleting the old rows"))?;
        }
        if let Some(first) = change.as_ref().and_then(|change| change.first.as_deref()) {
            let made = connection.execute_batch(first).map_err(|error| database.error(error));
            made.map_err(|error| error.with_context("creating the staging table"))?;
        }
        let counting = match &change {
            Some(_) => Counting::EveryRow,
            None => Counting::of(is_view, has_triggers, &statements, spec.on_conflict),
        };
        let open = transaction.take().ok_or_else(ended)?;
        let (rows, not_stored) = (0, 0);
        let savepoint = Savepoint::new("SAVEPOINT landfall", "RELEASE landfall; SAVEPOINT landfall");
        let dropped = None;
        let writer = Self { open, spec, statements, counting, existing, change, dropped, rows, not_stored, savepoint };
        Ok((writer, encoder))
    }

    /// The number of inserted rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// How existing rows are read, if they are compared.
    pub(super) fn existing(&self) -> Option<&ExistingRows> {
        self.existing.as_ref()
    }

    /// Whether something must be done when all rows are inserted.
    pub(super) fn changes(&self) -> bool {
        self.change.is_some() || self.dropped.is_some()
    }

    /// Builds the indexes that were dropped, and applies the change. After an error, the transaction must be rolled back.
    pub(super) fn apply(&mut self) -> Result<()> {
        if let Some(dropped) = self.dropped.take() {
            let began = Instant::now();
            let built = build_indexes(&self.open.lease.connection, dropped);
            self.spec.stats.add_send(began.elapsed());
            let built = built.map_err(|error| self.open.database.error(error));
            built.map_err(|error| error.with_context("building the indexes after the rows"))?;
        }
        match &self.change {
            Some(change) => change.apply(&self.open.database, &mut self.open.lease.connection),
            None => Ok(()),
        }
    }

    /// Reads existing rows; `None` if they are not compared.
    pub(super) fn read(&self, wanted: &Wanted, abandoned: &AtomicBool) -> Result<Option<RecordBatch>> {
        let Some(existing) = &self.existing else { return Ok(None) };
        let columns = existing.read(&self.open.lease.connection, wanted, abandoned);
        existing.batch(columns.map_err(|error| self.open.database.error(error))?).map(Some)
    }

    /// Drops the indexes of the table before its first rows, if they are many, and building the indexes after them is requested.
    fn drop_indexes(&mut self, first: usize) -> Result<()> {
        if self.spec.indexes != Indexes::Rebuild || self.rows > 0 || first < MANY_ROWS {
            return Ok(());
        }
        let dropped = drop_indexes(&self.open.lease.connection, &self.spec.table);
        let dropped = dropped.map_err(|error| self.open.database.error(error));
        self.dropped =
            dropped.map_err(|error| error.with_context("dropping the indexes before the rows are written"))?;
        Ok(())
    }

    /// Inserts all slices of rows. After an error, the transaction must be rolled back.
    pub(super) fn insert_all(&mut self, slices: impl Iterator<Item = BoundRows>) -> Result<()> {
        let mut slices = slices.peekable();
        self.drop_indexes(slices.peek().map_or(0, |first| first.count))?;
        let prepare =
            |(size, sql): &(usize, String)| Ok((*size, Statement::prepare(&self.open.lease.connection, sql)?));
        let statements: rusqlite::Result<Vec<_>> = self.statements.iter().map(prepare).collect();
        let mut statements = statements.map_err(|error| self.open.database.error(error))?;
        for rows in slices {
            let began = Instant::now();
            let (mut row, mut not_stored) = (0, 0);
            for (size, statement) in &mut statements {
                while rows.count - row >= *size {
                    let cells =
                        (row..row + *size).flat_map(|row| rows.columns.iter().map(move |column| column.value(row)));
                    statement.execute(cells).map_err(|error| self.refused(error, self.rows + row as u64 + 1, *size))?;
                    if self.counting == Counting::Stored {
                        not_stored += (*size as u64).saturating_sub(self.open.lease.connection.changes());
                    }
                    row += *size;
                }
            }
            self.rows += rows.count as u64;
            self.spec.stats.add_send(began.elapsed());
            self.spec.stats.add_sent(rows.count as u64, rows.bytes() as u64);
            self.not_stored += not_stored;
        }
        Ok(())
    }

    /// Inserts slices of rows after a savepoint. Returns the error of a row that SQLite refuses, after it rolled back to the
    /// savepoint. After another error, the transaction must be rolled back.
    pub(super) fn attempt(&mut self, slices: Vec<BoundRows>) -> Result<Option<Error>> {
        if let Some(set) = self.savepoint.set(SentRows { sent: self.rows, not_stored: self.not_stored }) {
            let set = self.open.lease.connection.execute_batch(set);
            set.map_err(|error| self.open.database.error(error))?;
        }
        let refused = match self.insert_all(slices.into_iter()) {
            Ok(()) => return Ok(None),
            Err(error) if error.is_of_a_row() => error,
            Err(error) => return Err(error),
        };
        // A trigger may have rolled the whole transaction back.
        if self.open.lease.connection.execute_batch(Savepoint::ROLLBACK).is_err() {
            return Err(refused);
        }
        SentRows { sent: self.rows, not_stored: self.not_stored } = self.savepoint.rolled_back();
        Ok(Some(refused))
    }

    /// Adds the number of the refused row. INSERT OR FAIL keeps the rows before it, so their number identifies it.
    fn refused(&self, error: rusqlite::Error, first: u64, size: usize) -> Error {
        // Foreign keys are checked for the whole statement, and a trigger may undo or skip rows.
        let of_a_row = matches!(
            error.sqlite_error().map(|error| error.extended_code),
            Some(
                ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    | ffi::SQLITE_CONSTRAINT_ROWID
                    | ffi::SQLITE_CONSTRAINT_UNIQUE
                    | ffi::SQLITE_CONSTRAINT_NOTNULL
                    | ffi::SQLITE_CONSTRAINT_CHECK
                    | ffi::SQLITE_CONSTRAINT_DATATYPE
            )
        );
        let (first, last) = match self.counting {
            Counting::EveryRow if of_a_row && size > 1 => {
                let row = first + self.open.lease.connection.changes();
                (row, row)
            }
            _ => (first, first + size as u64 - 1),
        };
        if of_a_row && let Some(change) = self.change.as_ref().filter(|change| change.has_key()) {
            return change.refused(error).in_rows(first, last, "");
        }
        let error = self.open.database.error(error);
        let error = match self.spec.on_conflict {
            OnConflict::Error => error,
            _ => error.reworded(DUPLICATE_KEY, other_key(&self.spec, "another unique index")),
        };
        error.in_rows(first, last, "")
    }

    /// Ends the statement.
    pub(super) fn end(self) -> Open {
        self.spec.stats.add_not_stored(self.not_stored);
        if self.not_stored > 0 && self.spec.on_conflict != OnConflict::Ignore {
            let (table, rows) = (&self.spec.table, self.not_stored);
            warn!("{}", suppressed(table, rows, "a trigger"));
        }
        self.open
    }
}
