//! The attempts at a write.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use log::warn;
use tracing::{Instrument, debug_span};

use super::attempt::WriteAttempt;
use super::input::{Input, Position};
use super::interrupt::interrupted;
use super::job::job_spec;
use super::reject_table::RejectTable;
use super::retry::{Lost, can_retry, pauses};
use super::write::{Target, Write, WriteOutcome, WriteProgress};
use crate::backend::{EpochEvent, Existing};
use crate::error::{Error, ErrorKind, Result};
use crate::manager::{Late, Opened, TransactionManager};
use crate::pipeline::Interrupt;
use crate::txn::{DecisionRecord, JobId};

/// Writes a stream as one atomic epoch, or with checkpoints as several atomic epochs.
///
/// # Errors
/// The first error of the input, a database or the job. The tables are then as they were at the last checkpoint, or
/// without checkpoints as they were before, except for `InDoubt`.
///
/// # Cancel safety
/// Dropping the future rolls the epoch back, unless its commit has begun; the commit then continues.
pub async fn run(
    manager: &TransactionManager,
    write: &Write,
    input: &dyn Input,
    interrupt: &Interrupt,
) -> Result<WriteOutcome> {
    let manager = &manager.of_statement();
    let mut progress = WriteProgress::default();
    let mut left = pauses(write.retry);
    let mut doubt = None;
    // Whether the server may still be rolling back an earlier attempt.
    let mut lost = Lost::Nothing;
    let ended = loop {
        let before = progress.landed;
        progress.is_opened = false;
        let span = debug_span!("write", table = %write.name, job = write.job.as_ref().map(JobId::as_str));
        let error = match attempt(manager, write, input, interrupt, &mut progress).instrument(span).await {
            Ok(landed) => break Ok(landed),
            Err(error) => error,
        };
        if progress.landed > before {
            left = pauses(write.retry);
            lost = Lost::Nothing;
        }
        if progress.is_opened {
            doubt = None;
        }
        if error.kind() == ErrorKind::InDoubt {
            note_doubt(manager, write);
        }
        let pause = match left.next() {
            Some(pause) if can_retry(write, input, &progress, &error, lost) => pause,
            _ => break Err(doubt.unwrap_or(error)),
        };
        if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::InDoubt) {
            lost = Lost::Attempt;
        }
        warn!(
            "writing table {} failed ({error}): retrying in {pause:?}, from row {}",
            write.name,
            progress.covered + 1
        );
        write.counts.retries.fetch_add(1, Relaxed);
        write.targets.iter().for_each(|target| target.spec.stats.note(EpochEvent::Retried));
        // A restarted server has closed its connections.
        for target in &write.targets {
            target.resource.release().await;
        }
        tokio::select! {
            () = interrupt.asked() => break Err(doubt.unwrap_or(error)),
            () = tokio::time::sleep(pause) => {}
        }
        manager.complete_late(Late::Expected).await;
        if error.kind() == ErrorKind::InDoubt {
            doubt = Some(error);
        }
    };
    manager.complete_late(Late::Over).await;
    ended.map_err(|error| match progress.landed {
        0 => error,
        rows => error.with_context(format!("after {rows} committed rows")),
    })
}

/// Counts a transaction whose outcome is unknown; for a job, until its outcome is known.
fn note_doubt(manager: &TransactionManager, write: &Write) {
    let stats: Vec<_> = write.targets.iter().map(|target| Arc::clone(&target.spec.stats)).collect();
    match &write.job {
        Some(job) => manager.doubt(job, stats),
        None => stats.iter().for_each(|stats| stats.note(EpochEvent::InDoubt)),
    }
}

/// Opens the job and writes from its last checkpoint.
async fn attempt(
    manager: &TransactionManager,
    write: &Write,
    input: &dyn Input,
    interrupt: &Interrupt,
    progress: &mut WriteProgress,
) -> Result<WriteOutcome> {
    let reject_table = RejectTable::open(write).await?;
    let open = async { manager.open(job_spec(write).await?).await };
    let opened = tokio::select! {
        biased;
        () = interrupt.asked() => return Err(interrupted(progress.landed)),
        opened = open.instrument(debug_span!("open")) => opened?,
    };
    if let Some(job) = &write.job {
        // Completes the branches that an unacknowledged commit left.
        manager.settle(job);
    }
    let run = match opened {
        Opened::Finished(record) if !progress.began => {
            write.counts.resumed.store(record.total(), Relaxed);
            return Ok(WriteOutcome::AlreadyFinished(record));
        }
        Opened::Finished(record) => return Ok(WriteOutcome::Rows(record.total() - progress.before)),
        Opened::Run(run) => run,
    };
    progress.is_opened = true;
    if let (false, Some(checkpoint)) = (progress.began, run.checkpoint()) {
        progress.before = checkpoint.total();
        write.counts.resumed.store(progress.before, Relaxed);
        warn!("job '{}' resumes after row {}, its last checkpoint", checkpoint.job, progress.before);
    }
    progress.began = true;
    if let Some(checkpoint) = run.checkpoint() {
        resume(write, input, checkpoint, progress)?;
    }
    WriteAttempt::new(write, input, interrupt, run, reject_table, progress)?.land().await
}

/// Resumes after a checkpoint.
fn resume(write: &Write, input: &dyn Input, checkpoint: &DecisionRecord, progress: &mut WriteProgress) -> Result<()> {
    let replaces = |target: &&Target| target.spec.existing != Existing::Keep;
    if let Some(target) = write.targets.iter().find(replaces) {
        return Err(Error::config(format!(
            "job '{}' has committed {} rows of table {} at a checkpoint, and INSERT OVERWRITE would delete these rows: \
             use a different job name",
            checkpoint.job,
            checkpoint.total(),
            target.spec.table
        )));
    }
    let resuming = |error: Error| {
        let (job, rows) = (&checkpoint.job, checkpoint.total());
        error.with_context(format!("resuming job '{job}' after row {rows}"))
    };
    let fingerprint = input.fingerprint().map_err(resuming)?;
    let place = checkpoint.positions.input.as_ref();
    let place = place.ok_or_else(|| resuming(Error::new(ErrorKind::Decode, "the ledger contains no position")))?;
    progress.position = Position::from_json(place, &fingerprint).map_err(resuming)?;
    progress.covered = checkpoint.total();
    progress.rejected = checkpoint.positions.rejected;
    progress.landed = progress.covered - progress.before;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_types, clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use futures::stream::BoxStream;
    use futures::{Stream, StreamExt, stream};

    use super::*;
    use crate::backend::conformance::columns;
    use crate::backend::memory::MemoryBackend;
    use crate::backend::{Backend, Capability, DecisionLog, Dispatch, Protocol, WriteSpec};
    use crate::options::{Checkpoints, Retry};
    use crate::pipeline::{Assignments, WriterCount};
    use crate::pipeline::{Boundary, Fingerprint, Progress, Read};
    use crate::txn::StatementId;

    fn write(memory: &MemoryBackend, job: Option<JobId>, writers: WriterCount) -> Write {
        let spec = WriteSpec::new("landing", columns());
        let target = Target {
            resource: Arc::new(memory.clone()),
            capability: Capability::TwoPhase { branches: 9 },
            assignments: Arc::new(Assignments::none(columns())),
            spec,
            change: None,
            dispatch: Dispatch::RoundRobin,
            is_created: false,
            evolved: None,
            writers,
        };
        Write {
            targets: vec![target],
            name: "landing".into(),
            statement: StatementId::of_operation("INSERT"),
            job,
            log: memory.decision_log().unwrap(),
            protocol: Protocol::OnePhase,
            checkpoints: Checkpoints::default(),
            flush_interval: Duration::from_millis(1),
            retry: Retry { max: 0, backoff: Duration::from_millis(1) },
            rejects: None,
            counts: Arc::default(),
        }
    }

    /// A stream that is read once.
    struct Once(Mutex<Option<BoxStream<'static, Result<Read>>>>);

    impl std::fmt::Debug for Once {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Once")
        }
    }

    impl Input for Once {
        fn is_unbounded(&self) -> bool {
            true
        }

        fn can_restart(&self) -> bool {
            false
        }

        fn fingerprint(&self) -> Result<Fingerprint> {
            Err(Error::new(ErrorKind::Unsupported, "a stream"))
        }

        fn read(&self, _: &Position) -> Result<BoxStream<'static, Result<Read>>> {
            self.0.lock().unwrap().take().ok_or_else(|| Error::internal("read twice"))
        }
    }

    fn once(input: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> Once {
        let read = |batch: Result<_>| batch.map(|batch| Read::Rows { split: 0, batch, boundary: Boundary::EveryRow });
        Once(Mutex::new(Some(input.map(read).boxed())))
    }

    /// Splits with these numbers of rows, which fail once at some row of the input.
    #[derive(Debug)]
    struct Splits {
        rows: Vec<i64>,
        /// Whether they can be resumed only after a batch.
        is_positioned: bool,
        fail_at: Mutex<Vec<i64>>,
    }

    impl Input for Splits {
        fn is_unbounded(&self) -> bool {
            false
        }

        fn can_restart(&self) -> bool {
            true
        }

        fn fingerprint(&self) -> Result<Fingerprint> {
            Ok(Fingerprint::new([("its pieces".to_owned(), format!("{:?}", self.rows))]))
        }

        fn read(&self, from: &Position) -> Result<BoxStream<'static, Result<Read>>> {
            let (mut reads, mut first) = (Vec::new(), 0);
            for (split, rows) in self.rows.iter().enumerate() {
                let skipped = match from.of(split) {
                    Progress::Rows(skipped) => skipped as i64,
                    Progress::Done => *rows,
                    Progress::At(place) => place.parse().unwrap(),
                };
                for row in (skipped..*rows).step_by(700) {
                    let ids = first + row..first + (row + 700).min(*rows);
                    if let Some(at) = self.fail_at.lock().unwrap().pop_if(|at| ids.contains(at)) {
                        reads.push(Err(Error::new(ErrorKind::Unavailable, format!("at {at}"))));
                        return Ok(stream::iter(reads).boxed());
                    }
                    let boundary = match self.is_positioned {
                        true => Boundary::At((row + 700).min(*rows).to_string()),
                        false => Boundary::EveryRow,
                    };
                    reads.push(Ok(Read::Rows { split, batch: crate::backend::conformance::rows(ids), boundary }));
                }
                reads.push(Ok(Read::End { split }));
                first += rows;
            }
            Ok(stream::iter(reads).boxed())
        }
    }

    async fn run_once(
        memory: &MemoryBackend,
        job: Option<&JobId>,
        input: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Result<WriteOutcome> {
        let write = write(memory, job.cloned(), WriterCount::UpTo(3));
        run(&TransactionManager::default(), &write, &once(input), &Interrupt::new()).await
    }

    fn batch(rows: i64) -> Result<RecordBatch> {
        let ids = Arc::new(Int64Array::from_iter_values(0..rows));
        let names = Arc::new(arrow::array::StringArray::new_null(rows as usize));
        Ok(RecordBatch::try_new(columns(), vec![ids, names]).unwrap())
    }

    #[tokio::test]
    async fn all_batches_land_or_none() {
        let memory = MemoryBackend::default();
        let good = stream::iter([batch(2), batch(0), batch(3)]);
        let landed = run_once(&memory, None, good).await.unwrap();
        assert_eq!((landed, memory.row_count()), (WriteOutcome::Rows(5), 5));

        let failing = stream::iter([batch(2), Err(Error::new(ErrorKind::Input, "the query failed"))]);
        let error = run_once(&memory, None, failing).await.unwrap_err();
        assert_eq!((error.kind(), memory.row_count()), (ErrorKind::Input, 5));
    }

    #[tokio::test]
    async fn many_rows_are_written_by_several_writers_and_all_of_them_land() {
        for (batches, branches) in [(4, 1), (40, 3)] {
            let memory = MemoryBackend::default();
            let input = stream::iter((0..batches).map(|_| batch(2000)));
            let landed = run_once(&memory, None, input).await.unwrap();
            assert_eq!((landed, memory.row_count()), (WriteOutcome::Rows(batches * 2000), batches as usize * 2000));
            assert_eq!(memory.commits(), branches, "branches");
            assert_eq!(memory.jobs().await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn a_finished_job_does_not_read_its_input() {
        let memory = MemoryBackend::default();
        let job = JobId::try_new("once").unwrap();
        let first = run_once(&memory, Some(&job), stream::iter([batch(2)])).await.unwrap();
        assert_eq!(first, WriteOutcome::Rows(2));
        let untouched = stream::poll_fn(|_| panic!("the input was read"));
        let WriteOutcome::AlreadyFinished(record) = run_once(&memory, Some(&job), untouched).await.unwrap() else {
            panic!("it ran twice")
        };
        assert_eq!((record.rows, memory.row_count()), (2, 2));
    }

    #[tokio::test]
    async fn an_interrupt_stops_a_stream_that_never_ends() {
        let memory = MemoryBackend::default();
        let interrupt = Interrupt::new();
        let endless = once(stream::once(async { batch(1) }).chain(stream::pending()));
        let stop = interrupt.clone();
        let (manager, write) = (TransactionManager::default(), write(&memory, None, WriterCount::Exactly(2)));
        let (ended, ()) = tokio::join!(run(&manager, &write, &endless, &interrupt), async move {
            tokio::task::yield_now().await;
            stop.stop();
        });
        assert_eq!(memory.jobs().await.unwrap(), [], "it left a record");
        assert_eq!((ended.unwrap_err().kind(), memory.row_count()), (ErrorKind::Interrupted, 0));
    }

    fn ids(memory: &MemoryBackend) -> Vec<i64> {
        let batches = memory.batches();
        let ids = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        ids
    }

    fn every(rows: u64) -> Checkpoints {
        Checkpoints { rows: Some(rows), ..Checkpoints::default() }
    }

    #[tokio::test]
    async fn a_job_goes_on_from_its_last_checkpoint() {
        for writers in [1, 3] {
            let memory = MemoryBackend::default();
            let input = Splits {
                is_positioned: false,
                rows: vec![5_000, 0, 1, 3_000, 7_000],
                fail_at: Mutex::new(vec![11_000, 4_900]),
            };
            let job = JobId::try_new("long").unwrap();
            let mut write = write(&memory, Some(job.clone()), WriterCount::Exactly(writers));
            write.checkpoints = every(1_000);
            let manager = TransactionManager::default();
            let error = run(&manager, &write, &input, &Interrupt::new()).await.unwrap_err();
            assert!(error.to_string().contains("committed rows"), "{error}");
            let first = memory.row_count();
            // Every full epoch before the failed batch is stored.
            assert!((4_000..4_900).contains(&first) && first % 1_000 == 0, "{first} rows");

            // The next failure is transient.
            write.retry.max = 1;
            let landed = run(&manager, &write, &input, &Interrupt::new()).await.unwrap();
            assert_eq!(landed, WriteOutcome::Rows(15_001 - first as u64));
            assert_eq!((write.counts.retries(), write.counts.resumed()), (1, first as u64));
            assert_eq!(ids(&memory), (0..15_001).collect::<Vec<_>>());
            let state = memory.decision_log().unwrap().read(&job).await.unwrap();
            let checkpoint = state.checkpoint().unwrap();
            assert_eq!((checkpoint.total(), checkpoint.positions.end), (15_001, true));
            let landed = run(&manager, &write, &input, &Interrupt::new()).await.unwrap();
            assert!(matches!(landed, WriteOutcome::AlreadyFinished(_)), "{landed:?}");
        }
    }

    #[tokio::test]
    async fn another_input_is_not_gone_on_with() {
        let memory = MemoryBackend::default();
        let mut write = write(&memory, Some(JobId::try_new("long").unwrap()), WriterCount::Exactly(1));
        write.checkpoints = every(100);
        let manager = TransactionManager::default();
        let input = Splits { is_positioned: false, rows: vec![1_000, 1_000], fail_at: Mutex::new(vec![1_500]) };
        run(&manager, &write, &input, &Interrupt::new()).await.unwrap_err();
        let other = Splits { is_positioned: false, rows: vec![1_001, 1_000], fail_at: Mutex::default() };
        let error = run(&manager, &write, &other, &Interrupt::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("its pieces has changed"), "{error}");
    }

    #[tokio::test]
    async fn a_write_without_a_job_goes_on_while_its_process_lives() {
        let memory = MemoryBackend::default();
        let mut write = write(&memory, None, WriterCount::Exactly(2));
        (write.checkpoints, write.retry.max) = (every(500), 2);
        let input =
            Splits { is_positioned: false, rows: vec![4_000, 4_000], fail_at: Mutex::new(vec![7_000, 2_000, 100]) };
        let landed = run(&TransactionManager::default(), &write, &input, &Interrupt::new()).await.unwrap();
        assert_eq!((landed, ids(&memory)), (WriteOutcome::Rows(8_000), (0..8_000).collect()));
        assert_eq!(write.counts.retries(), 3);
        assert_eq!(memory.jobs().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_can_be_gone_on_with_behind_a_batch_is_cut_there_without_a_job_too() {
        for job in [None, Some(JobId::try_new("positioned").unwrap())] {
            let memory = MemoryBackend::default();
            let mut write = write(&memory, job, WriterCount::Exactly(1));
            (write.checkpoints, write.retry.max) = (every(500), 2);
            let fail_at = Mutex::new(vec![7_000, 2_000, 100]);
            let input = Splits { is_positioned: true, rows: vec![4_000, 4_000], fail_at };
            let landed = run(&TransactionManager::default(), &write, &input, &Interrupt::new()).await.unwrap();
            assert_eq!((landed, ids(&memory)), (WriteOutcome::Rows(8_000), (0..8_000).collect::<Vec<_>>()));
        }
    }

    #[tokio::test]
    async fn an_epoch_without_rows_ends_a_job() {
        let memory = MemoryBackend::default();
        let mut write = write(&memory, Some(JobId::try_new("exact").unwrap()), WriterCount::Exactly(1));
        write.checkpoints = every(700);
        let input = Splits { is_positioned: false, rows: vec![1_400], fail_at: Mutex::default() };
        let landed = run(&TransactionManager::default(), &write, &input, &Interrupt::new()).await.unwrap();
        assert_eq!((landed, write.counts.epochs()), (WriteOutcome::Rows(1_400), 3));
        let WriteOutcome::AlreadyFinished(record) =
            run(&TransactionManager::default(), &write, &input, &Interrupt::new()).await.unwrap()
        else {
            panic!("it ran twice")
        };
        assert_eq!((record.rows, record.total()), (0, 1_400));
    }

    #[tokio::test]
    async fn a_stream_that_is_stopped_keeps_what_it_brought() {
        let memory = MemoryBackend::default();
        let interrupt = Interrupt::new();
        let mut write = write(&memory, None, WriterCount::Exactly(1));
        write.checkpoints.interval = Some(Duration::from_millis(20));
        let endless = once(stream::iter([batch(3), batch(4)]).chain(stream::pending()));
        let manager = TransactionManager::default();
        let (ended, ()) = tokio::join!(run(&manager, &write, &endless, &interrupt), async {
            while memory.row_count() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            interrupt.stop();
        });
        assert_eq!((ended.unwrap(), memory.row_count()), (WriteOutcome::Rows(7), 7));
    }
}
