//! Arithmetic in statements that write: overflow is an error.
//!
//! DataFusion's integers wrap, and it ignores hours that are added to a date. A sum or a product of integers that may
//! overflow is replaced by a function that fails on overflow. Adding an interval with hours to a date is refused.

use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion::physical_expr_common::datum::apply;

/// An expression whose arithmetic does not wrap. Its operands are already rewritten.
pub(super) fn checked(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply),
            right,
        }) => {
            let (from, with) = (left.get_type(schema)?, right.get_type(schema)?);
            check_days(&left, &from, &right, &with)?;
            let sum = BinaryExpr { left, op, right };
            let can_wrap = from == with && from.is_integer();
            if !can_wrap || fits(&Expr::BinaryExpr(sum.clone()), &from, schema) {
                return Ok(Transformed::no(Expr::BinaryExpr(sum)));
            }
            Ok(Transformed::yes(call(op, *sum.left, *sum.right)))
        }
        Expr::Negative(of) if !matches!(*of, Expr::Literal(..)) => match of.get_type(schema)? {
            data_type if data_type.is_signed_integer() => {
                let zero = lit(ScalarValue::new_zero(&data_type)?);
                Ok(Transformed::yes(call(Operator::Minus, zero, *of)))
            }
            _ => Ok(Transformed::no(Expr::Negative(of))),
        },
        other => Ok(Transformed::no(other)),
    }
}

fn call(op: Operator, left: Expr, right: Expr) -> Expr {
    function(op).call(vec![left, right])
}

fn function(op: Operator) -> ScalarUDF {
    ScalarUDF::new_from_impl(Checked { signature: Signature::any(2, Volatility::Immutable), op })
}

/// The function of this file with a name.
pub(super) fn named(name: &str) -> Option<ScalarUDF> {
    [Operator::Plus, Operator::Minus, Operator::Multiply].map(function).into_iter().find(|of| of.name() == name)
}

/// Whether the value of an expression always fits its type.
fn fits(expr: &Expr, data_type: &DataType, schema: &DFSchema) -> bool {
    data_type.is_signed_integer()
        && largest(expr, schema).zip(range(data_type)).is_some_and(|(value, range)| value < range)
}

/// The largest absolute value of an integer expression.
fn largest(expr: &Expr, schema: &DFSchema) -> Option<u128> {
    match expr {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Decimal128(38, 0)).ok()? {
            ScalarValue::Decimal128(Some(number), ..) => Some(number.unsigned_abs()),
            _ => None,
        },
        Expr::Cast(cast) => largest(&cast.expr, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (largest(left, schema)?, largest(right, schema)?);
            match op {
                Operator::Plus | Operator::Minus => left.checked_add(right),
                Operator::Multiply => left.checked_mul(right),
                Operator::Divide => Some(left),
                Operator::Modulo => Some(right),
                _ => None,
            }
        }
        expr => range(&expr.get_type(schema).ok()?),
    }
}

/// The largest absolute value of an integer type.
fn range(data_type: &DataType) -> Option<u128> {
    let bits = data_type.primitive_width()? * 8;
    let is_signed = data_type.is_signed_integer();
    data_type.is_integer().then(|| 1 << (bits - usize::from(is_signed)))
}

/// Refuses a date plus an interval that may have hours, which DataFusion ignores.
fn check_days(left: &Expr, from: &DataType, right: &Expr, with: &DataType) -> DfResult<()> {
    let is_date = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Date64);
    let interval = match (from, with) {
        (date, DataType::Interval(unit)) if is_date(date) => (right, unit),
        (DataType::Interval(unit), date) if is_date(date) => (left, unit),
        _ => return Ok(()),
    };
    let is_whole = match interval {
        (_, IntervalUnit::YearMonth) => true,
        (Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _), _) => {
            interval.nanoseconds % 86_400_000_000_000 == 0
        }
        (Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _), _) => interval.milliseconds % 86_400_000 == 0,
        (Expr::Literal(value, _), _) => value.is_null(),
        _ => false,
    };
    match is_whole {
        true => Ok(()),
        false => plan_err!(
            "{left} and {right}: DataFusion adds only whole days to a date and ignores hours; convert the date to a \
             timestamp first, with CAST(… AS TIMESTAMP)"
        ),
    }
}

/// Integers added, subtracted or multiplied, or an error.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    signature: Signature,
    op: Operator,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "landfall_add",
            Operator::Minus => "landfall_subtract",
            _ => "landfall_multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, from: &[DataType]) -> DfResult<DataType> {
        Ok(from[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{} requires two arguments", self.name());
        };
        match self.op {
            Operator::Plus => apply(left, right, add),
            Operator::Minus => apply(left, right, sub),
            _ => apply(left, right, mul),
        }
    }
}
