//! Writes Parquet files into a table, which is created if it is missing, by the executors of a cluster. See examples/ballista/README.md.
//!
//!     insert_on_a_cluster df://localhost:50050 'postgres://me@localhost/sales' orders /data/orders/

use std::sync::Arc;

use datafusion::prelude::ParquetReadOptions;
use datafusion_landfall::backend::NewTable;
use datafusion_landfall::{LandfallTable, SinkOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [scheduler, database, table, files, options @ ..] = arguments.as_slice() else {
        return Err("usage: insert_on_a_cluster SCHEDULER DATABASE TABLE FILES [OPTION=VALUE …]".into());
    };
    let options = options.iter().filter_map(|option| option.split_once('='));
    let context = datafusion_landfall_ballista::connect(scheduler).await?;
    context.register_parquet("source", files, ParquetReadOptions::default()).await?;
    let schema = context.table_provider("source").await?.schema();
    let (primary_key, unique_keys, defaults) = Default::default();
    let new = NewTable { name: table.clone(), schema, primary_key, unique_keys, defaults };
    let target = LandfallTable::connect_or_create(database, new, SinkOptions::try_from_pairs(options)?).await?;
    context.register_table("target", Arc::new(target))?;
    let written = datafusion_landfall::sql(&context, "INSERT INTO target SELECT * FROM source").await?;
    written.show().await?;
    Ok(())
}
