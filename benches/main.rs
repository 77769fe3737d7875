//! All benches in one binary, a module a topic; `cargo bench -- <topic>` runs one.

#![allow(unreachable_pub, clippy::disallowed_types)]

mod batching;
mod checkpoint;
mod columnar_vs_row;
mod compare;
mod concurrency;
mod distributed;
mod encode;
mod events;
mod figure;
mod gate;
mod indexes;
mod landing;
mod latency;
mod memory;
mod merge;
mod mysql;
mod pairs;
mod pool;
mod rejects;
mod scan;
mod semi_join;
mod server;
mod small;
mod throughput;
mod transaction;
mod upsert;
mod watched;

use std::cell::LazyCell;

use criterion::Criterion;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() {
    // Stopped at the end of this function, whatever happens.
    let server = LazyCell::new(server::Server::start as fn() -> _);
    let mysql = LazyCell::new(mysql::MySql::start as fn() -> _);
    if let Some(asked) = gate::asked() {
        return gate::run(&asked, &server, &mysql);
    }
    let mut criterion = Criterion::default().configure_from_args();
    compare::benches(&mut criterion);
    encode::benches(&mut criterion, &server, &mysql);
    columnar_vs_row::benches(&mut criterion, &server, &mysql);
    throughput::benches(&mut criterion, &server);
    latency::benches(&mut criterion, &server, &mysql);
    small::benches(&mut criterion, &server, &mysql);
    batching::benches(&mut criterion, &server);
    upsert::benches(&mut criterion, &server, &mysql);
    merge::benches(&mut criterion, &server);
    semi_join::benches(&mut criterion, &server, &mysql);
    scan::benches(&mut criterion, &server);
    transaction::benches(&mut criterion, &server);
    checkpoint::benches(&mut criterion, &server, &mysql);
    pool::benches(&mut criterion, &server);
    indexes::benches(&mut criterion, &server);
    rejects::benches(&mut criterion, &server, &mysql);
    concurrency::benches(&mut criterion, &server);
    distributed::benches(&mut criterion, &server);
    memory::benches(&mut criterion, &server, &mysql);
    criterion.final_summary();
}
