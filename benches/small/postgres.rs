//! PostgreSQL.

use std::time::{Duration, Instant};

use criterion::Criterion;
use sqlx::postgres::PgConnection;

use super::{MANY_ROWS, ONE_ROW, ROWS, Sides, TRANSACTION, Warm, insert_of_one, run, thousands};
use crate::columnar_vs_row::postgres::create;
use crate::landing::Landing;
use crate::server::{LazyServer, Server, execute};

const TABLE: &str = "bench_events";

/// Statements of the transaction.
const STATEMENTS: i64 = 10;

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let name = "small/postgres, one row, text";
    Sides { name, beside: "prepared INSERT", bar: None }.measure(criterion, || {
        on_warm(server, async |mut warm| {
            let mut landfall = async |id| warm.own.text(id).await;
            Sides::alternate(&mut async |id| insert(&mut warm.other, id).await, &mut landfall).await
        })
    });
    let name = "small/postgres, one row, prepared";
    Sides { name, beside: "prepared INSERT", bar: Some(ONE_ROW) }.measure(criterion, || {
        on_warm(server, async |mut warm| {
            let mut landfall = async |id| warm.own.execute(id).await;
            Sides::alternate(&mut async |id| insert(&mut warm.other, id).await, &mut landfall).await
        })
    });
    let name = "small/postgres, 1000 rows";
    Sides { name, beside: "INSERT … SELECT by the server", bar: Some(MANY_ROWS) }.measure(criterion, || {
        on_warm(server, async |mut warm| {
            stage(&mut warm.other, warm.own.rows.len()).await;
            let mut landfall = async |number| warm.own.many(number).await;
            Sides::alternate(&mut async |number| select(&mut warm.other, number).await, &mut landfall).await
        })
    });
    let name = "small/postgres, transaction of 10 statements";
    Sides { name, beside: "the same as psql sends it", bar: Some(TRANSACTION) }.measure(criterion, || {
        on_warm(server, async |mut warm| {
            let mut landfall = async |number| transaction(&warm.own, number).await;
            Sides::alternate(&mut async |number| as_psql(&mut warm.other, number).await, &mut landfall).await
        })
    });
}

/// Both sides' sessions.
struct Both {
    own: Warm,
    other: PgConnection,
}

/// Measures with a new table; both sides are connected.
fn on_warm(server: &Server, measure: impl AsyncFn(Both) -> Vec<(Duration, Duration)>) -> Vec<(Duration, Duration)> {
    create(server, "PRIMARY KEY (id)");
    server.execute("CHECKPOINT");
    let rows = thousands();
    server.runtime.block_on(async {
        let landing = Landing::insert(TABLE, format!("POSTGRES LOCATION '{}'", server.url));
        let own = Warm { session: landing.session(&rows[..1]).await, rows }.prepared().await;
        measure(Both { own, other: server.connect().await }).await
    })
}

async fn insert(connection: &mut PgConnection, id: i64) -> Duration {
    const INSERT: &str =
        "INSERT INTO bench_events VALUES ($1, 5, 'view', 1.5, timestamp '1970-01-01' + $2 * interval '1 s')";
    let began = Instant::now();
    sqlx::query(INSERT).bind(id).bind(1_704_067_200_i64).execute(connection).await.expect("a row");
    began.elapsed()
}

/// The rows of all statements, in a table of the server's own.
async fn stage(connection: &mut PgConnection, statements: usize) {
    let rows = statements * ROWS;
    let stage = format!(
        "CREATE TEMPORARY TABLE stage AS SELECT id, id % 99991 AS user_id, 'subscription renewed' AS kind, id / 100.0::float8 AS \
         amount, timestamp '2024-01-01' + id * interval '1 s' AS ts FROM generate_series(0, {rows} - 1::bigint) AS id; CREATE INDEX \
         ON stage (id); ANALYZE stage"
    );
    execute(connection, &stage).await;
}

async fn select(connection: &mut PgConnection, number: i64) -> Duration {
    const SELECT: &str = "INSERT INTO bench_events SELECT * FROM stage WHERE id >= $1 AND id < $1 + 1000";
    let first = (number + 2 * super::WARMING) * ROWS as i64;
    let began = Instant::now();
    let done = sqlx::query(SELECT).bind(first).execute(connection).await.expect("rows");
    assert_eq!(done.rows_affected(), ROWS as u64);
    began.elapsed()
}

async fn transaction(warm: &Warm, number: i64) -> Duration {
    let inserts: Vec<_> = ids(number).map(|id| insert_of_one(TABLE, id)).collect();
    let began = Instant::now();
    let transaction = datafusion_landfall::begin(warm.session.context()).await.expect("a transaction");
    for insert in &inserts {
        run(transaction.context(), insert).await;
    }
    transaction.commit().await.expect("a commit");
    began.elapsed()
}

async fn as_psql(connection: &mut PgConnection, number: i64) -> Duration {
    let inserts: Vec<_> = ids(number).map(|id| insert_of_one(TABLE, id)).collect();
    let began = Instant::now();
    for statement in std::iter::once("BEGIN").chain(inserts.iter().map(String::as_str)).chain(["COMMIT"]) {
        execute(connection, statement).await;
    }
    began.elapsed()
}

fn ids(number: i64) -> impl Iterator<Item = i64> {
    number * STATEMENTS..(number + 1) * STATEMENTS
}
