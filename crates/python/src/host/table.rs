//! A table.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result as DfResult, internal_datafusion_err};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_landfall::{Error, ErrorKind, LandfallTable};

use super::feed::FeedExec;
use super::insert::HostInsert;
use super::scan::HostScan;
use super::{ended, own_session, spawn, told};
use crate::errors::Failure;
use crate::process::{Owned, Process};

/// The columns that the other session sees.
#[derive(Debug)]
pub(crate) enum Columns {
    /// All.
    All,
    /// Those without a default in the database. The interface carries no defaults: an INSERT that leaves a column out
    /// arrives with NULL for it, so that the default would be lost.
    WithoutDefault,
    /// These.
    Named(Vec<String>),
}

/// A table in a session of another library.
#[derive(Debug)]
pub(crate) struct HostTable {
    table: Owned<Arc<dyn TableProvider>>,
    schema: SchemaRef,
    /// The positions of its columns among those of the table.
    columns: Vec<usize>,
}

impl HostTable {
    /// # Errors
    /// `Schema` for a name that is not a column, and for a table without columns to see. `Unsupported` for a table that is
    /// not one of a database.
    pub(crate) fn try_new(
        process: &'static Process,
        table: Arc<dyn TableProvider>,
        columns: &Columns,
    ) -> Result<Self, Failure> {
        let Some(landfall) = table.downcast_ref::<LandfallTable>() else {
            let text = "only tables of a database can be used in a session of the package datafusion: use \
                        landfall.connect()";
            return Err(Error::new(ErrorKind::Unsupported, text).into());
        };
        let schema = table.schema();
        let all = schema.fields().iter().enumerate();
        let columns = match columns {
            Columns::All => all.map(|(index, _)| index).collect(),
            Columns::WithoutDefault => {
                all.filter(|(_, field)| !landfall.is_filled_in(field.name())).map(|(index, _)| index).collect()
            }
            Columns::Named(names) => positions(&schema, names)?,
        };
        if columns.is_empty() {
            let text = "every column has a default in the database: list the columns to use, for example \
                        columns=[\"id\"]";
            return Err(Error::new(ErrorKind::Schema, text).into());
        }
        let schema = Arc::new(schema.project(&columns)?);
        Ok(Self { table: Owned::new(process, table), schema, columns })
    }

    /// The positions in the table of columns of this schema.
    fn projected(&self, projection: Option<&Vec<usize>>) -> DfResult<Vec<usize>> {
        let Some(projection) = projection else { return Ok(self.columns.clone()) };
        let columns = projection.iter().map(|index| self.columns.get(*index).copied());
        columns.collect::<Option<_>>().ok_or_else(|| internal_datafusion_err!("no column of {projection:?}"))
    }
}

/// The positions of columns.
fn positions(schema: &Schema, names: &[String]) -> Result<Vec<usize>, Failure> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let problem = match schema.index_of(name) {
            Ok(index) if !found.contains(&index) => {
                found.push(index);
                continue;
            }
            Ok(_) => "is specified more than once",
            Err(_) => "does not exist in the table",
        };
        let has = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
        let text = format!("column \"{name}\" {problem}: the table has ({has})");
        return Err(Error::new(ErrorKind::Schema, text).into());
    }
    Ok(found)
}

/// The rows in the order that the query asks for. The interface does not carry that a plan needs an order, so that the other
/// session's optimizer removes the sort of the query.
fn in_order(query: &Arc<dyn ExecutionPlan>, rows: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    fn sorts(plan: &Arc<dyn ExecutionPlan>) -> bool {
        plan.name() == "SortExec" || plan.children().into_iter().any(sorts)
    }
    match query.output_ordering().filter(|_| sorts(query)) {
        Some(order) => Arc::new(SortExec::new(order.clone(), rows)),
        None => rows,
    }
}

#[async_trait]
impl TableProvider for HostTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        self.table.get().map_err(told)?.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let (table, process) = (Arc::clone(self.table.get().map_err(told)?), self.table.process());
        let (context, projection, filters) =
            (own_session(process, session), self.projected(projection)?, filters.to_vec());
        let planning = async move { table.scan(&context.state(), Some(&projection), &filters, limit).await };
        let plan = ended(spawn(process, planning)).await?;
        Ok(Arc::new(HostScan::new(process, plan)))
    }

    async fn insert_into(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        if input.boundedness().is_unbounded() {
            let text = "an unbounded query is not supported in a session of the package datafusion: use \
                        landfall.connect()";
            return Err(told(Error::new(ErrorKind::Unsupported, text)));
        }
        let (table, process) = (Arc::clone(self.table.get().map_err(told)?), self.table.process());
        let (context, feed) = (own_session(process, session), Arc::new(FeedExec::new(input.schema())));
        let (of_planning, rows) = (context.clone(), in_order(&input, Arc::clone(&feed) as _));
        let planning = async move { table.insert_into(&of_planning.state(), rows, op).await };
        let plan = ended(spawn(process, planning)).await?;
        Ok(Arc::new(HostInsert::new(process, context, plan, feed, input)))
    }
}
