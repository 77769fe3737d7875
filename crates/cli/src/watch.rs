//! Serves the program's metrics over HTTP, and prints its spans on stderr.

use std::net::{SocketAddr, TcpListener};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::message::Failure;
use datafusion_landfall::metrics::{Kind, METRICS, describe};

/// The upper bounds of a histogram's buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Serves metrics in the format of Prometheus while the program runs. Must be called in its runtime, before tables are
/// registered.
pub(crate) fn serve_metrics(address: SocketAddr) -> Result<(), Failure> {
    let cannot = |why: &dyn std::fmt::Display| {
        Failure::new(format!("could not serve metrics at {address}: {why}; use another address with --metrics"))
    };
    // Binding here reports an error, and the port if the system chooses it.
    let bound = TcpListener::bind(address).and_then(|listener| listener.local_addr()).map_err(|why| cannot(&why))?;
    let mut exporter = PrometheusBuilder::new().with_http_listener(bound);
    for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Histogram) {
        let name = Matcher::Full(metric.name.to_owned());
        exporter = exporter.set_buckets_for_metric(name, BUCKETS).map_err(|why| cannot(&why))?;
    }
    exporter.install().map_err(|why| cannot(&why))?;
    describe();
    eprintln!("metrics at http://{bound}/metrics");
    Ok(())
}

/// Prints each completed step of a write, and its duration, on stderr.
pub(crate) fn show_spans() {
    let own = Targets::new().with_target("datafusion_landfall", LevelFilter::DEBUG);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
    // Fails only if the process already has a subscriber, which then receives the spans.
    let _ = tracing_subscriber::registry().with(lines.with_filter(own)).try_init();
}
