//! Positions in files, as jobs store them.

use datafusion::common::Result as DfResult;
use serde_json::{Value, json};

use datafusion_landfall::error::{Error, ErrorKind};

use super::input::Input;

/// The text of a position: numbers by name, with the version of the file.
pub(super) fn stored<const N: usize>(input: &Input, numbers: [(&str, u64); N]) -> String {
    let mut position = json!({"version": input.version()});
    for (name, number) in numbers {
        position[name] = number.into();
    }
    position.to_string()
}

/// The numbers of a position with these names, in the file `name`.
///
/// # Errors
/// `Input` if the file is another one, or the text is not a position.
pub(super) fn restored<const N: usize>(
    name: &str,
    input: &Input,
    position: &str,
    names: [&str; N],
) -> DfResult<[u64; N]> {
    let wrong = |why: &str| {
        let text = format!("the job cannot resume in file {name}: {why}");
        Error::new(ErrorKind::Input, text)
    };
    let damaged = "the stored position is damaged";
    let position: Value = serde_json::from_str(position).map_err(|error| wrong(damaged).with_source(error))?;
    if position["version"] != input.version() {
        let why = "the file has changed since the last checkpoint; restore the file, or use another job name";
        return Err(wrong(why).into());
    }
    let mut numbers = [0; N];
    for (number, name) in numbers.iter_mut().zip(names) {
        *number = position[name].as_u64().ok_or_else(|| wrong(damaged))?;
    }
    Ok(numbers)
}
