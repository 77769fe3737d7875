//! Names. Oracle stores an unquoted name in upper case, and DataFusion one in lower case: a name that has no lower-case
//! letter is shown in lower case, and every other name as it is.

use datafusion_landfall::sql::TableName;

/// The name as DataFusion sees it.
pub(crate) fn shown(name: &str) -> String {
    if is_upper(name) { name.to_ascii_lowercase() } else { name.to_owned() }
}

/// The name in Oracle of a shown name.
pub(crate) fn stored(name: &str) -> String {
    if name.contains(|c: char| c.is_ascii_uppercase()) { name.to_owned() } else { name.to_ascii_uppercase() }
}

/// Whether a shown name leads back to this one. A name in lower case, which was quoted when it was created, does not: it is
/// shown like the name in upper case.
pub(crate) fn is_found_again(name: &str) -> bool {
    stored(&shown(name)) == name
}

fn is_upper(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_lowercase())
}

/// The name in Oracle of a table, from its shown name.
pub(crate) fn stored_table(name: &TableName) -> TableName {
    TableName { schema: name.schema.as_deref().map(stored), table: stored(&name.table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_lower_case_letters_is_shown_in_lower_case() {
        for (name, as_shown) in
            [("ID", "id"), ("ORDER_1", "order_1"), ("MixedCase", "MixedCase"), ("Ä", "Ä"), ("1", "1")]
        {
            assert_eq!(shown(name), as_shown);
            assert_eq!(stored(as_shown), name);
            assert!(is_found_again(name));
        }
        assert_eq!(shown("id"), "id");
        assert!(!is_found_again("id"));
    }
}
