//! INSERT INTO by datafusion-table-providers.
//!
//! Its pool connects before the clock starts, and it is told the columns, so that it neither asks the server for them
//! nor casts what it gets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{Constraints, TableReference};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_table_providers::mysql::MySQLTableFactory;
use datafusion_table_providers::postgres::PostgresTableFactory;
use datafusion_table_providers::sql::db_connection_pool::Mode;
use datafusion_table_providers::sql::db_connection_pool::mysqlpool::MySQLConnectionPool;
use datafusion_table_providers::sql::db_connection_pool::postgrespool::PostgresConnectionPool;
use datafusion_table_providers::sql::db_connection_pool::sqlitepool::SqliteConnectionPoolFactory;
use datafusion_table_providers::sqlite::write::SqliteTableWriter;
use datafusion_table_providers::sqlite::{Sqlite, SqliteTableFactory};
use datafusion_table_providers::util::secrets::to_secret_map;

use crate::events;

/// Seconds of the statement.
pub async fn insert(database: &str, place: &str, batches: Vec<RecordBatch>) -> f64 {
    let context = SessionContext::new();
    let source = MemTable::try_new(events::schema(), vec![batches]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    let table = match database {
        "postgres" => postgres(place).await,
        "mysql" => mysql(place).await,
        // Inlined values are what it does by itself.
        "sqlite" => sqlite(place, Values::Inlined).await,
        "sqlite-prepared" => sqlite(place, Values::Bound).await,
        other => panic!("no database is called {other}"),
    };
    context.register_table("bench_events", table).expect("a table");
    let began = Instant::now();
    let insert = context.sql("INSERT INTO bench_events SELECT * FROM source").await.expect("a plan");
    insert.collect().await.expect("all rows");
    began.elapsed().as_secs_f64()
}

enum Values {
    Inlined,
    /// To a statement that is prepared once.
    Bound,
}

fn events() -> TableReference {
    TableReference::bare("bench_events")
}

async fn postgres(url: &str) -> Arc<dyn TableProvider> {
    let pool = PostgresConnectionPool::new(to_secret_map(options(url, "port", "disable"))).await.expect("a pool");
    let factory = PostgresTableFactory::new(Arc::new(pool.with_schema(events(), events::schema())));
    factory.read_write_table_provider(events()).await.expect("a table")
}

async fn mysql(url: &str) -> Arc<dyn TableProvider> {
    let pool = MySQLConnectionPool::new(to_secret_map(options(url, "tcp_port", "disabled"))).await.expect("a pool");
    let factory = MySQLTableFactory::new(Arc::new(pool.with_schema(events(), events::schema())));
    factory.read_write_table_provider(events()).await.expect("a table")
}

async fn sqlite(file: &str, values: Values) -> Arc<dyn TableProvider> {
    let pool = SqliteConnectionPoolFactory::new(file, Mode::File, Duration::from_secs(5));
    let pool = Arc::new(pool.with_schema(events(), events::schema()).build().await.expect("a pool"));
    let reader = SqliteTableFactory::new(Arc::clone(&pool)).table_provider(events()).await.expect("a table");
    let sqlite = Sqlite::new(events(), events::schema(), pool, Constraints::default());
    let prepared = matches!(values, Values::Bound);
    SqliteTableWriter::create(reader, sqlite.with_batch_insert_use_prepared_statements(prepared), None)
}

/// The options for a server of the benches, which differ in their spelling.
fn options(url: &str, port_key: &str, no_tls: &str) -> HashMap<String, String> {
    let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).expect("a port");
    let options =
        [("host", "127.0.0.1"), (port_key, port), ("user", "landfall"), ("db", "landfall"), ("sslmode", no_tls)];
    options.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
