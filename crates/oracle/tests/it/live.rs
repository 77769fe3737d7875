//! The conformance suite, and round trips of values, on a live server: tests/oracle live

use std::sync::Arc;

use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::conformance::{Subject, check_all};
use datafusion_landfall_oracle::session::{Connect, Datum, Session};
use datafusion_landfall_oracle::{Driver, Location, Oracle, register};

use crate::session::{rows, run};

const URL: &str = "LANDFALL_TEST_ORACLE_URL";
const PASSWORD: &str = "LANDFALL_TEST_ORACLE_PASSWORD";

fn url() -> String {
    std::env::var(URL).unwrap_or_else(|_| panic!("{URL} is not set: run tests/oracle live"))
}

fn options() -> SinkOptions {
    SinkOptions::try_from_pairs([("password_env", PASSWORD)]).unwrap()
}

fn session() -> Box<dyn Session> {
    let (location, options) = (Location::try_new(&url(), &options()).unwrap(), options());
    Driver::try_new(&location, &options).unwrap().connect().unwrap()
}

/// Drops a table, if there is one, and creates it.
fn recreate(name: &str, ddl: &str) {
    let mut session = session();
    // ORA-00942 if there is none.
    let _ = session.execute(&format!("DROP TABLE {name}"), &[]);
    session.execute(ddl, &[]).unwrap();
    session.close();
}

fn count() -> usize {
    let (mut session, mut count) = (session(), String::new());
    let read = &mut |row: Vec<Datum>| {
        let Some(Datum::Number(number)) = row.into_iter().next() else { panic!() };
        count = number;
        std::ops::ControlFlow::Break(())
    };
    session.query("SELECT COUNT(*) FROM LANDING", &[], 2, read).unwrap();
    session.close();
    count.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: tests/oracle live"]
async fn live_the_server_conforms() {
    check_all(|| {
        Box::pin(async {
            let fresh = tokio::task::spawn_blocking(|| {
                recreate("LANDING", "CREATE TABLE LANDING (ID NUMBER(18) PRIMARY KEY, NAME VARCHAR2(100 CHAR))");
                let _ = session().execute("DROP TABLE LANDFALL_LEDGER", &[]);
            });
            fresh.await.unwrap();
            let (options, location) = (options(), Location::try_new(&url(), &options()).unwrap());
            let driver = Driver::try_new(&location, &options).unwrap();
            Subject {
                rm: Arc::new(Oracle::try_new(location, Arc::new(driver), &options).unwrap()),
                count: Box::new(|| Box::pin(async { tokio::task::spawn_blocking(count).await.unwrap() })),
                guard: Box::new(()),
            }
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: tests/oracle live"]
async fn live_values_survive_the_server() {
    recreate(
        "LANDFALL_VALUES",
        "CREATE TABLE LANDFALL_VALUES (ID NUMBER(9) PRIMARY KEY, A NUMBER(19), B NUMBER(38, 10), C BINARY_DOUBLE, \
         D BINARY_FLOAT, E VARCHAR2(20 CHAR), F NVARCHAR2(20), G DATE, H TIMESTAMP(9), I TIMESTAMP(6) WITH TIME ZONE, \
         J TIMESTAMP(6) WITH LOCAL TIME ZONE, K RAW(20), L CLOB, M BLOB, N NUMBER)",
    );
    register().unwrap();
    let context = datafusion::prelude::SessionContext::new();
    datafusion_landfall::register(&context);
    let create = format!(
        "CREATE EXTERNAL TABLE v STORED AS ORACLE LOCATION '{}' OPTIONS ('table' 'landfall_values', 'password_env' '{PASSWORD}')",
        url()
    );
    run(&context, &create).await.unwrap();
    let values = "1, -9223372036854775808, -1234567890123456789012345678.0123456789, -1.5e300, 0.25, 'äöü🙂', 'äöü🙂', \
         '0001-01-01 23:59:59', '2024-01-31 12:00:00.123456789', '9999-12-31T23:59:59.999999Z', '1969-12-31T23:59:59.000001Z', \
         X'00ff', 'text', X'01', 0.05";
    run(&context, &format!("INSERT INTO v VALUES ({values}), (2{})", ", NULL".repeat(14))).await.unwrap();
    assert_eq!(
        rows(&context, "SELECT * FROM v ORDER BY id").await.unwrap(),
        [
            "1|-9223372036854775808|-1234567890123456789012345678.0123456789|-1.5e300|0.25|äöü🙂|äöü🙂|0001-01-01T23:59:59|\
             2024-01-31T12:00:00.123456789|9999-12-31T23:59:59.999999Z|1969-12-31T23:59:59.000001Z|00ff|text|01|0.0500000000",
            "2||||||||||||||"
        ]
    );
    assert_eq!(rows(&context, "SELECT id FROM v WHERE i = '9999-12-31T23:59:59.999999Z'").await.unwrap(), ["1"]);
}
