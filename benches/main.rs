//! All benches in one binary, a module a topic; `cargo bench -- <topic>` runs one.

#![allow(unreachable_pub)]

mod checkpoint;
mod columnar_vs_row;
mod compare;
mod encode;
mod events;
mod memory;
mod mysql;
mod pairs;
mod scan;
mod server;
mod transaction;
mod upsert;

use std::cell::LazyCell;

use criterion::Criterion;

fn main() {
    // Stopped at the end of this function, whatever happens.
    let server = LazyCell::new(server::Server::start as fn() -> _);
    let mysql = LazyCell::new(mysql::MySql::start as fn() -> _);
    let mut criterion = Criterion::default().configure_from_args();
    compare::benches(&mut criterion);
    encode::benches(&mut criterion, &server, &mysql);
    columnar_vs_row::benches(&mut criterion, &server, &mysql);
    upsert::benches(&mut criterion, &server, &mysql);
    scan::benches(&mut criterion, &server);
    transaction::benches(&mut criterion, &server);
    checkpoint::benches(&mut criterion, &server, &mysql);
    memory::benches(&mut criterion, &server);
    criterion.final_summary();
}
