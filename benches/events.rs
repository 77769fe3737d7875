//! The events table that all figures are about: `id BIGINT PRIMARY KEY, user_id BIGINT, kind TEXT, amount DOUBLE
//! NULL, ts TIMESTAMP`, in batches of 8,192 rows.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

pub const BATCH_ROWS: usize = 8_192;

pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("user_id", DataType::Int64, false),
        Field::new("kind", DataType::Utf8View, false),
        Field::new("amount", DataType::Float64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ]))
}

/// `rows` events, ids from 0 upward; the same ones each time.
pub fn batches(rows: usize) -> Vec<RecordBatch> {
    const KINDS: [&str; 5] = ["click", "view", "purchase", "refund", "subscription renewed"];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let starts = (0..rows).step_by(BATCH_ROWS);
    starts
        .map(|start| {
            let ids = start as i64..rows.min(start + BATCH_ROWS) as i64;
            let count = ids.clone().count();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from_iter_values(ids.clone())),
                Arc::new(Int64Array::from_iter_values((0..count).map(|_| (random() % 100_000) as i64))),
                Arc::new(StringViewArray::from_iter_values((0..count).map(|_| KINDS[random() as usize % 5]))),
                Arc::new(Float64Array::from_iter(
                    (0..count).map(|_| (!random().is_multiple_of(8)).then(|| random() as f64 / 100.0)),
                )),
                Arc::new(TimestampMicrosecondArray::from_iter_values(
                    ids.map(|id| 1_704_067_200_000_000 + id * 1_000_003),
                )),
            ];
            RecordBatch::try_new(schema(), columns).expect("columns of one length")
        })
        .collect()
}

/// The same rows in batches of so many.
pub fn cut(batches: &[RecordBatch], rows: usize) -> Vec<RecordBatch> {
    let all = concat_batches(&schema(), batches).expect("batches of one schema");
    let starts = (0..all.num_rows()).step_by(rows);
    starts.map(|start| all.slice(start, rows.min(all.num_rows() - start))).collect()
}
