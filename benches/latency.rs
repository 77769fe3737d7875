//! How long a small INSERT takes, from the statement to its commit, and what it spends the time with; alone and beside
//! others.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use tokio::runtime::Runtime;

use crate::columnar_vs_row::postgres::create;
use crate::columnar_vs_row::{mysql, sqlite};
use crate::events;
use crate::figure::{Bar, Figure, Unit, is_quick};
use crate::landing::{Landing, Session};
use crate::mysql::LazyMySql;
use crate::pairs::repeat;
use crate::server::LazyServer;
use crate::watched::Watched;

/// Rows of a statement.
const ROWS: usize = 1_000;

/// 99 of 100 statements take no longer.
const BAR: Duration = Duration::from_millis(100);

/// Statements of each sink in one run.
pub fn statements() -> usize {
    if is_quick() { 20 } else { 100 }
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql_server: &LazyMySql) {
    for sinks in [1, 5, 10, 20] {
        let name = format!("latency/postgres, {ROWS} rows, {sinks} sink{}", if sinks == 1 { "" } else { "s" });
        let times = repeat(criterion, &name, || {
            let began = Instant::now();
            let times = small_inserts(server, sinks, statements(), None);
            (began.elapsed(), times)
        });
        Figure::times(name, times.concat()).bar([Bar::P99(BAR.as_secs_f64())]).print();
    }
    others(criterion, mysql_server);
    let watched = Watched::default();
    repeat(criterion, "latency/parts", || {
        let began = Instant::now();
        // Only the first statement of each has to wait for its connection.
        for _ in 0..10 {
            small_inserts(server, 1, statements() / 10, Some(&watched));
        }
        (began.elapsed(), ())
    });
    for phase in ["buffer", "encode", "send", "commit"] {
        let values = watched.values("landfall_phase_seconds", phase);
        Figure::new(format!("latency/parts/{phase}"), Unit::Time, values).print();
    }
    let acquired = watched.values("landfall_pool_acquire_seconds", "");
    let note = "connections that were not there at once: the first one";
    Figure::new("latency/parts/acquire", Unit::Time, acquired).note(note).print();
}

/// The same by one sink into the other databases.
fn others(criterion: &mut Criterion, mysql_server: &LazyMySql) {
    let rows = statements() * ROWS;
    let batches = LazyCell::new(|| events::cut(&events::batches(rows), ROWS));
    let runtime = Runtime::new().expect("a runtime");
    let write =
        |landing: &Landing| runtime.block_on(async { landing.session(&batches[..1]).await.write_each(&batches).await });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let into_sqlite = || {
        sqlite::fresh(&file, "");
        let times = write(&sqlite::landing(&file));
        assert_eq!(sqlite::count(&file), rows);
        times
    };
    let into_mysql = || {
        mysql::create(mysql_server, "PRIMARY KEY (id)");
        let times = write(&mysql::landing(mysql_server, "'writers' '1'"));
        assert_eq!(mysql_server.number("SELECT count(*) FROM bench_events"), rows as u64);
        times
    };
    for (database, into) in [("mysql", &into_mysql as &dyn Fn() -> Vec<Duration>), ("sqlite", &into_sqlite)] {
        let name = format!("latency/{database}, {ROWS} rows, 1 sink");
        let times = repeat(criterion, &name, || {
            let times = into();
            (times.iter().sum(), times)
        });
        Figure::times(name, times.concat()).bar([Bar::P99(BAR.as_secs_f64())]).print();
    }
}

/// Writes by some sinks at once, each with statements of its own; gives how long each statement took.
pub fn small_inserts(server: &LazyServer, sinks: usize, statements: usize, watched: Option<&Watched>) -> Vec<Duration> {
    create(server, "PRIMARY KEY (id)");
    let all = LazyCell::new(|| events::cut(&events::batches(sinks * statements * ROWS), ROWS));
    let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ('writers' '1')", server.url);
    let landing = Landing::insert("bench_events", stored_as);
    let write = || {
        server.runtime.block_on(async {
            let mut sessions = Vec::new();
            for own in all.chunks(statements) {
                sessions.push((landing.session(&own[..1]).await, own.to_vec()));
            }
            // A single one stays on this thread, where it is watched.
            if let [(session, batches)] = &*sessions {
                return session.write_each(batches).await;
            }
            let write = |(session, batches): (Session, Vec<_>)| async move { session.write_each(&batches).await };
            let tasks: Vec<_> = sessions.into_iter().map(|sink| tokio::spawn(write(sink))).collect();
            let mut times = Vec::new();
            for task in tasks {
                times.extend(task.await.expect("a sink"));
            }
            times
        })
    };
    let times = match watched {
        Some(watched) => watched.during(write),
        None => write(),
    };
    assert_eq!(server.number("SELECT count(*) FROM bench_events"), (sinks * statements * ROWS) as i64);
    times
}
