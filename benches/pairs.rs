//! Two sides measured in pairs, one right after the other, so that what disturbs the machine disturbs both.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};

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
        let mut group = criterion.benchmark_group(self.name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
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
        self.print(pairs);
    }

    fn print(&self, mut pairs: Vec<(Duration, Duration)>) {
        let ratio = |(beside, landfall): &(Duration, Duration)| beside.as_secs_f64() / landfall.as_secs_f64();
        pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let Some(median) = pairs.get(pairs.len() / 2) else { return };
        let rate = |time: Duration| self.rows as f64 / time.as_secs_f64() / 1e6;
        let bar = self.bar.map(|bar| format!("; bar {bar:.2}")).unwrap_or_default();
        println!(
            "{}: the median of {} pairs is landfall {:.2} M rows/s, {} {:.2} M rows/s, ratio {:.2} \
             (quartiles {:.2} and {:.2}{bar})",
            self.name,
            pairs.len(),
            rate(median.1),
            self.beside,
            rate(median.0),
            ratio(median),
            ratio(&pairs[pairs.len() / 4]),
            ratio(&pairs[pairs.len() * 3 / 4]),
        );
    }
}
