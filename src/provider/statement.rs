//! Statements as they were written, before DataFusion plans them.
//!
//! DataFusion's planner casts assigned values to the types of the table's columns, and parses numbers as 64-bit floats.
//! In its plan, a user's cast looks like the planner's, and digits beyond a float's precision are lost. So a statement
//! that writes a Landfall table is rewritten before it is planned:
//!
//! * a user's cast of an assigned value is marked, and [`Columns`](super::assign::Columns) finds it again. So is a
//!   struct, because the planner cannot cast it to a struct with other fields;
//! * a number that is assigned to an integer or a decimal is passed as text, with all its digits;
//! * VALUES in a CTE, a UNION or a condition become a subquery, because the planner would cast them to the types of the
//!   table.
//!
//! [`grouping`](super::grouping) groups operators without parentheses, also in queries.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result as DfResult, TableReference};
use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, Prepare, Statement as Plan, WriteOp};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, Expr, FromTable, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, Ident, MergeAction, MergeInsertKind, ObjectName, Query, Select, SelectItem,
    SetExpr, Statement as Sql, TableFactor, TableObject, TableWithJoins, UnaryOperator, Value, Values, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::columnar::{Assign, list_item};
use crate::error::Error;
use crate::options::Nanoseconds;
use crate::provider::assign::Columns;
use crate::provider::functions::{LOCAL_TIME, NESTED, WRITTEN};
use crate::provider::grouping::{Difference, nothing, regroup};
use crate::provider::numbers::{Exact, as_decimal, is_integer, is_read_from_text, number, text};
use crate::provider::prepared::planned;
use crate::provider::{LandfallTable, merge, register};

/// Plans a statement like [`sql`](fn@crate::sql), without running it. If the statement names a Landfall table and the session is not
/// registered, registers Landfall in it.
///
/// # Errors
/// As for [`sql`](fn@crate::sql).
pub async fn plan_statement(context: &SessionContext, mut statement: Statement) -> DfResult<LogicalPlan> {
    let table = match inner(&mut statement).and_then(|statement| written_table(statement)) {
        Some(name) => table_of(context, name).await,
        None => None,
    };
    regroup(&mut statement, if table.is_some() { Difference::Refused } else { Difference::Kept })?;
    let columns = table.filter(|table| Columns::of(table.as_ref()).is_some_and(|columns| columns.are_exact()));
    let columns = columns.map(|table| table.schema());
    let (Some(columns), Some(writing)) = (columns, inner(&mut statement)) else {
        return planned(context, statement).await;
    };
    let is_registered = context.state_ref().read().scalar_functions().contains_key(WRITTEN);
    if !is_registered {
        register(context);
    }
    Rewriter::try_new(&columns)?.statement(writing);
    let _ = writing.visit(&mut Exact);
    let has_types = matches!(&statement, Statement::Statement(statement)
        if matches!(statement.as_ref(), Sql::Prepare { data_types, .. } if !data_types.is_empty()));
    let plan = context.state().statement_to_plan(statement).await.and_then(with_assigned_merge);
    match plan.map_err(|error| reworded(error, &columns))? {
        // Parameters are not cast to the types of the columns that they are assigned to.
        LogicalPlan::Statement(Plan::Prepare(prepare)) if !has_types => {
            Ok(LogicalPlan::Statement(Plan::Prepare(Prepare { fields: Vec::new(), ..prepare })))
        }
        plan => Ok(plan),
    }
}

/// A MERGE whose values are assigned, before the types of its columns are forced upon them.
fn with_assigned_merge(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let assigned = plan.transform_up(|node| {
        let LogicalPlan::Dml(statement) = &node else { return Ok(Transformed::no(node)) };
        let (WriteOp::MergeInto(merging), Some(source)) =
            (&statement.op, statement.target.downcast_ref::<DefaultTableSource>())
        else {
            return Ok(Transformed::no(node));
        };
        let Some(table) = source.table_provider.downcast_ref::<LandfallTable>() else {
            return Ok(Transformed::no(node));
        };
        let mut merging = merging.as_ref().clone();
        merge::assign(table, statement, &mut merging, Columns::assigned_early)?;
        let op = WriteOp::MergeInto(Box::new(merging));
        let (name, target) = (statement.table_name.clone(), Arc::clone(&statement.target));
        Ok(Transformed::yes(LogicalPlan::Dml(DmlStatement::new(name, target, op, Arc::clone(&statement.input)))))
    });
    Ok(assigned?.data)
}

/// The statement that EXPLAIN or PREPARE contains, or the statement itself.
fn inner(statement: &mut Statement) -> Option<&mut Sql> {
    match statement {
        Statement::Statement(statement) => match statement.as_mut() {
            Sql::Prepare { statement, .. } => Some(statement),
            statement => Some(statement),
        },
        Statement::Explain(explain) => inner(&mut explain.statement),
        _ => None,
    }
}

/// The table that a statement writes.
fn written_table(statement: &Sql) -> Option<&ObjectName> {
    match statement {
        Sql::Insert(insert) => match &insert.table {
            TableObject::TableName(name) => Some(name),
            _ => None,
        },
        Sql::Update(update) => match &update.table.relation {
            TableFactor::Table { name, .. } => Some(name),
            _ => None,
        },
        Sql::Merge(merge) => match &merge.table {
            TableFactor::Table { name, .. } => Some(name),
            _ => None,
        },
        Sql::Delete(delete) => {
            let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
            match tables.as_slice() {
                [TableWithJoins { relation: TableFactor::Table { name, .. }, .. }] => Some(name),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A Landfall table; `None` for any other, for which the planner reports errors.
async fn table_of(context: &SessionContext, name: &ObjectName) -> Option<Arc<dyn TableProvider>> {
    let provider = context.table_provider(table_reference(context, name).ok()?).await.ok()?;
    let is_ours = Columns::of(provider.as_ref()).is_some();
    is_ours.then_some(provider)
}

/// The table that a name in a statement means, read as DataFusion reads it.
pub(crate) fn table_reference(context: &SessionContext, name: &ObjectName) -> DfResult<TableReference> {
    let normalizes = context.state_ref().read().config_options().sql_parser.enable_ident_normalization;
    object_name_to_table_reference(name.clone(), normalizes)
}

/// Rewrites a statement that assigns columns so that the planner does not change its values.
struct Rewriter<'c> {
    columns: &'c Schema,
    templates: &'static Templates,
}

/// Parts of a statement, to be filled in.
struct Templates {
    /// A call of a function.
    call: Expr,
    /// VALUES as a subquery.
    query: Query,
}

static TEMPLATES: LazyLock<Result<Templates, String>> = LazyLock::new(|| {
    let parser = |text: &'static str| Parser::new(&GenericDialect {}).try_with_sql(text);
    let call = parser("function(NULL)").and_then(|mut parser| parser.parse_expr());
    let query = parser("SELECT * FROM (VALUES (NULL))").and_then(|mut parser| parser.parse_query());
    let parsed = call.and_then(|call| Ok(Templates { call, query: *query? }));
    parsed.map_err(|error| error.to_string())
});

impl<'c> Rewriter<'c> {
    fn try_new(columns: &'c Schema) -> DfResult<Self> {
        let templates = TEMPLATES.as_ref().map_err(|error| Error::internal(error.as_str()))?;
        Ok(Self { columns, templates })
    }

    fn statement(&self, statement: &mut Sql) {
        match statement {
            Sql::Insert(insert) => {
                let Some(source) = &mut insert.source else { return };
                let _ = source.visit(&mut Nested { rewriter: self, depth: 0 });
                match source.body.as_mut() {
                    SetExpr::Values(values) => self.rows(&insert.columns, values),
                    SetExpr::Select(select) => self.items(&insert.columns, select),
                    body => self.without_values(body),
                }
            }
            Sql::Update(update) => {
                let _ = update.visit(&mut Nested { rewriter: self, depth: 1 });
                self.set(&mut update.assignments);
            }
            Sql::Merge(merge) => {
                let _ = merge.visit(&mut Nested { rewriter: self, depth: 1 });
                for clause in &mut merge.clauses {
                    match &mut clause.action {
                        MergeAction::Update(update) => self.set(&mut update.assignments),
                        MergeAction::Insert(insert) => {
                            if let MergeInsertKind::Values(values) = &mut insert.kind {
                                self.rows(&insert.columns, values);
                            }
                        }
                        MergeAction::Delete { .. } => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// The values of SET.
    fn set(&self, assignments: &mut [Assignment]) {
        for assignment in assignments {
            if let AssignmentTarget::ColumnName(name) = &assignment.target {
                self.value(&mut assignment.value, self.type_of(name), true);
            }
        }
    }

    /// The types of the columns of a list, or of all.
    fn types(&self, names: &[ObjectName]) -> Vec<Option<&DataType>> {
        match names {
            [] => self.columns.fields().iter().map(|field| Some(field.data_type())).collect(),
            names => names.iter().map(|name| self.type_of(name)).collect(),
        }
    }

    /// The items of a SELECT, one for each column. DataFusion refuses two items of one name, so each expression gets an
    /// alias; the result does not show it.
    fn items(&self, names: &[ObjectName], select: &mut Select) {
        let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
        // These clauses repeat the selected expressions.
        if is_grouped || select.distinct.is_some() {
            return;
        }
        let items = &mut select.projection;
        if items.iter().any(|item| !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })) {
            return;
        }
        let types = self.types(names);
        let mut seen = HashSet::new();
        for (at, item) in items.iter_mut().enumerate() {
            let to = types.get(at).copied().flatten();
            match item {
                SelectItem::ExprWithAlias { expr, .. } => self.value(expr, to, false),
                SelectItem::UnnamedExpr(expr) => {
                    let is_new = seen.insert(expr.to_string());
                    self.value(expr, to, false);
                    if !is_new || !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                        let (expr, alias) = (std::mem::replace(expr, nothing()), Ident::new(format!("landfall_{at}")));
                        *item = SelectItem::ExprWithAlias { expr, alias };
                    }
                }
                _ => {}
            }
        }
    }

    /// The values of VALUES, for the columns of a list, or for all.
    fn rows(&self, names: &[ObjectName], values: &mut Values) {
        let types = self.types(names);
        for row in &mut values.rows {
            for (value, to) in row.content.iter_mut().zip(&types) {
                self.value(value, *to, true);
            }
        }
    }

    fn type_of(&self, name: &ObjectName) -> Option<&DataType> {
        let ident = name.0.last()?.as_ident()?;
        let is_it = |name: &str| {
            name == ident.value || (ident.quote_style.is_none() && name.eq_ignore_ascii_case(&ident.value))
        };
        self.columns.fields().iter().find(|field| is_it(field.name())).map(|field| field.data_type())
    }

    /// A value that is assigned to a column of a type, if the type is known. A cast is marked if the planner adds
    /// another one around it.
    fn value(&self, value: &mut Expr, to: Option<&DataType>, marks: bool) {
        if let (Some(number), Some(to)) = (number(value), to) {
            if is_read_from_text(&number, to) {
                *value = text(number);
            }
            return;
        }
        match (&*value, to) {
            (Expr::Value(literal), Some(to)) if to.is_decimal() => {
                // DataFusion casts no boolean to a decimal.
                if let Value::Boolean(truth) = literal.value {
                    *value = text(i32::from(truth).to_string());
                }
                return;
            }
            (Expr::Value(_), _) => return,
            _ => {}
        }
        self.operands(
            value,
            &Wanted {
                decimals: to.is_some_and(DataType::is_decimal),
                local_time: matches!(to, Some(DataType::Timestamp(_, None))) && !is_clock(value),
            },
        );
        let mut inner = &*value;
        while let Expr::Nested(nested) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: nested } = inner {
            inner = nested;
        }
        if marks && to.is_some_and(holds_structs) {
            *value = self.call(NESTED, std::mem::replace(value, nothing()));
        } else if marks && matches!(inner, Expr::Cast { .. } | Expr::TypedString(_) | Expr::Subquery(_)) {
            *value = self.call(WRITTEN, std::mem::replace(value, nothing()));
        }
    }

    /// Converts the operands of a value to the value's kind, if the value's type follows from theirs. This excludes
    /// quotients, which have fewer digits as decimals, functions and conditions.
    fn operands(&self, value: &mut Expr, wanted: &Wanted) {
        match value {
            Expr::Nested(of) | Expr::UnaryOp { expr: of, .. } => self.operands(of, wanted),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply,
                right,
            } => {
                self.operands(left, wanted);
                self.operands(right, wanted);
            }
            Expr::Case { conditions, else_result, .. } => {
                conditions.iter_mut().for_each(|when| self.operands(&mut when.result, wanted));
                else_result.iter_mut().for_each(|result| self.operands(result, wanted));
            }
            Expr::Value(_) if wanted.decimals && number(value).is_some_and(|number| !is_integer(&number)) => {
                as_decimal(value);
            }
            _ if wanted.local_time && is_clock(value) => {
                *value = self.call(LOCAL_TIME, std::mem::replace(value, nothing()));
            }
            Expr::Function(function) if chooses(function) => {
                let FunctionArguments::List(list) = &mut function.args else { return };
                for argument in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
                        self.operands(argument, wanted);
                    }
                }
            }
            _ => {}
        }
    }

    /// A call of one of Landfall's functions.
    fn call(&self, name: &str, value: Expr) -> Expr {
        let mut call = self.templates.call.clone();
        if let Expr::Function(function) = &mut call {
            function.name = ObjectName::from(vec![Ident::new(name)]);
            if let FunctionArguments::List(list) = &mut function.args {
                list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))];
            }
        }
        call
    }

    /// VALUES as a subquery. If a column has integers and other numbers, its numbers are decimals, because a float does
    /// not represent every integer.
    fn without_values(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Values(values) => {
                let mut values = values.clone();
                let width = values.rows.first().map_or(0, |row| row.content.len());
                for column in 0..width {
                    let numbers = || values.rows.iter().filter_map(|row| number(row.content.get(column)?));
                    let is_large = |number: &String| is_integer(number) && number.len() > 15;
                    if numbers().any(|number| is_large(&number)) && numbers().any(|number| !is_integer(&number)) {
                        values.rows.iter_mut().filter_map(|row| row.content.get_mut(column)).for_each(as_decimal);
                    }
                }
                let mut query = self.templates.query.clone();
                if let SetExpr::Select(select) = query.body.as_mut()
                    && let Some(from) = select.from.first_mut()
                    && let TableFactor::Derived { subquery, .. } = &mut from.relation
                {
                    *subquery.body = SetExpr::Values(values);
                }
                *body = *query.body;
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.without_values(left);
                self.without_values(right);
            }
            _ => {}
        }
    }
}

/// Whether a column contains structs or lists of structs.
fn holds_structs(to: &DataType) -> bool {
    matches!(to, DataType::Struct(_)) || list_item(to).is_some_and(|item| holds_structs(item.data_type()))
}

/// Whether an expression is the time that the statement began.
fn is_clock(expr: &Expr) -> bool {
    const CLOCKS: [&str; 2] = ["now", "current_timestamp"];
    let name = match expr {
        Expr::Function(function) => function.name.to_string(),
        Expr::Nested(expr) => return is_clock(expr),
        _ => return false,
    };
    CLOCKS.iter().any(|clock| name.eq_ignore_ascii_case(clock))
}

/// Whether a function returns one of its arguments.
fn chooses(function: &Function) -> bool {
    let name = function.name.to_string();
    ["coalesce", "nullif", "nvl", "ifnull", "greatest", "least"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// How the operands of a value are rewritten.
struct Wanted {
    /// Numbers are decimals.
    decimals: bool,
    /// The time of the statement is that of the session's zone, without a zone.
    local_time: bool,
}

/// Goes through the queries of a statement.
struct Nested<'r> {
    rewriter: &'r Rewriter<'r>,
    depth: usize,
}

impl VisitorMut for Nested<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        // That of an INSERT itself has the table's columns.
        if self.depth > 0 {
            self.rewriter.without_values(&mut query.body);
        }
        ControlFlow::Continue(())
    }
}

/// DataFusion's error for a value that it cannot cast, with the columns that the value may be for.
fn reworded(error: DataFusionError, columns: &SchemaRef) -> DataFusionError {
    const WORDS: [(&str, &str); 3] = [
        ("Cannot automatically convert ", " to "),
        ("received data of type ", " for field of type "),
        ("Unsupported CAST from ", " to "),
    ];
    let text = error.to_string();
    let types = WORDS.iter().find_map(|(before, between)| text.split_once(before)?.1.split_once(between));
    let Some((from, to)) = types else { return error };
    let meant: Vec<_> =
        columns.fields().iter().filter(|field| to.starts_with(&field.data_type().to_string())).collect();
    let why = meant.iter().find_map(|field| {
        let from: DataType = from.trim().parse().ok()?;
        let refused = Assign::try_new(&from, field.data_type(), Nanoseconds::Error).err();
        // Of the assignments that are allowed, this is the one that DataFusion has no cast for.
        refused.or((from == DataType::Boolean).then_some("use CAST(x AS INT)".into()))
    });
    let names: Vec<_> = meant.iter().map(|field| format!("\"{}\"", field.name())).collect();
    let columns = if names.len() == 1 {
        format!("column {}", names[0])
    } else {
        format!("one of the columns {}", names.join(", "))
    };
    let why = why.as_deref().unwrap_or("use a function that converts the value");
    Error::schema(format!("{columns}: a value of type {from} cannot be assigned: {why}")).into()
}
