//! The SQL of Oracle: conditions and orders of queries, and the statements of the ledger.

use arrow::datatypes::DataType;
use datafusion_landfall::backend::{Column, Constant, Parameter, QueryDialect, Spelled};
use datafusion_landfall::sql::ledger::{LedgerDialect, Placeholders};

use crate::names;

/// The SQL of conditions and orders.
#[derive(Debug)]
pub(crate) struct OracleDialect;

impl QueryDialect for OracleDialect {
    fn constant(&self, constant: Constant<'_>, column: &Column) -> Option<Spelled> {
        let parameter = |parameter| Some(Spelled::Parameter(parameter));
        let (data_type, text) = match constant {
            // BOOLEAN is compared only with TRUE and FALSE.
            Constant::Boolean(value) if column.data_type == DataType::Boolean => {
                return Some(Spelled::Sql(if value { "TRUE" } else { "FALSE" }.to_owned()));
            }
            Constant::Boolean(_) => return None,
            Constant::Integer(value) => return parameter(Parameter::Integer(value)),
            Constant::Float(value) if value.is_finite() => return parameter(Parameter::Real(value)),
            Constant::Float(_) => return None,
            // It is NULL.
            Constant::Text("") => return None,
            Constant::Text(text) => return parameter(Parameter::Text(text.to_owned())),
            Constant::Other(data_type, text) => (data_type, text),
        };
        Some(Spelled::Sql(match data_type {
            t if t.is_decimal() => text.to_owned(),
            // There is no year 0, and the years behind 9999 have more digits.
            _ if text.starts_with("0000") || text.find('-') != Some(4) => return None,
            DataType::Timestamp(_, Some(_)) => format!("TIMESTAMP '{} +00:00'", text.trim_end_matches('Z')),
            DataType::Timestamp(..) => format!("TIMESTAMP '{text}'"),
            _ => format!("DATE '{text}'"),
        }))
    }

    fn stored_name(&self, name: &str) -> Option<String> {
        Some(names::stored(name))
    }

    fn parameter(&self, number: usize, _: &DataType) -> String {
        format!(":{number}")
    }
}

/// The statements of the ledger. An INSERT with a subquery could not bind a long value, so that a later record is looked for
/// after the INSERT.
pub(crate) const LEDGER: LedgerDialect = LedgerDialect {
    placeholders: Placeholders::Positional,
    decide: "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, \"rows\", positions) VALUES ($1, $2, $3, $4, $5, $6)",
    later: "SELECT CASE WHEN COUNT(*) > 0 THEN 1 ELSE 0 END FROM landfall_ledger WHERE job = $1 AND epoch > $2",
    standing: "SELECT job, epoch, gtrid, decision, \"rows\", positions, '-' FROM landfall_ledger \
               WHERE job = $1 AND epoch >= $2 ORDER BY epoch FETCH FIRST 1 ROWS ONLY",
    jobs: "SELECT job, epoch, gtrid, decision, \"rows\", positions, \
           TO_CHAR(decided_at, 'YYYY-MM-DD HH24:MI:SS') FROM landfall_ledger ORDER BY job, epoch",
    forget: "DELETE FROM landfall_ledger WHERE job = $1 AND epoch < $2 \
             AND epoch < (SELECT MAX(epoch) FROM landfall_ledger WHERE job = $1) \
             AND epoch NOT IN (SELECT MAX(epoch) FROM landfall_ledger WHERE job = $1 AND decision = 'commit')",
};
