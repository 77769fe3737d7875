//! Groups the operators of a statement that has no parentheses.
//!
//! DataFusion's parser reads everything after IS [NOT] DISTINCT FROM as its operand: `a IS DISTINCT FROM b OR c` is `a
//! IS DISTINCT FROM (b OR c)` (fixed in apache/datafusion-sqlparser-rs#2436, which no DataFusion release contains yet).
//! This module regroups it by the parser's own precedences. Other operators have precedences that differ from
//! PostgreSQL's: `a = b LIKE c` is `(a = b) LIKE c`. A statement that writes is refused if the two grammars differ.
//!
//! A region is the part of a statement between two parentheses, commas or keywords. Its operators are listed from left
//! to right and grouped by a grammar, regardless of the tree that the parser has built.

use std::collections::HashSet;
use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result as DfResult, plan_datafusion_err};
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType as SqlType, Expr, UnaryOperator, VisitMut, VisitorMut,
};

use crate::provider::precedence::{Class, Grammar};

/// What happens if DataFusion's grammar and PostgreSQL's differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// DataFusion's grouping is kept.
    Kept,
    /// The statement is refused.
    Refused,
}

/// Regroups the operators of a statement where the parser was wrong.
pub(super) fn regroup(statement: &mut Statement, difference: Difference) -> DfResult<()> {
    let mut grouping = Grouping { difference, seen: HashSet::new() };
    let done = match statement {
        Statement::Statement(statement) => statement.visit(&mut grouping),
        Statement::Explain(explain) => return regroup(&mut explain.statement, difference),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(&mut grouping),
            CopyToSource::Relation(_) => return Ok(()),
        },
        _ => return Ok(()),
    };
    match done {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Grouping {
    difference: Difference,
    /// Addresses of operators whose region was looked at.
    seen: HashSet<usize>,
}

impl VisitorMut for Grouping {
    type Break = DataFusionError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        if open(expr).is_none() || self.seen.contains(&address(expr)) {
            return ControlFlow::Continue(());
        }
        match Region::of(expr).grouped(expr, self.difference) {
            Ok(Some(shape)) => rebuild(expr, &shape),
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        let seen = &mut self.seen;
        Region::read(expr, &mut |expr| {
            seen.insert(address(expr));
        });
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        if let Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) = expr
            && self.difference == Difference::Refused
        {
            shield(right);
        }
        ControlFlow::Continue(())
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

/// Writes a function that gives the operands of an operator which no parentheses hold together, the left and the right one;
/// `None` where an expression is no operator. Of BETWEEN the middle is held by its keywords.
macro_rules! operands {
    ($name:ident $(, $mutable:tt)?) => {
        fn $name(expr: &$($mutable)? Expr) -> Option<(Option<&$($mutable)? Expr>, Option<&$($mutable)? Expr>)> {
            Some(match expr {
                Expr::UnaryOp { op: UnaryOperator::PGPostfixFactorial, expr }
                | Expr::IsFalse(expr)
                | Expr::IsNotFalse(expr)
                | Expr::IsTrue(expr)
                | Expr::IsNotTrue(expr)
                | Expr::IsNull(expr)
                | Expr::IsNotNull(expr)
                | Expr::IsUnknown(expr)
                | Expr::IsNotUnknown(expr)
                | Expr::IsNormalized { expr, .. }
                | Expr::InList { expr, .. }
                | Expr::InSubquery { expr, .. }
                | Expr::InUnnest { expr, .. }
                | Expr::AnyOp { left: expr, .. }
                | Expr::AllOp { left: expr, .. }
                | Expr::Cast { kind: CastKind::DoubleColon, expr, .. }
                | Expr::Collate { expr, .. } => (Some(&$($mutable)? **expr), None),
                Expr::UnaryOp { expr, .. } => (None, Some(&$($mutable)? **expr)),
                Expr::BinaryOp { left, right, .. }
                | Expr::IsDistinctFrom(left, right)
                | Expr::IsNotDistinctFrom(left, right)
                | Expr::AtTimeZone { timestamp: left, time_zone: right }
                | Expr::Between { expr: left, high: right, .. }
                | Expr::Like { expr: left, pattern: right, .. }
                | Expr::ILike { expr: left, pattern: right, .. }
                | Expr::SimilarTo { expr: left, pattern: right, .. }
                | Expr::RLike { expr: left, pattern: right, .. } => {
                    (Some(&$($mutable)? **left), Some(&$($mutable)? **right))
                }
                _ => return None,
            })
        }
    };
}

operands!(open);
operands!(open_mut, mut);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Prefix,
    Infix,
    Postfix,
    /// `NOT EXISTS (…)`, which the parser reads as one operand.
    NotExists,
}

struct Operator {
    class: Class,
    place: Place,
    /// It is IS [NOT] DISTINCT FROM.
    is_distinct: bool,
}

/// The operators that are the operands of each operator, the left and the right one.
type Shape = Vec<(Option<usize>, Option<usize>)>;

/// The operators of a region from left to right, as the parser has grouped them.
struct Region {
    operators: Vec<Operator>,
    shape: Shape,
}

/// Two operators that a grammar does not allow next to each other.
struct Conflict(usize, usize);

impl Region {
    fn of(expr: &Expr) -> Self {
        let mut operators = Vec::new();
        let mut add = |expr: &Expr| {
            let place = match open(expr) {
                Some((None, _)) => Place::Prefix,
                Some((Some(_), Some(_))) => Place::Infix,
                Some((Some(_), None)) => Place::Postfix,
                None => Place::NotExists,
            };
            let is_distinct = matches!(expr, Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..));
            operators.push(Operator { class: Class::of(expr), place, is_distinct });
        };
        let shape = Self::read(expr, &mut add);
        Self { operators, shape }
    }

    /// Reads the operators of an expression from left to right.
    fn read(expr: &Expr, add: &mut impl FnMut(&Expr)) -> Shape {
        let mut shape = Shape::new();
        Self::read_into(expr, add, &mut shape);
        shape
    }

    /// Gives the operator of the whole. The left side of a long chain is not gone down by calls.
    fn read_into(expr: &Expr, add: &mut impl FnMut(&Expr), shape: &mut Shape) -> Option<usize> {
        let mut chain = Vec::new();
        let mut next = Some(expr);
        while let Some(expr) = next {
            next = match open(expr) {
                Some((left, _)) => {
                    chain.push(expr);
                    left
                }
                None => {
                    if matches!(expr, Expr::Exists { negated: true, .. }) {
                        chain.push(expr);
                    }
                    None
                }
            };
        }
        let mut left = None;
        for expr in chain.into_iter().rev() {
            let index = shape.len();
            add(expr);
            shape.push((left, None));
            if let Some((_, Some(right))) = open(expr) {
                shape[index].1 = Self::read_into(right, add, shape);
            }
            left = Some(index);
        }
        left
    }

    /// The correct grouping of the region, if it differs from the parser's.
    fn grouped(&self, expr: &Expr, difference: Difference) -> DfResult<Option<Shape>> {
        let has_distinct = self.operators.iter().any(|operator| operator.is_distinct);
        if !has_distinct && difference == Difference::Kept {
            return Ok(None);
        }
        let meant = if has_distinct {
            // If both grammars match, PostgreSQL's is used: the other one applies -> after IS.
            let grammars = [Grammar::ParserPostgres, Grammar::Parser];
            let is_it = |grammar: &Grammar| {
                let parsed = self.by(*grammar, Distinct::TakesAll);
                parsed.is_ok_and(|(parsed, _)| parsed == self.shape)
            };
            let by = grammars.into_iter().find(is_it).and_then(|grammar| self.by(grammar, Distinct::Ranked).ok());
            let Some((shape, _)) = by else {
                return Err(plan_datafusion_err!(
                    "{expr}: DataFusion reads everything after IS DISTINCT FROM as the right operand; put IS DISTINCT \
                     FROM and its operands in parentheses"
                ));
            };
            shape
        } else {
            self.shape.clone()
        };
        if difference == Difference::Refused {
            self.check(expr, &meant)?;
        }
        Ok((meant != self.shape).then_some(meant))
    }

    /// Refuses operators that PostgreSQL groups differently.
    fn check(&self, expr: &Expr, meant: &Shape) -> DfResult<()> {
        let named = |first: usize, second: usize| {
            let mut names = Vec::new();
            Self::read(expr, &mut |operator| names.push(name(operator)));
            (names[first.min(second)].clone(), names[first.max(second)].clone())
        };
        match self.by(Grammar::Postgres, Distinct::Ranked) {
            Ok((shape, _)) if shape == *meant => Ok(()),
            Ok((shape, _)) => {
                let differs = |index: &usize| shape[*index] != meant[*index];
                let first = (0..shape.len()).find(differs).unwrap_or_default();
                let operands = [meant[first].0, meant[first].1, shape[first].0, shape[first].1];
                let second = operands.into_iter().flatten().find(|other| differs(other)).unwrap_or(first);
                let (first, second) = named(first, second);
                Err(plan_datafusion_err!(
                    "{expr}: DataFusion and PostgreSQL apply {first} and {second} in a different order; add \
                     parentheses around the operation that is to be applied first"
                ))
            }
            Err(Conflict(first, second)) => {
                let (first, second) = named(first, second);
                Err(plan_datafusion_err!(
                    "{expr}: PostgreSQL does not allow {second} after {first} without parentheses; put the operation \
                     that is to be applied first in parentheses"
                ))
            }
        }
    }

    /// The operators grouped by a grammar, and that of the whole.
    fn by(&self, grammar: Grammar, distinct: Distinct) -> Result<(Shape, Option<usize>), Conflict> {
        let shape = vec![(None, None); self.operators.len()];
        let mut grouper = Grouper { operators: &self.operators, grammar, distinct, next: 0, shape };
        let whole = grouper.operand(0)?;
        Ok((grouper.shape, whole))
    }
}

/// The extent of the right operand of IS DISTINCT FROM.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Distinct {
    /// As its rank defines.
    Ranked,
    /// Everything that follows, as in DataFusion's parser.
    TakesAll,
}

/// Groups operators by their rank.
struct Grouper<'o> {
    operators: &'o [Operator],
    grammar: Grammar,
    distinct: Distinct,
    next: usize,
    shape: Shape,
}

impl Grouper<'_> {
    /// Takes operators of a higher rank than that `above`; gives that of the operand that they make.
    fn operand(&mut self, above: u8) -> Result<Option<usize>, Conflict> {
        let mut left = None;
        if let Some(prefix) = self.operators.get(self.next) {
            let takes = match prefix.place {
                Place::Prefix => Some(true),
                Place::NotExists => Some(self.grammar == Grammar::Postgres),
                Place::Infix | Place::Postfix => None,
            };
            if let Some(takes) = takes {
                let index = self.next;
                self.next += 1;
                if takes {
                    self.shape[index].1 = self.operand(self.grammar.rank(prefix.class))?;
                }
                left = Some(index);
            }
        }
        while let Some(operator) = self.operators.get(self.next) {
            let (index, rank) = (self.next, self.grammar.rank(operator.class));
            if rank <= above {
                break;
            }
            if let Some(before) = left
                && self.operators[before].place == Place::Infix
                && self.grammar.needs_parentheses(operator.class)
                && self.grammar.rank(self.operators[before].class) == rank
            {
                return Err(Conflict(before, index));
            }
            self.next += 1;
            self.shape[index].0 = left;
            if operator.place == Place::Infix {
                let takes_all = operator.is_distinct && self.distinct == Distinct::TakesAll;
                self.shape[index].1 = self.operand(if takes_all { 0 } else { rank })?;
            }
            left = Some(index);
        }
        Ok(left)
    }
}

/// The name of an operator.
fn name(operator: &Expr) -> String {
    match operator {
        Expr::UnaryOp { op, .. } => op.to_string(),
        Expr::BinaryOp { op, .. } | Expr::AnyOp { compare_op: op, .. } | Expr::AllOp { compare_op: op, .. } => {
            op.to_string()
        }
        Expr::IsDistinctFrom(..) => "IS DISTINCT FROM".into(),
        Expr::IsNotDistinctFrom(..) => "IS NOT DISTINCT FROM".into(),
        Expr::InList { .. } | Expr::InSubquery { .. } | Expr::InUnnest { .. } => "IN".into(),
        Expr::Between { .. } => "BETWEEN".into(),
        Expr::Like { .. } => "LIKE".into(),
        Expr::ILike { .. } => "ILIKE".into(),
        Expr::SimilarTo { .. } => "SIMILAR TO".into(),
        Expr::RLike { .. } => "RLIKE".into(),
        Expr::AtTimeZone { .. } => "AT TIME ZONE".into(),
        Expr::Cast { .. } => "::".into(),
        Expr::Collate { .. } => "COLLATE".into(),
        Expr::Exists { .. } => "NOT EXISTS".into(),
        _ => "IS".into(),
    }
}

/// Groups an expression by a shape.
fn rebuild(expr: &mut Expr, shape: &Shape) {
    let mut parts = Parts::default();
    parts.take(replace(expr, nothing()));
    let is_operand = |index: usize| shape.iter().any(|(left, right)| [*left, *right].contains(&Some(index)));
    let whole = (0..shape.len()).find(|index| !is_operand(*index));
    let mut operands = parts.operands.into_iter();
    *expr = built(whole, shape, &mut parts.operators, &mut operands);
}

/// An expression, taken apart: its operators and its operands from left to right.
#[derive(Default)]
struct Parts {
    operators: Vec<Expr>,
    operands: Vec<Expr>,
}

impl Parts {
    fn take(&mut self, expr: Expr) {
        let mut chain = Vec::new();
        let mut next = Some(expr);
        while let Some(mut expr) = next.take() {
            next = open_mut(&mut expr).and_then(|(left, _)| left).map(|left| replace(left, nothing()));
            match open(&expr).is_some() || matches!(expr, Expr::Exists { negated: true, .. }) {
                true => chain.push(expr),
                false => self.operands.push(expr),
            }
        }
        for mut expr in chain.into_iter().rev() {
            let right = open_mut(&mut expr).and_then(|(_, right)| right).map(|right| replace(right, nothing()));
            self.operators.push(expr);
            if let Some(right) = right {
                self.take(right);
            }
        }
    }
}

fn built(
    whole: Option<usize>,
    shape: &Shape,
    operators: &mut [Expr],
    operands: &mut impl Iterator<Item = Expr>,
) -> Expr {
    let chain: Vec<_> = std::iter::successors(whole, |index| shape[*index].0).collect();
    let begins_with_operator =
        chain.last().is_some_and(|index| !matches!(open(&operators[*index]), Some((Some(_), _))));
    let mut made = if begins_with_operator { nothing() } else { operands.next().unwrap_or_else(nothing) };
    for index in chain.into_iter().rev() {
        let mut operator = replace(&mut operators[index], nothing());
        if let Some((left, right)) = open_mut(&mut operator) {
            if let Some(left) = left {
                *left = made;
            }
            if let Some(right) = right {
                *right = built(shape[index].1, shape, operators, operands);
            }
        }
        made = operator;
    }
    made
}

/// Marks what is put in parentheses behind IS DISTINCT FROM and would be taken for the parser's fault in a plan, which has no
/// parentheses: see [`check_plan`](super::operators::check_plan).
fn shield(right: &mut Expr) {
    let mut expr = right;
    let mut is_whole = true;
    loop {
        match expr {
            Expr::Nested(inner) => expr = inner,
            Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } if !is_whole => return,
            Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => break,
            _ if open(expr).is_some() && Class::of(expr) == Class::Is => break,
            _ => {
                is_whole = false;
                match open_mut(expr) {
                    Some((Some(left), _)) => expr = left,
                    _ => return,
                }
            }
        }
    }
    let inner = Box::new(Expr::Nested(Box::new(replace(expr, nothing()))));
    let data_type = SqlType::Boolean;
    *expr = Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None };
}

/// The placeholder of an expression while it is moved.
pub(super) fn nothing() -> Expr {
    Expr::Identifier(datafusion::sql::sqlparser::ast::Ident::new("_"))
}
