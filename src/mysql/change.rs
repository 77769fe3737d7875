//! Changes in MySQL: a staging table for rows, and the statements that apply them.

use std::sync::Arc;

use super::connector::MySqlConnection;
use super::database::MySql;
use super::described::{Relation, number_column, relation};
use super::dialect::MySqlDialect;
use super::encode::Encoder;
use super::fields::Style;
use super::row::text;
use super::scan::parameters;
use crate::backend::{Change, Condition, Protocol, WriteSpec};
use crate::backend::{Detail, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{self, Native, RowCount, Stage, Step, TableName, quote, script, stage_columns};

/// The staging table.
const STAGE: &str = "landfall_stage";

/// How a branch changes rows.
#[derive(Debug)]
pub(super) struct Plan {
    change: Arc<Change>,
    /// Run before rows are written: locks rows.
    lock: Option<Step>,
    /// Run when all rows are staged.
    steps: Vec<Step>,
}

/// The rows to lock: all of them if consecutive statements must see the same rows.
fn lock(change: &Change) -> Option<Condition> {
    change.lock.clone().or_else(|| change.is_joined_at_server().then(Condition::default))
}

/// Runs before the transaction begins the statements that would commit it or are not allowed in it.
pub(super) async fn before(
    database: &MySql,
    connection: &mut MySqlConnection,
    table: &Table,
    change: &Change,
) -> Result<()> {
    stage(database, connection, table, change).await?;
    if lock(change).is_some() {
        // For the next transaction only: the rows that a condition selects, and the absence of others, do not change until
        // it ends.
        database.execute(connection, SERIALIZABLE).await?;
    }
    Ok(())
}

/// Creates the staging table of a change that has one.
pub(super) async fn stage(
    database: &MySql,
    connection: &mut MySqlConnection,
    table: &Table,
    change: &Change,
) -> Result<()> {
    if change.staged.is_empty() {
        return Ok(());
    }
    let (columns, done) = stage_columns(table, change);
    // It may exist after a failed branch.
    database.execute(connection, &format!("DROP TEMPORARY TABLE IF EXISTS {STAGE}")).await?;
    let (mut declared, mut selected) = (Vec::new(), Vec::new());
    for (index, name) in columns.iter().enumerate() {
        match change.column_of(index) {
            Some(of) => selected.push(format!("t.{} AS {}", quote(of), quote(name))),
            None => declared.push(format!("{} bigint NULL", quote(name))),
        }
    }
    if change.is_joined_at_server() {
        declared.push(format!("{} bigint NULL", quote(&done)));
    }
    let declared = if declared.is_empty() { String::new() } else { format!(" ({})", declared.join(", ")) };
    if selected.is_empty() {
        selected.push("1 AS landfall_none".into());
    }
    // Types, character sets and collations are those of the table. The outer join makes every column nullable.
    let create = format!(
        "CREATE TEMPORARY TABLE {STAGE}{declared} ENGINE = InnoDB SELECT {} FROM (SELECT 1 AS landfall_one) AS o LEFT \
         JOIN {} AS t ON FALSE WHERE FALSE",
        selected.join(", "),
        relation(table)?.name.quoted()
    );
    match database.execute(connection, &create).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Access => Err(no_stage(database, connection, error).await),
        Err(error) => Err(error.with_context(DOING)),
    }
}

/// For the next transaction only.
pub(super) const SERIALIZABLE: &str = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";

const DOING: &str = "creating the staging table";

/// The error if the user may not create it, with the missing GRANT.
pub(super) async fn no_stage(database: &MySql, connection: &mut MySqlConnection, error: Error) -> Error {
    let asked = database.rows(connection, "SELECT CURRENT_USER()", Vec::new()).await;
    let user = asked.ok().and_then(|rows| text(rows.first()?, 0).ok()).unwrap_or_default();
    let (name, host) = user.rsplit_once('@').unwrap_or((&user, "%"));
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let place = database.options().database.replace('`', "``");
    error.with_context(format!(
        "{DOING} (requires GRANT CREATE TEMPORARY TABLES ON `{place}`.* TO {}@{})",
        literal(name),
        literal(host)
    ))
}

impl Plan {
    /// The plan, the staging table, and what is written to it.
    pub(super) fn of(table: &Table, spec: &WriteSpec, change: &Arc<Change>) -> Result<(Self, Table, WriteSpec)> {
        let relation = relation(table)?;
        let target = relation.name.quoted();
        let (columns, done) = stage_columns(table, change);
        let detail = Detail::new(Relation {
            name: TableName { schema: None, table: STAGE.into() },
            read_only: None,
            one_writer: None,
            watched: None,
            has_other_keys: false,
            server: relation.server,
        });
        let staged = sql::stage_table(table, change, &columns, STAGE.into(), &number_column(), detail)?;
        let casts = columns.iter().map(|_| None).collect();
        let stage = Stage { name: quote(STAGE), columns, casts, done };
        let mut steps = script(&MySqlDialect, Native(false), &target, table, change, &stage)?;
        if !change.staged.is_empty() && spec.protocol == Protocol::OnePhase {
            let sql = format!("DROP TEMPORARY TABLE {STAGE}");
            steps.push(Step { sql, parameters: Vec::new(), counts: RowCount::Nothing });
        }
        let lock = lock(change).map(|lock| Step {
            sql: format!("SELECT COUNT(*) FROM {target}{} FOR UPDATE", lock.text),
            parameters: lock.parameters,
            counts: RowCount::Nothing,
        });
        let spec = sql::stage_spec(spec, &staged);
        Ok((Self { change: Arc::clone(change), lock, steps }, staged, spec))
    }

    /// Locks the rows.
    pub(super) async fn lock(&self, database: &MySql, connection: &mut MySqlConnection) -> Result<()> {
        if let Some(Step { sql, parameters: values, .. }) = &self.lock {
            database.rows(connection, sql, parameters(values)).await?;
        }
        Ok(())
    }

    /// Applies the staged rows.
    pub(super) async fn apply(&self, database: &MySql, connection: &mut MySqlConnection) -> Result<()> {
        sql::apply(&mut database.statements(connection), &self.steps, &self.change).await
    }
}

impl MySql {
    /// Checks at planning time that a change is possible.
    pub(super) fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        relation(table)?.check_writable()?;
        sql::check_change(table, change)?;
        for (index, field) in spec.columns.fields().iter().enumerate() {
            let number = number_column();
            let column = change.column_of(index).and_then(|name| table.column(name)).unwrap_or(&number);
            Encoder::try_new(field.data_type(), column, self.nanoseconds, Style::Literal)?;
        }
        Ok(())
    }
}
