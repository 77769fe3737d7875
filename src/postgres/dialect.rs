//! The SQL of PostgreSQL.

use arrow::datatypes::{DataType, TimeUnit};

use super::described::number_column;
use crate::backend::{Column, Constant, QueryDialect, RowChange, Spelled, Staged};
use crate::sql::{RowCount, SqlDialect, Step, Writer};

/// The SQL of PostgreSQL.
#[derive(Debug)]
pub(super) struct PostgresDialect;

impl QueryDialect for PostgresDialect {
    /// COPY accepts no parameters: values in a query are literals.
    fn constant(&self, constant: Constant<'_>, column: &Column) -> Option<Spelled> {
        let literal = match constant {
            Constant::Boolean(value) => if value { "TRUE" } else { "FALSE" }.into(),
            Constant::Integer(value) => format!("'{value}'::bigint"),
            Constant::Float(value) if value.is_nan() => "'NaN'::double precision".into(),
            Constant::Float(value) => format!("'{value:e}'::double precision"),
            Constant::Text(text) => {
                if text.contains('\0') || (column.sql_type == "uuid" && !is_canonical_uuid(text)) {
                    return None;
                }
                let cast = if column.sql_type == "uuid" { "::uuid" } else { "" };
                format!("'{}'{cast}", text.replace('\'', "''"))
            }
            Constant::Other(data_type, text) => match data_type {
                t if t.is_decimal() => format!("'{text}'::numeric"),
                // The calendar has no year 0, and nanoseconds would be rounded.
                _ if text.starts_with("0000") => return None,
                DataType::Timestamp(TimeUnit::Nanosecond, _) if !text.trim_end_matches('Z').ends_with("000") => {
                    return None;
                }
                DataType::Timestamp(_, zone) => {
                    let zone = if zone.is_some() { "with" } else { "without" };
                    format!("'{text}'::timestamp {zone} time zone")
                }
                _ => format!("'{text}'::date"),
            },
        };
        Some(Spelled::Sql(literal))
    }

    fn number(&self, name: &str) -> Option<Column> {
        Some(Column { name: name.to_owned(), ..number_column() })
    }

    fn sum(&self, column: &Column) -> Option<String> {
        Some(format!("CAST(sum({}) AS bigint)", self.identifier(&column.name)))
    }

    fn parameter(&self, number: usize, data_type: &DataType) -> String {
        match data_type {
            // Sent as text: without the cast, the server expects a timestamp, but the client sends a text.
            DataType::Timestamp(..) => format!("${number}::text::timestamp"),
            _ => format!("${number}"),
        }
    }
}

fn is_canonical_uuid(text: &str) -> bool {
    let mut buffer = uuid::Uuid::encode_buffer();
    uuid::Uuid::try_parse(text).is_ok_and(|uuid| uuid.hyphenated().encode_lower(&mut buffer) == text)
}

impl SqlDialect for PostgresDialect {
    fn delete_joined(&self, writer: &Writer<'_>, only: Option<&str>) -> String {
        format!(
            "DELETE FROM {} AS t USING {} AS s WHERE {}{}",
            writer.target(),
            writer.stage(),
            writer.same_key(),
            only.map(|only| format!(" AND {only}")).unwrap_or_default()
        )
    }

    /// The server's MERGE.
    fn native(&self, writer: &Writer<'_>, actions: &[RowChange]) -> Option<Vec<Step>> {
        let (target, stage, same) = (writer.target(), writer.stage(), writer.same_key());
        let mut sql = format!("MERGE INTO {target} AS t USING {stage} AS s ON {same}");
        for (number, action) in (1..).zip(actions) {
            // If the rows do not name the action, there is only one of this kind.
            let says = |staged| match writer.staged(staged) {
                Some(index) => format!(" AND s.{} = {number}", writer.column(index)),
                None => String::new(),
            };
            sql += &match action {
                RowChange::Delete => format!(" WHEN MATCHED{} THEN DELETE", says(&Staged::Action)),
                RowChange::Update(values) => {
                    format!(" WHEN MATCHED{} THEN UPDATE SET {}", says(&Staged::Action), writer.set("", values))
                }
                RowChange::Insert(values) => format!(
                    " WHEN NOT MATCHED{} THEN INSERT {}VALUES ({})",
                    says(&Staged::ActionOfMissing),
                    writer.columns(values, self.keeps_numbers()),
                    writer.values(values)
                ),
            };
        }
        let counted = |what: &str, counts| {
            let name = target.replace('\'', "''");
            // In the table and its partitions: the counts of this transaction, and those of earlier transactions of the
            // session that the server has not flushed yet.
            let sql = format!(
                "SELECT COALESCE(SUM(pg_stat_get_xact_tuples_{what}(relid)), 0)::bigint FROM (SELECT \
                 '{name}'::regclass::oid AS relid UNION SELECT relid FROM pg_partition_tree('{name}'::regclass)) AS r"
            );
            Step::new(sql, counts)
        };
        Some(vec![
            counted("inserted", RowCount::HadInserted),
            counted("updated", RowCount::HadUpdated),
            counted("deleted", RowCount::HadDeleted),
            Step::new(sql, RowCount::Changed),
            counted("inserted", RowCount::SaysInserted),
            counted("updated", RowCount::SaysUpdated),
            counted("deleted", RowCount::SaysDeleted),
        ])
    }

    fn numbers_nulls(&self) -> bool {
        false
    }

    fn keeps_numbers(&self) -> &'static str {
        "OVERRIDING SYSTEM VALUE "
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Join;
    use crate::sql::Native;
    use crate::sql::change_tests::statements;

    #[test]
    fn a_server_with_merge_gets_one() {
        let merge = statements(&PostgresDialect, Native(true), Join::AtServer).remove(3);
        assert_eq!(
            merge,
            "MERGE INTO \"t\" AS t USING stage AS s ON t.\"k\" = s.\"landfall_0\" WHEN NOT MATCHED THEN INSERT (\"k\", \
             \"v\") VALUES (s.\"landfall_0\", CAST(s.\"landfall_2\" AS point)) WHEN MATCHED AND s.\"landfall_1\" = 2 THEN \
             UPDATE SET \"v\" = CAST(s.\"landfall_2\" AS point) WHEN MATCHED AND s.\"landfall_1\" = 3 THEN DELETE"
        );
    }
}
