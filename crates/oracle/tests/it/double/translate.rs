//! Turns the statements that Landfall sends into those of SQLite. A statement that it does not know fails in SQLite.

use datafusion_landfall_oracle::session::Failure;

/// The schema of the double's user.
pub(super) const SCHEMA: &str = "SCOTT";

/// Functions that the double takes for their first argument: its times are in UTC, its JSON is text.
const TRANSPARENT: &[&str] = &["SYS_EXTRACT_UTC", "FROM_TZ", "TO_BOOLEAN", "JSON", "JSON_SERIALIZE", "TO_CHAR"];

/// A statement of SQLite.
pub(super) fn statement(sql: &str) -> Result<String, Failure> {
    let mut sql = sql
        .replace(&format!("\"{SCHEMA}\"."), "")
        .replace("SYS.", "")
        .replace("k.DEFERRABLE", "k.\"DEFERRABLE\"")
        .replace(" FROM DUAL", "");
    for function in TRANSPARENT {
        sql = without_call(&sql, function);
    }
    sql = literals(&sql, "TIMESTAMP '", |text| {
        let text = text.trim_end_matches(" +00:00");
        let (second, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{second}.{fraction:0<9}")
    });
    sql = literals(&sql, "DATE '", |text| format!("{text} 00:00:00.000000000"));
    if let Some((before, rest)) = sql.split_once(" FETCH FIRST ") {
        sql = format!("{before} LIMIT {}", rest.trim_end_matches(" ROWS ONLY"));
    }
    Ok(sql)
}

/// `f(a, b)` as `(a)`.
fn without_call(sql: &str, function: &str) -> String {
    let (mut out, mut rest, head) = (String::new(), sql, format!("{function}("));
    while let Some(at) = rest.find(&head) {
        let is_word = rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '"');
        out += &rest[..at];
        let inner = &rest[at + head.len()..];
        if is_word {
            out += &head;
            rest = inner;
            continue;
        }
        let (mut depth, mut end, mut argument, mut quote) = (0, inner.len(), None, None);
        for (index, c) in inner.char_indices() {
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                (_, Some(_)) => {}
                ('\'' | '"', None) => quote = Some(c),
                ('(', None) => depth += 1,
                (')', None) if depth == 0 => {
                    end = index;
                    break;
                }
                (')', None) => depth -= 1,
                (',', None) if depth == 0 => {
                    argument.get_or_insert(index);
                }
                _ => {}
            }
        }
        let argument = argument.unwrap_or(end);
        // Without parentheses, the result keeps the type of its column.
        out += inner[..argument].trim_end_matches(" RETURNING CLOB");
        rest = &inner[end + 1..];
    }
    out + rest
}

/// Replaces literals with this beginning.
fn literals(sql: &str, head: &str, text: impl Fn(&str) -> String) -> String {
    let (mut out, mut rest) = (String::new(), sql);
    while let Some((before, behind)) = rest.split_once(head) {
        let (literal, after) = behind.split_once('\'').unwrap();
        out += &format!("{before}'{}'", text(literal));
        rest = after;
    }
    out + rest
}

/// The UPDATE and the INSERT of a MERGE; `None` for another statement.
pub(super) fn merge(sql: &str) -> Option<(Option<String>, String)> {
    let rest = sql.strip_prefix("MERGE INTO ")?;
    let (target, rest) = rest.split_once(" t USING (")?;
    let (source, rest) = rest.split_once(") s ON (")?;
    let (matched, insert) = rest.split_once(" WHEN NOT MATCHED THEN INSERT (")?;
    let (names, values) = insert.split_once(") VALUES (")?;
    let (same, set) = match matched.split_once(") WHEN MATCHED THEN UPDATE SET ") {
        Some((same, set)) => (same, Some(set)),
        None => (matched.strip_suffix(')')?, None),
    };
    let translated = |sql: String| statement(&sql).ok();
    let update = set.map(|set| {
        let set = set.split(", ").map(|one| one.trim_start_matches("t.")).collect::<Vec<_>>().join(", ");
        format!("UPDATE {target} AS t SET {set} FROM ({source}) AS s WHERE {same}")
    });
    let insert = format!(
        "INSERT INTO {target} ({names}) SELECT {} FROM ({source}) AS s WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same})",
        values.strip_suffix(')')?
    );
    Some((update.and_then(translated), translated(insert)?))
}
