//! Decision records, and the state of a job in a log.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::txn::{Epoch, Gtrid, JobId, JobNumber, Subject, Xid};

/// The decision about an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The epoch is committed.
    Commit,
    /// The epoch is rolled back.
    Abort,
}

impl Decision {
    /// The spelling in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
        }
    }

    /// Parses the spelling in the ledger.
    ///
    /// # Errors
    /// `Decode` for any other word.
    pub fn try_parse(word: &str) -> Result<Self> {
        match word {
            "commit" => Ok(Self::Commit),
            "abort" => Ok(Self::Abort),
            _ => Err(Error::new(ErrorKind::Decode, format!("the ledger contains an unknown decision: '{word}'"))),
        }
    }
}

/// The version of the record's format. Records of Landfall 0.1 have no version.
const VERSION: u64 = 2;

/// The version of a record that lists its branches, which an earlier release must not ignore.
const LISTS_BRANCHES: u64 = 3;

/// The branches of a transaction that its COMMIT commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedBranches(Vec<u64>);

impl CommittedBranches {
    /// Creates the list from the branches' `bqual`s.
    pub fn new(mut bquals: Vec<u64>) -> Self {
        bquals.sort_unstable();
        Self(bquals)
    }

    /// Whether the branch is committed.
    pub fn contains(&self, bqual: u64) -> bool {
        self.0.binary_search(&bqual).is_ok()
    }

    fn to_json(&self) -> Value {
        self.0.iter().map(|bqual| format!("{bqual:x}")).collect()
    }

    fn read(list: &Value) -> Option<Self> {
        let bqual = |name: &Value| u64::from_str_radix(name.as_str()?, 16).ok();
        Some(Self::new(list.as_array()?.iter().map(bqual).collect::<Option<_>>()?))
    }
}

/// The position in the job's input that a committed epoch reaches, and the tables that it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// What the job writes.
    pub subject: Subject,
    /// Whether the job is finished: its input is exhausted.
    pub end: bool,
    /// The number of rows that earlier epochs consumed.
    pub before: u64,
    /// The number of rows up to its end that were set aside, because they cannot be stored.
    pub rejected: u64,
    /// The position after its last row, as the input defines it; `None` if the input cannot resume.
    pub input: Option<Value>,
    /// The branches that a COMMIT commits; `None` for all branches of its transaction. A transaction that several processes
    /// write can have branches of attempts that failed.
    pub branches: Option<Box<CommittedBranches>>,
}

impl Positions {
    /// The positions of a job with one epoch, or of a record that is not a checkpoint.
    pub fn new(subject: impl Into<Subject>, end: bool) -> Self {
        Self { subject: subject.into(), end, before: 0, rejected: 0, input: None, branches: None }
    }

    /// The text in the ledger, a JSON object.
    pub fn to_token(&self) -> String {
        let mut token = Map::new();
        token.insert("version".into(), if self.branches.is_some() { LISTS_BRANCHES } else { VERSION }.into());
        token.insert("end".into(), self.end.into());
        self.subject.write(&mut token);
        if self.before > 0 {
            token.insert("before".into(), self.before.into());
        }
        if self.rejected > 0 {
            token.insert("rejected".into(), self.rejected.into());
        }
        if let Some(input) = &self.input {
            token.insert("input".into(), input.clone());
        }
        if let Some(branches) = &self.branches {
            token.insert("branches".into(), branches.to_json());
        }
        Value::Object(token).to_string()
    }

    /// Parses the text in the ledger. Unknown members are ignored. A later release that adds a member which older
    /// releases must not ignore increases the version.
    ///
    /// # Errors
    /// `Decode` if the text is not a JSON object with these members, or has a later version.
    pub fn try_parse(token: &str) -> Result<Self> {
        let mut value: Value = serde_json::from_str(token).unwrap_or_default();
        let input = value.get_mut("input").map(Value::take).filter(|input| !input.is_null());
        if let Some(later) = value["version"].as_u64().filter(|version| *version > LISTS_BRANCHES) {
            let text = format!(
                "the ledger contains a record of version {later}, but this version of Landfall supports versions up to \
                 {LISTS_BRANCHES}: use the version of Landfall that wrote the record, or a newer one"
            );
            return Err(Error::new(ErrorKind::Decode, text));
        }
        let branches = match &value["branches"] {
            Value::Null => Some(None),
            list => CommittedBranches::read(list).map(|branches| Some(Box::new(branches))),
        };
        match (Subject::read(&value), value["end"].as_bool(), branches) {
            (Some(subject), Some(end), Some(branches)) => {
                let count = |member: &str| value[member].as_u64().unwrap_or_default();
                Ok(Self { subject, end, before: count("before"), rejected: count("rejected"), input, branches })
            }
            _ => Err(Error::new(
                ErrorKind::Decode,
                format!("the ledger contains a record with invalid positions: '{token}'"),
            )),
        }
    }
}

/// The durable record that says commit or abort for an epoch of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRecord {
    /// The job.
    pub job: JobId,
    /// The epoch decided.
    pub epoch: Epoch,
    /// The global transaction that proposed it. It tells whose proposal stands.
    pub gtrid: Gtrid,
    /// Commit or abort.
    pub decision: Decision,
    /// Rows consumed by the epoch; 0 for an abort.
    pub rows: u64,
    /// How far the epoch reaches.
    pub positions: Positions,
}

impl DecisionRecord {
    /// The decision about a transaction of this epoch or an earlier one. Commit if the record is that transaction's own
    /// commit; otherwise abort, because the epoch is taken.
    pub fn decision_for(&self, gtrid: &Gtrid) -> Decision {
        if self.gtrid == *gtrid { self.decision } else { Decision::Abort }
    }

    /// The decision about a branch of such a transaction: commit if the record commits the transaction, and lists the branch
    /// or none.
    pub fn verdict(&self, xid: &Xid) -> Decision {
        match (self.decision_for(&xid.gtrid), &self.positions.branches) {
            (Decision::Commit, Some(branches)) if !branches.contains(xid.bqual) => Decision::Abort,
            (decision, _) => decision,
        }
    }

    /// The number of rows that the job consumed up to this epoch.
    pub fn total(&self) -> u64 {
        self.positions.before + self.rows
    }
}

/// The state of a job in a log: its records by epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobState {
    records: Vec<DecisionRecord>,
}

impl JobState {
    /// Creates the state from records.
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

    /// The record that decides an epoch: its own record, or, if that was removed or never existed, the next later one.
    pub fn standing(&self, epoch: Epoch) -> Option<&DecisionRecord> {
        self.records.iter().find(|record| record.epoch >= epoch)
    }

    /// The records without those of epochs before `before`. The last record and the last commit are always kept.
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
    /// When each record was made, by the log's clock. For information only.
    pub decided_at: Vec<String>,
}

impl JobEntry {
    /// Its state in words: finished, under way, rolled back, not finished.
    pub fn state_in_words(&self) -> &'static str {
        let is_claim_only = self.state.last().is_some_and(|last| last.epoch == Epoch(1));
        match self.state.checkpoint() {
            Some(checkpoint) if checkpoint.positions.end => "finished",
            Some(_) => "under way",
            None if self.job.is_of_statement() && !is_claim_only => "rolled back",
            None => "not finished",
        }
    }

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
        let positions = Positions { before: 7, rejected: 2, input: Some(json!({ "done": 1 })), ..positions };
        assert_eq!(Positions::try_parse(&positions.to_token()).unwrap(), positions);
        let hash = Some(StatementHash { version: "1".into(), hash: "a".into() });
        let subject = Subject {
            table: "t".into(),
            databases: vec!["d".into()],
            statements: vec![StatementId { operation: "INSERT".into(), hash }, StatementId::of_operation("UPDATE")],
        };
        let positions = Positions { subject, ..positions };
        assert_eq!(Positions::try_parse(&positions.to_token()).unwrap(), positions);
        let positions = Positions { branches: Some(Box::new(CommittedBranches::new(vec![u64::MAX, 0]))), ..positions };
        assert!(positions.to_token().contains(r#""branches":["0","ffffffffffffffff"]"#), "{}", positions.to_token());
        assert!(positions.to_token().contains(r#""version":3"#), "an earlier release refuses it");
        assert_eq!(Positions::try_parse(&positions.to_token()).unwrap(), positions);
        assert!(Positions::try_parse(r#"{"table":"t","end":false,"later":1}"#).is_ok(), "of Landfall 0.1");
        let later = Positions::try_parse(r#"{"table":"t","end":false,"version":4}"#).unwrap_err();
        assert!(later.to_string().contains("a record of version 4"), "{later}");
        for bad in ["", "[]", "{}", r#"{"table":1,"end":true}"#, r#"{"table":"t","end":true,"branches":[1]}"#] {
            assert_eq!(Positions::try_parse(bad).unwrap_err().kind(), ErrorKind::Decode, "{bad}");
        }
    }
}
