//! Reads a stream ahead, so that it does not wait while one epoch ends and the next begins.

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::input::Read;
use crate::buffer::{Limits, Receiver, Weight, buffer};
use crate::columnar::batch_bytes;
use crate::error::{Error, Result};

/// What is read ahead, at most.
const AHEAD: Limits = Limits { items: 64, weight: Weight { rows: usize::MAX, bytes: 8 * 1024 * 1024 } };

/// A stream, read as it is asked for or ahead.
pub(super) enum Reader {
    AsAsked(BoxStream<'static, Result<Read>>),
    Ahead { reads: Receiver<Result<Read>>, task: JoinSet<()>, stop: CancellationToken },
}

impl Reader {
    /// Reads ahead, in a task of its own.
    pub(super) fn ahead(mut stream: BoxStream<'static, Result<Read>>) -> Self {
        let (mut sender, reads) = buffer(AHEAD);
        let (mut task, stop) = (JoinSet::new(), CancellationToken::new());
        let is_stopped = stop.clone();
        task.spawn(async move {
            while let Some(Some(read)) = is_stopped.run_until_cancelled(stream.next()).await {
                let weight = match &read {
                    Ok(Read::Rows { batch, .. }) => {
                        let bytes = usize::try_from(batch_bytes(batch)).unwrap_or(usize::MAX);
                        Weight { rows: batch.num_rows(), bytes }
                    }
                    _ => Weight::default(),
                };
                let is_over = read.is_err();
                if sender.send(read, weight).await.is_err() || is_over {
                    return;
                }
            }
        });
        Self::Ahead { reads, task, stop }
    }

    /// What comes next. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<Read>> {
        match self {
            Self::AsAsked(stream) => stream.next().await,
            Self::Ahead { reads, task, .. } => match reads.recv().await {
                Some(read) => Some(read),
                // One that ended early has not read everything.
                None => match task.join_next().await {
                    Some(Err(error)) => Some(Err(Error::internal(format!("the task that reads ended: {error}")))),
                    _ => None,
                },
            },
        }
    }

    /// Reads no more; what was read comes.
    pub(super) fn stop(&mut self) {
        match self {
            Self::AsAsked(stream) => *stream = futures::stream::empty().boxed(),
            Self::Ahead { stop, .. } => stop.cancel(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures::stream;

    use super::*;
    use crate::pipeline::Boundary;
    use crate::xa::conformance::rows;

    fn read(ids: std::ops::Range<i64>) -> Result<Read> {
        Ok(Read::Rows { piece: 0, batch: rows(ids), boundary: Boundary::EveryRow })
    }

    async fn count(reader: &mut Reader) -> usize {
        let mut count = 0;
        while let Some(read) = reader.next().await {
            if let Read::Rows { batch, .. } = read.unwrap() {
                count += batch.num_rows();
            }
        }
        count
    }

    #[tokio::test]
    async fn everything_comes_and_memory_bounds_what_is_ahead() {
        let polled = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polled);
        // A batch has more than 800 KB.
        let stream = stream::iter(0..20).map(move |_| {
            counted.fetch_add(1, Relaxed);
            read(0..100_000)
        });
        let mut reader = Reader::ahead(stream.boxed());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!((2..12).contains(&polled.load(Relaxed)), "{} batches were read ahead", polled.load(Relaxed));
        assert_eq!(count(&mut reader).await, 2_000_000);
    }

    #[tokio::test]
    async fn what_was_read_comes_after_a_stop() {
        // The queue is full, and one more waits for room in it.
        let reads = (0..AHEAD.items as i64 + 1).map(|id| read(id..id + 1));
        let stream = stream::iter(reads.collect::<Vec<_>>()).chain(stream::pending());
        let mut reader = Reader::ahead(stream.boxed());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        reader.stop();
        assert_eq!(count(&mut reader).await, AHEAD.items + 1);
    }

    #[tokio::test]
    async fn a_task_that_panics_is_not_the_end() {
        let stream = stream::iter([read(0..3)]).chain(stream::once(async { panic!("here") }));
        let mut reader = Reader::ahead(stream.boxed());
        assert!(reader.next().await.unwrap().is_ok());
        assert!(reader.next().await.unwrap().unwrap_err().to_string().contains("the task that reads ended"));
        assert!(reader.next().await.is_none());
    }
}
