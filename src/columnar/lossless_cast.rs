//! Converts an array to another type without changing a value. A value that does not fit is an error that names the
//! row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, ErrorKind, Result};

/// A planned conversion from one Arrow type to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LosslessCast {
    to: DataType,
    cast: Cast,
    /// The source's type with the target's types for those parts that contain only NULL.
    filled: Option<DataType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Cast {
    /// The types are the same.
    Same,
    /// The encoding differs (dictionary, view, offsets); every value fits.
    Recode,
    /// Some values fit: cast, cast back, and the two must be equal.
    Checked,
}

/// Types whose values can have the same meaning.
#[derive(PartialEq)]
enum Family<'a> {
    Null,
    Boolean,
    Number,
    Text,
    Bytes,
    Date,
    Time,
    Duration,
    Interval,
    LocalTimestamp,
    Timestamp,
    Other(&'a DataType),
}

fn family(data_type: &DataType) -> Family<'_> {
    use DataType::*;
    match data_type {
        Null => Family::Null,
        Boolean => Family::Boolean,
        t if t.is_numeric() => Family::Number,
        Utf8 | LargeUtf8 | Utf8View => Family::Text,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Family::Bytes,
        Date32 | Date64 => Family::Date,
        Time32(_) | Time64(_) => Family::Time,
        Duration(_) => Family::Duration,
        Interval(_) => Family::Interval,
        Timestamp(_, None) => Family::LocalTimestamp,
        Timestamp(_, Some(_)) => Family::Timestamp,
        other => Family::Other(other),
    }
}

/// The type of the values of dictionaries and runs.
pub(crate) fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        other => other,
    }
}

impl LosslessCast {
    /// Plans a conversion from `from` to `to`, if their values can have the same meaning.
    pub(crate) fn try_new(from: &DataType, to: &DataType) -> Option<Self> {
        if let Some(filled) = with_types_for_null(from, to).filter(|filled| filled != from) {
            return Some(Self { filled: Some(filled.clone()), ..Self::try_new(&filled, to)? });
        }
        let cast = if from == to {
            Cast::Same
        } else if !can_cast_types(from, to) {
            return None;
        } else {
            match (family(plain(from)), family(plain(to))) {
                (Family::Null, _) | (Family::Text, Family::Text) => Cast::Recode,
                (Family::Other(a), Family::Other(b)) => {
                    if a == b {
                        Cast::Recode
                    } else if nested_alike(a, b) {
                        Cast::Checked
                    } else {
                        return None;
                    }
                }
                (a, b) if a == b && plain(from) == plain(to) => Cast::Recode,
                (a, b) if a == b => Cast::Checked,
                _ => return None,
            }
        };
        Some(Self { to: to.clone(), cast, filled: None })
    }

    /// Plans a conversion if Arrow can cast in both directions, regardless of the meaning of the types.
    pub(crate) fn checked(from: &DataType, to: &DataType) -> Option<Self> {
        let is_way = can_cast_types(from, to) && can_cast_types(to, from);
        is_way.then(|| Self { to: to.clone(), cast: Cast::Checked, filled: None })
    }

    /// Plans a conversion by Arrow's cast, which refuses values that it cannot parse.
    pub(crate) fn strict(from: &DataType, to: &DataType) -> Option<Self> {
        can_cast_types(from, to).then(|| Self { to: to.clone(), cast: Cast::Recode, filled: None })
    }

    /// Whether no value can be refused.
    pub(crate) fn is_exact(&self) -> bool {
        self.cast != Cast::Checked
    }

    /// Converts an array.
    ///
    /// # Errors
    /// `Encode`, with the row in this array and its value, if a value does not fit.
    pub(crate) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let filled = self.filled.as_ref().map(|filled| recode(array, filled)).transpose()?;
        let array = filled.as_ref().unwrap_or(array);
        // Integers have only one zero.
        let unsigned_zeros = if self.to.is_integer() { without_negative_zeros(array) } else { None };
        let array = unsigned_zeros.as_ref().unwrap_or(array);
        if self.cast == Cast::Same {
            return Ok(ArrayRef::clone(array));
        }
        let strict = CastOptions { safe: false, ..Default::default() };
        let converted = |array: &dyn Array| -> Option<ArrayRef> {
            let there = cast_with_options(array, &self.to, &strict).ok()?;
            if self.cast == Cast::Recode {
                return Some(there);
            }
            let back = cast_with_options(&there, array.data_type(), &strict).ok()?;
            (back.as_ref() == array).then_some(there)
        };
        if let Some(there) = converted(array) {
            return Ok(there);
        }
        // Some value does not fit: find it, one by one.
        match (0..array.len()).find(|row| converted(&array.slice(*row, 1)).is_none()) {
            Some(row) => {
                let why = format!(
                    "does not fit {}{}",
                    self.to,
                    hint(plain(array.data_type()), plain(&self.to), &shown(array, row))
                );
                Err(misfit(array, row, &why))
            }
            // Values under NULL may differ: the rows are equal, but not the arrays.
            None => cast_with_options(array, &self.to, &strict).map_err(|error| Error::internal(error.to_string())),
        }
    }
}

/// The array in a type that can represent each of its values.
///
/// # Errors
/// `Decode` if the type cannot represent a value.
pub(crate) fn recode(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(ArrayRef::clone(array));
    }
    cast_with_options(array, to, &CastOptions { safe: false, ..Default::default() })
        .map_err(|error| Error::new(ErrorKind::Decode, format!("converting {} to {to}: {error}", array.data_type())))
}

/// The field of the items of a list of any kind.
pub(crate) fn list_item(data_type: &DataType) -> Option<&FieldRef> {
    use DataType::*;
    match data_type {
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// Whether two types are lists, structs or maps of the same shape whose leaves can have the same meaning.
fn nested_alike(a: &DataType, b: &DataType) -> bool {
    use DataType::*;
    match (a, b) {
        (Struct(a), Struct(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.name() == b.name() && LosslessCast::try_new(a.data_type(), b.data_type()).is_some())
        }
        // The names of the entries do not matter.
        (Map(a, _), Map(b, _)) => match (a.data_type(), b.data_type()) {
            (Struct(a), Struct(b)) => {
                a.iter().zip(b).all(|(a, b)| LosslessCast::try_new(a.data_type(), b.data_type()).is_some())
            }
            _ => false,
        },
        _ => match (list_item(a), list_item(b)) {
            (Some(a), Some(b)) => LosslessCast::try_new(a.data_type(), b.data_type()).is_some(),
            _ => false,
        },
    }
}

/// What to write in a query whose value does not fit.
pub(super) fn hint(from: &DataType, to: &DataType, value: &str) -> String {
    use DataType::*;
    let (number, exponent) = value.split_once(['e', 'E']).unwrap_or((value, "0"));
    let fraction = number.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0');
    let places = (fraction.len() as i64).saturating_sub(exponent.parse::<i64>().unwrap_or_default());
    match (from, to) {
        (from, to) if from.is_numeric() && to.is_integer() && places > 0 => {
            ": use round(x), trunc(x) or floor(x) to remove its fraction".into()
        }
        (from, Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale))
            if from.is_numeric() && places > i64::from(*scale) =>
        {
            format!(": use round(x, {scale}) to remove its last digits")
        }
        (from, to) if from.is_numeric() && (to.is_integer() || to.is_decimal()) => ": the value is out of range".into(),
        (from, Boolean) if from.is_numeric() => ": use x <> 0".into(),
        (from, Float32 | Float64) if from.is_numeric() => format!(
            " with all its digits: use CAST(x AS {})",
            match to {
                Float32 => "REAL",
                _ => "DOUBLE",
            }
        ),
        (Timestamp(_, _), Date32 | Date64) => ", because it has a time of day: use CAST(x AS DATE)".into(),
        (Timestamp(TimeUnit::Nanosecond, _), Timestamp(_, _)) | (Time64(TimeUnit::Nanosecond), Time64(_)) => {
            ", because it has nanoseconds: set the option 'nanoseconds' to 'truncate' to drop the nanoseconds".into()
        }
        _ => String::new(),
    }
}

/// Floats with -0.0 replaced by 0.0.
fn without_negative_zeros(array: &ArrayRef) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::Float64 => Some(Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(|x| x + 0.0))),
        DataType::Float32 => Some(Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|x| x + 0.0))),
        _ => None,
    }
}

/// A nested type with its NULL types replaced by those of another type of its shape. The items of an empty list have
/// the type NULL.
fn with_types_for_null(from: &DataType, to: &DataType) -> Option<DataType> {
    use DataType::*;
    let field = |from: &FieldRef, to: &FieldRef| {
        let data_type = match (from.data_type(), to.data_type()) {
            (Null, to) => to.clone(),
            (from, to) => with_types_for_null(from, to).unwrap_or_else(|| from.clone()),
        };
        Arc::new(from.as_ref().clone().with_data_type(data_type))
    };
    Some(match (from, to) {
        (List(from), to) => List(field(from, list_item(to)?)),
        (LargeList(from), to) => LargeList(field(from, list_item(to)?)),
        (Struct(from), Struct(to)) if from.len() == to.len() => {
            Struct(from.iter().zip(to).map(|(from, to)| field(from, to)).collect())
        }
        (Map(from, sorted), Map(to, _)) => Map(field(from, to), *sorted),
        _ => return None,
    })
}

/// An error about one value: `row 3 (counted from 0 in this array): "value" <why>`; the row is kept apart so that
/// the caller can count it in the stream.
pub(crate) fn misfit(array: &dyn Array, row: usize, why: &str) -> Error {
    Error::new(ErrorKind::Encode, format!("value {} {why}", shown(array, row))).at_row(row)
}

/// The first row that is not NULL and for which `is_bad` holds.
pub(crate) fn first_row_where(array: &dyn Array, is_bad: impl Fn(usize) -> bool) -> Option<usize> {
    (0..array.len()).find(|row| array.is_valid(*row) && is_bad(*row))
}

/// A value for a message, shortened.
fn shown(array: &dyn Array, row: usize) -> String {
    const MAX_CHARS: usize = 60;
    let text = match array.data_type() {
        DataType::Utf8 => format!("'{}'", array.as_string::<i32>().value(row)),
        DataType::Utf8View => format!("'{}'", array.as_string_view().value(row)),
        _ => match ArrayFormatter::try_new(array, &FormatOptions::default()) {
            Ok(formatter) => formatter.value(row).to_string(),
            Err(_) => "(not printable)".into(),
        },
    };
    // A terminal would interpret control characters.
    let text = text.replace(char::is_control, "\u{fffd}");
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{DictionaryArray, Float64Array, Int64Array, ListArray, StringArray, TimestampNanosecondArray};
    use arrow::datatypes::{Field, Int8Type};

    use super::*;

    fn conform(array: impl Array + 'static, to: DataType) -> Result<ArrayRef> {
        let array: ArrayRef = Arc::new(array);
        LosslessCast::try_new(array.data_type(), &to).expect("a way").apply(&array)
    }

    #[test]
    fn a_value_that_fits_is_kept() {
        let ints = conform(Int64Array::from(vec![Some(1), None, Some(-128)]), DataType::Int8).unwrap();
        assert_eq!(ints.as_primitive::<Int8Type>().value(2), -128);
        let dictionary: DictionaryArray<Int8Type> = vec!["a", "b", "a"].into_iter().collect();
        let texts = conform(dictionary, DataType::Utf8View).unwrap();
        assert_eq!(texts.as_string_view().value(2), "a");
    }

    #[test]
    fn a_value_that_does_not_fit_is_named() {
        let error = conform(Int64Array::from(vec![Some(1), None, Some(128)]), DataType::Int8).unwrap_err();
        assert_eq!((error.row(), error.kind()), (Some(2), ErrorKind::Encode));
        assert!(error.to_string().contains("value 128 does not fit Int8"), "{error}");
        assert!(conform(Float64Array::from(vec![0.5]), DataType::Int64).is_err());
        assert!(conform(Float64Array::from(vec![-0.0]), DataType::Int64).is_ok());
        assert!(conform(Int64Array::from(vec![(1 << 53) + 1]), DataType::Float64).is_err());
        let nanos = TimestampNanosecondArray::from(vec![1_001]);
        assert!(conform(nanos, DataType::Timestamp(TimeUnit::Microsecond, None)).is_err());
    }

    #[test]
    fn an_empty_list_fits_a_list_of_whatever() {
        let empty = ListArray::new_null(Arc::new(Field::new("item", DataType::Null, true)), 1);
        let empty = ListArray::new(
            Arc::new(Field::new("item", DataType::Null, true)),
            empty.offsets().clone(),
            empty.values().clone(),
            None,
        );
        let to = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        assert_eq!(conform(empty, to.clone()).unwrap().data_type(), &to);
    }

    #[test]
    fn families_do_not_mix() {
        for (from, to) in [
            (DataType::Utf8, DataType::Int64),
            (DataType::Int64, DataType::Utf8),
            (DataType::Boolean, DataType::Int64),
            (DataType::Date32, DataType::Timestamp(TimeUnit::Second, None)),
            (DataType::Timestamp(TimeUnit::Second, None), DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))),
        ] {
            assert!(LosslessCast::try_new(&from, &to).is_none(), "{from} to {to}");
        }
    }

    #[test]
    fn a_long_value_is_shortened() {
        let long = StringArray::from(vec!["ä".repeat(100)]);
        assert!(misfit(&long, 0, "is long").to_string().len() < 200);
    }
}
