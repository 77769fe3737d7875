//! One write: open the job, start the branches, move the batches, commit.

use std::pin::{Pin, pin};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use super::dispatch::Dealer;
use super::start::{Head, start};
use super::writer::{Origin, Writers};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Interrupt;
use crate::sql::Dispatch;
use crate::xa::{
    Capability, DecisionLog, DecisionRecord, JobId, Member, Opened, Protocol, ResourceManager, Run, TransactionManager,
    Undertaking, WriteSpec, failpoint::failpoint,
};

/// How many writers a table gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterCount {
    /// So many.
    Exactly(u16),
    /// One for a few rows, else so many.
    UpTo(u16),
}

/// One table that a stream is written to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its database.
    pub resource: Arc<dyn ResourceManager>,
    /// What that can promise.
    pub capability: Capability,
    /// What is written.
    pub spec: WriteSpec,
    /// How rows are dealt out to its writers.
    pub dispatch: Dispatch,
    /// How many these are.
    pub writers: WriterCount,
}

/// What a stream is written to, as one transaction.
#[derive(Debug, Clone)]
pub struct Write {
    /// The tables.
    pub targets: Vec<Target>,
    /// What they are called together.
    pub name: String,
    /// The job, where the write is to happen once.
    pub job: Option<JobId>,
    /// Where it is decided.
    pub log: Arc<dyn DecisionLog>,
    /// How a single branch ends; several always need two phases.
    pub protocol: Protocol,
}

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
/// Whatever failed first: the input, a database, the job. The tables are then as they were before, but under
/// `InDoubt`.
/// Cancel safety: dropping the future rolls back, unless the commit has begun, which then goes on by itself.
pub async fn run(
    manager: &TransactionManager,
    write: &Write,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
    interrupt: &Interrupt,
) -> Result<Landed> {
    let undertaking = Undertaking {
        log: Arc::clone(&write.log),
        job: write.job.clone(),
        table: write.name.clone(),
        resources: write.targets.iter().map(|target| Arc::clone(&target.resource)).collect(),
    };
    let opened = tokio::select! {
        biased;
        () = interrupt.asked() => return Err(interrupted()),
        opened = manager.open(undertaking) => opened?,
    };
    let run = match opened {
        Opened::Finished(record) => return Ok(Landed::Before(record)),
        Opened::Run(run) => run,
    };
    let (members, rows) = match write_all(write, &run, input, interrupt).await {
        Ok(written) => written,
        Err(error) => {
            run.abandon().await;
            return Err(error);
        }
    };
    let began = Instant::now();
    // Whoever stops waiting does not stop the commit half-way.
    let committed = tokio::spawn(run.commit(members, rows)).await;
    committed.map_err(|error| Error::internal(format!("the commit ended: {error}")))??;
    for target in &write.targets {
        target.spec.stats.add_commit(began.elapsed());
    }
    Ok(Landed::Rows(rows))
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted: it was rolled back, nothing was written")
}

/// Writes the input to branches that are ready to be committed then; after an error they are rolled back.
async fn write_all(
    write: &Write,
    run: &Run,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
    interrupt: &Interrupt,
) -> Result<(Vec<Member>, u64)> {
    let mut input = pin!(input);
    let begin = async {
        let head = Head::take(write, input.as_mut()).await?;
        let members = start(write, run, head.is_many).await?;
        Ok::<_, Error>((head.batches, members))
    };
    let (head, members) = tokio::select! {
        biased;
        () = interrupt.asked() => return Err(interrupted()),
        begun = begin => begun?,
    };
    failpoint("branch.started");
    let mut dealers = Vec::new();
    for (group, target) in write.targets.iter().enumerate() {
        let writers = members.iter().filter(|(of, _)| *of == group).count();
        dealers.push(Dealer::try_new(&target.dispatch, &target.spec.columns, writers)?);
    }
    let mut writers = Writers::new(members);
    let written = tokio::select! {
        biased;
        () = interrupt.asked() => Err(interrupted()),
        rows = deal(head, input, &mut dealers, &mut writers) => rows,
    };
    match written {
        Ok(written) => Ok(written),
        Err(error) => {
            writers.stop().await;
            Err(error)
        }
    }
}

/// Deals the whole input out, and waits until it is written.
async fn deal<S>(
    head: Vec<RecordBatch>,
    mut input: Pin<&mut S>,
    dealers: &mut [Dealer],
    writers: &mut Writers,
) -> Result<(Vec<Member>, u64)>
where
    S: Stream<Item = Result<RecordBatch>> + Send,
{
    let (mut rows, mut head) = (0, head.into_iter());
    loop {
        let batch = match head.next() {
            Some(batch) => batch,
            None => tokio::select! {
                error = writers.failure() => return Err(error),
                batch = input.next() => match batch.transpose()? {
                    Some(batch) => batch,
                    None => break,
                },
            },
        };
        let origin = Origin { first: rows, rows: batch.num_rows() as u64 };
        rows += origin.rows;
        for (group, dealer) in dealers.iter_mut().enumerate() {
            for dealt in dealer.deal(batch.clone())? {
                writers.send(group, dealt, origin).await?;
            }
        }
    }
    Ok((writers.finish().await?, rows))
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

    fn write(memory: &MemoryResource, job: Option<JobId>, writers: WriterCount) -> Write {
        let spec = WriteSpec {
            table: "landing".into(),
            columns: columns(),
            existing: Existing::Keep,
            on_conflict: OnConflict::Error,
            key: vec![],
            protocol: Protocol::OnePhase,
            stats: Arc::default(),
        };
        let target = Target {
            resource: Arc::new(memory.clone()),
            capability: Capability::TwoPhase { branches: 9 },
            spec,
            dispatch: Dispatch::RoundRobin,
            writers,
        };
        Write {
            targets: vec![target],
            name: "landing".into(),
            job,
            log: memory.decision_log(),
            protocol: Protocol::OnePhase,
        }
    }

    async fn run_once(
        memory: &MemoryResource,
        job: Option<&JobId>,
        input: impl Stream<Item = Result<RecordBatch>> + Send,
    ) -> Result<Landed> {
        let write = write(memory, job.cloned(), WriterCount::UpTo(3));
        run(&TransactionManager::default(), &write, input, &Interrupt::new()).await
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
        let landed = run_once(&memory, None, good).await.unwrap();
        assert_eq!((landed, memory.row_count()), (Landed::Rows(5), 5));

        let failing = stream::iter([batch(2), Err(Error::new(ErrorKind::Input, "the query failed"))]);
        let error = run_once(&memory, None, failing).await.unwrap_err();
        assert_eq!((error.kind(), memory.row_count()), (ErrorKind::Input, 5));
    }

    #[tokio::test]
    async fn many_rows_are_written_by_several_writers_and_all_of_them_land() {
        for (batches, branches) in [(4, 1), (40, 3)] {
            let memory = MemoryResource::default();
            let input = stream::iter((0..batches).map(|_| batch(2000)));
            let landed = run_once(&memory, None, input).await.unwrap();
            assert_eq!((landed, memory.row_count()), (Landed::Rows(batches * 2000), batches as usize * 2000));
            assert_eq!(memory.commits(), branches, "branches");
            assert_eq!(memory.jobs().await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn a_finished_job_does_not_read_its_input() {
        let memory = MemoryResource::default();
        let job = JobId::try_new("once").unwrap();
        let first = run_once(&memory, Some(&job), stream::iter([batch(2)])).await.unwrap();
        assert_eq!(first, Landed::Rows(2));
        let untouched = stream::poll_fn(|_| panic!("the input was read"));
        let Landed::Before(record) = run_once(&memory, Some(&job), untouched).await.unwrap() else {
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
        let (manager, write) = (TransactionManager::default(), write(&memory, None, WriterCount::Exactly(2)));
        let (ended, ()) = tokio::join!(run(&manager, &write, endless, &interrupt), async move {
            tokio::task::yield_now().await;
            stop.stop();
        });
        assert_eq!(memory.jobs().await.unwrap(), [], "it left a record");
        assert_eq!((ended.unwrap_err().kind(), memory.row_count()), (ErrorKind::Interrupted, 0));
    }
}
