//! Statements on a cluster, written into real databases: run with tests/ballista run, which starts them.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod changes;
mod cluster;
mod databases;
mod insert;
mod processes;
mod program;
mod programs;
mod tpch;
mod workers;
