//! Follows a growing file as a stream that can be stopped and resumed: `cargo run --example follow_a_file`.
//!
//! A source that can be read from a given position is a [`ReplayableSource`]. In this example, a position is a number of bytes.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::provider::{PositionedStream, ReplayableSource, ReplayableTable};
use datafusion_landfall::{Interrupt, register};
use futures::{StreamExt, stream};

/// The lines of a file, including those that will be appended later.
#[derive(Debug)]
struct Lines {
    file: PathBuf,
}

/// Maximum number of lines in a batch.
const BATCH: usize = 1_000;

impl ReplayableSource for Lines {
    fn name(&self) -> String {
        self.file.display().to_string()
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8, false)]))
    }

    fn read(&self, position: Option<&str>, _: Arc<TaskContext>) -> Result<PositionedStream> {
        let start = position.map_or(Ok(0), str::parse::<u64>);
        let start = start.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let mut file = BufReader::new(File::open(&self.file)?);
        file.seek(SeekFrom::Start(start))?;
        let schema = self.schema();
        let next = move |(mut file, mut position, schema): (BufReader<File>, u64, SchemaRef)| async move {
            loop {
                match some_lines(&mut file, &mut position) {
                    Ok(lines) if lines.is_empty() => tokio::time::sleep(Duration::from_millis(20)).await,
                    Ok(lines) => {
                        let lines = Arc::new(StringArray::from(lines));
                        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![lines]);
                        let read = batch.map(|batch| (batch, position.to_string())).map_err(DataFusionError::from);
                        return Some((read, (file, position, schema)));
                    }
                    Err(error) => return Some((Err(error.into()), (file, position, schema))),
                }
            }
        };
        Ok(stream::unfold((file, start, schema), next).boxed())
    }
}

/// The next complete lines; `position` is the end of the last line.
fn some_lines(file: &mut BufReader<File>, position: &mut u64) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    while lines.len() < BATCH {
        let mut line = String::new();
        let bytes = file.read_line(&mut line)?;
        if !line.ends_with('\n') {
            // The line is not complete yet.
            file.seek(SeekFrom::Start(*position))?;
            break;
        }
        *position += bytes as u64;
        lines.push(line.trim_end().to_owned());
    }
    Ok(lines)
}

/// Follows the file for a while; returns the number of lines that were written.
async fn follow(folder: &Path, time: Duration) -> Result<usize> {
    let interrupt = Interrupt::new();
    let context = SessionContext::new_with_config(SessionConfig::new().with_extension(Arc::new(interrupt.clone())));
    register(&context);
    let lines = ReplayableTable::try_new(vec![Arc::new(Lines { file: folder.join("log.txt") })])?.unbounded();
    context.register_table("log", Arc::new(lines))?;
    let create = format!(
        "CREATE EXTERNAL TABLE errors (line VARCHAR) STORED AS SQLITE LOCATION '{}'
         OPTIONS ('job' 'errors of the log', 'checkpoint.interval' '100ms')",
        folder.join("errors.db").display()
    );
    context.sql(&create).await?;
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        interrupt.stop();
    });
    context.sql("INSERT INTO errors SELECT line FROM log WHERE line LIKE '%error%'").await?.show().await?;
    context.sql("SELECT job, total_rows, positions FROM landfall_checkpoints('errors')").await?.show().await?;
    context.table("errors").await?.count().await
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut log = File::create(folder.path().join("log.txt"))?;
    let write = std::thread::spawn(move || -> std::io::Result<()> {
        for number in 0..10_000 {
            let kind = if number % 4 == 0 { "error" } else { "note" };
            writeln!(log, "{number} {kind}")?;
            if number % 50 == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    });
    println!("the first run is stopped while the file grows:");
    let first = follow(folder.path(), Duration::from_millis(1_000)).await?;
    write.join().map_err(|_| DataFusionError::Execution("the log was not written".into()))??;
    println!("the second one goes on behind the {first} errors that are in the table:");
    let all = follow(folder.path(), Duration::from_millis(1_500)).await?;
    match (first < all, all) {
        (true, 2_500) => Ok(()),
        _ => Err(DataFusionError::Execution(format!("{first} and then {all} errors of 2500 landed"))),
    }
}
