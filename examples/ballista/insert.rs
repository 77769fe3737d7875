//! Writes Parquet files into a table by the executors of a cluster. See examples/ballista/README.md.
//!
//!     insert_on_a_cluster df://localhost:50050 'postgres://me@localhost/sales' orders /data/orders/

use std::sync::Arc;

use datafusion::prelude::ParquetReadOptions;
use datafusion_landfall::{LandfallTable, SinkOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [scheduler, database, table, files, options @ ..] = arguments.as_slice() else {
        return Err("usage: insert_on_a_cluster SCHEDULER DATABASE TABLE FILES [OPTION=VALUE …]".into());
    };
    let options = options.iter().filter_map(|option| option.split_once('='));
    let context = datafusion_landfall_ballista::connect(scheduler).await?;
    let target = LandfallTable::connect(database, table, SinkOptions::try_from_pairs(options)?).await?;
    context.register_table("target", Arc::new(target))?;
    context.register_parquet("source", files, ParquetReadOptions::default()).await?;
    let written = datafusion_landfall::sql(&context, "INSERT INTO target SELECT * FROM source").await?;
    written.show().await?;
    Ok(())
}
