//! How much memory rows take.

use arrow::array::{Array, RecordBatch};

/// Bytes of a batch's values: of its own rows, where it is a slice of a larger one.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> u64 {
    let of = |column: &dyn Array| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(|column| of(column.as_ref()) as u64).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_slice_is_counted_as_sliced() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|_| "abcd")));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        assert_eq!(batch_bytes(&batch), 8_000 + 4_000 + 1_001 * 4);
        assert_eq!(batch_bytes(&batch.slice(10, 10)), 80 + 40 + 11 * 4);
    }
}
