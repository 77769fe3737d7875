//! Dependencies point down only, between modules and between the files of one, and databases are named in their own folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules by layer, lowest first. A module may use those of lower layers, and itself.
const LAYERS: &[&[&str]] = &[
    &["error", "metrics"],
    &["buffer", "txn"],
    &["options"],
    &["columnar", "pool"],
    &["backend"],
    &["sql", "log", "manager"],
    &["sqlite", "postgres", "mysql", "pipeline"],
    &["registry"],
    &["provider"],
    &["load"],
    &["statements"],
    &["guide"],
];

/// The databases: a folder, and the words that only its files may have.
const BACKENDS: &[(&str, &[&str])] =
    &[("sqlite", &["sqlite"]), ("postgres", &["postgres"]), ("mysql", &["mysql", "mariadb"])];

/// What may name them beside: the line of each in the registry, the points at which tests let one die, what the
/// documentation of an option says of them, and the grammar that statements are read by.
const NAMING: &[&str] = &[
    "lib.rs",
    "registry.rs",
    "backend/failpoint.rs",
    "options/keys.rs",
    "provider/grouping.rs",
    "provider/operators.rs",
    "provider/precedence.rs",
    "statements/conflict.rs",
];

fn layer(module: &str) -> usize {
    let at = LAYERS.iter().position(|layer| layer.contains(&module));
    at.unwrap_or_else(|| panic!("module {module} has no layer: give it one in this test"))
}

/// A file of the library.
struct Source {
    /// Below `src`.
    path: String,
    /// Without comments, and without its tests, which may look anywhere.
    code: String,
}

impl Source {
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }
}

fn sources() -> Vec<Source> {
    let src = crate::program::repository().join("src");
    let mut folders: Vec<PathBuf> = vec![src.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            if file.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let text = ["\nmod tests", "\npub(crate) mod tests"]
                .iter()
                .fold(text.as_str(), |text, tests| text.split(tests).next().unwrap());
            let code: String = text.lines().map(|line| format!("{}\n", without_comment(line))).collect();
            sources.push(Source { path: file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(), code });
        }
    }
    assert!(sources.len() > 100, "the test looks at the wrong folder");
    sources
}

/// A line up to its comment; an URL has no blank before its slashes.
fn without_comment(line: &str) -> &str {
    match line.trim_start().starts_with("//") {
        true => "",
        false => line.split(" // ").next().unwrap_or_default(),
    }
}

/// The paths that code names behind a prefix, up to their first two parts: `use crate::a::{b, c::d}` has `a::b`, `a::c`.
fn paths<'c>(code: &'c str, prefix: &str) -> Vec<(&'c str, Vec<&'c str>)> {
    let word = |text: &'c str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            found.push(("", items(list).into_iter().map(word).collect()));
            continue;
        }
        let first = word(rest);
        let behind = rest[first.len()..].strip_prefix("::").unwrap_or_default();
        let second = match behind.strip_prefix('{') {
            Some(list) => items(list).into_iter().map(word).collect(),
            None => vec![word(behind)],
        };
        found.push((first, second));
    }
    found
}

/// What stands between commas up to the closing brace.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(list[from..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

#[test]
fn no_module_uses_a_higher_one() {
    let mut arrows = Vec::new();
    let mut seen = 0;
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let module = source.module();
        for (used, _) in paths(&source.code, "crate::") {
            // Names that the crate's root re-exports are no modules.
            if !used.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            seen += 1;
            if used != module && layer(used) >= layer(module) && !is_registry_line(source, used) {
                arrows.push(format!("{} uses crate::{used}", source.path));
            }
        }
        if module != "provider" && source.code.contains("DataFusionError") {
            arrows.push(format!("{} knows DataFusionError", source.path));
        }
    }
    assert!(seen > 300, "{seen} uses were found");
    assert_eq!(arrows, [""; 0], "arrows that point up or sideways");
}

fn is_registry_line(source: &Source, used: &str) -> bool {
    source.module() == "registry" && BACKENDS.iter().any(|(folder, _)| *folder == used)
}

/// What a module's `mod.rs` re-exports, and from which file.
fn exports(code: &str) -> BTreeMap<&str, &str> {
    let mut exports = BTreeMap::new();
    for line in code.split(';') {
        let Some((_, path)) = line.split_once("use ") else { continue };
        if !line.contains("pub") {
            continue;
        }
        let path = path.trim_start_matches("self::");
        let Some((file, names)) = path.split_once("::") else { continue };
        let names = match names.strip_prefix('{') {
            Some(list) => items(list),
            None => vec![names.trim()],
        };
        exports.extend(names.into_iter().map(|name| (name, file)));
    }
    exports
}

/// The files and folders that are used by name in a file, seen from a folder above it: `crate::a::b`, `super::b`.
fn used_beside<'c>(file: &'c Source, folder: &str) -> Vec<(&'c str, Vec<&'c str>)> {
    let below = &file.path[folder.len() + 1..];
    let steps = below.matches('/').count() + usize::from(!below.ends_with("mod.rs"));
    let mut used = paths(&file.code, &format!("crate::{}::", folder.replace('/', "::")));
    let up = "super::".repeat(steps);
    let mut rest = file.code.as_str();
    // Of `super::super::b` the last two words are no `super::b`.
    while let Some(at) = rest.find("super::") {
        let path = &rest[at..];
        let end = path.find(|c: char| c != ':' && !c.is_ascii_lowercase()).unwrap_or(path.len());
        let found = path[..end].matches("super::").count();
        let length = found * "super::".len();
        if found == steps {
            let line = &path[..path.find(';').map_or(path.len(), |at| at + 1)];
            used.extend(paths(line, &up).into_iter().take(1));
        }
        rest = &path[length..];
    }
    used
}

#[test]
fn the_files_of_a_folder_use_each_other_one_way() {
    let sources = sources();
    let mut folders: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in &sources {
        for (end, _) in source.path.match_indices('/') {
            folders.entry(&source.path[..end]).or_default().push(source);
        }
    }
    let mut circles = Vec::new();
    let mut seen = 0;
    for (folder, files) in folders {
        let name = |file: &Source| {
            let below = &file.path[folder.len() + 1..];
            below.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
        };
        let names: BTreeSet<_> = files.iter().map(|file| name(file)).collect();
        let index = format!("{folder}/mod.rs");
        let index = files.iter().find(|file| file.path == index).map(|file| exports(&file.code)).unwrap_or_default();
        let file_of = |part: &str| names.get(part).cloned().or_else(|| index.get(part).map(|file| (*file).to_owned()));
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in files.iter().filter(|file| name(file) != "mod") {
            let parts = used_beside(file, folder).into_iter().flat_map(|(first, second)| match first {
                "" => second,
                first => vec![first],
            });
            let is_other = |used: &String| *used != name(file) && used != "mod";
            let used: BTreeSet<_> = parts.filter_map(file_of).filter(is_other).collect();
            seen += used.len();
            uses.entry(name(file)).or_default().extend(used);
        }
        // What is left when files that use none of the others are taken away, again and again, is in a circle or on its way.
        loop {
            let free: Vec<_> = uses.iter().filter(|(_, used)| used.is_empty()).map(|(file, _)| file.clone()).collect();
            if free.is_empty() {
                break;
            }
            free.iter().for_each(|file| drop(uses.remove(file)));
            uses.values_mut().for_each(|used| used.retain(|used| !free.contains(used)));
        }
        circles.extend(uses.iter().map(|(file, used)| format!("{folder}/{file} uses {used:?}")));
    }
    assert!(seen > 300, "{seen} uses were found");
    assert_eq!(circles, [""; 0], "files in circles, or above one");
}

#[test]
fn databases_are_named_in_their_own_folders() {
    let mut named = Vec::new();
    for source in sources() {
        if NAMING.contains(&source.path.as_str()) {
            continue;
        }
        let code = source.code.to_lowercase();
        for (folder, words) in BACKENDS {
            if source.module() != *folder && words.iter().any(|word| code.contains(word)) {
                named.push(format!("{} names {folder}", source.path));
            }
        }
    }
    assert_eq!(named, [""; 0], "a database is one folder, and its line in the registry");
}

#[test]
fn every_database_has_the_same_files() {
    let src = crate::program::repository().join("src");
    for file in [
        "mod",
        "backend",
        "branch",
        "catalog",
        "codec",
        "change",
        "connector",
        "create",
        "database",
        "dialect",
        "encode",
        "error",
        "factory",
        "ledger",
        "existing",
        "run",
        "scan",
        "types",
        "writer",
    ] {
        for (folder, _) in BACKENDS {
            let path = Path::new(folder).join(file);
            let is_there = src.join(path.with_extension("rs")).exists() || src.join(&path).join("mod.rs").exists();
            assert!(is_there, "there is no {}", path.display());
        }
    }
}
