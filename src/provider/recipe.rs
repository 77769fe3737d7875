//! A table as data, from which another process opens it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use arrow::datatypes::SchemaRef;
use dashmap::DashMap;
use serde_json::{Value, json};

use super::table::LandfallTable;
use crate::backend::{Backend, NewTable};
use crate::error::{Error, ErrorKind, Result};
use crate::log::ObjectStoreLog;
use crate::options::{BackendOption, SinkOptions};
use crate::registry::{database, options_of};

/// A table or a node of a plan as data.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is, in JSON. It contains no password.
    pub text: String,
    /// The schemas to which the text refers by their number.
    pub schemas: Vec<SchemaRef>,
}

/// The processes of a statement have the same version: what a member of a recipe means may change between versions.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Recipe {
    pub(super) fn new(mut recipe: Value, schemas: Vec<SchemaRef>) -> Self {
        recipe["version"] = VERSION.into();
        Self { text: recipe.to_string(), schemas }
    }

    /// The JSON object of a recipe.
    ///
    /// # Errors
    /// `Decode` if another version of this crate made it.
    pub(super) fn parse(&self) -> Result<Value> {
        let recipe: Value = serde_json::from_str(&self.text).map_err(|error| invalid().with_source(error))?;
        if recipe["version"] == VERSION { Ok(recipe) } else { Err(invalid()) }
    }
}

/// What a table is opened with.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) database: Arc<dyn Backend>,
    pub(super) options: Arc<SinkOptions>,
    /// The columns of the table, in the types in which they are read.
    pub(super) schema: SchemaRef,
}

/// A table, for another process.
#[derive(Debug, Clone)]
pub(super) struct TableRecipe {
    url: String,
    table: String,
    options: SinkOptions,
    schema: SchemaRef,
}

/// The error of a text that is no recipe.
pub(super) fn invalid() -> Error {
    Error::new(
        ErrorKind::Decode,
        "this process cannot read the description of a table in the plan: use the same version of Landfall in all \
         processes",
    )
}

/// A text of a JSON object.
pub(super) fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(invalid)
}

/// The elements of a JSON array.
pub(super) fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().ok_or_else(invalid)
}

/// The options of a table.
pub(super) fn options_to_json(options: &SinkOptions) -> Value {
    let mut pairs = options.pairs();
    // A name in a list of names may contain a comma.
    pairs.retain(|(key, _)| key != "conflict_key");
    json!({ "pairs": pairs, "conflict_key": options.conflict_key })
}

/// The options of a table; `own` are those of its backend.
pub(super) fn options_of_json(options: &Value, own: &[BackendOption]) -> Result<SinkOptions> {
    let pairs = list(&options["pairs"])?.iter().map(|pair| pair[0].as_str().zip(pair[1].as_str()));
    let pairs = pairs.collect::<Option<Vec<_>>>().ok_or_else(invalid)?;
    let mut read = SinkOptions::try_from_pairs_for(pairs, own)?;
    read.conflict_key = list(&options["conflict_key"])?.iter().map(text).collect::<Result<_>>()?;
    Ok(read)
}

/// The schema to which a JSON number refers.
pub(super) fn schema_at(number: &Value, schemas: &[SchemaRef]) -> Result<SchemaRef> {
    let index = number.as_u64().and_then(|index| usize::try_from(index).ok());
    index.and_then(|index| schemas.get(index)).cloned().ok_or_else(invalid)
}

/// Adds a schema; returns its number.
pub(super) fn add(schema: &SchemaRef, schemas: &mut Vec<SchemaRef>) -> usize {
    schemas.push(Arc::clone(schema));
    schemas.len() - 1
}

impl TableRecipe {
    /// # Errors
    /// `Config` for a password in a URL, and for a decision log that other machines cannot read. `Unsupported` for a
    /// database that they cannot open.
    pub(super) fn try_new(origin: &Origin, table: &str) -> Result<Self> {
        let Origin { database, options, schema } = origin;
        let url = database.shared_url()?;
        let mut options = options.as_ref().clone();
        options.log = options.log.take().map(|log| shared_log(&log, &options)).transpose()?;
        // The name is known, in the database's own spelling.
        options.table = None;
        Ok(Self { url, table: table.to_owned(), options, schema: Arc::clone(schema) })
    }

    pub(super) fn to_json(&self, schemas: &mut Vec<SchemaRef>) -> Value {
        json!({
            "url": self.url,
            "table": self.table,
            "options": options_to_json(&self.options),
            "schema": add(&self.schema, schemas),
        })
    }

    pub(super) fn of_json(recipe: &Value, schemas: &[SchemaRef]) -> Result<Self> {
        let url = text(&recipe["url"])?;
        let options = options_of_json(&recipe["options"], options_of(&url))?;
        Ok(Self { url, table: text(&recipe["table"])?, options, schema: schema_at(&recipe["schema"], schemas)? })
    }

    /// The name of the table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its database. The statements of this process share it, and the connections of its pool, as long as one of them exists:
    /// a scheduler keeps the plans of statements that have ended, and would keep a pool for each.
    fn database(&self) -> Result<Arc<dyn Backend>> {
        static OPENED: LazyLock<DashMap<String, Weak<dyn Backend>>> = LazyLock::new(DashMap::new);
        let key = format!("{} {}", self.url, options_to_json(&self.options));
        if let Some(opened) = OPENED.get(&key).and_then(|opened| opened.upgrade()) {
            return Ok(opened);
        }
        let opened = database(&self.url, &self.options)?;
        OPENED.retain(|_, opened| opened.strong_count() > 0);
        OPENED.insert(key, Arc::downgrade(&opened));
        Ok(opened)
    }

    /// Opens the table in this process.
    pub(super) async fn open(&self) -> Result<LandfallTable> {
        let database = self.database()?;
        let table = LandfallTable::open(Arc::clone(&database), &self.table, self.options.clone()).await?;
        if table.schema.fields() == self.schema.fields() {
            return Ok(table);
        }
        // The statement that registered it gave other types for the same columns.
        let wanted = NewTable {
            name: self.table.clone(),
            schema: Arc::clone(&self.schema),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            defaults: HashMap::new(),
        };
        LandfallTable::open_or_create(database, wanted, self.options.clone()).await
    }
}

impl LandfallTable {
    /// What it was opened with.
    pub(super) fn origin(&self) -> Origin {
        let Self { database, options, schema, .. } = self;
        Origin { database: Arc::clone(database), options: Arc::new(options.clone()), schema: Arc::clone(schema) }
    }

    /// The table for another process.
    ///
    /// # Errors
    /// As [`TableRecipe::try_new`]. `Unsupported` for a table that the statement creates.
    pub(super) fn recipe(&self) -> Result<TableRecipe> {
        if self.new.is_some() || self.is_created {
            let text = format!(
                "the statement creates table {}, which is not supported on a cluster: create the table first",
                self.table().name
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        TableRecipe::try_new(&self.origin(), &self.table().name)
    }
}

/// The URL with which another machine opens a decision log.
pub(super) fn shared_log(log: &str, options: &SinkOptions) -> Result<String> {
    if !ObjectStoreLog::knows(log) {
        let mut options = options.clone();
        options.keep_own(options_of(log));
        let shared = database(log, &options).and_then(|database| database.shared_url());
        return shared.map_err(|error| error.with_context("the decision log"));
    }
    if log.starts_with("file:") {
        return Err(Error::config(format!(
            "the decision log {log} is a folder of one machine, so it cannot be used on a cluster: use an object \
             store, or remove the option 'log'"
        )));
    }
    Ok(log.to_owned())
}
