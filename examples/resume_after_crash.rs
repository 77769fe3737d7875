//! A long load crashes midway, and the next run resumes after its last checkpoint:
//! `cargo run --example resume_after_crash`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use datafusion_landfall::register;

const ROWS: u64 = 2_000_000;

/// A job that commits every 100,000 rows. The next run resumes after the last checkpoint.
async fn load(folder: &Path) -> Result<SessionContext> {
    let context = SessionContext::new();
    register(&context);
    let create = format!(
        "CREATE EXTERNAL TABLE numbers (id BIGINT NOT NULL, square BIGINT, PRIMARY KEY (id))
         STORED AS SQLITE LOCATION '{}'
         OPTIONS ('job' 'squares up to two million', 'checkpoint.rows' '100000')",
        folder.join("numbers.db").display()
    );
    context.sql(&create).await?;
    let insert = format!("INSERT INTO numbers SELECT value, value * value FROM generate_series(1, {ROWS})");
    context.sql(&insert).await?.show().await?;
    Ok(context)
}

#[tokio::main]
async fn main() -> Result<()> {
    // The program starts a second process of itself, with a folder as argument, and kills it.
    if let Some(folder) = std::env::args_os().nth(1) {
        return load(&PathBuf::from(folder)).await.map(drop);
    }
    let folder = tempfile::tempdir()?;
    let mut deaths = 0;
    loop {
        let mut child = Command::new(std::env::current_exe()?);
        let mut child = child.arg(folder.path()).stdout(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(700));
        if let Some(status) = child.try_wait()? {
            println!("after {deaths} deaths a run came to its end: {status}");
            break;
        }
        child.kill()?;
        child.wait()?;
        deaths += 1;
        if deaths == 3 {
            break;
        }
    }
    println!("killed {deaths} times; the last run counts the rows that were left for it:");
    let context = load(folder.path()).await?;
    context.sql("SELECT job, epoch, total_rows, finished FROM landfall_checkpoints('numbers')").await?.show().await?;
    let counted =
        context.sql("SELECT count(*) AS rows, count(DISTINCT id) AS ids, max(id) AS last FROM numbers").await?;
    let counted = counted.collect().await?;
    println!("{}", datafusion::arrow::util::pretty::pretty_format_batches(&counted)?);
    let rows = datafusion::common::ScalarValue::try_from_array(counted[0].column(0), 0)?;
    match rows == datafusion::common::ScalarValue::Int64(Some(ROWS as i64)) {
        true => Ok(()),
        false => Err(DataFusionError::Execution(format!("the table has {rows} rows, not {ROWS}"))),
    }
}
