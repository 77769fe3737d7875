//! Counts the distinct keys of a stream of rows, and whether they were inserted, updated or unchanged.

use std::collections::HashSet;
use std::hash::BuildHasher;

use arrow::buffer::BooleanBuffer;
use foldhash::fast::{FixedState, RandomState};

use super::keys::Keys;

/// The maximum number of stored keys, which take 18 MB.
const MOST_KEYS: usize = 1 << 20;

/// The result of comparing the first row of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Unchanged = 0,
    Written = 1,
}

/// The keys that rows have added to the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    /// The number of keys that were counted as unchanged before and are updated now.
    pub(crate) changed_later: u64,
}

/// The keys of earlier rows, as 63 bits of a hash and one bit for their result.
///
/// Ascending keys are only appended to a list, because none of them can be a repetition. They are looked up after the
/// order ends.
#[derive(Debug, Default)]
pub(crate) struct KeyCounts {
    listed: Vec<u64>,
    largest: Option<u64>,
    known: HashSet<u64, RandomState>,
    is_full: bool,
}

impl KeyCounts {
    /// Counts the keys of compared rows, which must be distinct. `is_new` and `is_updated` say how each row differs.
    /// `None` if there were too many earlier keys, so that keys of these rows may have been counted before.
    pub(crate) fn count(
        &mut self,
        keys: &Keys,
        rows: &BooleanBuffer,
        is_new: &BooleanBuffer,
        is_updated: &BooleanBuffer,
    ) -> Option<Counted> {
        if rows.count_set_bits() == 0 {
            return Some(Counted::default());
        }
        if self.is_full || self.listed.len() + self.known.len() + keys.len() > MOST_KEYS {
            *self = Self { is_full: true, ..Self::default() };
            return None;
        }
        let ascends = match keys {
            Keys::Integers(integers) => {
                let kept = || rows.set_indices().map(|row| integers[row]);
                let ascends = kept().min() > self.largest;
                self.largest = kept().max().max(self.largest);
                ascends
            }
            _ => false,
        };
        if !ascends {
            self.known.extend(self.listed.drain(..));
        }
        let looks_up = !ascends || !self.known.is_empty();
        let mut counted = Counted::default();
        for row in rows.set_indices() {
            let is_written = is_new.value(row) || is_updated.value(row);
            let became = if is_written { Became::Written } else { Became::Unchanged };
            let key = hash(keys, row);
            if looks_up {
                let unchanged = key | Became::Unchanged as u64;
                if self.known.contains(&(key | Became::Written as u64)) {
                    continue;
                }
                if self.known.contains(&unchanged) {
                    if is_written {
                        self.known.remove(&unchanged);
                        self.known.insert(key | Became::Written as u64);
                        counted.changed_later += 1;
                    }
                    continue;
                }
                self.known.insert(key | became as u64);
            } else {
                self.listed.push(key | became as u64);
            }
            match (is_new.value(row), is_updated.value(row)) {
                (true, _) => counted.inserted += 1,
                (_, true) => counted.updated += 1,
                _ => counted.unchanged += 1,
            }
        }
        Some(counted)
    }

    /// The size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // A set has an additional byte for each slot.
        self.listed.capacity() * size_of::<u64>() + self.known.capacity() * 8 / 7 * (size_of::<u64>() + 1)
    }
}

/// 63 bits of a key, followed by a 0.
fn hash(keys: &Keys, row: usize) -> u64 {
    let hasher = FixedState::default();
    let hash = match keys {
        Keys::Integers(integers) => hasher.hash_one(integers[row]),
        keys => hasher.hash_one(keys.bytes(row)),
    };
    hash << 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Counts keys with the result of each: new, updated or unchanged.
    fn count(key_counts: &mut KeyCounts, rows: &[(u64, char)]) -> (u64, u64, u64, u64) {
        let keys = Keys::Integers(rows.iter().map(|(key, _)| *key).collect());
        let of = |what: char| BooleanBuffer::from_iter(rows.iter().map(|(_, became)| *became == what));
        let all = BooleanBuffer::new_set(rows.len());
        let Counted { inserted, updated, unchanged, changed_later } =
            key_counts.count(&keys, &all, &of('n'), &of('u')).unwrap();
        (inserted, updated, unchanged, changed_later)
    }

    #[test]
    fn a_key_is_counted_once() {
        let mut key_counts = KeyCounts::default();
        assert_eq!(count(&mut key_counts, &[(1, 'n'), (2, 'u'), (3, '=')]), (1, 1, 1, 0));
        assert_eq!(count(&mut key_counts, &[(4, 'n'), (5, '=')]), (1, 0, 1, 0), "in ascending order");
        assert!(key_counts.known.is_empty(), "nothing is looked up while keys ascend");
        assert_eq!(count(&mut key_counts, &[(1, 'u'), (2, '='), (3, '='), (6, 'u')]), (0, 1, 0, 0));
        assert_eq!(count(&mut key_counts, &[(3, 'u'), (5, 'u')]), (0, 0, 0, 2), "they are no longer unchanged");
        assert_eq!(count(&mut key_counts, &[(3, 'u'), (5, '='), (7, 'n')]), (1, 0, 0, 0));
    }

    #[test]
    fn more_keys_than_are_remembered_are_not_counted() {
        let mut key_counts = KeyCounts::default();
        let rows: Vec<_> = (0..MOST_KEYS as u64).map(|key| (key, 'n')).collect();
        assert_eq!(count(&mut key_counts, &rows).0, MOST_KEYS as u64);
        let one = BooleanBuffer::new_set(1);
        assert_eq!(key_counts.count(&Keys::Integers(vec![0]), &one, &one, &one), None);
        assert_eq!(key_counts.bytes(), 0);
    }
}
