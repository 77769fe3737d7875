//! Sends rows as the file of a LOAD DATA LOCAL while the statement runs.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use mysql_async::prelude::Queryable;

use super::database::{Connection, MySql};
use super::statements::PIECE_BYTES;
use crate::buffer::{Limits, Receiver, Sender, Weight, buffer};
use crate::error::Result;
use crate::sql::{AnswerTimeouts, Buffer, EncodedChunk, FreeList};

/// A buffer that is being sent to the server, and then reused.
struct Lent {
    buffer: Option<Buffer>,
    back: FreeList,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().map(AsRef::as_ref).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // If the list is full, the buffer is dropped.
            let _ = self.back.push(buffer);
        }
    }
}

/// The amount of data that was sent.
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) bytes: usize,
    /// Time without a chunk to send.
    pub(super) waited: Duration,
}

/// The end of a LOAD DATA.
pub(super) struct Loaded {
    /// The outer error means that the server has stalled.
    pub(super) done: Result<mysql_async::Result<()>>,
    pub(super) sent: Sent,
    /// The first chunk of the next statement.
    pub(super) next: Option<EncodedChunk>,
}

/// Where the chunks come from, and where their buffers go.
pub(super) struct Source<'a> {
    pub(super) chunks: &'a mut Receiver<EncodedChunk>,
    pub(super) free_list: &'a FreeList,
    pub(super) abandoned: &'a AtomicBool,
    /// Bytes of the first chunk that are not sent.
    pub(super) skip: usize,
    /// The size of a file after which no other chunk is added to it.
    pub(super) file_bytes: usize,
}

/// Runs a LOAD DATA whose file is the chunks, up to a size.
pub(super) async fn load(
    database: &MySql,
    connection: &mut Connection,
    statement: &str,
    first: EncodedChunk,
    source: Source<'_>,
) -> Loaded {
    let connector = database.pool.connector();
    let mut sent = Sent { rows: first.rows, bytes: first.bytes().len(), waited: Duration::ZERO };
    let (file, parts) = buffer::<Bytes>(Limits::items(1));
    let packet_bytes = PIECE_BYTES.min(connection.server.max_allowed_packet / 2);
    let parts = stream::unfold(parts, async |mut parts| Some((Ok(parts.recv().await?), parts)));
    connection.conn.set_infile_handler(async move { Ok(parts.boxed()) });
    let (id, conn) = (connection.conn.id(), &mut connection.conn);
    let load = async {
        let loaded = conn.query_drop(statement).await;
        // If the server refused the statement, it did not read the file: the handler must not wait for the next one.
        conn.set_infile_handler(async { Ok(stream::empty().boxed()) });
        loaded
    };
    let (done, next) = {
        let fill = fill(&connector.timeouts, file, packet_bytes, first, source, &mut sent);
        let (mut load, mut fill) = (pin!(load), pin!(fill));
        tokio::select! {
            biased;
            filled = &mut fill => match filled {
                Ok(next) => (connector.timeouts.while_working(STEP, || connector.works(id), load).await, next),
                Err(stalled) => (Err(stalled), None),
            },
            // It ended before its file: it failed.
            loaded = &mut load => match loaded {
                Ok(()) => match fill.await {
                    Ok(next) => (Ok(Ok(())), next),
                    Err(stalled) => (Err(stalled), None),
                },
                Err(error) => (Ok(Err(error)), None),
            },
        }
    };
    Loaded { done, sent, next }
}

/// Sends the chunks of one statement; returns the first chunk of the next one.
async fn fill(
    timeouts: &AnswerTimeouts,
    mut file: Sender<Bytes>,
    packet_bytes: usize,
    first: EncodedChunk,
    source: Source<'_>,
    sent: &mut Sent,
) -> Result<Option<EncodedChunk>> {
    let (mut chunk, mut skip) = (first, source.skip);
    loop {
        let mut lent = Bytes::from_owner(Lent { buffer: Some(chunk.buffer), back: Arc::clone(source.free_list) });
        let _ = lent.split_to(skip.min(lent.len()));
        skip = 0;
        while !lent.is_empty() {
            let packet = lent.split_to(lent.len().min(packet_bytes));
            // The receiver is gone if the statement failed.
            if timeouts.within(STEP, file.send(packet, Weight::default())).await?.is_err() {
                return Ok(None);
            }
        }
        let waits = Instant::now();
        let next = source.chunks.recv().await;
        sent.waited += waits.elapsed();
        match next {
            Some(next) if sent.bytes < source.file_bytes && !source.abandoned.load(Relaxed) => {
                sent.rows += next.rows;
                sent.bytes += next.bytes().len();
                chunk = next;
            }
            // The file ends when its sender is dropped.
            next => return Ok(next),
        }
    }
}

/// Its name in messages.
const STEP: &str = "LOAD DATA";
