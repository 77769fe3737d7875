//! The guide.
//!
//! | page | contents |
//! | --- | --- |
//! | [Start](start) | the first table, from Rust and from the shell; `CREATE EXTERNAL TABLE` |
//! | [Writing rows](writing) | INSERT, upserts, REPLACE INTO, INSERT OVERWRITE |
//! | [Jobs, checkpoints and streams](jobs) | running a statement once, committing it in parts, resuming it |
//! | [Setting bad rows aside](rejects) | rows that cannot be stored: limits, the table that stores them |
//! | [Several databases, several writers](several_databases) | FANOUT tables, two-phase commit, parallel writers |
//! | [Transactions](transactions) | BEGIN and COMMIT over several statements and databases |
//! | [Oracle](oracle) | the crate for Oracle Database, experimental |
//! | [On a cluster](distributed) | INSERT by the executors of Apache Ballista, as one transaction |
//! | [Loading files](loading) | `landfall load`: CSV, JSON, Parquet, Arrow; modes; types of new tables |
//! | [Attaching a database](attach) | ATTACH, USE, CREATE TABLE AS, ON CONFLICT |
//! | [Reading](reading) | SELECT, and what is computed in the database |
//! | [UPDATE, DELETE, MERGE and TRUNCATE](changing_rows) | changing rows |
//! | [Python](python) | the package `landfall`: DataFrames, streams, sessions, errors |
//! | [Options](options) | how to set them; [`SinkOptions`](crate::SinkOptions) lists them all |
//! | [Types and values](types) | what is stored for a value, and which values are errors |
//! | [Guarantees](guarantees) | what is guaranteed after an error or a crash, and what readers see |
//! | [Operations](operations) | status, recovery, metrics, alerts, connections, memory |
//! | [Speed](speed) | measuring, and making writes faster |
//! | [Writing a backend](crate::backend) | adding a database |
//! | [How it works](how_it_works) | the path of a batch, the protocol, the layout of the code |

#[doc = include_str!("../docs/start.md")]
pub mod start {}

#[doc = include_str!("../docs/writing.md")]
pub mod writing {}

#[doc = include_str!("../docs/jobs.md")]
pub mod jobs {}

#[doc = include_str!("../docs/rejects.md")]
pub mod rejects {}

#[doc = include_str!("../docs/several-databases.md")]
pub mod several_databases {}

#[doc = include_str!("../docs/transactions.md")]
pub mod transactions {}

#[doc = include_str!("../docs/distributed.md")]
pub mod distributed {}

#[doc = include_str!("../docs/oracle.md")]
pub mod oracle {}

#[doc = include_str!("../docs/loading.md")]
pub mod loading {}

#[doc = include_str!("../docs/evolution.md")]
pub mod evolution {}

#[doc = include_str!("../docs/attach.md")]
pub mod attach {}

#[doc = include_str!("../docs/reading.md")]
pub mod reading {}

#[doc = include_str!("../docs/changing-rows.md")]
pub mod changing_rows {}

#[doc = include_str!("../docs/python.md")]
pub mod python {}

#[doc = include_str!("../docs/options.md")]
pub mod options {}

#[doc = include_str!("../docs/types.md")]
#[doc = ""]
#[doc = include_str!("assignments.md")]
pub mod types {}

#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/operations.md")]
pub mod operations {}

#[doc = include_str!("../docs/speed.md")]
pub mod speed {}

#[doc = include_str!("../docs/how-it-works.md")]
pub mod how_it_works {}
