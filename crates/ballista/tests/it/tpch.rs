//! TPC-H's lineitem and a join, as the executors of real processes write them: the same rows as those of one process.

use std::fmt::Write;
use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use tpchgen::generators::{CustomerGenerator, LineItemGenerator, OrderGenerator};
use tpchgen_arrow::{CustomerArrow, LineItemArrow, OrderArrow};

use crate::cluster::{explain, register, run, session_at};
use crate::databases::Database;
use crate::programs::Processes;

const PARTS: i32 = 4;

/// The scale factor: 1 by hand, with LANDFALL_TEST_SCALE.
fn scale() -> f64 {
    std::env::var("LANDFALL_TEST_SCALE").map_or(0.02, |scale| scale.parse().unwrap())
}

/// Writes the files of a table.
async fn write(
    folder: &Path,
    table: &str,
    part: impl Fn(i32) -> Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>,
) {
    for number in 1..=PARTS {
        let frame = SessionContext::new().read_batches(part(number).map(Result::unwrap)).unwrap();
        let file = folder.join(format!("{table}/{number}.parquet"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        frame.write_parquet(file.to_str().unwrap(), options, None).await.unwrap();
    }
}

async fn read(context: &SessionContext, folder: &Path) {
    for table in ["lineitem", "orders", "customer"] {
        let files = folder.join(table);
        context.register_parquet(table, files.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    }
}

const LINEITEM: &str = "l_orderkey BIGINT, l_partkey BIGINT, l_suppkey BIGINT, l_linenumber INT, l_quantity DECIMAL(15, 2),
    l_extendedprice DECIMAL(15, 2), l_discount DECIMAL(15, 2), l_tax DECIMAL(15, 2), l_returnflag CHAR(1), l_linestatus CHAR(1),
    l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, l_shipinstruct VARCHAR(25), l_shipmode VARCHAR(10),
    l_comment VARCHAR(44), PRIMARY KEY (l_orderkey, l_linenumber)";

const JOINED: &str = "l_orderkey BIGINT, l_linenumber INT, o_orderdate DATE, c_name VARCHAR(25), price DECIMAL(38, 4)";

const JOIN: &str = "SELECT l_orderkey, l_linenumber, o_orderdate, c_name, l_extendedprice * (1 - l_discount) AS price
    FROM lineitem JOIN orders ON l_orderkey = o_orderkey JOIN customer ON o_custkey = c_custkey
    WHERE o_orderdate < DATE '1995-06-01' AND l_shipmode <> 'AIR'";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tpc_h_is_written_as_by_one_process() {
    let (folder, scale) = (tempfile::tempdir().unwrap(), scale());
    let folder = folder.path();
    write(folder, "lineitem", |part| Box::new(LineItemArrow::new(LineItemGenerator::new(scale, part, PARTS)))).await;
    write(folder, "orders", |part| Box::new(OrderArrow::new(OrderGenerator::new(scale, part, PARTS)))).await;
    write(folder, "customer", |part| Box::new(CustomerArrow::new(CustomerGenerator::new(scale, part, PARTS)))).await;
    let processes = Processes::start();
    let cluster = session_at(&processes.url, 4).await;
    let alone = SessionContext::new();
    datafusion_landfall::register(&alone);
    for context in [&cluster, &alone] {
        read(context, folder).await;
    }
    for database in Database::each() {
        for (columns, query) in [(LINEITEM, "SELECT * FROM lineitem"), (JOINED, JOIN)] {
            let mut rows = Vec::new();
            for (context, table) in [(&alone, "alone"), (&cluster, "spread")] {
                database.client(&format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns})"));
                let _ = context.deregister_table(table);
                register(context, &database, table, &[("writers", "4")]).await;
                let insert = format!("INSERT INTO {table} {query}");
                if table == "spread" {
                    let plan = explain(context, &insert).await;
                    assert!(plan.contains("WriterExec: writers=4"), "{plan}");
                }
                let began = std::time::Instant::now();
                rows.push(run(context, &insert).await.unwrap());
                println!("{:?}, {table}: {} rows in {:?}", database.kind, rows[rows.len() - 1], began.elapsed());
            }
            assert!(rows[0] > 0 && rows[0] == rows[1], "{:?}: {rows:?}", database.kind);
            let mut differing = String::from("SELECT count(*) FROM (");
            for (first, second) in [("alone", "spread"), ("spread", "alone")] {
                // MariaDB accepts parentheses around SELECT only.
                let union = if first == "alone" { " UNION ALL " } else { "" };
                let except = format!("SELECT * FROM {first} EXCEPT ALL SELECT * FROM {second}");
                write!(differing, "SELECT * FROM ({except}) AS {first}_only{union}").unwrap();
            }
            assert_eq!(database.client(&(differing + ") AS differing")), ["0"], "{:?}: {query}", database.kind);
        }
        assert!(database.prepared().is_empty(), "{:?}", database.prepared());
    }
}
