//! Which rows of two batches differ: Landfall's kernels against arrow's `distinct` or-ed together, and against rows of
//! arrow's row format compared one by one. In memory, on batches of 8,192 rows; one row of a hundred differs.

use std::cell::LazyCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    UInt32Array,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{cast, or, take_record_batch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion_landfall::columnar::compare::{Zeros, changed_rows};
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::LineItemArrow;

use crate::figure::{Bar, Figure, Unit};
use crate::pairs::{Pairs, repeat};

const ROWS: usize = 8_192;

/// Comparisons in one measurement.
const TIMES: usize = 200;

type Batches = (RecordBatch, RecordBatch);

pub fn benches(criterion: &mut Criterion) {
    for texts in [DataType::Utf8, DataType::Utf8View] {
        let batches = LazyCell::new(|| lineitem(&texts));
        let ours = || timed(|| compared(&batches.0, &batches.1));
        let mut measure = |name: &str, beside: &str, bar, other: &dyn Fn() -> Duration| {
            let name = format!("compare/lineitem/{texts}/{name}");
            Pairs { name: &name, beside, rows: ROWS * TIMES, bar: Some(bar) }.measure(criterion, other, ours);
        };
        measure("distinct", "distinct or-ed", 3.0, &|| timed(|| or_ed(&batches)));
        measure("rows", "row by row", 20.0, &|| timed(|| row_by_row(&batches)));
    }
    for column in ["Int32", "Int64", "Float64", "Date32", "Decimal128"] {
        speed(criterion, column);
    }
}

/// The comparison that is measured.
fn compared(new: &RecordBatch, old: &RecordBatch) -> BooleanBuffer {
    changed_rows(new.columns(), old.columns(), new.num_rows(), Zeros::Differ).expect("two alike")
}

/// Compares the batches again and again, and says how long that took.
pub fn changed() -> impl FnMut() -> Duration {
    let batches = LazyCell::new(|| lineitem(&DataType::Utf8View));
    move || timed(|| compared(&batches.0, &batches.1))
}

fn timed<T>(compare: impl Fn() -> T) -> Duration {
    let began = Instant::now();
    for _ in 0..TIMES {
        black_box(compare());
    }
    began.elapsed()
}

/// Two batches of TPC-H's lineitem, in memory of their own, equal but for one row of a hundred, in which one column
/// differs.
fn lineitem(texts: &DataType) -> Batches {
    let generated = || {
        let generator = LineItemGenerator::new(0.01, 1, 1);
        let batch = LineItemArrow::new(generator).with_batch_size(ROWS).next().expect("rows").expect("a batch");
        let columns = batch.columns().iter().map(|column| match column.data_type() {
            DataType::Utf8View => cast(column, texts).expect("texts"),
            _ => Arc::clone(column),
        });
        RecordBatch::try_from_iter(batch.schema().fields().iter().map(|field| field.name()).zip(columns))
            .expect("columns")
    };
    let (other, again) = (generated(), generated());
    let columns = other.columns().iter().enumerate().map(|(index, column)| -> ArrayRef {
        let of_another = |row: usize| row.is_multiple_of(100) && row / 100 % other.num_columns() == index;
        let rows = (0..ROWS).map(|row| if of_another(row) { (row + 1) % ROWS } else { row });
        let taken = UInt32Array::from_iter_values(rows.map(|row| row as u32));
        let batch = RecordBatch::try_from_iter([("c", Arc::clone(column))]).expect("a column");
        Arc::clone(take_record_batch(&batch, &taken).expect("its rows").column(0))
    });
    let changed = RecordBatch::try_new(other.schema(), columns.collect()).expect("columns of one length");
    let batches = (changed, again);
    let ours = compared(&batches.0, &batches.1);
    assert!((40..=82).contains(&ours.count_set_bits()), "{} rows differ", ours.count_set_bits());
    assert_eq!(&ours, or_ed(&batches).values());
    assert_eq!(ours, row_by_row(&batches));
    batches
}

fn or_ed((new, old): &Batches) -> BooleanArray {
    let mut columns = new.columns().iter().zip(old.columns()).map(|(new, old)| distinct(new, old).expect("two alike"));
    let first = columns.next().expect("a column");
    columns.fold(first, |all, column| or(&all, &column).expect("as many"))
}

fn row_by_row((new, old): &Batches) -> BooleanBuffer {
    let fields = new.columns().iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).expect("types with an order");
    let (new, old) = (converter.convert_columns(new.columns()), converter.convert_columns(old.columns()));
    let (new, old) = (new.expect("rows"), old.expect("rows"));
    new.iter().zip(old.iter()).map(|(new, old)| new != old).collect()
}

/// Bytes a second of one column, those of both sides.
fn speed(criterion: &mut Criterion, name: &str) {
    const BAR: f64 = 8e9;
    let column = |shift: usize| -> ArrayRef {
        let values = (0..ROWS).map(|row| row + usize::from(row.is_multiple_of(100)) * shift);
        match name {
            "Int32" => Arc::new(Int32Array::from_iter_values(values.map(|value| value as i32))),
            "Int64" => Arc::new(Int64Array::from_iter_values(values.map(|value| value as i64))),
            "Float64" => Arc::new(Float64Array::from_iter_values(values.map(|value| value as f64))),
            "Date32" => {
                Arc::new(Date32Array::from_iter(values.map(|value| Some(value as i32).filter(|_| value % 7 > 0))))
            }
            _ => Arc::new(Decimal128Array::from_iter_values(values.map(|value| value as i128))),
        }
    };
    let batch = |shift| RecordBatch::try_from_iter([("c", column(shift))]).expect("a column");
    let (new, old) = (batch(1), batch(0));
    let bytes = 2 * new.column(0).data_type().primitive_width().expect("a width") * ROWS;
    let name = format!("compare/speed/{name}");
    let ours = || timed(|| compared(&new, &old));
    let speeds = repeat(criterion, &name, || {
        let time = ours();
        (time, (bytes * TIMES) as f64 / time.as_secs_f64())
    });
    let nulls = if new.column(0).null_count() > 0 { ", with NULLs" } else { "" };
    let note = format!("bytes of both sides, in cache{nulls}");
    Figure::new(name, Unit::Bandwidth, speeds).bar([Bar::Median(BAR)]).note(note).print();
}
