//! What `examples/monitoring` promises, held against Debian's Prometheus and a program that runs.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datafusion_landfall::metrics::METRICS;
use serde_json::Value;
use url::form_urlencoded;

use crate::landing::says;
use crate::program::{pipe, program, repository, signal};

fn examples() -> PathBuf {
    repository().join("examples/monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(examples().join(name)).unwrap()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").current_dir(examples()).args(arguments).output().unwrap();
    assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The names that begin like a metric's, or a rule's, in expressions.
fn names(text: &str) -> BTreeSet<&str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !is_of_name(c))
        .filter(|word| word.starts_with("landfall_") || word.starts_with("landfall:"))
        .map(|word| ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word))
        .collect()
}

/// The expressions of the dashboard's panels, for all tables and databases.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    expressions.map(|text| text.replace("$table", ".*").replace("$database", ".*")).collect()
}

#[test]
fn the_rules_are_what_prometheus_reads_and_alert_when_they_should() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "rules.test.yml"]);
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    let rules = read("rules.yml");
    let recorded = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    let there: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).chain(recorded).collect();
    let shown = dashboard().join("\n");
    for (of, text) in [("rules.yml", &rules), ("dashboard.json", &shown)] {
        let missing: Vec<_> = names(text).into_iter().filter(|name| !there.contains(name)).collect();
        assert_eq!(missing, [""; 0], "{of} names what is not there");
    }
    let unseen: Vec<_> = METRICS.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    let in_rules = names(&rules);
    let unseen: Vec<_> = unseen.into_iter().filter(|name| !in_rules.contains(name)).collect();
    assert_eq!(unseen, [""; 0], "nobody looks at these");
}

#[test]
fn an_address_that_cannot_be_had_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program(folder.path()).args(["sql", "--metrics", &address, "-c", "SELECT 1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    says(&text, &[&format!("could not serve metrics at {address}"), "in use", "use another address with --metrics"]);
    let output = program(folder.path()).args(["sql", "--metrics", "nowhere", "-c", "SELECT 1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    says(&String::from_utf8(output.stderr).unwrap(), &["--metrics", "127.0.0.1:9187"]);
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The body of an answer; `None` while nobody listens.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// What Prometheus says to an expression.
fn ask(port: u16, expression: &str) -> Vec<Value> {
    let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
    let body = get(port, &format!("/api/v1/query?query={query}")).unwrap_or_default();
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_ne!(answer["status"], "error", "{expression}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A stream is landed, Prometheus scrapes it by the example's configuration, and every panel has something to show.
#[test]
fn a_live_run_is_scraped_and_every_panel_has_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (1..20_000_u64).map(|number| {
        std::thread::sleep(Duration::from_millis(1));
        format!("{number},{}", 1_700_000_000 + number)
    });
    pipe(folder.path(), "observations.csv", lines);
    let script = std::fs::read_to_string(repository().join("sql/stream.sql")).unwrap();
    std::fs::write(folder.path().join("stream.sql"), script).unwrap();
    let mut landfall = program(folder.path());
    let landfall = landfall.args(["sql", "--metrics", "127.0.0.1:0", "stream.sql"]).stdin(Stdio::null());
    let mut landfall = Ends(landfall.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(landfall.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let served = lines.find_map(|line| line.strip_prefix("metrics at http://").map(str::to_owned)).unwrap();
    // Somebody reads on, so that it can write.
    let rest = std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
    let target = served.strip_suffix("/metrics").unwrap().to_owned();
    let scraped: u16 = target.rsplit_once(':').unwrap().1.parse().unwrap();

    let config = read("prometheus.yml").replace("127.0.0.1:9187", &target).replace("_interval: 5s", "_interval: 250ms");
    assert!(config.contains(&target) && config.contains("250ms"));
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    std::fs::copy(examples().join("rules.yml"), folder.path().join("rules.yml")).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut prometheus = Command::new("prometheus");
    prometheus.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    prometheus.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    let _prometheus = Ends(prometheus.arg(format!("--web.listen-address=127.0.0.1:{port}")).spawn().unwrap());

    until("committed epochs are counted", || !ask(port, "landfall_commits_total > 1").is_empty());
    for expression in dashboard() {
        until(&expression, || !ask(port, &expression).is_empty());
    }
    until("rows are counted", || !ask(port, "landfall:rows:rate1m{table=\"observed\"} > 0").is_empty());
    assert!(ask(port, "ALERTS{alertstate=\"firing\"}").is_empty(), "nothing is wrong, and there is an alert");
    let rules: Value = serde_json::from_str(&get(port, "/api/v1/rules").unwrap()).unwrap();
    for rule in rules["data"]["groups"][0]["rules"].as_array().unwrap() {
        assert_ne!(rule["health"], "err", "{rule}");
    }

    let text = get(scraped, "/metrics").unwrap();
    for metric in METRICS {
        says(&text, &[&format!("# TYPE {} {}", metric.name, format!("{:?}", metric.kind).to_lowercase())]);
    }
    let mut lint = Command::new("promtool");
    let mut lint = lint.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    lint.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let lint = lint.wait_with_output().unwrap();
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));

    signal(&landfall.0, "-TERM");
    assert!(landfall.0.wait().unwrap().success());
    says(&rest.join().unwrap(), &["the rows read so far are committed"]);
}
