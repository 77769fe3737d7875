//! Finds the last row of each key.

use std::collections::{HashMap, HashSet};

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use foldhash::fast::RandomState;

use super::keys::Keys;

/// The last row of each key of a batch.
#[derive(Debug)]
pub(crate) enum LastRows<'a> {
    Integers(HashMap<u64, u32, RandomState>),
    Bytes(HashMap<&'a [u8], u32, RandomState>),
}

impl<'a> LastRows<'a> {
    /// The last rows, and a bit for each row whose key a later row has; `None` if all keys are distinct.
    pub(crate) fn of(keys: &'a Keys) -> (Self, Option<BooleanBuffer>) {
        fn index<K: std::hash::Hash + Eq>(
            count: usize,
            keys: impl Iterator<Item = K>,
        ) -> (HashMap<K, u32, RandomState>, Option<BooleanBuffer>) {
            let mut rows = HashMap::with_capacity_and_hasher(count, RandomState::default());
            let mut superseded: Option<BooleanBufferBuilder> = None;
            for (row, key) in (0_u32..).zip(keys) {
                if let Some(earlier) = rows.insert(key, row) {
                    let bits = superseded.get_or_insert_with(|| {
                        let mut bits = BooleanBufferBuilder::new(count);
                        bits.append_n(count, false);
                        bits
                    });
                    bits.set_bit(earlier as usize, true);
                }
            }
            (rows, superseded.map(|mut bits| bits.finish()))
        }
        match keys {
            Keys::Integers(integers) => {
                let (rows, superseded) = index(integers.len(), integers.iter().copied());
                (Self::Integers(rows), superseded)
            }
            keys => {
                let (rows, superseded) = index(keys.len(), (0..keys.len()).map(|row| keys.bytes(row)));
                (Self::Bytes(rows), superseded)
            }
        }
    }

    /// The last row with the key of a row of another batch.
    pub(super) fn row(&self, keys: &Keys, row: usize) -> Option<u32> {
        match (self, keys) {
            (Self::Integers(rows), Keys::Integers(keys)) => rows.get(&keys[row]).copied(),
            (Self::Bytes(rows), keys) => rows.get(keys.bytes(row)).copied(),
            _ => None,
        }
    }
}

/// The keys of the rows of earlier batches.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    integers: HashSet<u64, RandomState>,
    bytes: HashSet<Box<[u8]>, RandomState>,
}

impl Seen {
    /// Whether they contain the key of a row.
    pub(crate) fn contains(&self, keys: &Keys, row: usize) -> bool {
        match keys {
            Keys::Integers(keys) => self.integers.contains(&keys[row]),
            keys => self.bytes.contains(keys.bytes(row)),
        }
    }

    /// Adds the key of a row.
    pub(crate) fn insert(&mut self, keys: &Keys, row: usize) {
        match keys {
            Keys::Integers(keys) => self.integers.insert(keys[row]),
            keys => self.bytes.insert(keys.bytes(row).into()),
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.integers.is_empty() && self.bytes.is_empty()
    }
}
