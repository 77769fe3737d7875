//! The memory size of rows.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// The size in bytes of a batch's values. For a slice, only its own rows count.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| array_bytes(column.as_ref()) as u64).sum()
}

fn array_bytes(array: &dyn Array) -> usize {
    let nulls = array.nulls().map_or(0, |nulls| nulls.len().div_ceil(8));
    // Their buffers may contain the texts of other rows.
    let views = |bytes: usize| array.len() * size_of::<u128>() + bytes + nulls;
    match array.data_type() {
        DataType::Utf8View => views(array.as_string_view().total_buffer_bytes_used()),
        DataType::BinaryView => views(array.as_binary_view().total_buffer_bytes_used()),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn a_slice_is_counted_as_sliced() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|_| "abcd")));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        assert_eq!(batch_bytes(&batch), 8_000 + 4_000 + 1_001 * 4);
        assert_eq!(batch_bytes(&batch.slice(10, 10)), 80 + 40 + 11 * 4);
        let views: ArrayRef = Arc::new(StringViewArray::from_iter((0..1000).map(|row| {
            (row % 2 == 0).then_some(if row % 4 == 0 { "short" } else { "a text of more than twelve bytes" })
        })));
        let batch = RecordBatch::try_from_iter([("v", views)]).unwrap();
        assert_eq!(batch_bytes(&batch), 16_000 + 250 * 32 + 125);
        assert_eq!(batch_bytes(&batch.slice(0, 8)), 8 * 16 + 2 * 32 + 1);
    }
}
