//! MERGE INTO as a query whose rows contain their actions.
//!
//! In general, the query joins the table with the source, and a CASE finds the first matching clause for each pair. The
//! database only applies the result. If ON compares a unique key, the database compares the key as DataFusion does, and
//! no clause reads a column of the table, only the source is staged, and the database joins it.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DFSchema, Result as DfResult, plan_err};
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind, MergeIntoOp};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{DmlStatement, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit};

use crate::backend::{Assignment, Join, Repeats, RowChange, Staged, Table};
use crate::provider::LandfallTable;
use crate::provider::assign::Columns;
use crate::provider::request::{Request, key_of, no_key, numbered};
use crate::provider::server_join::{Values, before_its_casts, equation, is_total, unique_key};

/// Says that a row of the join has one of the table, or of the source.
const TARGET: &str = "landfall_target";
const SOURCE: &str = "landfall_source";

/// The number of the clause that applies to a row of the join.
const ACTION: &str = "landfall_action";

pub(super) fn merge(
    table: &LandfallTable,
    statement: &DmlStatement,
    merging: &MergeIntoOp,
) -> DfResult<(Request, LogicalPlan)> {
    let clauses = clauses(table, statement, merging)?;
    if table.database.joins_at_server()
        && let Some(planned) = at_server(table.table(), statement, merging, &clauses)?
    {
        return Ok(planned);
    }
    in_query(table.table(), statement, merging, &clauses)
}

/// Assigns each value of a MERGE to its column with `make`.
pub(super) fn assign<'t>(
    table: &'t LandfallTable,
    statement: &DmlStatement,
    merging: &mut MergeIntoOp,
    make: impl Fn(&Columns<'t>, &str, Expr, &DFSchema) -> DfResult<Expr>,
) -> DfResult<()> {
    let columns = Columns::of_table(table);
    let schema = table.schema();
    let target = DFSchema::try_from_qualified_schema(statement.table_name.clone(), &schema)?;
    let both = target.join(statement.input.schema())?;
    let assign = |name: &str, value: &mut Expr| -> DfResult<()> {
        *value = make(&columns, name, std::mem::take(value), &both)?;
        Ok(())
    };
    for clause in &mut merging.clauses {
        match &mut clause.action {
            MergeIntoAction::Update(set) => set.iter_mut().try_for_each(|(name, value)| assign(name, value))?,
            MergeIntoAction::Insert { columns, values } if columns.is_empty() => {
                schema.fields().iter().zip(values).try_for_each(|(field, value)| assign(field.name(), value))?;
            }
            MergeIntoAction::Insert { columns, values } => {
                columns.iter().zip(values).try_for_each(|(name, value)| assign(name, value))?;
            }
            MergeIntoAction::Delete => {}
        }
    }
    Ok(())
}

/// A checked clause.
struct Clause {
    kind: MergeIntoClauseKind,
    predicate: Option<Expr>,
    /// The columns that it writes, and their values; `None` deletes.
    values: Option<Vec<(String, Expr)>>,
}

impl Clause {
    fn of_missing(&self) -> bool {
        self.kind == MergeIntoClauseKind::NotMatchedByTarget
    }
}

/// The clauses of a statement.
fn clauses(table: &LandfallTable, statement: &DmlStatement, merging: &MergeIntoOp) -> DfResult<Vec<Clause>> {
    let mut merging = merging.clone();
    assign(table, statement, &mut merging, Columns::assigned)?;
    let mut clauses: Vec<Clause> = Vec::new();
    for MergeIntoClause { kind, predicate, action } in &merging.clauses {
        let kind = kind.canonical();
        let shown = match kind {
            MergeIntoClauseKind::NotMatchedByTarget => "WHEN NOT MATCHED",
            MergeIntoClauseKind::NotMatchedBySource => "WHEN NOT MATCHED BY SOURCE",
            _ => "WHEN MATCHED",
        };
        if clauses.iter().any(|before| before.kind == kind && before.predicate.is_none()) {
            return plan_err!(
                "unreachable {shown} clause after an unconditional {shown} clause: remove the second clause, or add a \
                 condition to the first clause"
            );
        }
        let values = match (kind, action) {
            (MergeIntoClauseKind::NotMatchedByTarget, MergeIntoAction::Insert { columns, values }) => {
                let schema = table.schema();
                let all = || schema.fields().iter().map(|field| field.name().clone()).collect();
                let columns: Vec<String> = if columns.is_empty() { all() } else { columns.clone() };
                Some(columns.into_iter().zip(values.iter().cloned()).collect())
            }
            (MergeIntoClauseKind::NotMatchedByTarget, _) => {
                return plan_err!(
                    "{shown} applies to source rows that match no row of the target table, so UPDATE and DELETE are not \
                     allowed: use INSERT"
                );
            }
            (_, MergeIntoAction::Insert { .. }) => {
                return plan_err!(
                    "{shown} applies to rows of the target table, so INSERT is not allowed: use UPDATE or DELETE"
                );
            }
            (_, MergeIntoAction::Update(set)) => Some(set.clone()),
            (_, MergeIntoAction::Delete) => None,
        };
        let used = || predicate.iter().chain(values.iter().flatten().map(|(_, value)| value));
        let is_of_target = |column: &Column| is_target(statement, column);
        match kind {
            MergeIntoClauseKind::NotMatchedByTarget if used().any(|expr| mentions(expr, is_of_target)) => {
                return plan_err!(
                    "{shown} applies to source rows that match no row of the target table, so this clause cannot \
                     reference a target column: use a source column"
                );
            }
            MergeIntoClauseKind::NotMatchedBySource
                if used().any(|expr| mentions(expr, |column| !is_target(statement, column))) =>
            {
                return plan_err!(
                    "{shown} applies to target rows that match no row of the source, so this clause cannot reference a \
                     source column: use a target column"
                );
            }
            _ => {}
        }
        clauses.push(Clause { kind, predicate: predicate.clone(), values });
    }
    Ok(clauses)
}

fn is_target(statement: &DmlStatement, column: &Column) -> bool {
    column.relation.as_ref().is_some_and(|relation| relation.resolved_eq(&statement.table_name))
}

fn mentions(expr: &Expr, is_meant: impl Fn(&Column) -> bool) -> bool {
    expr.column_refs().into_iter().any(is_meant)
}

/// `CASE WHEN … THEN …`, the first that is true.
fn first(arms: Vec<(Expr, Expr)>) -> Expr {
    let arms = arms.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    Expr::Case(Case::new(None, arms, None))
}

fn number(index: usize) -> Expr {
    lit(index as i64 + 1)
}

/// The actions of the clauses, with the staged columns that `index` returns for a clause and a column.
fn actions(clauses: &[Clause], index: impl Fn(usize, &str) -> usize) -> Vec<RowChange> {
    let action = |(at, clause): (usize, &Clause)| {
        let assignments = |values: &[(String, Expr)]| -> Vec<Assignment> {
            values.iter().map(|(name, _)| (name.clone(), index(at, name))).collect()
        };
        match &clause.values {
            None => RowChange::Delete,
            Some(values) if clause.of_missing() => RowChange::Insert(assignments(values)),
            Some(values) => RowChange::Update(assignments(values)),
        }
    };
    clauses.iter().enumerate().map(action).collect()
}

/// The rows of the table joined with those of the source, with the number of the first clause that applies to each.
fn chosen(statement: &DmlStatement, merging: &MergeIntoOp, clauses: &[Clause]) -> DfResult<LogicalPlanBuilder> {
    let marked = |plan: LogicalPlan, mark: &str| {
        let columns: Vec<_> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        LogicalPlanBuilder::from(plan).project(columns.into_iter().chain([lit(true).alias(mark)]))
    };
    let scan = LogicalPlanBuilder::scan(statement.table_name.clone(), Arc::clone(&statement.target), None)?.build()?;
    let source = marked(statement.input.as_ref().clone(), SOURCE)?.build()?;
    let has = |kind| clauses.iter().any(|clause| clause.kind == kind);
    let (of_missing, of_others) =
        (has(MergeIntoClauseKind::NotMatchedByTarget), has(MergeIntoClauseKind::NotMatchedBySource));
    let join = match (of_others, of_missing) {
        (true, true) => JoinType::Full,
        (true, false) => JoinType::Left,
        (false, true) => JoinType::Right,
        (false, false) => JoinType::Inner,
    };
    let joined = marked(scan, TARGET)?.join_on(source, join, [merging.on.clone()])?.build()?;
    let there = |mark: &str| Expr::Column(Column::new_unqualified(mark)).is_not_null();
    let missing = |mark: &str| Expr::Column(Column::new_unqualified(mark)).is_null();
    let arm = |(index, clause): (usize, &Clause)| {
        let when = match clause.kind {
            MergeIntoClauseKind::NotMatchedByTarget => missing(TARGET).and(there(SOURCE)),
            MergeIntoClauseKind::NotMatchedBySource => there(TARGET).and(missing(SOURCE)),
            _ => there(TARGET).and(there(SOURCE)),
        };
        let when = clause.predicate.iter().fold(when, |when, predicate| when.and(predicate.clone()));
        (when, number(index))
    };
    let action = first(clauses.iter().enumerate().map(arm).collect()).alias(ACTION);
    let columns: Vec<_> = joined.schema().columns().into_iter().map(Expr::Column).chain([action]).collect();
    let has_action = Expr::Column(Column::new_unqualified(ACTION)).is_not_null();
    LogicalPlanBuilder::from(joined).project(columns)?.filter(has_action)
}

/// The join of the table with the source, and the action for each of its rows.
fn in_query(
    table: &Table,
    statement: &DmlStatement,
    merging: &MergeIntoOp,
    clauses: &[Clause],
) -> DfResult<(Request, LogicalPlan)> {
    let key = key_of(table);
    if key.is_empty() && clauses.iter().any(|clause| !clause.of_missing()) {
        return Err(no_key(table).into());
    }
    let chosen = chosen(statement, merging, clauses)?;
    let action = Expr::Column(Column::new_unqualified(ACTION));
    let mut staged = vec![Staged::Action];
    let mut query = vec![action.clone()];
    for name in key {
        staged.push(Staged::Key(name.clone()));
        query.push(Expr::Column(Column::new(Some(statement.table_name.clone()), name)));
    }
    let before = staged.len();
    let written =
        |name: &String| clauses.iter().flat_map(|clause| clause.values.iter().flatten()).any(|(of, _)| of == name);
    let written: Vec<_> = table.columns.iter().map(|column| &column.name).filter(|name| written(name)).collect();
    for name in &written {
        let arms = clauses.iter().enumerate().filter_map(|(index, clause)| {
            let (_, value) = clause.values.iter().flatten().find(|(of, _)| of == *name)?;
            Some((action.clone().eq(number(index)), value.clone()))
        });
        staged.push(Staged::Value((*name).clone()));
        query.push(first(arms.collect()));
    }
    let place = |_: usize, name: &str| before + written.iter().position(|of| *of == name).unwrap_or_default();
    let request = Request {
        verb: "MERGE",
        staged,
        actions: actions(clauses, place),
        join: Join::InQuery,
        repeats: Repeats::Refused,
    };
    Ok((request, chosen.project(numbered(query))?.build()?))
}

/// The source alone, for a join at the server; `None` if that join could differ from DataFusion's.
fn at_server(
    table: &Table,
    statement: &DmlStatement,
    merging: &MergeIntoOp,
    clauses: &[Clause],
) -> DfResult<Option<(Request, LogicalPlan)>> {
    let is_simple = |clause: &Clause| {
        let values = clause.values.iter().flatten().map(|(_, value)| before_its_casts(value));
        clause.kind != MergeIntoClauseKind::NotMatchedBySource
            && clause.predicate.iter().chain(values).all(|expr| is_of_source(statement, expr))
    };
    if !clauses.iter().all(is_simple) {
        return Ok(None);
    }
    let mut equations = Vec::new();
    for expr in split_conjunction(&merging.on) {
        let found = equation(table, &statement.table_name, expr).filter(|(_, value)| is_of_source(statement, value));
        let Some(found) = found else { return Ok(None) };
        equations.push(found);
    }
    let values = if clauses.iter().any(Clause::of_missing) { Values::Storable } else { Values::Any };
    let Some(keys) = unique_key(table, equations, statement.input.schema(), values)? else { return Ok(None) };
    let (stage, places) = Stage::of(&keys, clauses);
    let place = |clause: usize, name: &str| {
        let found = places.iter().find(|(index, of, _)| *index == clause && of == name);
        found.map_or(0, |(.., place)| *place)
    };
    let request = Request {
        verb: "MERGE",
        staged: stage.staged,
        actions: actions(clauses, place),
        join: Join::AtServer,
        repeats: Repeats::Refused,
    };
    let query = LogicalPlanBuilder::from(statement.input.as_ref().clone()).project(numbered(stage.query))?.build()?;
    Ok(Some((request, query)))
}

/// Whether an expression needs nothing but a row of the source, and cannot fail.
fn is_of_source(statement: &DmlStatement, expr: &Expr) -> bool {
    !mentions(expr, |column| is_target(statement, column)) && is_total(expr, statement.input.schema())
}

/// The staged columns of each row of the source, and their query.
struct Stage {
    staged: Vec<Staged>,
    query: Vec<Expr>,
}

/// The column of the stage that has a value of a clause: the clause, the table's column, and where.
type Place = (usize, String, usize);

impl Stage {
    fn push(&mut self, staged: Staged, value: Expr) {
        self.staged.push(staged);
        self.query.push(value);
    }

    /// The key, which clause applies, and the values of the clauses.
    fn of(keys: &[(String, Expr)], clauses: &[Clause]) -> (Self, Vec<Place>) {
        let mut stage = Self { staged: Vec::new(), query: Vec::new() };
        keys.iter().for_each(|(name, value)| stage.push(Staged::Key(name.clone()), value.clone()));
        let chosen = stage.choose(clauses);
        let places = stage.values(clauses, &chosen);
        (stage, places)
    }

    /// The clause that applies to a row with and without a match; `None` if there is only one and it always applies.
    fn choose(&mut self, clauses: &[Clause]) -> [Option<Expr>; 2] {
        let mut chosen = [None, None];
        for (of_missing, says) in [(false, Staged::Action), (true, Staged::ActionOfMissing)] {
            let of_kind = || clauses.iter().enumerate().filter(move |(_, clause)| clause.of_missing() == of_missing);
            if of_kind().count() > 1 || of_kind().any(|(_, clause)| clause.predicate.is_some()) {
                let arm = |(index, clause): (usize, &Clause)| {
                    (clause.predicate.clone().unwrap_or_else(|| lit(true)), number(index))
                };
                let action = first(of_kind().map(arm).collect());
                self.push(says, action.clone());
                chosen[usize::from(of_missing)] = Some(action);
            }
        }
        chosen
    }

    /// Values that are the same expression are staged once.
    fn values(&mut self, clauses: &[Clause], chosen: &[Option<Expr>; 2]) -> Vec<Place> {
        let mut places = Vec::new();
        for (index, clause) in clauses.iter().enumerate() {
            for (name, value) in clause.values.iter().flatten() {
                let is_same = |(staged, of): (&Staged, &Expr)| {
                    let is_of_column = matches!(staged, Staged::Key(key) | Staged::Value(key) if key == name);
                    is_of_column && of == value
                };
                let known = self.staged.iter().zip(&self.query).position(is_same);
                let place = known.unwrap_or_else(|| {
                    // What another clause takes need not fit.
                    let value = match &chosen[usize::from(clause.of_missing())] {
                        Some(action) => first(vec![(action.clone().eq(number(index)), value.clone())]),
                        None => value.clone(),
                    };
                    self.push(Staged::Value(name.clone()), value);
                    self.staged.len() - 1
                });
                places.push((index, name.clone(), place));
            }
        }
        places
    }
}
