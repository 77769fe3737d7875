//! The queue between those that deal batches out and those that write them, beside a locked one and a channel; and how
//! throughput scales with writers.

use std::cell::LazyCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use criterion::Criterion;
use datafusion_landfall::buffer::{Limits, Weight, buffer};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::columnar_vs_row::{postgres, rows};
use crate::events;
use crate::figure::{Bar, Figure, Unit};
use crate::pairs::{Pairs, repeat};
use crate::server::LazyServer;

/// Batches of one measurement.
const BATCHES: usize = 200_000;

/// Items that each queue holds.
const ROOM: usize = 64;

/// Batches a second, and times as fast as the locked queue, with 8 on each side.
const BARS: (f64, f64) = (1e6, 1.4);

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    buffers(criterion);
    writers(criterion, server);
}

fn buffers(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for tasks in [1, 8] {
        let mut turn = 0;
        let name = format!("concurrency/buffer, {tasks} senders and {tasks} receivers");
        let rounds = repeat(criterion, &name, || {
            let mut times = [Duration::ZERO; 3];
            for step in 0..3 {
                let side = (turn + step) % 3;
                times[side] = runtime.block_on(async {
                    match side {
                        0 => buffered(tasks).await,
                        1 => locked(tasks).await,
                        _ => channel(tasks).await,
                    }
                });
            }
            turn += 1;
            (times[0], times)
        });
        print(tasks, &rounds);
    }
}

/// What each sender sends, made beforehand.
fn batches(tasks: usize) -> Vec<Vec<RecordBatch>> {
    let batch = events::batches(8_192).swap_remove(0);
    (0..tasks).map(|_| vec![batch.clone(); BATCHES / tasks]).collect()
}

/// Sends all batches by some tasks, receives them by as many, and says how long it took.
async fn moved<S, R>(tasks: usize, send: impl Fn(Vec<RecordBatch>) -> S, receive: impl Fn() -> R) -> Duration
where
    S: Future<Output = ()> + Send + 'static,
    R: Future<Output = Vec<RecordBatch>> + Send + 'static,
{
    let batches = batches(tasks);
    let began = Instant::now();
    let receiving: Vec<_> = (0..tasks).map(|_| tokio::spawn(receive())).collect();
    let sending: Vec<_> = batches.into_iter().map(|batches| tokio::spawn(send(batches))).collect();
    // Whatever they hold of the queue goes with them, so that it is closed.
    drop((send, receive));
    for task in sending {
        task.await.expect("a sender");
    }
    let mut received = Vec::with_capacity(tasks);
    for task in receiving {
        received.push(task.await.expect("a receiver"));
    }
    let took = began.elapsed();
    assert_eq!(received.iter().map(Vec::len).sum::<usize>(), BATCHES);
    took
}

/// What a receiver has received: freeing it is not what is measured, and takes longer than a queue does.
fn kept() -> Vec<RecordBatch> {
    Vec::with_capacity(BATCHES)
}

pub async fn buffered(tasks: usize) -> Duration {
    let weight = Weight { rows: 1 << 20, bytes: 1 << 30 };
    let (sender, receiver) = buffer::<RecordBatch>(Limits { items: ROOM, weight });
    let send = move |batches: Vec<RecordBatch>| {
        let mut sender = sender.clone();
        async move {
            for batch in batches {
                let weight = Weight { rows: batch.num_rows(), bytes: 300_000 };
                assert!(sender.send(batch, weight).await.is_ok(), "nobody receives");
            }
        }
    };
    let receive = move || {
        let mut receiver = receiver.clone();
        async move {
            let mut kept = kept();
            while let Some(batch) = receiver.recv().await {
                kept.push(batch);
            }
            kept
        }
    };
    moved(tasks, send, receive).await
}

async fn channel(tasks: usize) -> Duration {
    let (sender, receiver) = async_channel::bounded::<RecordBatch>(ROOM);
    let send = move |batches: Vec<RecordBatch>| {
        let sender = sender.clone();
        async move {
            for batch in batches {
                sender.send(batch).await.expect("a receiver");
            }
        }
    };
    let receive = move || {
        let receiver = receiver.clone();
        async move {
            let mut kept = kept();
            while let Ok(batch) = receiver.recv().await {
                kept.push(batch);
            }
            kept
        }
    };
    moved(tasks, send, receive).await
}

/// The usual queue under a lock.
#[derive(Default)]
struct Locked {
    queue: Mutex<VecDeque<RecordBatch>>,
    not_full: Notify,
    not_empty: Notify,
}

impl Locked {
    async fn send(&self, batch: RecordBatch) {
        let mut batch = Some(batch);
        loop {
            let room = self.not_full.notified();
            {
                let mut queue = self.queue.lock().expect("a lock");
                if queue.len() < ROOM {
                    queue.extend(batch.take());
                    drop(queue);
                    return self.not_empty.notify_one();
                }
            }
            room.await;
        }
    }

    async fn recv(&self) -> RecordBatch {
        loop {
            let item = self.not_empty.notified();
            if let Some(batch) = self.queue.lock().expect("a lock").pop_front() {
                self.not_full.notify_one();
                return batch;
            }
            item.await;
        }
    }
}

async fn locked(tasks: usize) -> Duration {
    let queue = Arc::new(Locked::default());
    let sent = Arc::clone(&queue);
    let send = move |batches: Vec<RecordBatch>| {
        let queue = Arc::clone(&sent);
        async move {
            for batch in batches {
                queue.send(batch).await;
            }
        }
    };
    let receive = move || {
        let queue = Arc::clone(&queue);
        async move {
            let mut kept = kept();
            for _ in 0..BATCHES / tasks {
                kept.push(queue.recv().await);
            }
            kept
        }
    };
    moved(tasks, send, receive).await
}

fn print(tasks: usize, rounds: &[[Duration; 3]]) {
    let rate = |side: usize| rounds.iter().map(|round| BATCHES as f64 / round[side].as_secs_f64()).collect::<Vec<_>>();
    let name = format!("concurrency/buffer, {tasks} senders and {tasks} receivers");
    let (rate_bar, ratio_bar) = BARS;
    let bars = [Bar::Median(rate_bar), Bar::Ratio(ratio_bar)].into_iter().filter(|_| tasks == 8);
    Figure::new(format!("{name}/beside a lock"), Unit::Batches, rate(0))
        .beside("Mutex<VecDeque> with Notify", rate(1))
        .bar(bars)
        .print();
    Figure::new(format!("{name}/beside async-channel"), Unit::Batches, rate(0))
        .beside("async-channel", rate(2))
        .print();
}

/// How throughput scales with the writers of one table.
fn writers(criterion: &mut Criterion, server: &LazyServer) {
    let rows = rows();
    let batches = LazyCell::new(|| events::batches(rows));
    for (of, key) in [("with key", "PRIMARY KEY (id)"), ("without key", "")] {
        for count in [2, 4, 8, 16] {
            let land = |writers: usize| postgres::land(server, key, rows, &format!("'writers' '{writers}'"), &batches);
            let name = format!("concurrency/postgres {of}, {count} writers");
            let pairs = Pairs { name: &name, beside: "one writer", rows, bar: None };
            pairs.measure(criterion, || land(1), || land(count));
        }
    }
}
