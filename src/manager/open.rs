//! Opens a job.

use dashmap::mapref::entry::Entry;
use uuid::Uuid;

use super::live::TransactionManager;
use super::run::{Opened, Run};
use super::spec::JobSpec;
use crate::error::{Error, Result};
use crate::txn::{JobId, JobNumber, State};

impl TransactionManager {
    /// Opens a job. Returns the last record of a finished job. Otherwise claims the job by deciding ABORT for its next
    /// epoch, which fences every other run; the latest run to claim wins. Completes branches that earlier runs left
    /// prepared, as the log says. [`Transaction::announce`](crate::manager::Transaction::announce) claims a statement
    /// without a job, if necessary.
    ///
    /// # Errors
    /// `Config` if the job wrote another table or ran another statement before, or is running in this process. Any
    /// error of the log, or of a database with prepared branches.
    pub async fn open(&self, job_spec: JobSpec) -> Result<Opened> {
        let run = Uuid::new_v4();
        let job = job_spec.job.clone().unwrap_or_else(|| JobId::of_statement(run));
        let key = format!("{job} in {}", job_spec.log.url());
        match self.live.entry(key.clone()) {
            Entry::Occupied(_) => {
                return Err(Error::config(format!(
                    "job '{job}' is running in another statement of this process: wait until that statement ends, or \
                     use another job name"
                )));
            }
            Entry::Vacant(free) => drop(free.insert(State::Active)),
        }
        Run::open(self.clone(), job_spec, job, (JobNumber::draw(), run), key).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::conformance::columns;
    use crate::backend::memory::MemoryBackend;
    use crate::backend::{Backend, DecisionLog};
    use crate::backend::{Protocol, WriteSpec};
    use crate::error::ErrorKind;
    use crate::manager::{EpochExtent, Member, Transaction};
    use crate::txn::Epoch;

    fn spec(protocol: Protocol) -> WriteSpec {
        WriteSpec { protocol, ..WriteSpec::new("t", columns()) }
    }

    async fn open(rms: &[&MemoryBackend], table: &str) -> Result<Opened> {
        let resources: Vec<Arc<dyn Backend>> =
            rms.iter().map(|rm| Arc::new((*rm).clone()) as Arc<dyn Backend>).collect();
        let job = Some(JobId::try_new("j").unwrap());
        let job_spec = JobSpec { log: rms[0].decision_log().unwrap(), job, subject: table.into(), resources };
        TransactionManager::default().open(job_spec).await
    }

    async fn begin(rms: &[&MemoryBackend]) -> Transaction {
        match open(rms, "t").await.unwrap() {
            Opened::Run(mut run) => run.begin(),
            Opened::Finished(record) => panic!("finished: {record:?}"),
        }
    }

    /// The extent of a job's whole input.
    fn rows(rows: u64) -> EpochExtent {
        EpochExtent { rows, end: true, ..EpochExtent::default() }
    }

    async fn member(run: &Transaction, rm: &MemoryBackend, bqual: u64, protocol: Protocol) -> Member {
        let xid = run.xid(bqual);
        let mut branch = rm.start(&xid, &spec(protocol)).await.unwrap();
        branch.write(crate::backend::conformance::rows(0..3)).await.unwrap();
        Member { resource: Arc::new(rm.clone()), xid, protocol, branch }
    }

    #[tokio::test]
    async fn a_job_is_claimed_before_it_writes_and_finished_once() {
        let rm = MemoryBackend::default();
        let first = begin(&[&rm]).await;
        let branch = member(&first, &rm, 0, Protocol::OnePhase).await;
        first.commit(vec![branch], rows(7)).await.unwrap();
        let Opened::Finished(record) = open(&[&rm], "t").await.unwrap() else { panic!("not finished") };
        assert_eq!((record.rows, record.epoch), (7, Epoch(2)), "epoch 1 is the claim");
    }

    #[tokio::test]
    async fn a_zombie_run_cannot_commit() {
        for protocol in [Protocol::OnePhase, Protocol::TwoPhase] {
            let rm = MemoryBackend::default();
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
        let rm = MemoryBackend::default();
        let first = begin(&[&rm]).await;
        let branch = member(&first, &rm, 0, Protocol::OnePhase).await;
        first.commit(vec![branch], rows(0)).await.unwrap();
        assert_eq!(open(&[&rm], "u").await.unwrap_err().kind(), ErrorKind::Config);
    }

    #[tokio::test]
    async fn several_branches_and_a_last_agent_are_committed_together() {
        let (one, two, agent) = (MemoryBackend::default(), MemoryBackend::default(), MemoryBackend::one_phase());
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
        let (one, two) = (MemoryBackend::default(), MemoryBackend::default());
        let resources: Vec<Arc<dyn Backend>> = vec![Arc::new(one.clone()), Arc::new(two.clone())];
        let job_spec = JobSpec { log: one.decision_log().unwrap(), job: None, subject: "t".into(), resources };
        let Opened::Run(mut run) = TransactionManager::default().open(job_spec).await.unwrap() else { panic!() };
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
        let rm = MemoryBackend::default();
        let manager = TransactionManager::default();
        let job_spec = JobSpec {
            log: rm.decision_log().unwrap(),
            job: Some(JobId::try_new("j").unwrap()),
            subject: "t".into(),
            resources: vec![],
        };
        let first = manager.open(job_spec.clone()).await.unwrap();
        let error = manager.open(job_spec.clone()).await.unwrap_err();
        assert!(error.to_string().contains("another statement of this process"), "{error}");
        drop(first);
        assert!(manager.open(job_spec).await.is_ok());
        assert_eq!(manager.live(), []);
    }
}
