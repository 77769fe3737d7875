//! Cuts wide values of tables. A line of a million characters is unreadable, and its layout takes minutes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The characters of a line that are printed, and of a value.
const LINE: usize = 4_000;
const VALUE: usize = 100_000;

/// The batch with its wide values cut, and their length.
pub(crate) fn cut(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(cut_column).collect::<Result<Vec<_>, _>>()?;
    let fields = batch.schema_ref().fields().iter().zip(&columns);
    let fields = fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
}

fn cut_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let is_narrow = matches!(column.data_type(), DataType::Null | DataType::Boolean)
        || column.data_type().primitive_width().is_some();
    // A value is at least as long as a quarter of its characters.
    if is_narrow || column.get_array_memory_size() <= LINE {
        return Ok(Arc::clone(column));
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let mut is_cut = false;
    let texts = (0..column.len()).map(|row| {
        if column.is_null(row) {
            return Ok(None);
        }
        let text = formatter.value(row).try_to_string()?;
        let shorter = shorter(&text);
        is_cut |= shorter.is_some();
        Ok(Some(shorter.unwrap_or(text)))
    });
    let texts = texts.collect::<Result<StringArray, ArrowError>>()?;
    Ok(if is_cut { Arc::new(texts) } else { Arc::clone(column) })
}

/// The text with its long lines cut; `None` if it has none.
fn shorter(text: &str) -> Option<String> {
    let is_long = |line: &str| line.len() > LINE && line.chars().count() > LINE;
    if text.len() <= VALUE && !text.lines().any(is_long) {
        return None;
    }
    let mut printed = String::new();
    for line in text.lines() {
        if printed.len() > VALUE {
            printed += &format!("\n… ({} characters in total)", text.chars().count());
            break;
        }
        if !printed.is_empty() {
            printed.push('\n');
        }
        match line.char_indices().nth(LINE) {
            Some((end, _)) => printed += &format!("{}… ({} characters)", &line[..end], line.chars().count()),
            None => printed += line,
        }
    }
    Some(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_their_length_is_told() {
        assert_eq!(shorter(&"é".repeat(LINE)), None);
        let line = "é".repeat(LINE + 1);
        let cut = format!("a\n{}… (4001 characters)\nb", "é".repeat(LINE));
        assert_eq!(shorter(&format!("a\n{line}\nb")), Some(cut));
        let many = shorter(&"line\n".repeat(1_000_000)).unwrap_or_default();
        assert!(many.len() < VALUE + 100 && many.ends_with("… (5000000 characters in total)"), "{}", many.len());
    }
}
