//! A table as the target of a stream or a change.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, TryCastExpr};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::backend::{Capability, Change, Existing, WriteSpec, WriteStats};
use crate::backend::{Column, ColumnDefault, Dispatch, Table};
use crate::columnar::Assigned;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::options::{Commit, Overwrite};
use crate::pipeline::{Assignments, ColumnAssignment, Target, WriterCount};
use crate::provider::LandfallTable;
use crate::provider::scan::ScanExec;
use crate::provider::settings::how_to_prepare;

impl LandfallTable {
    /// This table as the target of a plan, with up to `writers` writers unless the user sets their number.
    pub(super) async fn target(&self, input: &Arc<dyn ExecutionPlan>, op: InsertOp, writers: u16) -> Result<Target> {
        let columns = input.schema();
        if columns.fields().is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the statement writes no columns: specify at least one column",
            ));
        }
        check_names(&self.table, &columns)?;
        let mut assignments = self.assignments(&columns, |index| self.table.column(columns.field(index).name()))?;
        if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
            let is_cast = |expr: &Arc<dyn PhysicalExpr>| expr.is::<CastExpr>() || expr.is::<TryCastExpr>();
            let casts = projection.expr().iter().enumerate().filter(|(_, column)| is_cast(&column.expr));
            casts.for_each(|(index, _)| assignments.note_cast(index));
        }
        let spec = self.spec(Arc::clone(assignments.schema()), op)?;
        let is_missing = |column: &&Column| {
            !column.nullable && column.default == ColumnDefault::Null && columns.field_with_name(&column.name).is_err()
        };
        // An update may omit columns of existing rows.
        if spec.on_conflict == OnConflict::Error
            && let Some(column) = self.table.columns.iter().find(is_missing)
        {
            return Err(Error::new(
                ErrorKind::Constraint,
                format!(
                    "column \"{}\" is NOT NULL and has no default value: add the column to the INSERT",
                    column.name
                ),
            ));
        }
        if spec.existing == Existing::Truncate && self.is_read_by(input) {
            return Err(Error::config(format!(
                "the query reads table {}, which the option 'overwrite' = 'truncate' locks against readers: set the \
                 option to 'delete'",
                self.table.name
            )));
        }
        if self.evolved.as_ref().is_some_and(|evolved| evolved.widens()) && self.is_read_by(input) {
            return Err(Error::config(format!(
                "the query reads table {}, whose column types would be changed before the query runs: alter the table in a \
                 separate statement first",
                self.table.name
            )));
        }
        let capability = self.database.capability().await?;
        let dispatch = match &self.new {
            Some(_) => Dispatch::OneWriter("the same transaction creates the table"),
            None => self.database.dispatch(&self.table, &spec),
        };
        let writers = self.writer_count(input, &spec, self.most_writers(&dispatch, capability), writers)?;
        let (resource, assignments) = (Arc::clone(&self.database) as _, Arc::new(assignments));
        let is_created = self.is_created;
        Ok(Target {
            resource,
            capability,
            assignments,
            spec,
            change: None,
            dispatch,
            writers,
            is_created,
            evolved: self.evolved.clone(),
        })
    }

    /// The number of writers: the one that the user sets, or up to `writers`, and `most` at most.
    fn writer_count(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        spec: &WriteSpec,
        most: u16,
        writers: u16,
    ) -> Result<WriterCount> {
        Ok(match self.options.writers {
            Some(asked) => {
                if asked > most && most > 1 {
                    let how = how_to_prepare([&self.database]);
                    self.note(format!(
                        "is written by {most} writers instead of {asked}: the database cannot prepare more \
                         transactions{how}"
                    ));
                }
                WriterCount::Exactly(asked.min(most))
            }
            None if self.is_better_written_by_one(input, spec) => WriterCount::UpTo(1),
            // The pool's connections are divided between two epochs: one is written while the other commits.
            None => WriterCount::UpTo(writers.min(most).min(self.options.pool_writers()?)),
        })
    }

    /// The maximum number of writers of one transaction.
    fn most_writers(&self, dispatch: &Dispatch, capability: Capability) -> u16 {
        match (dispatch, capability, self.options.commit) {
            (Dispatch::OneWriter(reason), ..) => {
                if self.options.writers.is_some_and(|asked| asked > 1) {
                    self.note(format!("is written by one writer: {reason}"));
                }
                1
            }
            // If this is not enough for the requested number, the plan is refused.
            (_, _, Commit::OnePhase) => self.options.writers.unwrap_or(1),
            // Several branches need a decision log.
            _ if self.database.decision_log().is_none() && self.options.log.is_none() => {
                if self.options.writers.is_some_and(|asked| asked > 1) {
                    let location = self.database.location();
                    self.note(format!("is written by one writer, because {location} has no ledger: to use several writers, set the option 'log'"));
                }
                1
            }
            (_, Capability::OnePhase | Capability::TwoPhase { branches: 0 }, Commit::TwoPhase) => 1,
            (_, Capability::OnePhase | Capability::TwoPhase { branches: 0 }, Commit::Auto) => {
                let (location, how) = (self.database.location(), how_to_prepare([&self.database]));
                self.note(format!(
                    "is written by one writer with one-phase commit: {location} cannot prepare transactions{how}"
                ));
                1
            }
            (_, Capability::TwoPhase { branches }, Commit::Auto) => u16::try_from(branches).unwrap_or(u16::MAX),
            (_, Capability::TwoPhase { .. }, Commit::TwoPhase) => u16::MAX,
        }
    }

    /// This table as the target of a change.
    pub(super) async fn change_target(&self, change: Change, columns: SchemaRef) -> Result<Target> {
        let stats = Arc::new(WriteStats::of(&self.table.name, self.options.memory_limit));
        let column = |index: usize| change.column_of(index).and_then(|name| self.table.column(name));
        let assignments = self.assignments(&columns, column)?;
        let spec = WriteSpec { stats, ..WriteSpec::new(&self.table.name, Arc::clone(assignments.schema())) };
        self.database.check_change(&self.table, &spec, &change)?;
        Ok(Target {
            resource: Arc::clone(&self.database) as _,
            capability: self.database.capability().await?,
            assignments: Arc::new(assignments),
            spec,
            change: Some(Arc::new(change)),
            dispatch: Dispatch::OneWriter("a statement that changes rows has one writer"),
            writers: WriterCount::Exactly(1),
            is_created: false,
            evolved: None,
        })
    }

    /// The assignment of the stream's columns to columns of the table. `column` returns the column of the table, if
    /// any.
    fn assignments<'t>(
        &'t self,
        columns: &SchemaRef,
        column: impl Fn(usize) -> Option<&'t Column>,
    ) -> Result<Assignments> {
        let assigned = |(index, field): (usize, &FieldRef)| {
            let Some(column) = column(index) else {
                let (name, source, to) = (field.name().clone(), Arc::clone(field), field.data_type().to_string());
                return Ok(ColumnAssignment { name, source, to, assign: None, how: Assigned::Exact });
            };
            ColumnAssignment::try_new(field, column, self.options.nanoseconds, self.database.as_ref())
        };
        let assigned = columns.fields().iter().enumerate().map(assigned).collect::<Result<Vec<_>>>()?;
        Ok(Assignments::new(assigned))
    }

    /// Whether the table gets one writer unless the user asks for more. One writer keeps the rows in the order of the
    /// query, and with them the numbers and times that the server assigns. The server detects deadlocks between upserts
    /// of one connection each; two transactions that upsert the same keys with several connections each can block each
    /// other without being detected.
    fn is_better_written_by_one(&self, input: &Arc<dyn ExecutionPlan>, spec: &WriteSpec) -> bool {
        let is_left_to_the_server = |column: &Column| {
            matches!(column.default, ColumnDefault::ByDefault | ColumnDefault::Numbered)
                && spec.columns.field_with_name(&column.name).is_err()
        };
        // Partitions that are sorted each have no common order, if several processes write them.
        let is_sorted = input.output_ordering().is_some()
            && (self.run.is_none() || input.output_partitioning().partition_count() == 1);
        spec.on_conflict != OnConflict::Error || is_sorted || self.table.columns.iter().any(is_left_to_the_server)
    }

    /// Whether a plan reads this table by name. Views of it are not detected.
    pub(super) fn is_read_by(&self, plan: &Arc<dyn ExecutionPlan>) -> bool {
        let is_this = |scan: &ScanExec| scan.table() == self.table.name && scan.location() == self.database.location();
        plan.downcast_ref::<ScanExec>().is_some_and(is_this)
            || plan.children().into_iter().any(|child| self.is_read_by(child))
    }

    /// The specification of a write of these columns.
    fn spec(&self, columns: SchemaRef, op: InsertOp) -> Result<WriteSpec> {
        let (existing, on_conflict) = match op {
            InsertOp::Append => (Existing::Keep, self.options.on_conflict),
            InsertOp::Overwrite => match self.options.overwrite {
                Overwrite::Delete => (Existing::Delete, self.options.on_conflict),
                Overwrite::Truncate => (Existing::Truncate, self.options.on_conflict),
            },
            InsertOp::Replace => (Existing::Keep, OnConflict::Replace),
        };
        let key = self.table.conflict_key(&self.options.conflict_key, on_conflict)?;
        if let Some(missing) = key.iter().find(|name| columns.field_with_name(name).is_err()) {
            return Err(Error::schema(format!(
                "{} requires all columns of the key ({}), but column \"{missing}\" is not written: add the column to \
                 the query",
                match on_conflict {
                    OnConflict::Replace => "REPLACE INTO",
                    _ => "the option 'on_conflict'",
                },
                key.join(", ")
            )));
        }
        let spec = WriteSpec {
            create: self.new.clone(),
            existing,
            on_conflict,
            key,
            upsert: self.options.upsert,
            diff_lock: self.options.diff_lock,
            stats: Arc::new(WriteStats::of(&self.table.name, self.options.memory_limit)),
            ..WriteSpec::new(&self.table.name, columns)
        };
        self.database.check(&self.table, &spec)?;
        Ok(spec)
    }
}

/// Checks that every column of a write is a column of the table, and that none is repeated.
fn check_names(table: &Table, columns: &Schema) -> Result<()> {
    for (index, field) in columns.fields().iter().enumerate() {
        let twice = columns.fields()[..index].iter().any(|other| other.name() == field.name());
        if twice || table.column(field.name()).is_none() {
            let written: Vec<_> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(Error::schema(format!(
                "column \"{}\" of the query {}: the table has {table}, and the query has ({}); rename the column with \
                 AS",
                field.name(),
                if twice { "is specified more than once" } else { "does not exist in the table" },
                written.join(", ")
            )));
        }
    }
    Ok(())
}
