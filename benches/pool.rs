//! What a connection costs: one that is there already, from Landfall's pool beside sqlx's and deadpool's, on the same
//! server; one that is not; one that is looked at first; and how many of them a load needs.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::Criterion;
use datafusion_landfall::Result;
use datafusion_landfall::pool::{Connect, Pool, PoolOptions};
use deadpool::managed;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use crate::columnar_vs_row::postgres::create;
use crate::events;
use crate::figure::{Bar, Figure, Unit, rows};
use crate::landing::Landing;
use crate::pairs::repeat;
use crate::server::LazyServer;
use crate::watched::Watched;

/// Connections of each pool.
const CONNECTIONS: usize = 20;

/// Times that a connection is taken and given back in one measurement, by all borrowers together.
const CYCLES: usize = 20_000;

/// So many times as fast as sqlx's, and as deadpool's, at least.
const BARS: [f64; 2] = [2.0, 1.0];

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
        let mut pools = None;
        let mut turn = 0;
        let rounds = repeat(criterion, &format!("pool/warm acquire, {borrowers} borrowers"), || {
            let pools = pools.get_or_insert_with(|| server.runtime.block_on(Pools::open(&server.url)));
            let mut times = [(Duration::ZERO, Duration::ZERO); 3];
            // They take turns in being the first.
            for step in 0..3 {
                let side = (turn + step) % 3;
                times[side] = server.runtime.block_on(pools.borrow(SIDES[side], borrowers));
            }
            turn += 1;
            (times[0].0, times)
        });
        print(borrowers, &rounds);
        if let Some(pools) = pools {
            server.runtime.block_on(pools.close());
        }
    }
    cold(criterion, server);
    utilisation(criterion, server);
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
    let of = |side: usize| rounds.iter().map(|round| round[side].0.as_secs_f64()).collect::<Vec<_>>();
    let name = format!("pool/warm acquire, {borrowers} borrowers");
    for (side, beside) in [(1, "sqlx, without its ping"), (2, "deadpool")] {
        Figure::new(format!("{name}/beside {beside}"), Unit::Time, of(0))
            .beside(beside, of(side))
            .bar([Bar::Ratio(BARS[side - 1])])
            .note(format!("taken and given back, {CONNECTIONS} connections"))
            .print();
    }
    let waits = rounds.iter().map(|round| round[0].1);
    Figure::times(format!("{name}/half wait at most"), waits).bar([Bar::Median(MEDIAN_BAR.as_secs_f64())]).print();
}

/// A connection that is not there yet, and one that is looked at before it is used.
fn cold(criterion: &mut Criterion, server: &LazyServer) {
    let options = PoolOptions { max: CONNECTIONS, ..PoolOptions::default() };
    let open = |options| Pool::new(Connector(server.url.clone()), options);
    for borrowers in [1, 10, 50, 100] {
        let name = format!("pool/cold acquire, {borrowers} at once");
        // Enough of them to tell what one of a hundred takes.
        let rounds = 10_usize.div_ceil(borrowers);
        let round = || {
            let pool = open(options);
            server.runtime.block_on(async {
                let borrowing = (0..borrowers).map(|_| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        let began = Instant::now();
                        let lease = pool.acquire().await.expect("a connection");
                        lease.give_back();
                        began.elapsed()
                    })
                });
                let mut waits = Vec::with_capacity(borrowers);
                for task in borrowing.collect::<Vec<_>>() {
                    waits.push(task.await.expect("a borrower"));
                }
                pool.close().await;
                waits
            })
        };
        let times = repeat(criterion, &name, || {
            let began = Instant::now();
            let waits = (0..rounds).flat_map(|_| round()).collect::<Vec<_>>();
            (began.elapsed(), waits)
        });
        Figure::times(name, times.concat()).note(format!("{CONNECTIONS} connections at most")).print();
    }
    let checked = LazyCell::new(|| open(PoolOptions { idle_check: Duration::ZERO, ..options }));
    let times = repeat(criterion, "pool/acquire with a health check", || {
        let mut times = Vec::with_capacity(200);
        server.runtime.block_on(async {
            for _ in 0..200 {
                let began = Instant::now();
                let lease = checked.acquire().await.expect("a connection");
                times.push(began.elapsed());
                lease.give_back();
            }
        });
        (times.iter().sum(), times)
    });
    Figure::times("pool/acquire with a health check", times.concat()).note("a round trip to the server").print();
}

/// How much of the connections that there can be is in use, on average over a while, as statements of a table write at once.
fn utilisation(criterion: &mut Criterion, server: &LazyServer) {
    const ROWS: usize = 1_000;
    let statements = rows(100);
    for sinks in [1, 4, 8, 16, 24, 32] {
        let batches = LazyCell::new(|| events::cut(&events::batches(sinks * ROWS), ROWS));
        let name = format!("pool/utilisation, {sinks} statement{} at once", if sinks == 1 { "" } else { "s" });
        let shares = repeat(criterion, &name, || {
            create(server, "");
            let watched = Watched::default();
            let landing =
                Landing::insert("bench_events", format!("POSTGRES LOCATION '{}' OPTIONS ('writers' '1')", server.url));
            let first = watched.during(|| server.runtime.block_on(landing.session(&batches[..1])));
            server.runtime.block_on(async {
                let mut sessions = Vec::new();
                for batch in &*batches {
                    sessions.push(first.another(std::slice::from_ref(batch)).await);
                }
                let began = Instant::now();
                let [busy, max] = ["landfall_pool_busy", "landfall_pool_max"].map(|gauge| watched.area(gauge));
                let writing = sessions.into_iter().map(|session| {
                    tokio::spawn(async move {
                        for _ in 0..statements {
                            session.write().await;
                        }
                    })
                });
                for task in writing.collect::<Vec<_>>() {
                    task.await.expect("a sink");
                }
                let busy = watched.area("landfall_pool_busy") - busy;
                let max = watched.area("landfall_pool_max") - max;
                assert!(busy > 0.0, "the pool tells nothing");
                (began.elapsed(), 100.0 * busy / max)
            })
        });
        Figure::new(name, Unit::Percent, shares)
            .note(format!("INSERTs of {ROWS} rows by one writer, pool.max as it is by itself: 32"))
            .print();
    }
}
