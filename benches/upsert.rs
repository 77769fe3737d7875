//! Upserts of 200,000 rows into a table of 500,000: by difference against blindly, by the share of rows that change.
//!
//! Both sides upsert the same rows into the same table, in turn: every run makes one version of the rows the other, so
//! that each changes as many. Whether a run did so is counted after it. Before each, PostgreSQL is vacuumed and makes a
//! checkpoint, so that both write their first pages to the log anew.

use std::cell::{Cell, LazyCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;

use crate::events;
use crate::figure::{self, Bar, Figure, Unit};
use crate::mysql::LazyMySql;
use crate::pairs::{Pairs, repeat};
use crate::server::LazyServer;

/// Rows of the table.
fn table_rows() -> usize {
    figure::rows(500_000)
}

/// Rows that are upserted.
fn rows() -> usize {
    figure::rows(200_000)
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql: &LazyMySql) {
    let postgres = Store {
        stored_as: &|| format!("POSTGRES LOCATION '{}'", server.url),
        begin: &|| server.execute("DROP TABLE IF EXISTS bench_upsert"),
        settle: &|| {
            server.execute("VACUUM bench_upsert");
            server.execute("CHECKPOINT");
        },
        rows_with: &|kind| server.number(&format!("SELECT count(*) FROM bench_upsert WHERE kind = '{kind}'")),
        runtime: LazyCell::new(runtime),
    };
    let (blind, diff, auto) = ("'upsert' 'blind'", "'upsert' 'diff'", "'upsert' 'auto'");
    for (percent, bar) in [(0, None), (1, Some(6.0)), (10, None), (100, None)] {
        postgres.pair(criterion, "postgres", Keys::Together, percent, (blind, diff), bar);
    }
    for (percent, bar) in [(1, None), (100, Some(0.97))] {
        postgres.pair(criterion, "postgres", Keys::Together, percent, (blind, auto), bar);
    }
    postgres.pair(criterion, "postgres", Keys::Scattered, 1, (blind, diff), None);
    wal(criterion, &postgres, server);

    let mysql = Store {
        stored_as: &|| format!("MYSQL LOCATION '{}'", mysql.url),
        begin: &|| mysql.execute(&["DROP TABLE IF EXISTS bench_upsert"]),
        settle: &|| {},
        rows_with: &|kind| mysql.number(&format!("SELECT count(*) FROM bench_upsert WHERE kind = '{kind}'")) as i64,
        runtime: LazyCell::new(runtime),
    };
    for percent in [1, 100] {
        mysql.pair(criterion, "mysql", Keys::Together, percent, (blind, diff), None);
    }
    mysql.pair(criterion, "mysql", Keys::Together, 100, (blind, auto), None);
    mysql.pair(criterion, "mysql", Keys::Scattered, 1, (blind, diff), None);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("upsert.db");
    let rows_with = |kind: &str| {
        let db = rusqlite::Connection::open(&file).expect("the database");
        let count = "SELECT count(*) FROM bench_upsert WHERE kind = ?1";
        db.query_row(count, [kind], |row| row.get(0)).expect("a number")
    };
    let sqlite = Store {
        stored_as: &|| format!("SQLITE LOCATION '{}'", file.display()),
        begin: &|| drop(std::fs::remove_file(&file)),
        settle: &|| {},
        rows_with: &rows_with,
        runtime: LazyCell::new(runtime),
    };
    for percent in [1, 100] {
        sqlite.pair(criterion, "sqlite", Keys::Together, percent, (blind, diff), None);
    }
    sqlite.pair(criterion, "sqlite", Keys::Together, 100, (blind, auto), None);
    sqlite.pair(criterion, "sqlite", Keys::Scattered, 1, (blind, diff), None);
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// How the keys of the upserted rows lie in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Keys {
    /// One behind the other, in their order.
    Together,
    /// Anywhere, in no order.
    Scattered,
}

/// A database that has the table.
struct Store<'a> {
    stored_as: &'a dyn Fn() -> String,
    begin: &'a dyn Fn(),
    settle: &'a dyn Fn(),
    rows_with: &'a dyn Fn(&str) -> i64,
    runtime: LazyCell<Runtime, fn() -> Runtime>,
}

/// The table, and two versions of rows for it.
struct Upserts<'a> {
    store: &'a Store<'a>,
    versions: [Vec<RecordBatch>; 2],
    next: Cell<usize>,
    changes: usize,
}

impl Store<'_> {
    fn pair(
        &self,
        criterion: &mut Criterion,
        name: &str,
        keys: Keys,
        percent: usize,
        (beside, landfall): (&str, &str),
        bar: Option<f64>,
    ) {
        let upserts = LazyCell::new(|| Upserts::new(self, keys, percent));
        let mode = landfall.rsplit('\'').nth(1).unwrap_or_default();
        let keys = if keys == Keys::Scattered { "/scattered keys" } else { "" };
        let name = format!("upsert/{name}/{mode}/{percent} percent changed{keys}");
        let pairs = Pairs { name: &name, beside: "blind", rows: rows(), bar };
        pairs.measure(criterion, || upserts.run(beside), || upserts.run(landfall));
    }
}

/// The bytes of PostgreSQL's log that one row of a hundred takes.
fn wal(criterion: &mut Criterion, store: &Store<'_>, server: &LazyServer) {
    let upserts = LazyCell::new(|| Upserts::new(store, Keys::Together, 1));
    let run = |options: &str| {
        let before = Cell::new(0);
        let position = || server.number("SELECT (pg_current_wal_lsn() - '0/0')::bigint");
        let time = upserts.run_with(options, &|| before.set(position()));
        (time, position() - before.get())
    };
    let pairs = repeat(criterion, "upsert/postgres/wal", || {
        let (_, blind) = run("'upsert' 'blind'");
        let (time, diff) = run("'upsert' 'diff'");
        (time, (blind as f64, diff as f64))
    });
    let (blind, diff) = pairs.into_iter().unzip();
    Figure::new("upsert/postgres/wal, 1 percent changed", Unit::Memory, diff)
        .beside("blind", blind)
        .bar([Bar::Ratio(2.5)])
        .note("bytes of the server's log")
        .print();
}

impl<'a> Upserts<'a> {
    fn new(store: &'a Store<'a>, keys: Keys, percent: usize) -> Self {
        let table = events::batches(table_rows());
        (store.begin)();
        store.runtime.block_on(async {
            let columns = "(id BIGINT, user_id BIGINT NOT NULL, kind VARCHAR NOT NULL, amount DOUBLE, ts TIMESTAMP NOT \
                           NULL, PRIMARY KEY (id)) ";
            insert(&(store.stored_as)(), columns, "", &table).await;
        });
        let all = concat_batches(&events::schema(), &table).expect("the events");
        let ids = match keys {
            Keys::Together => (table_rows() / 5..table_rows() / 5 + rows()).collect::<Vec<_>>(),
            // As many as there are, in an order that nobody sees through.
            Keys::Scattered => (0..rows()).map(|row| row * 7_919 % table_rows()).collect(),
        };
        let taken = Int64Array::from_iter_values(ids.iter().map(|id| *id as i64));
        let old = take_record_batch(&all, &taken).expect("its rows");
        let is_changed = |row: usize| percent > 0 && row.is_multiple_of(100 / percent);
        let kinds = old.column(2).as_string_view();
        let changed = (0..rows()).map(|row| if is_changed(row) { "changed" } else { kinds.value(row) });
        let changed: ArrayRef = Arc::new(StringViewArray::from_iter_values(changed));
        let mut columns = old.columns().to_vec();
        columns[2] = changed;
        let new = RecordBatch::try_new(old.schema(), columns).expect("columns of one length");
        let cut = |batch: &RecordBatch| events::cut(std::slice::from_ref(batch), events::BATCH_ROWS);
        let changes = (0..rows()).filter(|row| is_changed(*row)).count();
        Self { store, versions: [cut(&new), cut(&old)], next: Cell::new(0), changes }
    }

    fn run(&self, options: &str) -> Duration {
        self.run_with(options, &|| {})
    }

    fn run_with(&self, options: &str, before: &dyn Fn()) -> Duration {
        (self.store.settle)();
        before();
        let version = self.next.get();
        self.next.set(1 - version);
        let options = format!("OPTIONS ('on_conflict' 'update', 'writers' '1', {options})");
        let stored_as = (self.store.stored_as)();
        let time = self.store.runtime.block_on(insert(&stored_as, "", &options, &self.versions[version]));
        let expected = if version == 0 { self.changes } else { 0 };
        assert_eq!((self.store.rows_with)("changed"), expected as i64, "{options} did not write what it should");
        time
    }
}

/// Inserts batches, and says how long that took.
async fn insert(stored_as: &str, columns: &str, options: &str, batches: &[RecordBatch]) -> Duration {
    // A scan of one partition brings rows in their order.
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    datafusion_landfall::register(&context);
    let source = MemTable::try_new(events::schema(), vec![batches.to_vec()]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    let create = format!("CREATE EXTERNAL TABLE bench_upsert {columns}STORED AS {stored_as} {options}");
    context.sql(&create).await.expect("a table");
    let began = Instant::now();
    let insert = context.sql("INSERT INTO bench_upsert SELECT * FROM source").await.expect("a plan");
    insert.collect().await.expect("all rows");
    began.elapsed()
}
