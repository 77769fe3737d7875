//! Writes the rows of one statement of a transaction of several statements.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::Stream;
use futures::future::join_all;

use super::diff::{Differ, Policy};
use super::part::write_all;
use super::write::Write;
use crate::backend::{OpenTransaction, Protocol, Rescue, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::manager::Member;
use crate::txn::Xid;

/// An open branch of a transaction of several statements.
pub struct OpenMember {
    /// Its name.
    pub xid: Xid,
    /// The protocol with which it was started.
    pub protocol: Protocol,
    /// The branch.
    pub branch: Box<dyn OpenTransaction>,
}

impl fmt::Debug for OpenMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenMember({})", self.xid)
    }
}

/// Writes the rows of a statement with one branch for each of its tables, and returns the branches, which stay open, and the
/// number of rows.
///
/// # Errors
/// The first error of the input or of a database. Each of these branches was rolled back, or handed over to its rescue.
///
/// # Cancel safety
/// Dropping the future rolls the branches back.
pub async fn write_in(
    write: &Write,
    open: Vec<(OpenMember, Option<Rescue>)>,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
) -> Result<(Vec<OpenMember>, u64)> {
    if write.rejects.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the option 'reject.max' does not apply in a transaction of several statements: run the statement outside BEGIN and \
             COMMIT, or register the table again without the option",
        ));
    }
    let mut members: Vec<(usize, Member, Differ)> = Vec::new();
    let mut open = open.into_iter();
    for (group, target) in write.targets.iter().enumerate() {
        let Some((OpenMember { xid, protocol, branch }, rescue)) = open.next() else { break };
        let spec = WriteSpec { protocol, ..target.spec.clone() };
        let differ = Differ::new(Policy::of(&spec).map(Arc::new), Arc::clone(&spec.stats));
        let branch = match branch.start(&spec, target.change.as_ref(), rescue).await {
            Ok(branch) => branch,
            Err(error) => {
                give_up(members, open).await;
                return Err(error);
            }
        };
        members.push((group, Member { resource: Arc::clone(&target.resource), xid, protocol, branch }, differ));
    }
    let (members, rows) = write_all(write, members, input).await?;
    let ended = members.into_iter().map(async |Member { xid, protocol, branch, .. }| {
        Ok(OpenMember { xid, protocol, branch: branch.end_statement().await? })
    });
    let open = join_all(ended).await.into_iter().collect::<Result<_>>()?;
    Ok((open, rows))
}

/// Ends the branches of a statement of which one could not start.
async fn give_up(
    started: Vec<(usize, Member, Differ)>,
    waiting: impl Iterator<Item = (OpenMember, Option<Rescue>)> + Send,
) {
    for (_, member, _) in started {
        // The error of the branch that failed is reported.
        let _ = member.branch.rollback().await;
    }
    for (OpenMember { branch, .. }, rescue) in waiting {
        if let Some(rescue) = rescue {
            rescue.rescue(branch);
        }
    }
}
