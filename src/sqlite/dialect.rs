//! The SQL dialect of SQLite.

use arrow::datatypes::DataType;

use crate::backend::{Column, Constant, Parameter, QueryDialect, RowChange, Spelled};
use crate::sql::{RowCount, SqlDialect, Step, Writer, quote};

/// The SQL dialect of SQLite.
#[derive(Debug)]
pub(super) struct SqliteDialect;

impl QueryDialect for SqliteDialect {
    fn constant(&self, constant: Constant<'_>, _: &Column) -> Option<Spelled> {
        Some(Spelled::Parameter(match constant {
            Constant::Boolean(value) => Parameter::Integer(value.into()),
            Constant::Integer(value) => Parameter::Integer(value),
            Constant::Float(value) => Parameter::Real(value),
            Constant::Text(text) => Parameter::Text(text.to_owned()),
            Constant::Other(..) => return None,
        }))
    }

    /// In a query, SQLite treats an unknown name in double quotes as a text, so names are quoted with backticks.
    fn quote(&self) -> char {
        '`'
    }

    fn number(&self, name: &str) -> Option<Column> {
        Some(Column::new(name, "integer", DataType::Int64))
    }

    fn sum(&self, column: &Column) -> Option<String> {
        Some(format!("sum({})", self.identifier(&column.name)))
    }

    fn compares_texts(&self) -> bool {
        true
    }

    fn is_of_its_type(&self, column: &Column) -> Option<String> {
        let name = self.identifier(&column.name);
        let of_classes = |classes: &str| format!("(typeof({name}) IN ({classes}, 'null'))");
        let in_range = |low: i64, high: i64| {
            Some(format!("({name} IS NULL OR typeof({name}) = 'integer' AND {name} BETWEEN {low} AND {high})"))
        };
        match &column.data_type {
            DataType::Boolean => in_range(0, 1),
            DataType::Int8 => in_range(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => in_range(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => in_range(i32::MIN.into(), i32::MAX.into()),
            DataType::UInt8 => in_range(0, u8::MAX.into()),
            DataType::UInt16 => in_range(0, u16::MAX.into()),
            DataType::UInt32 => in_range(0, u32::MAX.into()),
            DataType::UInt64 => in_range(0, i64::MAX),
            DataType::Int64 => Some(of_classes("'integer'")),
            // A NUMERIC column stores 2.0 as 2.
            DataType::Float64 => Some(format!(
                "(typeof({name}) IN ('real', 'null') OR typeof({name}) = 'integer' AND CAST(CAST({name} AS REAL) AS INTEGER) = {name})"
            )),
            t if t.is_string() => Some(of_classes("'text'")),
            // For ISO 8601 texts, the database only selects a range of days; DataFusion checks the values that are read.
            _ => None,
        }
    }
}

impl SqlDialect for SqliteDialect {
    fn verb(&self, verb: &str) -> String {
        format!("{verb} OR ABORT")
    }

    /// `INSERT … ON CONFLICT DO UPDATE`, if every staged row is inserted, or updates the existing row. Each key occurs once.
    fn native(&self, writer: &Writer<'_>, actions: &[RowChange]) -> Option<Vec<Step>> {
        let (set, values) = match actions {
            [RowChange::Update(set), RowChange::Insert(values)]
            | [RowChange::Insert(values), RowChange::Update(set)] => (set, values),
            _ => return None,
        };
        let (target, stage) = (writer.target(), writer.stage());
        let set = set.iter().map(|(column, _)| format!("{0} = excluded.{0}", quote(column)));
        let set = set.collect::<Vec<_>>().join(", ");
        let key: Vec<_> = writer.key().map(quote).collect();
        let sql = format!(
            "{} INTO {target} {}SELECT {} FROM {stage} AS s WHERE true ON CONFLICT ({}) DO UPDATE SET {set}",
            self.verb("INSERT"),
            writer.columns(values, self.keeps_numbers()),
            writer.values(values),
            key.join(", ")
        );
        // Counts only the range of keys that contains the staged rows.
        let among = writer.staged_key().map(|(index, name)| {
            let (key, staged) = (quote(name), writer.column(index));
            format!(
                " WHERE {key} BETWEEN (SELECT MIN(s.{staged}) FROM {stage} AS s) AND (SELECT MAX(s.{staged}) FROM {stage} AS \
                 s)"
            )
        });
        let among = among.unwrap_or_default();
        let count = |counts| Step::new(format!("SELECT COUNT(*) FROM {target}{among}"), counts);
        Some(vec![count(RowCount::Before), Step::new(sql, RowCount::Changed), count(RowCount::After)])
    }

    fn may_lose_rows(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Join;
    use crate::sql::Native;
    use crate::sql::change_tests::statements;

    #[test]
    fn each_row_is_looked_for_where_there_is_no_merge() {
        let first = statements(&SqliteDialect, Native(false), Join::AtServer).remove(0);
        assert_eq!(
            first,
            "UPDATE stage AS s SET \"landfall_done\" = CASE WHEN EXISTS (SELECT 1 FROM \"t\" AS t WHERE t.\"k\" = \
             s.\"landfall_0\") THEN s.\"landfall_1\" ELSE 1 END"
        );
    }
}
