//! The number of writers, and their branches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use log::info;
use tokio::time::{Instant, timeout_at};

use super::input::Read;
use super::prefetch::Reader;
use super::write::{Write, WriterCount};
use crate::backend::{Protocol, WriteSpec};
use crate::buffer::Reservation;
use crate::columnar::batch_bytes;
use crate::error::Result;
use crate::manager::{Member, Transaction};

/// The number of rows that are read before more than one writer is started. For fewer rows, starting them costs more
/// than it gains.
const MANY_ROWS: usize = 65_536;

/// Their maximum size in bytes.
const MANY_BYTES: u64 = 16 * 1024 * 1024;

/// The maximum time for these rows, from the first batch. One writer is enough for a slower stream.
const MANY_WITHIN: Duration = Duration::from_millis(250);

/// Reads the first rows of a stream if the number of writers depends on them. Returns whether more than one writer is
/// worthwhile.
pub(super) async fn take_head(
    write: &Write,
    input: &mut Reader,
    head: &mut VecDeque<(Read, Reservation)>,
) -> Result<bool> {
    if !write.targets.iter().any(|target| matches!(target.writers, WriterCount::UpTo(2..))) {
        return Ok(false);
    }
    let memory = write.memory();
    // The memory of queued batches, and of the writers, is added to it.
    let most = MANY_BYTES.min(memory.limit() as u64 / 4);
    let (mut rows, mut bytes, mut until) = (0, 0, None);
    while rows < MANY_ROWS && bytes < most {
        let next = match until {
            None => input.next().await,
            Some(until) => match timeout_at(until, input.next()).await {
                Ok(next) => next,
                Err(_) => return Ok(false),
            },
        };
        let Some(read) = next.transpose()? else { return Ok(false) };
        let mut held = 0;
        if let Read::Rows { batch, .. } = &read {
            rows += batch.num_rows();
            held = batch_bytes(batch);
            bytes += held;
            until.get_or_insert_with(|| Instant::now() + MANY_WITHIN);
        }
        let reservation = memory.reserve_now(usize::try_from(held).unwrap_or(usize::MAX));
        head.push_back((read, reservation));
    }
    Ok(true)
}

/// Starts the branches. Each has the number of its target.
pub(super) async fn start(write: &Write, transaction: &Transaction, is_many: bool) -> Result<Vec<(usize, Member)>> {
    match branches(write, transaction, is_many).await {
        // Several writers need a ledger and possibly a staging table. The user did not request several, and one writer
        // needs neither.
        Err(error) if is_many && write.protocol == Protocol::OnePhase && write.targets.len() == 1 => {
            let one = branches(write, transaction, false).await?;
            info!("table {} is written by one writer: {error}", write.name);
            Ok(one)
        }
        started => started,
    }
}

async fn branches(write: &Write, transaction: &Transaction, is_many: bool) -> Result<Vec<(usize, Member)>> {
    let count = |writers| match writers {
        WriterCount::Exactly(writers) => writers,
        WriterCount::UpTo(writers) if is_many => writers,
        WriterCount::UpTo(_) => 1,
    };
    let numbered = write.targets.iter().enumerate();
    let targets: Vec<_> =
        numbered.flat_map(|numbered| std::iter::repeat_n(numbered, count(numbered.1.writers).into())).collect();
    let has_several = targets.len() > 1 || write.protocol == Protocol::TwoPhase;
    let started = (0u64..).zip(targets).map(async |(bqual, (number, target))| {
        let protocol = match target.capability {
            capability if capability.prepares() && has_several => Protocol::TwoPhase,
            _ => Protocol::OnePhase,
        };
        let (xid, spec) = (transaction.xid(bqual), WriteSpec { protocol, ..target.spec.clone() });
        let branch = match &target.change {
            Some(change) => target.resource.start_change(&xid, &spec, change).await?,
            None => target.resource.start(&xid, &spec).await?,
        };
        Ok((number, Member { resource: Arc::clone(&target.resource), xid, protocol, branch }))
    });
    let announce = async { if has_several { transaction.announce().await } else { Ok(()) } };
    let has_last_agent = write.targets.iter().any(|target| !target.capability.prepares());
    let (announced, started) = match has_last_agent {
        // Its ledger cannot be written while its branch is open.
        true => {
            announce.await?;
            (Ok(()), join_all(started).await)
        }
        false => tokio::join!(announce, join_all(started)),
    };
    let (mut members, mut failed) = (Vec::new(), announced.err());
    for member in started {
        match member {
            Ok(member) => members.push(member),
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    match failed {
        None => Ok(members),
        Some(error) => {
            join_all(members.into_iter().map(|(_, member)| member.branch.rollback())).await;
            Err(error)
        }
    }
}
