//! All benches in one binary, a module a topic; `cargo bench -- <topic>` runs one.

#![allow(unreachable_pub)]

mod checkpoint;
mod columnar_vs_row;
mod compare;
mod concurrency;
mod encode;
mod events;
mod memory;
mod merge;
mod mysql;
mod pairs;
mod pool;
mod scan;
mod server;
mod transaction;
mod upsert;

use std::cell::LazyCell;

use criterion::Criterion;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() {
    // Stopped at the end of this function, whatever happens.
    let server = LazyCell::new(server::Server::start as fn() -> _);
    let mysql = LazyCell::new(mysql::MySql::start as fn() -> _);
    let mut criterion = Criterion::default().configure_from_args();
    compare::benches(&mut criterion);
    encode::benches(&mut criterion, &server, &mysql);
    columnar_vs_row::benches(&mut criterion, &server, &mysql);
    upsert::benches(&mut criterion, &server, &mysql);
    merge::benches(&mut criterion, &server);
    scan::benches(&mut criterion, &server);
    transaction::benches(&mut criterion, &server);
    checkpoint::benches(&mut criterion, &server, &mysql);
    pool::benches(&mut criterion, &server);
    concurrency::benches(&mut criterion);
    memory::benches(&mut criterion, &server);
    criterion.final_summary();
}
