//! SQL as a session with Landfall understands it: DataFusion's statements, and those that it has no plan for.
//!
//! | statement | what it does |
//! | --- | --- |
//! | `ATTACH [IF NOT EXISTS] 'url' [AS name] [OPTIONS ('key' 'value', …)]`, `DETACH [IF EXISTS] name` | registers the tables of a database as `name.schema.table`, and removes them from the session |
//! | `USE name[.schema]` | names without a catalog, or without a schema, mean this one |
//! | `CREATE TABLE [IF NOT EXISTS] name.schema.table AS SELECT …` | creates a table with all rows of the query, or nothing |
//! | `CREATE TABLE name.schema.table (…)`, `ALTER TABLE`, `DROP TABLE`, `CREATE SCHEMA`, `DROP SCHEMA` | runs in the attached database |
//! | `BEGIN`, `COMMIT`, `ROLLBACK` | a [transaction](crate::begin) of several statements, in the program |
//! | `INSERT … ON CONFLICT (key) DO NOTHING \| DO UPDATE SET …`, `ON DUPLICATE KEY UPDATE …`, `INSERT OR REPLACE`, `INSERT OR IGNORE` | an INSERT with the option `on_conflict`, or a MERGE |
//! | `DEFAULT` in VALUES | an INSERT without the column |
//! | `UPDATE … FROM`, `DELETE … USING` | a MERGE |

mod attach;
mod conflict;
mod create;
mod default;
mod evolution;
mod joined;
mod members;
mod names;
mod parser;
mod transaction;

use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Insert, Statement as Sql};
use datafusion::sql::sqlparser::dialect::dialect_from_str;

use crate::error::Error;
use crate::provider::{identified, plan_statement};

pub use attach::{Attach, Detach};
pub use parser::{Statement, TransactionStatement, parse};
pub use transaction::{Transaction, begin, begin_with};

/// A statement that is planned, or has run.
#[derive(Debug)]
pub enum Planned {
    /// Its plan.
    Plan(LogicalPlan),
    /// What it has done, for the user.
    Done(String),
}

/// Runs a statement like [`SessionContext::sql`], with Landfall's [assignment rules](crate::guide::types): each value is
/// stored unchanged, or the statement fails. It also runs the [statements](crate::statements) that DataFusion has no plan
/// for.
///
/// In a statement that writes, a number that a float cannot represent is a decimal. Call [`register`](crate::register)
/// first.
///
/// # Errors
/// The errors of [`SessionContext::sql`]. For a value that its column cannot store, the error names the row.
pub async fn sql(context: &SessionContext, text: &str) -> DfResult<DataFrame> {
    let mut statements = {
        let dialect = context.state_ref().read().config_options().sql_parser.dialect;
        let dialect =
            dialect_from_str(dialect).ok_or_else(|| Error::config(format!("unknown SQL dialect '{dialect}'")))?;
        parse(text, dialect.as_ref())?
    };
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(Error::config("one statement can be run at a time: pass exactly one statement").into());
    };
    let plan = match plan(context, statement).await? {
        Planned::Plan(plan) => plan,
        Planned::Done(_) => LogicalPlanBuilder::empty(false).build()?,
    };
    identified(context.execute_logical_plan(plan).await?)
}

/// Plans a statement. One that DataFusion has no plan for has run then.
///
/// # Errors
/// As for [`sql`].
pub async fn plan(context: &SessionContext, statement: Statement) -> DfResult<Planned> {
    let mut statement = match statement {
        Statement::Attach(attach) => return attach.run(context).await.map(Planned::Done),
        Statement::Detach(detach) => return detach.run(context).map(Planned::Done),
        Statement::Transaction(statement) => {
            let instead = match statement {
                TransactionStatement::Begin(_) => "datafusion_landfall::begin(&context)",
                TransactionStatement::Commit => "Transaction::commit",
                TransactionStatement::Rollback => "Transaction::rollback",
                TransactionStatement::Savepoint(_) => "Transaction::savepoint",
                TransactionStatement::RollbackTo(_) => "Transaction::rollback_to",
                TransactionStatement::Release(_) => "Transaction::release",
            };
            return Err(Error::config(format!(
                "{statement} is a statement of the program landfall: in Rust, call {instead}"
            ))
            .into());
        }
        Statement::DataFusion(statement) => statement,
    };
    if let DfStatement::Statement(sql) = &statement
        && let Sql::Use(wanted) = sql.as_ref()
    {
        return names::use_schema(context, wanted).map(Planned::Done);
    }
    names::resolve(context, &mut statement);
    if let DfStatement::Statement(sql) = &statement
        && let Some(planned) = create::plan(context, sql).await?
    {
        return Ok(planned);
    }
    // These tables are registered until the statement is planned.
    let mut evolved = None;
    if let Some(sql) = inner(&mut statement) {
        if let Some(plan) = members::plan_change(context, sql).await? {
            return explained(plan, &statement).map(Planned::Plan);
        }
        default::replace(context, sql).await?;
        evolved = evolution::rewrite(context, sql).await?;
        joined::merge(context, sql).await?;
    }
    let _target = match upsert(&mut statement) {
        Some(insert) => conflict::rewrite(context, insert).await?,
        None => None,
    };
    let listed = names::listed(context, &mut statement).await?;
    let names = names::tables(&mut statement);
    let planned = plan_statement(&listed, statement).await;
    drop(evolved);
    match planned {
        Ok(plan) => Ok(Planned::Plan(plan)),
        Err(error) if error.to_string().contains("not found") => match names::suggestion(context, &names) {
            Some(suggestion) => Err(Error::schema(format!("{}; {suggestion}", error.strip_backtrace())).into()),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// The plan of a statement that is explained, or that is run.
fn explained(plan: LogicalPlan, statement: &DfStatement) -> DfResult<LogicalPlan> {
    match statement {
        DfStatement::Explain(explain) => {
            LogicalPlanBuilder::from(plan).explain(explain.options.verbose, explain.options.analyze)?.build()
        }
        DfStatement::Statement(sql) if matches!(sql.as_ref(), Sql::Prepare { .. }) => {
            let text = "PREPARE does not support UPDATE, DELETE and MERGE of a FANOUT table: run the statement without PREPARE";
            Err(Error::config(text).into())
        }
        _ => Ok(plan),
    }
}

/// A statement, or the one that it explains or prepares.
fn inner(statement: &mut DfStatement) -> Option<&mut Sql> {
    match statement {
        DfStatement::Statement(sql) => match sql.as_mut() {
            Sql::Prepare { statement, .. } => Some(statement),
            sql => Some(sql),
        },
        DfStatement::Explain(explain) => inner(&mut explain.statement),
        _ => None,
    }
}

/// The INSERT that says what happens to rows whose key exists, in a statement or in one that it explains.
fn upsert(statement: &mut DfStatement) -> Option<&mut Sql> {
    match statement {
        DfStatement::Statement(sql) => match sql.as_ref() {
            Sql::Insert(Insert { on, or, ignore, .. }) => (on.is_some() || or.is_some() || *ignore).then_some(sql),
            _ => None,
        },
        DfStatement::Explain(explain) => upsert(&mut explain.statement),
        _ => None,
    }
}
