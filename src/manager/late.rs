//! Branches whose PREPARE was not answered: they can appear after their transaction has ended, and would hold locks.

use std::time::Duration;

use log::warn;
use tokio::time::timeout;

use super::recovery::recover_transaction;
use super::retry::RetryPolicy;
use super::spec::JobSpec;
use crate::error::Result;
use crate::txn::{Gtrid, JobId};

/// How long to look for them.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the branches of lost connections are looked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The statement goes on, and looks again.
    Expected,
    /// The statement has ended: this is the last look.
    Over,
}

/// A transaction with such branches.
#[derive(Debug)]
pub(super) struct LateTransaction {
    pub(super) job: JobId,
    pub(super) gtrid: Gtrid,
    pub(super) job_spec: JobSpec,
    /// The commands that recover the branches.
    pub(super) commands: String,
}

impl LateTransaction {
    /// Completes the branches that have appeared, as the log says.
    pub(super) async fn complete(&self, late: Late) {
        // If this fails, recovery completes them.
        let _ = timeout(LOOK_TIMEOUT, self.recover()).await;
        if late == Late::Over {
            warn!(
                "a connection was lost while a branch was being prepared; if the branch appears later, it holds locks until you \
                 run: {}",
                self.commands
            );
        }
    }

    async fn recover(&self) -> Result<()> {
        let JobSpec { log, resources, .. } = &self.job_spec;
        for resource in resources {
            let retry = RetryPolicy::default().short();
            recover_transaction(resource.as_ref(), log.as_ref(), &self.job, self.gtrid, retry).await?;
        }
        Ok(())
    }
}
