//! Writes the rows of one statement of a transaction of several statements.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::Stream;
use futures::future::join_all;

use super::diff::{Differ, Policy};
use super::part::write_all;
use super::write::Write;
use crate::backend::{OpenTransaction, Protocol, WriteSpec};
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
/// The first error of the input or of a database. All of these branches were rolled back.
///
/// # Cancel safety
/// Dropping the future rolls the branches back.
pub async fn write_in(
    write: &Write,
    open: Vec<OpenMember>,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
) -> Result<(Vec<OpenMember>, u64)> {
    if write.rejects.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the option 'reject.max' does not apply in a transaction of several statements: run the statement outside BEGIN and \
             COMMIT, or register the table again without the option",
        ));
    }
    let mut members = Vec::new();
    for (group, (target, OpenMember { xid, protocol, branch })) in write.targets.iter().zip(open).enumerate() {
        let spec = WriteSpec { protocol, ..target.spec.clone() };
        let differ = Differ::new(Policy::of(&spec).map(Arc::new), Arc::clone(&spec.stats));
        let branch = branch.start(&spec, target.change.as_ref()).await?;
        members.push((group, Member { resource: Arc::clone(&target.resource), xid, protocol, branch }, differ));
    }
    let (members, rows) = write_all(write, members, input).await?;
    let ended = members.into_iter().map(async |Member { xid, protocol, branch, .. }| {
        Ok(OpenMember { xid, protocol, branch: branch.end_statement().await? })
    });
    let open = join_all(ended).await.into_iter().collect::<Result<_>>()?;
    Ok((open, rows))
}
