//! The queue between those that deal batches out and those that write them, beside a locked one and a channel.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use criterion::{Criterion, SamplingMode, Throughput};
use datafusion_landfall::buffer::{Limits, Weight, buffer};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::events;

/// Batches of one measurement.
const BATCHES: usize = 200_000;

/// Items that each queue holds.
const ROOM: usize = 64;

/// Batches a second, and times as fast as the locked queue, with 8 on each side.
const BARS: (f64, f64) = (1e6, 1.4);

pub fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for tasks in [1, 8] {
        let mut rounds: Vec<[Duration; 3]> = Vec::new();
        let mut group = criterion.benchmark_group(format!("concurrency/buffer, {tasks} senders and {tasks} receivers"));
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
        group.throughput(Throughput::Elements(BATCHES as u64));
        group.bench_function("landfall", |bencher| {
            let mut round = || {
                let mut times = [Duration::ZERO; 3];
                for step in 0..3 {
                    let side = (rounds.len() + step) % 3;
                    times[side] = runtime.block_on(async {
                        match side {
                            0 => landfall(tasks).await,
                            1 => locked(tasks).await,
                            _ => channel(tasks).await,
                        }
                    });
                }
                rounds.push(times);
                times[0]
            };
            bencher.iter_custom(|iterations| (0..iterations).map(|_| round()).sum());
        });
        group.finish();
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
    R: Future<Output = usize> + Send + 'static,
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
    let mut received = 0;
    for task in receiving {
        received += task.await.expect("a receiver");
    }
    let took = began.elapsed();
    assert_eq!(received, BATCHES);
    took
}

async fn landfall(tasks: usize) -> Duration {
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
            let mut count = 0;
            while receiver.recv().await.is_some() {
                count += 1;
            }
            count
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
            let mut count = 0;
            while receiver.recv().await.is_ok() {
                count += 1;
            }
            count
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
            for _ in 0..BATCHES / tasks {
                queue.recv().await;
            }
            BATCHES / tasks
        }
    };
    moved(tasks, send, receive).await
}

fn print(tasks: usize, rounds: &[[Duration; 3]]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let rate = |side: usize| median(rounds.iter().map(|round| BATCHES as f64 / round[side].as_secs_f64()).collect());
    let ratio = median(rounds.iter().map(|round| round[1].as_secs_f64() / round[0].as_secs_f64()).collect());
    let (Some(landfall), Some(locked), Some(channel), Some(ratio)) = (rate(0), rate(1), rate(2), ratio) else { return };
    let bars = if tasks == 8 { format!(" (bars {:.0} M and {:.2})", BARS.0 / 1e6, BARS.1) } else { String::new() };
    println!(
        "concurrency/buffer, {tasks} senders and {tasks} receivers: landfall {:.2} M batches/s, Mutex<VecDeque> with \
         Notify {:.2} M, async-channel {:.2} M; ratio to the first {ratio:.2}{bars}",
        landfall / 1e6,
        locked / 1e6,
        channel / 1e6,
    );
}
