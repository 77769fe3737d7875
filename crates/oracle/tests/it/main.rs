//! Tests of the Oracle backend on a double of the server. They show that the backend keeps the protocol with a server that
//! behaves as its authors understand Oracle's manuals.

#![allow(clippy::unwrap_used, clippy::disallowed_types)]

mod conformance;
mod crash;
mod double;
mod golden;
#[cfg(feature = "driver")]
mod live;
mod session;
mod simulation;
mod sql;
mod xa;
