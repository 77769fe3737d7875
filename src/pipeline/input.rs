//! The input of a write, and how it is resumed from a checkpoint.
//!
//! An input is a list of *splits*. A split is a stream that returns the same rows in the same order whenever it is
//! read: a file, a range of a file, a partition of a table in memory. A checkpoint records how far each split was read.
//! A *fingerprint* shows whether the same input is read again.

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};

/// The input of a write.
pub trait Input: Debug + Send + Sync {
    /// Whether it is unbounded.
    fn is_unbounded(&self) -> bool;

    /// Whether it can be read again from the start.
    fn can_restart(&self) -> bool;

    /// The fingerprint that distinguishes it from other inputs.
    ///
    /// # Errors
    /// `Unsupported` if it cannot be resumed from a checkpoint. The message says what to change.
    fn fingerprint(&self) -> Result<Fingerprint>;

    /// Reads the input from a position to its end.
    fn read(&self, from: &Position) -> Result<BoxStream<'static, Result<Read>>>;
}

/// An item that a reader returns.
#[derive(Debug)]
pub enum Read {
    /// The next rows of a split.
    Rows {
        /// The split.
        split: usize,
        /// The rows. No rows if only the position advances.
        batch: RecordBatch,
        /// Where a checkpoint is possible.
        boundary: Boundary,
    },
    /// A split has no more rows.
    End {
        /// The split.
        split: usize,
    },
}

/// Where a checkpoint is possible in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boundary {
    /// After each row.
    EveryRow,
    /// After the last row. This text identifies the place.
    At(String),
    /// After this many rows. This text identifies the place.
    Inside(usize, String),
    /// Nowhere: the next rows belong to the same epoch.
    None,
}

/// How far a split was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// This many rows.
    Rows(u64),
    /// Up to this place, in the split's notation.
    At(String),
    /// To its end.
    Done,
}

/// How far an input was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The number of splits, from the first one, that were read to the end.
    done: usize,
    /// The progress of later splits.
    splits: BTreeMap<usize, Progress>,
}

impl Position {
    /// How far a split was read.
    pub fn of(&self, split: usize) -> Progress {
        match self.splits.get(&split) {
            Some(progress) => progress.clone(),
            None if split < self.done => Progress::Done,
            None => Progress::Rows(0),
        }
    }

    /// Advances a split by a number of rows, or to their boundary.
    pub fn advance(&mut self, split: usize, rows: usize, boundary: &Boundary) {
        let progress = match (boundary, self.splits.get(&split)) {
            (Boundary::EveryRow, Some(Progress::Rows(before))) => Progress::Rows(before + rows as u64),
            (Boundary::EveryRow, _) => Progress::Rows(rows as u64),
            (Boundary::At(place), _) => Progress::At(place.clone()),
            (Boundary::Inside(..) | Boundary::None, _) => return,
        };
        self.splits.insert(split, progress);
    }

    /// Records that a split was read to the end.
    pub fn end(&mut self, split: usize) {
        self.splits.insert(split, Progress::Done);
        while self.splits.get(&self.done) == Some(&Progress::Done) {
            self.splits.remove(&self.done);
            self.done += 1;
        }
    }

    /// Whether nothing was read.
    pub fn is_start(&self) -> bool {
        *self == Self::default()
    }

    /// The form in the decision record.
    pub fn to_json(&self, fingerprint: &Fingerprint) -> Value {
        let splits: serde_json::Map<_, _> = self
            .splits
            .iter()
            .map(|(split, progress)| {
                let progress = match progress {
                    Progress::Rows(rows) => json!(rows),
                    Progress::At(place) => json!(place),
                    Progress::Done => json!(true),
                };
                (split.to_string(), progress)
            })
            .collect();
        let of: Vec<_> = fingerprint.0.iter().map(|(_, digest)| digest).collect();
        // The name in existing ledgers.
        json!({ "of": of, "done": self.done, "pieces": splits })
    }

    /// The position of a decision record for display, without the fingerprint.
    pub fn shown(value: &Value) -> String {
        let mut shown = value.clone();
        if let Some(members) = shown.as_object_mut() {
            members.remove("of");
        }
        shown.to_string()
    }

    /// Reads the position of a decision record, whose input must be `input`.
    ///
    /// # Errors
    /// `Input` if the input has changed; the message says how. `Decode` if the value is not a position.
    pub fn from_json(value: &Value, input: &Fingerprint) -> Result<Self> {
        let bad = || {
            Error::new(
                ErrorKind::Decode,
                format!("the position in the input, as stored in the ledger, is invalid: '{value}'"),
            )
        };
        let of: Option<Vec<&str>> = value["of"].as_array().map(|of| of.iter().filter_map(Value::as_str).collect());
        input.check(&of.ok_or_else(bad)?)?;
        let mut position = Self { done: value["done"].as_u64().ok_or_else(bad)? as usize, ..Self::default() };
        for (split, progress) in value["pieces"].as_object().ok_or_else(bad)? {
            let progress = match progress {
                Value::Number(rows) => Progress::Rows(rows.as_u64().ok_or_else(bad)?),
                Value::String(place) => Progress::At(place.clone()),
                Value::Bool(true) => Progress::Done,
                _ => return Err(bad()),
            };
            position.splits.insert(split.parse().map_err(|_| bad())?, progress);
        }
        Ok(position)
    }
}

/// A digest of bytes, the same in every build and on every machine.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes).simple().to_string()[..12].to_owned()
}

/// The identity of an input: the names of its parts, each with a digest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprint(Vec<(String, String)>);

/// The number of parts that are stored separately. Further parts share one digest.
const PARTS: usize = 256;

impl Fingerprint {
    /// Creates a fingerprint from the name of each part and its content, which must not change.
    pub fn new(parts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut parts: Vec<_> = parts.into_iter().collect();
        if parts.len() > PARTS {
            let rest: Vec<_> = parts.drain(PARTS..).map(|(_, part)| part).collect();
            parts.push((format!("one of {} more parts", rest.len()), rest.join("\0")));
        }
        Self(parts.into_iter().map(|(name, part)| (name, digest(part.as_bytes()))).collect())
    }

    fn check(&self, then: &[&str]) -> Result<()> {
        let differs = |(index, (_, digest)): &(usize, &(String, String))| then.get(*index) != Some(&digest.as_str());
        let name = match self.0.iter().enumerate().find(differs) {
            Some((_, (name, _))) => name,
            None if then.len() == self.0.len() => return Ok(()),
            None => "the list of its parts",
        };
        Err(Error::new(
            ErrorKind::Input,
            format!(
                "the input differs from the one that the job started with: {name} has changed; restore the original \
                 input, or use a different job name (the rows that are already committed stay in the table)"
            ),
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parts(parts: &[(&str, &str)]) -> Fingerprint {
        Fingerprint::new(parts.iter().map(|(name, part)| ((*name).to_owned(), (*part).to_owned())))
    }

    #[test]
    fn a_position_survives_the_ledger() {
        let input = parts(&[("its columns", "a"), ("file x", "y")]);
        let mut position = Position::default();
        position.end(0);
        position.end(2);
        position.advance(3, 5, &Boundary::EveryRow);
        position.advance(3, 6, &Boundary::EveryRow);
        position.advance(3, 7, &Boundary::None);
        position.advance(5, 1, &Boundary::At("byte 9".into()));
        let there = Position::from_json(&position.to_json(&input), &input).unwrap();
        assert_eq!(there, position);
        let of = [0, 1, 2, 3, 4, 5].map(|split| there.of(split));
        let (none, at) = (Progress::Rows(0), Progress::At("byte 9".into()));
        assert_eq!(of, [Progress::Done, none.clone(), Progress::Done, Progress::Rows(11), none, at]);
        position.end(1);
        assert_eq!(position.done, 3);
    }

    #[test]
    fn another_input_is_told_by_what_is_different() {
        let then = parts(&[("its columns", "a"), ("file x", "1"), ("file y", "2")]);
        let token = Position::default().to_json(&then);
        for (now, name) in [
            (parts(&[("its columns", "a"), ("file x", "1"), ("file y", "3")]), "file y"),
            (parts(&[("its columns", "b"), ("file x", "1"), ("file y", "3")]), "its columns"),
            (parts(&[("its columns", "a"), ("file x", "1")]), "the list of its parts"),
        ] {
            let error = Position::from_json(&token, &now).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} has changed")), "{error}");
        }
        assert!(Position::from_json(&token, &then).unwrap().is_start());
    }

    #[test]
    fn of_many_parts_a_few_are_remembered() {
        let many = |last: &str| Fingerprint::new((0..2000).map(|i| (format!("file {i}"), last.to_owned())));
        assert_eq!(many("a").0.len(), 257);
        let token = Position::default().to_json(&many("a"));
        assert!(Position::from_json(&token, &many("a")).is_ok());
        assert!(Position::from_json(&token, &many("b")).is_err());
    }
}
