//! `landfall_checkpoints('t')`: the jobs that write a table, and their last checkpoints.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result as DfResult, ScalarValue, TableReference};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, TableType};

use crate::backend::DecisionLog;
use crate::error::{Error, Result};
use crate::pipeline::Position;
use crate::provider::planning::{Planning, boxed};
use crate::provider::{FanoutTable, LandfallTable};
use crate::txn::JobEntry;

/// The name of the function.
pub(super) const NAME: &str = "landfall_checkpoints";

/// The table function.
#[derive(Debug)]
pub(super) struct Checkpoints;

impl TableFunctionImpl for Checkpoints {
    fn call_with_args(&self, args: TableFunctionArgs) -> DfResult<Arc<dyn TableProvider>> {
        match args.exprs() {
            [Expr::Literal(ScalarValue::Utf8(Some(table)) | ScalarValue::Utf8View(Some(table)), _)] => {
                Ok(Arc::new(CheckpointsOf { table: table.clone(), schema: schema() }))
            }
            _ => Err(Error::config(format!("{NAME} requires one argument, the name of a table: {NAME}('t')")).into()),
        }
    }
}

/// The checkpoints of one table.
#[derive(Debug)]
struct CheckpointsOf {
    table: String,
    schema: SchemaRef,
}

fn schema() -> SchemaRef {
    let field = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("job", DataType::Utf8),
        field("epoch", DataType::UInt64),
        field("rows", DataType::UInt64),
        field("total_rows", DataType::UInt64),
        field("rejected", DataType::UInt64),
        field("finished", DataType::Boolean),
        field("positions", DataType::Utf8),
        field("decided_at", DataType::Utf8),
    ]))
}

impl CheckpointsOf {
    async fn read(&self, session: &dyn Session) -> Result<RecordBatch> {
        let missing = || Error::config(format!("table {} does not exist: create it first", self.table));
        let state = session.as_any().downcast_ref::<SessionState>().ok_or_else(missing)?;
        let reference = TableReference::parse_str(&self.table);
        let name = reference.table().to_owned();
        let found = async { state.schema_for_ref(reference)?.table(&name).await };
        let found = found.await.ok().flatten().ok_or_else(missing)?;
        let (written, log): (_, Arc<dyn DecisionLog>) =
            match (found.downcast_ref::<LandfallTable>(), found.downcast_ref::<FanoutTable>()) {
                (Some(table), _) => table.decided()?,
                (_, Some(table)) => table.decided().await?,
                (None, None) => {
                    return Err(Error::config(format!(
                        "table {} is not in a database to which Landfall can write, so it has no checkpoints",
                        self.table
                    )));
                }
            };
        let jobs = log.jobs().await?;
        let of_table = |entry: &&JobEntry| {
            entry.state.checkpoint().is_some_and(|checkpoint| checkpoint.positions.subject.table == written)
        };
        let jobs: Vec<_> = jobs.iter().filter(of_table).collect();
        let records: Vec<_> = jobs.iter().filter_map(|entry| entry.state.checkpoint()).collect();
        let numbers = |of: fn(&crate::txn::DecisionRecord) -> u64| -> ArrayRef {
            Arc::new(records.iter().map(|record| of(record)).collect::<UInt64Array>())
        };
        let jobs_names = jobs.iter().map(|entry| Some(entry.job.as_str()));
        let positions = records.iter().map(|record| record.positions.input.as_ref().map(Position::shown));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(jobs_names.collect::<StringArray>()),
            numbers(|record| record.epoch.0),
            numbers(|record| record.rows),
            numbers(|record| record.total()),
            numbers(|record| record.positions.rejected),
            Arc::new(records.iter().map(|record| Some(record.positions.end)).collect::<BooleanArray>()),
            Arc::new(positions.collect::<StringArray>()),
            Arc::new(jobs.iter().map(|entry| entry.checkpoint_at()).collect::<StringArray>()),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal(format!("could not create the table of checkpoints: {error}")))
    }
}

impl CheckpointsOf {
    fn scanned<'a>(&'a self, session: &'a dyn Session, projection: Option<Vec<usize>>) -> Planning<'a> {
        Box::pin(async move {
            let batch = self.read(session).await.map_err(|error| error.with_context(NAME))?;
            Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], Arc::clone(&self.schema), projection)? as _)
        })
    }
}

impl TableProvider for CheckpointsOf {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            session: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            _: &'life3 [Expr],
            _: Option<usize>,
        ) -> Planning {
            self.scanned(session, projection.cloned())
        }
    }
}
