//! The SQL of MySQL and MariaDB.

use arrow::datatypes::{DataType, TimeUnit};

use super::described::number_column;
use crate::backend::{Assignment, Column, Constant, OrderKey, Parameter, QueryDialect, Spelled};
use crate::sql::ledger::{LATER, LedgerDialect, Placeholders, STANDING};
use crate::sql::{SqlDialect, Writer};

/// The SQL of MySQL and MariaDB.
#[derive(Debug)]
pub(super) struct MySqlDialect;

impl QueryDialect for MySqlDialect {
    fn constant(&self, constant: Constant<'_>, _: &Column) -> Option<Spelled> {
        let parameter = |parameter| Some(Spelled::Parameter(parameter));
        let (data_type, text) = match constant {
            Constant::Boolean(value) => return parameter(Parameter::Integer(value.into())),
            Constant::Integer(value) => return parameter(Parameter::Integer(value)),
            Constant::Float(value) => return parameter(Parameter::Real(value)),
            Constant::Text(text) => return parameter(Parameter::Text(text.to_owned())),
            Constant::Other(data_type, text) => (data_type, text),
        };
        Some(Spelled::Sql(match data_type {
            t if t.is_decimal() => text.to_owned(),
            // The calendar has no year 0, and nanoseconds would be rounded.
            _ if text.starts_with("0000") => return None,
            DataType::Timestamp(TimeUnit::Nanosecond, _) if !text.trim_end_matches('Z').ends_with("000") => {
                return None;
            }
            DataType::Timestamp(..) => format!("TIMESTAMP'{}'", text.trim_end_matches('Z')),
            _ => format!("DATE'{text}'"),
        }))
    }

    fn quote(&self) -> char {
        '`'
    }

    /// Parameters are positional.
    fn parameter(&self, _: usize, _: &DataType) -> String {
        "?".into()
    }

    /// MySQL has no NULLS FIRST or LAST: NULL is the smallest value.
    fn order_by(&self, name: &str, key: &OrderKey) -> String {
        let name = self.identifier(name);
        let nulls = match key.nulls_first == key.descending {
            true => format!("{name} IS NULL{}, ", if key.nulls_first { " DESC" } else { "" }),
            false => String::new(),
        };
        format!("{nulls}{name} {}", if key.descending { "DESC" } else { "ASC" })
    }

    fn number(&self, name: &str) -> Option<Column> {
        Some(Column { name: name.to_owned(), ..number_column() })
    }

    /// A sum of `bigint` is a decimal, which a cast would change to the nearest integer without an error.
    fn sum(&self, column: &Column) -> Option<String> {
        let is_small = column.data_type.primitive_width().is_some_and(|bytes| bytes <= 4);
        is_small.then(|| format!("CAST(SUM({}) AS SIGNED)", self.identifier(&column.name)))
    }

    /// In MySQL, a zero date in a NOT NULL column IS NULL.
    fn finds_null(&self, column: &Column) -> bool {
        column.nullable || !column.data_type.is_temporal()
    }
}

impl SqlDialect for MySqlDialect {
    /// MySQL can open a temporary table only once in a statement. The names of its columns differ from the table's.
    fn update_by_the_only_row(&self, writer: &Writer<'_>, set: &[Assignment]) -> String {
        let (target, stage) = (writer.target(), writer.stage());
        format!("UPDATE {target} AS t CROSS JOIN {stage} AS s SET {}", writer.set("t.", set))
    }

    fn update_joined(&self, writer: &Writer<'_>, set: &[Assignment], only: Option<&str>) -> String {
        format!(
            "UPDATE {} AS t JOIN {} AS s ON {} SET {}{}",
            writer.target(),
            writer.stage(),
            writer.same_key(),
            writer.set("t.", set),
            only.map(|only| format!(" WHERE {only}")).unwrap_or_default()
        )
    }

    fn delete_joined(&self, writer: &Writer<'_>, only: Option<&str>) -> String {
        format!(
            "DELETE t FROM {} AS t JOIN {} AS s ON {}{}",
            writer.target(),
            writer.stage(),
            writer.same_key(),
            only.map(|only| format!(" WHERE {only}")).unwrap_or_default()
        )
    }

    fn decide(&self, writer: &Writer<'_>, done: &str, value: &str) -> String {
        // Columns that are not set may be ON UPDATE CURRENT_TIMESTAMP, like the columns of the table.
        let kept = (0..writer.staged_columns()).map(|index| format!(", s.{0} = s.{0}", writer.column(index)));
        format!("UPDATE {} AS s SET s.{done} = {value}{}", writer.stage(), kept.collect::<String>())
    }
}

/// The statements of the ledger. A record of the same epoch is an error, because there is no `ON CONFLICT`. MySQL does not
/// allow a DELETE to read its own table, except in a derived table.
pub(super) const LEDGER: LedgerDialect = LedgerDialect {
    placeholders: Placeholders::Positional,
    decide: "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, \"rows\", positions) \
             SELECT $1, $2, $3, $4, $5, $6 FROM DUAL \
             WHERE NOT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = $1 AND epoch >= $2)",
    later: LATER,
    standing: STANDING,
    jobs: "SELECT job, epoch, gtrid, decision, \"rows\", positions, CAST(decided_at AS char) FROM landfall_ledger \
           ORDER BY job, epoch",
    forget: "DELETE FROM landfall_ledger WHERE job = $1 AND epoch < $2 \
             AND epoch < (SELECT epoch FROM (SELECT max(epoch) AS epoch FROM landfall_ledger WHERE job = $1) AS last) \
             AND epoch NOT IN (SELECT epoch FROM (SELECT max(epoch) AS epoch FROM landfall_ledger \
                 WHERE job = $1 AND decision = 'commit') AS checkpoint)",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Join;
    use crate::sql::Native;
    use crate::sql::change_tests::statements;

    #[test]
    fn what_is_deleted_goes_first_and_what_is_added_comes_last() {
        let count = |number: i32| format!("SELECT COUNT(*) FROM stage AS s WHERE s.\"landfall_1\" = {number}");
        assert_eq!(
            statements(&MySqlDialect, Native(false), Join::InQuery),
            [
                "SELECT 1 FROM stage AS s WHERE s.\"landfall_1\" IN (2, 3) GROUP BY s.\"landfall_0\" HAVING COUNT(*) > 1 \
                 LIMIT 1",
                &count(3),
                "DELETE t FROM \"t\" AS t JOIN stage AS s ON t.\"k\" = s.\"landfall_0\" WHERE s.\"landfall_1\" = 3",
                &count(2),
                "UPDATE \"t\" AS t JOIN stage AS s ON t.\"k\" = s.\"landfall_0\" SET t.\"v\" = CAST(s.\"landfall_2\" AS \
                 point) WHERE s.\"landfall_1\" = 2",
                &count(1),
                "INSERT INTO \"t\" (\"k\", \"v\") SELECT s.\"landfall_0\", CAST(s.\"landfall_2\" AS point) FROM stage AS s \
                 WHERE s.\"landfall_1\" = 1",
            ]
        );
    }
}
