//! One write: open the job, start the branch, move the batches, commit.

use std::pin::pin;
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Interrupt;
use crate::xa::{Branch, DecisionRecord, JobId, Opened, ResourceManager, TransactionManager, WriteSpec};

/// How a write ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    /// This many rows of the input were consumed and are committed.
    Rows(u64),
    /// The job was finished before, as this record says; the input was not read.
    Before(DecisionRecord),
}

/// Writes a stream as one atomic epoch.
///
/// # Errors
/// Whatever failed first: the input, the database, the job. The table is then as it was before.
/// Cancel safety: dropping the future rolls back, unless the commit has begun.
pub async fn run(
    resource: &dyn ResourceManager,
    spec: &WriteSpec,
    job: Option<&JobId>,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
    interrupt: &Interrupt,
) -> Result<Landed> {
    let manager = TransactionManager::new(resource.decision_log(), job.cloned(), spec.table.clone());
    let epoch = match manager.open().await? {
        Opened::Finished(record) => return Ok(Landed::Before(record)),
        Opened::Epoch(epoch) => epoch,
    };
    let xid = manager.xid(epoch);
    let mut branch = tokio::select! {
        biased;
        () = interrupt.asked() => return Err(interrupted()),
        branch = resource.start(&xid, spec) => branch?,
    };
    let written = tokio::select! {
        biased;
        () = interrupt.asked() => Err(interrupted()),
        written = write_all(branch.as_mut(), input) => written,
    };
    match written {
        Ok(rows) => {
            let began = Instant::now();
            manager.commit_one_phase(branch, epoch, rows).await?;
            spec.stats.add_commit(began.elapsed());
            Ok(Landed::Rows(rows))
        }
        Err(error) => {
            // The first error is the one to tell; a failing rollback cannot make more of it.
            let _ = branch.rollback().await;
            Err(error)
        }
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted: it was rolled back, nothing was written")
}

async fn write_all(branch: &mut dyn Branch, input: impl Stream<Item = Result<RecordBatch>> + Send) -> Result<u64> {
    let mut input = pin!(input);
    let mut rows = 0;
    while let Some(batch) = input.next().await.transpose()? {
        rows += batch.num_rows() as u64;
        branch.write(batch).await?;
    }
    branch.flush().await?;
    Ok(rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use futures::stream;

    use super::*;
    use crate::xa::conformance::columns;
    use crate::xa::memory::MemoryResource;
    use crate::xa::{Existing, OnConflict};

    fn spec() -> WriteSpec {
        WriteSpec {
            table: "landing".into(),
            columns: columns(),
            existing: Existing::Keep,
            on_conflict: OnConflict::Error,
            key: vec![],
            stats: Arc::default(),
        }
    }

    fn batch(rows: i64) -> Result<RecordBatch> {
        let ids = Arc::new(Int64Array::from_iter_values(0..rows));
        let names = Arc::new(arrow::array::StringArray::new_null(rows as usize));
        Ok(RecordBatch::try_new(columns(), vec![ids, names]).unwrap())
    }

    #[tokio::test]
    async fn all_batches_land_or_none() {
        let memory = MemoryResource::default();
        let good = stream::iter([batch(2), batch(0), batch(3)]);
        let landed = run(&memory, &spec(), None, good, &Interrupt::new()).await.unwrap();
        assert_eq!((landed, memory.row_count()), (Landed::Rows(5), 5));

        let failing = stream::iter([batch(2), Err(Error::new(ErrorKind::Input, "the query failed"))]);
        let error = run(&memory, &spec(), None, failing, &Interrupt::new()).await.unwrap_err();
        assert_eq!((error.kind(), memory.row_count()), (ErrorKind::Input, 5));
    }

    #[tokio::test]
    async fn a_finished_job_does_not_read_its_input() {
        let memory = MemoryResource::default();
        let job = JobId::try_new("once").unwrap();
        let first = run(&memory, &spec(), Some(&job), stream::iter([batch(2)]), &Interrupt::new()).await.unwrap();
        assert_eq!(first, Landed::Rows(2));
        let untouched = stream::poll_fn(|_| panic!("the input was read"));
        let Landed::Before(record) = run(&memory, &spec(), Some(&job), untouched, &Interrupt::new()).await.unwrap()
        else {
            panic!("it ran twice")
        };
        assert_eq!((record.rows, memory.row_count()), (2, 2));
    }

    #[tokio::test]
    async fn an_interrupt_stops_a_stream_that_never_ends() {
        let memory = MemoryResource::default();
        let interrupt = Interrupt::new();
        let endless = stream::once(async { batch(1) }).chain(stream::pending());
        let stop = interrupt.clone();
        let spec = spec();
        let (ended, ()) = tokio::join!(run(&memory, &spec, None, endless, &interrupt), async move {
            tokio::task::yield_now().await;
            stop.stop();
        });
        assert_eq!((ended.unwrap_err().kind(), memory.row_count()), (ErrorKind::Interrupted, 0));
    }
}
