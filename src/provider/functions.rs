//! Functions in a plan that assign values.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampSecondType};
use arrow::temporal_conversions::as_datetime_with_timezone;
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::{Value, json};

use crate::columnar::{Assign, recode};
use crate::options::Nanoseconds;

/// The function that marks a user's cast, to distinguish it from the planner's.
pub(super) const WRITTEN: &str = "landfall_as_written";

/// The function that hides a struct, or a list of structs, from the planner, which cannot cast it if fields are
/// missing.
pub(super) const NESTED: &str = "landfall_nested";

/// Assigns a value to a column.
const ASSIGN: &str = "landfall_assign";

/// The function that converts a time in the session's zone to local time, in microseconds.
pub(super) const LOCAL_TIME: &str = "landfall_local_time";

/// The start time of a statement, in a column's type.
const TIME: &str = "landfall_time";

/// Whether a function converts a value to the type of a column.
pub(super) fn is_assignment(function: &str) -> bool {
    [ASSIGN, TIME, WRITTEN, NESTED].contains(&function)
}

/// Assigns a value. `column` is the name of its column in errors.
pub(super) fn assigned(value: Expr, assign: Assign, column: String) -> Expr {
    let function = Assigning { signature: Signature::any(1, Volatility::Immutable), column, assign };
    ScalarUDF::new_from_impl(function).call(vec![value])
}

/// The time of a value, with the type and the fractional seconds digits of a column.
pub(super) fn time(value: Expr, to: DataType, digits: u32) -> Expr {
    let function = Clock { name: TIME, signature: Signature::any(1, Volatility::Immutable), to, digits };
    ScalarUDF::new_from_impl(function).call(vec![value])
}

/// A function of one value, by its implementation and what it is made with.
macro_rules! function {
    ($type:ty, |$owner:ident| $name:expr, |$self:ident, $from:ident| $returns:expr, |$this:ident, $array:ident| $value:expr) => {
        impl ScalarUDFImpl for $type {
            fn name(&$owner) -> &str {
                $name
            }

            fn signature(&self) -> &Signature {
                &self.signature
            }

            fn return_type(&$self, $from: &[DataType]) -> DfResult<DataType> {
                Ok($returns)
            }

            fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
                let ([value], $this) = (args.args.as_slice(), self) else {
                    return exec_err!("{} requires one argument", self.name());
                };
                let is_scalar = matches!(value, ColumnarValue::Scalar(_));
                let $array = value.to_array(if is_scalar { 1 } else { args.number_rows })?;
                let made: ArrayRef = $value;
                Ok(match is_scalar {
                    true => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
                    false => ColumnarValue::Array(made),
                })
            }
        }
    };
}

/// A value as written in the statement. `shown` is the type that the planner sees, if it differs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Written {
    name: &'static str,
    signature: Signature,
    shown: Option<DataType>,
}

function!(
    Written,
    |self| self.name,
    |self, from| self.shown.clone().unwrap_or_else(|| from[0].clone()),
    |this, array| {
        match &this.shown {
            Some(_) => {
                return exec_err!(
                    "could not determine the column to which a struct is assigned: write the struct in a SELECT"
                );
            }
            None => array,
        }
    }
);

/// The function that [`LOCAL_TIME`] names.
pub(super) fn local_time() -> ScalarUDF {
    let (signature, to) = (Signature::any(1, Volatility::Immutable), DataType::Timestamp(TimeUnit::Microsecond, None));
    ScalarUDF::new_from_impl(Clock { name: LOCAL_TIME, signature, to, digits: 6 })
}

/// The function that [`WRITTEN`] names.
pub(super) fn written() -> ScalarUDF {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::new_from_impl(Written { name: WRITTEN, signature, shown: None })
}

/// The function that [`NESTED`] names: a NULL to the planner.
pub(super) fn nested() -> ScalarUDF {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::new_from_impl(Written { name: NESTED, signature, shown: Some(DataType::Null) })
}

/// A function of this file as data, with the types that the data refers to; `None` for other functions.
pub(super) fn to_json(function: &ScalarUDF) -> Option<(Value, Vec<DataType>)> {
    let function = function.inner();
    if let Some(Assigning { column, assign, .. }) = function.downcast_ref() {
        let (from, to, nanoseconds, is_computed) = assign.parts();
        let truncates = nanoseconds == Nanoseconds::Truncate;
        let json = json!({ "column": column, "truncates": truncates, "computed": is_computed });
        return Some((json, vec![from.clone(), to.clone()]));
    }
    if let Some(Clock { to, digits, .. }) = function.downcast_ref() {
        return Some((json!({ "digits": digits }), vec![to.clone()]));
    }
    function.is::<Written>().then(|| (json!({}), Vec::new()))
}

/// The function of this file that a name and data describe.
pub(super) fn of_json(name: &str, function: &Value, types: &[DataType]) -> Option<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    match (name, types) {
        (WRITTEN, []) => Some(written()),
        (NESTED, []) => Some(nested()),
        (TIME | LOCAL_TIME, [to]) => {
            let name = if name == TIME { TIME } else { LOCAL_TIME };
            let digits = u32::try_from(function["digits"].as_u64()?).ok()?;
            Some(ScalarUDF::new_from_impl(Clock { name, signature, to: to.clone(), digits }))
        }
        (ASSIGN, [from, to]) => {
            let truncates = function["truncates"].as_bool()?;
            let nanoseconds = if truncates { Nanoseconds::Truncate } else { Nanoseconds::Error };
            let assign = match function["computed"].as_bool()? {
                true => Assign::of_computed(from, to, nanoseconds),
                false => Assign::try_new(from, to, nanoseconds),
            };
            let column = function["column"].as_str()?.to_owned();
            Some(ScalarUDF::new_from_impl(Assigning { signature, column, assign: assign.ok()? }))
        }
        _ => None,
    }
}

/// Whether a call only hides a value from the planner.
pub(super) fn is_mark(function: &str) -> bool {
    [WRITTEN, NESTED].contains(&function)
}

/// Assigns a value to a column.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Assigning {
    signature: Signature,
    column: String,
    assign: Assign,
}

function!(Assigning, |self| ASSIGN, |self, _from| self.assign.to().clone(), |this, array| {
    this.assign.apply(&array).map_err(|error| error.with_context(this.column.clone()))?
});

/// The start time of a statement in a column's type and precision. Without a zone it is the local time of the session's
/// zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Clock {
    name: &'static str,
    signature: Signature,
    to: DataType,
    digits: u32,
}

function!(Clock, |self| self.name, |self, _from| self.to.clone(), |this, array| this.read(&array)?);

impl Clock {
    fn read(&self, array: &ArrayRef) -> DfResult<ArrayRef> {
        use DataType::*;
        use TimeUnit::{Microsecond, Nanosecond};
        // Microseconds reach further than the years that nanoseconds do.
        let is_fine = |of: &DataType| matches!(of, Timestamp(Nanosecond, _) | Time64(Nanosecond));
        let (unit, digits) =
            if is_fine(array.data_type()) || is_fine(&self.to) { (Nanosecond, 9) } else { (Microsecond, 6) };
        let per_second = 10_i64.pow(digits);
        let units = match array.data_type() {
            Time64(_) | Time32(_) => recode(array, &Time64(unit))?,
            Timestamp(_, zone) => recode(array, &Timestamp(unit, zone.clone()))?,
            _ => recode(array, &Timestamp(unit, None))?,
        };
        let units = recode(&units, &Int64)?;
        let zone = match (array.data_type(), &self.to) {
            (Timestamp(_, Some(zone)), to) if !matches!(to, Timestamp(_, Some(_))) => Some(zone.parse::<Tz>()?),
            _ => None,
        };
        let step = 10_i64.pow(digits - self.digits.min(digits));
        let offset = |units: i64| match zone {
            Some(zone) => {
                let seconds = units.div_euclid(per_second);
                let time = as_datetime_with_timezone::<TimestampSecondType>(seconds, zone)?;
                (time.naive_local().and_utc().timestamp() - seconds).checked_mul(per_second)
            }
            None => Some(0),
        };
        let local = |units: i64| {
            let local = offset(units).and_then(|offset| units.checked_add(offset));
            let cut = local.and_then(|local| local.div_euclid(step).checked_mul(step));
            cut.ok_or_else(|| exec_datafusion_err!("the time is out of range for its data type"))
        };
        let local = units.as_primitive::<Int64Type>().try_unary::<_, Int64Type, DataFusionError>(local)?;
        let per_day = 86_400 * per_second;
        Ok(match &self.to {
            Date32 => {
                let days: ArrayRef = Arc::new(local.unary::<_, Int64Type>(|units| units.div_euclid(per_day)));
                recode(&recode(&days, &Int32)?, &Date32)?
            }
            Time32(_) | Time64(_) => {
                let times: ArrayRef = Arc::new(local.unary::<_, Int64Type>(|units| units.rem_euclid(per_day)));
                recode(&recode(&times, &Time64(unit))?, &self.to)?
            }
            Timestamp(_, zone) => {
                let times: ArrayRef = Arc::new(local);
                recode(&recode(&times, &Timestamp(unit, zone.clone()))?, &self.to)?
            }
            other => return exec_err!("the time cannot be converted to {other}"),
        })
    }
}
