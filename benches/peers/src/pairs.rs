//! Comparisons, measured in pairs, one side right after the other, so that what disturbs the machine disturbs both.

use std::cell::LazyCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::Peer;
use crate::first;
use crate::side::{Program, Side};
use crate::table::{COLUMNS, Stored, Table};

/// How many rows a pair has.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    Full,
    /// For a peer that takes many seconds for the others' rows. Landfall gets as few beside it.
    Slow,
}

/// The comparisons of one run.
pub struct Pairs<'a> {
    filter: &'a str,
    quick: bool,
    /// All events, as a file.
    file: LazyCell<NamedTempFile, Box<dyn FnOnce() -> NamedTempFile>>,
    measured: usize,
    left_out: usize,
    failed: usize,
}

impl<'a> Pairs<'a> {
    pub fn new(filter: &'a str) -> Self {
        let quick = std::env::var_os("LANDFALL_BENCH_QUICK").is_some_and(|quick| quick == "1");
        let file: Box<dyn FnOnce() -> _> = Box::new(move || parquet(rows(quick, Size::Full)));
        Self { filter, quick, file: LazyCell::new(file), measured: 0, left_out: 0, failed: 0 }
    }

    /// Measures, unless another comparison was asked for, prints it, and writes it down.
    pub fn measure(&mut self, name: &str, table: &dyn Table, landfall: &Side, peer: &Peer) {
        if !name.contains(self.filter) {
            return;
        }
        if peer.side.program == Program::Python && Side::python().is_none() {
            println!("{name}: left out, as there is no Python environment");
            self.left_out += 1;
            return;
        }
        let rows = rows(self.quick, peer.size);
        match self.pairs(rows, table, landfall, &peer.side) {
            Ok(result) => {
                result.print(name, peer);
                result.write_down(name, peer);
                self.measured += 1;
            }
            Err(error) => {
                println!("{name}: {error}");
                self.failed += 1;
            }
        }
    }

    /// Says whether all went well.
    pub fn finish(self) -> ExitCode {
        if self.measured + self.left_out + self.failed == 0 {
            println!("no comparison has {:?} in its name: try peers/postgres/primary_key", self.filter);
            return ExitCode::FAILURE;
        }
        println!("{} measured, {} left out, {} failed", self.measured, self.left_out, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn pairs(&self, rows: usize, table: &dyn Table, landfall: &Side, peer: &Side) -> Result<Measured, String> {
        let mut measured = Measured { rows, landfall: Vec::new(), peer: Vec::new(), stored: [Vec::new(), Vec::new()] };
        for pair in 0..if self.quick { 5 } else { 11 } {
            let mut load = |side: &Side| {
                table.create();
                let file = || self.file.path().to_owned();
                let seconds = side.seconds(&table.place(), rows, file);
                let seconds = seconds.ok_or_else(|| format!("failed: {} did not load the rows", side.label))?;
                let count = table.count();
                if count != rows as u64 {
                    return Err(format!("failed: {} loaded {count} rows instead of {rows}", side.label));
                }
                if pair == 0 {
                    measured.stored[usize::from(side.label == peer.label)] = table.stored();
                }
                table.drop();
                Ok(rows as f64 / seconds)
            };
            // Who comes second finds the caches as the other left them: they take turns.
            let (ours, theirs) = if pair % 2 == 0 {
                let theirs = load(peer)?;
                (load(landfall)?, theirs)
            } else {
                let ours = load(landfall)?;
                (ours, load(peer)?)
            };
            measured.landfall.push(ours);
            measured.peer.push(theirs);
        }
        Ok(measured)
    }
}

/// What came out: rows a second, and what is in the table afterwards.
struct Measured {
    rows: usize,
    landfall: Vec<f64>,
    peer: Vec<f64>,
    /// Each side's columns.
    stored: [Vec<Stored>; 2],
}

impl Measured {
    fn ratios(&self) -> [f64; 3] {
        quartiles(self.landfall.iter().zip(&self.peer).map(|(ours, theirs)| ours / theirs))
    }

    fn print(&self, name: &str, peer: &Peer) {
        let million = |rates: &[f64]| quartiles(rates.iter().copied())[1] / 1e6;
        let [low, median, high] = self.ratios();
        print!(
            "{name}: {} rows, medians of {} pairs are landfall {:.3} M rows/s, {} {:.3} M rows/s, ratio {median:.2} \
             (quartiles {low:.2} and {high:.2})",
            self.rows,
            self.peer.len(),
            million(&self.landfall),
            peer.side.label,
            million(&self.peer),
        );
        if !peer.note.is_empty() {
            print!("; {}", peer.note);
        }
        let [ours, theirs] = &self.stored;
        for ((column, ours), theirs) in COLUMNS.iter().zip(ours).zip(theirs) {
            if ours.digest != theirs.digest {
                print!("; {column} is {} in Landfall's first row and {} in the peer's", ours.sample, theirs.sample);
            }
        }
        println!();
    }

    fn write_down(&self, name: &str, peer: &Peer) {
        let Some(file) = std::env::var_os("LANDFALL_BENCH_RESULTS").filter(|file| !file.is_empty()) else { return };
        let [low, value, high] = quartiles(self.landfall.iter().copied());
        let [_, beside, _] = quartiles(self.peer.iter().copied());
        let line = json!({
            "name": name,
            "unit": "rows/s",
            "better": "higher",
            "value": value.round(),
            "low": low.round(),
            "high": high.round(),
            "beside": { "name": peer.side.label, "value": beside.round() },
            "ratio": self.ratios().map(|ratio| (ratio * 1e3).round() / 1e3),
        });
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the file that LANDFALL_BENCH_RESULTS names");
    }
}

/// The first quartile, the median, and the third.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

fn rows(quick: bool, size: Size) -> usize {
    match (quick, size) {
        (false, Size::Full) => 1_000_000,
        (true, Size::Full) | (false, Size::Slow) => 200_000,
        (true, Size::Slow) => 50_000,
    }
}

/// The events as a file, which Python reads.
fn parquet(rows: usize) -> NamedTempFile {
    let file = tempfile::Builder::new().suffix(".parquet").tempfile().expect("a temporary file");
    // Two partitions would come into the file in turns, and their keys out of order.
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let frame = context.read_batches(first::events(rows)).expect("a source");
    let path = file.path().to_str().expect("a path");
    let options = DataFrameWriteOptions::new().with_single_file_output(true);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(frame.write_parquet(path, options, None)).expect("a file");
    file
}
