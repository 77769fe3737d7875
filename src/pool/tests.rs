#![allow(clippy::disallowed_types, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use super::*;

/// The behavior of a step of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Ok,
    Error,
    Slow,
    Never,
}

impl Does {
    const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Slow, Self::Never];

    async fn act(self) -> bool {
        match self {
            Self::Ok => true,
            Self::Error => false,
            Self::Slow => {
                tokio::time::sleep(Duration::from_millis(3)).await;
                true
            }
            Self::Never => pending().await,
        }
    }
}

/// A server that counts its connections.
#[derive(Debug, Default)]
struct Server {
    connect: Mutex<Option<Does>>,
    check: Mutex<Option<Does>>,
    close: Mutex<Option<Does>>,
    open: Arc<AtomicUsize>,
    opened: AtomicUsize,
}

/// One of its connections.
#[derive(Debug)]
struct Connection {
    number: usize,
    open: Arc<AtomicUsize>,
    /// Whether something is open in it.
    is_dirty: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

fn does(step: &Mutex<Option<Does>>) -> Does {
    step.lock().unwrap().unwrap_or(Does::Ok)
}

#[async_trait]
impl Connect for Arc<Server> {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection> {
        // Counted as soon as the server may know of it.
        self.open.fetch_add(1, Relaxed);
        let number = self.opened.fetch_add(1, Relaxed);
        let connection = Connection { number, open: Arc::clone(&self.open), is_dirty: false };
        match does(&self.connect).act().await {
            true => Ok(connection),
            false => Err(Error::new(ErrorKind::Access, "refused")),
        }
    }

    async fn is_usable(&self, connection: &mut Connection) -> bool {
        assert!(!connection.is_dirty, "a connection with something open was kept");
        does(&self.check).act().await
    }

    async fn close(&self, connection: Connection) {
        does(&self.close).act().await;
        drop(connection);
    }

    fn location(&self) -> String {
        "a server".into()
    }
}

fn pool(options: PoolOptions) -> (Arc<Server>, Pool<Arc<Server>>) {
    let server = Arc::new(Server::default());
    (Arc::clone(&server), Pool::new(server, options))
}

fn quick(max: usize) -> PoolOptions {
    let acquire_timeout = Duration::from_millis(20);
    PoolOptions { max, acquire_timeout, idle_check: Duration::from_millis(2), ..PoolOptions::default() }
}

/// Polls a future so many times, and drops it then.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        context.waker().wake_by_ref();
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_connection_that_came_back_is_lent_again_and_one_that_was_dropped_is_not() {
    let (server, pool) = pool(PoolOptions::default());
    let first = pool.acquire().await.unwrap();
    assert_eq!((first.number, pool.idle(), pool.busy()), (0, 0, 1));
    first.give_back();
    assert_eq!((pool.idle(), pool.busy()), (1, 0));
    let again = pool.acquire().await.unwrap();
    assert_eq!(again.number, 0);
    drop(again);
    assert_eq!((pool.idle(), pool.busy(), server.open.load(Relaxed)), (0, 0, 0));
    assert_eq!(pool.acquire().await.unwrap().number, 1);
}

#[tokio::test(start_paused = true)]
async fn who_asked_first_is_served_first_and_the_error_says_who_has_them() {
    let (_, pool) = pool(PoolOptions { acquire_timeout: Duration::from_secs(5), ..quick(1) });
    let lease = pool.acquire().await.unwrap();
    let xid = crate::txn::Xid::parse("landfall-00000000000000ab-2-00000000000000cd-1").unwrap();
    lease.serve(&xid);
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..4)
        .map(|number| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(number)).await;
                let lease = pool.acquire().await.unwrap();
                order.lock().unwrap().push(number);
                lease.give_back();
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    lease.give_back();
    // A later caller does not overtake them.
    pool.acquire().await.unwrap().give_back();
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);

    let lease = pool.acquire().await.unwrap();
    lease.serve(&xid);
    let error = pool.acquire().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no connection to a server became free within 5s (maximum: 1; branch \
         landfall-00000000000000ab-2-00000000000000cd-1 has held a connection for 5s): run fewer statements at the \
         same time, or increase the option 'pool.max'"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn who_writes_leaves_two_and_who_ends_something_does_not_wait() {
    let (server, pool) = pool(quick(4));
    let writing = [pool.acquire_to_write().await.unwrap(), pool.acquire_to_write().await.unwrap()];
    assert_eq!(pool.acquire_to_write().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let reading = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    assert_eq!(pool.acquire().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let ending = pool.acquire_to_end().await.unwrap();
    assert_eq!((pool.busy(), server.open.load(Relaxed)), (4, 5));
    ending.give_back();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((pool.busy(), pool.idle(), server.open.load(Relaxed)), (4, 0, 4));
    writing.into_iter().chain(reading).for_each(Lease::give_back);
    assert_eq!((pool.busy(), pool.idle()), (0, 4));
    let writing = [pool.acquire_to_write().await.unwrap(), pool.acquire_to_write().await.unwrap()];
    pool.acquire_to_end().await.unwrap().give_back();
    assert_eq!((pool.busy(), pool.idle(), server.open.load(Relaxed)), (2, 2, 4));
    drop(writing);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_told() {
    let (server, pool) = pool(quick(1));
    *server.connect.lock().unwrap() = Some(Does::Never);
    let error = pool.acquire().await.unwrap_err();
    assert_eq!(error.to_string(), "a server did not respond within 20ms: check the host and the port");
    *server.connect.lock().unwrap() = Some(Does::Error);
    assert_eq!(pool.acquire().await.unwrap_err().kind(), ErrorKind::Access);
    *server.connect.lock().unwrap() = None;
    assert!(pool.acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_was_idle_is_checked_and_what_is_old_is_closed() {
    let (server, pool) = pool(PoolOptions {
        idle_check: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(10),
        max_lifetime: Duration::from_secs(25),
        ..PoolOptions::default()
    });
    let number = async || {
        let lease = pool.acquire().await.unwrap();
        let number = lease.number;
        lease.give_back();
        number
    };
    assert_eq!(number().await, 0);
    *server.check.lock().unwrap() = Some(Does::Error);
    assert_eq!(number().await, 0, "it was not idle long enough to be looked at");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(number().await, 1);
    *server.check.lock().unwrap() = Some(Does::Never);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(number().await, 2);
    *server.check.lock().unwrap() = None;
    // Without a caller, the task closes it.
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!((pool.idle(), server.open.load(Relaxed)), (0, 0));
    for _ in 0..12 {
        assert_eq!(number().await, 3);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(number().await, 4, "it was older than its lifetime");
    assert!(!pool.0.is_kept.load(Relaxed) || pool.idle() > 0);
}

#[tokio::test(start_paused = true)]
async fn some_are_kept_warm() {
    let (server, pool) = pool(PoolOptions { min_idle: 3, max: 5, ..PoolOptions::default() });
    assert_eq!(server.open.load(Relaxed), 0, "nothing is opened before it is asked for");
    pool.acquire().await.unwrap().give_back();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pool.idle(), 3);
    tokio::time::sleep(Duration::from_secs(3_000)).await;
    assert_eq!(pool.idle(), 3, "older ones are replaced");
    assert!(server.opened.load(Relaxed) > 3);
    let leases = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((pool.idle(), leases.len()), (2, 3), "there is place for two more");
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_leases() {
    let (server, pool) = pool(PoolOptions::default());
    let [one, two] = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    pool.acquire().await.unwrap().give_back();
    let closing = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(pool.acquire().await.unwrap_err().to_string().contains("is closed"));
    one.give_back();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!closing.is_finished());
    drop(two);
    closing.await.unwrap();
    tokio::time::sleep(CLOSE_TIMEOUT).await;
    assert_eq!((pool.idle(), pool.busy(), server.open.load(Relaxed)), (0, 0, 0));
}

#[test]
fn a_connection_of_a_runtime_that_is_gone_is_not_lent() {
    let (_, pool) = pool(PoolOptions::default());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async { pool.acquire().await.unwrap().give_back() });
    assert_eq!(pool.idle(), 1);
    runtime().block_on(async { assert_eq!(pool.acquire().await.unwrap().number, 1) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_leaks_between_threads() {
    let (server, pool) = pool(PoolOptions { acquire_timeout: Duration::from_secs(20), ..quick(3) });
    let tasks = (0..8).map(|seed| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..5_000 {
                match random.u8(..) {
                    0..16 => drop(polled(1, pool.acquire()).await),
                    16..32 => drop(pool.acquire().await.unwrap()),
                    _ => {
                        let mut lease = pool.acquire().await.unwrap();
                        assert!(!std::mem::replace(&mut lease.is_dirty, true), "two have it");
                        if random.bool() {
                            tokio::task::yield_now().await;
                        }
                        lease.is_dirty = false;
                        lease.give_back();
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!((pool.busy(), pool.loans().len(), pool.0.entries.len()), (0, 0, pool.idle()));
    assert_eq!(server.open.load(Relaxed), pool.idle());
}

/// Every step does every thing, and is dropped at any of its awaits.
#[tokio::test(start_paused = true)]
async fn nothing_leaks_whatever_a_step_does_and_wherever_it_is_given_up() {
    const MAX: usize = 3;
    let cycles = std::env::var("LANDFALL_POOL_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let (server, pool) = pool(quick(MAX));
    let mut random = fastrand::Rng::with_seed(8);
    let mut seen = BTreeSet::new();
    for cycle in 0..cycles {
        let [connect, check, begin, using, close] = [(); 5].map(|()| Does::ALL[random.usize(..4)]);
        // Mostly the server answers, or nothing would ever be idle.
        let connect = if random.u8(..4) > 0 { Does::Ok } else { connect };
        *server.connect.lock().unwrap() = Some(connect);
        *server.check.lock().unwrap() = Some(check);
        *server.close.lock().unwrap() = Some(close);
        let (polls, pause, borrower) = (random.usize(1..12), random.u64(0..6), pool.clone());
        let returns = random.bool();
        let one = async move {
            let Ok(mut lease) = borrower.acquire().await else { return "refused" };
            assert!(!lease.is_dirty, "something is open in it");
            lease.is_dirty = true;
            if !begin.act().await || !using.act().await {
                return "failed";
            }
            if !returns {
                return "dropped";
            }
            lease.is_dirty = false;
            lease.give_back();
            "given back"
        };
        match cycle % 3 {
            // Among others that are cancelled after some time.
            0 => drop(tokio::spawn(timeout(Duration::from_millis(pause * 3), one))),
            1 => drop(seen.insert(polled(polls, one).await.unwrap_or("given up"))),
            _ => {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let ended = timeout(Duration::from_millis(30), one).await;
                seen.insert(ended.unwrap_or("too late"));
            }
        }
        assert!(pool.0.entries.len() <= MAX, "{pool:?}");
    }
    assert_eq!(seen, BTreeSet::from(["refused", "failed", "dropped", "given back", "given up", "too late"]));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((pool.busy(), pool.loans().len(), pool.0.entries.len()), (0, 0, pool.idle()));
    assert_eq!(server.open.load(Relaxed), pool.idle());
    *server.close.lock().unwrap() = None;
    pool.close().await;
    assert_eq!(server.open.load(Relaxed), 0);
}
