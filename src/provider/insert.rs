//! INSERT INTO a table.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::defaults::without_server_defaults;
use super::planning::Planning;
use super::settings::TxnSettings;
use super::sink::LandfallSink;
use super::table::LandfallTable;
use crate::backend::ColumnDefault;
use crate::error::Error;
use crate::txn::StatementId;

/// The name of the analyzer rule that rewrites statements.
pub(super) const DML_REWRITE: &str = "landfall_dml";

/// Whether the session has the analyzer rule.
pub(super) fn has_dml_rewrite(session: &dyn Session) -> bool {
    let state = session.as_any().downcast_ref::<SessionState>();
    state.is_some_and(|state| state.analyzer().rules.iter().any(|rule| rule.name() == DML_REWRITE))
}

/// The cores of this machine. The system reads several files to count them.
static CORES: LazyLock<u16> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(cores).unwrap_or(u16::MAX)
});

impl LandfallTable {
    /// The columns of a plan that are written, without the columns that the server fills in.
    pub(super) fn written(&self, input: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self.without_generated(without_server_defaults(input)?))
    }

    /// An empty query no longer contains the columns that it was to write. They do not include generated ones.
    fn without_generated(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        if !input.is::<EmptyExec>() {
            return input;
        }
        let schema = input.schema();
        let written = |field: &&Arc<Field>| {
            self.table.column(field.name()).is_none_or(|column| column.default != ColumnDefault::Generated)
        };
        let fields: Vec<_> = schema.fields().iter().filter(written).cloned().collect();
        Arc::new(EmptyExec::new(Arc::new(Schema::new(fields))))
    }

    /// Whether a column of a query is missing.
    fn lacks(&self, query: &Schema) -> bool {
        query.fields().iter().any(|field| self.table.column(field.name()).is_none())
    }

    /// The plan of an INSERT.
    pub(super) fn inserted<'a>(
        &'a self,
        session: &'a dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
        statement: StatementId,
    ) -> Planning<'a> {
        // On a cluster, another session has rewritten the statement.
        if self.run.is_none() && !has_dml_rewrite(session) {
            self.note(
                "is written by a session that uses DataFusion's casts, which silently truncate 1.7 to 1: call \
                 datafusion_landfall::register(&context) first"
                    .into(),
            );
        }
        Box::pin(async move {
            if let Some(run) = self.run {
                return self.inserted_distributed(session, input, op, statement, run).await;
            }
            let doing = |error: Error| error.with_context(format!("INSERT INTO {}", self.table.name));
            let evolved = match self.evolved.is_none() && self.lacks(&input.schema()) {
                true => self.evolved(&input.schema()).await.map_err(doing)?,
                false => None,
            };
            let table = evolved.as_ref().unwrap_or(self);
            let input = table.written(input)?;
            let writers = table.database.writers_that_pay(*CORES);
            let mut target = table.target(&input, op, writers).await.map_err(doing)?;
            table.plan_indexes(session, &input, &mut target).await.map_err(doing)?;
            let settings = TxnSettings::try_new(&self.options).map_err(doing)?;
            let write = settings.plan_commit(self.table.name.clone(), statement, vec![target]).map_err(doing)?;
            LandfallSink::plan(input, write).map_err(|error| doing(error).into())
        })
    }
}
