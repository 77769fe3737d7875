//! Columns that are printed as text: nested values as JSON, and dates outside the range of Arrow's printer.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The columns of a result as they are printed: nested ones are text.
pub(crate) fn schema(schema: &SchemaRef) -> SchemaRef {
    let printed = |field: &FieldRef| match field.data_type().is_nested() {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(printed).collect::<Vec<_>>()))
}

/// Rows as they are printed.
pub(crate) fn readable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        data_type if data_type.is_nested() => json(column),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => far_days(column),
        _ => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let fields = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect::<Vec<_>>();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// Nested values as JSON. Values without a JSON form are printed as Arrow prints them.
fn json(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let field: FieldRef = Arc::new(Field::new("value", array.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let Ok(mut encoder) = make_encoder(&field, array.as_ref(), &options) else { return cast(array, &DataType::Utf8) };
    let mut bytes = Vec::new();
    let mut text = |row: usize| {
        bytes.clear();
        encoder.encode(row, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let texts = (0..array.len()).map(|row| array.is_valid(row).then(|| text(row)));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// Days since 1970 that Arrow's printer supports.
const KNOWN: std::ops::RangeInclusive<i64> = -95_000_000..=95_000_000;

/// Dates and timestamps as text, if some are outside the range of Arrow's printer.
fn far_days(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let per_second: i64 = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => 1,
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000_000,
        _ => 0,
    };
    let units = match array.data_type() {
        DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(array, &DataType::Int64)?,
    };
    let units = units.as_primitive::<Int64Type>();
    let per_day = if per_second == 0 { 1 } else { per_second * 86_400 };
    if units.iter().flatten().all(|unit| KNOWN.contains(&unit.div_euclid(per_day))) {
        return Ok(Arc::clone(array));
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let text = |row: usize| {
        let unit = units.value(row);
        let (day, rest) = (unit.div_euclid(per_day), unit.rem_euclid(per_day));
        if KNOWN.contains(&day) {
            return formatter.value(row).to_string();
        }
        let mut text = date(day);
        if let DataType::Timestamp(_, zone) = array.data_type() {
            let (seconds, fraction) = (rest / per_second, rest % per_second);
            text += &format!("T{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
            if fraction > 0 {
                text += &format!(".{fraction:0width$}", width = per_second.ilog10() as usize);
            }
            text += if zone.is_some() { "Z" } else { "" };
        }
        text
    };
    let texts = (0..array.len()).map(|row| array.is_valid(row).then(|| text(row)));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// A day since 1970, with a sign, because its year has more than four digits:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(day: i64) -> String {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:+05}-{month:02}-{:02}", of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Date32Array, Int32Array, ListArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn printed(array: impl Array + 'static) -> Vec<Option<String>> {
        let batch = RecordBatch::try_from_iter([("c", Arc::new(array) as ArrayRef)]).unwrap();
        let batch = readable(&batch).unwrap();
        batch.column(0).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn nested_values_are_json() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        assert_eq!(printed(lists), [Some("[1,null]".to_owned()), None]);
    }

    #[test]
    fn days_far_away_are_printed() {
        // PostgreSQL's last day, and its last microsecond.
        let days = printed(Date32Array::from(vec![Some(2_145_042_905), Some(0), None]));
        assert_eq!(days, [Some("+5874897-12-31".to_owned()), Some("1970-01-01".to_owned()), None]);
        let last = printed(TimestampMicrosecondArray::from(vec![9_223_371_331_199_999_999]));
        assert_eq!(last, [Some("+294247-01-01T23:59:59.999999".to_owned())]);
        let known =
            readable(&RecordBatch::try_from_iter([("c", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap());
        assert_eq!(known.unwrap().column(0).data_type(), &DataType::Int32);
    }
}
