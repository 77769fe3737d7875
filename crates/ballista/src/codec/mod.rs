//! The codecs of plans: what is Landfall's is encoded here, everything else by the codec that they wrap.

mod logical;
mod physical;

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion_landfall::provider::remote::Recipe;
use datafusion_proto::protobuf;
use prost::Message;

pub(crate) use self::logical::LogicalCodec;
pub(crate) use self::physical::PhysicalCodec;

/// The beginning of bytes that these codecs have written. It is no beginning of a protobuf message: the type of its first
/// field does not exist.
const MAGIC: &[u8] = b"\x0flandfall\x01";

fn write(recipe: &Recipe, bytes: &mut Vec<u8>) -> Result<()> {
    bytes.extend(MAGIC);
    write_part(recipe.text.as_bytes(), bytes)?;
    for schema in &recipe.schemas {
        let schema =
            protobuf::Schema::try_from(schema.as_ref()).map_err(|error| DataFusionError::External(Box::new(error)))?;
        write_part(&schema.encode_to_vec(), bytes)?;
    }
    Ok(())
}

fn write_part(part: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
    let Ok(length) = u32::try_from(part.len()) else { return exec_err!("a part of the plan is larger than 4 GiB") };
    bytes.extend(length.to_le_bytes());
    bytes.extend(part);
    Ok(())
}

/// The recipe in bytes; `None` if another codec wrote them.
fn read(bytes: &[u8]) -> Result<Option<Recipe>> {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return Ok(None) };
    let text = String::from_utf8(read_part(&mut rest)?.to_vec());
    let text = text.map_err(|error| DataFusionError::External(Box::new(error)))?;
    let mut schemas = Vec::new();
    while !rest.is_empty() {
        let schema = protobuf::Schema::decode(read_part(&mut rest)?);
        let schema = schema.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let schema = Schema::try_from(&schema).map_err(|error| DataFusionError::External(Box::new(error)))?;
        schemas.push(Arc::new(schema));
    }
    Ok(Some(Recipe { text, schemas }))
}

fn read_part<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8]> {
    let part = bytes.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        rest.split_at_checked(length)
    });
    let Some((part, rest)) = part else { return exec_err!("the plan ends in the middle of a Landfall table or node") };
    *bytes = rest;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn a_recipe_is_read_as_it_was_written() -> Result<()> {
        let nested = DataType::Struct(vec![Field::new("a", DataType::Decimal128(38, 9), true)].into());
        let fields = vec![Field::new("n", nested, false), Field::new("t", DataType::Utf8View, true)];
        let schemas = vec![Arc::new(Schema::new(fields)), Arc::new(Schema::empty())];
        let recipe = Recipe { text: "{\"text\": \"\u{fc}\"}".into(), schemas };
        let mut bytes = Vec::new();
        write(&recipe, &mut bytes)?;
        let Some(back) = read(&bytes)? else { return exec_err!("it is not recognised") };
        assert_eq!((back.text, back.schemas), (recipe.text, recipe.schemas));
        for length in MAGIC.len()..bytes.len() {
            if let Ok(Some(cut)) = read(&bytes[..length]) {
                assert!(cut.schemas.len() < 2, "{length} of {} bytes are a whole recipe", bytes.len());
            }
        }
        assert!(read(b"another codec's")?.is_none());
        Ok(())
    }
}
