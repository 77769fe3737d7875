//! The distribution of rows to writers.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use crate::backend::Dispatch;
use crate::error::{Error, Result};

/// Distributes batches to a number of writers.
#[derive(Debug)]
pub(super) enum Partitioner {
    /// Whole batches, in turn.
    InTurn,
    /// Rows with the same key go to the same writer.
    ByKey { columns: Vec<usize>, converter: RowConverter, writers: usize },
}

/// A batch for one writer, or for the first that has space.
#[derive(Debug)]
pub(super) enum Dealt {
    To(usize, RecordBatch),
    ToAny(RecordBatch),
}

impl Partitioner {
    pub(super) fn try_new(dispatch: &Dispatch, batches: &arrow::datatypes::Schema, writers: usize) -> Result<Self> {
        let Dispatch::ByKey(key) = dispatch else { return Ok(Self::InTurn) };
        if writers < 2 {
            return Ok(Self::InTurn);
        }
        let columns = key.iter().map(|name| batches.index_of(name)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let fields = columns.iter().map(|index| SortField::new(batches.field(*index).data_type().clone()));
        Ok(Self::ByKey { converter: RowConverter::new(fields.collect()).map_err(failed)?, columns, writers })
    }

    pub(super) fn deal(&mut self, batch: RecordBatch) -> Result<Vec<Dealt>> {
        let Self::ByKey { columns, converter, writers } = self else { return Ok(vec![Dealt::ToAny(batch)]) };
        let key: Vec<ArrayRef> = columns.iter().map(|index| Arc::clone(batch.column(*index))).collect();
        let key = converter.convert_columns(&key).map_err(failed)?;
        // These are the same for every batch of a write.
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let mut rows = vec![Vec::with_capacity(batch.num_rows() / *writers + 1); *writers];
        for (row, key) in (0u32..).zip(key.iter()) {
            rows[(hasher.hash_one(key) % *writers as u64) as usize].push(row);
        }
        let dealt = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()).map(|(writer, rows)| {
            let taken = take_record_batch(&batch, &UInt32Array::from(rows)).map_err(failed)?;
            Ok(Dealt::To(writer, taken))
        });
        dealt.collect()
    }
}

fn failed(error: ArrowError) -> Error {
    Error::internal(format!("could not distribute rows: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::backend::{conformance::columns, conformance::rows};

    #[test]
    fn a_key_always_goes_to_the_same_writer_and_no_row_is_lost() {
        let mut partitioner = Partitioner::try_new(&Dispatch::ByKey(vec!["id".into()]), &columns(), 3).unwrap();
        let (mut seen, mut count, mut of_writer) = (HashMap::new(), 0, [0; 3]);
        for range in [0..1000, 500..1500, 3..4, 7..7] {
            for dealt in partitioner.deal(rows(range)).unwrap() {
                let Dealt::To(writer, batch) = dealt else { panic!("dealt to any") };
                for id in batch.column(0).as_primitive::<Int64Type>().values() {
                    assert_eq!(*seen.entry(*id).or_insert(writer), writer, "id {id}");
                    count += 1;
                    of_writer[writer] += 1;
                }
            }
        }
        assert_eq!((count, seen.len()), (2001, 1500));
        assert!(of_writer.iter().all(|rows| *rows > 500), "{of_writer:?}");
    }
}
