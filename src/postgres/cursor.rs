//! A reader of the parts of a value.

/// Reads integers and length-prefixed byte strings.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        let int = i32::from_be_bytes(self.bytes.get(self.at..self.at + 4)?.try_into().ok()?);
        self.at += 4;
        Some(int)
    }

    /// The position and length of the next byte string; the length is negative for NULL.
    pub(super) fn field(&mut self) -> Option<(usize, i32)> {
        let length = self.int()?;
        let begin = self.at;
        self.at += usize::try_from(length).unwrap_or(0);
        (self.at <= self.bytes.len()).then_some((begin, length))
    }

    pub(super) fn text(&mut self) -> Option<Option<&'a str>> {
        let (begin, length) = self.field()?;
        if length < 0 {
            return Some(None);
        }
        std::str::from_utf8(&self.bytes[begin..self.at]).ok().map(Some)
    }
}
