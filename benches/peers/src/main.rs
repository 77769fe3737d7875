//! Landfall and others that write Arrow batches to a database, in pairs, on the same rows and the same servers.
//!
//! Each side is a process of its own, which makes or reads the rows first and then prints the seconds of the load, from
//! the first connection to the commit. Landfall is one too: what a new process pays, both pay.

// What else it has is for others.
#[allow(dead_code)]
#[path = "../../events.rs"]
mod events;
mod first;
mod load;
#[path = "../../mysql.rs"]
mod mysql;
mod pairs;
#[path = "../../server.rs"]
mod server;
mod side;
mod table;

use std::process::ExitCode;

use pairs::{Pairs, Size};
use side::{Program, Side};
use table::{Journal, Key, Table, Tables};

/// One peer, on one kind of database.
struct Peer {
    /// The last part of the bench's name.
    name: &'static str,
    side: Side,
    size: Size,
    /// What it does differently, where the table does not show it.
    note: &'static str,
}

const fn peer(name: &'static str, label: &'static str, program: Program, load: &'static str) -> Peer {
    Peer { name, side: Side { label, program, load }, size: Size::Full, note: "" }
}

impl Peer {
    const fn slow(self) -> Self {
        Self { size: Size::Slow, ..self }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

const TABLE_PROVIDERS: &str = "datafusion-table-providers 0.15.1";

const POSTGRES: [Peer; 5] = [
    peer("ready", "COPY of ready bytes", Program::Own, "ready/postgres"),
    peer("pgpq", "pgpq 0.12 and tokio-postgres", Program::Others, "pgpq/postgres"),
    peer("adbc", "ADBC 1.13", Program::Python, "adbc/postgres"),
    peer("duckdb", "DuckDB 1.5.5", Program::Python, "duckdb/postgres"),
    peer("datafusion-table-providers", TABLE_PROVIDERS, Program::Others, "table-providers/postgres").slow(),
];

const MYSQL: [Peer; 3] = [
    peer("ready", "LOAD DATA of a ready file", Program::Own, "ready/mysql"),
    peer("duckdb", "DuckDB 1.5.5", Program::Python, "duckdb/mysql").slow(),
    peer("datafusion-table-providers", TABLE_PROVIDERS, Program::Others, "table-providers/mysql").slow(),
];

/// Those that leave the file as SQLite makes it: a rollback journal, `synchronous = FULL`.
const SQLITE: [Peer; 2] = [
    peer("adbc", "ADBC 1.13", Program::Python, "adbc/sqlite"),
    peer("duckdb", "DuckDB 1.5.5", Program::Python, "duckdb/sqlite"),
];

/// Those that set a write-ahead log and `synchronous = NORMAL`. Landfall gets the same beside them.
const SQLITE_WAL: [Peer; 2] = [
    peer("datafusion-table-providers", TABLE_PROVIDERS, Program::Others, "table-providers/sqlite")
        .note("both with a write-ahead log and synchronous = NORMAL"),
    peer(
        "datafusion-table-providers-prepared",
        "datafusion-table-providers 0.15.1 with prepared statements",
        Program::Others,
        "table-providers/sqlite-prepared",
    )
    .note("both with a write-ahead log and synchronous = NORMAL"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["load", load, place, rows] => {
            let seconds = load::seconds(load, place, rows.parse().expect("a number of rows"));
            println!("{seconds}");
            ExitCode::SUCCESS
        }
        [] => compare(""),
        [filter] => compare(filter),
        _ => {
            eprintln!("usage: benches/peers/run [FILTER]");
            ExitCode::FAILURE
        }
    }
}

/// Measures the comparisons whose name contains `filter`.
fn compare(filter: &str) -> ExitCode {
    let tables = Tables::default();
    let mut pairs = Pairs::new(filter);
    for (key, key_name) in [(Key::Primary, "primary_key"), (Key::None, "no_key")] {
        let postgres = table::Postgres { server: &tables.postgres, key };
        let mysql = table::MySql { server: &tables.mysql, key };
        let sqlite = table::Sqlite { folder: tables.folder.path(), key, journal: Journal::Rollback };
        let sqlite_wal = table::Sqlite { folder: tables.folder.path(), key, journal: Journal::WriteAhead };
        let groups: [(&str, &dyn Table, &str, &[Peer]); 4] = [
            ("postgres", &postgres, "landfall/postgres", &POSTGRES),
            ("mysql", &mysql, "landfall/mysql", &MYSQL),
            ("sqlite", &sqlite, "landfall/sqlite", &SQLITE),
            ("sqlite", &sqlite_wal, "landfall/sqlite-wal", &SQLITE_WAL),
        ];
        for (database, table, landfall, peers) in groups {
            let landfall = Side { label: "landfall", program: Program::Own, load: landfall };
            for peer in peers {
                let name = format!("peers/{database}/{key_name}/{}", peer.name);
                pairs.measure(&name, table, &landfall, peer);
            }
        }
    }
    pairs.finish()
}
