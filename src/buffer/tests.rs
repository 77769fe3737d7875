#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use super::*;

const LIGHT: Weight = Weight { rows: 1, bytes: 10 };

fn of(items: usize, rows: usize, bytes: usize) -> (Sender<u64>, Receiver<u64>) {
    buffer(Limits { items, weight: Weight { rows, bytes } })
}

fn try_send(sender: &Sender<u64>, item: u64, weight: Weight) -> Result<(), u64> {
    sender.shared.put(item, Packed::of(weight))
}

#[tokio::test]
async fn it_is_bounded_in_items_rows_and_bytes_and_one_beyond_all_bounds_goes_alone() {
    for (items, rows, bytes) in [(3, usize::MAX, usize::MAX), (9, 3, usize::MAX), (9, usize::MAX, 35)] {
        let (mut sender, receiver) = of(items, rows, bytes);
        for number in 0..3 {
            sender.send(number, LIGHT).await.unwrap();
        }
        assert_eq!(try_send(&sender, 3, LIGHT), Err(3), "{items} {rows} {bytes}");
        assert_eq!(receiver.shared.take(), Some(0));
        assert_eq!(try_send(&sender, 3, LIGHT), Ok(()));
    }
    let (sender, mut receiver) = of(9, 100, 100);
    let huge = Weight { rows: 1_000, bytes: 1_000 };
    assert_eq!(try_send(&sender, 1, huge), Ok(()));
    assert!(try_send(&sender, 2, LIGHT).is_err());
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(try_send(&sender, 2, LIGHT), Ok(()));
    assert!(try_send(&sender, 1, huge).is_err());
}

#[tokio::test]
async fn the_end_comes_after_what_was_sent_and_a_sender_is_told_that_nobody_listens() {
    let (mut sender, mut receiver) = of(4, 9, 90);
    sender.send(1, LIGHT).await.unwrap();
    let other = sender.clone();
    drop(sender);
    assert_eq!(receiver.recv().await, Some(1));
    let waiting = tokio::spawn(async move { receiver.recv().await });
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!waiting.is_finished());
    drop(other);
    assert_eq!(waiting.await.unwrap(), None);

    let (mut sender, receiver) = of(1, 9, 90);
    sender.send(1, LIGHT).await.unwrap();
    let waiting = tokio::spawn(async move { sender.send(2, LIGHT).await });
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(receiver);
    assert_eq!(waiting.await.unwrap(), Err(Closed(2)));
}

#[tokio::test]
async fn what_is_given_up_loses_no_item_and_wakes_the_next() {
    let (mut sender, mut receiver) = of(1, 9, 90);
    // Both wait; the first is woken and gives up before it runs.
    let mut other = receiver.clone();
    let mut first = Box::pin(receiver.recv());
    assert!(futures::poll!(first.as_mut()).is_pending());
    let second = tokio::spawn(async move { other.recv().await });
    tokio::task::yield_now().await;
    sender.send(1, LIGHT).await.unwrap();
    drop(first);
    assert_eq!(second.await.unwrap(), Some(1));
}

/// Every item is received once, in the order of its sender, whichever tasks wait or stop waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_send_and_receive_at_once() {
    const EACH: u64 = 30_000;
    for (senders, receivers, items, bytes) in [(8, 8, 4, usize::MAX), (8, 1, 64, 200), (1, 8, 1, 10), (3, 2, 2, 35)] {
        let (sender, receiver) = of(items, usize::MAX, bytes);
        let sending: Vec<_> = (0..senders)
            .map(|number| {
                let mut sender = sender.clone();
                tokio::spawn(async move {
                    let mut random = fastrand::Rng::with_seed(number);
                    for next in 0..EACH {
                        let weight = Weight { rows: 1, bytes: random.usize(1..40) };
                        sender.send(number << 32 | next, weight).await.unwrap();
                        if random.u8(..) == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let receiving: Vec<_> = (0..receivers)
            .map(|number| {
                let mut receiver = receiver.clone();
                tokio::spawn(async move {
                    let (mut got, mut random) = (Vec::new(), fastrand::Rng::with_seed(number));
                    loop {
                        if random.u8(..) < 8 {
                            // Stops waiting immediately, or takes an available item.
                            match tokio::time::timeout(Duration::ZERO, receiver.recv()).await {
                                Ok(Some(item)) => got.push(item),
                                Ok(None) => return got,
                                Err(_) => {}
                            }
                        } else {
                            match receiver.recv().await {
                                Some(item) => got.push(item),
                                None => return got,
                            }
                        }
                    }
                })
            })
            .collect();
        drop(receiver);
        for task in sending {
            task.await.unwrap();
        }
        let mut counts = HashMap::new();
        for task in receiving {
            let mut last = HashMap::new();
            for number in task.await.unwrap() {
                let (sender, next) = (number >> 32, number & 0xffff_ffff);
                let before = last.insert(sender, next);
                assert!(before.is_none_or(|before| before < next), "{before:?} came before {next}");
                *counts.entry(sender).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len() as u64, senders);
        assert!(counts.values().all(|count| *count == EACH), "{counts:?}");
    }
}
