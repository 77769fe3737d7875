//! PostgreSQL keeps the promises of a resource manager.

use std::sync::Arc;

use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::{conformance::Subject, conformance::check_all};
use datafusion_landfall::postgres::Postgres as Database;

use super::{Postgres, psql_in};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    check_all(|| {
        Box::pin(async {
            let server = Postgres::with_database("CREATE TABLE landing (id bigint PRIMARY KEY, name text)");
            let database = server.database.clone();
            Subject {
                rm: Arc::new(Database::try_new(&server.url(), &SinkOptions::new()).unwrap()),
                count: Box::new(move || {
                    let rows =
                        psql_in(&database, "public", "SELECT count(*) FROM landing").unwrap()[0].parse().unwrap();
                    Box::pin(async move { rows })
                }),
                guard: Box::new(server),
            }
        })
    })
    .await;
}
