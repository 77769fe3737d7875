//! The transaction manager: what is live in this process, and how long to wait for what must not fail.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::xa::{DecisionLog, DecisionRecord, JobId, ResourceManager, Run, State, Subject, Told, WriteStats};

/// What opening a job found.
#[derive(Debug)]
pub enum Opened {
    /// The job was finished before; this is its last record.
    Finished(DecisionRecord),
    /// The job is this run's to write.
    Run(Run),
}

/// What a job is in its log, and which databases its branches can be in.
#[derive(Debug, Clone)]
pub struct Undertaking {
    /// Where it is decided.
    pub log: Arc<dyn DecisionLog>,
    /// Its name; without one, it is remembered only until it is complete.
    pub job: Option<JobId>,
    /// What it writes.
    pub subject: Subject,
    /// The databases.
    pub resources: Vec<Arc<dyn ResourceManager>>,
}

/// Drives the runs of one process; clones share what is live.
#[derive(Debug, Clone, Default)]
pub struct TransactionManager {
    live: Arc<DashMap<String, State>>,
    /// Jobs whose last commit was not answered, and who counts them.
    doubts: Arc<DashMap<JobId, Vec<Arc<WriteStats>>>>,
    patience: Patience,
}

/// No new try is made after this time.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to try again what must not fail: the log's answer, and the completion of a decided branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(ExponentialBuilder);

impl Default for Patience {
    /// From 50 ms to 2 s, for about 20 s beside what the tries themselves take.
    fn default() -> Self {
        let longest = Duration::from_secs(2);
        Self(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(50))
                .with_max_delay(longest)
                .with_max_times(14),
        )
    }
}

impl Patience {
    /// One for what can as well be done later: some two seconds.
    pub(super) fn short(self) -> Self {
        Self(self.0.with_max_times(5))
    }

    /// Does it again until it succeeds, or fails in a way that time does not heal.
    pub(super) async fn with<T, F: Future<Output = Result<T>>>(self, act: impl FnMut() -> F) -> Result<T> {
        // A single try can take long as well.
        let until = Instant::now() + LONGEST;
        let may_heal = |error: &Error| {
            (error.kind().is_transient() || error.kind() == ErrorKind::InDoubt) && Instant::now() < until
        };
        act.retry(self.0.build()).when(may_heal).await
    }
}

impl TransactionManager {
    /// Opens a job: says that it is finished, or claims it by deciding ABORT for its next epoch, which fences every
    /// other run of it. The latest run to claim wins. Branches that earlier runs left prepared are ended as the log
    /// says. A write without a job is claimed by [`Transaction::announce`](crate::xa::Transaction::announce), where it is
    /// needed.
    ///
    /// # Errors
    /// `Config` when the job wrote another table before, or ran another statement, or is being written in this process; any error of the log,
    /// and of a database that has branches left.
    pub async fn open(&self, undertaking: Undertaking) -> Result<Opened> {
        let run = Uuid::new_v4();
        let job = undertaking.job.clone().unwrap_or_else(|| JobId::of_statement(run));
        let key = format!("{job} in {}", undertaking.log.url());
        match self.live.entry(key.clone()) {
            Entry::Occupied(_) => {
                return Err(Error::config(format!(
                    "job '{job}' is being written by another statement of this process: wait for its end, or give \
                     this one a job of its own"
                )));
            }
            Entry::Vacant(free) => drop(free.insert(State::Active)),
        }
        Run::open(self.clone(), undertaking, job, run, key).await
    }

    /// What is being written now: job and log, and where it stands.
    pub fn live(&self) -> Vec<(String, State)> {
        self.live.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    /// Notes that a job's last commit was not answered.
    pub(crate) fn doubt(&self, job: &JobId, stats: Vec<Arc<WriteStats>>) {
        if let Entry::Vacant(free) = self.doubts.entry(job.clone()) {
            stats.iter().for_each(|stats| stats.tell(Told::InDoubt));
            free.insert(stats);
        }
    }

    /// Notes that what became of a job is known.
    pub(crate) fn settle(&self, job: &JobId) {
        if let Some((_, stats)) = self.doubts.remove(job) {
            stats.iter().for_each(|stats| stats.tell(Told::Settled));
        }
    }

    pub(super) fn note(&self, key: &str, state: State) {
        self.live.insert(key.to_owned(), state);
    }

    pub(super) fn ended(&self, key: &str) {
        self.live.remove(key);
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::xa::conformance::columns;
    use crate::xa::memory::MemoryResource;
    use crate::xa::{Covered, Epoch, Member, Protocol, Transaction, WriteSpec};

    fn spec(protocol: Protocol) -> WriteSpec {
        WriteSpec { protocol, ..WriteSpec::new("t", columns()) }
    }

    async fn open(rms: &[&MemoryResource], table: &str) -> Result<Opened> {
        let resources: Vec<Arc<dyn ResourceManager>> =
            rms.iter().map(|rm| Arc::new((*rm).clone()) as Arc<dyn ResourceManager>).collect();
        let job = Some(JobId::try_new("j").unwrap());
        let undertaking = Undertaking { log: rms[0].decision_log(), job, subject: table.into(), resources };
        TransactionManager::default().open(undertaking).await
    }

    async fn begin(rms: &[&MemoryResource]) -> Transaction {
        match open(rms, "t").await.unwrap() {
            Opened::Run(mut run) => run.begin(),
            Opened::Finished(record) => panic!("finished: {record:?}"),
        }
    }

    /// The whole input of a job.
    fn rows(rows: u64) -> Covered {
        Covered { rows, end: true, ..Covered::default() }
    }

    async fn member(run: &Transaction, rm: &MemoryResource, bqual: u16, protocol: Protocol) -> Member {
        let xid = run.xid(bqual);
        let mut branch = rm.start(&xid, &spec(protocol)).await.unwrap();
        branch.write(crate::xa::conformance::rows(0..3)).await.unwrap();
        Member { resource: Arc::new(rm.clone()), xid, protocol, branch }
    }

    #[tokio::test]
    async fn a_job_is_claimed_before_it_writes_and_finished_once() {
        let rm = MemoryResource::default();
        let first = begin(&[&rm]).await;
        let branch = member(&first, &rm, 0, Protocol::OnePhase).await;
        first.commit(vec![branch], rows(7)).await.unwrap();
        let Opened::Finished(record) = open(&[&rm], "t").await.unwrap() else { panic!("not finished") };
        assert_eq!((record.rows, record.epoch), (7, Epoch(2)), "epoch 1 is the claim");
    }

    #[tokio::test]
    async fn a_zombie_run_cannot_commit() {
        for protocol in [Protocol::OnePhase, Protocol::TwoPhase] {
            let rm = MemoryResource::default();
            let zombie = begin(&[&rm]).await;
            let zombie_branch = member(&zombie, &rm, 0, protocol).await;
            let next = begin(&[&rm]).await;
            let error = zombie.commit(vec![zombie_branch], rows(1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Fenced, "{protocol:?}");
            assert_eq!(rm.in_doubt(None).await.unwrap(), []);
            let branch = member(&next, &rm, 0, protocol).await;
            next.commit(vec![branch], rows(1)).await.unwrap();
            assert_eq!(rm.row_count(), 3);
        }
    }

    #[tokio::test]
    async fn a_job_keeps_to_its_table() {
        let rm = MemoryResource::default();
        let first = begin(&[&rm]).await;
        let branch = member(&first, &rm, 0, Protocol::OnePhase).await;
        first.commit(vec![branch], rows(0)).await.unwrap();
        assert_eq!(open(&[&rm], "u").await.unwrap_err().kind(), ErrorKind::Config);
    }

    #[tokio::test]
    async fn several_branches_and_a_last_agent_are_committed_together() {
        let (one, two, agent) = (MemoryResource::default(), MemoryResource::default(), MemoryResource::one_phase());
        let run = begin(&[&agent, &one, &two]).await;
        let members = vec![
            member(&run, &one, 0, Protocol::TwoPhase).await,
            member(&run, &agent, 1, Protocol::OnePhase).await,
            member(&run, &two, 2, Protocol::TwoPhase).await,
        ];
        run.commit(members, rows(3)).await.unwrap();
        assert_eq!([one.row_count(), two.row_count(), agent.row_count()], [3; 3]);
    }

    #[tokio::test]
    async fn a_write_without_a_job_leaves_no_record() {
        let (one, two) = (MemoryResource::default(), MemoryResource::default());
        let resources: Vec<Arc<dyn ResourceManager>> = vec![Arc::new(one.clone()), Arc::new(two.clone())];
        let undertaking = Undertaking { log: one.decision_log(), job: None, subject: "t".into(), resources };
        let Opened::Run(mut run) = TransactionManager::default().open(undertaking).await.unwrap() else { panic!() };
        let run = run.begin();
        run.announce().await.unwrap();
        assert_eq!(one.jobs().await.unwrap().len(), 1);
        let members =
            vec![member(&run, &one, 0, Protocol::TwoPhase).await, member(&run, &two, 1, Protocol::TwoPhase).await];
        run.commit(members, rows(3)).await.unwrap();
        assert_eq!([one.row_count(), two.row_count()], [3; 2]);
        assert_eq!(one.jobs().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_job_is_written_by_one_statement_of_a_process_at_a_time() {
        let rm = MemoryResource::default();
        let manager = TransactionManager::default();
        let undertaking = Undertaking {
            log: rm.decision_log(),
            job: Some(JobId::try_new("j").unwrap()),
            subject: "t".into(),
            resources: vec![],
        };
        let first = manager.open(undertaking.clone()).await.unwrap();
        let error = manager.open(undertaking.clone()).await.unwrap_err();
        assert!(error.to_string().contains("another statement of this process"), "{error}");
        drop(first);
        assert!(manager.open(undertaking).await.is_ok());
        assert_eq!(manager.live(), []);
    }
}
