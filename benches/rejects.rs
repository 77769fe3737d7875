//! What it costs to set bad rows aside: 0, 0.001, 0.1, 1 and 50 % of rows that violate a CHECK constraint, beside a plain INSERT of
//! good rows, and the memory of a program that does so.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Instant;

use criterion::Criterion;
use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use tokio::runtime::Runtime;

use crate::columnar_vs_row::{mysql, postgres, sqlite};
use crate::events;
use crate::figure::{self, Figure, Unit};
use crate::landing::Landing;
use crate::memory::peak_bytes;
use crate::mysql::LazyMySql;
use crate::pairs::{Pairs, repeat};
use crate::server::LazyServer;

fn rows() -> usize {
    figure::rows(1_000_000)
}

/// Every how many rows one is bad, and how much of the throughput must be left.
const SHARES: [(&str, usize, Option<f64>); 5] = [
    ("0 %", usize::MAX, Some(0.97)),
    ("0.001 %", 100_000, Some(0.9)),
    ("0.1 %", 1_000, Some(0.3)),
    ("1 %", 100, None),
    ("50 %", 2, None),
];

const KEY: &str = "PRIMARY KEY (id), CHECK (user_id >= 0)";

const REJECTS: &str = "'writers' '1', 'reject.max' '100 %', 'reject.table' 'bench_rejects'";

fn is_bad(id: i64, every: usize) -> bool {
    (id as usize) % every == every - 1
}

/// The same rows, some with a negative number.
fn spoiled(batches: &[RecordBatch], every: usize) -> Vec<RecordBatch> {
    let spoil = |batch: &RecordBatch| {
        let (ids, users) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
        let users =
            ids.values().iter().zip(users.values()).map(|(id, user)| if is_bad(*id, every) { -1 } else { *user });
        let mut columns = batch.columns().to_vec();
        columns[1] = Arc::new(Int64Array::from_iter_values(users));
        RecordBatch::try_new(batch.schema(), columns).expect("columns of one length")
    };
    batches.iter().map(spoil).collect()
}

fn pairs(name: &str, bar: Option<f64>) -> Pairs<'_> {
    Pairs { name, beside: "a plain INSERT of good rows", rows: rows(), bar }
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql_server: &LazyMySql) {
    let batches = LazyCell::new(|| events::batches(rows()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    for (share, every, bar) in SHARES {
        let bad = LazyCell::new(|| spoiled(&batches, every));
        let good = (0..rows() as i64).filter(|id| !is_bad(*id, every)).count();

        let in_postgres = |options: &str, batches: &[RecordBatch], good: usize| {
            let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
            let landing = Landing::insert("bench_events", stored_as);
            postgres::on_fresh_table(server, KEY, good, || server.runtime.block_on(landing.land(batches)))
        };
        pairs(&format!("rejects/postgres, {share}"), bar).measure(
            criterion,
            || in_postgres("'writers' '1'", &batches, rows()),
            || in_postgres(REJECTS, &bad, good),
        );

        let in_mysql = |options: &str, batches: &[RecordBatch], good: usize| {
            let landing = mysql::landing(mysql_server, options);
            let write = || mysql_server.runtime.block_on(landing.land(batches));
            mysql::on_fresh_table(mysql_server, KEY, good, write)
        };
        pairs(&format!("rejects/mysql, {share}"), bar).measure(
            criterion,
            || in_mysql("'writers' '1'", &batches, rows()),
            || in_mysql(REJECTS, &bad, good),
        );

        let in_sqlite = |options: &str, batches: &[RecordBatch], good: usize| {
            sqlite::fresh(&file, ", CHECK (user_id >= 0)");
            let landing = Landing::insert("events", format!("SQLITE LOCATION '{}' {options}", file.display()));
            let time = runtime.block_on(landing.land(batches));
            assert_eq!(sqlite::count(&file), good);
            time
        };
        pairs(&format!("rejects/sqlite, {share}"), bar).measure(
            criterion,
            || in_sqlite("", &batches, rows()),
            || in_sqlite(&format!("OPTIONS ({REJECTS})"), &bad, good),
        );
    }
    memory(criterion);
}

/// The largest resident set of a program that sets half of the rows aside.
fn memory(criterion: &mut Criterion) {
    for (share, every) in [("0 %", u64::MAX >> 1), ("0.1 %", 1_000), ("50 %", 2)] {
        let peaks = repeat(criterion, &format!("rejects/memory, {share}"), || {
            let began = Instant::now();
            let folder = tempfile::tempdir().expect("a temporary folder");
            let peak = peak_bytes(&format!(
                "CREATE EXTERNAL TABLE t (id BIGINT, name VARCHAR, PRIMARY KEY (id)) STORED AS SQLITE LOCATION '{}' \
                 OPTIONS ('reject.max' '100 %', 'reject.table' 'rejects'); \
                 INSERT INTO t SELECT CASE WHEN value % {every} = 1 THEN NULL ELSE value END, 'event ' || value \
                 FROM generate_series(1, {});",
                folder.path().join("t.db").display(),
                rows()
            ));
            (began.elapsed(), peak)
        });
        if !peaks.is_empty() {
            Figure::new(format!("rejects/memory, {share}"), Unit::Memory, peaks).print();
        }
    }
}
