//! What a connection costs that is there already: Landfall's pool beside sqlx's and deadpool's, on the same server.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, SamplingMode};
use datafusion_landfall::Result;
use datafusion_landfall::pool::{Connect, Pool, PoolOptions};
use deadpool::managed;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use crate::server::LazyServer;

/// Connections of each pool.
const CONNECTIONS: usize = 20;

/// Times that a connection is taken and given back in one measurement, by all borrowers together.
const CYCLES: usize = 20_000;

/// Not more than this much of sqlx's time, and of deadpool's.
const BARS: [f64; 2] = [0.5, 1.0];

/// How long half of the borrowers wait at most.
const MEDIAN_BAR: Duration = Duration::from_micros(100);

/// Opens connections for Landfall's pool and for deadpool's.
#[derive(Debug, Clone)]
struct Connector(String);

#[async_trait]
impl Connect for Connector {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.0).await.expect("a connection"))
    }

    async fn is_usable(&self, connection: &mut PgConnection) -> bool {
        connection.ping().await.is_ok()
    }

    async fn close(&self, connection: PgConnection) {
        connection.close().await.expect("a goodbye");
    }

    fn location(&self) -> String {
        "the bench's server".into()
    }
}

impl managed::Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.0).await
    }

    /// As in the other pools: a connection that was used a moment ago is not looked at.
    async fn recycle(&self, _: &mut PgConnection, _: &managed::Metrics) -> managed::RecycleResult<sqlx::Error> {
        Ok(())
    }
}

/// The pools, each full of open connections.
#[derive(Clone)]
struct Pools {
    landfall: Pool<Connector>,
    sqlx: PgPool,
    deadpool: managed::Pool<Connector>,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Landfall,
    Sqlx,
    Deadpool,
}

const SIDES: [Side; 3] = [Side::Landfall, Side::Sqlx, Side::Deadpool];

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    for borrowers in [1, 10, 50, 100] {
        let mut rounds: Vec<[(Duration, Duration); 3]> = Vec::new();
        let mut pools = None;
        let mut group = criterion.benchmark_group(format!("pool/warm acquire, {borrowers} borrowers"));
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
        group.bench_function("landfall", |bencher| {
            let pools = pools.get_or_insert_with(|| server.runtime.block_on(Pools::open(&server.url))).clone();
            let mut round = || {
                let mut times = [(Duration::ZERO, Duration::ZERO); 3];
                // They take turns in being the first.
                for step in 0..3 {
                    let side = (rounds.len() + step) % 3;
                    times[side] = server.runtime.block_on(pools.borrow(SIDES[side], borrowers));
                }
                rounds.push(times);
                times[0].0
            };
            bencher.iter_custom(|iterations| (0..iterations).map(|_| round()).sum());
        });
        group.finish();
        print(borrowers, &rounds);
        if let Some(pools) = pools {
            server.runtime.block_on(pools.close());
        }
    }
}

impl Pools {
    async fn open(url: &str) -> Self {
        let connector = Connector(url.to_owned());
        let pools = Self {
            landfall: Pool::new(connector.clone(), PoolOptions { max: CONNECTIONS, ..PoolOptions::default() }),
            sqlx: PgPoolOptions::new()
                .max_connections(CONNECTIONS as u32)
                .test_before_acquire(false)
                .connect(url)
                .await
                .expect("a pool"),
            deadpool: managed::Pool::builder(connector).max_size(CONNECTIONS).build().expect("a pool"),
        };
        let (mut landfall, mut sqlx, mut deadpool) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            landfall.push(pools.landfall.acquire().await.expect("a connection"));
            sqlx.push(pools.sqlx.acquire().await.expect("a connection"));
            deadpool.push(pools.deadpool.get().await.expect("a connection"));
        }
        landfall.into_iter().for_each(datafusion_landfall::pool::Lease::give_back);
        pools
    }

    async fn close(&self) {
        self.landfall.close().await;
        self.sqlx.close().await;
        self.deadpool.close();
    }

    /// How long all cycles take, for each of them, and half of the borrowers wait at most.
    async fn borrow(&self, side: Side, borrowers: usize) -> (Duration, Duration) {
        let began = Instant::now();
        let borrowing = (0..borrowers).map(|_| {
            let pools = self.clone();
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(CYCLES / borrowers);
                for _ in 0..CYCLES / borrowers {
                    let began = Instant::now();
                    match side {
                        Side::Landfall => {
                            let lease = pools.landfall.acquire().await.expect("a connection");
                            waits.push(began.elapsed());
                            lease.give_back();
                        }
                        Side::Sqlx => {
                            let connection = pools.sqlx.acquire().await.expect("a connection");
                            waits.push(began.elapsed());
                            drop(connection);
                        }
                        Side::Deadpool => {
                            let connection = pools.deadpool.get().await.expect("a connection");
                            waits.push(began.elapsed());
                            drop(connection);
                        }
                    }
                }
                waits
            })
        });
        let mut waits = Vec::with_capacity(CYCLES);
        for task in borrowing.collect::<Vec<_>>() {
            waits.extend(task.await.expect("a borrower"));
        }
        let took = began.elapsed() / CYCLES as u32;
        waits.sort();
        (took, waits[waits.len() / 2])
    }
}

fn print(borrowers: usize, rounds: &[[(Duration, Duration); 3]]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let of = |side: usize| median(rounds.iter().map(|round| round[side].0.as_secs_f64()).collect());
    let ratio = |side: usize| {
        median(rounds.iter().map(|round| round[0].0.as_secs_f64() / round[side].0.as_secs_f64()).collect())
    };
    let wait = median(rounds.iter().map(|round| round[0].1.as_secs_f64()).collect());
    let (Some(landfall), Some(sqlx), Some(deadpool), Some(to_sqlx), Some(to_deadpool), Some(wait)) =
        (of(0), of(1), of(2), ratio(1), ratio(2), wait)
    else {
        return;
    };
    println!(
        "pool/warm acquire, {borrowers} borrowers of {CONNECTIONS} connections: a connection taken and given back takes \
         landfall {:.0} ns, sqlx (without its ping) {:.0} ns, deadpool {:.0} ns; of sqlx {to_sqlx:.2} (bar {:.2}), of \
         deadpool {to_deadpool:.2} (bar {:.2}); half wait at most {:.4} ms (bar {:.1} ms)",
        landfall * 1e9,
        sqlx * 1e9,
        deadpool * 1e9,
        BARS[0],
        BARS[1],
        wait * 1e3,
        MEDIAN_BAR.as_secs_f64() * 1e3,
    );
}
