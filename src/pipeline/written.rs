//! An epoch whose rows are written, and its commit.

use std::sync::Arc;

use super::epoch::Watch;
use super::rejects::Rejects;
use crate::error::Error;
use crate::manager::{EpochExtent, Member, Transaction};

/// An epoch whose rows are written, but not committed.
pub(super) struct Written {
    pub(super) watch: Watch,
    pub(super) transaction: Transaction,
    pub(super) rejects: Option<Arc<Rejects>>,
    pub(super) rows: u64,
    pub(super) members: Vec<Member>,
}

/// An epoch that was rolled back.
pub(super) enum Failed {
    Writing(Error),
    Committing(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Writing(error)
    }
}

impl Written {
    /// Stores its rejected rows, and commits. Returns the number of rejected rows so far.
    pub(super) async fn commit(self, mut extent: EpochExtent) -> Result<u64, Failed> {
        let Self { watch, transaction, rejects, mut members, .. } = self;
        if let Some(rejects) = rejects {
            (members, extent.rejected) = rejects.store(members, &extent).await?;
        }
        let rejected = extent.rejected;
        let committed = transaction.commit(members, extent).await;
        watch.ended(&committed);
        committed.map(|()| rejected).map_err(Failed::Committing)
    }
}
