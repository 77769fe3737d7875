//! The hash of a job's statement: of its plan before the optimizer, and of the options that change what is written. The
//! formatting of the statement and the rows of its source tables are not part of it.

use std::fmt::{Display, Write};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::DATAFUSION_VERSION;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::dml::{InsertOp, MergeIntoAction, MergeIntoClause, MergeIntoOp};
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, TableSource, TableType, WriteOp};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use uuid::Uuid;

use crate::error::Error;
use crate::options::SinkOptions;
use crate::provider::planning::{Planning, boxed, inserting, planned};
use crate::provider::{FanoutTable, LandfallTable, ReplayableTable};
use crate::txn::{StatementHash, StatementId};

/// Increase it when the text changes. Hashes of different versions are not compared.
const VERSION: u32 = 2;

/// A statement that writes a Landfall table with a job; `None` without a job.
pub(super) fn remembered(statement: &DmlStatement, provider: &dyn TableProvider) -> DfResult<Option<StatementId>> {
    let tables: Vec<_> = match (provider.downcast_ref::<LandfallTable>(), provider.downcast_ref::<FanoutTable>()) {
        (Some(table), _) if table.options().job.is_some() => vec![table.options()],
        (_, Some(table)) if table.has_job() => table.tables().map(LandfallTable::options).collect(),
        _ => return Ok(None),
    };
    identity(statement, tables, "").map(Some)
}

/// A statement of a transaction that is a job.
pub(super) fn in_transaction(statement: &DmlStatement) -> DfResult<StatementId> {
    let provider = statement.target.downcast_ref::<DefaultTableSource>().map(|source| source.table_provider.as_ref());
    let table = provider.and_then(|provider| provider.downcast_ref::<LandfallTable>());
    let fanout = provider.and_then(|provider| provider.downcast_ref::<FanoutTable>());
    let tables = table.into_iter().chain(fanout.into_iter().flat_map(FanoutTable::tables));
    identity(statement, tables.map(LandfallTable::options).collect(), &statement.table_name.to_string())
}

fn identity(statement: &DmlStatement, tables: Vec<&SinkOptions>, name: &str) -> DfResult<StatementId> {
    let mut hashed = name.to_owned();
    write_plan(&mut hashed, &statement.input)?;
    if let WriteOp::MergeInto(merging) = &statement.op {
        write_merging(&mut hashed, merging)?;
    }
    for options in tables {
        let SinkOptions { on_conflict, conflict_key, assignment, nanoseconds, .. } = options;
        let written = (on_conflict.as_str(), conflict_key.join(","), format!("{assignment:?} {nanoseconds:?}"));
        line(&mut hashed, format_args!("{written:?}"));
    }
    let hash = StatementHash {
        version: format!("{VERSION} of DataFusion {DATAFUSION_VERSION}"),
        hash: Uuid::new_v5(&Uuid::NAMESPACE_OID, hashed.as_bytes()).simple().to_string(),
    };
    Ok(StatementId { operation: operation(&statement.op), hash: Some(hash) })
}

fn operation(op: &WriteOp) -> String {
    match op {
        WriteOp::Insert(op) => inserting(*op).into(),
        WriteOp::MergeInto(_) => "MERGE".into(),
        other => other.name().to_uppercase(),
    }
}

fn line(text: &mut String, what: impl Display) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{what}");
}

/// A plan as a text: different for different plans, and the same in every process.
fn write_plan(text: &mut String, plan: &LogicalPlan) -> DfResult<()> {
    plan.apply_with_subqueries(|node| {
        // Of VALUES, a node shows the first rows.
        match node {
            LogicalPlan::Values(_) => line(text, "Values"),
            _ => line(text, format_args!("{} {}", node.inputs().len(), node.display())),
        }
        if let LogicalPlan::TableScan(scan) = node {
            line(text, place(scan.source.as_ref()));
        }
        node.apply_expressions(|expr| write_expression(text, expr))
    })
    .map(drop)
}

fn write_expression(text: &mut String, expr: &Expr) -> DfResult<TreeNodeRecursion> {
    line(text, expr);
    expr.apply(|part| {
        if let Expr::Literal(value, _) = part {
            line(text, literal(value)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })
}

/// The clauses of a MERGE, which its plan does not have.
fn write_merging(text: &mut String, merging: &MergeIntoOp) -> DfResult<()> {
    write_expression(text, &merging.on)?;
    for clause in &merging.clauses {
        line(text, format_args!("{:?}", clause.kind));
        let condition = clause.predicate.iter();
        let (verb, columns, values): (_, Vec<_>, Vec<_>) = match &clause.action {
            MergeIntoAction::Update(set) => {
                ("UPDATE", set.iter().map(|(name, _)| name).collect(), set.iter().map(|(_, value)| value).collect())
            }
            MergeIntoAction::Insert { columns, values } => {
                ("INSERT", columns.iter().collect(), values.iter().collect())
            }
            MergeIntoAction::Delete => ("DELETE", vec![], vec![]),
        };
        line(text, format_args!("{} {verb} {columns:?}", condition.len()));
        for expr in condition.chain(values) {
            write_expression(text, expr)?;
        }
    }
    Ok(())
}

/// The expressions of the clauses of a MERGE.
pub(super) fn merging_expressions(merging: &MergeIntoOp) -> impl Iterator<Item = &Expr> {
    fn of_clause(clause: &MergeIntoClause) -> Vec<&Expr> {
        let values: Vec<_> = match &clause.action {
            MergeIntoAction::Update(set) => set.iter().map(|(_, value)| value).collect(),
            MergeIntoAction::Insert { values, .. } => values.iter().collect(),
            MergeIntoAction::Delete => Vec::new(),
        };
        clause.predicate.iter().chain(values).collect()
    }
    std::iter::once(&merging.on).chain(merging.clauses.iter().flat_map(of_clause))
}

/// A value in full. Its display text has only the first bytes of binary data.
fn literal(value: &ScalarValue) -> DfResult<String> {
    let array = value.to_array()?;
    let formatter = ArrayFormatter::try_new(&array, &FormatOptions::new().with_null("NULL"))?;
    Ok(format!("{} {}", array.data_type(), formatter.value(0)))
}

/// Where a table is.
fn place(source: &dyn TableSource) -> String {
    let Some(source) = source.downcast_ref::<DefaultTableSource>() else { return String::new() };
    let provider = source.table_provider.as_ref();
    if let Some(files) = provider.downcast_ref::<ListingTable>() {
        let paths: Vec<_> = files.table_paths().iter().map(ToString::to_string).collect();
        let format = &files.options().format;
        let csv = format.downcast_ref::<CsvFormat>().map(|csv| format!("{:?}", csv.options()));
        return format!("{} {} {}", paths.join(" "), format.get_ext(), csv.unwrap_or_default());
    }
    if let Some(series) = provider.downcast_ref::<GenerateSeriesTable>() {
        return format!("{series:?}");
    }
    if let Some(replayable) = provider.downcast_ref::<ReplayableTable>() {
        return replayable.names().join(" ");
    }
    let table = provider.downcast_ref::<LandfallTable>();
    table.map(|table| format!("{} {}", table.location(), table.table().name)).unwrap_or_default()
}

/// A Landfall table for one INSERT, which its job remembers.
#[derive(Debug)]
pub(super) struct Inserted {
    table: Arc<dyn TableProvider>,
    statement: StatementId,
}

impl Inserted {
    pub(super) fn source(table: Arc<dyn TableProvider>, statement: StatementId) -> Arc<dyn TableSource> {
        provider_as_source(Arc::new(Self { table, statement }))
    }

    pub(super) fn parts(&self) -> (&Arc<dyn TableProvider>, &StatementId) {
        (&self.table, &self.statement)
    }
}

impl TableProvider for Inserted {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.table.get_column_default(column)
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            session: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            filters: &'life3 [Expr],
            limit: Option<usize>,
        ) -> Planning {
            self.table.scan(session, projection, filters, limit)
        }
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            input: Arc<dyn ExecutionPlan>,
            op: InsertOp,
        ) -> Planning {
            let statement = self.statement.clone();
            match (self.table.downcast_ref::<LandfallTable>(), self.table.downcast_ref::<FanoutTable>()) {
                (Some(table), _) => table.inserted(session, input, op, statement),
                (None, Some(table)) => table.inserted(session, input, op, statement),
                (None, None) => planned(Err(Error::internal("the stored statement is of another table").into())),
            }
        }
    }
}
