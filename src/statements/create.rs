//! Tables and schemas that are created, changed and dropped in an attached database.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    AlterTable, AlterTableOperation, CreateTable, DataType as SqlType, Ident, ObjectName, ObjectNamePart, ObjectType,
    SchemaName, Statement as Sql,
};

use super::{Planned, names};
use crate::backend::Backend;
use crate::error::{Error, ErrorKind};
use crate::load::{Load, Mode};
use crate::provider::{LandfallCatalog, is_in_transaction};

/// Runs or plans a statement of DDL about an attached database; `None` if it is another statement.
pub(super) async fn plan(context: &SessionContext, sql: &Sql) -> DfResult<Option<Planned>> {
    match sql {
        Sql::CreateTable(create) => match names::in_attached(context, &create.name) {
            Some((catalog, schema, table)) => {
                let place = AttachedName::try_new(context, catalog, schema, table)?;
                create_table(context, place, create).await.map(Some)
            }
            None => Ok(None),
        },
        Sql::AlterTable(alter) => match names::in_attached(context, &alter.name) {
            Some((catalog, schema, table)) => {
                let place = AttachedName::try_new(context, catalog, schema, table)?;
                let done = format!("table {place} is altered");
                run(&place, &altered(&place, alter), done).await.map(Some)
            }
            None => Ok(None),
        },
        Sql::CreateSchema { schema_name: SchemaName::Simple(name), .. } => {
            match names::schema_in_attached(context, name) {
                Some((catalog, schema)) => {
                    let place = AttachedName::try_new(context, catalog, schema.clone(), String::new())?;
                    let mut sql = sql.clone();
                    if let Sql::CreateSchema { schema_name, .. } = &mut sql {
                        *schema_name = SchemaName::Simple(place.quoted([schema.as_str()]));
                    }
                    run(&place, &sql.to_string(), format!("schema {schema} is created")).await.map(Some)
                }
                None => Ok(None),
            }
        }
        Sql::Drop { object_type: ObjectType::Table | ObjectType::View, names, .. } => {
            drop_tables(context, sql, names).await
        }
        Sql::Drop { object_type: ObjectType::Schema, names, .. } => {
            let [name] = names.as_slice() else { return Ok(None) };
            let Some((catalog, schema)) = names::schema_in_attached(context, name) else { return Ok(None) };
            let place = AttachedName::try_new(context, catalog, schema.clone(), String::new())?;
            let mut sql = sql.clone();
            if let Sql::Drop { names, .. } = &mut sql {
                *names = vec![place.quoted([schema.as_str()])];
            }
            run(&place, &sql.to_string(), format!("schema {schema} is dropped")).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// A name in an attached database.
struct AttachedName {
    catalog: LandfallCatalog,
    schema: String,
    table: String,
}

impl std::fmt::Display for AttachedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.table.as_str() {
            "" => f.write_str(&self.schema),
            table => write!(f, "{}.{table}", self.schema),
        }
    }
}

impl AttachedName {
    /// A name that a statement of DDL is about.
    ///
    /// # Errors
    /// `Unsupported` in a transaction.
    fn try_new(context: &SessionContext, catalog: LandfallCatalog, schema: String, table: String) -> DfResult<Self> {
        let name = Self { catalog, schema, table };
        match is_in_transaction(context) {
            true => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "tables and schemas cannot be created, altered or dropped in a transaction, because some databases \
                     commit the transaction at such a statement: run the statement for {name} before BEGIN"
                ),
            )
            .into()),
            false => Ok(name),
        }
    }

    fn database(&self) -> &Arc<dyn Backend> {
        self.catalog.database()
    }

    /// The name of the table in the database, quoted as the database does.
    fn name(&self) -> ObjectName {
        self.quoted([self.schema.as_str(), self.table.as_str()])
    }

    fn quoted<'n>(&self, parts: impl IntoIterator<Item = &'n str>) -> ObjectName {
        let quote = self.database().identifier_quote();
        let part = |name: &str| ObjectNamePart::Identifier(Ident::with_quote(quote, name));
        ObjectName(parts.into_iter().map(part).collect())
    }
}

/// Runs a statement in the database.
async fn run(place: &AttachedName, sql: &str, done: String) -> DfResult<Planned> {
    // One list of no parameters.
    place.database().run(sql.to_owned(), vec![Vec::new()]).await?;
    place.catalog.refresh().await?;
    Ok(Planned::Done(done))
}

/// Creates a table: with columns by the database, with a query by a load.
async fn create_table(context: &SessionContext, place: AttachedName, create: &CreateTable) -> DfResult<Planned> {
    let Some(query) = &create.query else {
        let database = place.database();
        let mut create = create.clone();
        create.name = place.name();
        for column in &mut create.columns {
            if let Some(name) = database.type_name(&column.data_type.to_string().to_uppercase()) {
                column.data_type = SqlType::Custom(ObjectName::from(vec![Ident::new(name)]), Vec::new());
            }
        }
        return run(&place, &create.to_string(), format!("table {place} is created")).await;
    };
    if create.or_replace || !create.columns.is_empty() || !create.constraints.is_empty() {
        let why = if create.or_replace { "OR REPLACE" } else { "a column list" };
        return Err(Error::config(format!(
            "CREATE TABLE … AS in an attached database does not support {why}: create the table first, then use INSERT INTO"
        ))
        .into());
    }
    let database = Arc::clone(place.database());
    let name = database.spelled(&place.schema, &place.table);
    if database.table(&name).await?.is_some() {
        return match create.if_not_exists {
            true => Ok(Planned::Done(format!("table {place} already exists"))),
            false => {
                Err(Error::schema(format!("table {place} already exists: drop it first, or use INSERT INTO")).into())
            }
        };
    }
    let options = place.catalog.options().clone();
    let load = Load::new("", name).with_mode(Mode::Create).connect_to(database, options).await?;
    let target = load.plan(context, &query.to_string()).await?.target().await?;
    Ok(Planned::Plan(target.insert(context).await?))
}

/// Drops tables in the database; `None` if none of them is in an attached one.
async fn drop_tables(context: &SessionContext, sql: &Sql, names: &[ObjectName]) -> DfResult<Option<Planned>> {
    let places: Vec<_> = names.iter().map(|name| names::in_attached(context, name)).collect();
    if places.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [Some((catalog, schema, table))] = <[_; 1]>::try_from(places).map_err(|_| {
        Error::config(
            "DROP TABLE drops one table of an attached database at a time: use a separate statement for each table",
        )
    })?
    else {
        return Ok(None);
    };
    let place = AttachedName::try_new(context, catalog, schema, table)?;
    let mut sql = sql.clone();
    if let Sql::Drop { names, .. } = &mut sql {
        *names = vec![place.name()];
    }
    run(&place, &sql.to_string(), format!("table {place} is dropped")).await.map(Some)
}

/// An ALTER TABLE in the database's words.
fn altered(place: &AttachedName, alter: &AlterTable) -> String {
    let database = place.database();
    let mut alter = alter.clone();
    alter.name = place.name();
    for operation in &mut alter.operations {
        if let AlterTableOperation::AddColumn { column_def, .. } = operation
            && let Some(name) = database.type_name(&column_def.data_type.to_string().to_uppercase())
        {
            column_def.data_type = SqlType::Custom(ObjectName::from(vec![Ident::new(name)]), Vec::new());
        }
    }
    Sql::AlterTable(alter).to_string()
}
