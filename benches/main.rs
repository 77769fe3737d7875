//! All benches in one binary, a module a topic; `cargo bench -- <topic>` runs one.

#![allow(unreachable_pub)]

mod columnar_vs_row;
mod events;
mod memory;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, columnar_vs_row::benches, memory::benches);
criterion_main!(benches);
