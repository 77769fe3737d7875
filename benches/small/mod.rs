//! Small statements on a session that is warm: one row as text and prepared, a thousand rows, and a transaction of ten
//! statements, each beside the same by a client that knows the table. Both sides take turns, statement by statement, in
//! the same table, and commit each one.

mod mysql;
mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;

use crate::events;
use crate::figure::{Bar, Figure, is_quick};
use crate::landing::Session;
use crate::mysql::LazyMySql;
use crate::pairs::repeat;
use crate::server::LazyServer;

/// Rows of the larger statement.
const ROWS: usize = 1_000;

/// At most, of one row by a prepared statement.
const ONE_ROW: Bar = Bar::Median(0.000_6);

/// A thousand rows take 1.3 times as long as the server needs, at most.
const MANY_ROWS: Bar = Bar::Ratio(1.0 / 1.3);

/// A transaction takes three times as long, at most.
const TRANSACTION: Bar = Bar::Ratio(1.0 / 3.0);

/// Statements that are not measured: connections open, and servers plan what they have not seen before.
const WARMING: i64 = 10;

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql_server: &LazyMySql) {
    postgres::benches(criterion, server);
    mysql::benches(criterion, mysql_server);
    sqlite::benches(criterion);
}

/// Statements of one measurement.
fn statements() -> i64 {
    if is_quick() { 20 } else { 60 }
}

/// Both sides of a comparison; each writes statement by statement, and is told the number of the statement.
struct Sides<'a> {
    name: &'a str,
    beside: &'a str,
    bar: Option<Bar>,
}

impl Sides<'_> {
    /// Measures both, unless another bench was asked for.
    async fn alternate(
        beside: &mut impl AsyncFnMut(i64) -> Duration,
        landfall: &mut impl AsyncFnMut(i64) -> Duration,
    ) -> Vec<(Duration, Duration)> {
        let mut pairs = Vec::new();
        for number in -WARMING..statements() {
            let [own, other] = [2 * number, 2 * number + 1];
            let pair = if number % 2 == 0 {
                let beside = beside(other).await;
                (landfall(own).await, beside)
            } else {
                (landfall(own).await, beside(other).await)
            };
            if number >= 0 {
                pairs.push(pair);
            }
        }
        pairs
    }

    fn measure(&self, criterion: &mut Criterion, run: impl Fn() -> Vec<(Duration, Duration)>) {
        let pairs = repeat(criterion, self.name, || {
            let pairs = run();
            (pairs.iter().map(|(own, _)| *own).sum(), pairs)
        });
        let (own, beside): (Vec<_>, Vec<_>) = pairs.into_iter().flatten().unzip();
        let beside = beside.into_iter().map(|time| time.as_secs_f64()).collect();
        Figure::times(self.name, own).beside(self.beside, beside).bar(self.bar).print();
    }
}

/// A session that has the table, and a thousand rows as `source`.
struct Warm {
    session: Session,
    rows: Vec<RecordBatch>,
}

impl Warm {
    /// PREPAREs `one`: an INSERT of one row, whose key is its parameter.
    async fn prepared(self) -> Self {
        let table = self.session.table();
        let prepare = format!("PREPARE one AS INSERT INTO {table} VALUES ($1, 5, 'view', 1.5, $2)");
        run(self.session.context(), &prepare).await;
        self
    }

    /// The time of one row by the text of its statement.
    async fn text(&self, id: i64) -> Duration {
        let insert = insert_of_one(self.session.table(), id);
        let began = Instant::now();
        run(self.session.context(), &insert).await;
        began.elapsed()
    }

    /// The time of one row by the prepared statement.
    async fn execute(&self, id: i64) -> Duration {
        let execute = format!("EXECUTE one({id}, TIMESTAMP '2026-01-01 00:00:00')");
        let began = Instant::now();
        run(self.session.context(), &execute).await;
        began.elapsed()
    }

    /// The time of a thousand rows, which nobody has written yet.
    async fn many(&self, number: i64) -> Duration {
        let number = usize::try_from(number + 2 * WARMING).expect("a number from 0 on");
        self.session.bring(self.rows[number].clone());
        self.session.write().await
    }
}

/// Thousands of rows, a batch for each statement of both sides.
fn thousands() -> Vec<RecordBatch> {
    let count = usize::try_from(2 * (WARMING + statements())).expect("a small number");
    events::cut(&events::batches(count * ROWS), ROWS)
}

/// An INSERT of one row, with constants for all its values.
fn insert_of_one(table: &str, id: i64) -> String {
    format!("INSERT INTO {table} VALUES ({id}, 5, 'view', 1.5, TIMESTAMP '2026-01-01 00:00:00')")
}

async fn run(context: &SessionContext, text: &str) {
    let frame = datafusion_landfall::sql(context, text).await.expect(text);
    frame.collect().await.expect(text);
}
