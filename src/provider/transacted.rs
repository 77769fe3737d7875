//! Writes the rows of a statement of a transaction of several statements.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures::TryStreamExt;

use crate::backend::{OpenTransaction, WriteSpec};
use crate::error::{Error, Result};
use crate::pipeline::{Input, Interrupt, OpenMember, Position, Read, Write, interrupted, write_in};
use crate::provider::replay::Replay;
use crate::provider::scan::ScanExec;
use crate::provider::transaction::{OpenDatabases, lost};

impl OpenDatabases {
    /// Writes the rows of a statement; returns their number.
    pub(super) async fn write(&self, write: &Write, input: &Replay, interrupt: &Interrupt) -> Result<u64> {
        self.check()?;
        let written = tokio::select! {
            biased;
            () = interrupt.asked() => Err(interrupted(0)),
            written = self.write_all(write, input) => written,
        };
        match written {
            Ok(rows) => {
                self.rows.fetch_add(rows, Relaxed);
                Ok(rows)
            }
            Err(error) => {
                self.fail(&error).await;
                Err(error.with_context("the transaction is rolled back"))
            }
        }
    }

    async fn write_all(&self, write: &Write, input: &Replay) -> Result<u64> {
        check_options(write)?;
        check_distinct(write)?;
        let mut guards = Vec::new();
        for target in &write.targets {
            guards.push(self.member(target).await?);
        }
        for (target, member) in write.targets.iter().zip(&mut guards) {
            if let Some(change) = &target.change {
                let OpenMember { branch, protocol, .. } = member.as_mut().ok_or_else(lost)?;
                let spec = WriteSpec { protocol: *protocol, ..target.spec.clone() };
                branch.lock(&spec, change).await?;
            }
        }
        // While rows are written, the connections read no others.
        let mut leaves = Vec::new();
        for leaf in input.scans() {
            let Some(scan) = leaf.downcast_ref::<ScanExec>() else { continue };
            let location = scan.location();
            let of_target = write.targets.iter().position(|target| target.resource.location() == location);
            let spooled = match (of_target, self.slot(&location)) {
                (Some(index), _) => scan.spooled(branch(&mut guards[index])?, input.context()).await?,
                (None, Some(slot)) => scan.spooled(branch(&mut *slot.lock_owned().await)?, input.context()).await?,
                (None, None) => continue,
            };
            leaves.push((leaf, Arc::new(spooled) as _));
        }
        let input = input.with_leaves(leaves)?;
        let rows = input.read(&Position::default())?.try_filter_map(async |read| match read {
            Read::Rows { batch, .. } => Ok(Some(batch)),
            Read::End { .. } => Ok(None),
        });
        let open = guards.iter_mut().map(|member| member.take().ok_or_else(lost)).collect::<Result<_>>()?;
        let (open, rows) = write_in(write, open, rows).await?;
        for (member, open) in guards.iter_mut().zip(open) {
            **member = Some(open);
        }
        Ok(rows)
    }
}

fn branch(member: &mut Option<OpenMember>) -> Result<&mut dyn OpenTransaction> {
    Ok(member.as_mut().ok_or_else(lost)?.branch.as_mut())
}

/// Refuses two tables of one database, which would need its connection at the same time.
fn check_distinct(write: &Write) -> Result<()> {
    let locations: HashSet<_> = write.targets.iter().map(|target| target.resource.location()).collect();
    match locations.len() == write.targets.len() {
        true => Ok(()),
        false => Err(Error::config(
            "a statement of a transaction cannot write to several tables of one database: write to each in a separate \
             statement of the transaction",
        )),
    }
}

/// Refuses options that divide a statement into transactions, or decide it.
fn check_options(write: &Write) -> Result<()> {
    let option = match () {
        () if write.job.is_some() => "job",
        () if write.checkpoints.any() => "checkpoint.…",
        () if has_other_log(write) => "log",
        () if write.targets.iter().any(|target| target.spec.create.is_some() || target.is_created) => {
            return Err(Error::config("a transaction cannot create tables: create the table before BEGIN"));
        }
        () => return Ok(()),
    };
    Err(Error::config(format!(
        "the option '{option}' cannot be used in a transaction: remove it, or run the statement alone"
    )))
}

/// Whether the log is not the ledger of one of the databases.
fn has_other_log(write: &Write) -> bool {
    let ledgers: Vec<_> = write.targets.iter().filter_map(|target| target.resource.decision_log()).collect();
    !ledgers.is_empty() && ledgers.iter().all(|ledger| ledger.url() != write.log.url())
}
