//! Two sides measured in pairs, one right after the other, so that what disturbs the machine disturbs both.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

use crate::figure::{Bar, Figure, Unit};

/// A comparison of Landfall with something else that does the same.
pub struct Pairs<'a> {
    /// The name of the bench.
    pub name: &'a str,
    /// The name of the other side.
    pub beside: &'a str,
    /// Rows of one measurement.
    pub rows: usize,
    /// How many times as fast as the other side Landfall has to be, where it has to.
    pub bar: Option<f64>,
}

impl Pairs<'_> {
    /// Measures, unless another bench was asked for, and prints the pair whose ratio is the median.
    pub fn measure(&self, criterion: &mut Criterion, beside: impl Fn() -> Duration, landfall: impl Fn() -> Duration) {
        let mut pairs = Vec::new();
        let mut group = group(criterion, self.name);
        group.throughput(Throughput::Elements(self.rows as u64));
        group.bench_function("landfall", |bencher| {
            let mut pair = || {
                // Who comes second finds the caches as the other left them: they take turns.
                let (beside, landfall) = if pairs.len() % 2 == 0 {
                    let beside = beside();
                    (beside, landfall())
                } else {
                    let landfall = landfall();
                    (beside(), landfall)
                };
                pairs.push((beside, landfall));
                landfall
            };
            bencher.iter_custom(|iterations| (0..iterations).map(|_| pair()).sum());
        });
        group.finish();
        let rate = |time: Duration| self.rows as f64 / time.as_secs_f64();
        let (beside, landfall) = pairs.into_iter().map(|(beside, landfall)| (rate(beside), rate(landfall))).unzip();
        Figure::new(self.name, Unit::Rows, landfall).beside(self.beside, beside).bar(self.bar.map(Bar::Ratio)).print();
    }
}

/// A group of benches that take long each: as few runs as criterion makes.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    group
}

/// Measures something again and again, unless another bench was asked for; gives what each run brought.
pub fn repeat<T>(criterion: &mut Criterion, name: &str, mut run: impl FnMut() -> (Duration, T)) -> Vec<T> {
    let mut brought = Vec::new();
    let mut group = group(criterion, name);
    group.bench_function("landfall", |bencher| {
        bencher.iter_custom(|iterations| {
            let run = |_| {
                let (time, more) = run();
                brought.push(more);
                time
            };
            (0..iterations).map(run).sum()
        });
    });
    group.finish();
    brought
}
