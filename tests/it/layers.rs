//! Dependencies point down only.

use std::path::Path;

/// The modules by layer, lowest first. A module may use those of lower layers, and itself.
const LAYERS: &[&[&str]] = &[
    &["error", "metrics"],
    &["buffer"],
    &["xa"],
    &["options"],
    &["columnar", "pool"],
    &["sql"],
    &["log"],
    &["sqlite", "postgres", "mysql", "pipeline"],
    &["provider"],
];

fn layer(module: &str) -> usize {
    let at = LAYERS.iter().position(|layer| layer.contains(&module));
    at.unwrap_or_else(|| panic!("module {module} has no layer: give it one in this test"))
}

/// The modules of this crate that a line of source names.
fn used(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let names = code.split("crate::").skip(1);
    names.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()).collect()
}

fn check(file: &Path, module: &str, arrows: &mut Vec<String>) -> usize {
    let source = std::fs::read_to_string(file).unwrap();
    // Tests may look anywhere.
    let source = source.split("\nmod tests").next().unwrap();
    let mut seen = 0;
    for used in source.lines().flat_map(used).filter(|used| !used.is_empty()) {
        // Names that the crate's root re-exports are no modules.
        if !used.starts_with(|c: char| c.is_ascii_lowercase()) {
            continue;
        }
        seen += 1;
        if used != module && layer(used) >= layer(module) {
            arrows.push(format!("{} uses crate::{used}", file.display()));
        }
    }
    if module != "provider" && source.contains("DataFusionError") {
        arrows.push(format!("{} knows DataFusionError", file.display()));
    }
    seen
}

fn check_folder(folder: &Path, module: &str, arrows: &mut Vec<String>) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let seen = files.map(|file| match file.is_dir() {
        true => check_folder(&file, module, arrows),
        false => check(&file, module, arrows),
    });
    seen.sum()
}

#[test]
fn no_module_uses_a_higher_one() {
    let src = crate::program::repository().join("src");
    let (mut arrows, mut seen) = (Vec::new(), 0);
    for entry in std::fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            seen += check_folder(&path, &name, &mut arrows);
        } else if path.is_file() && name != "lib" {
            seen += check(&path, &name, &mut arrows);
        }
    }
    assert!(seen > 50, "the test looks at the wrong folder");
    assert_eq!(arrows, [""; 0], "arrows that point up or sideways");
}
