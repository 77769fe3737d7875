//! Everything that a user can see, against real databases, in one binary: a module a topic.

#![allow(unreachable_pub, clippy::disallowed_types, clippy::unwrap_used)]

mod assignment;
mod backend;
mod bench;
mod catalog;
mod checkpoints;
mod cluster;
mod conformance;
mod counts;
mod crash;
mod defaults;
mod distributed;
mod distributed_simulation;
mod dml;
mod failures;
mod filters;
mod formats;
mod fuzz;
mod group;
mod grouping;
mod insert;
mod job;
mod landing;
mod layers;
mod load;
mod locations;
mod memory;
mod messages;
mod monitoring;
mod mysql;
mod network;
mod object_log;
mod pool;
mod postgres;
mod program;
mod pushdown;
mod rejects;
mod simulation;
mod statements;
mod typed_files;
mod types;
mod upsert;
