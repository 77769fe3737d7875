//! Comparisons with constants that the type of the other side cannot represent.
//!
//! DataFusion converts both sides of a comparison to one type, and its optimizer converts the constant to the type of
//! the column. This rounds a constant that does not fit, so that `ts = TIMESTAMP '2020-01-31 00:00:00.000000001'` finds
//! the row of midnight, `day = '2020-01-31 01:00:00'` and `price = '1.499'` find other rows, and a DELETE deletes them.
//! So the constant is converted here first, to the same value in the other side's type, or to the next lower value with
//! a suitable comparison.

use std::sync::Arc;

use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::TimeUnit::Nanosecond;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator, Volatility, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::columnar::fraction_digits;
use crate::provider::bounds::{Bound, digits_of, floor};
use crate::provider::functions::time;

/// The analyzer rule that rewrites comparisons, before DataFusion converts both sides to one type.
#[derive(Debug)]
pub(super) struct Comparisons;

impl Comparisons {
    pub(super) const NAME: &str = "landfall_comparisons";
}

impl FunctionRewrite for Comparisons {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, config: &ConfigOptions) -> DfResult<Transformed<Expr>> {
        let scope = Scope { schema, config };
        let rewritten = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                scope.compared(left, *op, right).or_else(|| scope.compared(right, op.swap().unwrap_or(*op), left))
            }
            Expr::Between(between) => scope.between(between),
            Expr::InList(list) => scope.in_list(list),
            _ => None,
        };
        Ok(match rewritten {
            Some(rewritten) => Transformed::yes(rewritten),
            None => Transformed::no(expr),
        })
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::*;
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn binary(left: &Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), op, Box::new(right)))
}

/// False, or unknown if the value is NULL.
fn never(value: &Expr) -> Expr {
    value.clone().is_null().and(lit(ScalarValue::Boolean(None)))
}

/// True, or unknown if the value is NULL.
fn always(value: &Expr) -> Expr {
    value.clone().is_not_null().or(lit(ScalarValue::Boolean(None)))
}

/// The meaning of names and functions.
#[derive(Clone, Copy)]
struct Scope<'s> {
    schema: &'s DFSchema,
    config: &'s ConfigOptions,
}

/// A constant that is compared with a value of another type.
enum Constant {
    Among(Bound),
    /// The same value in another type.
    As(Expr),
}

impl Scope<'_> {
    /// A comparison of a value with a constant; `None` for other expressions, and if DataFusion's result is correct.
    fn compared(self, value: &Expr, op: Operator, constant: &Expr) -> Option<Expr> {
        Some(match self.constant(value, constant)? {
            Constant::As(constant) => binary(value, op, constant),
            Constant::Among(bound) => compared_with(value, op, &bound),
        })
    }

    /// A constant that DataFusion may round in a comparison.
    fn constant(self, value: &Expr, constant: &Expr) -> Option<Constant> {
        if !is_constant(constant) || is_constant(value) {
            return None;
        }
        let (to, from) = (value.get_type(self.schema).ok()?, constant.get_type(self.schema).ok()?);
        if !may_be_cut(&from, &to) {
            return None;
        }
        match (self.fold(constant), &from, &to) {
            // As doubles, as the databases compare a real with an integer.
            (Some(literal), from, Float32) if from.is_integer() => {
                Some(Constant::As(lit(literal.cast_to(&Float64).ok()?)))
            }
            (Some(literal), from, Float32 | Float64) if from.is_decimal() => {
                let digits = digits_of(&literal)?;
                Some(Constant::As(lit(digits.parse::<f64>().ok()?)))
            }
            (Some(literal), _, Timestamp(_, None)) if matches!(from, Timestamp(_, Some(_))) => {
                let local = self.fold(&time(lit(literal), Timestamp(Nanosecond, None), 9))?;
                floor(&local, &to).map(Constant::Among)
            }
            (Some(literal), Timestamp(unit, None), Timestamp(_, zone @ Some(_))) => {
                let zoned = literal.cast_to(&Timestamp(*unit, zone.clone())).ok()?;
                floor(&zoned, &to).map(Constant::Among)
            }
            (Some(literal), Timestamp(unit, Some(_)), Date32) => {
                floor(&literal.cast_to(&Timestamp(*unit, None)).ok()?, &to).map(Constant::Among)
            }
            (Some(literal), ..) => floor(&literal, &to).map(Constant::Among),
            // `now()`: DataFusion would take its time in UTC for one without a zone.
            (None, Timestamp(_, Some(_)), Timestamp(unit, None)) => {
                let digits = u32::try_from(fraction_digits(*unit)).ok()?;
                Some(Constant::As(time(constant.clone(), to.clone(), digits)))
            }
            (None, ..) => None,
        }
    }

    /// The value of a constant; `None` if it is known only later.
    fn fold(self, constant: &Expr) -> Option<ScalarValue> {
        if let Expr::Literal(value, _) = constant {
            return (!value.is_null()).then(|| value.clone());
        }
        let context = SimplifyContext::builder().with_config_options(Arc::new(self.config.clone())).build();
        let simplifier = ExprSimplifier::new(context);
        let coerced = simplifier.coerce(constant.clone(), &DFSchema::empty()).ok()?;
        match simplifier.simplify(coerced).ok()? {
            Expr::Literal(value, _) if !value.is_null() => Some(value),
            _ => None,
        }
    }

    fn between(self, Between { expr, negated, low, high }: &Between) -> Option<Expr> {
        let (from, to) = (self.compared(expr, Operator::GtEq, low), self.compared(expr, Operator::LtEq, high));
        if from.is_none() && to.is_none() || expr.is_volatile() {
            return None;
        }
        let from = from.unwrap_or_else(|| binary(expr, Operator::GtEq, low.as_ref().clone()));
        let to = to.unwrap_or_else(|| binary(expr, Operator::LtEq, high.as_ref().clone()));
        let between = from.and(to);
        Some(if *negated { Expr::Not(Box::new(between)) } else { between })
    }

    fn in_list(self, InList { expr, list, negated }: &InList) -> Option<Expr> {
        let mut kept = Vec::new();
        let mut is_changed = false;
        for item in list {
            match self.constant(expr, item) {
                Some(Constant::As(constant)) => kept.push(constant),
                // No value equals a constant between two values.
                Some(Constant::Among(bound)) => kept.extend(bound.exact().map(lit)),
                None => {
                    kept.push(item.clone());
                    continue;
                }
            }
            is_changed = true;
        }
        Some(match (is_changed, kept.is_empty(), negated) {
            (false, ..) => return None,
            (true, true, false) => never(expr),
            (true, true, true) => always(expr),
            (true, false, _) => Expr::InList(InList { expr: expr.clone(), list: kept, negated: *negated }),
        })
    }
}

fn compared_with(value: &Expr, op: Operator, bound: &Bound) -> Expr {
    use Operator::*;
    if let Some(exact) = bound.exact() {
        return binary(value, op, lit(exact));
    }
    match (op, bound) {
        (Eq, _) => never(value),
        (NotEq, _) => always(value),
        (IsDistinctFrom, _) => lit(true),
        (IsNotDistinctFrom, _) => lit(false),
        (Lt | LtEq, Bound::Floor(floor, _)) => binary(value, LtEq, lit(floor.clone())),
        (_, Bound::Floor(floor, _)) => binary(value, Gt, lit(floor.clone())),
        (Lt | LtEq, Bound::BelowAll) | (Gt | GtEq, Bound::AboveAll) => never(value),
        _ => always(value),
    }
}

/// Whether an expression is the same for all rows of a statement.
fn is_constant(expr: &Expr) -> bool {
    let varies = |expr: &Expr| {
        use Expr::*;
        Ok(match expr {
            Alias(_) | Literal(..) | Not(_) | Negative(_) | BinaryExpr(_) | Cast(_) | TryCast(_) | Case(_) => false,
            ScalarFunction(function) => function.func.signature().volatility == Volatility::Volatile,
            _ => true,
        })
    };
    !expr.exists(varies).unwrap_or(true)
}

/// Whether DataFusion may change a constant of one type when it is compared with a value of another.
fn may_be_cut(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (a, b) if a == b => false,
        (Timestamp(_, _), Timestamp(_, _) | Date32) | (Time32(_) | Time64(_), Time32(_) | Time64(_)) => true,
        (Date32, Timestamp(_, zone)) => zone.as_ref().is_none_or(|zone| ["UTC", "+00:00"].contains(&zone.as_ref())),
        (text, Date32 | Timestamp(_, _) | Time32(_) | Time64(_)) => text.is_string(),
        (number, to) if to.is_decimal() => number.is_string() || number.is_floating() || number.is_decimal(),
        (number, to) if to.is_integer() => number.is_floating() || number.is_decimal(),
        (number, Float32) if number.is_integer() => true,
        (number, to) => number.is_decimal() && to.is_floating(),
    }
}
