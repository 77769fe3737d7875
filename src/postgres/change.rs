//! Changes in PostgreSQL: a staging table for rows, and the statements that apply them.

use std::sync::Arc;

use super::codec::Form;
use super::connector::PostgresConnection;
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

/// The first server version with MERGE.
const MERGES: u32 = 150_000;

/// A MERGE or an upsert affects a row twice.
const CARDINALITY_VIOLATION: &str = "21000";

/// How a branch changes rows.
#[derive(Debug)]
pub(super) struct Plan {
    change: Arc<Change>,
    /// The name of the table in messages.
    target: String,
    /// Run before rows are written: locks the table, and creates the staging table.
    pub(super) lock: Option<String>,
    pub(super) create: Option<String>,
    /// Run when all rows are staged.
    steps: Vec<Step>,
    /// Run before the branch is prepared.
    pub(super) drop: Option<String>,
}

impl Plan {
    /// The plan for a server of that version, the staging table, what is written to it, and its encoders. `schema` is as in
    /// [`Place::of`].
    pub(super) fn of(
        database: &Postgres,
        version: u32,
        xid: &Xid,
        table: &Table,
        spec: &WriteSpec,
        change: &Arc<Change>,
        schema: Option<&str>,
    ) -> Result<(Self, Table, WriteSpec, Targets<Encoder>)> {
        let relation = relation(table)?;
        let target = relation.name.quoted();
        let Place { name, create, on_commit, drop } = Place::of(xid, spec.protocol, schema);
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
        // Consecutive statements must see the same rows.
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
        let (change, target, drop) = (Arc::clone(change), table.name.clone(), drop.filter(|_| has_stage));
        let plan = Self { change, target, lock, create, steps, drop };
        Ok((plan, staged, spec, targets))
    }

    /// Applies the staged rows.
    pub(super) async fn apply(&self, database: &Postgres, connection: &mut PostgresConnection) -> Result<()> {
        let applied = sql::apply(&mut database.statements(connection), &self.steps, &self.change).await;
        applied.map_err(|error| self.refused(error))
    }
}

impl Plan {
    /// The error of a statement, with the next step.
    fn refused(&self, error: Error) -> Error {
        match (&self.change.operation, error.kind()) {
            (Operation::Truncate, ErrorKind::Unsupported) => {
                Error::new(ErrorKind::Unsupported, "the server cannot truncate the table: use DELETE FROM")
                    .with_source(error)
            }
            _ if error.code() == Some(CARDINALITY_VIOLATION) => {
                Error::new(ErrorKind::Constraint, sql::repeated(&self.change, &self.target)).with_source(error)
            }
            _ => error,
        }
    }
}

/// TRUNCATE if possible, otherwise DELETE. TRUNCATE does not count rows: they are counted under an exclusive lock.
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
    /// Checks at planning time that a change is possible.
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
