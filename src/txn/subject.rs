//! What a job writes, as stored in its records. A job is one statement. Its name must not be used for another one.

use serde_json::{Map, Value, json};

/// The identity of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementId {
    /// `INSERT`, `INSERT OVERWRITE`, `REPLACE`, `UPDATE`, `DELETE`, `MERGE` or `TRUNCATE`.
    pub operation: String,
    /// A hash of what the statement writes and reads; `None` if only the operation is known.
    pub hash: Option<StatementHash>,
}

/// A hash of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementHash {
    /// The version of the hash function. Hashes of different versions cannot be compared.
    pub version: String,
    /// The hash.
    pub hash: String,
}

impl StatementId {
    /// Creates the identity of a statement of which only the operation is known.
    pub fn of_operation(operation: impl Into<String>) -> Self {
        Self { operation: operation.into(), hash: None }
    }

    /// Whether it may be the same statement as a recorded one.
    fn can_be(&self, recorded: &Self, progress: JobProgress) -> bool {
        let hashes = self.hash.as_ref().zip(recorded.hash.as_ref()).filter(|_| progress == JobProgress::Finished);
        let differ = hashes.is_some_and(|(own, other)| own.version == other.version && own.hash != other.hash);
        self.operation == recorded.operation && !differ
    }

    /// The JSON object of a statement.
    pub(crate) fn to_json(&self) -> Value {
        let mut statement = json!({ "operation": self.operation });
        if let Some(StatementHash { version, hash }) = &self.hash {
            statement["version"] = version.as_str().into();
            statement["hash"] = hash.as_str().into();
        }
        statement
    }

    /// Reads it from a JSON object.
    pub(crate) fn of_json(statement: &Value) -> Option<Self> {
        let text = |member: &str| statement[member].as_str().map(str::to_owned);
        let hash = text("version").zip(text("hash")).map(|(version, hash)| StatementHash { version, hash });
        Some(Self { operation: text("operation")?, hash })
    }
}

/// How a job continues after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobProgress {
    /// The job resumes from a checkpoint. The fingerprint of its input is compared instead of the statement's hash, so
    /// that the expression of a column can be corrected between runs.
    UnderWay,
    Finished,
}

/// What a job writes. The default is the subject of a transaction of several statements, before it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The table, or the names of several tables in one text.
    pub table: String,
    /// The databases whose ledger is not the log, as [`Backend::identity`](crate::backend::Backend::identity) names
    /// them. A ledger moves with its own database, so that one is not listed.
    pub databases: Vec<String>,
    /// The statement. Records of version 0.1 do not contain it.
    pub statements: Vec<StatementId>,
}

impl<T: Into<String>> From<T> for Subject {
    fn from(table: T) -> Self {
        Self { table: table.into(), ..Self::default() }
    }
}

impl Subject {
    /// Why a job that wrote `recorded` cannot write this; `None` if it can.
    pub(super) fn differs_from(&self, recorded: &Self, progress: JobProgress) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let (own, other) = (&self.table, &recorded.table);
        if own != other {
            return Some(format!(
                "has written table \"{other}\" and cannot write table \"{own}\": a job is a single statement; use a \
                 different job name for this statement"
            ));
        }
        let (here, there) = (self.databases.join(" and "), recorded.databases.join(" and "));
        if here != there && !here.is_empty() && !there.is_empty() {
            return Some(format!(
                "has written table \"{other}\" in another database, {there}, and cannot write this table in {here}: a \
                 job is a single statement; use a different job name for this statement"
            ));
        }
        let mut pairs = self.statements.iter().zip(&recorded.statements);
        let (own, other) = pairs.find(|(own, other)| !own.can_be(other, progress))?;
        let before = match own.operation == other.operation {
            true => format!("another {}", other.operation),
            false => other.operation.clone(),
        };
        Some(format!(
            "has run {before} on table \"{}\", so this {} was not run: a job is a single statement; to run this \
             statement, register the table with a different name in the option 'job', or without the option",
            self.table, own.operation
        ))
    }

    /// Why the statement with this number, counted from 0, is not the recorded one; `None` if it may be.
    pub(crate) fn statement_differs(&self, number: usize, own: &StatementId) -> Option<String> {
        let count = self.statements.len();
        let Some(recorded) = self.statements.get(number) else {
            return Some(format!("has run fewer statements that write ({count})"));
        };
        let is_another = !own.can_be(recorded, JobProgress::Finished);
        is_another.then(|| {
            format!("has run another {} as number {} of its statements that write", recorded.operation, number + 1)
        })
    }

    /// Writes it into the JSON object of a record.
    pub(super) fn write(&self, token: &mut Map<String, Value>) {
        token.insert("table".into(), self.table.as_str().into());
        if !self.databases.is_empty() {
            token.insert("databases".into(), self.databases.clone().into());
        }
        if !self.statements.is_empty() {
            token.insert("statements".into(), self.statements.iter().map(StatementId::to_json).collect());
        }
    }

    /// Reads it from the JSON object of a record; `None` if the object names no table.
    pub(super) fn read(token: &Value) -> Option<Self> {
        let members = |name: &str| token[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let databases = members("databases").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let statements = members("statements").iter().filter_map(StatementId::of_json).collect();
        Some(Self { table: token["table"].as_str()?.to_owned(), databases, statements })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn insert(version: &str, hash: &str) -> Subject {
        let hash = Some(StatementHash { version: version.into(), hash: hash.into() });
        Subject { statements: vec![StatementId { operation: "INSERT".into(), hash }], ..Subject::from("t") }
    }

    #[test]
    fn another_statement_is_told_apart() {
        let one = insert("1", "a");
        assert_eq!(one.differs_from(&one, JobProgress::Finished), None);
        assert_eq!(insert("1", "b").differs_from(&one, JobProgress::UnderWay), None);
        assert!(
            insert("1", "b")
                .differs_from(&one, JobProgress::Finished)
                .unwrap()
                .contains("has run another INSERT on table \"t\"")
        );
        let update = Subject { statements: vec![StatementId::of_operation("UPDATE")], ..Subject::from("t") };
        assert!(
            update
                .differs_from(&one, JobProgress::Finished)
                .unwrap()
                .contains("has run INSERT on table \"t\", so this UPDATE")
        );
        assert!(update.differs_from(&one, JobProgress::UnderWay).is_some());
    }

    #[test]
    fn hashes_of_another_version_are_not_compared() {
        assert_eq!(insert("2", "b").differs_from(&insert("1", "a"), JobProgress::Finished), None);
        let unknown = Subject { statements: vec![StatementId::of_operation("INSERT")], ..Subject::from("t") };
        assert_eq!(unknown.differs_from(&insert("1", "a"), JobProgress::Finished), None);
    }

    #[test]
    fn records_of_version_0_1_name_the_table_alone() {
        assert_eq!(insert("1", "a").differs_from(&Subject::from("t"), JobProgress::Finished), None);
        assert!(
            insert("1", "a")
                .differs_from(&Subject::from("u"), JobProgress::Finished)
                .unwrap()
                .contains("has written table \"u\" and cannot")
        );
    }

    #[test]
    fn another_database_is_told_apart() {
        let at = |database: &str| Subject { databases: vec![database.into()], ..Subject::from("t") };
        assert_eq!(at("a").differs_from(&at("a"), JobProgress::Finished), None);
        assert!(
            at("a")
                .differs_from(&at("b"), JobProgress::Finished)
                .unwrap()
                .contains("in another database, b, and cannot")
        );
    }
}
