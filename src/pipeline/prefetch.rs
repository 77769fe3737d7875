//! Reads a stream ahead, so that it does not wait while one epoch ends and the next begins.

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::JoinSet;

use super::Interrupt;
use super::input::Read;
use crate::buffer::{Limits, Memory, Receiver, Reservation, Weight, buffer};
use crate::columnar::batch_bytes;
use crate::error::{Error, Result};

/// The maximum number of batches that are read ahead.
const ITEMS: usize = 64;

/// Their maximum size in bytes, which is at most a quarter of the write's memory.
const BYTES: usize = 8 * 1024 * 1024;

/// A stream that is read on demand or ahead.
pub(super) enum Reader {
    AsAsked(BoxStream<'static, Result<Read>>),
    Ahead { reads: Receiver<(Result<Read>, Reservation)>, task: JoinSet<()>, stop: Interrupt },
}

impl Reader {
    /// Reads ahead in a separate task. The memory counts the batches that it holds.
    pub(super) fn ahead(mut stream: BoxStream<'static, Result<Read>>, memory: Memory) -> Self {
        let weight = Weight { rows: usize::MAX, bytes: BYTES.min(memory.limit() / 4) };
        let (mut sender, reads) = buffer(Limits { items: ITEMS, weight });
        let (mut task, stop) = (JoinSet::new(), Interrupt::new());
        let is_stopped = stop.clone();
        task.spawn(async move {
            while !is_stopped.is_asked() {
                let read = tokio::select! {
                    biased;
                    read = stream.next() => read,
                    () = is_stopped.asked() => None,
                };
                let Some(read) = read else { return };
                let weight = match &read {
                    Ok(Read::Rows { batch, .. }) => {
                        let bytes = usize::try_from(batch_bytes(batch)).unwrap_or(usize::MAX);
                        Weight { rows: batch.num_rows(), bytes }
                    }
                    _ => Weight::default(),
                };
                let (is_over, reservation) = (read.is_err(), memory.reserve_now(weight.bytes));
                if sender.send((read, reservation), weight).await.is_err() || is_over {
                    return;
                }
            }
        });
        Self::Ahead { reads, task, stop }
    }

    /// The next item. After the end it returns `None` again. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<Read>> {
        match self {
            Self::AsAsked(stream) => {
                let next = stream.next().await;
                if next.is_none() {
                    // A stream must not be polled after its end.
                    self.stop();
                }
                next
            }
            Self::Ahead { reads, task, .. } => match reads.recv().await {
                Some((read, _share)) => Some(read),
                // A task that ended early has not read everything.
                None => match task.join_next().await {
                    Some(Err(error)) => Some(Err(Error::internal(format!("the reader task failed: {error}")))),
                    _ => None,
                },
            },
        }
    }

    /// Stops reading. Items that were already read are still returned.
    pub(super) fn stop(&mut self) {
        match self {
            Self::AsAsked(stream) => *stream = futures::stream::empty().boxed(),
            Self::Ahead { stop, .. } => stop.stop(),
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
    use crate::backend::conformance::rows;
    use crate::pipeline::Boundary;

    fn read(ids: std::ops::Range<i64>) -> Result<Read> {
        Ok(Read::Rows { split: 0, batch: rows(ids), boundary: Boundary::EveryRow })
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
        let mut reader = Reader::ahead(stream.boxed(), Memory::default());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!((2..12).contains(&polled.load(Relaxed)), "{} batches were read ahead", polled.load(Relaxed));
        assert_eq!(count(&mut reader).await, 2_000_000);
    }

    #[tokio::test]
    async fn what_was_read_comes_after_a_stop() {
        // The queue is full, and one more batch waits for space.
        let reads = (0..ITEMS as i64 + 1).map(|id| read(id..id + 1));
        let stream = stream::iter(reads.collect::<Vec<_>>()).chain(stream::pending());
        let mut reader = Reader::ahead(stream.boxed(), Memory::default());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        reader.stop();
        assert_eq!(count(&mut reader).await, ITEMS + 1);
    }

    /// Both the check of the first rows and the writers see the end of a short stream.
    #[tokio::test]
    async fn the_end_can_be_asked_for_again() {
        let stream = || stream::unfold(0, async |number| (number < 2).then(|| (read(0..3), number + 1))).boxed();
        for mut reader in [Reader::AsAsked(stream()), Reader::ahead(stream(), Memory::default())] {
            assert_eq!(count(&mut reader).await, 6);
            assert!(reader.next().await.is_none());
            assert!(reader.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_is_not_the_end() {
        let stream = stream::iter([read(0..3)]).chain(stream::once(async { panic!("here") }));
        let mut reader = Reader::ahead(stream.boxed(), Memory::default());
        assert!(reader.next().await.unwrap().is_ok());
        assert!(reader.next().await.unwrap().unwrap_err().to_string().contains("the reader task failed"));
        assert!(reader.next().await.is_none());
    }
}
