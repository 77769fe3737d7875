//! The statements of one write.

use std::sync::Arc;

use super::connector::Server;
use super::described::{Relation, codec_of, relation};
use super::fields::{Frame, Style};
use crate::backend::{Column, ColumnDefault, Comparison, Dispatch, Table};
use crate::backend::{Existing, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::sql::quote;

/// Maximum bytes of a piece of a file, and of a packet.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// Maximum bytes of an INSERT, unless a single row is longer. Longer ones are not faster.
const INSERT_BYTES: usize = 1024 * 1024;

/// Maximum bytes of a file: the server reports refused rows at its end only.
pub(super) const FILE_BYTES: usize = 64 * 1024 * 1024;

/// The error of a row that conflicts on another key than the conflict key: a number is out of range.
pub(super) const OTHER_KEY: u16 = 1690;

/// Counts the rows of a branch that are ignored because their key exists.
pub(super) const IGNORED: &str = "@landfall_ignored";

/// How rows are written to their table.
#[derive(Debug)]
pub(super) enum InsertMethod {
    /// With this statement; the frame's pieces are its file.
    Load(String),
    /// Each of the frame's pieces is a statement.
    Insert,
}

/// The form of a write's values.
pub(super) fn style(server: Server, spec: &WriteSpec) -> Style {
    match spec.on_conflict {
        OnConflict::Error if server.local_infile => Style::File,
        _ => Style::Literal,
    }
}

/// How a write's rows are written, and the text around them.
pub(super) fn insert_method(table: &Table, spec: &WriteSpec) -> Result<(InsertMethod, Arc<Frame>)> {
    let server = relation(table)?.server;
    match style(server, spec) {
        Style::File => load(table, spec),
        Style::Literal => insert(table, spec),
    }
}

/// LOAD DATA. Bytes are stored unchanged; texts must be UTF-8.
pub(super) fn load(table: &Table, spec: &WriteSpec) -> Result<(InsertMethod, Arc<Frame>)> {
    let relation = relation(table)?;
    let (mut fields, mut set) = (Vec::new(), Vec::new());
    let columns = spec.columns.fields().iter().map(|field| table.column(field.name()));
    let columns = columns.enumerate().map(|(index, column)| {
        let variable = format!("@landfall_{index}");
        let loaded = column.map(codec_of).transpose()?.and_then(|codec| codec.loaded(&variable));
        Ok((column, variable, loaded))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    // If the statement or a trigger sets a column, the server no longer knows that an AUTO_INCREMENT column had a field,
    // and replaces its 0 by a new number, unless the statement sets that column, too.
    let sets = relation.watched.is_some() || columns.iter().any(|(_, _, loaded)| loaded.is_some());
    for (field, (column, variable, loaded)) in spec.columns.fields().iter().zip(columns) {
        let quoted = quote(field.name());
        let is_numbered = column.is_some_and(|column| column.default == ColumnDefault::Numbered);
        match loaded.or_else(|| (is_numbered && sets).then(|| variable.clone())) {
            Some(value) => {
                set.push(format!("{quoted} = {value}"));
                fields.push(variable);
            }
            None => fields.push(quoted),
        }
    }
    let set = if set.is_empty() { String::new() } else { format!(" SET {}", set.join(", ")) };
    let load = format!(
        "LOAD DATA LOCAL INFILE 'landfall' INTO TABLE {} CHARACTER SET binary FIELDS TERMINATED BY X'09' \
         ESCAPED BY X'5C' LINES TERMINATED BY X'0A' ({}){set}",
        relation.name.quoted(),
        fields.join(", ")
    );
    let (head, tail) = (String::new(), String::new());
    let frame = Frame { style: Style::File, head, tail, bytes: PIECE_BYTES, most: usize::MAX };
    Ok((InsertMethod::Load(load), Arc::new(frame)))
}

/// An INSERT of many rows.
fn insert(table: &Table, spec: &WriteSpec) -> Result<(InsertMethod, Arc<Frame>)> {
    let relation = relation(table)?;
    let names: Vec<String> = spec.columns.fields().iter().map(|field| quote(field.name())).collect();
    let head = format!("INSERT INTO {} ({}) VALUES ", relation.name.quoted(), names.join(", "));
    let tail = on_duplicate_key(table, relation, spec);
    let most = statement_bytes(relation.server.max_allowed_packet);
    let frame = Frame { style: Style::Literal, head, tail, bytes: most.min(INSERT_BYTES), most };
    Ok((InsertMethod::Insert, Arc::new(frame)))
}

/// Maximum bytes of a statement: the packet contains more.
pub(super) fn statement_bytes(max_allowed_packet: usize) -> usize {
    max_allowed_packet - (max_allowed_packet / 4).min(1_024)
}

/// Whether a row can conflict on another key than the conflict key.
pub(super) fn has_several_keys(table: &Table, relation: &Relation) -> bool {
    usize::from(!table.primary_key.is_empty()) + table.unique_keys.len() > 1 || relation.has_other_keys
}

/// The keys of a table other than the conflict key, as the server does not name the one that a row violates.
pub(super) fn other_keys(table: &Table, key: &[String]) -> String {
    let others = table.keys().filter(|other| *other != key).map(|other| format!("({})", other.join(", ")));
    let others: Vec<_> = others.chain(table.other_indexes.iter().map(|index| format!("\"{}\"", index.name))).collect();
    match others.as_slice() {
        [only] => format!("the unique index {only}"),
        others => format!("one of the unique indexes {}", others.join(", ")),
    }
}

/// The clause for a row whose key exists. It sets the key itself only if equal keys can have different spellings. REPLACE
/// sets every other column, those that are not written to their default values. Nothing is deleted, so no foreign key
/// cascades.
pub(super) fn on_duplicate_key(table: &Table, relation: &Relation, spec: &WriteSpec) -> String {
    let flavor = relation.server.flavor;
    let is_written = |name: &str| spec.columns.field_with_name(name).is_ok();
    let new = |name: &str| flavor.new_value(&quote(name));
    // With the new row's alias, an unqualified name would be ambiguous.
    let old = |name: &str| format!("{}.{}", relation.name.quoted(), quote(name));
    let mut set = Vec::new();
    // The statement resolves a conflict on any unique key.
    if has_several_keys(table, relation) {
        let is_same: Vec<_> = spec.key.iter().map(|name| format!("{} <=> {}", old(name), new(name))).collect();
        let (key, old_key, new_key) =
            spec.key.first().map(|name| (quote(name), old(name), new(name))).unwrap_or_default();
        // If it is not the same key, an overflow raises an error. The server cannot evaluate it in advance.
        set.push(format!(
            "{key} = IF({} OR ~0 + (1 + CHAR_LENGTH({new_key})) > 0, {old_key}, {old_key})",
            is_same.join(" AND ")
        ));
    }
    let is_bytewise = |column: &Column| matches!(column.comparison, Comparison::Exact | Comparison::Equality);
    let is_free =
        |column: &Column| !spec.key.contains(&column.name) || column.data_type.is_string() && !is_bytewise(column);
    match spec.on_conflict {
        OnConflict::Error => return String::new(),
        OnConflict::Ignore => {
            // Changes nothing; the server counts such a row as written.
            let (key, old_key) = spec.key.first().map(|name| (quote(name), old(name))).unwrap_or_default();
            set.push(format!("{key} = IF(({IGNORED} := {IGNORED} + 1) > 0, {old_key}, {old_key})"));
        }
        OnConflict::Update | OnConflict::Replace => {
            for column in table.columns.iter().filter(|column| is_free(column)) {
                let quoted = quote(&column.name);
                match (is_written(&column.name), column.default) {
                    (_, ColumnDefault::Generated) | (false, ColumnDefault::Numbered) => {}
                    (true, _) => set.push(format!("{quoted} = {}", new(&column.name))),
                    (false, ColumnDefault::ByDefault) if spec.on_conflict == OnConflict::Replace => {
                        set.push(format!("{quoted} = DEFAULT"));
                    }
                    (false, _) if spec.on_conflict == OnConflict::Replace => set.push(format!("{quoted} = NULL")),
                    (false, _) => {}
                }
            }
        }
    }
    if set.is_empty() {
        // Changes nothing.
        let (key, old_key) = spec.key.first().map(|name| (quote(name), old(name))).unwrap_or_default();
        set.push(format!("{key} = {old_key}"));
    }
    format!("{} ON DUPLICATE KEY UPDATE {}", flavor.new_row(), set.join(", "))
}

/// The statement that empties the table.
pub(super) fn delete(table: &Table, existing: Existing) -> Result<Option<String>> {
    let name = relation(table)?.name.quoted();
    Ok((existing != Existing::Keep).then(|| format!("DELETE FROM {name}")))
}

/// `SELECT` of these columns, by index. `from` is ` FROM …`.
pub(super) fn select(table: &Table, projection: &[usize], from: &str) -> Result<String> {
    let names = projection.iter().map(|index| table.columns[*index].name.as_str());
    if let Some(name) = names.clone().find(|name| name.contains('\\')) {
        // After a backslash, the client would parse a `:` as a named parameter.
        let text = format!(
            "cannot read column \"{name}\", because its name contains a backslash: omit the column from the query"
        );
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let columns: Vec<_> = names.map(quote).collect();
    // Without columns, the rows are still counted.
    let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
    Ok(format!("SELECT {columns}{from}"))
}

/// How the rows of a write can be distributed to several writers, which do not see each other's rows: two rows that the
/// server has to compare must go to the same writer.
pub(super) fn dispatch(table: &Table, spec: &WriteSpec) -> Result<Dispatch> {
    let one_writer = relation(table)?.one_writer;
    let is_text = |column: &_| codec_of(column).is_ok_and(|codec| codec.is_text());
    Ok(Dispatch::of(table, spec, one_writer, is_text))
}
