//! The rows of a load.

use datafusion::arrow::array::RecordBatch;

use crate::events;

/// The first `rows` events.
pub fn events(rows: usize) -> Vec<RecordBatch> {
    // Of whole batches: in another one at the end there would be other rows.
    let mut batches = events::batches(rows.next_multiple_of(events::BATCH_ROWS));
    if let Some(last) = batches.pop() {
        batches.push(last.slice(0, rows - batches.len() * events::BATCH_ROWS));
    }
    batches
}
