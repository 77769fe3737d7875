//! What memory landing takes: the peak of a program, and how often it is allocated.

mod allocations;
mod peak;

use criterion::Criterion;

pub use allocations::Counting;
pub use peak::peak_bytes;

use crate::mysql::LazyMySql;
use crate::server::LazyServer;

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql: &LazyMySql) {
    peak::benches(criterion, server);
    allocations::benches(criterion, server, mysql);
}
