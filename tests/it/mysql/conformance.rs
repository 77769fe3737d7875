//! MySQL keeps the promises of a resource manager.

use std::sync::Arc;

use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::{conformance::Subject, conformance::check_all};
use datafusion_landfall::mysql::MySql as Database;

use super::client;
use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn mysql_conforms() {
    // Prepared branches are those of a whole server.
    let (_cluster, url) = Cluster::start("mysql");
    check_all(|| {
        let url: url::Url = url.parse().unwrap();
        Box::pin(async move {
            let setup = "DROP TABLE IF EXISTS landing, landfall_ledger; \
                         CREATE TABLE landing (id bigint PRIMARY KEY, name text)";
            client(&url, "landfall", setup).unwrap();
            Subject {
                rm: Arc::new(Database::try_new(url.as_str(), &SinkOptions::new()).unwrap()),
                count: Box::new(move || {
                    let rows = client(&url, "landfall", "SELECT count(*) FROM landing").unwrap()[0].parse().unwrap();
                    Box::pin(async move { rows })
                }),
                guard: Box::new(()),
            }
        })
    })
    .await;
}
