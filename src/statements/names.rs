//! Names of tables: what they mean where databases are attached.

use std::ops::ControlFlow;

use datafusion::catalog::CatalogProvider;
use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Statement as Sql, Use, VisitMut, VisitorMut, visit_relations,
    visit_relations_mut,
};

use crate::error::Error;
use crate::provider::{
    LandfallCatalog, SessionSchema, attached, attached_as, has_catalog, table_reference, with_columns,
};

/// `USE catalog`, `USE schema` or `USE catalog.schema`; says what is used now.
pub(super) fn use_schema(context: &SessionContext, wanted: &Use) -> DfResult<String> {
    let name = match wanted {
        Use::Catalog(name) | Use::Schema(name) | Use::Database(name) | Use::Object(name) => parts(name),
        Use::Default => None,
        _ => {
            return Err(
                Error::config("USE needs the name of an attached database: USE name, or USE name.schema").into()
            );
        }
    };
    let own = SessionSchema::own(context);
    let (catalog, schema) = match name.as_deref() {
        None => (own.catalog.clone(), own.schema.clone()),
        Some([catalog, schema]) => (catalog.clone(), schema.clone()),
        Some([one]) if one == "default" && !has_catalog(context, one) => (own.catalog.clone(), own.schema.clone()),
        Some([one]) => match (attached_as(context, one), has_catalog(context, one)) {
            (Some(catalog), _) => (one.clone(), default_schema(&catalog).unwrap_or_else(|| own.schema.clone())),
            (None, true) => (one.clone(), own.schema.clone()),
            (None, false) => (SessionSchema::in_use(context).catalog, one.clone()),
        },
        Some(_) => {
            return Err(Error::config("USE needs a name of one or two parts: USE name, or USE name.schema").into());
        }
    };
    let Some(provider) = context.catalog(&catalog).filter(|_| has_catalog(context, &catalog)) else {
        return Err(Error::config(format!("database {catalog} is not attached{}", suggested(context, &catalog))).into());
    };
    if provider.schema(&schema).is_none() {
        let known = provider.schema_names().join(", ");
        return Err(
            Error::config(format!("database {catalog} has no schema {schema} (existing schemas: {known})")).into()
        );
    }
    let text = format!("using {catalog}.{schema}");
    SessionSchema { catalog, schema }.use_in(context);
    Ok(text)
}

/// Uses the session's own schema if a catalog that is about to go is in use.
pub(super) fn leave(context: &SessionContext, catalog: &str) {
    if SessionSchema::in_use(context).catalog == catalog {
        SessionSchema::own(context).use_in(context);
    }
}

fn default_schema(catalog: &LandfallCatalog) -> Option<String> {
    let schemas = catalog.schema_names();
    catalog.default_schema().or_else(|| schemas.first().filter(|_| schemas.len() == 1).cloned())
}

/// The parts of a name as SQL means them.
fn parts(name: &ObjectName) -> Option<Vec<String>> {
    name.0.iter().map(|part| part.as_ident().cloned().map(named)).collect()
}

fn quoted(parts: impl IntoIterator<Item = String>) -> ObjectName {
    ObjectName(parts.into_iter().map(|part| ObjectNamePart::Identifier(Ident::with_quote('"', part))).collect())
}

/// `; did you mean …` for a catalog.
pub(super) fn suggested(context: &SessionContext, name: &str) -> String {
    let attached = attached(context);
    let nearest = attached.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known));
    match nearest {
        Some(nearest) if strsim::damerau_levenshtein(name, nearest) <= 2 => format!("; did you mean {nearest}?"),
        Some(_) => format!("; the attached databases are {}", attached.join(", ")),
        None => "; use ATTACH 'url' AS name".into(),
    }
}

/// A name in a database that is attached: its catalog, and the names of its schema and its table.
pub(super) fn in_attached(context: &SessionContext, name: &ObjectName) -> Option<(LandfallCatalog, String, String)> {
    let SessionSchema { catalog, schema } = SessionSchema::in_use(context);
    let name = expanded(context, name).unwrap_or_else(|| name.clone());
    let resolved = table_reference(context, &name).ok()?.resolve(&catalog, &schema);
    let catalog = attached_as(context, &resolved.catalog)?;
    Some((catalog, resolved.schema.to_string(), resolved.table.to_string()))
}

/// A schema of a database that is attached: `catalog.schema`, or a schema of the catalog in use.
pub(super) fn schema_in_attached(context: &SessionContext, name: &ObjectName) -> Option<(LandfallCatalog, String)> {
    let (catalog, schema) = match parts(name)?.as_slice() {
        [schema] => (SessionSchema::in_use(context).catalog, schema.clone()),
        [catalog, schema] => (catalog.clone(), schema.clone()),
        _ => return None,
    };
    Some((attached_as(context, &catalog)?, schema))
}

/// A name with all of its parts: `database.table` means its default schema, if the catalog in use has no such schema.
fn expanded(context: &SessionContext, name: &ObjectName) -> Option<ObjectName> {
    let [first, table] = <[String; 2]>::try_from(parts(name)?).ok()?;
    let has_schema = context
        .catalog(&SessionSchema::in_use(context).catalog)
        .is_some_and(|catalog| catalog.schema(&first).is_some());
    let catalog = attached_as(context, &first).filter(|_| !has_schema)?;
    let schema = default_schema(&catalog)?;
    Some(quoted([first, schema, table]))
}

/// Completes the names of a statement.
pub(super) fn resolve(context: &SessionContext, statement: &mut DfStatement) {
    match statement {
        DfStatement::Statement(sql) => {
            let mut common = CommonTables(Vec::new());
            let _ = sql.visit(&mut common);
            let _ = visit_relations_mut(sql.as_mut(), |name| {
                let full = expanded(context, name).or_else(|| own_table(context, name, &common.0));
                if let Some(full) = full {
                    *name = full;
                }
                ControlFlow::<()>::Continue(())
            });
            if let Sql::CreateView(view) = sql.as_mut() {
                stay_in_own(context, &mut view.name);
            }
        }
        DfStatement::CreateExternalTable(create) => stay_in_own(context, &mut create.name),
        DfStatement::Explain(explain) => resolve(context, &mut explain.statement),
        _ => {}
    }
}

/// The names of the tables in a statement.
pub(super) fn tables(statement: &mut DfStatement) -> Vec<ObjectName> {
    let mut names = Vec::new();
    match statement {
        DfStatement::Statement(sql) => {
            let _ = visit_relations(sql.as_ref(), |name| {
                names.push(name.clone());
                ControlFlow::<()>::Continue(())
            });
        }
        DfStatement::Explain(explain) => names = tables(&mut explain.statement),
        _ => {}
    }
    names
}

/// The nearest name of a table or a database, for the error of a statement that does not find one.
pub(super) fn suggestion(context: &SessionContext, names: &[ObjectName]) -> Option<String> {
    names.iter().find_map(|name| {
        if let Some((catalog, schema, table)) = in_attached(context, name) {
            let known = catalog.schema(&schema)?.table_names();
            let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(&table, known))?;
            let is_near = !known.contains(&table) && strsim::damerau_levenshtein(&table, nearest) <= 2;
            return is_near.then(|| format!("did you mean {nearest}?"));
        }
        // A name with a database that is not attached.
        let parts = parts(name)?;
        let [first, _, ..] = parts.as_slice() else { return None };
        let in_use = context.catalog(&SessionSchema::in_use(context).catalog)?;
        let is_known = has_catalog(context, first) || in_use.schema(first).is_some();
        (!is_known).then(|| format!("database {first} is not attached{}", suggested(context, first)))
    })
}

/// A table of the session's own, if the catalog in use has none of this name.
fn own_table(context: &SessionContext, name: &ObjectName, common: &[String]) -> Option<ObjectName> {
    let [table] = <[String; 1]>::try_from(parts(name)?).ok()?;
    let SessionSchema { catalog, schema } = SessionSchema::in_use(context);
    let in_use = attached_as(context, &catalog)?;
    let is_there = in_use.schema(&schema).is_some_and(|schema| schema.table_exist(&table));
    let own = SessionSchema::own(context);
    let is_own = context.catalog(&own.catalog)?.schema(&own.schema)?.table_exist(&table);
    (is_own && !is_there && !common.contains(&table)).then(|| quoted([own.catalog, own.schema, table]))
}

/// A database cannot have views and external tables of the session.
fn stay_in_own(context: &SessionContext, name: &mut ObjectName) {
    let is_attached = attached_as(context, &SessionSchema::in_use(context).catalog).is_some();
    if let (true, Some([table])) = (is_attached, parts(name).as_deref()) {
        let own = SessionSchema::own(context);
        *name = quoted([own.catalog, own.schema, table.clone()]);
    }
}

/// The names of common table expressions.
struct CommonTables(Vec<String>);

impl VisitorMut for CommonTables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(tables.map(|table| named(table.alias.name.clone())));
        ControlFlow::Continue(())
    }
}

/// The session in which a statement is planned. If the statement shows the tables of attached databases, they are listed
/// again; if it shows their columns, all of them are read at once.
pub(super) async fn listed(context: &SessionContext, statement: &mut DfStatement) -> DfResult<SessionContext> {
    let shown = match statement {
        DfStatement::Statement(sql) => match sql.as_ref() {
            Sql::ShowTables { .. } | Sql::ShowSchemas { .. } => vec!["tables".into()],
            Sql::ShowColumns { .. } => vec!["columns".into()],
            Sql::Query(_) => of_information_schema(statement),
            _ => Vec::new(),
        },
        DfStatement::Explain(_) => of_information_schema(statement),
        _ => Vec::new(),
    };
    if shown.is_empty() {
        return Ok(context.clone());
    }
    for catalog in attached(context).iter().filter_map(|name| attached_as(context, name)) {
        catalog.refresh().await?;
    }
    match shown.iter().any(|name| name == "columns" || name == "views") {
        true => Ok(with_columns(context).await?),
        false => Ok(context.clone()),
    }
}

/// The tables of `information_schema` in a statement.
fn of_information_schema(statement: &mut DfStatement) -> Vec<String> {
    let own = |name: &ObjectName| {
        let mut parts = parts(name)?;
        let table = parts.pop()?;
        (parts.last()? == "information_schema").then_some(table)
    };
    tables(statement).iter().filter_map(own).collect()
}

/// A name as DataFusion reads it: with ASCII letters in lower case, unless it is in quotation marks.
pub(super) fn named(ident: Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value,
        None => ident.value.to_ascii_lowercase(),
    }
}
