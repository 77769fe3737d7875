//! The databases that a URL can name: the databases of this build, and the registered backends of other crates.

use std::sync::{Arc, LazyLock};

use dashmap::DashMap;

use crate::backend::{Backend, BackendFactory, DecisionLog};
use crate::error::{Error, Result};
use crate::log::ObjectStoreLog;
use crate::options::{BackendOption, SinkOptions};

macro_rules! built_in {
    ($($feature:literal $names:expr, $factory:path;)*) => {
        /// The databases that this crate can be built with: each feature and its names.
        pub(crate) const FEATURES: &[(&str, &[&str])] = &[$(($feature, &$names)),*];

        /// The databases of this build.
        fn built_in() -> Vec<Arc<dyn BackendFactory>> {
            let built_in: &[Option<Arc<dyn BackendFactory>>] = &[$({
                #[cfg(feature = $feature)]
                let factory = Some(Arc::new($factory) as _);
                #[cfg(not(feature = $feature))]
                let factory = None;
                factory
            }),*];
            built_in.iter().flatten().cloned().collect()
        }
    };
}

built_in! {
    "sqlite" ["sqlite"], crate::sqlite::SqliteFactory;
    "postgres" ["postgres", "postgresql"], crate::postgres::PostgresFactory;
    "mysql" ["mysql", "mariadb"], crate::mysql::MySqlFactory;
}

/// The factories by name. They belong to the process, not to a session, because only a URL names the log of a job, or the
/// database of `landfall recover`.
static REGISTERED: LazyLock<DashMap<&'static str, Arc<dyn BackendFactory>>> = LazyLock::new(|| {
    let named =
        |factory: Arc<dyn BackendFactory>| factory.names().iter().map(move |name| (*name, Arc::clone(&factory)));
    built_in().into_iter().flat_map(named).collect()
});

/// Names that already have a meaning in STORED AS: FANOUT tables, and DataFusion's file formats.
const RESERVED: &[&str] = &["fanout", "arrow", "avro", "csv", "json", "ndjson", "parquet"];

/// Registers a factory for URLs that begin with its names, for the whole process. It replaces earlier factories of the
/// same names.
///
/// # Errors
/// `Config` for a name that is not a valid URL scheme, and for a reserved name.
pub(crate) fn add(factory: &Arc<dyn BackendFactory>) -> Result<()> {
    let is_scheme = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
    };
    if factory.names().is_empty() {
        return Err(Error::config(format!("{factory:?} has no name, but STORED AS and URLs require a name")));
    }
    if let Some(name) = factory.names().iter().find(|name| !is_scheme(name)) {
        return Err(Error::config(format!(
            "invalid database name '{name}': its URLs begin with the name, so use a lower-case letter, followed by lower-case \
             letters, digits, '+', '-' and '.'"
        )));
    }
    if let Some(name) = factory.names().iter().find(|name| RESERVED.contains(name)) {
        let upper = name.to_uppercase();
        return Err(Error::config(format!(
            "database name '{name}' is reserved: STORED AS {upper} has another meaning"
        )));
    }
    for name in factory.names() {
        REGISTERED.insert(name, Arc::clone(factory));
    }
    Ok(())
}

/// Opens the database that a URL names.
///
/// # Errors
/// `Config` for an unknown scheme, or a scheme whose feature is not enabled.
pub fn database(url: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
    match factory_of(url) {
        Some(factory) => open(factory.as_ref(), url, options),
        None => Err(missing(scheme(url)).unwrap_or_else(|| {
            let mut known: Vec<_> = REGISTERED.iter().map(|entry| entry.value().example()).collect();
            known.sort();
            known.dedup();
            Error::config(format!("unknown database URL: use a URL such as {}", known.join(" or ")))
        })),
    }
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

fn factory_of(url: &str) -> Option<Arc<dyn BackendFactory>> {
    REGISTERED.get(scheme(url)).map(|entry| Arc::clone(entry.value()))
}

/// The options that the kind of database of a URL has in addition.
pub(crate) fn options_of(url: &str) -> &'static [BackendOption] {
    factory_of(url).map(|factory| factory.options()).unwrap_or_default()
}

/// The factories of the process, by name.
pub(crate) fn all() -> Vec<(&'static str, Arc<dyn BackendFactory>)> {
    REGISTERED.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect()
}

/// Opens a database, and checks the options that only one kind of database has.
///
/// # Errors
/// `Config` for an option that this kind of database does not have. Errors of the factory.
pub(crate) fn open(factory: &dyn BackendFactory, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
    options.check_own(factory.options())?;
    factory.open(location, options)
}

/// The error of a build without the database of this name; `None` if this crate has no database of this name.
pub(crate) fn missing(name: &str) -> Option<Error> {
    let (feature, names) = FEATURES.iter().find(|(_, names)| names.contains(&name))?;
    Some(Error::config(format!(
        "this build of datafusion-landfall does not support {}: add the feature \"{feature}\" in Cargo.toml",
        names[0].to_uppercase()
    )))
}

/// The options that only one kind of database has, by the name of the database.
pub fn backend_options() -> Vec<(&'static str, &'static [BackendOption])> {
    let mut factories: Vec<_> = REGISTERED.iter().map(|entry| Arc::clone(entry.value())).collect();
    factories.sort_by_key(|factory| factory.names());
    factories.dedup_by_key(|factory| factory.names());
    let options = |factory: Arc<dyn BackendFactory>| Some((*factory.names().first()?, factory.options()));
    factories.into_iter().filter_map(options).filter(|(_, options)| !options.is_empty()).collect()
}

/// Opens the decision log that a URL names: an object store, or the ledger of a database.
///
/// # Errors
/// `Config` for an invalid URL, and for a database without a ledger.
pub fn decision_log(url: &str, options: &SinkOptions) -> Result<Arc<dyn DecisionLog>> {
    if ObjectStoreLog::knows(url) {
        return Ok(Arc::new(ObjectStoreLog::try_new(url)?));
    }
    let of_log = |error: Error| error.with_context("opening the decision log");
    // The log can be in another kind of database, which does not have the options of the table's database.
    let mut options = options.clone();
    options.keep_own(options_of(url));
    let database = database(url, &options).map_err(of_log)?;
    database.decision_log().ok_or_else(|| of_log(without_ledger(database.as_ref())))
}

/// The error of a database without a ledger.
pub fn without_ledger(database: &dyn Backend) -> Error {
    Error::config(format!(
        "{} has no ledger: set the option 'log' or --log to the URL of a folder, of an object store, or of a database with a \
         ledger",
        database.location()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_something_else_is_refused() {
        #[derive(Debug)]
        struct Fanout;

        impl BackendFactory for Fanout {
            fn names(&self) -> &'static [&'static str] {
                &["fanout"]
            }

            fn open(&self, _: &str, _: &SinkOptions) -> Result<Arc<dyn Backend>> {
                Err(Error::internal("nothing to open"))
            }
        }

        let factory: Arc<dyn BackendFactory> = Arc::new(Fanout);
        let error = add(&factory).expect_err("it is reserved").to_string();
        assert!(error.contains("'fanout'") && error.contains("STORED AS FANOUT"), "{error}");
        assert!(database("fanout:x", &SinkOptions::new()).is_err());
    }

    #[test]
    fn a_database_that_is_not_built_names_its_feature() {
        let manifest = include_str!("../Cargo.toml");
        for (feature, names) in FEATURES {
            assert!(manifest.contains(&format!("\n{feature} = [")), "Cargo.toml has no feature {feature}");
            let built = built_in().into_iter().find(|factory| factory.names()[0] == names[0]);
            for name in *names {
                assert!(built.as_ref().is_none_or(|factory| factory.names().contains(name)));
                let url = format!("{name}:x");
                let error = match &built {
                    Some(_) => missing(name).expect("it is one of this crate's"),
                    None => database(&url, &SinkOptions::new()).map(drop).expect_err("it is not built"),
                };
                assert!(error.to_string().contains(&format!("add the feature \"{feature}\"")), "{error}");
            }
        }
    }
}
