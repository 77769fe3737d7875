//! Decision records and what a log knows of a job.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::txn::{Epoch, Gtrid, JobId, JobNumber, Subject};

/// What became of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// All of it is in the database.
    Commit,
    /// None of it is.
    Abort,
}

impl Decision {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
        }
    }

    /// The decision that a word of the ledger stands for.
    ///
    /// # Errors
    /// `Decode` for any other word.
    pub fn try_parse(word: &str) -> Result<Self> {
        match word {
            "commit" => Ok(Self::Commit),
            "abort" => Ok(Self::Abort),
            _ => Err(Error::new(ErrorKind::Decode, format!("the ledger has the decision '{word}'"))),
        }
    }
}

/// The version of what a record says; those of Landfall 0.1 have none.
const VERSION: u64 = 2;

/// How far into the job's input a committed epoch reaches, and what it was written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// What the job writes.
    pub subject: Subject,
    /// Whether the input is exhausted, so that the job is finished.
    pub end: bool,
    /// Rows that the epochs before it consumed.
    pub before: u64,
    /// The place in the input behind its last row, in the input's own words, where it can be read again from there.
    pub input: Option<Value>,
}

impl Positions {
    /// Those of a job that writes one epoch, or of a record that is no checkpoint.
    pub fn new(subject: impl Into<Subject>, end: bool) -> Self {
        Self { subject: subject.into(), end, before: 0, input: None }
    }

    /// The text in the ledger, a JSON object.
    pub fn to_token(&self) -> String {
        let mut token = Map::new();
        token.insert("version".into(), VERSION.into());
        token.insert("end".into(), self.end.into());
        self.subject.write(&mut token);
        if self.before > 0 {
            token.insert("before".into(), self.before.into());
        }
        if let Some(input) = &self.input {
            token.insert("input".into(), input.clone());
        }
        Value::Object(token).to_string()
    }

    /// Reads the text in the ledger; members that it does not know are passed over. A later release that
    /// adds one which older ones must not pass over raises the version.
    ///
    /// # Errors
    /// `Decode` when it is no JSON object with these members, or of a later version.
    pub fn try_parse(token: &str) -> Result<Self> {
        let mut value: Value = serde_json::from_str(token).unwrap_or_default();
        let input = value.get_mut("input").map(Value::take).filter(|input| !input.is_null());
        if let Some(later) = value["version"].as_u64().filter(|version| *version > VERSION) {
            let text = format!(
                "the ledger has a record of version {later}, and this program knows versions up to {VERSION}: use the \
                 program that wrote it, or a later one"
            );
            return Err(Error::new(ErrorKind::Decode, text));
        }
        match (Subject::read(&value), value["end"].as_bool()) {
            (Some(subject), Some(end)) => {
                Ok(Self { subject, end, before: value["before"].as_u64().unwrap_or_default(), input })
            }
            _ => Err(Error::new(ErrorKind::Decode, format!("the ledger has the positions '{token}'"))),
        }
    }
}

/// The durable fact that says commit or abort for an epoch of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRecord {
    /// The job.
    pub job: JobId,
    /// The epoch decided.
    pub epoch: Epoch,
    /// The global transaction that proposed it; tells whose proposal stands.
    pub gtrid: Gtrid,
    /// Commit or abort.
    pub decision: Decision,
    /// Rows consumed by the epoch; 0 for an abort.
    pub rows: u64,
    /// How far the epoch reaches.
    pub positions: Positions,
}

impl DecisionRecord {
    /// What it says of a transaction for its epoch or an earlier one: commit, where it is that one's own commit;
    /// abort in any other case, as the epoch is taken.
    pub fn verdict(&self, gtrid: &Gtrid) -> Decision {
        if self.gtrid == *gtrid { self.decision } else { Decision::Abort }
    }

    /// Rows that the job consumed up to here.
    pub fn total(&self) -> u64 {
        self.positions.before + self.rows
    }
}

/// What a log knows of a job: the records that it keeps, by epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobState {
    records: Vec<DecisionRecord>,
}

impl JobState {
    /// The state that these records make.
    pub fn new(mut records: Vec<DecisionRecord>) -> Self {
        records.sort_by_key(|record| record.epoch);
        Self { records }
    }

    /// The records, by epoch.
    pub fn records(&self) -> &[DecisionRecord] {
        &self.records
    }

    /// The last record.
    pub fn last(&self) -> Option<&DecisionRecord> {
        self.records.last()
    }

    /// The last committed epoch.
    pub fn checkpoint(&self) -> Option<&DecisionRecord> {
        self.records.iter().rfind(|record| record.decision == Decision::Commit)
    }

    /// The job's number in this log.
    pub fn number(&self) -> Option<JobNumber> {
        self.last().map(|record| record.gtrid.job())
    }

    /// The record that decides an epoch: its own, or, where that is forgotten or was never made, the next later one.
    pub fn standing(&self, epoch: Epoch) -> Option<&DecisionRecord> {
        self.records.iter().find(|record| record.epoch >= epoch)
    }

    /// The records without those that may be forgotten: of epochs before `before`, but never the last record, nor the
    /// last commit.
    pub fn kept(&self, before: Epoch) -> impl Iterator<Item = &DecisionRecord> {
        let kept = [self.last(), self.checkpoint()].map(|record| record.map(|record| record.epoch));
        self.records.iter().filter(move |record| record.epoch >= before || kept.contains(&Some(record.epoch)))
    }
}

/// A job as a log lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEntry {
    /// Its name.
    pub job: JobId,
    /// Its records.
    pub state: JobState,
    /// When each of them was made, by the log's clock: for people.
    pub decided_at: Vec<String>,
}

impl JobEntry {
    /// When its last committed epoch was decided.
    pub fn checkpoint_at(&self) -> Option<&str> {
        let epoch = self.state.checkpoint()?.epoch;
        let index = self.state.records().iter().position(|record| record.epoch == epoch)?;
        self.decided_at.get(index).map(String::as_str)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::txn::{StatementHash, StatementId};

    #[test]
    fn positions_survive_the_ledger() {
        let positions = Positions::new("a \"b\"", true);
        assert_eq!(positions.to_token(), r#"{"end":true,"table":"a \"b\"","version":2}"#);
        assert_eq!(Positions::try_parse(&positions.to_token()).unwrap(), positions);
        let positions = Positions { before: 7, input: Some(json!({ "done": 1 })), ..positions };
        assert_eq!(Positions::try_parse(&positions.to_token()).unwrap(), positions);
        let hash = Some(StatementHash { version: "1".into(), hash: "a".into() });
        let subject = Subject {
            table: "t".into(),
            databases: vec!["d".into()],
            statements: vec![StatementId { operation: "INSERT".into(), hash }, StatementId::of_operation("UPDATE")],
        };
        let positions = Positions { subject, ..positions };
        assert_eq!(Positions::try_parse(&positions.to_token()).unwrap(), positions);
        assert!(Positions::try_parse(r#"{"table":"t","end":false,"later":1}"#).is_ok(), "of Landfall 0.1");
        let later = Positions::try_parse(r#"{"table":"t","end":false,"version":3}"#).unwrap_err();
        assert!(later.to_string().contains("a record of version 3"), "{later}");
        for bad in ["", "[]", "{}", r#"{"table":1,"end":true}"#] {
            assert_eq!(Positions::try_parse(bad).unwrap_err().kind(), ErrorKind::Decode, "{bad}");
        }
    }
}
