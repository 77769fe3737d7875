//! MariaDB.

use std::time::{Duration, Instant};

use criterion::Criterion;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{ONE_ROW, ROWS, Sides, WARMING, Warm, thousands};
use crate::columnar_vs_row::mysql::{create, landing};
use crate::mysql::{LazyMySql, MySql};

pub fn benches(criterion: &mut Criterion, server: &LazyMySql) {
    for (name, bar, is_text) in
        [("small/mysql, one row, text", None, true), ("small/mysql, one row, prepared", Some(ONE_ROW), false)]
    {
        Sides { name, beside: "prepared INSERT", bar }.measure(criterion, || {
            on_warm(server, async |own, mut other| {
                let mut landfall = async |id| if is_text { own.text(id).await } else { own.execute(id).await };
                Sides::alternate(&mut async |id| insert(&mut other, id, 1).await, &mut landfall).await
            })
        });
    }
    let name = "small/mysql, 1000 rows";
    Sides { name, beside: "prepared INSERT of 1,000 rows", bar: Some(super::MANY_ROWS) }.measure(criterion, || {
        on_warm(server, async |own, mut other| {
            let mut landfall = async |number| own.many(number).await;
            let mut beside = async |number| insert(&mut other, (number + 2 * WARMING) * ROWS as i64, ROWS).await;
            Sides::alternate(&mut beside, &mut landfall).await
        })
    });
}

fn on_warm(
    server: &MySql,
    measure: impl AsyncFn(Warm, Conn) -> Vec<(Duration, Duration)>,
) -> Vec<(Duration, Duration)> {
    create(server, "PRIMARY KEY (id)");
    let rows = thousands();
    server.runtime.block_on(async {
        let own = Warm { session: landing(server, "'writers' '1'").session(&rows[..1]).await, rows }.prepared().await;
        measure(own, server.connect().await).await
    })
}

/// Rows from `id` on, by a statement that is prepared once.
async fn insert(connection: &mut Conn, id: i64, rows: usize) -> Duration {
    let places = vec!["(?, 5, 'subscription renewed', 1.5, ?)"; rows].join(", ");
    let mut values: Vec<mysql_async::Value> = Vec::with_capacity(2 * rows);
    for id in (id..).take(rows) {
        values.extend([id.into(), "2026-01-01 00:00:00.000000".into()]);
    }
    let insert = connection.prep(format!("INSERT INTO bench_events VALUES {places}")).await.expect("a statement");
    let began = Instant::now();
    connection.exec_drop(&insert, mysql_async::Params::Positional(values)).await.expect("rows");
    began.elapsed()
}
