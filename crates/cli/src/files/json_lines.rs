//! The values of a line of JSON.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// A member of the object on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member<'l> {
    pub(super) key: Cow<'l, str>,
    /// A text without quotation marks and escapes; another value as it is written; `None` for null.
    pub(super) value: Option<Cow<'l, str>>,
    pub(super) is_number: bool,
}

/// The members of the object on a line, in order.
///
/// # Errors
/// Why the line is not an object of JSON.
pub(super) fn members(line: &str) -> Result<Vec<Member<'_>>, String> {
    if !line.trim_start().starts_with('{') {
        return Err("the line is not a JSON object: write one object on each line, for example {\"id\": 1}".into());
    }
    // What is valid as a whole can be taken apart by its punctuation.
    serde_json::from_str::<IgnoredAny>(line).map_err(|error| format!("the line is not valid JSON ({error})"))?;
    let mut members = Vec::new();
    let mut rest = after(line, '{');
    while rest.starts_with('"') {
        let (key, more) = rest.split_at(value_length(rest));
        rest = after(more, ':');
        let (value, more) = rest.split_at(value_length(rest));
        let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let value = if value == "null" { None } else { Some(text(value)?) };
        members.push(Member { key: text(key)?, value, is_number });
        rest = after(more, ',');
    }
    Ok(members)
}

/// What follows a punctuation mark and spaces.
fn after(text: &str, mark: char) -> &str {
    text.trim_start().trim_start_matches(mark).trim_start()
}

/// The length in bytes of the value at the beginning of valid JSON.
fn value_length(json: &str) -> usize {
    let bytes = json.as_bytes();
    let (mut depth, mut is_text, mut at) = (0_usize, false, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if is_text => at += 1,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            // The end of what it stands in.
            b'}' | b']' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
            _ => {}
        }
        at += 1;
        if depth == 0 && !is_text && matches!(byte, b'"' | b'}' | b']') {
            break;
        }
    }
    at.min(bytes.len())
}

/// A text without quotation marks and escapes; another value as it is.
fn text(value: &str) -> Result<Cow<'_, str>, String> {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        None => Ok(value.into()),
        Some(plain) if !plain.contains('\\') => Ok(plain.into()),
        Some(_) => serde_json::from_str::<String>(value).map(Into::into).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<(String, Option<String>)> {
        let members = members(line).unwrap().into_iter();
        members.map(|member| (member.key.into_owned(), member.value.map(Cow::into_owned))).collect()
    }

    #[test]
    fn values_keep_their_digits_and_texts_lose_their_escapes() {
        let line = r#" { "a" : 1.10 ,"b":"x\n\"}é", "c":null,"d":{"e":["}",{}]},"f":[] , "g\u0041":true,"h":-1e400}"#;
        let expected = [
            ("a", Some("1.10")),
            ("b", Some("x\n\"}é")),
            ("c", None),
            ("d", Some(r#"{"e":["}",{}]}"#)),
            ("f", Some("[]")),
            ("gA", Some("true")),
            ("h", Some("-1e400")),
        ];
        assert_eq!(read(line), expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
        assert_eq!(read("{}"), []);
        assert_eq!(read(r#"{"a":"null","b":"\ud83d\ude00"}"#)[1].1.as_deref(), Some("😀"));
        assert_eq!(read(r#"{"a":"null"}"#)[0].1.as_deref(), Some("null"));
        assert_eq!(read(r#"{"a":",","b":""}"#), [("a".into(), Some(",".into())), ("b".into(), Some(String::new()))]);
    }

    #[test]
    fn what_is_not_an_object_is_an_error() {
        for line in ["[1]", "1", "{\"a\":}", "{\"a\":1", "{\"a\":1}{}", "{\"a\":\"\\ud800\"}"] {
            assert!(members(line).is_err(), "{line}");
        }
    }
}
