//! The double of Oracle keeps the promises of a resource manager.

use std::sync::Arc;

use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::conformance::{Subject, check_all};
use datafusion_landfall_oracle::{Location, Oracle};

use crate::double::Double;

const LANDING: &str = "CREATE TABLE LANDING (ID NUMBER(18) PRIMARY KEY, NAME VARCHAR2(100 CHAR))";

/// A database, whose only table is LANDING.
pub(crate) fn landing(options: &SinkOptions) -> (tempfile::TempDir, Double, Oracle) {
    let folder = tempfile::tempdir().unwrap();
    let double = Double::open(&folder.path().join("oracle.db"));
    double.create(LANDING);
    let location = Location::try_new("oracle://scott@db.example/FREEPDB1", options).unwrap();
    let oracle = Oracle::try_new(location, Arc::new(double.clone()), options).unwrap();
    (folder, double, oracle)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_double_of_oracle_conforms() {
    check_all(|| {
        Box::pin(async {
            let (folder, double, oracle) = landing(&SinkOptions::new());
            Subject {
                rm: Arc::new(oracle),
                count: Box::new(move || {
                    let rows = double.committed("SELECT count(*) FROM LANDING")[0].parse().unwrap();
                    Box::pin(async move { rows })
                }),
                guard: Box::new(folder),
            }
        })
    })
    .await;
}
