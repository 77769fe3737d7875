//! Aligns existing rows with new rows of the same keys.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{TakeOptions, take};

use super::dedup::LastRows;
use super::keys::Keys;
use crate::error::{Error, Result};

/// For each row of a batch, the row of another batch with the same key, if there is one.
#[derive(Debug)]
pub(crate) struct Alignment(UInt32Array);

impl Alignment {
    /// Aligns a batch of `rows` rows, given the last row of each of its keys, with rows whose keys are `old`, in any
    /// order.
    pub(crate) fn of(last: &LastRows<'_>, rows: usize, old: &Keys) -> Self {
        let mut found = vec![u32::MAX; rows];
        for row in 0..old.len() {
            if let Some(of) = last.row(old, row) {
                found[of as usize] = row as u32;
            }
        }
        let there = NullBuffer::from_iter(found.iter().map(|row| *row != u32::MAX));
        Self(UInt32Array::new(found.into(), (there.null_count() > 0).then_some(there)))
    }

    /// The bits of the rows that have a counterpart.
    pub(crate) fn found(&self) -> BooleanBuffer {
        self.0.nulls().map_or_else(|| BooleanBuffer::new_set(self.0.len()), |nulls| nulls.inner().clone())
    }

    /// A column of the other batch, aligned. NULL for rows without a counterpart.
    pub(crate) fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let is_same = self.0.null_count() == 0
            && self.0.len() == column.len()
            && self.0.values().iter().zip(0..).all(|(row, at)| *row == at);
        if is_same {
            return Ok(ArrayRef::clone(column));
        }
        take(column, &self.0, Some(TakeOptions { check_bounds: true }))
            .map_err(|error| Error::internal(format!("could not align rows: {error}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::{AsArray, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::super::keys::KeyForm;
    use super::*;

    proptest! {
        #[test]
        fn the_last_rows_of_keys_find_their_rows(new: Vec<(u8, u8)>, old: std::collections::BTreeSet<(u8, u8)>) {
            let old: Vec<_> = old.into_iter().rev().collect();
            let parts = |keys: &[(u8, u8)]| -> [ArrayRef; 3] {
                [
                    Arc::new(keys.iter().map(|(a, _)| Some(i32::from(*a) - 99)).collect::<Int32Array>()),
                    Arc::new(keys.iter().map(|(_, b)| Some(format!("key {b}"))).collect::<StringArray>()),
                    Arc::new(keys.iter().map(|(a, b)| Some(i64::from(*a) << 40 | i64::from(*b))).collect::<Int64Array>()),
                ]
            };
            let (new_parts, old_parts) = (parts(&new), parts(&old));
            // The two columns, and one that contains both.
            for columns in [0..2, 2..3] {
                let form = KeyForm::try_new(new_parts[columns.clone()].iter().map(|column| column.data_type())).unwrap();
                let (new_keys, old_keys) = (form.keys(&new_parts[columns.clone()]).unwrap(), form.keys(&old_parts[columns]).unwrap());
                let (last, superseded) = LastRows::of(&new_keys);
                let alignment = Alignment::of(&last, new.len(), &old_keys);
                let places: ArrayRef = Arc::new(Int64Array::from_iter_values(0..old.len() as i64));
                let found = alignment.apply(&places).unwrap();
                let found = found.as_primitive::<Int64Type>();
                let last: HashMap<_, _> = new.iter().enumerate().map(|(row, key)| (key, row)).collect();
                for (row, key) in new.iter().enumerate() {
                    let is_last = last[key] == row;
                    prop_assert_eq!(superseded.as_ref().is_some_and(|bits| bits.value(row)), !is_last);
                    let place = old.iter().position(|old| old == key).filter(|_| is_last).map(|place| place as i64);
                    prop_assert_eq!(found.is_valid(row).then(|| found.value(row)), place);
                    prop_assert_eq!(alignment.found().value(row), place.is_some());
                }
            }
        }
    }
}
