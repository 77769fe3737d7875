//! `UPDATE … WHERE key IN (SELECT …)` of 10,000 keys, scattered over a table of 5 million rows, beside the same as a MERGE. Both
//! sides update the same rows, in turn, each to a value of its own; whether a run did so is counted after it.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Instant;

use criterion::Criterion;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;

use crate::figure;
use crate::mysql::LazyMySql;
use crate::pairs::Pairs;
use crate::server::LazyServer;

const KEYS: usize = 10_000;

/// Rows of the table.
fn rows() -> usize {
    figure::rows(5_000_000)
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql: &LazyMySql) {
    let updated = |kind: &str| format!("SELECT count(*) FROM bench_semi_join WHERE kind = '{kind}'");
    let postgres = Database {
        stored_as: &|| {
            server.execute("DROP TABLE IF EXISTS bench_semi_join");
            format!("POSTGRES LOCATION '{}'", server.url)
        },
        rows_with: &|kind| {
            let found = server.number(&updated(kind));
            server.execute("VACUUM bench_semi_join");
            found
        },
    };
    postgres.measure(criterion, "postgres");
    let mysql = Database {
        stored_as: &|| {
            mysql.execute(&["DROP TABLE IF EXISTS bench_semi_join"]);
            format!("MYSQL LOCATION '{}'", mysql.url)
        },
        rows_with: &|kind| mysql.number(&updated(kind)) as i64,
    };
    mysql.measure(criterion, "mysql");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("semi_join.db");
    let sqlite = Database {
        stored_as: &|| format!("SQLITE LOCATION '{}'", file.display()),
        rows_with: &|kind| {
            let db = rusqlite::Connection::open(&file).expect("the database");
            db.query_row(&updated(kind), [], |row| row.get(0)).expect("a number")
        },
    };
    sqlite.measure(criterion, "sqlite");
}

struct Database<'a> {
    stored_as: &'a dyn Fn() -> String,
    /// The number of rows of a kind.
    rows_with: &'a dyn Fn(&str) -> i64,
}

impl Database<'_> {
    fn measure(&self, criterion: &mut Criterion, name: &str) {
        let runtime = LazyCell::new(|| Runtime::new().expect("a runtime"));
        let context = LazyCell::new(|| runtime.block_on(filled(&(self.stored_as)())));
        let run = |kind: &str, sql: &str| {
            let context = LazyCell::force(&context);
            let began = Instant::now();
            runtime.block_on(run(context, sql));
            let time = began.elapsed();
            assert_eq!((self.rows_with)(kind), KEYS as i64, "not all rows were updated");
            time
        };
        let name = format!("semi_join/{name}, {KEYS} keys of {} rows", rows());
        Pairs { name: &name, beside: "the same as a MERGE", rows: KEYS, bar: Some(0.77) }.measure(
            criterion,
            || {
                let merge = "MERGE INTO bench_semi_join AS t USING keys AS s ON t.id = s.id \
                             WHEN MATCHED THEN UPDATE SET kind = 'merged'";
                run("merged", merge)
            },
            || run("updated", "UPDATE bench_semi_join SET kind = 'updated' WHERE id IN (SELECT id FROM keys)"),
        );
    }
}

/// A session with the table and the keys.
async fn filled(stored_as: &str) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    datafusion_landfall::register(&context);
    let step = (rows() / KEYS) as i64;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..KEYS as i64).map(|key| key * step + 1)));
    let keys = RecordBatch::try_from_iter([("id", ids)]).expect("columns of one length");
    let keys = MemTable::try_new(keys.schema(), vec![vec![keys]]).expect("a table");
    context.register_table("keys", Arc::new(keys)).expect("a table");
    let columns = "(id BIGINT PRIMARY KEY, kind VARCHAR, amount DOUBLE)";
    run(&context, &format!("CREATE EXTERNAL TABLE bench_semi_join {columns} STORED AS {stored_as}")).await;
    let insert = "INSERT INTO bench_semi_join SELECT value, 'event', value / 4.0 FROM generate_series";
    run(&context, &format!("{insert}(1, {})", rows())).await;
    context
}

async fn run(context: &SessionContext, sql: &str) {
    context.sql(sql).await.expect(sql).collect().await.expect(sql);
}
