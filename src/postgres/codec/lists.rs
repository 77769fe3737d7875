//! Encodes lists as PostgreSQL arrays.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType::List;

use super::super::cells::{Cells, LENGTH, put, put_length, put_null};
use super::ServerType;
use crate::columnar::{list_item, misfit, plain, recode};
use crate::error::{Error, Result};

/// `MAXDIM` of src/include/utils/array.h.
pub(super) const MAX_DIMENSIONS: usize = 6;

/// PostgreSQL arrays: `array_recv` in src/backend/utils/adt/arrayfuncs.c. Nested lists are dimensions.
struct Lists {
    nulls: Option<NullBuffer>,
    /// The range of a row's elements in the innermost list.
    offsets: OffsetBuffer<i64>,
    /// The length of each row in every dimension.
    lengths: Vec<Vec<i32>>,
    item_oid: u32,
    item_nulls: Option<NullBuffer>,
    items: Box<dyn Cells>,
    item_sizes: Vec<usize>,
}

impl Lists {
    const HEADER: usize = 12;
    const DIMENSION: usize = 8;

    fn items_of(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    fn length(&self, row: usize) -> usize {
        let items = self.items_of(row);
        if items.is_empty() {
            return Self::HEADER;
        }
        Self::HEADER + Self::DIMENSION * self.lengths.len() + self.item_sizes[items].iter().sum::<usize>()
    }
}

impl Cells for Lists {
    fn add_sizes(&self, sizes: &mut [usize]) {
        for (row, size) in sizes.iter_mut().enumerate() {
            let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            *size += LENGTH + if is_null { 0 } else { self.length(row) };
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], _: usize, out: &mut [u8]) {
        let items = self.offsets[first + at.len()] - self.offsets[first];
        let mut item_at = Vec::with_capacity(items as usize);
        for (row, at) in (first..).zip(at.iter_mut()) {
            if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                put_null(at, out);
                // A NULL may contain elements; they are skipped.
                item_at.extend(self.items_of(row).map(|_| usize::MAX));
                continue;
            }
            put_length(at, self.length(row), out);
            let items = self.items_of(row);
            let dimensions = if items.is_empty() { 0 } else { self.lengths.len() };
            put(at, &(dimensions as i32).to_be_bytes(), out);
            let has_nulls = self.item_nulls.as_ref().is_some_and(|nulls| items.clone().any(|item| nulls.is_null(item)));
            put(at, &i32::from(has_nulls).to_be_bytes(), out);
            put(at, &self.item_oid.to_be_bytes(), out);
            for lengths in &self.lengths[..dimensions] {
                put(at, &lengths[row].to_be_bytes(), out);
                put(at, &1_i32.to_be_bytes(), out);
            }
            for item in items {
                item_at.push(*at);
                *at += self.item_sizes[item];
            }
        }
        // Runs of elements that are not skipped.
        let mut item = self.offsets[first] as usize;
        for run in item_at.chunk_by_mut(|a, b| (*a == usize::MAX) == (*b == usize::MAX)) {
            if run[0] != usize::MAX {
                self.items.scatter(item, run, 0, out);
            }
            item += run.len();
        }
    }
}

/// Nested lists of any kind, down to the innermost one or at most to that many levels.
pub(super) fn lists(array: &ArrayRef, item: &ServerType, levels: usize) -> Result<Box<dyn Cells>> {
    let mut list = as_list(array)?;
    let mut offsets: Vec<i64> = list.offsets().iter().map(|offset| i64::from(*offset)).collect();
    let mut lengths: Vec<Vec<i32>> = vec![list.offsets().windows(2).map(|pair| pair[1] - pair[0]).collect()];
    let nulls = list.nulls().cloned();
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls: &NullBuffer| nulls.is_null(row));
    while lengths.len() < levels && list_item(plain(list.values().data_type())).is_some() {
        let inner = as_list(list.values())?;
        let mut inner_lengths = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            let items = offsets[row] as usize..offsets[row + 1] as usize;
            if is_null(row) || items.is_empty() {
                inner_lengths.push(0);
                continue;
            }
            let length = inner.value_length(items.start);
            let why = if items.clone().any(|index| inner.is_null(index)) {
                "contains NULL in place of an inner list, but a PostgreSQL array cannot store that"
            } else if items.clone().any(|index| inner.value_length(index) != length) {
                "contains inner lists of different lengths, but a PostgreSQL array cannot store them"
            } else if length == 0 {
                "contains an empty inner list, but a PostgreSQL array cannot store that"
            } else {
                inner_lengths.push(length);
                continue;
            };
            return Err(misfit(array, row, why));
        }
        lengths.push(inner_lengths);
        offsets = offsets.iter().map(|offset| i64::from(inner.offsets()[*offset as usize])).collect();
        list = inner;
    }
    if lengths.len() > MAX_DIMENSIONS {
        return Err(Error::schema(format!(
            "the lists are nested too deeply: a PostgreSQL array has at most {MAX_DIMENSIONS} dimensions"
        )));
    }
    // A slice of a list array has the elements of the whole array.
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let values = list.values().slice(first as usize, (last - first) as usize);
    offsets.iter_mut().for_each(|offset| *offset -= first);
    let of_row = |error: Error| match error.row() {
        Some(item) => error.at_row(offsets.partition_point(|offset| *offset as usize <= item) - 1),
        None => error,
    };
    let item_nulls = values.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let items = item.encode_items(&values).map_err(of_row)?;
    let mut item_sizes = vec![0; values.len()];
    items.add_sizes(&mut item_sizes);
    Ok(Box::new(Lists {
        nulls,
        offsets: OffsetBuffer::new(offsets.into()),
        lengths,
        item_oid: item.oid,
        item_nulls,
        items,
        item_sizes,
    }))
}

fn as_list(array: &ArrayRef) -> Result<ListArray> {
    let data_type = plain(array.data_type());
    let field = list_item(data_type).ok_or_else(|| Error::internal(format!("a list of {data_type}")))?;
    Ok(recode(array, &List(Arc::clone(field)))?.as_list::<i32>().clone())
}
