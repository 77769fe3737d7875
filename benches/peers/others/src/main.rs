//! The peers in Rust: loads events, which are in memory before, into a table that is there, and prints the seconds.
//!
//!     landfall-peers-others pgpq/postgres PLACE ROWS
//!     landfall-peers-others table-providers/postgres|mysql|sqlite|sqlite-prepared PLACE ROWS

// What else it has is for others.
#[allow(dead_code)]
#[path = "../../../events.rs"]
mod events;
#[path = "../../src/first.rs"]
mod first;
mod pgpq;
mod table_providers;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [load, place, rows] = &arguments[..] else { panic!("arguments: LOAD PLACE ROWS") };
    let batches = first::events(rows.parse().expect("a number of rows"));
    let seconds = match load.split_once('/') {
        Some(("pgpq", "postgres")) => pgpq::postgres(place, &batches).await,
        Some(("table-providers", database)) => table_providers::insert(database, place, batches).await,
        _ => panic!("no load is called {load}"),
    };
    println!("{seconds}");
}
