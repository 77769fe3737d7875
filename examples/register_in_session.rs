//! Writes a Parquet file to SQLite from Rust: `cargo run --example register_in_session`.

use std::sync::Arc;

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::error::Result;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext, col, lit};
use datafusion_landfall::{LandfallTable, OnConflict, SinkOptions, register, sql};

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weather.db");
    // If the session has no time zone, DataFusion treats TIMESTAMP WITH TIME ZONE as a type without a zone.
    let config = SessionConfig::new().set_str("datafusion.execution.time_zone", "+00:00");
    let context = SessionContext::new_with_config(config);
    register(&context);

    // In SQL: the table is created if it does not exist.
    let create = format!(
        "CREATE EXTERNAL TABLE weather (origin VARCHAR, time_hour TIMESTAMP WITH TIME ZONE, temp DOUBLE,
                                        PRIMARY KEY (origin, time_hour))
         STORED AS SQLITE LOCATION '{}'",
        file.display()
    );
    context.sql(&create).await?;
    let source = "examples/data/weather.parquet";
    context.register_parquet("source", source, ParquetReadOptions::default()).await?;
    sql(&context, "INSERT INTO weather SELECT origin, time_hour, temp FROM source").await?.show().await?;

    // In Rust: a data frame is written by its column names; rows whose key already exists are updated.
    let url = format!("sqlite:{}", file.display());
    let options = SinkOptions::new().with_on_conflict(OnConflict::Update)?.with_job("celsius")?;
    let table = LandfallTable::connect(&url, "weather", options).await?;
    context.register_table("celsius", Arc::new(table))?;
    for _run in 1..=2 {
        // The job is finished after the first run, so the second run writes nothing.
        let celsius = ((col("temp") - lit(32.0)) * lit(5.0) / lit(9.0)).alias("temp");
        let frame = context.table("source").await?.select(vec![col("origin"), col("time_hour"), celsius])?;
        frame.write_table("celsius", DataFrameWriteOptions::new()).await?;
    }

    let means = "SELECT origin, count(*) AS hours, round(avg(temp), 1) AS mean_celsius FROM weather GROUP BY origin";
    context.sql(means).await?.show().await
}
