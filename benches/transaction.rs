//! What a transaction of several branches costs and gains: two phases beside one, two writers beside one, and the
//! recovery of many branches beside that of one.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_landfall::SinkOptions;
use datafusion_landfall::postgres::Postgres;
use datafusion_landfall::xa::conformance::{columns, rows};
use datafusion_landfall::xa::{
    Decision, DecisionRecord, Epoch, Existing, Fate, Gtrid, JobId, JobNumber, OnConflict, Positions, Protocol,
    ResourceManager, Selection, WriteSpec, Xid, recover,
};
use uuid::Uuid;

use crate::columnar_vs_row::ROWS;
use crate::columnar_vs_row::postgres::on_fresh_table;
use crate::events;
use crate::pairs::Pairs;
use crate::server::{LazyServer, Server};

/// Branches that are recovered beside one; the server of the benches prepares as many.
const BRANCHES: u16 = 100;

/// How many times as long as for one it may take.
const BAR: f64 = 20.0;

/// Two ways to write the same rows.
struct Case {
    name: &'static str,
    key: &'static str,
    verb: &'static str,
    landfall: &'static str,
    beside: (&'static str, &'static str),
    bar: Option<f64>,
}

const ONE_PHASE: (&str, &str) = ("one phase", "'writers' '1', 'commit' 'one_phase'");
const ONE_WRITER: (&str, &str) = ("one writer", "'writers' '1'");

const CASES: &[Case] = &[
    Case {
        name: "transaction/two_phase",
        key: "PRIMARY KEY (id)",
        verb: "INSERT",
        landfall: "'writers' '1', 'commit' 'two_phase'",
        beside: ONE_PHASE,
        bar: Some(0.97),
    },
    Case {
        name: "transaction/two_phase_without_key",
        key: "",
        verb: "INSERT",
        landfall: "'writers' '1', 'commit' 'two_phase'",
        beside: ONE_PHASE,
        bar: Some(0.97),
    },
    Case {
        name: "transaction/two_writers_without_key",
        key: "",
        verb: "INSERT",
        landfall: "'writers' '2'",
        beside: ONE_WRITER,
        bar: Some(1.10),
    },
    Case {
        name: "transaction/two_writers",
        key: "PRIMARY KEY (id)",
        verb: "INSERT",
        landfall: "'writers' '2'",
        beside: ONE_WRITER,
        bar: None,
    },
    Case {
        name: "transaction/two_writers_replace",
        key: "PRIMARY KEY (id)",
        verb: "REPLACE",
        landfall: "'writers' '2'",
        beside: ONE_WRITER,
        bar: None,
    },
];

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let batches = LazyCell::new(|| events::batches(ROWS));
    for case in CASES {
        let measure = |options: &str| {
            on_fresh_table(server, case.key, ROWS, || {
                let took = server.runtime.block_on(write(server, &batches, case, options));
                assert_eq!(server.number("SELECT count(*) FROM pg_prepared_xacts"), 0);
                took
            })
        };
        let (beside, options) = case.beside;
        let pairs = Pairs { name: case.name, beside, rows: ROWS, bar: case.bar };
        pairs.measure(criterion, || measure(options), || measure(case.landfall));
    }
    recovery(criterion, server);
}

/// Writes the rows into the table, which is empty.
async fn write(server: &Server, batches: &[RecordBatch], case: &Case, options: &str) -> Duration {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let events = MemTable::try_new(events::schema(), vec![batches.to_vec()]).expect("the events");
    context.register_table("events", Arc::new(events)).expect("the events");
    let create =
        format!("CREATE EXTERNAL TABLE bench_events STORED AS POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
    context.sql(&create).await.expect("the table");
    let insert = format!("{} INTO bench_events SELECT * FROM events", case.verb);
    let began = Instant::now();
    context.sql(&insert).await.expect("a plan").collect().await.expect("the rows land");
    began.elapsed()
}

/// Recovers branches that a dead run left, half of them decided, the others not.
fn recovery(criterion: &mut Criterion, server: &LazyServer) {
    let mut pairs = Vec::new();
    let mut group = criterion.benchmark_group("transaction/recovery");
    group.sample_size(10).warm_up_time(Duration::from_millis(1));
    group.bench_function(format!("{BRANCHES} branches"), |bencher| {
        bencher.iter_custom(|iterations| {
            let pair = |_| {
                let (one, many) = (recover_all(server, 1), recover_all(server, BRANCHES));
                pairs.push((one, many));
                many
            };
            (0..iterations).map(pair).sum()
        });
    });
    group.finish();
    let ratio = |(one, many): &(Duration, Duration)| many.as_secs_f64() / one.as_secs_f64();
    pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    if let Some(median) = pairs.get(pairs.len() / 2) {
        println!(
            "transaction/recovery: the median of {} pairs is {:?} for {BRANCHES} branches, {:?} for one: {:.1} times as \
             long (quartiles {:.1} and {:.1}; at most {BAR})",
            pairs.len(),
            median.1,
            median.0,
            ratio(median),
            ratio(&pairs[pairs.len() / 4]),
            ratio(&pairs[pairs.len() * 3 / 4]),
        );
    }
}

fn recover_all(server: &Server, branches: u16) -> Duration {
    server.execute("DROP TABLE IF EXISTS landing, landfall_ledger; CREATE TABLE landing (id bigint, name text)");
    server.runtime.block_on(async {
        for number in 0..branches {
            // What it holds is given back with it.
            let postgres = Postgres::try_new(&server.url, &SinkOptions::new()).expect("the server");
            let log = postgres.decision_log();
            let job = JobId::try_new(&format!("job {number}")).expect("a name");
            let (tag, run) = (JobNumber::draw(), Uuid::new_v4());
            let record = |epoch: u64, decision| DecisionRecord {
                job: job.clone(),
                epoch: Epoch(epoch),
                gtrid: Gtrid::new(tag, Epoch(epoch), run),
                decision,
                rows: 1,
                positions: Positions::new("landing", decision == Decision::Commit),
            };
            log.decide(record(1, Decision::Abort)).await.expect("the claim");
            let xid = Xid { gtrid: Gtrid::new(tag, Epoch(2), run), bqual: 0 };
            let spec = WriteSpec {
                table: "landing".into(),
                columns: columns(),
                existing: Existing::Keep,
                on_conflict: OnConflict::Error,
                key: vec![],
                protocol: Protocol::TwoPhase,
                upsert: datafusion_landfall::xa::Upsert::Blind,
                diff_lock: false,
                stats: Arc::default(),
            };
            let mut branch = postgres.start(&xid, &spec).await.expect("a branch");
            branch.write(rows(0..1)).await.expect("a row");
            branch.prepare().await.expect("prepared");
            if number % 2 == 0 {
                log.decide(record(2, Decision::Commit)).await.expect("the decision");
            }
        }
        // Another process, which has none of the connections.
        let postgres = Postgres::try_new(&server.url, &SinkOptions::new()).expect("the server");
        let began = Instant::now();
        let recovered = recover(&postgres, postgres.decision_log().as_ref(), &Selection::default()).await;
        let took = began.elapsed();
        let recovered = recovered.expect("recovered");
        let committed = recovered.iter().filter(|found| found.fate == Fate::Committed).count();
        assert_eq!((recovered.len(), committed), (branches.into(), branches.div_ceil(2).into()));
        took
    })
}
