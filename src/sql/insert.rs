//! The statement that writes rows.

use crate::backend::WriteSpec;
use crate::backend::{Column, ColumnDefault, Table};
use crate::options::OnConflict;
use crate::sql::quote;

/// `<verb> … VALUES (?, …), … ON CONFLICT …` for `rows` rows of the columns of `spec`; the verb is the dialect's
/// `INSERT INTO`.
pub fn insert_into(verb: &str, table: &Table, spec: &WriteSpec, rows: usize) -> String {
    let names = spec.columns.fields().iter().map(|field| field.name());
    let row = format!("({})", vec!["?"; spec.columns.fields().len()].join(", "));
    format!(
        "{verb} {} ({}) VALUES {}{}",
        quote(&table.name),
        quoted(names),
        vec![row; rows].join(", "),
        upsert(table, spec)
    )
}

/// ` ON CONFLICT …` according to `spec`; empty if a conflict is an error.
///
/// The key itself is never set, because it is already equal. REPLACE sets every other column; columns that are not written
/// get the values that the server would have filled in (`excluded` contains them). Nothing is deleted, so no foreign key
/// cascades.
pub fn upsert(table: &Table, spec: &WriteSpec) -> String {
    let names = spec.columns.fields().iter().map(|field| field.name());
    let is_set = |name: &&String| {
        let fixed = |column: &Column| matches!(column.default, ColumnDefault::Generated | ColumnDefault::Numbered);
        !spec.key.contains(name) && !table.column(name).is_some_and(fixed)
    };
    let set: Vec<&String> = match spec.on_conflict {
        OnConflict::Error => return String::new(),
        OnConflict::Ignore => Vec::new(),
        OnConflict::Update => names.filter(is_set).collect(),
        OnConflict::Replace => table.columns.iter().map(|column| &column.name).filter(is_set).collect(),
    };
    let action = if set.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        let set: Vec<_> = set.iter().map(|name| format!("{0} = excluded.{0}", quote(name))).collect();
        format!("DO UPDATE SET {}", set.join(", "))
    };
    format!(" ON CONFLICT ({}) {action}", quoted(spec.key.iter()))
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::backend::{Comparison, Detail};

    fn statement(on_conflict: OnConflict) -> String {
        let column = |name: &str, default| Column {
            name: name.into(),
            sql_type: "INTEGER".into(),
            data_type: DataType::Int64,
            nullable: true,
            default,
            comparison: Comparison::Exact,
            holds: crate::backend::Holds::OfItsType,
            characters: crate::backend::Characters::All,
            detail: Detail::default(),
        };
        let table = Table {
            name: "T\"1".into(),
            columns: vec![
                column("k", ColumnDefault::Null),
                column("v", ColumnDefault::Null),
                column("left out", ColumnDefault::ByDefault),
                column("g", ColumnDefault::Generated),
            ],
            primary_key: vec!["k".into()],
            unique_keys: vec![],
            other_indexes: vec![],
            detail: Detail::default(),
        };
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let columns = Arc::new(Schema::new(vec![field("k"), field("v")]));
        let spec = WriteSpec { on_conflict, key: vec!["k".into()], ..WriteSpec::new(&table.name, columns) };
        insert_into("INSERT INTO", &table, &spec, 2)
    }

    #[test]
    fn each_mode_has_its_statement() {
        let insert = r#"INSERT INTO "T""1" ("k", "v") VALUES (?, ?), (?, ?)"#;
        assert_eq!(statement(OnConflict::Error), insert);
        assert_eq!(statement(OnConflict::Ignore), format!(r#"{insert} ON CONFLICT ("k") DO NOTHING"#));
        assert_eq!(
            statement(OnConflict::Update),
            format!(r#"{insert} ON CONFLICT ("k") DO UPDATE SET "v" = excluded."v""#)
        );
        assert_eq!(
            statement(OnConflict::Replace),
            format!(r#"{insert} ON CONFLICT ("k") DO UPDATE SET "v" = excluded."v", "left out" = excluded."left out""#)
        );
    }
}
