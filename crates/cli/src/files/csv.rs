//! The records of a CSV file: a pure function over its text.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// How a CSV file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The byte between two values.
    pub(super) delimiter: u8,
    /// The byte around a value that contains a delimiter, a quotation mark or a line break; `None` if there is none.
    pub(super) quote: Option<u8>,
    /// The byte before a quotation mark inside a quoted value. A doubled quotation mark is one, unless this is set.
    pub(super) escape: Option<u8>,
    /// The first byte of a line that is ignored.
    pub(super) comment: Option<u8>,
}

/// The place of a value in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// Its first byte, without the quotation mark.
    pub(super) start: usize,
    /// The byte after its last one, without the quotation mark.
    pub(super) end: usize,
    /// Whether it stands in quotation marks: an empty value in them is an empty text, and not NULL.
    pub(super) is_quoted: bool,
    /// Whether some of its bytes are escapes.
    pub(super) has_escapes: bool,
}

/// What stands at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A record of this many bytes, with its line break, of which this many line breaks are part of values.
    Record(usize, u64),
    /// A comment or an empty line of this many bytes.
    Nothing(usize),
    /// The beginning of a record that goes on after the text.
    More,
    /// The text is at its end.
    End,
}

/// Why a text is not CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// The quoted value with this number, counted from 0, has no closing quotation mark.
    Unclosed(usize),
    /// After the closing quotation mark of the value with this number stands another character than a delimiter.
    AfterQuote(usize),
}

impl Dialect {
    /// Finds the record at the beginning of a text, and its values. `is_end` if nothing follows the text.
    pub(super) fn record(&self, text: &[u8], is_end: bool, cells: &mut Vec<Cell>) -> Result<Scanned, Malformed> {
        cells.clear();
        match text.first() {
            None => return Ok(if is_end { Scanned::End } else { Scanned::More }),
            Some(first) if Some(*first) == self.comment => {
                return Ok(match memchr(b'\n', text) {
                    Some(end) => Scanned::Nothing(end + 1),
                    None if is_end => Scanned::Nothing(text.len()),
                    None => Scanned::More,
                });
            }
            Some(_) => {}
        }
        let (mut at, mut breaks) = (0, 0);
        loop {
            let quoted = self.quote.is_some_and(|quote| text.get(at) == Some(&quote));
            let cell = match quoted {
                true => match self.quoted(text, at + 1, is_end, cells.len())? {
                    Some(cell) => cell,
                    None => return Ok(Scanned::More),
                },
                false => match memchr3(self.delimiter, b'\n', b'\r', &text[at..]) {
                    Some(length) => Cell { start: at, end: at + length, is_quoted: false, has_escapes: false },
                    None if is_end => Cell { start: at, end: text.len(), is_quoted: false, has_escapes: false },
                    None => return Ok(Scanned::More),
                },
            };
            if quoted {
                breaks += memchr_iter(b'\n', &text[cell.start..cell.end]).count() as u64;
            }
            let end = cell.end + usize::from(quoted);
            cells.push(cell);
            match text.get(end) {
                Some(byte) if *byte == self.delimiter => at = end + 1,
                Some(b'\r') if end + 1 == text.len() && !is_end => return Ok(Scanned::More),
                after => {
                    let length = match (after, text.get(end + 1)) {
                        (None, _) => end,
                        (Some(b'\r'), Some(b'\n')) => end + 2,
                        _ => end + 1,
                    };
                    return Ok(Scanned::Record(length, breaks));
                }
            }
        }
    }

    /// The value after an opening quotation mark; `None` if the text ends before it does.
    fn quoted(&self, text: &[u8], start: usize, is_end: bool, number: usize) -> Result<Option<Cell>, Malformed> {
        let quote = self.quote.unwrap_or_default();
        let (mut at, mut has_escapes) = (start, false);
        let end = loop {
            let found = memchr2(quote, self.escape.unwrap_or(quote), &text[at..]);
            let Some(mark) = found.map(|length| at + length) else {
                return if is_end { Err(Malformed::Unclosed(number)) } else { Ok(None) };
            };
            match text.get(mark + 1) {
                // Another part of the text may begin with the byte that it escapes.
                None if !is_end => return Ok(None),
                Some(next) if self.escapes(text[mark], *next, quote) => {
                    has_escapes = true;
                    at = mark + 2;
                }
                _ if text[mark] == quote => break mark,
                _ => at = mark + 1,
            }
        };
        match text.get(end + 1) {
            Some(byte) if *byte != self.delimiter && !matches!(byte, b'\n' | b'\r') => {
                Err(Malformed::AfterQuote(number))
            }
            _ => Ok(Some(Cell { start, end, is_quoted: true, has_escapes })),
        }
    }

    /// Whether a byte takes from the next one its meaning.
    fn escapes(&self, byte: u8, next: u8, quote: u8) -> bool {
        match self.escape {
            Some(escape) if escape != quote => byte == escape && (next == quote || next == escape),
            _ => byte == quote && next == quote,
        }
    }

    /// The bytes of a value without its escapes.
    pub(super) fn unescaped(&self, value: &[u8], into: &mut Vec<u8>) {
        let quote = self.quote.unwrap_or_default();
        into.clear();
        let mut bytes = value.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match bytes.peek() {
                Some(next) if self.escapes(byte, *next, quote) => into.extend(bytes.next()),
                _ => into.push(byte),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const USUAL: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), escape: None, comment: None };

    /// The records of a text: their values, quoted ones in brackets.
    fn read(dialect: Dialect, text: &str) -> Result<Vec<Vec<String>>, Malformed> {
        let (mut rest, mut cells, mut records, mut value) = (text.as_bytes(), Vec::new(), Vec::new(), Vec::new());
        loop {
            match dialect.record(rest, true, &mut cells)? {
                Scanned::Record(length, _) => {
                    let values = cells.iter().map(|cell| {
                        dialect.unescaped(&rest[cell.start..cell.end], &mut value);
                        let value = String::from_utf8_lossy(&value);
                        if cell.is_quoted { format!("[{value}]") } else { value.into_owned() }
                    });
                    records.push(values.collect());
                    rest = &rest[length..];
                }
                Scanned::Nothing(length) => rest = &rest[length..],
                Scanned::End => return Ok(records),
                Scanned::More => panic!("there is no more"),
            }
        }
    }

    #[test]
    fn values_end_at_delimiters_and_line_breaks() {
        assert_eq!(read(USUAL, "a,b\n1,\r\n,2").unwrap(), [["a", "b"], ["1", ""], ["", "2"]]);
        assert_eq!(read(USUAL, "a\rb\r").unwrap(), [["a"], ["b"]]);
        assert_eq!(read(USUAL, "").unwrap(), Vec::<Vec<String>>::new());
        assert_eq!(read(USUAL, "\n\na\n").unwrap(), [[""], [""], ["a"]]);
        assert_eq!(read(USUAL, "5\" disk,a\"b\n").unwrap(), [["5\" disk", "a\"b"]]);
    }

    #[test]
    fn quoted_values_have_delimiters_line_breaks_and_doubled_quotation_marks() {
        assert_eq!(read(USUAL, "\"a,\r\nb\",\"\"\n").unwrap(), [["[a,\r\nb]", "[]"]]);
        assert_eq!(read(USUAL, "\"say \"\"yes\"\"\"").unwrap(), [["[say \"yes\"]"]]);
        assert_eq!(read(USUAL, "\"\"\"\"\n").unwrap(), [["[\"]"]]);
        let escaped = Dialect { escape: Some(b'\\'), ..USUAL };
        assert_eq!(read(escaped, r#""a\"b\\","c\d""#).unwrap(), [[r#"[a"b\]"#, r"[c\d]"]]);
        let bare = Dialect { quote: None, ..USUAL };
        assert_eq!(read(bare, "\"a,b\"\n").unwrap(), [["\"a", "b\""]]);
        let commented = Dialect { comment: Some(b'#'), ..USUAL };
        assert_eq!(read(commented, "# \"\na\n#b").unwrap(), [["a"]]);
    }

    #[test]
    fn what_is_not_csv_is_an_error() {
        assert_eq!(read(USUAL, "a,\"b\nc"), Err(Malformed::Unclosed(1)));
        assert_eq!(read(USUAL, "\"a\"b,c"), Err(Malformed::AfterQuote(0)));
        assert_eq!(read(USUAL, "\"a\" ,c"), Err(Malformed::AfterQuote(0)));
    }

    #[test]
    fn a_text_in_parts_has_the_same_records() {
        let text = "k,\"a\r\n\"\"b\"\"\"\r\n\r\n1,2\r\n\"\",\"x\"";
        let dialects = [USUAL, Dialect { escape: Some(b'"'), ..USUAL }];
        for dialect in dialects {
            let (mut whole, mut cells) = (Vec::new(), Vec::new());
            let mut at = 0;
            while let Scanned::Record(length, breaks) =
                dialect.record(&text.as_bytes()[at..], true, &mut cells).unwrap()
            {
                // However much of what follows is known, the record is not found before it is known whole.
                for end in 0..text.len() - at {
                    let found = dialect.record(&text.as_bytes()[at..at + end], false, &mut cells).unwrap();
                    assert!(found == Scanned::More || found == Scanned::Record(length, breaks), "{found:?} {end}");
                }
                whole.push((length, breaks));
                at += length;
            }
            assert_eq!(whole, [(14, 1), (2, 0), (5, 0), (6, 0)]);
        }
    }
}
