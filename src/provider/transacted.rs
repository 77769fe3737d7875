//! Writes the rows of a statement of a transaction of several statements.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{DmlStatement, LogicalPlan};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;

use crate::backend::{OpenTransaction, Rescue, WriteSpec};
use crate::error::{Error, Result};
use crate::pipeline::{Input, Interrupt, OpenMember, Position, Read, Write, interrupted, write_in};
use crate::provider::fingerprint::in_transaction;
use crate::provider::replay::Replay;
use crate::provider::scan::ScanExec;
use crate::provider::transaction::{OpenDatabases, lost};
use crate::txn::StatementId;

impl OpenDatabases {
    /// Writes the rows of a statement; returns their number. A statement of a job has an identity.
    pub(super) async fn write(
        &self,
        write: &Write,
        input: &Replay,
        interrupt: &Interrupt,
        identity: Option<Arc<StatementId>>,
    ) -> Result<u64> {
        self.check()?;
        let written = tokio::select! {
            biased;
            () = interrupt.asked() => Err(interrupted(0)),
            written = self.write_once(write, input, identity) => written,
        };
        match written {
            Ok(rows) => {
                self.rows.fetch_add(rows, Relaxed);
                Ok(rows)
            }
            Err(error) => {
                let databases = self.in_order().len();
                self.fail(&error).await;
                Err(match self.can_return() {
                    true => error.with_context(
                        "the statement was rolled back; return to a savepoint with ROLLBACK TO, or end the transaction \
                         with ROLLBACK",
                    ),
                    false => error.of_transaction(databases).with_context("the transaction was rolled back"),
                })
            }
        }
    }

    /// Writes nothing if a job was committed before.
    async fn write_once(&self, write: &Write, input: &Replay, identity: Option<Arc<StatementId>>) -> Result<u64> {
        check_options(write)?;
        check_distinct(write)?;
        let identity = identity.map_or_else(|| write.statement.clone(), |identity| identity.as_ref().clone());
        let targets: Vec<_> = write.targets.iter().map(|target| &target.resource).collect();
        match self.add_to_job(&write.name, identity, &targets).await? {
            true => self.write_all(write, input).await,
            false => Ok(0),
        }
    }

    async fn write_all(&self, write: &Write, input: &Replay) -> Result<u64> {
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
        let has_savepoints = self.has_savepoints();
        let (mut open, mut rescued) = (Vec::new(), Vec::new());
        for member in &mut guards {
            let member = member.take().ok_or_else(lost)?;
            let (rescue, receiver) = has_savepoints.then(Rescue::new).unzip();
            rescued.push((member.xid, member.protocol, receiver));
            open.push((member, rescue));
        }
        match write_in(write, open, rows).await {
            Ok((open, rows)) => {
                for (member, open) in guards.iter_mut().zip(open) {
                    **member = Some(open);
                }
                Ok(rows)
            }
            Err(error) => {
                for (member, (xid, protocol, receiver)) in guards.iter_mut().zip(rescued) {
                    let branch = receiver.and_then(|mut receiver| receiver.try_recv().ok());
                    **member = branch.map(|branch| OpenMember { xid, protocol, branch });
                }
                Err(error)
            }
        }
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
            "a statement of a transaction cannot write to several tables of one database: write to each table in a \
             separate statement of the transaction",
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
        () if write.targets.iter().any(|target| target.evolved.is_some()) => {
            return Err(Error::config("a transaction cannot alter tables: add the columns before BEGIN"));
        }
        () => return Ok(()),
    };
    Err(Error::config(format!(
        "the option '{option}' cannot be used in a transaction: remove the option, or run the statement outside BEGIN \
         and COMMIT"
    )))
}

/// Whether the log is not the ledger of one of the databases.
fn has_other_log(write: &Write) -> bool {
    let ledgers: Vec<_> = write.targets.iter().filter_map(|target| target.resource.decision_log()).collect();
    !ledgers.is_empty() && ledgers.iter().all(|ledger| ledger.url() != write.log.url())
}

/// Gives a statement that writes its identity, if it belongs to a transaction that is a job.
pub fn identified(frame: DataFrame) -> DfResult<DataFrame> {
    let (mut state, plan) = frame.into_parts();
    let is_of_job = state.config().get_extension::<OpenDatabases>().is_some_and(|open| open.is_job());
    if let (true, Some(statement)) = (is_of_job, written(&plan)) {
        let identity = in_transaction(statement)?;
        state.config_mut().set_extension(Arc::new(identity));
    }
    Ok(DataFrame::new(state, plan))
}

fn written(plan: &LogicalPlan) -> Option<&DmlStatement> {
    match plan {
        LogicalPlan::Dml(statement) => Some(statement),
        LogicalPlan::Analyze(analyze) => written(&analyze.input),
        _ => None,
    }
}
