//! Literal numbers of a statement, by the digits that were written.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr, UnaryOperator, Value, VisitorMut,
};

/// The digits of a literal number, with its sign.
pub(super) fn number(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(expr) => number(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match number(expr)? {
            number if number.starts_with('-') => None,
            number => Some(format!("-{number}")),
        },
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => number(expr),
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Some(number.replace('_', "")),
            _ => None,
        },
        _ => None,
    }
}

/// Whether DataFusion reads a number as what it is: as an integer, or as a float whose shortest digits are those that were
/// written, and which has all integers of its size.
fn is_float(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let significant = |text: &str| {
        let digits = text.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        digits.trim_matches('0').to_owned()
    };
    let is_small = number.contains(['e', 'E']) || number.split('.').next().unwrap_or_default().len() <= 15;
    is_small && number.parse::<f64>().is_ok_and(|float| significant(&format!("{float:e}")) == significant(number))
}

/// Whether a number is better read from its text, for a column of that type.
pub(super) fn is_read_from_text(number: &str, to: &DataType) -> bool {
    let float: f64 = number.parse().unwrap_or(f64::NAN);
    match to {
        to if to.is_integer() || to.is_decimal() => number.parse::<i64>().is_err(),
        // A text has the digits that were written.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            !is_float(number) || number.contains('.') && !number.contains(['e', 'E'])
        }
        // Beyond the range of a float, which the parser makes infinite, or 0.
        to if to.is_floating() => {
            let has_digits =
                number.split(['e', 'E']).next().is_some_and(|digits| digits.contains(|c| ('1'..='9').contains(&c)));
            !is_float(number) || !float.is_finite() || (float == 0.0 && has_digits)
        }
        _ => false,
    }
}

pub(super) fn is_integer(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

pub(super) fn text(number: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(number).into())
}

/// Makes a decimal of a number, unless it has too many digits.
pub(super) fn as_decimal(expr: &mut Expr) {
    let Some(number) = number(expr).as_deref().and_then(written_out) else { return };
    let digits = number.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (precision, scale) = ((whole.len() + fraction.len()) as u64, fraction.len() as i64);
    if precision <= 76 {
        *expr = Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(text(number)),
            data_type: SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)),
            array: false,
            format: None,
        };
    }
}

/// A number without an exponent, where that is small.
fn written_out(number: &str) -> Option<String> {
    let Some((digits, exponent)) = number.split_once(['e', 'E']) else { return Some(number.to_owned()) };
    let exponent = exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() <= 76)?;
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let zeros = "0".repeat(exponent.unsigned_abs() as usize);
    let all = if exponent < 0 { format!("{zeros}{whole}{fraction}") } else { format!("{whole}{fraction}{zeros}") };
    let point = if exponent < 0 { whole.len() } else { whole.len() + exponent as usize };
    let text = format!("{sign}{}.{}", all.get(..point)?, all.get(point..)?);
    Some(text.trim_end_matches('.').to_owned())
}

/// Makes decimals of all numbers with a decimal point, and of those that DataFusion's floats cannot represent: of values that are
/// assigned to columns which are not known.
pub(super) struct AllExact;

impl VisitorMut for AllExact {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let has_digits = |number: &String| number.contains('.') && !number.contains(['e', 'E']);
        if matches!(expr, Expr::Value(_))
            && number(expr).is_some_and(|number| has_digits(&number) || !is_float(&number))
        {
            as_decimal(expr);
        }
        ControlFlow::Continue(())
    }
}

/// Makes decimals of the numbers that DataFusion's floats cannot represent, in the whole statement.
pub(super) struct Exact;

impl VisitorMut for Exact {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Value(_)) && number(expr).is_some_and(|number| !is_float(&number)) {
            as_decimal(expr);
        }
        ControlFlow::Continue(())
    }
}
