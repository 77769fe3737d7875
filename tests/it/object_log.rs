//! The decision log in an object store keeps its promises on an S3 server, which tests/run starts.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use datafusion_landfall::ErrorKind;
use datafusion_landfall::backend::DecisionLog;
use datafusion_landfall::backend::conformance::check_log;
use datafusion_landfall::log::ObjectStoreLog;
use datafusion_landfall::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, Positions};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::landing::says;
use crate::postgres::Postgres;

const SECRET: &str = "the-secret-of-the-tests";

/// The port of the server that all tests share.
fn server() -> u16 {
    let folder = std::env::var("LANDFALL_TEST_S3");
    let folder = folder.expect("these tests need an S3 server: run them with tests/run, which starts one");
    std::fs::read_to_string(std::path::Path::new(&folder).join("port")).unwrap().trim().parse().unwrap()
}

/// A new bucket: its name, its store and the port of its server.
pub async fn fresh_bucket() -> (String, AmazonS3, u16) {
    let bucket = Bucket::new().await;
    let store = bucket.store(server(), 3);
    (bucket.name, store, server())
}

/// Where nobody listens.
const CLOSED: u16 = 1;

/// A bucket of its own, with the log under a prefix of it.
struct Bucket {
    name: String,
}

impl Bucket {
    async fn new() -> Self {
        let bucket = Self::missing();
        bucket.put("").await;
        bucket
    }

    /// Makes an empty object whose key can be what `object_store` does not write, or without a key the bucket.
    async fn put(&self, key: &str) {
        let request = format!(
            "PUT /{}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=somebody/20260101/us-east-1/s3/aws4_request\r\n\r\n",
            self.name
        );
        let answer = ask(server(), request.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }

    fn missing() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Not only by the process: the server may have been there before.
        let name = format!("b{}-{}", COUNT.fetch_add(1, Relaxed), uuid::Uuid::new_v4().simple());
        Self { name }
    }

    fn url(&self) -> String {
        format!("s3://{}/a/log", self.name)
    }

    fn store(&self, port: u16, max_retries: usize) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_endpoint(format!("http://127.0.0.1:{port}"))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("somebody")
            .with_secret_access_key(SECRET)
            .with_retry(RetryConfig { max_retries, ..RetryConfig::default() })
            .build()
            .unwrap()
    }

    /// The log as a client of its own sees it at a port.
    fn log_at(&self, port: u16, max_retries: usize) -> ObjectStoreLog {
        ObjectStoreLog::new(Arc::new(self.store(port, max_retries)), Path::from("a/log"), self.url())
    }

    fn log(&self) -> ObjectStoreLog {
        self.log_at(server(), 10)
    }

    /// What is in it, without what it is called.
    async fn objects(&self) -> Vec<serde_json::Value> {
        let store = self.store(server(), 10);
        let mut listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        let mut objects = Vec::new();
        for object in listed {
            assert!(object.location.as_ref().starts_with("a/log/"), "{}", object.location);
            let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
            objects.push(serde_json::from_slice(&bytes).unwrap());
        }
        objects
    }
}

/// The program, with a server that it knows from its environment alone.
fn program(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("LANDFALL_HISTORY", "")
        .env("AWS_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "somebody")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn record(epoch: u64, run: u64) -> DecisionRecord {
    DecisionRecord {
        job: JobId::try_new("j").unwrap(),
        epoch: Epoch(epoch),
        gtrid: Gtrid::parse(&format!("landfall-{:016x}-{epoch:x}-{run:016x}", 7)).unwrap(),
        decision: Decision::Commit,
        rows: 3,
        positions: Positions::new("t", true),
    }
}

/// What becomes of the first PUT; all else is passed on.
#[derive(Clone, Copy, PartialEq)]
enum Lost {
    /// The server does as it is told, and the connection is closed instead of its answer.
    Answer,
    /// The server does as it is told, and a gateway says that it could not be reached.
    AnswerBehindAGateway,
    /// The connection is closed before the server knows of it.
    Request,
    /// It is passed on too.
    Nothing,
}

/// Stands between a client and the server.
struct Proxy {
    port: u16,
    puts: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn new(lost: Lost) -> Self {
        Self::with(lost, || Box::pin(async {})).await
    }

    /// The same; `meanwhile` goes on before the first PUT reaches the server.
    async fn with(lost: Lost, meanwhile: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let puts = Arc::new(AtomicUsize::new(0));
        let (counted, meanwhile) = (Arc::clone(&puts), Arc::new(meanwhile));
        let task = tokio::spawn(async move {
            // Ends them all when it is dropped.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (puts, meanwhile) = (Arc::clone(&counted), Arc::clone(&meanwhile));
                connections.spawn(async move {
                    let Some(request) = message(&mut client).await else { return };
                    let is_first_put = request.starts_with(b"PUT ") && puts.fetch_add(1, Relaxed) == 0;
                    if is_first_put {
                        meanwhile().await;
                    }
                    if is_first_put && lost == Lost::Request {
                        return;
                    }
                    let answer = ask(server(), &request).await;
                    let unreached =
                        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    // An answer may be one that nobody waits for any more.
                    let _ = match lost {
                        Lost::Answer if is_first_put => return,
                        Lost::AnswerBehindAGateway if is_first_put => client.write_all(unreached).await,
                        _ => client.write_all(&answer).await,
                    };
                });
            }
        });
        Self { port, puts, task }
    }

    fn puts(&self) -> usize {
        self.puts.load(Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request with its body; none where the connection is closed without one.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(end) = message.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if message.len() >= end + 4 + length.unwrap_or(0) {
                return Some(message);
            }
        }
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
    }
}

/// The answer to a request; the server closes the connection behind each.
async fn ask(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// A server that answers every request alike.
async fn stubborn(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the runtime of its test.
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            if message(&mut client).await.is_some() {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _ = client.write_all(answer.as_bytes()).await;
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_a_bucket_conforms() {
    check_log(Arc::new(Bucket::new().await.log())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_under_prefixes_of_one_bucket_do_not_see_each_other() {
    let bucket = Bucket::new().await;
    let at = |prefix: &str| ObjectStoreLog::new(Arc::new(bucket.store(server(), 10)), Path::from(prefix), "s3");
    let (a, a_longer) = (at("a"), at("ab"));
    assert_eq!(a.decide(record(1, 1)).await.unwrap(), record(1, 1));
    assert_eq!(a_longer.decide(record(1, 2)).await.unwrap(), record(1, 2));
    assert_eq!(a.jobs().await.unwrap()[0].state.records(), [record(1, 1)]);
    assert_eq!(a_longer.jobs().await.unwrap()[0].state.records(), [record(1, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_a_console_made_do_not_matter() {
    let bucket = Bucket::new().await;
    bucket.put("a/log/").await;
    let log = bucket.log();
    let decided = async {
        log.decide(record(1, 1)).await.unwrap();
        log.jobs().await.unwrap()
    };
    let jobs = tokio::time::timeout(Duration::from_secs(20), decided).await.expect("it goes on for ever");
    assert_eq!(jobs[0].state.records(), [record(1, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_finds_the_log_by_its_environment() {
    let bucket = Bucket::new().await;
    for epoch in 1..=2 {
        bucket.log().decide(record(epoch, 1)).await.unwrap();
    }
    let output = program(server(), &["status", &bucket.url(), "--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["log"], bucket.url());
    assert_eq!(status["jobs"].as_array().unwrap().len(), 1);
    let job = &status["jobs"][0];
    assert_eq!((&job["job"], &job["state"], &job["table"]), (&"j".into(), &"finished".into(), &"t".into()));
    assert_eq!((&job["checkpoint"], &job["rows"]), (&2.into(), &3.into()));
    assert!(texts(&output).1.is_empty(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_answer_is_lost_is_ours_all_the_same() {
    for lost in [Lost::Answer, Lost::AnswerBehindAGateway] {
        let bucket = Bucket::new().await;
        let proxy = Proxy::new(lost).await;
        assert_eq!(bucket.log_at(proxy.port, 10).decide(record(1, 1)).await.unwrap(), record(1, 1));
        assert_eq!(proxy.puts(), 2, "the client asks again, and finds its own");
        assert_eq!(bucket.log().decide(record(1, 2)).await.unwrap(), record(1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_lost_itself_is_made_again() {
    let bucket = Bucket::new().await;
    let proxy = Proxy::new(Lost::Request).await;
    assert_eq!(bucket.log_at(proxy.port, 10).decide(record(1, 1)).await.unwrap(), record(1, 1));
    assert_eq!(proxy.puts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_client_does_not_ask_again_the_error_leaves_it_open_and_the_next_answer_is_ours() {
    for lost in [Lost::Answer, Lost::AnswerBehindAGateway] {
        let bucket = Bucket::new().await;
        let proxy = Proxy::new(lost).await;
        let log = bucket.log_at(proxy.port, 0);
        let error = log.decide(record(1, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(log.decide(record(1, 1)).await.unwrap(), record(1, 1));
        assert_eq!(proxy.puts(), 1, "it stood before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_put_was_lost_learns_what_another_run_decided() {
    let bucket = Bucket::new().await;
    let proxy = Proxy::new(Lost::Request).await;
    let log = bucket.log_at(proxy.port, 0);
    log.decide(record(1, 1)).await.unwrap_err();
    assert_eq!(bucket.log().decide(record(1, 2)).await.unwrap(), record(1, 2));
    assert_eq!(log.decide(record(1, 1)).await.unwrap(), record(1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_by_a_moment_learns_what_stands_also_when_that_answer_is_lost() {
    for (max_retries, puts) in [(10, 2), (0, 1)] {
        let bucket = Bucket::new().await;
        let other = Arc::new(bucket.log());
        // Between the look of the first one, which finds nothing, and its PUT.
        let proxy = Proxy::with(Lost::Answer, move || {
            let other = Arc::clone(&other);
            Box::pin(async move { assert_eq!(other.decide(record(1, 2)).await.unwrap(), record(1, 2)) })
        });
        let proxy = proxy.await;
        let log = bucket.log_at(proxy.port, max_retries);
        let mut stands = log.decide(record(1, 1)).await;
        if max_retries == 0 {
            assert_eq!(stands.unwrap_err().kind(), ErrorKind::Unavailable);
            stands = log.decide(record(1, 1)).await;
        }
        assert_eq!(stands.unwrap(), record(1, 2));
        assert_eq!(proxy.puts(), puts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_decide_at_once_agree() {
    for apart in [0, 5, 20] {
        let bucket = Bucket::new().await;
        let decisions = (1..=6).map(async |run| {
            // All look before the first one writes; when the last one does, the first has read what stands.
            let delay = Duration::from_millis(apart * run);
            let proxy = Proxy::with(Lost::Nothing, move || Box::pin(tokio::time::sleep(delay))).await;
            bucket.log_at(proxy.port, 10).decide(record(1, run)).await.unwrap()
        });
        let stands = futures::future::join_all(decisions).await;
        assert!(stands.iter().all(|record| *record == stands[0]), "{stands:?}");
        assert_eq!(bucket.log().read(&stands[0].job).await.unwrap().records(), [stands[0].clone()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_named() {
    let bucket = Bucket::missing();
    let error = bucket.log_at(CLOSED, 1).decide(record(1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let output = program(CLOSED, &["status", &bucket.url()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for message in [error.to_string(), texts(&output).1] {
        says(&message, &[&bucket.url(), &format!("http://127.0.0.1:{CLOSED}")]);
        assert!(!message.contains(SECRET), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_named() {
    let bucket = Bucket::missing();
    let error = bucket.log().decide(record(1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Access, "to ask again does not help: {error}");
    let output = program(server(), &["status", &bucket.url()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for message in [error.to_string(), texts(&output).1] {
        says(&message, &[&bucket.url(), "create the bucket", "NoSuchBucket"]);
        assert!(!message.contains(SECRET), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_list_a_bucket_is_told_to_check_the_credentials() {
    let bucket = Bucket::missing();
    for status in ["403 Forbidden", "401 Unauthorized"] {
        let port = stubborn(status, "<Error><Code>AccessDenied</Code></Error>").await;
        let error = bucket.log_at(port, 10).decide(record(1, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Access, "to ask again does not help: {error}");
        says(&error.to_string(), &[&bucket.url(), "check the credentials", "AccessDenied"]);
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    // What a busy server says is another thing.
    let port = stubborn("503 Slow Down", "<Error><Code>SlowDown</Code></Error>").await;
    let error = bucket.log_at(port, 1).decide(record(1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// The program's INSERT of a thousand rows into the table t, as job x decided in the bucket.
fn insert(server_url: &str, bucket: &Bucket) -> Command {
    let sql = format!(
        "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{server_url}' \
         OPTIONS ('log' '{}', 'commit' 'two_phase', 'job' 'x'); \
         INSERT INTO t SELECT value FROM generate_series(1, 1000)",
        bucket.url()
    );
    program(server(), &["sql", "-c", &sql])
}

const LANDED: &str = "SELECT count(*), count(DISTINCT id) FROM t";
const PREPARED: &str = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn a_two_phase_insert_is_decided_in_the_bucket_and_written_once() {
    let (bucket, database) = (Bucket::new().await, Postgres::with_database("CREATE TABLE t (id bigint)"));
    for written in ["1000 rows written", "0 rows written"] {
        let output = insert(&database.url(), &bucket).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        says(&texts(&output).0, &[written]);
        assert_eq!(database.rows(LANDED), ["1000|1000"]);
        assert_eq!(database.rows(PREPARED), ["0"]);
    }
    let objects = bucket.objects().await;
    let commits: Vec<_> = objects.iter().filter(|object| object["decision"] == "commit").collect();
    assert_eq!(commits.len(), 1, "{objects:?}");
    assert_eq!((&commits[0]["job"], &commits[0]["rows"]), (&"x".into(), &1000.into()));
    let ledger = "SELECT count(*) FROM pg_class WHERE relname = 'landfall_ledger'";
    assert_eq!(database.rows(ledger), ["0"], "the bucket alone decides");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_programs_at_once_one_writes() {
    let (bucket, database) = (Bucket::new().await, Postgres::with_database("CREATE TABLE t (id bigint)"));
    let runs: Vec<_> = (0..3).map(|_| insert(&database.url(), &bucket).spawn().unwrap()).collect();
    let outputs: Vec<_> = runs.into_iter().map(|run| run.wait_with_output().unwrap()).collect();
    let wrote = outputs.iter().filter(|output| texts(output).0.contains("1000 rows written")).count();
    assert_eq!(wrote, 1, "{outputs:?}");
    // Whoever was fenced has rolled back, or left it to the next run.
    assert!(insert(&database.url(), &bucket).output().unwrap().status.success());
    assert_eq!(database.rows(LANDED), ["1000|1000"]);
    assert_eq!(database.rows(PREPARED), ["0"]);
}
