//! What a change is in PostgreSQL: a table to stage rows in, and the statements that apply them.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use super::codec::Form;
use super::database::Postgres;
use super::described::{Relation, number_column, relation, staging};
use super::dialect::PostgresDialect;
use super::encode::Encoder;
use super::identity::{check_advance, check_identity};
use super::statements::Stage as Place;
use crate::backend::{Change, Operation, WriteSpec};
use crate::backend::{Detail, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{self, Native, RowCount, Stage, Step, TableName, Targets, quote, script, stage_columns};
use crate::txn::Xid;

/// The first version that has MERGE.
const MERGES: u32 = 150_000;

/// How a branch changes rows.
#[derive(Debug)]
pub(super) struct Plan {
    change: Arc<Change>,
    /// Before rows come: what is locked, and where they are staged.
    pub(super) lock: Option<String>,
    pub(super) create: Option<String>,
    /// When all of them are there.
    steps: Vec<Step>,
    /// Before the branch is prepared.
    pub(super) drop: Option<String>,
}

impl Plan {
    /// How a table's rows are changed by a server of that version; and the table that rows go to first, what is written
    /// there, and its encoders.
    pub(super) fn of(
        database: &Postgres,
        version: u32,
        xid: &Xid,
        table: &Table,
        spec: &WriteSpec,
        change: &Arc<Change>,
    ) -> Result<(Self, Table, WriteSpec, Targets<Encoder>)> {
        let relation = relation(table)?;
        let target = relation.name.quoted();
        let Place { name, create, on_commit, drop } = Place::of(xid, spec.protocol);
        let (columns, done) = stage_columns(table, change);
        let place = TableName::try_parse(&name)?;
        let detail = Detail::new(Relation::of_stage(place.clone()));
        let staged = sql::stage_table(table, change, &columns, name, &number_column(), detail)?;
        let spec = sql::stage_spec(spec, &staged);
        let targets = database.targets(&staged, &spec)?.named(sql::shown_names(change));
        let (mut declared, mut casts) = (Vec::new(), Vec::new());
        for (column, encoder) in staged.columns.iter().zip(targets.encoders()) {
            let (name, staging) = (quote(&column.name), staging(column)?);
            match encoder.form() {
                Form::Text => declared.push(format!("{name} text")),
                Form::Binary => declared.push(format!("{name} {}{}", staging.cast, staging.collate)),
            }
            casts.push((encoder.form() == Form::Text).then(|| staging.cast.clone()));
        }
        let is_joined = change.is_joined_at_server();
        let native = Native(is_joined && relation.is_table && version >= MERGES);
        // Statements that follow each other must find the same rows.
        let is_locked = change.lock.is_some() || is_joined && native == Native(false);
        let lock = is_locked.then(|| format!("LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE"));
        if is_joined && native == Native(false) {
            declared.push(format!("{} bigint", quote(&done)));
        }
        let has_stage = !change.staged.is_empty();
        let create = has_stage.then(|| format!("{create} {} ({}){on_commit}", place.quoted(), declared.join(", ")));
        let stage = Stage { name: place.quoted(), columns, casts, done };
        let steps = match change.operation {
            Operation::Truncate => truncate(relation),
            _ => script(&PostgresDialect, native, &target, table, change, &stage)?,
        };
        let plan = Self { change: Arc::clone(change), lock, create, steps, drop: drop.filter(|_| has_stage) };
        Ok((plan, staged, spec, targets))
    }

    /// Does what was staged.
    pub(super) async fn apply(&self, database: &Postgres, connection: &mut PgConnection) -> Result<()> {
        let applied = sql::apply(&mut database.statements(connection), &self.steps, &self.change).await;
        applied.map_err(|error| self.refused(error))
    }
}

impl Plan {
    /// What a statement was refused with, and what to do.
    fn refused(&self, error: Error) -> Error {
        match (&self.change.operation, error.kind()) {
            (Operation::Truncate, ErrorKind::Unsupported) => {
                Error::new(ErrorKind::Unsupported, "cannot truncate the table: use DELETE FROM").with_source(error)
            }
            _ => error,
        }
    }
}

/// TRUNCATE, where it can be. It does not count: the rows are counted while nobody can add some.
fn truncate(relation: &Relation) -> Vec<Step> {
    let name = relation.name.quoted();
    let step = |sql: String, counts| Step { sql, parameters: Vec::new(), counts };
    match relation.can_be_truncated {
        true => vec![
            step(format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"), RowCount::Nothing),
            step(format!("SELECT COUNT(*) FROM {name}"), RowCount::SaysDeleted),
            step(format!("TRUNCATE {name}"), RowCount::Nothing),
        ],
        false => vec![step(format!("DELETE FROM {name}"), RowCount::Deleted)],
    }
}

impl Postgres {
    /// Checks when the plan is made that a change can be made.
    pub(super) fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        sql::check_change(table, change)?;
        let inserted = change.inserted().map(|(name, _)| name.as_str());
        check_identity(table, inserted, self.identity)?;
        if change.assigned().next().is_some() {
            check_advance(table, relation(table)?.is_table, self.identity)?;
        }
        for (index, field) in spec.columns.fields().iter().enumerate() {
            match change.column_of(index).and_then(|name| table.column(name)) {
                Some(column) => Encoder::try_new(field.data_type(), column, self.nanoseconds)?,
                None => Encoder::try_new(field.data_type(), &number_column(), self.nanoseconds)?,
            };
        }
        Ok(())
    }
}
