//! Checks that every value of a column can be stored by its target.

use std::ops::RangeBounds;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};

use super::{first_row_where, misfit};
use crate::error::Result;

/// Refuses the first non-NULL value that does not satisfy `is_good`.
///
/// # Errors
/// `Encode`, at its row.
pub fn check<T: ArrowPrimitiveType>(array: &ArrayRef, is_good: impl Fn(T::Native) -> bool, why: &str) -> Result<()> {
    let values = array.as_primitive::<T>();
    // All values together, including those under NULLs. Only if that fails, one by one.
    if !values.values().iter().fold(true, |all, value| all & is_good(*value))
        && let Some(row) = first_row_where(values, |row| !is_good(values.value(row)))
    {
        return Err(misfit(array, row, why));
    }
    Ok(())
}

/// Refuses the first non-NULL value that is out of range.
///
/// # Errors
/// `Encode`, at its row.
pub fn check_range<T: ArrowPrimitiveType>(array: &ArrayRef, range: impl RangeBounds<T::Native>, why: &str) -> Result<()>
where
    T::Native: PartialOrd,
{
    check::<T>(array, |value| range.contains(&value), why)
}

/// Refuses values that a column with fewer than six fractional seconds digits would round. Values are microseconds.
///
/// # Errors
/// `Encode`, at its row.
pub fn check_digits<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, digits: u32) -> Result<()> {
    if digits >= 6 {
        return Ok(());
    }
    let unit = 10_i64.pow(6 - digits);
    let why =
        format!("has more fractional digits in the seconds than the {digits} that the column stores: use date_trunc");
    check::<T>(array, |value| value % unit == 0, &why)
}
