//! Prints warnings of the library as notes on stderr.

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Notices;

impl Log for Notices {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("datafusion_landfall") && metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("note: {}", record.args());
        }
    }

    fn flush(&self) {}
}

pub(crate) fn install() {
    // Fails only if the process already has a logger, which then receives the notes.
    if log::set_logger(&Notices).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}
