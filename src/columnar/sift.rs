//! Finds the rows of a batch that cannot be converted.

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;

use crate::error::{Error, Result};

/// The rows for which `check` succeeds. It is called with parts of the batch that are halved until they are good or a single
/// row, which `refuse` receives with its error: about k·log n calls for k bad rows of n.
///
/// # Errors
/// Errors of `check` that are not about a row, and errors of `refuse`.
pub(crate) fn sift(
    rows: RecordBatch,
    mut check: impl FnMut(&RecordBatch) -> Result<()>,
    mut refuse: impl FnMut(&RecordBatch, Error) -> Result<()>,
) -> Result<RecordBatch> {
    let mut good = BooleanBufferBuilder::new(rows.num_rows());
    // The parts to check, the next one last.
    let mut parts = vec![(0, rows.num_rows())];
    while let Some((first, count)) = parts.pop() {
        let part = rows.slice(first, count);
        match check(&part) {
            Ok(()) => good.append_n(count, true),
            Err(error) if !error.is_of_a_row() => return Err(error),
            Err(error) if count <= 1 => {
                refuse(&part, error)?;
                good.append_n(count, false);
            }
            Err(_) => {
                let half = count / 2;
                parts.extend([(first + half, count - half), (first, half)]);
            }
        }
    }
    let good = BooleanArray::new(good.finish(), None);
    if good.true_count() == rows.num_rows() {
        return Ok(rows);
    }
    filter_record_batch(&rows, &good).map_err(|error| Error::internal(format!("could not select rows: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn bad_rows_are_found_in_few_steps_and_no_row_is_lost() {
        for bad in
            [vec![], vec![0], vec![4_095], vec![17, 18, 900], (0..64).collect(), (0..4_096).collect::<Vec<i64>>()]
        {
            let ids = Arc::new(Int64Array::from_iter_values(0..4_096));
            let batch = RecordBatch::try_from_iter([("id", ids as _)]).unwrap();
            let values = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().values().to_vec();
            let (mut steps, mut refused) = (0, Vec::new());
            let check = |rows: &RecordBatch| {
                steps += 1;
                match values(rows).iter().any(|id| bad.contains(id)) {
                    true => Err(Error::new(ErrorKind::Encode, "bad")),
                    false => Ok(()),
                }
            };
            let good = sift(batch, check, |row, _| {
                refused.extend(values(row));
                Ok(())
            });
            let good = values(&good.unwrap());
            assert_eq!(refused, bad);
            assert_eq!(good, (0..4_096).filter(|id| !bad.contains(id)).collect::<Vec<_>>());
            assert!(steps <= 1 + 24 * bad.len(), "{steps} steps for {} rows", bad.len());
        }
    }

    #[test]
    fn another_error_is_returned() {
        let batch = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1, 2])) as _)]).unwrap();
        let lost = |_: &RecordBatch| Err(Error::new(ErrorKind::Unavailable, "lost"));
        let error = sift(batch, lost, |_, _| panic!("refused")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
