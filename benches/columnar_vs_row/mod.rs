//! Landfall's INSERT INTO against what one would write by hand for the same database, on the same rows, into the same
//! table.

pub mod postgres;
mod sqlite;

use criterion::Criterion;

use crate::server::LazyServer;

/// Rows of one measurement.
pub const ROWS: usize = 1_000_000;

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    sqlite::benches(criterion);
    postgres::benches(criterion, server);
}
