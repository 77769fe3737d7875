//! Landfall's INSERT INTO against what one would write by hand for the same database, on the same rows, into the same
//! table.

pub mod mysql;
pub mod postgres;
pub mod sqlite;

use criterion::Criterion;

use crate::figure;
use crate::mysql::LazyMySql;
use crate::server::LazyServer;

/// Rows of one measurement.
pub fn rows() -> usize {
    figure::rows(1_000_000)
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql: &LazyMySql) {
    sqlite::benches(criterion);
    postgres::benches(criterion, server);
    mysql::benches(criterion, mysql);
}
