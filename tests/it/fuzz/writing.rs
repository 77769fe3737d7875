//! Statements that write, answered by Landfall and by the database's own client on a copy of the table.

use std::collections::BTreeMap;

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use super::clients::Client;
use super::seeds;
use super::statements::{COLUMNS, Server, fill, statement};
use crate::dml::Place;
use crate::landing::Landing;
use crate::mysql::MySql;
use crate::postgres::Postgres;

/// What DataFusion does not plan, or Landfall refuses with what to write instead.
const REFUSED: [&str; 5] = [
    "Physical plan does not support logical expression",
    "is not implemented",
    "Correlated scalar subquery",
    "evaluates IN and EXISTS differently from standard SQL",
    "a subquery cannot be compared with another subquery",
];

fn rows_of(table: &str, server: Server) -> String {
    let day = match server {
        Server::Sqlite => "d",
        _ => "CAST(d AS CHAR(10))",
    };
    format!("SELECT id, a, b, w, CASE WHEN ok THEN 1 WHEN NOT ok THEN 0 END, {day} FROM {table} ORDER BY id")
}

/// Runs a statement by the front end, or as any session does.
async fn run(context: &SessionContext, sql: &str, by_front_end: bool) -> Result<(), DataFusionError> {
    let frame = match by_front_end {
        true => datafusion_landfall::sql(context, sql).await,
        false => context.sql(sql).await,
    };
    frame?.collect().await.map(drop)
}

async fn make(place: &Place, client: &mut Client, server: Server) {
    place.register("t", &format!("({COLUMNS})"), "").await;
    let source = COLUMNS.replacen(',', ", k BIGINT,", 1);
    place.register("src", &format!("({source})"), "").await;
    for (name, what) in [("up", "update"), ("ig", "ignore")] {
        place.register(name, "", &format!("'table' 't', 'on_conflict' '{what}'")).await;
    }
    let copy = match server {
        Server::Postgres => "CREATE TABLE c (LIKE t INCLUDING ALL)".to_owned(),
        Server::MySql => "CREATE TABLE c LIKE t".to_owned(),
        Server::Sqlite => {
            let made = client.run("SELECT sql FROM sqlite_master WHERE name = 't'").unwrap();
            made.join(" ").replacen("\"t\"", "\"c\"", 1)
        }
    };
    client.run(&copy).unwrap();
}

async fn agree(place: Place) {
    let (mut client, server) = Client::of(&place);
    make(&place, &mut client, server).await;
    let reference = Place::Postgres(Postgres::new(""));
    let (mut psql, _) = Client::of(&reference);
    make(&reference, &mut psql, Server::Postgres).await;

    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut failed, mut changed, mut differences) = (0, 0, Vec::new());
    let seeds = seeds(place.name(), 100);
    let all = seeds.end - seeds.start;
    for seed in seeds {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (rows, statement) = (fill(&mut rng), statement(&mut rng));
        // Of a plan it is not known what IS DISTINCT FROM was to take.
        let by_front_end = rng.bool() || statement.0[0].as_ref().is_some_and(|sql| sql.contains("DISTINCT FROM"));
        let before = client.run(&format!("{rows}; {}", rows_of("t", server))).unwrap();
        // What a database has no words for, PostgreSQL answers.
        let (expected, theirs) = match &statement.0[server as usize] {
            Some(sql) => (client.run(sql).and_then(|_| client.run(&rows_of("c", server))), sql),
            None => {
                psql.run(&rows).unwrap();
                let sql = statement.0[1].as_ref().unwrap();
                (psql.run(sql).and_then(|_| psql.run(&rows_of("c", Server::Postgres))), sql)
            }
        };
        for client in [&mut client, &mut psql] {
            client.run("DROP TABLE IF EXISTS o").unwrap();
        }
        let sql = statement.0[0].as_ref().unwrap();
        let done = run(place.context(), sql, by_front_end).await;
        let after = client.run(&rows_of("t", server)).unwrap();
        let where_it_is = format!(
            "{}: LANDFALL_TEST_SEED={seed} LANDFALL_TEST_FUZZ=1\nLandfall: {sql}\nbeside: {theirs}\nrows: {rows}",
            place.name()
        );
        match (done, expected) {
            (Ok(()), Ok(expected)) => {
                if after != expected {
                    differences.push(format!("{after:#?}\nand beside {expected:#?}\n{where_it_is}"));
                }
                changed += u64::from(after != before);
            }
            (Err(error), expected) => {
                assert_eq!(after, before, "a statement that failed has changed rows: {where_it_is}");
                let text = error.to_string();
                match (REFUSED.iter().find(|known| text.contains(*known)), expected) {
                    (Some(known), _) => *refused.entry(known).or_default() += 1,
                    (None, Err(_)) => failed += 1,
                    (None, Ok(_)) => differences.push(format!("{text}\nonly Landfall fails, {where_it_is}")),
                }
            }
            (Ok(()), Err(error)) => differences.push(format!("{error}\nonly the client fails, {where_it_is}")),
        }
    }
    println!(
        "{}: {all} statements: {changed} changed rows, {failed} failed in both, refused: {refused:?}",
        place.name()
    );
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n\n"));
    let refused: u64 = refused.values().sum();
    // About half of them change rows and 4 % are refused; a hundred may be far from it.
    assert!(all < 50 || changed * 5 > all && refused * 5 < all, "most statements prove nothing: {changed}, {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_write_what_sqlite_writes() {
    agree(Place::Sqlite(Landing::new(""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_write_what_postgresql_writes() {
    agree(Place::Postgres(Postgres::new(""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_write_what_mysql_writes() {
    agree(Place::MySql(MySql::new(""))).await;
}
