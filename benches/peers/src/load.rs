//! The loads that this program does: Landfall's, and those of bytes that are ready when the clock starts.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_landfall::SinkOptions;
use datafusion_landfall::mysql::{FileEncoder, MySql};
use datafusion_landfall::postgres::{CopyEncoder, Postgres};
use futures::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use sqlx::Connection;
use tokio::runtime::Runtime;

use crate::{events, first};

/// Loads `rows` events into the table at `place`; connects inside of that time.
pub fn seconds(load: &str, place: &str, rows: usize) -> f64 {
    let batches = first::events(rows);
    let load = async {
        match load {
            "landfall/postgres" => landfall("POSTGRES", place, "'writers' '1'", batches).await,
            "landfall/mysql" => landfall("MYSQL", place, "'writers' '1'", batches).await,
            "landfall/sqlite" => landfall("SQLITE", place, "'pragma.synchronous' 'full'", batches).await,
            "landfall/sqlite-wal" => landfall("SQLITE", place, "'pragma.synchronous' 'normal'", batches).await,
            "ready/postgres" => copy(place, &batches).await,
            "ready/mysql" => load_data(place, &batches).await,
            other => panic!("no load is called {other}"),
        }
    };
    Runtime::new().expect("a runtime").block_on(load)
}

async fn landfall(database: &str, place: &str, options: &str, batches: Vec<RecordBatch>) -> f64 {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let source = MemTable::try_new(events::schema(), vec![batches]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    let create =
        format!("CREATE EXTERNAL TABLE bench_events STORED AS {database} LOCATION '{place}' OPTIONS ({options})");
    context.sql(&create).await.expect("a table");
    let began = Instant::now();
    let insert = context.sql("INSERT INTO bench_events SELECT * FROM source").await.expect("a plan");
    insert.collect().await.expect("all rows");
    began.elapsed().as_secs_f64()
}

/// A COPY of what Landfall would send.
async fn copy(url: &str, batches: &[RecordBatch]) -> f64 {
    let database = Postgres::try_new(url, &SinkOptions::new()).expect("a database");
    let encoder = CopyEncoder::connect(&database, "bench_events", events::schema());
    let mut encoder = encoder.await.expect("an encoder");
    let mut pieces = vec![CopyEncoder::HEADER.to_vec()];
    for batch in batches {
        encoder.encode(batch, |piece| pieces.push(piece.to_vec())).expect("a batch");
    }
    pieces.push(CopyEncoder::TRAILER.to_vec());

    let began = Instant::now();
    let mut connection = sqlx::PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.expect("a transaction");
    let mut copy = connection.copy_in_raw("COPY bench_events FROM STDIN (FORMAT BINARY)").await.expect("a COPY");
    for piece in &pieces {
        copy.send(piece.as_slice()).await.expect("a piece");
    }
    copy.finish().await.expect("all rows");
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("a commit");
    connection.close().await.expect("a goodbye");
    began.elapsed().as_secs_f64()
}

/// A LOAD DATA of what Landfall would send.
async fn load_data(url: &str, batches: &[RecordBatch]) -> f64 {
    let database = MySql::try_new(url, &SinkOptions::new()).expect("a database");
    let encoder = FileEncoder::connect(&database, "bench_events", events::schema());
    let mut encoder = encoder.await.expect("an encoder");
    let mut pieces = Vec::new();
    for batch in batches {
        encoder.encode(batch, |piece| pieces.push(Ok(Bytes::copy_from_slice(piece)))).expect("a batch");
    }

    // mysql_async does not know the ssl-mode of the URL.
    let (url, _) = url.split_once('?').expect("parameters");
    let options = mysql_async::OptsBuilder::from_opts(mysql_async::Opts::from_url(url).expect("a URL"));
    let began = Instant::now();
    let mut connection = mysql_async::Conn::new(options.prefer_socket(false)).await.expect("a connection");
    connection.query_drop("START TRANSACTION").await.expect("a transaction");
    connection.set_infile_handler(async move { Ok(stream::iter(pieces).boxed()) });
    let load = "LOAD DATA LOCAL INFILE 'ready' INTO TABLE bench_events CHARACTER SET utf8mb4";
    connection.query_drop(load).await.expect("all rows");
    assert_eq!(connection.get_warnings(), 0);
    connection.query_drop("COMMIT").await.expect("a commit");
    connection.disconnect().await.expect("a goodbye");
    began.elapsed().as_secs_f64()
}
