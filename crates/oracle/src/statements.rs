//! The statements that write rows. Each is run once for a row of a batch.

use datafusion_landfall::backend::{Column, ColumnDefault, Existing, Table, WriteSpec};
use datafusion_landfall::error::Result;
use datafusion_landfall::options::OnConflict;
use datafusion_landfall::sql::quote;

use crate::catalog::{Relation, Stored};

/// A written column.
struct Target<'a> {
    shown: &'a str,
    /// Quoted as in a statement.
    name: String,
    /// The expression of its value.
    value: String,
    column: &'a Column,
}

fn targets<'a>(table: &'a Table, spec: &'a WriteSpec) -> Result<Vec<Target<'a>>> {
    let columns = spec.columns.fields().iter().filter_map(|field| table.column(field.name())).enumerate();
    let target = |(index, column): (usize, &'a Column)| {
        let stored = Stored::of(column)?;
        let value = stored.kind.bound(&format!(":{}", index + 1));
        Ok(Target { shown: &column.name, name: quote(&stored.name), value, column })
    };
    columns.map(target).collect()
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// The statement that writes a row as `spec` says: SQL Language Reference, "INSERT" and "MERGE".
pub(crate) fn write(table: &Table, spec: &WriteSpec) -> Result<String> {
    let (name, targets) = (Relation::of(table)?.name.quoted(), targets(table, spec)?);
    let names = list(targets.iter().map(|target| target.name.clone()));
    if spec.on_conflict == OnConflict::Error {
        let values = list(targets.iter().map(|target| target.value.clone()));
        return Ok(format!("INSERT INTO {name} ({names}) VALUES ({values})"));
    }
    let source = list(targets.iter().map(|target| format!("{} AS {}", target.value, target.name)));
    let key = targets.iter().filter(|target| spec.key.iter().any(|key| key == target.shown));
    let same = key.map(|target| format!("t.{0} = s.{0}", target.name)).collect::<Vec<_>>().join(" AND ");
    let values = list(targets.iter().map(|target| format!("s.{}", target.name)));
    let update = match set(table, spec, &targets)? {
        set if set.is_empty() => String::new(),
        set => format!(" WHEN MATCHED THEN UPDATE SET {}", set.join(", ")),
    };
    Ok(format!(
        "MERGE INTO {name} t USING (SELECT {source} FROM DUAL) s ON ({same}){update} \
         WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    ))
}

/// What a MERGE sets in an existing row. The key itself cannot be set, and is already equal. REPLACE sets every other column;
/// those that are not written get their default.
fn set(table: &Table, spec: &WriteSpec, targets: &[Target<'_>]) -> Result<Vec<String>> {
    let is_set = |column: &Column| {
        !spec.key.contains(&column.name)
            && !matches!(column.default, ColumnDefault::Generated | ColumnDefault::Numbered)
    };
    let mut set = Vec::new();
    if spec.on_conflict == OnConflict::Ignore {
        return Ok(set);
    }
    for column in table.columns.iter().filter(|column| is_set(column)) {
        let name = quote(&Stored::of(column)?.name);
        let is_written = targets.iter().any(|target| target.column.name == column.name);
        match (is_written, spec.on_conflict, column.default) {
            (true, ..) => set.push(format!("t.{name} = s.{name}")),
            (false, OnConflict::Replace, ColumnDefault::ByDefault) => set.push(format!("t.{name} = DEFAULT")),
            (false, OnConflict::Replace, _) => set.push(format!("t.{name} = NULL")),
            (false, ..) => {}
        }
    }
    Ok(set)
}

/// The statement that empties the table. TRUNCATE would commit.
pub(crate) fn delete(table: &Table, existing: Existing) -> Result<Option<String>> {
    let name = Relation::of(table)?.name.quoted();
    Ok((existing != Existing::Keep).then(|| format!("DELETE FROM {name}")))
}
