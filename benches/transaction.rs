//! What a transaction of several branches costs and gains: two phases beside one, two writers beside one, each phase, and
//! the recovery of many branches beside that of one.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::{Backend, Protocol, WriteSpec};
use datafusion_landfall::backend::{conformance::columns, conformance::rows};
use datafusion_landfall::manager::{RecoveryOutcome, Selection, recover};
use datafusion_landfall::postgres::Postgres;
use datafusion_landfall::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, JobNumber, Positions, Xid};
use uuid::Uuid;

use crate::columnar_vs_row::postgres::{create, on_fresh_table};
use crate::columnar_vs_row::rows as bench_rows;
use crate::events;
use crate::figure::{Bar, Figure, Unit, is_quick, median};
use crate::landing::Landing;
use crate::pairs::{Pairs, repeat};
use crate::server::{LazyServer, Server};
use crate::watched::Watched;

/// Branches that are recovered, each beside one; the server of the benches prepares as many.
const BRANCHES: [u16; 2] = [10, 100];

/// What the recovery of a hundred may take of the time of one.
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
        verb: "INSERT INTO",
        landfall: "'writers' '1', 'commit' 'two_phase'",
        beside: ONE_PHASE,
        bar: Some(0.97),
    },
    Case {
        name: "transaction/two_phase_without_key",
        key: "",
        verb: "INSERT INTO",
        landfall: "'writers' '1', 'commit' 'two_phase'",
        beside: ONE_PHASE,
        bar: Some(0.97),
    },
    Case {
        name: "transaction/two_writers_without_key",
        key: "",
        verb: "INSERT INTO",
        landfall: "'writers' '2'",
        beside: ONE_WRITER,
        bar: Some(1.10),
    },
    Case {
        name: "transaction/two_writers",
        key: "PRIMARY KEY (id)",
        verb: "INSERT INTO",
        landfall: "'writers' '2'",
        beside: ONE_WRITER,
        bar: None,
    },
    Case {
        name: "transaction/two_writers_replace",
        key: "PRIMARY KEY (id)",
        verb: "REPLACE INTO",
        landfall: "'writers' '2'",
        beside: ONE_WRITER,
        bar: None,
    },
];

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let rows = bench_rows();
    let batches = LazyCell::new(|| events::batches(rows));
    for case in CASES {
        let measure = |options: &str| {
            on_fresh_table(server, case.key, rows, || {
                let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
                let landing = Landing { table: "bench_events", stored_as, verb: case.verb };
                let took = server.runtime.block_on(landing.land(&batches));
                assert_eq!(server.number("SELECT count(*) FROM pg_prepared_xacts"), 0);
                took
            })
        };
        let (beside, options) = case.beside;
        let pairs = Pairs { name: case.name, beside, rows, bar: case.bar };
        pairs.measure(criterion, || measure(options), || measure(case.landfall));
    }
    phases(criterion, server);
    recovery(criterion, server);
}

/// Recovers branches that a dead run left, half of them decided, the others not.
fn recovery(criterion: &mut Criterion, server: &LazyServer) {
    let rounds = if is_quick() { 1 } else { 10 };
    let mut ones = Vec::new();
    for branches in BRANCHES {
        let name = format!("transaction/recovery of {branches} branches");
        let pairs = repeat(criterion, &name, || {
            let pair = |_| (recover_all(server, 1), recover_all(server, branches));
            let pairs: Vec<_> = (0..rounds).map(pair).collect();
            (pairs.iter().map(|(_, many)| *many).sum(), pairs)
        })
        .concat();
        ones.extend(pairs.iter().map(|(one, _)| *one));
        let (one, many): (Vec<_>, Vec<_>) =
            pairs.iter().map(|(one, many)| (one.as_secs_f64(), many.as_secs_f64())).unzip();
        Figure::times(name, pairs.into_iter().map(|(_, many)| many))
            .beside("of one", one.clone())
            .bar((branches == 100).then_some(Bar::Ratio(1.0 / BAR)))
            .note(format!("{:.1} times as long", median(&many) / median(&one)))
            .print();
    }
    Figure::times("transaction/recovery of one branch", ones).print();
}

/// What each phase of a small write in two phases, by two writers, takes.
fn phases(criterion: &mut Criterion, server: &LazyServer) {
    let batches = LazyCell::new(|| events::batches(2 * events::BATCH_ROWS));
    let watched = Watched::default();
    let write = |_| {
        create(server, "PRIMARY KEY (id)");
        let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ('writers' '2', 'commit' 'two_phase')", server.url);
        let landing = Landing::insert("bench_events", stored_as);
        watched.during(|| server.runtime.block_on(landing.land(&batches)))
    };
    repeat(criterion, "transaction/phases", || ((0..10).map(write).sum(), ()));
    for phase in ["prepare", "decide", "commit"] {
        let name = format!("transaction/phases/{phase}");
        Figure::new(name, Unit::Time, watched.values("landfall_phase_seconds", phase)).print();
    }
}

fn recover_all(server: &Server, branches: u16) -> Duration {
    server.execute("DROP TABLE IF EXISTS landing, landfall_ledger; CREATE TABLE landing (id bigint, name text)");
    server.runtime.block_on(async {
        for number in 0..branches {
            // What it holds is given back with it.
            let postgres = Postgres::try_new(&server.url, &SinkOptions::new()).expect("the server");
            let log = postgres.decision_log().expect("it keeps a ledger");
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
            let spec = WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("landing", columns()) };
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
        let recovered =
            recover(&postgres, postgres.decision_log().expect("it keeps a ledger").as_ref(), &Selection::default())
                .await;
        let took = began.elapsed();
        let recovered = recovered.expect("recovered");
        let committed = recovered.iter().filter(|found| found.fate == RecoveryOutcome::Committed).count();
        assert_eq!((recovered.len(), committed), (branches.into(), branches.div_ceil(2).into()));
        took
    })
}
