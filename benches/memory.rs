//! Peak memory of landing many rows, beside that of the idle program, which is run and asked afterwards; and how often
//! memory is allocated for a batch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use criterion::Criterion;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use crate::encode::landfall_encoder;
use crate::events;
use crate::figure::{self, Bar, Figure, Unit};
use crate::pairs::repeat;
use crate::server::LazyServer;

fn rows() -> u64 {
    figure::rows(10_000_000) as u64
}

/// Above the idle program, at the server's full speed.
const BAR_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

/// Allocations for a batch of 8,192 rows, on its way from the stream to the socket.
const BAR_ALLOCATIONS: f64 = 400.0;

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

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    measure(criterion, "sqlite", None, &|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("events.db");
        land(&format!("SQLITE LOCATION '{}'", file.display()))
    });
    measure(criterion, "postgres", Some(Bar::Median(BAR_BYTES)), &|| {
        server.execute("DROP TABLE IF EXISTS bench_landing");
        let peak = land(&format!("POSTGRES LOCATION '{}' OPTIONS ('table' 'bench_landing')", server.url));
        assert_eq!(server.number("SELECT count(*) FROM bench_landing"), rows() as i64);
        server.execute("DROP TABLE bench_landing");
        peak
    });
    allocations(criterion, server);
    encoding(criterion, server);
}

/// What one more batch allocates: twice as many batches, less as many.
fn allocations(criterion: &mut Criterion, server: &LazyServer) {
    const BATCHES: usize = 200;
    let per_batch = repeat(criterion, "memory/allocations", || {
        let began = Instant::now();
        let [some, twice] = [BATCHES, 2 * BATCHES].map(|batches| allocated(server, batches));
        (began.elapsed(), (twice as f64 - some as f64) / BATCHES as f64)
    });
    Figure::new("memory/allocations of a batch", Unit::Number, per_batch)
        .bar([Bar::Median(BAR_ALLOCATIONS)])
        .note("8,192 rows into PostgreSQL, with what DataFusion and the client allocate for them")
        .print();
}

/// What encoding one more batch allocates, once the buffers have grown.
fn encoding(criterion: &mut Criterion, server: &LazyServer) {
    const BATCHES: usize = 100;
    let batch = events::batches(8_192).swap_remove(0);
    let mut encoder = None;
    let per_batch = repeat(criterion, "memory/allocations of encoding", || {
        let encoder = encoder.get_or_insert_with(|| landfall_encoder(server, "bench_encode", events::schema()));
        let mut encode = || {
            encoder
                .encode(&batch, |piece| {
                    std::hint::black_box(piece);
                })
                .expect("a batch")
        };
        encode();
        let began = Instant::now();
        let counted = counted(|| (0..BATCHES).for_each(|_| encode()));
        (began.elapsed(), counted as f64 / BATCHES as f64)
    });
    Figure::new("memory/allocations of encoding a batch", Unit::Number, per_batch)
        .bar([Bar::Median(16.0)])
        .note("8,192 rows for COPY; the buffer is used again")
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
    server.execute("DROP TABLE IF EXISTS bench_landing; CREATE TABLE bench_landing (id BIGINT, user_id BIGINT, kind TEXT, amount FLOAT8, ts TIMESTAMP)");
    let batch = events::batches(8_192).swap_remove(0);
    let table = MemTable::try_new(batch.schema(), vec![vec![batch; batches]]).expect("a table in memory");
    let counted = server.runtime.block_on(async {
        let context = SessionContext::new();
        datafusion_landfall::register(&context);
        context.register_table("batches", Arc::new(table)).expect("a name");
        let stored = format!(
            "CREATE EXTERNAL TABLE events STORED AS POSTGRES LOCATION '{}' OPTIONS ('table' 'bench_landing', 'writers' '1')",
            server.url
        );
        context.sql(&stored).await.expect("a table");
        let plan = context.sql("INSERT INTO events SELECT * FROM batches").await.expect("a plan");
        ALLOCATIONS.store(0, Relaxed);
        IS_COUNTING.store(true, Relaxed);
        plan.collect().await.expect("rows that land");
        IS_COUNTING.store(false, Relaxed);
        ALLOCATIONS.load(Relaxed)
    });
    server.execute("DROP TABLE bench_landing");
    counted
}

fn measure(criterion: &mut Criterion, name: &str, bar: Option<Bar>, land: &dyn Fn() -> f64) {
    let name = format!("memory/{name}");
    let peaks = repeat(criterion, &name, || {
        let began = Instant::now();
        let peak = land();
        (began.elapsed(), peak)
    });
    if peaks.is_empty() {
        return;
    }
    let idle = peak_bytes("SELECT 1");
    Figure::new(
        format!("{name}/peak above the idle program"),
        Unit::Memory,
        peaks.iter().map(|peak| peak - idle).collect(),
    )
    .bar(bar)
    .note(format!("{} rows; the idle program takes {:.1} MiB", rows(), idle / 1024.0 / 1024.0))
    .print();
}

/// Lands generated rows in a table that is stored so, and says what memory it took.
fn land(stored_as: &str) -> f64 {
    peak_bytes(&format!(
        "CREATE EXTERNAL TABLE events (id BIGINT, user_id BIGINT, kind VARCHAR, amount DOUBLE, ts TIMESTAMP, \
         PRIMARY KEY (id)) STORED AS {stored_as}; \
         INSERT INTO events SELECT value, value * 7919 % 100000, 'kind of event ' || (value % 5), \
         CASE WHEN value % 8 = 0 THEN NULL ELSE value / 100.0 END, \
         to_timestamp_seconds(1704067200 + value) FROM generate_series(1, {})",
        rows()
    ))
}

/// The largest resident set of a run of the program.
fn peak_bytes(sql: &str) -> f64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["sql", "-c", sql])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the program");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0_u64;
    loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak_kib.max(peak.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "the program failed");
            return peak_kib as f64 * 1024.0;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
