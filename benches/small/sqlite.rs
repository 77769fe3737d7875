//! SQLite.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::Criterion;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use super::{ONE_ROW, ROWS, Sides, WARMING, Warm, thousands};
use crate::columnar_vs_row::sqlite::{fresh, landing};

pub fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    for (name, bar, is_text) in
        [("small/sqlite, one row, text", None, true), ("small/sqlite, one row, prepared", Some(ONE_ROW), false)]
    {
        Sides { name, beside: "prepared INSERT", bar }.measure(criterion, || {
            on_warm(&runtime, &file, async |own, mut other| {
                let mut landfall = async |id| if is_text { own.text(id).await } else { own.execute(id).await };
                Sides::alternate(&mut async |id| insert(&mut other, id, 1), &mut landfall).await
            })
        });
    }
    let name = "small/sqlite, 1000 rows";
    Sides { name, beside: "prepared INSERT, row by row", bar: Some(super::MANY_ROWS) }.measure(criterion, || {
        on_warm(&runtime, &file, async |own, mut other| {
            let mut landfall = async |number| own.many(number).await;
            let mut beside = async |number| insert(&mut other, (number + 2 * WARMING) * ROWS as i64, ROWS);
            Sides::alternate(&mut beside, &mut landfall).await
        })
    });
}

fn on_warm(
    runtime: &Runtime,
    file: &Path,
    measure: impl AsyncFn(Warm, Connection) -> Vec<(Duration, Duration)>,
) -> Vec<(Duration, Duration)> {
    fresh(file, "");
    let rows = thousands();
    runtime.block_on(async {
        let own = Warm { session: landing(file).session(&rows[..1]).await, rows }.prepared().await;
        let other = Connection::open(file).expect("the database");
        other.execute_batch("PRAGMA synchronous = FULL").expect("a setting");
        measure(own, other).await
    })
}

/// Rows from `id` on in a transaction, by a statement that is prepared once.
fn insert(db: &mut Connection, id: i64, rows: usize) -> Duration {
    let began = Instant::now();
    let transaction = db.transaction().expect("a transaction");
    {
        let mut insert = transaction
            .prepare_cached("INSERT INTO events VALUES (?, 5, 'subscription renewed', 1.5, ?)")
            .expect("a statement");
        for id in (id..).take(rows) {
            insert.execute(params![id, "2026-01-01 00:00:00.000000"]).expect("a row");
        }
    }
    transaction.commit().expect("a commit");
    began.elapsed()
}
