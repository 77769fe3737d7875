//! Landfall's encoder against pgpq's: batches that are there to the bytes of COPY, in memory, and no I/O.
//!
//! Both get the same batches, and both fill buffers that were as large before. pgpq encodes all types of these tables
//! into the same bytes, which is checked first. What Landfall does beside it is looking for what the server would
//! refuse or change: NULLs, NUL characters, dates out of range, decimals of too many digits.

use std::cell::LazyCell;
use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion_landfall::SinkOptions;
use datafusion_landfall::mysql::{FileEncoder, MySql};
use datafusion_landfall::postgres::{CopyEncoder, Postgres};
use pgpq::ArrowToPostgresBinaryEncoder;
use tokio_util::bytes::BytesMut;
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::LineItemArrow;

use crate::events;
use crate::figure;
use crate::mysql::LazyMySql;
use crate::pairs::Pairs;
use crate::server::{LazyServer, Server};

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql: &LazyMySql) {
    let rows = figure::rows(1_000_000);
    table(criterion, server, "events", 3.0, rows, &|| events::batches(rows));
    table(criterion, server, "lineitem", 2.0, 600_572, &lineitem);
    file(criterion, mysql);
}

/// The events in MariaDB.
pub const FILE_COLUMNS: &str =
    "id bigint NOT NULL, user_id bigint NOT NULL, kind varchar(40) NOT NULL, amount double, ts datetime(6) NOT NULL";

/// Lines for LOAD DATA, against `format!` and chrono.
fn file(criterion: &mut Criterion, mysql: &LazyMySql) {
    let rows = figure::rows(1_000_000);
    let batches = LazyCell::new(|| events::batches(rows));
    let landfall = LazyCell::new(|| {
        let mut encoder = file_encoder(mysql, FILE_COLUMNS, events::schema());
        for batch in &*batches {
            let mut ours = Vec::new();
            encoder.encode(batch, |piece| ours.extend_from_slice(piece)).expect("a batch");
            assert_same_numbers(&ours, formatted(batch).as_bytes());
        }
        RefCell::new(encoder)
    });
    Pairs { name: "encode/mysql", beside: "format! and chrono", rows, bar: Some(3.0) }.measure(
        criterion,
        || {
            timed(&batches, |batch| {
                black_box(formatted(batch));
            })
        },
        || {
            let encoder = &mut *landfall.borrow_mut();
            timed(&batches, |batch| {
                let piece = |piece: &[u8]| {
                    black_box(piece);
                };
                encoder.encode(batch, piece).expect("a batch");
            })
        },
    );
}

/// The lines of a batch, as one writes them when nobody measures.
pub fn formatted(batch: &RecordBatch) -> String {
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let users = batch.column(1).as_primitive::<Int64Type>();
    let kinds = batch.column(2).as_string_view();
    let amounts = batch.column(3).as_primitive::<Float64Type>();
    let timestamps = batch.column(4).as_primitive::<TimestampMicrosecondType>();
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        let amount = if amounts.is_valid(row) { format!("{}", amounts.value(row)) } else { "\\N".into() };
        let at = timestamp_us_to_datetime(timestamps.value(row)).expect("a time");
        let at = at.format("%Y-%m-%d %H:%M:%S%.6f");
        lines += &format!("{}\t{}\t{}\t{amount}\t{at}\n", ids.value(row), users.value(row), kinds.value(row));
    }
    lines
}

/// The same lines, but that a whole number can be written with `.0` behind it.
fn assert_same_numbers(ours: &[u8], theirs: &[u8]) {
    let fields = |lines: &[u8]| -> Vec<String> {
        let fields = lines.split(|byte| matches!(byte, b'\t' | b'\n'));
        fields.map(|field| String::from_utf8_lossy(field).trim_end_matches(".0").to_owned()).collect()
    };
    assert!(fields(ours) == fields(theirs), "the lines differ");
}

/// The table of TPC-H at scale factor 0.1.
fn lineitem() -> Vec<RecordBatch> {
    let rows = LineItemArrow::new(LineItemGenerator::new(0.1, 1, 1)).with_batch_size(events::BATCH_ROWS);
    rows.map(|batch| batch.expect("a batch")).collect()
}

fn table(
    criterion: &mut Criterion,
    server: &LazyServer,
    name: &str,
    bar: f64,
    rows: usize,
    generate: &dyn Fn() -> Vec<RecordBatch>,
) {
    let batches = LazyCell::new(generate);
    let landfall = LazyCell::new(|| {
        let encoder = landfall_encoder(server, &format!("bench_encode_{name}"), batches[0].schema());
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
        assert_same_bytes(encoder, pgpq_encoder(&batches[0].schema()), &batches);
        RefCell::new(landfall_encoder(server, &format!("bench_encode_{name}"), batches[0].schema()))
    });
    let pgpq = LazyCell::new(|| RefCell::new(pgpq_encoder(&batches[0].schema())));
    let name = format!("encode/{name}");
    Pairs { name: &name, beside: "pgpq", rows, bar: Some(bar) }.measure(
        criterion,
        || {
            let (encoder, buffer) = &mut *pgpq.borrow_mut();
            timed(&batches, |batch| {
                buffer.clear();
                encoder.write_batch(batch, buffer).expect("a batch");
                black_box(&buffer[..]);
            })
        },
        || {
            let encoder = &mut *landfall.borrow_mut();
            timed(&batches, |batch| {
                let piece = |piece: &[u8]| {
                    black_box(piece);
                };
                encoder.encode(batch, piece).expect("a batch");
            })
        },
    );
}

fn timed(batches: &[RecordBatch], encode: impl FnMut(&RecordBatch)) -> Duration {
    let began = Instant::now();
    batches.iter().for_each(encode);
    began.elapsed()
}

/// An encoder that has written its header, and the buffer to write on into.
fn pgpq_encoder(schema: &SchemaRef) -> (ArrowToPostgresBinaryEncoder, BytesMut) {
    let mut encoder = ArrowToPostgresBinaryEncoder::try_new(schema).expect("an encoder");
    let mut buffer = BytesMut::new();
    encoder.write_header(&mut buffer).expect("a header");
    (encoder, buffer)
}

/// An encoder for a table that has the columns of `schema`.
pub fn landfall_encoder(server: &Server, table: &str, schema: SchemaRef) -> CopyEncoder {
    let columns = schema.fields().iter().map(|field| {
        let sql_type = match field.data_type() {
            DataType::Int32 => "integer".to_owned(),
            DataType::Int64 => "bigint".into(),
            DataType::Float64 => "double precision".into(),
            DataType::Utf8View => "text".into(),
            DataType::Date32 => "date".into(),
            DataType::Timestamp(_, None) => "timestamp".into(),
            DataType::Decimal128(precision, scale) => format!("numeric({precision}, {scale})"),
            other => unreachable!("no column of these tables is {other}"),
        };
        format!("{} {sql_type}{}", field.name(), if field.is_nullable() { "" } else { " NOT NULL" })
    });
    copy_encoder(server, table, &columns.collect::<Vec<_>>().join(", "), schema)
}

/// An encoder for a table that has these columns.
pub fn copy_encoder(server: &Server, table: &str, columns: &str, schema: SchemaRef) -> CopyEncoder {
    server.execute(&format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns})"));
    let database = Postgres::try_new(&server.url, &SinkOptions::new()).expect("a database");
    let encoder = server.runtime.block_on(CopyEncoder::connect(&database, table, schema)).expect("an encoder");
    server.execute(&format!("DROP TABLE {table}"));
    encoder
}

/// An encoder for a table of MariaDB that has these columns.
pub fn file_encoder(mysql: &LazyMySql, columns: &str, schema: SchemaRef) -> FileEncoder {
    mysql.execute(&["DROP TABLE IF EXISTS bench_encode", &format!("CREATE TABLE bench_encode ({columns})")]);
    let database = MySql::try_new(&mysql.url, &SinkOptions::new()).expect("a database");
    let encoder = FileEncoder::connect(&database, "bench_encode", schema);
    let encoder = mysql.runtime.block_on(encoder).expect("an encoder");
    mysql.execute(&["DROP TABLE bench_encode"]);
    encoder
}

fn assert_same_bytes(
    mut landfall: CopyEncoder,
    (mut pgpq, mut theirs): (ArrowToPostgresBinaryEncoder, BytesMut),
    batches: &[RecordBatch],
) {
    assert!(theirs[..] == *CopyEncoder::HEADER, "the headers differ");
    let mut ours = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        ours.clear();
        theirs.clear();
        landfall.encode(batch, |piece| ours.extend_from_slice(piece)).expect("a batch");
        pgpq.write_batch(batch, &mut theirs).expect("a batch");
        let differs = ours.iter().zip(&theirs[..]).position(|(ours, theirs)| ours != theirs);
        assert!(ours.len() == theirs.len() && differs.is_none(), "batch {index} differs at byte {differs:?}");
    }
    theirs.clear();
    pgpq.write_footer(&mut theirs).expect("a footer");
    assert!(theirs[..] == *CopyEncoder::TRAILER, "the trailers differ");
}
