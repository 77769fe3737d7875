//! `landfall load`: files into tables, with the types of the tables.

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;

use crate::dml::Place;
use crate::landing::says;
use crate::program::{repository, run, texts};

/// A folder with files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(folder: &Path, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["load"].iter().chain(arguments).copied().collect();
    run(folder, &arguments)
}

/// What a load says that has to succeed.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = load(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", texts(&output).1);
    texts(&output).0
}

/// The message of one that has to fail.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = load(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    texts(&output).1
}

/// What SQLite says of the file `t.db`.
fn rows(folder: &Path, sql: &str) -> Vec<String> {
    let db = Connection::open(folder.join("t.db")).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
    rows.map(|row| row.unwrap().unwrap_or_else(|| "NULL".into())).collect()
}

fn sqlite(folder: &Path, sql: &str) {
    Connection::open(folder.join("t.db")).unwrap().execute_batch(sql).unwrap();
}

const PEOPLE: &str =
    "Born,zip,name,joined\n1970-01-31,00701,\"Smith, A\",\n,10001,\"two\nlines\",2020-05-17 10:00:00\n";

#[test]
fn the_values_of_a_text_get_the_types_of_the_tables_columns_on_every_database() {
    for place in &Place::all() {
        place.client(
            "CREATE TABLE people (id INTEGER, zip VARCHAR(9), born DATE, name VARCHAR(30), joined TIMESTAMP NULL, \
             state VARCHAR(9) DEFAULT 'new')",
        );
        let folder = folder(&[("people.csv", PEOPLE)]);
        let url = place.url();
        assert!(said(folder.path(), &["people.csv", &url, "people"]).starts_with("2 rows written"));
        let found = place.client("SELECT zip, born, name, joined, state, id FROM people WHERE zip = '00701'");
        assert_eq!(found, ["00701|1970-01-31|Smith, A|NULL|new|NULL"], "{}", place.name());
        assert_eq!(place.client("SELECT count(*) FROM people WHERE born IS NULL AND joined IS NOT NULL"), ["1"]);
        std::fs::write(folder.path().join("bad.csv"), "zip,born\n1,1970-01-31\n2,31.01.1970\n").unwrap();
        let message = error(folder.path(), &["bad.csv", &url, "people"]);
        says(&message, &["row 2", "\"born\"", "31.01.1970"]);
        assert_eq!(place.client("SELECT count(*) FROM people"), ["2"], "nothing of it is there");
    }
}

#[test]
fn a_new_table_has_types_that_keep_every_value() {
    for place in &Place::all() {
        let text = "id,zip,price,digits,day,ok,note\n1,00701,1.5,12345678901234567890,2020-01-31,true,\n\
                    2,10001,-2,1,2020-02-29,false,x\n";
        let folder = folder(&[("a.csv", text)]);
        let url = place.url();
        let arguments =
            ["a.csv", &url, "made", "--mode", "create", "--key", "ID", "--types", "PRICE=DECIMAL(10, 2),note=VARCHAR"];
        let said = said(folder.path(), &arguments);
        says(&said, &["table made is created", "id", "2 rows written"]);
        let expected = ["1|00701|1.50|12345678901234567890", "2|10001|-2.00|1"];
        let price = if matches!(place, Place::Sqlite(_)) { "printf('%.2f', price)" } else { "price" };
        assert_eq!(place.client(&format!("SELECT id, zip, {price}, digits FROM made ORDER BY id")), expected);
        says(&error(folder.path(), &arguments), &["table made already exists", "create-or-append"]);
        // The key is one.
        let again = ["a.csv", &url, "made", "--mode", "create-or-append"];
        says(&error(folder.path(), &again), &["row"]);
        assert_eq!(place.client("SELECT count(*) FROM made"), ["2"], "{}", place.name());
    }
}

#[test]
fn every_mode_does_what_it_says() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (k INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9) DEFAULT 'b')");
        let folder = folder(&[("one.csv", "k,a\n1,x\n2,y\n"), ("two.csv", "k,a\n2,z\n3,w\n")]);
        let url = place.url();
        let all = || place.client("SELECT k, a, b FROM t ORDER BY k");
        said(folder.path(), &["one.csv", &url, "t", "--job", "first"]);
        says(&said(folder.path(), &["one.csv", &url, "t", "--job", "first"]), &["0 rows written"]);
        says(&error(folder.path(), &["two.csv", &url, "t", "--job", "first"]), &["has run another INSERT"]);
        says(&error(folder.path(), &["two.csv", &url, "t"]), &["row"]);
        place.client("UPDATE t SET b = 'old'");
        says(&said(folder.path(), &["two.csv", &url, "t", "--mode", "ignore"]), &["1 row written"]);
        assert_eq!(all(), ["1|x|old", "2|y|old", "3|w|b"], "{}", place.name());
        said(folder.path(), &["two.csv", &url, "t", "--mode", "update", "--key", "k"]);
        assert_eq!(all(), ["1|x|old", "2|z|old", "3|w|b"], "{}", place.name());
        said(folder.path(), &["two.csv", &url, "t", "--mode", "replace-rows"]);
        assert_eq!(all(), ["1|x|old", "2|z|b", "3|w|b"], "{}", place.name());
        said(folder.path(), &["two.csv", &url, "t", "--mode", "overwrite"]);
        assert_eq!(all(), ["2|z|b", "3|w|b"], "{}", place.name());
        says(&said(folder.path(), &["one.csv", &url, "t", "--mode", "overwrite", "--dry-run"]), &["on", "k:", "-> "]);
        assert_eq!(all(), ["2|z|b", "3|w|b"], "{}", place.name());
    }
}

#[test]
fn texts_are_read_as_their_writers_meant_them() {
    let folder = folder(&[
        ("semicolons.csv", "k;v\n1;'a;b'\n# left out\n2;c\n"),
        ("bare.csv", "1,a\n2,b\n"),
        ("more.csv", "3,c\n"),
        ("marked.csv", "\u{feff}k,v\n1,a\n"),
        ("tabs.tsv", "k\tv\n1\ta,b\n"),
        ("no_end.csv", "k,v\r\n1,\"\"\"q\"\"\"\r\n2,é"),
        ("empty.csv", "k,v\n"),
    ]);
    let path = folder.path();
    for (arguments, expected) in [
        (&["semicolons.csv", "--delimiter", ";", "--quote", "'", "--comment", "#"][..], &["1|a;b", "2|c"][..]),
        (&["bare.csv", "--no-header"], &["1|a", "2|b"]),
        (&["bare.csv", "--no-header", "--columns", "v,k"], &["a|1", "b|2"]),
        (&["marked.csv"], &["1|a"]),
        (&["tabs.tsv"], &["1|a,b"]),
        (&["no_end.csv"], &["1|\"q\"", "2|é"]),
        (&["empty.csv"], &[]),
        (&["bare.csv", "more.csv", "--no-header"], &["1|a", "2|b", "3|c"]),
        (&["?are.csv", "--no-header"], &["1|a", "2|b"]),
        (&["no_end.csv", "--select", "SELECT k, upper(v) AS v FROM file WHERE k <> '1'"], &["2|É"]),
    ] {
        sqlite(path, "DROP TABLE IF EXISTS t; CREATE TABLE t (k TEXT, v TEXT)");
        let files = arguments.iter().take_while(|argument| !argument.starts_with("--")).count();
        let (files, more) = arguments.split_at(files);
        let arguments: Vec<&str> = files.iter().chain(&["sqlite:t.db", "t"]).chain(more).copied().collect();
        said(path, &arguments);
        assert_eq!(rows(path, "SELECT k || '|' || v FROM t ORDER BY k, v"), *expected, "{arguments:?}");
    }
}

#[test]
fn files_of_every_type_are_loaded() {
    let folder = folder(&[]);
    let path = folder.path();
    let weather = repository().join("examples/data/weather.parquet");
    let copy = |name: &str, options: &str| {
        let sql = format!(
            "COPY (SELECT origin, time_hour, temp FROM '{}' LIMIT 500) TO '{name}' {options}",
            weather.display()
        );
        let output = run(path, &["sql", "-c", &sql]);
        assert!(output.status.success(), "{output:?}");
    };
    copy("w.csv.gz", "STORED AS CSV OPTIONS ('format.compression' 'gzip')");
    copy("w.csv.zst", "STORED AS CSV OPTIONS ('format.compression' 'zstd')");
    copy("w.csv.bz2", "STORED AS CSV OPTIONS ('format.compression' 'bzip2')");
    copy("w.csv.xz", "STORED AS CSV OPTIONS ('format.compression' 'xz')");
    copy("w.parquet", "STORED AS PARQUET");
    copy("w.arrow", "STORED AS ARROW");
    let mut sums = Vec::new();
    for name in ["w.csv.gz", "w.csv.zst", "w.csv.bz2", "w.csv.xz", "w.parquet", "w.arrow"] {
        sqlite(path, "DROP TABLE IF EXISTS w");
        says(&said(path, &[name, "sqlite:t.db", "w", "--mode", "create"]), &["500 rows written"]);
        sums.extend(rows(
            path,
            "SELECT printf('%s %.2f %s', count(*), sum(temp), min(substr(time_hour, 1, 19))) FROM w",
        ));
    }
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
}

#[test]
fn what_cannot_be_loaded_says_what_to_do() {
    let folder = folder(&[
        ("a.csv", "k,v\n1,a\n"),
        ("b.csv", "v,k\na,1\n"),
        ("a.what", "k,v\n"),
        ("open.csv", "k,v\n1,\"a\n2,b\n"),
        ("nothing.csv", ""),
        ("short.csv", "k,v\n1\n"),
    ]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (k INTEGER, v TEXT, g TEXT AS (v || '!'))");
    for (arguments, parts) in [
        (&["none.csv", "sqlite:t.db", "t"][..], &["file none.csv does not exist"][..]),
        (&["open.csv", "sqlite:t.db", "t"], &["open.csv has an unterminated quoted value", "--quote"]),
        (&["nothing.csv", "sqlite:t.db", "t"], &["nothing.csv is empty"]),
        (&["a.csv", "sqlite:t.db", "t", "--types", "k=INT"], &["--types is for a new table"]),
        (&["none*.csv", "sqlite:t.db", "t"], &["no file matches none*.csv"]),
        (&["{a,b}.csv", "sqlite:t.db", "t"], &["file {a,b}.csv does not exist"]),
        (&["a.what", "sqlite:t.db", "t"], &["a.what", "--file-type"]),
        (&["a.csv", "sqlite:t.db", "missing"], &["table missing does not exist", "--mode create"]),
        (&["a.csv", "oracle://x", "t"], &["unknown database URL: use a URL such as"]),
        (&["a.csv", "./a.csv", "sqlite:t.db", "t"], &["file ./a.csv is specified twice"]),
        (&["a.csv", "b.csv", "sqlite:t.db", "t"], &["b.csv", "has the columns v, k", "one after the other"]),
        (&["a.csv", "sqlite:t.db", "t", "--select", "SELECT k AS x FROM file"], &["no column \"x\"", "k, v"]),
        (&["a.csv", "sqlite:t.db", "t", "--select", "SELECT k AS g FROM file"], &["generated by the database"]),
        (&["a.csv", "sqlite:t.db", "t", "--select", "DELETE FROM file"], &["--select requires a query"]),
        (&["a.csv", "sqlite:t.db", "t", "--key", "k"], &["--key requires --mode"]),
        (&["a.csv", "sqlite:t.db", "u", "--mode", "create", "--types", "k=NUMMER"], &["unknown type 'NUMMER'"]),
        (&["a.csv", "sqlite:t.db", "u", "--mode", "create", "--types", "x=INT"], &["--types x", "no such column"]),
        (&["a.csv", "sqlite:t.db", "t", "--option", "colour=red"], &["unknown option 'colour'"]),
        (&["short.csv", "sqlite:t.db", "t"], &["1"]),
    ] {
        says(&error(path, arguments), parts);
        assert_eq!(rows(path, "SELECT count(*) || '' FROM t"), ["0"], "{arguments:?}");
    }
}
