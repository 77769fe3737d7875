//! A table that another process has opened, and that this one opens when it plans a statement.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::destination::{Destination, DestinationRecipe};
use super::planning::{Planning, boxed, inserting};
use super::request::Request;
use super::scan::ScanExec;
use crate::error::Result;
use crate::txn::StatementId;

/// A table for a statement of another process. Its conditions have been pushed down there.
#[derive(Debug)]
pub(super) struct OpeningTable {
    recipe: DestinationRecipe,
    /// The columns of the table.
    schema: SchemaRef,
    run: Uuid,
    statement: Option<StatementId>,
    /// How an UPDATE, DELETE or MERGE uses the rows of its query, and their columns.
    request: Option<(Request, SchemaRef)>,
    opened: OnceCell<Destination>,
}

impl OpeningTable {
    /// # Errors
    /// `Decode` for a FANOUT table without members.
    pub(super) fn try_new(recipe: DestinationRecipe, run: Uuid, statement: Option<StatementId>) -> Result<Self> {
        let schema = recipe.schema()?;
        Ok(Self { recipe, schema, run, statement, request: None, opened: OnceCell::new() })
    }

    /// The same for a statement that changes rows.
    pub(super) fn changed(self, request: Request, columns: SchemaRef) -> Self {
        Self { request: Some((request, columns)), ..self }
    }

    async fn opened(&self) -> Result<&Destination> {
        self.opened.get_or_try_init(|| async { Ok(self.recipe.open().await?.distributed(self.run)) }).await
    }
}

#[async_trait]
impl TableProvider for OpeningTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.request.as_ref().map_or_else(|| &self.schema, |(_, columns)| columns))
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            session: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            filters: &'life3 [Expr],
            limit: Option<usize>,
        ) -> Planning {
            let filters = filters.to_vec();
            Box::pin(async move {
                let scan = match self.opened().await? {
                    Destination::Table(table) => table.scan(session, projection, &filters, limit).await?,
                    Destination::Fanout(fanout) => fanout.scan(session, projection, &filters, limit).await?,
                };
                Ok(match scan.downcast_ref::<ScanExec>() {
                    Some(scan) => Arc::new(scan.with_slot()?),
                    None => scan,
                })
            })
        }
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            input: Arc<dyn ExecutionPlan>,
            op: InsertOp,
        ) -> Planning {
            let statement = self.statement.clone().unwrap_or_else(|| StatementId::of_operation(inserting(op)));
            Box::pin(async move {
                match (self.opened().await?, &self.request) {
                    (Destination::Table(table), Some((request, _))) => {
                        table.changed(session, request, statement, input).await
                    }
                    (Destination::Table(table), None) => table.inserted(session, input, op, statement).await,
                    (Destination::Fanout(fanout), Some((request, _))) => Err(fanout.is_changed_as_one(request.verb).into()),
                    (Destination::Fanout(fanout), None) => fanout.inserted(session, input, op, statement).await,
                }
            })
        }
    }
}
