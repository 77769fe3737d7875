//! Explicit values for columns that a sequence numbers (identity, serial). The server does not advance the sequence past
//! them, so that a later default value would collide with one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use log::warn;

use super::connector::PostgresConnection;
use super::database::Postgres;
use super::described::{Sequence, sequence, server_type};
use super::options::Identity;
use crate::backend::Table;
use crate::backend::{Change, WriteSpec};
use crate::error::{ErrorKind, Result};
use crate::sql::quote;

/// The columns of a write that sequences number, and the largest value written to each.
#[derive(Debug)]
pub(super) struct Sequences {
    table: String,
    columns: Vec<Numbered>,
}

#[derive(Debug)]
struct Numbered {
    /// The column of the stream.
    index: usize,
    name: String,
    sequence: Sequence,
    furthest: AtomicI64,
}

impl Sequences {
    /// The sequences of a write or a change.
    pub(super) fn of(table: &Table, spec: &WriteSpec, change: Option<&Arc<Change>>) -> Result<Self> {
        let written: Vec<(&String, usize)> = match change {
            Some(change) => change.assigned().map(|(name, staged)| (name, *staged)).collect(),
            None => spec.columns.fields().iter().map(|field| field.name()).zip(0..).collect(),
        };
        let mut columns: Vec<Numbered> = Vec::new();
        for (name, index) in written {
            let Some(column) = table.column(name) else { continue };
            let is_number = server_type(column)?.codec.is_number();
            let is_known = columns.iter().any(|known| (&known.name, known.index) == (name, index));
            if let (true, false, Some(sequence)) = (is_number, is_known, sequence(column)?) {
                let furthest = AtomicI64::new(sequence.before_all());
                columns.push(Numbered { index, name: name.clone(), sequence: sequence.clone(), furthest });
            }
        }
        Ok(Self { table: table.name.clone(), columns })
    }

    /// Records the values of rows that are written.
    pub(super) fn note(&self, rows: &RecordBatch) {
        for column in &self.columns {
            column.note(rows.column(column.index));
        }
    }

    /// Advances the sequences past the written values, or warns about those that are behind.
    pub(super) async fn follow(&self, database: &Postgres, connection: &mut PostgresConnection) -> Result<()> {
        for column in &self.columns {
            let (value, name) = (column.furthest.load(Relaxed), &column.sequence.name);
            if value == column.sequence.before_all() {
                continue;
            }
            if database.identity == Identity::Advance {
                let _alone = database.moves_sequences.acquire().await;
                let moved = database.execute(connection, column.sequence.advance(value)).await;
                moved.map_err(|error| match error.kind() {
                    ErrorKind::Access => {
                        let user = quote(database.options().connect.get_username());
                        let grant = format!("GRANT SELECT, UPDATE ON SEQUENCE {name} TO {user}");
                        error.with_context(format!("advancing a sequence (requires {grant})"))
                    }
                    _ => error.with_context(format!("advancing the sequence {name}")),
                })?;
            } else if !database.said_behind.contains(name) {
                let asked = sqlx::query_scalar(sqlx::AssertSqlSafe(column.sequence.is_behind(value)));
                let (pid, conn) = connection.parts();
                let is_behind: Option<bool> = database.answer(pid, "SELECT", asked.fetch_optional(conn)).await?;
                if is_behind == Some(true) && database.said_behind.insert(name.clone()) {
                    warn!(
                        "table {}: column \"{}\" was written with values up to {value}, but the column's sequence has \
                         not reached this value, so a later default value will collide with a written value: run \
                         SELECT setval('{}', {value}), or set the option 'identity' to 'advance'",
                        self.table,
                        column.name,
                        name.replace('\'', "''")
                    );
                }
            }
        }
        Ok(())
    }
}

impl Numbered {
    fn note(&self, values: &ArrayRef) {
        // Values that are not 64-bit integers cannot come from a sequence.
        let Ok(numbers) = cast(values, &DataType::Int64) else { return };
        let numbers = numbers.as_primitive::<Int64Type>();
        match self.sequence.descends {
            true => min(numbers).map(|least| self.furthest.fetch_min(least, Relaxed)),
            false => max(numbers).map(|most| self.furthest.fetch_max(most, Relaxed)),
        };
    }
}

/// Maximum numbers that are drawn with nextval one by one.
const DRAWS: u32 = 1_000;

impl Sequence {
    /// A value before every number of the sequence.
    fn before_all(&self) -> i64 {
        if self.descends { i64::MAX } else { i64::MIN }
    }

    fn literal(&self) -> String {
        format!("'{}'::regclass", self.name.replace('\'', "''"))
    }

    /// Advances the sequence to a number, unless it has passed it. Other sessions draw from it meanwhile, and a sequence
    /// cannot be locked. A short distance is drawn with nextval, because setval could set a number that they have drawn.
    fn advance(&self, value: i64) -> String {
        format!(
            "SELECT CASE WHEN m.draws <= {DRAWS} AND m.at + m.draws * m.step BETWEEN m.least AND m.most \
                 THEN (SELECT max(nextval({name})) FROM generate_series(1, m.draws::bigint)) \
                 ELSE setval({name}, m.value) END \
             FROM ( \
                 SELECT r.value, s.last_value AS at, q.seqincrement AS step, q.seqmin AS least, q.seqmax AS most, \
                     floor((r.value::numeric - s.last_value) / q.seqincrement) + CASE WHEN s.is_called THEN 0 ELSE 1 END AS draws \
                 FROM {relation} AS s, pg_sequence AS q, LATERAL ( \
                     SELECT CASE WHEN q.seqincrement > 0 THEN least('{value}'::bigint, q.seqmax) \
                         ELSE greatest('{value}'::bigint, q.seqmin) END AS value) AS r \
                 WHERE q.seqrelid = {name}) AS m \
             WHERE m.draws > 0",
            name = self.literal(),
            relation = self.name,
        )
    }

    /// Whether the sequence will still return a number. Without the privilege to read it, assumes that it was never used.
    fn is_behind(&self, value: i64) -> String {
        format!(
            "SELECT CASE WHEN q.seqincrement > 0 THEN coalesce(l.last::numeric + q.seqincrement <= '{value}'::bigint, q.seqstart <= '{value}'::bigint) \
                 ELSE coalesce(l.last::numeric + q.seqincrement >= '{value}'::bigint, q.seqstart >= '{value}'::bigint) END \
             FROM pg_sequence AS q, LATERAL (SELECT CASE WHEN has_sequence_privilege(q.seqrelid, 'SELECT, USAGE') \
                 THEN pg_sequence_last_value(q.seqrelid) END AS last) AS l \
             WHERE q.seqrelid = {}",
            self.literal()
        )
    }
}
