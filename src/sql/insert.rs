//! The statement that writes rows.

use crate::sql::{Filled, Table, quote};
use crate::xa::{OnConflict, WriteSpec};

/// `<verb> … VALUES (?, …), … ON CONFLICT …` for `rows` rows of the columns of `spec`; the verb is the dialect's
/// `INSERT INTO`.
///
/// The key itself is never set: it is equal already. REPLACE sets every other column, the ones that are not written
/// to what the server would have filled in (`excluded` has it); nothing is deleted, so no foreign key cascades.
pub(crate) fn insert_into(verb: &str, table: &Table, spec: &WriteSpec, rows: usize) -> String {
    let names = spec.columns.fields().iter().map(|field| field.name());
    let row = format!("({})", vec!["?"; spec.columns.fields().len()].join(", "));
    let mut sql =
        format!("{verb} {} ({}) VALUES {}", quote(&table.name), quoted(names.clone()), vec![row; rows].join(", "));
    let set: Vec<&String> = match spec.on_conflict {
        OnConflict::Error => return sql,
        OnConflict::Ignore => Vec::new(),
        OnConflict::Update => names.filter(|name| !spec.key.contains(name)).collect(),
        OnConflict::Replace => table
            .columns
            .iter()
            .filter(|column| column.filled != Filled::Generated && !spec.key.contains(&column.name))
            .map(|column| &column.name)
            .collect(),
    };
    sql += &format!(" ON CONFLICT ({}) ", quoted(spec.key.iter()));
    if set.is_empty() {
        sql += "DO NOTHING";
    } else {
        let set: Vec<_> = set.iter().map(|name| format!("{0} = excluded.{0}", quote(name))).collect();
        sql += &format!("DO UPDATE SET {}", set.join(", "));
    }
    sql
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::sql::{Column, Comparison};
    use crate::xa::Existing;

    fn statement(on_conflict: OnConflict) -> String {
        let column = |name: &str, filled| Column {
            name: name.into(),
            sql_type: "INTEGER".into(),
            data_type: DataType::Int64,
            nullable: true,
            filled,
            comparison: Comparison::Exact,
        };
        let table = Table {
            name: "T\"1".into(),
            columns: vec![
                column("k", Filled::Null),
                column("v", Filled::Null),
                column("left out", Filled::ByDefault),
                column("g", Filled::Generated),
            ],
            primary_key: vec!["k".into()],
            unique_keys: vec![],
        };
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let spec = WriteSpec {
            table: table.name.clone(),
            columns: Arc::new(Schema::new(vec![field("k"), field("v")])),
            existing: Existing::Keep,
            on_conflict,
            key: vec!["k".into()],
            stats: Arc::default(),
        };
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
