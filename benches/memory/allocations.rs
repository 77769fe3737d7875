//! How often memory is allocated: for a batch on its way to the server, by the encoders alone, by a column of each kind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use criterion::Criterion;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use crate::encode::{FILE_COLUMNS, copy_encoder, file_encoder};
use crate::events;
use crate::figure::{Bar, Figure, Unit, median};
use crate::mysql::LazyMySql;
use crate::pairs::repeat;
use crate::server::LazyServer;

/// The events in PostgreSQL.
const COPY_COLUMNS: &str = "id bigint, user_id bigint, kind text, amount double precision, ts timestamp";

/// Rows of a batch.
const ROWS: usize = events::BATCH_ROWS;

/// Allocations for a batch, on its way from the stream to the socket.
const BAR_LANDING: f64 = 400.0;

/// Allocations for a batch in the encoder.
const BAR_ENCODING: f64 = 16.0;

/// A column of one kind, made of the numbers 0 to 8191, and what the servers declare for it.
struct Conversion {
    name: &'static str,
    from: fn(&ArrayRef) -> ArrayRef,
    postgres: &'static str,
    mysql: &'static str,
}

const CONVERSIONS: &[Conversion] = &[
    Conversion { name: "Int64", from: |numbers| Arc::clone(numbers), postgres: "bigint", mysql: "bigint" },
    Conversion {
        name: "Float64",
        from: |numbers| to(numbers, &DataType::Float64),
        postgres: "double precision",
        mysql: "double",
    },
    Conversion {
        name: "Decimal128",
        from: |numbers| to(numbers, &DataType::Decimal128(18, 2)),
        postgres: "numeric(18, 2)",
        mysql: "decimal(18, 2)",
    },
    Conversion { name: "Utf8", from: |numbers| to(numbers, &DataType::Utf8), postgres: "text", mysql: "text" },
    Conversion {
        name: "Dictionary of Utf8",
        from: |numbers| {
            let texts = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
            to(&to(numbers, &DataType::Utf8), &texts)
        },
        postgres: "text",
        mysql: "text",
    },
    Conversion {
        name: "Timestamp",
        from: |numbers| to(numbers, &DataType::Timestamp(TimeUnit::Millisecond, None)),
        postgres: "timestamp",
        mysql: "datetime(6)",
    },
    Conversion {
        name: "List of Int64",
        from: |numbers| to(numbers, &DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))),
        postgres: "bigint[]",
        mysql: "json",
    },
];

fn to(array: &ArrayRef, data_type: &DataType) -> ArrayRef {
    cast(array, data_type).expect("a column of that type")
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql: &LazyMySql) {
    landing(criterion, server);
    let batch = events::batches(ROWS).swap_remove(0);
    encoding(criterion, "memory/encoding, postgres", Some(BAR_ENCODING), &batch, &|| {
        copying(server, COPY_COLUMNS, events::schema())
    });
    encoding(criterion, "memory/encoding, mysql", Some(BAR_ENCODING), &batch, &|| {
        filing(mysql, FILE_COLUMNS, events::schema())
    });
    let numbers = Arc::clone(batch.column(0));
    for conversion in CONVERSIONS {
        let Conversion { name, from, postgres, mysql: declared } = conversion;
        let column = from(&numbers);
        let batch = RecordBatch::try_from_iter([("value", column)]).expect("a batch");
        for (server_name, encoder) in [
            ("postgres", &(|| copying(server, &format!("value {postgres}"), batch.schema())) as &dyn Fn() -> Encode),
            ("mysql", &|| filing(mysql, &format!("value {declared}"), batch.schema())),
        ] {
            encoding(criterion, &format!("memory/conversion of {name}, {server_name}"), None, &batch, encoder);
        }
    }
}

/// Counts allocations while it is asked to.
pub struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is handed on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.load(Relaxed) {
            ALLOCATIONS.fetch_add(1, Relaxed);
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if IS_COUNTING.load(Relaxed) {
            ALLOCATIONS.fetch_add(1, Relaxed);
        }
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What one more batch allocates on its way: twice as many batches, less as many.
fn landing(criterion: &mut Criterion, server: &LazyServer) {
    const BATCHES: usize = 200;
    let per_batch = repeat(criterion, "memory/landing", || {
        let began = Instant::now();
        let [some, twice] = [BATCHES, 2 * BATCHES].map(|batches| allocated(server, batches));
        (began.elapsed(), (twice as f64 - some as f64) / BATCHES as f64)
    });
    Figure::new("memory/landing, allocations of a batch", Unit::Number, per_batch)
        .bar([Bar::Median(BAR_LANDING)])
        .note(format!("{ROWS} rows into PostgreSQL, with what DataFusion and the client allocate for them"))
        .print();
}

/// An encoder; what it makes is thrown away.
type Encode = Box<dyn FnMut(&RecordBatch)>;

fn copying(server: &LazyServer, columns: &str, schema: SchemaRef) -> Encode {
    let mut encoder = copy_encoder(server, "bench_encode", columns, schema);
    Box::new(move |batch| encoder.encode(batch, thrown_away).expect("a batch"))
}

fn filing(mysql: &LazyMySql, columns: &str, schema: SchemaRef) -> Encode {
    let mut encoder = file_encoder(mysql, columns, schema);
    Box::new(move |batch| encoder.encode(batch, thrown_away).expect("a batch"))
}

fn thrown_away(piece: &[u8]) {
    black_box(piece);
}

/// What encoding one more batch allocates, once the buffers have grown, beside the first one.
fn encoding(
    criterion: &mut Criterion,
    name: &str,
    bar: Option<f64>,
    batch: &RecordBatch,
    encoder: &dyn Fn() -> Encode,
) {
    const BATCHES: usize = 100;
    let counts = repeat(criterion, name, || {
        let mut encode = encoder();
        let first = counted(|| encode(batch));
        let began = Instant::now();
        let others = counted(|| (0..BATCHES).for_each(|_| encode(batch)));
        (began.elapsed(), (others as f64 / BATCHES as f64, first as f64))
    });
    let (others, first): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
    Figure::new(format!("{name}, allocations of a batch"), Unit::Number, others)
        .bar(bar.map(Bar::Median))
        .note(format!("{ROWS} rows; of the first one, whose buffers grow, {:.0}", median(&first)))
        .print();
}

/// How often memory is allocated meanwhile, by whomever.
fn counted(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.store(0, Relaxed);
    IS_COUNTING.store(true, Relaxed);
    work();
    IS_COUNTING.store(false, Relaxed);
    ALLOCATIONS.load(Relaxed)
}

/// Allocations of landing so many batches.
fn allocated(server: &LazyServer, batches: usize) -> u64 {
    server.execute(&format!("DROP TABLE IF EXISTS bench_landing; CREATE TABLE bench_landing ({COPY_COLUMNS})"));
    let batch = events::batches(ROWS).swap_remove(0);
    let table = MemTable::try_new(batch.schema(), vec![vec![batch; batches]]).expect("a table in memory");
    let plan = server.runtime.block_on(async {
        let context = SessionContext::new();
        datafusion_landfall::register(&context);
        context.register_table("batches", Arc::new(table)).expect("a name");
        let stored = format!(
            "CREATE EXTERNAL TABLE events STORED AS POSTGRES LOCATION '{}' OPTIONS ('table' 'bench_landing', 'writers' '1')",
            server.url
        );
        context.sql(&stored).await.expect("a table");
        context.sql("INSERT INTO events SELECT * FROM batches").await.expect("a plan")
    });
    let counted = counted(|| drop(server.runtime.block_on(plan.collect()).expect("rows that land")));
    server.execute("DROP TABLE bench_landing");
    counted
}
