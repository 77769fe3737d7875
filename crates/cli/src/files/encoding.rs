//! Text in any encoding as UTF-8.

use encoding_rs::{DecoderResult, Encoding, UTF_8};

use datafusion_landfall::error::{Error, ErrorKind};

/// Finds an encoding by its name.
///
/// # Errors
/// `Config` for an unknown name.
pub(super) fn named(name: &str) -> Result<&'static Encoding, Error> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            format!(
                "encoding '{name}' is unknown: use a name such as utf-8, utf-16le, windows-1252, iso-8859-15 or \
                 shift_jis"
            ),
        )
    })
}

/// Converts the parts of a text to UTF-8. A byte order mark at its beginning decides the encoding, and is removed.
pub(super) struct Decoder {
    encoding: Option<&'static Encoding>,
    /// The conversion; `None` before the first bytes, and for UTF-8, which is checked line by line.
    decoder: Option<encoding_rs::Decoder>,
    has_begun: bool,
    /// Bytes of the input before this part.
    read: u64,
}

impl Decoder {
    pub(super) fn new(encoding: Option<&'static Encoding>) -> Self {
        Self { encoding, decoder: None, has_begun: false, read: 0 }
    }

    /// Appends a part of the text to `text`. The first part has at least four bytes, unless it is the last.
    ///
    /// # Errors
    /// `Input` for bytes that the encoding does not have.
    pub(super) fn decode(&mut self, part: &[u8], is_last: bool, text: &mut Vec<u8>) -> Result<(), Error> {
        let mut part = part;
        if !self.has_begun && (!part.is_empty() || is_last) {
            self.has_begun = true;
            let marked = Encoding::for_bom(part);
            let encoding = marked.map(|(encoding, _)| encoding).or(self.encoding).unwrap_or(UTF_8);
            part = &part[marked.map_or(0, |(_, length)| length)..];
            self.decoder = (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling());
        }
        let Some(decoder) = &mut self.decoder else {
            text.extend_from_slice(part);
            return Ok(());
        };
        let mut rest = part;
        loop {
            let mut decoded = [0; 4096];
            let (result, read, written) = decoder.decode_to_utf8_without_replacement(rest, &mut decoded, is_last);
            text.extend_from_slice(&decoded[..written]);
            rest = &rest[read..];
            self.read += read as u64;
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    let name = decoder.encoding().name();
                    let text = format!(
                        "byte {} is not valid in the encoding {name}: specify the encoding of the file",
                        self.read
                    );
                    return Err(Error::new(ErrorKind::Input, text));
                }
            }
        }
    }
}
