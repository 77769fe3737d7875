//! A session of DataFusion with tables in doubles: each service is a double of its own.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use datafusion_landfall::{register, register_backend, sql};
use datafusion_landfall_oracle::OracleFactory;

use crate::double::Double;

/// The variable that tells a child process where the doubles are.
pub(crate) const FOLDER: &str = "LANDFALL_TEST_DOUBLES";

/// The folder of the doubles. The registry of databases belongs to the process, and so does it.
static DOUBLES: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os(FOLDER) {
    Some(folder) => folder.into(),
    None => {
        // A static is not dropped: the next run removes what this one leaves.
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle-doubles");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
});

/// The folder of the doubles.
pub(crate) fn folder() -> &'static PathBuf {
    &DOUBLES
}

/// The double of a service.
pub(crate) fn double(service: &str) -> Double {
    Double::open(&folder().join(format!("{service}.db")))
}

/// A session in which `STORED AS ORACLE` is a double.
pub(crate) fn context() -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    let factory = OracleFactory::new(|location, _| Ok(Arc::new(double(&location.service))));
    register_backend(&context, Arc::new(factory)).unwrap();
    context
}

/// Runs a statement, and returns its result as a table.
pub(crate) async fn run(context: &SessionContext, statement: &str) -> Result<String> {
    let batches = sql(context, statement).await?.collect().await?;
    Ok(pretty_format_batches(&batches)?.to_string())
}

/// The rows of a query, their values separated by `|`.
pub(crate) async fn rows(context: &SessionContext, query: &str) -> Result<Vec<String>> {
    let table = run(context, query).await?;
    let lines = table.lines().skip(3).filter(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|");
    Ok(lines.map(cells).collect())
}

/// Registers a table of a service.
pub(crate) async fn table(context: &SessionContext, name: &str, service: &str, options: &str) {
    let create = format!(
        "CREATE EXTERNAL TABLE {name} STORED AS ORACLE LOCATION 'oracle://scott@db.example/{service}' OPTIONS ({options})"
    );
    run(context, &create).await.unwrap();
}
