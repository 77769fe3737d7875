//! The values that a statement assigns to columns, before the optimizer: as the user wrote them, without the casts that
//! DataFusion's planner adds.
//!
//! A column of a query reaches the sink without a cast, and the sink assigns it row by row. A value of VALUES is
//! assigned here. A value of MERGE, where several clauses write a column, is assigned by a function in the plan.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema, Result as DfResult, ScalarValue, plan_err};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    BinaryExpr, DmlStatement, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Values, cast as cast_expr,
};
use datafusion::physical_expr::create_physical_expr;

use crate::columnar::{Assign, fraction_digits};
use crate::error::{Error, Result};
use crate::options::{Assignment, Nanoseconds};
use crate::provider::functions;
use crate::provider::{FanoutTable, LandfallTable};

/// The columns that a statement assigns to.
pub(super) struct Columns<'t> {
    name: String,
    schema: SchemaRef,
    /// The tables that have them, at least one.
    tables: Vec<&'t LandfallTable>,
}

impl<'t> Columns<'t> {
    pub(super) fn of(provider: &'t dyn TableProvider) -> Option<Self> {
        let (name, tables): (_, Vec<_>) = match (provider.downcast_ref(), provider.downcast_ref::<FanoutTable>()) {
            (Some(table), _) => (LandfallTable::table(table).name.clone(), vec![table]),
            (None, Some(fanout)) => (fanout.name().to_owned(), fanout.tables().collect()),
            (None, None) => return None,
        };
        Some(Self { name, schema: provider.schema(), tables })
    }

    pub(super) fn of_table(table: &'t LandfallTable) -> Self {
        Self { name: table.table().name.clone(), schema: table.schema(), tables: vec![table] }
    }

    /// Whether values are stored unchanged or refused.
    pub(super) fn are_exact(&self) -> bool {
        self.tables.iter().all(|table| table.options().assignment == Assignment::Exact)
    }

    fn nanoseconds(&self) -> Nanoseconds {
        self.tables.first().map_or(Nanoseconds::Error, |table| table.options().nanoseconds)
    }

    fn data_type(&self, column: &str) -> DfResult<&DataType> {
        Ok(self.schema.field_with_name(column)?.data_type())
    }

    /// The number of fractional digits of a second that a column stores.
    fn second_digits(&self, column: &str, data_type: &DataType) -> u32 {
        let of_type = match data_type {
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => fraction_digits(*unit),
            _ => 9,
        };
        let of_tables = self.tables.iter().filter_map(|table| table.second_digits(column));
        of_tables.chain([of_type as u32]).min().unwrap_or(9)
    }

    /// The text of EXPLAIN for a column.
    fn declared(&self, column: &str) -> String {
        match self.tables.first().and_then(|table| table.table().column(column)) {
            Some(known) => format!("column \"{column}\" (declared {})", known.sql_type),
            None => format!("column \"{column}\""),
        }
    }

    /// A value of an UPDATE without its cast to the column's type, for the sink to assign. The cast is the planner's where
    /// [`plan_statement`](super::plan_statement) planned the statement; elsewhere it may be the user's, as a plan does not tell
    /// the two apart.
    pub(super) fn uncast(&self, column: &str, value: Expr, schema: &DFSchema) -> DfResult<Expr> {
        let to = self.data_type(column)?;
        if !self.are_exact() {
            return Ok(cast_expr(unmarked(value), to.clone()));
        }
        let value = as_written(value, to);
        self.check_digits(column, &value, to)?;
        match value.get_type(schema)? {
            // A column that contains only NULL has no type that could be staged.
            DataType::Null => Ok(cast_expr(value, to.clone())),
            from if from.is_decimal() && multiplies(&value) => self.call(column, value, &from, to, true),
            from => Ok(self.of_clock(column, &value, &value, &from, to).unwrap_or(value)),
        }
    }

    /// A value of a MERGE, assigned to its column.
    pub(super) fn assigned(&self, column: &str, value: Expr, schema: &DFSchema) -> DfResult<Expr> {
        let to = self.data_type(column)?;
        let value = if self.are_exact() { as_written(value, to) } else { unmarked(value) };
        let from = value.get_type(schema)?;
        if self.are_exact()
            && let Some(value) = self.of_clock(column, &value, &value, &from, to)
        {
            return Ok(value);
        }
        if from == *to {
            return Ok(value);
        }
        if !self.are_exact() || from == DataType::Null {
            return Ok(cast_expr(value, to.clone()));
        }
        self.check_digits(column, &value, to)?;
        let is_computed = multiplies(&value);
        self.call(column, value, &from, to, is_computed)
    }

    /// The same before the plan is analyzed, which repeats the assignment.
    pub(super) fn assigned_early(&self, column: &str, value: Expr, schema: &DFSchema) -> DfResult<Expr> {
        match is_mark(&value) && value.get_type(schema)? == *self.data_type(column)? {
            true => Ok(value),
            false => self.assigned(column, value, schema),
        }
    }

    fn assign(&self, from: &DataType, to: &DataType, is_computed: bool) -> Result<Assign> {
        let assign = if is_computed { Assign::of_computed } else { Assign::try_new };
        assign(from, to, self.nanoseconds())
            .map_err(|why| Error::schema(format!("a value of type {from} cannot be assigned: {why}")))
    }

    fn call(&self, column: &str, value: Expr, from: &DataType, to: &DataType, is_computed: bool) -> DfResult<Expr> {
        let assign = self.assign(from, to, is_computed);
        let assign = assign.map_err(|error| error.with_context(self.declared(column)))?;
        Ok(functions::assigned(value, assign, self.declared(column)))
    }

    /// A float of a statement, which may have fewer digits than the statement's text.
    fn check_digits(&self, column: &str, value: &Expr, to: &DataType) -> Result<()> {
        check_digits(value, to).map_err(|error| error.with_context(self.declared(column)))
    }

    /// The start time of the statement with the column's precision; `None` if `value` is something else. `expr` has its
    /// value.
    fn of_clock(&self, column: &str, value: &Expr, expr: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
        use DataType::*;
        let fits = matches!(
            (from, to),
            (Timestamp(_, _), Timestamp(_, _) | Date32 | Time64(_) | Time32(_))
                | (Time64(_), Time64(_) | Time32(_))
                | (Date32, Timestamp(_, _))
        );
        let is_assigned = matches!(value, Expr::ScalarFunction(call) if functions::is_assignment(call.name()));
        if !fits || is_assigned || !tells_time(value) {
            return None;
        }
        Some(functions::time(expr.clone(), to.clone(), self.second_digits(column, to)))
    }

    /// The query of an INSERT without the planner's casts; `None` if it has none.
    pub(super) fn insert(&self, statement: &DmlStatement) -> DfResult<Option<LogicalPlan>> {
        let LogicalPlan::Projection(top) = statement.input.as_ref() else { return Ok(None) };
        let fields = self.schema.fields();
        let names_it =
            |(expr, field): (&Expr, &Arc<Field>)| matches!(expr, Expr::Alias(alias) if alias.name == *field.name());
        if top.expr.len() != fields.len() || !top.expr.iter().zip(fields).all(names_it) {
            return Ok(None);
        }
        if !is_query(&top.input) {
            return Ok(None);
        }
        self.refuse_cast_values(&top.input)?;
        let mut values = match top.input.as_ref() {
            LogicalPlan::Values(values) => Some(values.values.clone()),
            _ => None,
        };
        let mut types: Vec<_> = top.input.schema().fields().iter().cloned().collect();
        let mut columns = Vec::new();
        for (expr, field) in top.expr.iter().zip(fields) {
            let (Expr::Alias(alias), to) = (expr, field.data_type()) else { continue };
            let Expr::Column(column) = without_cast(&alias.expr, to) else {
                columns.push(expr.clone());
                continue;
            };
            let value = match &mut values {
                _ if !self.are_exact() => alias.expr.as_ref().clone(),
                None => self.of_query(field, &top.input, column)?,
                Some(_) => Expr::Column(column.clone()),
            };
            if let Some(values) = &mut values {
                let index = top.input.schema().index_of_column(column)?;
                self.assign_cells(field, values, index, top.input.schema().field(index).data_type())?;
                if self.are_exact() {
                    types[index] = Arc::new(Field::new(types[index].name(), to.clone(), true));
                }
            }
            columns.push(value.alias(field.name()));
        }
        let input = match values {
            Some(values) => {
                let schema = Arc::new(DFSchema::from_unqualified_fields(types.into(), HashMap::new())?);
                Arc::new(LogicalPlan::Values(Values { schema, values }))
            }
            None => Arc::clone(&top.input),
        };
        Ok(Some(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
    }

    /// A column of an INSERT's query, uncast, for the sink to assign.
    fn of_query(&self, field: &Field, input: &LogicalPlan, column: &Column) -> DfResult<Expr> {
        let (value, to) = (Expr::Column(column.clone()), field.data_type());
        let from = input.schema().data_type(column)?;
        let origins = origins(input, column);
        for origin in &origins {
            self.check_digits(field.name(), origin, to)?;
        }
        let [origin] = origins.as_slice() else { return Ok(value) };
        if let Some(clock) = self.of_clock(field.name(), origin, &value, from, to) {
            return Ok(clock);
        }
        match from.is_decimal() && to.is_decimal() && multiplies(origin) {
            true => self.call(field.name(), value, from, to, true),
            false => Ok(value),
        }
    }

    /// Assigns a column of VALUES, whose rows have a type in common.
    fn assign_cells(
        &self,
        field: &Field,
        values: &mut [Vec<Expr>],
        index: usize,
        of_values: &DataType,
    ) -> DfResult<()> {
        for (row, cells) in values.iter_mut().enumerate() {
            cells[index] = match std::mem::take(&mut cells[index]) {
                cell if !self.are_exact() => unmarked(cell),
                // Substituted parameters have given it the common type of all rows.
                Expr::Cast(cast) if cast.field.data_type() == of_values => {
                    self.cell(row, field.name(), *cast.expr, field.data_type())?
                }
                cell => self.cell(row, field.name(), cell, field.data_type())?,
            };
        }
        Ok(())
    }

    /// A value of VALUES, assigned to its column.
    fn cell(&self, row: usize, column: &str, value: Expr, to: &DataType) -> DfResult<Expr> {
        let row = row as u64 + 1;
        let at_row = |error: Error| {
            let named = error.in_rows(row, row, format!(", {}", self.declared(column)));
            DataFusionError::from(named.with_context(format!("INSERT INTO {}", self.name)))
        };
        let value = as_written(value, to);
        check_digits(&value, to).map_err(at_row)?;
        let from = value.get_type(&DFSchema::empty())?;
        // A column can store fewer fractional seconds digits than its type here.
        if let Some(value) = self.of_clock(column, &value, &value, &from, to) {
            return Ok(value);
        }
        if from == *to {
            return Ok(value);
        }
        let is_computed = multiplies(&value);
        let Some(constant) = constant(&value) else {
            return if from == DataType::Null {
                Ok(cast_expr(value, to.clone()))
            } else {
                self.call(column, value, &from, to, is_computed)
            };
        };
        let assigned =
            self.assign(&from, to, is_computed).and_then(|assign| assign.apply(&constant)).map_err(at_row)?;
        Ok(Expr::Literal(ScalarValue::try_from_array(&assigned, 0)?, None))
    }

    /// Refuses VALUES below other parts of a query that the planner has cast to the types of the table's columns, as if they
    /// were rows of it.
    fn refuse_cast_values(&self, query: &LogicalPlan) -> DfResult<()> {
        if !self.are_exact() {
            return Ok(());
        }
        let is_top = |values: &Values| matches!(query, LogicalPlan::Values(top) if std::ptr::eq(top, values));
        let fields = self.schema.fields();
        query
            .apply_with_subqueries(|node| {
                let LogicalPlan::Values(values) = node else { return Ok(TreeNodeRecursion::Continue) };
                let types = values.schema.fields();
                let is_alike = types.len() <= fields.len()
                    && types.iter().all(|field| field.is_nullable())
                    && types.iter().all(|field| fields.iter().any(|of| of.data_type() == field.data_type()));
                let is_cast = values.values.iter().flatten().any(|cell| matches!(cell, Expr::Cast(_)));
                match is_alike && is_cast && !is_top(values) {
                    true => plan_err!(
                        "INSERT INTO {}: DataFusion casts all VALUES in an INSERT to the types of the table's columns; \
                         write SELECT … FROM (VALUES …), or run the statement with datafusion_landfall::sql",
                        self.name
                    ),
                    false => Ok(TreeNodeRecursion::Continue),
                }
            })
            .map(drop)
    }
}

/// Refuses a float for an exact column that has as many digits as a float can have: more may have been written.
fn check_digits(value: &Expr, to: &DataType) -> Result<()> {
    let Expr::Literal(ScalarValue::Float64(Some(float)), _) = value else { return Ok(()) };
    let digits = format!("{float:e}");
    let count = digits.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    if count < 16 || !(to.is_integer() || to.is_decimal()) {
        return Ok(());
    }
    Err(Error::schema(format!(
        "the number {float} has more digits than DataFusion can parse exactly: write the number as text, in quotes, or \
         run the statement with datafusion_landfall::sql"
    )))
}

fn is_mark(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if functions::is_mark(call.name()) && call.args.len() == 1)
}

fn unmarked(expr: Expr) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) if functions::is_mark(call.name()) && call.args.len() == 1 => {
            call.args.remove(0)
        }
        Expr::Cast(mut cast) if is_mark(&cast.expr) => {
            *cast.expr = unmarked(*cast.expr);
            Expr::Cast(cast)
        }
        Expr::Alias(alias) => unmarked(*alias.expr),
        other => other,
    }
}

fn without_cast<'e>(expr: &'e Expr, to: &DataType) -> &'e Expr {
    match expr {
        Expr::Cast(cast) if cast.field.data_type() == to => &cast.expr,
        other => other,
    }
}

/// A value before the planner's cast to the type of its column.
fn as_written(expr: Expr, to: &DataType) -> Expr {
    match expr {
        Expr::Alias(alias) => as_written(*alias.expr, to),
        Expr::Cast(cast) if cast.field.data_type() == to => unmarked(*cast.expr),
        // The planner casts the columns of a subquery.
        Expr::ScalarSubquery(mut subquery) => {
            if let LogicalPlan::Projection(selected) = subquery.subquery.as_ref()
                && let [expr] = selected.expr.as_slice()
                && let uncast = without_cast(strip_alias(expr), to)
                && !std::ptr::eq(uncast, strip_alias(expr))
                && let Ok(selected) = Projection::try_new(vec![uncast.clone()], Arc::clone(&selected.input))
            {
                subquery.subquery = Arc::new(LogicalPlan::Projection(selected));
            }
            Expr::ScalarSubquery(subquery)
        }
        other => unmarked(other),
    }
}

fn strip_alias(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// Whether an expression is a product, a quotient, or a sum of these.
fn multiplies(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => multiplies(&alias.expr),
        Expr::Negative(of) => multiplies(of),
        Expr::Cast(cast) => multiplies(&cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Multiply | Operator::Divide => true,
            Operator::Plus | Operator::Minus => multiplies(left) || multiplies(right),
            _ => false,
        },
        _ => false,
    }
}

/// The expressions that compute a column of a query: one of a projection, or those of the rows of VALUES; empty if they
/// are unknown.
fn origins<'p>(plan: &'p LogicalPlan, column: &Column) -> Vec<&'p Expr> {
    let Some(index) = plan.schema().maybe_index_of_column(column) else { return Vec::new() };
    let below = |input: &'p LogicalPlan| {
        let (qualifier, field) = input.schema().qualified_field(index);
        origins(input, &Column::new(qualifier.cloned(), field.name()))
    };
    match plan {
        LogicalPlan::Projection(projection) => match strip_alias(&projection.expr[index]) {
            Expr::Column(column) => origins(&projection.input, column),
            expr => vec![expr],
        },
        LogicalPlan::Values(values) => values.values.iter().map(|row| &row[index]).collect(),
        LogicalPlan::SubqueryAlias(alias) => below(&alias.input),
        LogicalPlan::Sort(sort) => below(&sort.input),
        LogicalPlan::Limit(limit) => below(&limit.input),
        LogicalPlan::Filter(filter) => below(&filter.input),
        _ => Vec::new(),
    }
}

/// Whether an expression is computed from the time that a statement began, and from no column.
fn tells_time(expr: &Expr) -> bool {
    const CLOCKS: [&str; 5] = ["now", "current_timestamp", "current_date", "current_time", "today"];
    let mut tells = false;
    let mut has_column = false;
    let _ = expr.apply(|node| {
        tells |= matches!(node, Expr::ScalarFunction(call) if call.args.is_empty() && CLOCKS.contains(&call.name()));
        has_column |= matches!(node, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_));
        Ok(TreeNodeRecursion::Continue)
    });
    tells && !has_column
}

/// The value of an expression that has the same one whenever it is computed, in an array of one row.
fn constant(expr: &Expr) -> Option<ArrayRef> {
    if let Expr::Literal(scalar, _) = expr {
        return scalar.to_array().ok();
    }
    let mut is_constant = true;
    let _ = expr.apply(|node| {
        // Functions can ask the session.
        is_constant &= matches!(
            node,
            Expr::Literal(..)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::Negative(_)
                | Expr::BinaryExpr(_)
                | Expr::Alias(_)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    if !is_constant {
        return None;
    }
    let physical =
        create_physical_expr(expr, &DFSchema::empty(), &ExecutionProps::new(), &PhysicalPlanningContext::default())
            .ok()?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
    physical.evaluate(&row.ok()?).ok()?.into_array(1).ok()
}

/// Whether it is a query of an INSERT, which has a projection besides: what a data frame selects from a table has the
/// user's casts.
fn is_query(plan: &LogicalPlan) -> bool {
    use LogicalPlan::{Distinct, EmptyRelation, Limit, Projection, Sort, SubqueryAlias, Union, Values};
    matches!(
        plan,
        Projection(_) | Sort(_) | Limit(_) | Distinct(_) | Union(_) | Values(_) | EmptyRelation(_) | SubqueryAlias(_)
    )
}
