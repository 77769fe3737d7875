//! Aggregates that the database computes: `SELECT count(*), max(id) FROM t WHERE … GROUP BY kind` reads the result, not the rows.
//!
//! Only those whose result is the same as DataFusion's: counts; minima and maxima of numbers and times that the database sorts
//! as DataFusion does; sums of integers, which are exact in any order, and which the database refuses where they are too large
//! for 64 bits; and groups by columns with the same equality. All conditions must be pushed down, too.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column as Name, Result as DfResult, TableReference};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableScan, TableType,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::planning::{Planning, boxed, planned};
use super::pushdown::condition;
use super::recipe::Origin;
use super::scan::ScanExec;
use super::table::LandfallTable;
use crate::backend::{Aggregates, Column, Comparison, Holds, Query, QueryDialect, Scan, Table};

/// The name of the optimizer rule by which databases compute aggregates. Remove it with
/// `SessionContext::remove_optimizer_rule`, to read all rows instead.
pub const COMPUTE_AGGREGATES: &str = "landfall_compute_aggregates";

#[derive(Debug)]
pub(super) struct ComputeAggregates;

impl OptimizerRule for ComputeAggregates {
    fn name(&self) -> &str {
        COMPUTE_AGGREGATES
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        let computed = match &plan {
            LogicalPlan::Aggregate(aggregate) => computed(aggregate)?,
            _ => None,
        };
        Ok(computed.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// The scan of the aggregates; `None` if DataFusion must compute them.
fn computed(aggregate: &Aggregate) -> DfResult<Option<LogicalPlan>> {
    let (input, alias) = match aggregate.input.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => (alias.input.as_ref(), Some(&alias.alias)),
        input => (input, None),
    };
    let LogicalPlan::TableScan(scan) = input else { return Ok(None) };
    let Some(source) = scan.source.downcast_ref::<DefaultTableSource>() else { return Ok(None) };
    let Some(table) = source.table_provider.downcast_ref::<LandfallTable>() else { return Ok(None) };
    let Some(dialect) = table.database.scan().and_then(Scan::dialect) else { return Ok(None) };
    if !is_whole(table, scan)? {
        return Ok(None);
    }
    let name = alias.unwrap_or(&scan.table_name);
    let mut select = Select { table, name, dialect, columns: Vec::new(), expressions: Vec::new(), groups: Vec::new() };
    let all = aggregate.group_expr.iter().map(|expr| select.group(expr)).collect::<Option<Vec<_>>>();
    if all.is_none() || select.is_by_a_key() {
        return Ok(None);
    }
    for (expr, (_, field)) in aggregate.aggr_expr.iter().zip(aggregate.schema.iter().skip(aggregate.group_expr.len())) {
        if select.aggregate(expr, field.data_type()).is_none() {
            return Ok(None);
        }
    }
    let filters = unnormalize_cols(scan.filters.iter().cloned());
    let (condition, parameters, _) = condition(&filters, &table.table, None, dialect)?;
    let fields = select.columns.iter().zip(aggregate.schema.fields());
    let fields = fields.map(|(column, field)| Field::new(&column.name, field.data_type().clone(), field.is_nullable()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let has_other_types =
        select.columns.iter().zip(schema.fields()).any(|(column, field)| column.data_type != *field.data_type());
    if has_other_types || select.columns.is_empty() || select.columns.len() != aggregate.schema.fields().len() {
        return Ok(None);
    }
    let group_by = match select.groups.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", select.groups.join(", ")),
    };
    let aggregates = Aggregates { select: select.expressions.join(", "), group_by };
    let query = Query {
        table: Arc::new(Table { columns: select.columns, ..Table::clone(&table.table) }),
        projection: Vec::new(),
        aggregates: Some(Arc::new(aggregates)),
        condition,
        parameters,
        order: Vec::new(),
        limit: None,
        schema,
        batch_size: 0,
    };
    let names: Vec<_> = query.schema.fields().iter().map(|field| field.name().clone()).collect();
    let computed = provider_as_source(Arc::new(Computed { origin: table.origin(), query }));
    // The names of the aggregate's columns.
    let name = TableReference::bare("landfall_aggregates");
    let columns = aggregate.schema.iter().enumerate().map(|(index, (qualifier, field))| {
        let computed = Expr::Column(Name::new(Some(name.clone()), names[index].clone()));
        computed.alias_qualified(qualifier.cloned(), field.name())
    });
    let columns: Vec<_> = columns.collect();
    Ok(Some(LogicalPlanBuilder::scan(name.clone(), computed, None)?.project(columns)?.build()?))
}

/// Whether a scan returns exactly the rows that its conditions select at the database.
fn is_whole(table: &LandfallTable, scan: &TableScan) -> DfResult<bool> {
    let filters: Vec<_> = scan.filters.iter().collect();
    let supported = table.supports_filters_pushdown(&filters)?;
    Ok(scan.fetch.is_none()
        && table.run.is_none()
        && supported.into_iter().all(|support| support == TableProviderFilterPushDown::Exact))
}

/// The expressions that a database computes.
struct Select<'a> {
    table: &'a LandfallTable,
    /// What the statement calls the table.
    name: &'a TableReference,
    dialect: &'a dyn QueryDialect,
    columns: Vec<Column>,
    expressions: Vec<String>,
    groups: Vec<String>,
}

impl Select<'_> {
    /// Adds an expression, which messages call so.
    fn push(&mut self, expression: &str, label: String, column: Column) {
        // Names are short in some databases.
        let is_new = label.len() <= 60 && self.columns.iter().all(|column| !column.name.eq_ignore_ascii_case(&label));
        let name = if is_new { label } else { format!("{} of the aggregates", self.columns.len() + 1) };
        self.expressions.push(format!("{expression} AS {}", self.dialect.identifier(&name)));
        self.columns.push(Column { name, nullable: true, ..column });
    }

    /// The column of the table that an expression is.
    fn column(&self, expr: &Expr) -> Option<&Column> {
        let Expr::Column(name) = expr else { return None };
        if name.relation.as_ref().is_some_and(|relation| *relation != *self.name) {
            return None;
        }
        let column = self.table.table.column(&name.name)?;
        let field = self.table.schema.field_with_name(&name.name).ok()?;
        // A client may take what follows a backslash for a parameter.
        (*field.data_type() == column.data_type && !column.name.contains('\\')).then_some(column)
    }

    /// A column whose values the database compares as DataFusion does.
    fn compared(&self, expr: &Expr) -> Option<&Column> {
        let column = self.column(expr)?;
        (column.holds == Holds::OfItsType && self.dialect.finds_null(column)).then_some(column)
    }

    fn group(&mut self, expr: &Expr) -> Option<()> {
        let column = self.compared(unaliased(expr))?.clone();
        let is_same = matches!(column.comparison, Comparison::Exact | Comparison::Equality);
        if !is_same || column.data_type.is_floating() {
            return None;
        }
        let name = self.dialect.identifier(&column.name);
        self.push(&name, column.name.clone(), column);
        self.groups.push(name);
        Some(())
    }

    /// Whether each row is a group, so that the result is no smaller than the table.
    fn is_by_a_key(&self) -> bool {
        let groups: HashSet<&String> = self.groups.iter().collect();
        let is_grouped = |name: &String| groups.contains(&self.dialect.identifier(name));
        self.table.table.keys().any(|key| key.iter().all(is_grouped))
    }

    fn aggregate(&mut self, expr: &Expr, data_type: &DataType) -> Option<()> {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(expr) else { return None };
        let AggregateFunctionParams { args, distinct: false, filter: None, order_by, null_treatment: None } = params
        else {
            return None;
        };
        let ([argument], []) = (args.as_slice(), order_by.as_slice()) else { return None };
        let number = || self.dialect.number("").filter(|number| number.data_type == *data_type);
        if *func == count_udaf() {
            let (counted, label) = match argument {
                Expr::Literal(value, _) if !value.is_null() => ("*".to_owned(), "*".to_owned()),
                argument => {
                    let column = self.column(argument)?;
                    // JSON's null is read as NULL.
                    let is_null = column.comparison != Comparison::Nothing && self.dialect.finds_null(column);
                    is_null.then(|| (self.dialect.identifier(&column.name), column.name.clone()))?
                }
            };
            let number = number()?;
            self.push(&format!("count({counted})"), format!("count({label})"), number);
        } else if *func == sum_udaf() {
            let argument = match argument {
                // DataFusion computes all sums of integers with 64 bits.
                Expr::Cast(cast) if *cast.field.data_type() == DataType::Int64 => &cast.expr,
                argument => argument,
            };
            let column = self.compared(argument)?;
            if column.comparison != Comparison::Exact || !column.data_type.is_signed_integer() {
                return None;
            }
            let (sum, label, number) = (self.dialect.sum(column)?, format!("sum({})", column.name), number()?);
            self.push(&sum, label, number);
        } else if *func == min_udaf() || *func == max_udaf() {
            let column = self.compared(argument).filter(|column| column.comparison == Comparison::Exact)?.clone();
            let is_sorted = column.data_type.is_integer()
                || column.data_type.is_decimal()
                || matches!(column.data_type, DataType::Date32 | DataType::Timestamp(..));
            let name = self.dialect.identifier(&column.name);
            let of = |name: &str| format!("{}({name})", func.name());
            is_sorted.then(|| self.push(&of(&name), of(&column.name), column))?;
        } else {
            return None;
        }
        Some(())
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => &alias.expr,
        expr => expr,
    }
}

/// The aggregates as a table.
#[derive(Debug)]
struct Computed {
    origin: Origin,
    query: Query,
}

impl TableProvider for Computed {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.query.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            state: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            _: &'life3 [Expr],
            limit: Option<usize>,
        ) -> Planning {
            let all = || (0..self.query.schema.fields().len()).collect();
            let projection: Vec<_> = projection.cloned().unwrap_or_else(all);
            planned(self.query.schema.project(&projection).map_err(Into::into).map(|schema| {
                let query = Query {
                    schema: Arc::new(schema),
                    projection,
                    limit,
                    batch_size: state.config().batch_size(),
                    ..self.query.clone()
                };
                Arc::new(ScanExec::new(self.origin.clone(), query)) as _
            }))
        }
    }
}
