//! The implementation of `TableProvider`.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraints, DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::insert::has_dml_rewrite;
use super::planning::{Planning, boxed, inserting, planned};
use super::pushdown::{Pushed, condition, push};
use super::request::truncation;
use super::scan::ScanExec;
use super::table::LandfallTable;
use crate::backend::{Query, Scan};
use crate::error::{Error, ErrorKind};
use crate::txn::StatementId;

impl LandfallTable {
    /// The error of a query.
    fn is_only_written(&self) -> Error {
        let (table, location) = (&self.table.name, self.database.location());
        let text = format!("table {table} cannot be read: {location} does not support queries");
        Error::new(ErrorKind::Unsupported, text)
    }

    /// The plan of a query.
    fn scanned(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let projection: Vec<usize> = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let scan = self.database.scan().ok_or_else(|| self.is_only_written())?;
        let (condition, parameters, limit) = match scan.dialect() {
            Some(dialect) => condition(filters, &self.table, limit, dialect)?,
            None => (String::new(), Vec::new(), limit.filter(|_| filters.is_empty())),
        };
        let query = Query {
            schema: Arc::new(self.schema.project(&projection)?),
            table: Arc::clone(&self.table),
            projection,
            aggregates: None,
            condition,
            parameters,
            order: Vec::new(),
            limit,
            batch_size: state.config().batch_size(),
        };
        Ok(Arc::new(ScanExec::new(self.origin(), query)))
    }

    /// Refuses a statement whose conditions the session may lose.
    fn check_session(&self, verb: &str, session: &dyn Session) -> DfResult<()> {
        if has_dml_rewrite(session) {
            return Ok(());
        }
        let text = format!(
            "{verb} {}: the session does not push all WHERE conditions down to the table; call \
             datafusion_landfall::register(&context) first",
            self.table.name
        );
        Err(Error::new(ErrorKind::Unsupported, text).into())
    }

    /// The plan of a TRUNCATE.
    fn emptied(&self) -> Planning<'_> {
        Box::pin(async move {
            let doing = |error: Error| error.with_context(format!("TRUNCATE TABLE {}", self.table.name));
            let nothing = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
            self.change(truncation(), StatementId::of_operation("TRUNCATE"), nothing)
                .await
                .map_err(|error| doing(error).into())
        })
    }
}

impl TableProvider for LandfallTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.definition.as_deref()
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.defaults.of(column)
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            state: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            filters: &'life3 [Expr],
            limit: Option<usize>,
        ) -> Planning {
            planned(self.scanned(state, projection, filters, limit))
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let Some(dialect) = self.database.scan().and_then(Scan::dialect) else {
            return Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()]);
        };
        let support = filters.iter().map(|filter| match push(filter, &self.table, dialect) {
            Some(Pushed::Exact(_)) => TableProviderFilterPushDown::Exact,
            Some(Pushed::Superset(_)) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        });
        Ok(support.collect())
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            input: Arc<dyn ExecutionPlan>,
            op: InsertOp,
        ) -> Planning {
            self.inserted(session, input, op, StatementId::of_operation(inserting(op)))
        }
    }

    boxed! {
        /// Called from code only: the analyzer rule rewrites SQL statements first.
        fn delete_from<'life0, 'life1>(&'life0 self, session: &'life1 dyn Session, filters: Vec<Expr>) -> Planning {
            match self.check_session("DELETE FROM", session) {
                Ok(()) => self.another().changed_where(session, None, filters),
                Err(error) => planned(Err(error)),
            }
        }
    }

    boxed! {
        fn update<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            assignments: Vec<(String, Expr)>,
            filters: Vec<Expr>,
        ) -> Planning {
            match self.check_session("UPDATE", session) {
                Ok(()) => self.another().changed_where(session, Some(assignments), filters),
                Err(error) => planned(Err(error)),
            }
        }
    }

    boxed! {
        fn truncate<'life0, 'life1>(&'life0 self, _: &'life1 dyn Session) -> Planning {
            self.emptied()
        }
    }

    boxed! {
        fn merge_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            _: Arc<dyn ExecutionPlan>,
            _: DFSchemaRef,
            _: Expr,
            _: Vec<MergeIntoClause>,
        ) -> Planning {
            let text = format!(
                "MERGE INTO {}: MERGE is supported only as a statement; run it with SessionContext::sql",
                self.table.name
            );
            let unsupported = || Err(Error::new(ErrorKind::Unsupported, text).into());
            planned(self.check_session("MERGE INTO", session).and_then(|()| unsupported()))
        }
    }
}
