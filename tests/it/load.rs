//! `landfall load`: files into tables, with the types of the tables.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use object_store::ObjectStoreExt;
use rusqlite::Connection;

use crate::dml::Place;
use crate::landing::says;
use crate::postgres::Postgres;
use crate::program::{program, repository, run, texts};

/// A folder with files.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub fn load(folder: &Path, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["load"].iter().chain(arguments).copied().collect();
    run(folder, &arguments)
}

/// What a load says that has to succeed.
pub fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = load(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", texts(&output).1);
    texts(&output).0
}

/// The message of one that has to fail.
pub fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = load(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    texts(&output).1
}

/// What SQLite says of the file `t.db`.
pub fn rows(folder: &Path, sql: &str) -> Vec<String> {
    let db = Connection::open(folder.join("t.db")).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
    rows.map(|row| row.unwrap().unwrap_or_else(|| "NULL".into())).collect()
}

pub fn sqlite(folder: &Path, sql: &str) {
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
        says(&message, &["bad.csv, line 3", "\"born\"", "31.01.1970"]);
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
        says(&said, &["creating table made", "id", "2 rows written"]);
        let expected = ["1|00701|1.50|12345678901234567890", "2|10001|-2.00|1"];
        let price = if matches!(place, Place::Sqlite(_)) { "printf('%.2f', price)" } else { "price" };
        assert_eq!(place.client(&format!("SELECT id, zip, {price}, digits FROM made ORDER BY id")), expected);
        says(&error(folder.path(), &arguments), &["table made already exists", "create_or_append"]);
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
        ("c.csv", "k,w\n1,a\n"),
        ("a.what", "k,v\n"),
        ("open.csv", "k,v\n1,\"a\n2,b\n"),
        ("nothing.csv", ""),
        ("short.csv", "k,v\n1\n"),
        ("twice.csv", "k,k\n1,2\n"),
        ("after.csv", "k,v\n1,\"a\"b\n"),
        ("a.json", "{\"k\": 1}\n{\"x\": 2}\n"),
        ("list.json", "[{\"k\": 1}]\n"),
        ("broken.json", "{\"k\": 1}\n\n{\"k\": }\n"),
    ]);
    let path = folder.path();
    std::fs::write(path.join("latin.csv"), b"k,v\n1,a\n2,caf\xe9\n").unwrap();
    sqlite(path, "CREATE TABLE t (k INTEGER, v TEXT, g TEXT AS (v || '!'))");
    for (arguments, parts) in [
        (&["none.csv", "sqlite:t.db", "t"][..], &["file none.csv does not exist"][..]),
        (&["open.csv", "sqlite:t.db", "t"], &["file open.csv, line 2", "value 2 has no closing quotation mark"]),
        (&["nothing.csv", "sqlite:t.db", "t"], &["nothing.csv is empty"]),
        (
            &["a.csv", "sqlite:t.db", "t", "--types", "k=INT"],
            &["column types apply only to a new table", "table t already exists"],
        ),
        (&["none*.csv", "sqlite:t.db", "t"], &["no file matches none*.csv"]),
        (&["{a,b}.csv", "sqlite:t.db", "t"], &["file {a,b}.csv does not exist"]),
        (&["a.what", "sqlite:t.db", "t"], &["a.what", "--file-type"]),
        (&["a.csv", "sqlite:t.db", "missing"], &["table missing does not exist", "use mode create"]),
        (&["a.csv", "oracle://x", "t"], &["unknown database URL: use a URL such as"]),
        (&["a.csv", "./a.csv", "sqlite:t.db", "t"], &["file ./a.csv is specified twice"]),
        (
            &["a.csv", "c.csv", "sqlite:t.db", "t"],
            &["different columns: c.csv has (k, w), but a.csv has (k, v)", "load the files separately"],
        ),
        (&["a.csv", "sqlite:t.db", "t", "--select", "SELECT k AS x FROM file"], &["no column \"x\"", "k, v"]),
        (&["a.csv", "sqlite:t.db", "t", "--select", "SELECT k AS g FROM file"], &["generated by the database"]),
        (&["a.csv", "sqlite:t.db", "t", "--select", "DELETE FROM file"], &["a load requires a query"]),
        (&["a.csv", "sqlite:t.db", "t", "--key", "k"], &["mode append uses no key", "use mode update"]),
        (&["a.csv", "sqlite:t.db", "u", "--mode", "create", "--types", "k=NUMMER"], &["unknown type 'NUMMER'"]),
        (
            &["a.csv", "sqlite:t.db", "u", "--mode", "create", "--types", "x=INT"],
            &["the source has no column \"x\"", "k, v"],
        ),
        (&["a.csv", "sqlite:t.db", "t", "--option", "colour=red"], &["unknown option 'colour'"]),
        (&["short.csv", "sqlite:t.db", "t"], &["file short.csv, line 2", "expected 2 columns, but found 1 value"]),
        (&["twice.csv", "sqlite:t.db", "t"], &["two columns named \"k\""]),
        (
            &["latin.csv", "sqlite:t.db", "t"],
            &["file latin.csv, line 3", "byte 0xe9 is not valid in UTF-8", "windows-1252"],
        ),
        (&["a.csv", "sqlite:t.db", "t", "--encoding", "klingon"], &["encoding 'klingon' is unknown"]),
        (&["a.csv", "sqlite:t.db", "t", "--delimiter", "é"], &["the delimiter 'é' is not an ASCII character"]),
        (
            &["after.csv", "sqlite:t.db", "t"],
            &["file after.csv, line 2", "value 2 continues after its closing quotation mark"],
        ),
        (
            &["a.json", "sqlite:t.db", "t", "--columns", "k,v"],
            &["file a.json, line 2", "member \"x\"", "columns k, v", "--columns"],
        ),
        (&["list.json", "sqlite:t.db", "t"], &["file list.json, line 1", "the line is not a JSON object"]),
        (&["broken.json", "sqlite:t.db", "t"], &["file broken.json, line 3", "not valid JSON"]),
        (&["-", "sqlite:t.db", "t"], &["standard input", "--file-type"]),
        (&["-", "a.csv", "sqlite:t.db", "t", "--file-type", "csv"], &["standard input cannot be loaded together"]),
        (&["s3x://b/a.csv", "sqlite:t.db", "t"], &["s3x://b/a.csv", "s3://"]),
    ] {
        says(&error(path, arguments), parts);
        assert_eq!(rows(path, "SELECT count(*) || '' FROM t"), ["0"], "{arguments:?}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_file_line_and_column() {
    let folder = folder(&[
        ("a.csv", "k,v\n1,\"two\nlines\"\n\n2,x\n"),
        ("b.csv", "v,k\n\"\n\n\",3\n# a comment\ny,4.5\n"),
        ("c.json", "{\"k\": 1}\n\n{\"v\": \"z\", \"k\": \"one\"}\n"),
    ]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (k INTEGER, v TEXT)");
    for (files, parts) in [
        (&["a.csv", "b.csv"][..], ["file b.csv, line 6", "column \"k\"", "'4.5'"]),
        (&["c.json"], ["file c.json, line 3", "column \"k\"", "'one'"]),
    ] {
        let arguments: Vec<&str> = files.iter().copied().chain(["sqlite:t.db", "t", "--comment", "#"]).collect();
        says(&error(path, &arguments), &parts);
        assert_eq!(rows(path, "SELECT count(*) || '' FROM t"), ["0"]);
    }
    std::fs::write(path.join("b.csv"), "v,k\ny,4\n").unwrap();
    said(path, &["a.csv", "b.csv", "sqlite:t.db", "t"]);
    assert_eq!(rows(path, "SELECT k || '|' || v FROM t ORDER BY k"), ["1|two\nlines", "2|x", "4|y"]);
    // What a query computes has no line.
    let computed = ["b.csv", "sqlite:t.db", "t", "--select", "SELECT v || '!' AS k FROM file"];
    says(&error(path, &computed), &["row 1", "'y!'"]);
    // Of a new table the types are those of its first rows.
    let many = format!("n\n{}x1\n", "1\n".repeat(30_000));
    std::fs::write(path.join("late.csv"), many).unwrap();
    let message = error(path, &["late.csv", "sqlite:t.db", "late", "--mode", "create"]);
    says(&message, &["file late.csv, line 30002", "column \"n\"", "'x1'", "--types"]);
    assert_eq!(rows(path, "SELECT name FROM sqlite_schema WHERE name = 'late'"), Vec::<String>::new());
}

#[test]
fn an_empty_text_is_not_null() {
    let folder = folder(&[("a.csv", "k,v\n1,\n2,\"\"\n3,NA\n4,\"NA\"\n"), ("one.csv", "v\nx\n\n\"\"\n")]);
    let path = folder.path();
    let all = "SELECT coalesce(quote(v), '') FROM t ORDER BY k";
    for (more, expected) in [
        (&[][..], ["NULL", "''", "'NA'", "'NA'"]),
        (&["--null-in-quotes"], ["NULL", "NULL", "'NA'", "'NA'"]),
        (&["--null", "NA"], ["''", "''", "NULL", "'NA'"]),
        (&["--null", "NA", "--null-in-quotes"], ["''", "''", "NULL", "NULL"]),
    ] {
        sqlite(path, "DROP TABLE IF EXISTS t; CREATE TABLE t (k INTEGER, v TEXT)");
        let arguments: Vec<&str> = ["a.csv", "sqlite:t.db", "t"].iter().chain(more).copied().collect();
        said(path, &arguments);
        assert_eq!(rows(path, all), expected, "{more:?}");
    }
    // An empty line is the value of a single column.
    sqlite(path, "DROP TABLE t; CREATE TABLE t (v TEXT)");
    said(path, &["one.csv", "sqlite:t.db", "t"]);
    assert_eq!(rows(path, "SELECT quote(v) FROM t"), ["'x'", "NULL", "''"]);
}

#[test]
fn a_text_is_read_in_its_encoding() {
    let folder = folder(&[]);
    let path = folder.path();
    let text = "k,v\n1,\"café €\"\n2,ж\n";
    let utf16 =
        |mark: u16, bytes: fn(u16) -> [u8; 2]| [mark].into_iter().chain(text.encode_utf16()).flat_map(bytes).collect();
    // A file, its bytes, options, and the values of its rows.
    type Case = (&'static str, Vec<u8>, &'static [&'static str], &'static [&'static str]);
    let files: [Case; 5] = [
        ("le.csv", utf16(0xfeff, u16::to_le_bytes), &[], &["café €", "ж"]),
        ("be.csv", utf16(0xfeff, u16::to_be_bytes), &[], &["café €", "ж"]),
        ("mark.csv", format!("\u{feff}{text}").into_bytes(), &["--encoding", "windows-1252"], &["café €", "ж"]),
        ("west.csv", b"k,v\n1,caf\xe9 \x80\n".to_vec(), &["--encoding", "windows-1252"], &["café €"]),
        ("east.csv", b"k,v\n1,\xd6\n".to_vec(), &["--encoding", "koi8-r"], &["ж"]),
    ];
    for (name, bytes, more, expected) in files {
        std::fs::write(path.join(name), bytes).unwrap();
        sqlite(path, "DROP TABLE IF EXISTS t; CREATE TABLE t (k INTEGER, v TEXT)");
        let more: Vec<String> = more.iter().map(|part| (*part).to_owned()).collect();
        let arguments: Vec<&str> =
            [name, "sqlite:t.db", "t"].into_iter().chain(more.iter().map(String::as_str)).collect();
        said(path, &arguments);
        assert_eq!(rows(path, "SELECT v FROM t ORDER BY k"), *expected, "{name}");
    }
    std::fs::write(path.join("bad.csv"), b"k,v\n1,\x81\xff\n").unwrap();
    says(&error(path, &["bad.csv", "sqlite:t.db", "t", "--encoding", "shift_jis"]), &["file bad.csv", "Shift_JIS"]);
}

#[test]
fn json_keeps_its_digits_and_its_objects() {
    for place in &Place::all() {
        let json = if matches!(place, Place::Postgres(_)) { "json" } else { "VARCHAR(99)" };
        // SQLite's numbers have 15 digits.
        let number = if matches!(place, Place::Sqlite(_)) { "TEXT" } else { "NUMERIC(30, 10)" };
        place.client(&format!(
            "CREATE TABLE t (k INTEGER, n {number}, v VARCHAR(30), j {json}, d VARCHAR(9) DEFAULT 'd')"
        ));
        let text = "{\"k\": 1, \"n\": 12345678901234567890.1, \"v\": \"a\\n\\u00e9\", \"j\": {\"b\": [1.10, \"}\"]}}\r\n\
                    {\"v\": null, \"k\": 2}\n";
        let folder = folder(&[("a.jsonl", text)]);
        said(folder.path(), &["a.jsonl", &place.url(), "t"]);
        let digits = place.client("SELECT n FROM t WHERE k = 1");
        assert_eq!(digits[0].trim_end_matches('0'), "12345678901234567890.1", "{}", place.name());
        assert_eq!(place.client("SELECT j, d FROM t WHERE k = 1"), ["{\"b\": [1.10, \"}\"]}|d"], "{}", place.name());
        assert_eq!(place.client("SELECT count(*) FROM t WHERE v = 'a\né'"), ["1"], "{}", place.name());
        assert_eq!(place.client("SELECT count(*) FROM t WHERE v IS NULL AND j IS NULL AND n IS NULL"), ["1"]);
    }
}

#[test]
fn standard_input_is_a_file() {
    let folder = folder(&[]);
    let path = folder.path();
    let piped = |bytes: &[u8], arguments: &[&str]| {
        let mut child = program(path);
        let child = child.args(["load", "-", "sqlite:t.db", "t", "--file-type", "csv"]).args(arguments);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let writes = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writes.join().unwrap().unwrap();
        assert!(output.status.success(), "{}", texts(&output).1);
        texts(&output).0
    };
    says(&piped(b"k,v\n1,a\n2,b\n", &["--mode", "create"]), &["2 rows written"]);
    assert_eq!(rows(path, "SELECT k || v FROM t ORDER BY k"), ["1a", "2b"]);
    // More than is read before the table is created.
    let line = "x".repeat(40);
    let many: String = (0..600_000).map(|k| format!("{k},{line}\n")).collect();
    sqlite(path, "DROP TABLE t");
    let arguments = ["--mode", "create", "--no-header", "--columns", "k,v"];
    says(&piped(many.as_bytes(), &arguments), &["600000 rows written"]);
    assert_eq!(
        rows(path, "SELECT count(*) || ' ' || sum(k) || ' ' || typeof(max(k)) FROM t"),
        ["600000 179999700000 integer"]
    );
}

#[test]
fn a_text_is_read_as_postgresql_reads_it() {
    let place = Postgres::new("CREATE TABLE own (a text, b text, c text); CREATE TABLE ours (LIKE own)");
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let parts = ["\"\"", ",", "\n", "\r\n", "é", "x", " ", "\\", "\\N", "'", "a long piece of text", "€", "\t", "#"];
    let mut text = String::from("a,b,c\n");
    for _ in 0..60_000 {
        let values = [(); 3].map(|()| match random.u8(..8) {
            0 => String::new(),
            1 => "\"\"".into(),
            2..5 => random.u32(..100_000).to_string(),
            _ => {
                let count = if random.u8(..) == 0 { 3_000 } else { 5 };
                let pieces: Vec<_> = (0..random.usize(..count)).map(|_| parts[random.usize(..parts.len())]).collect();
                format!("\"{}\"", pieces.concat())
            }
        });
        text += &(values.join(",") + "\n");
    }
    let folder = folder(&[("a.csv", &text)]);
    let file = folder.path().join("a.csv");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place.rows(&format!("COPY own FROM '{}' (FORMAT csv, HEADER)", file.display()));
    said(folder.path(), &["a.csv", &place.url(), "ours"]);
    let differ = "SELECT count(*) FROM ((SELECT a, b, c, count(*) FROM own GROUP BY 1, 2, 3) EXCEPT \
                  (SELECT a, b, c, count(*) FROM ours GROUP BY 1, 2, 3)) AS differ";
    assert_eq!(place.rows(differ), ["0"], "seed {seed}");
    assert_eq!(place.rows("SELECT count(*) FROM ours"), ["60000"], "seed {seed}");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_job_resumes_in_a_text_after_its_last_checkpoint() {
    let text: String = (0..50_000).map(|k| format!("{k},\"line\nbreak {k}\"\n")).collect();
    let folder = folder(&[("a.csv", &format!("k,v\n{text}"))]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)");
    let arguments = ["load", "a.csv", "sqlite:t.db", "t", "--job", "j", "--option", "checkpoint.rows=10000"];
    let killed = program(path).args(arguments).env("FAILPOINTS", "sqlite.commit.after=2*off->return").output().unwrap();
    assert!(!killed.status.success(), "{killed:?}");
    let stored = rows(path, "SELECT count(*) || '' FROM t")[0].parse::<u32>().unwrap();
    assert!((10_000..50_000).contains(&stored), "{stored}");
    std::fs::rename(path.join("a.csv"), path.join("original.csv")).unwrap();
    std::fs::write(path.join("a.csv"), format!("k,v\n{text}99999,x\n")).unwrap();
    says(&error(path, &arguments[1..]), &["a.csv", "has changed since the last checkpoint", "another job name"]);
    std::fs::rename(path.join("original.csv"), path.join("a.csv")).unwrap();
    said(path, &arguments[1..]);
    let all = "SELECT count(*) || ' ' || sum(k) || ' ' || sum(v = 'line' || char(10) || 'break ' || k) FROM t";
    assert_eq!(rows(path, all), ["50000 1249975000 50000"]);
    says(&said(path, &arguments[1..]), &["0 rows written"]);
}

#[test]
fn a_table_is_created_with_all_of_its_rows_or_not_at_all() {
    let late = format!("n,d\n{}x,2\n", "1,2024-01-31\n".repeat(30_000));
    let folder = folder(&[("late.csv", &late), ("empty.csv", "n,d\n"), ("two.csv", "n,d\n1,a\n1,b\n")]);
    for place in &Place::all() {
        let (path, url) = (folder.path(), place.url());
        let tables = || {
            match place {
            Place::Postgres(_) => place.client("SELECT count(to_regclass('made'))"),
            Place::MySql(_) => place.client(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'made'",
            ),
            _ => place.client("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'made%'"),
        }
        };
        let create = |file: &str, more: &[&str]| -> Vec<String> {
            let arguments = [file, url.as_str(), "made", "--mode", "create"];
            arguments.iter().chain(more).map(|part| (*part).to_owned()).collect()
        };
        let run = |arguments: &[String]| load(path, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        for (file, more) in [("late.csv", &[][..]), ("two.csv", &["--key", "n"])] {
            let output = run(&create(file, more));
            assert!(!output.status.success() && !texts(&output).1.contains("was created"), "{output:?}");
            assert_eq!(tables(), ["0"], "{}: {file}", place.name());
        }
        if cfg!(feature = "failpoints") && !matches!(place, Place::MySql(_)) {
            let point = if matches!(place, Place::Postgres(_)) { "postgres.commit" } else { "sqlite.commit" };
            for (when, expected) in [("before", "0"), ("after", "1")] {
                let arguments = create("two.csv", &["--job", "two"]);
                let mut killed = program(path);
                let killed = killed.arg("load").args(&arguments).env("FAILPOINTS", format!("{point}.{when}=return"));
                let killed = killed.output().unwrap();
                assert!(!killed.status.success(), "{killed:?}");
                assert_eq!(tables(), [expected], "{}: {when}", place.name());
            }
            let again = ["two.csv", &url, "made", "--mode", "create-or-append", "--job", "two"];
            says(&said(path, &again), &["0 rows written"]);
            assert_eq!(place.client("SELECT count(*) FROM made"), ["2"], "{}", place.name());
            place.client("DROP TABLE made");
        }
        // With several writers, and in MySQL, the table is created first, and dropped after a failure.
        let output = run(&create("late.csv", &["--writers", "2"]));
        says(&texts(&output).1, &["late.csv, line 30002"]);
        assert_eq!(tables(), ["0"], "{}", place.name());
        assert!(run(&create("empty.csv", &[])).status.success());
        assert_eq!(place.client("SELECT count(*) FROM made"), ["0"], "{}", place.name());
    }
}

#[test]
fn a_file_of_a_web_server_is_loaded() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines: String = (0..200_000).map(|k| format!("{k},value {k}\n")).collect();
    let text = format!("k,v\n{lines}");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, text) = (stream.unwrap(), text.clone());
            std::thread::spawn(move || serve(&mut stream, text.as_bytes()));
        }
    });
    let folder = folder(&[]);
    let url = format!("http://127.0.0.1:{port}/data/a.csv");
    said(folder.path(), &[&url, "sqlite:t.db", "t", "--mode", "create"]);
    assert_eq!(rows(folder.path(), "SELECT count(*) || ' ' || sum(k) FROM t"), ["200000 19999900000"]);
    let message = error(folder.path(), &[&url.replace("a.csv", "b.csv"), "sqlite:t.db", "t"]);
    says(&message, &["b.csv"]);
}

/// A web server with one file.
fn serve(stream: &mut std::net::TcpStream, text: &[u8]) {
    let mut request = Vec::new();
    let mut byte = [0];
    while let Ok(1) = std::io::Read::read(stream, &mut byte) {
        request.push(byte[0]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let asked = String::from_utf8(std::mem::take(&mut request)).unwrap();
        if !asked.contains("/a.csv") {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
            continue;
        }
        let range = asked.lines().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let range = range.and_then(|range| {
            let (start, end) = range.split_once('-')?;
            Some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()?.min(text.len() - 1)))
        });
        let (status, extra, body) = match range {
            Some((start, end)) => {
                let extra = format!("Content-Range: bytes {start}-{end}/{}\r\n", text.len());
                ("206 Partial Content", extra, &text[start..=end])
            }
            None => ("200 OK", String::new(), text),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: \"one\"\r\n\
             Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n{extra}\r\n",
            body.len()
        );
        let body: &[u8] = if asked.starts_with("HEAD") { &[] } else { body };
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_err() {
            return;
        }
    }
}

#[test]
fn a_table_is_copied_to_another_database() {
    let places = Place::all();
    for from in &places {
        from.client("CREATE TABLE origin (k INTEGER PRIMARY KEY, v VARCHAR(20), d DATE)");
        from.client("INSERT INTO origin VALUES (1, 'é', '2024-02-29'), (2, NULL, NULL)");
        for to in &places {
            let folder = folder(&[]);
            let copy = |more: &[&str]| {
                let places = ["copy", &from.url(), "origin", &to.url(), "copied"].map(str::to_owned);
                let arguments: Vec<_> = places.iter().map(String::as_str).chain(more.iter().copied()).collect();
                run(folder.path(), &arguments)
            };
            let names = format!("{} to {}", from.name(), to.name());
            let output = copy(&["--mode", "create", "--key", "k", "--job", &names, "--json"]);
            assert!(output.status.success(), "{names}: {output:?}");
            let counts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((&counts["rows"], &counts["stopped"]), (&2.into(), &false.into()), "{names}: {counts}");
            assert!(counts["seconds"].as_f64().unwrap() > 0.0);
            assert_eq!(
                to.client("SELECT k, v, d FROM copied ORDER BY k"),
                ["1|é|2024-02-29", "2|NULL|NULL"],
                "{names}"
            );
            let again = copy(&["--mode", "update", "--select", "SELECT k, 'new' AS v FROM source WHERE k = 2"]);
            assert!(again.status.success(), "{names}: {again:?}");
            assert_eq!(to.client("SELECT v, d FROM copied ORDER BY k"), ["é|2024-02-29", "new|NULL"], "{names}");
            says(&texts(&copy(&["--dry-run"])).0, &["LandfallScan", "LandfallSink", "copied"]);
            says(&texts(&copy(&["--select", "SELECT k AS nothing FROM source"])).1, &["no column \"nothing\""]);
            to.client("DROP TABLE copied");
        }
        says(&texts(&run(Path::new("."), &["copy", &from.url(), "nothing", "sqlite:x.db", "x"])).1, &["nothing"]);
    }
}

#[tokio::test]
async fn files_of_an_object_store_are_loaded() {
    let (bucket, store, port) = crate::object_log::fresh_bucket().await;
    for (name, text) in [("day/1.csv", "k,v\n1,a\n"), ("day/2.csv", "v,k\nb,2\n"), ("day/3.txt", "k\nx\n")] {
        store.put(&object_store::path::Path::from(name), text.into()).await.unwrap();
    }
    let folder = folder(&[]);
    let load = |file: &str, more: &[&str]| {
        let mut command = program(folder.path());
        let endpoint = format!("http://127.0.0.1:{port}");
        command.env("AWS_ENDPOINT", endpoint).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "somebody").env("AWS_SECRET_ACCESS_KEY", "secret");
        let file = format!("s3://{bucket}/{file}");
        command.args(["load", &file, "sqlite:t.db", "t"]).args(more).output().unwrap()
    };
    let output = load("day/*.csv", &["--mode", "create"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(rows(folder.path(), "SELECT k || v FROM t ORDER BY k"), ["1a", "2b"]);
    let output = load("day/2.csv", &[]);
    assert!(output.status.success(), "{output:?}");
    says(&texts(&load("day/3.txt", &["--file-type", "csv"])).1, &["day/3.txt", "line 2", "'x'"]);
    says(&texts(&load("none*.csv", &[])).1, &["no file matches"]);
    assert_eq!(rows(folder.path(), "SELECT count(*) || '' FROM t"), ["3"]);
}
