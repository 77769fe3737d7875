//! `landfall load`: files with types, of Avro, and from standard input.
//!
//! The files in `avro` are from fastavro 1.13, one for each codec: 200 rows in several blocks, the values of which follow from
//! `id` as [`EXPECTED`] says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rusqlite::Connection;

use crate::dml::Place;
use crate::landing::says;
use crate::load::{error, folder, rows, said, sqlite};
use crate::program::{program, repository, run, texts};

const CODECS: [&str; 6] = ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"];

fn avro(codec: &str) -> PathBuf {
    repository().join(format!("tests/it/avro/people.{codec}.avro"))
}

/// The rows with the values that they have to have, of all 200.
const EXPECTED: &str = "SELECT count(*) FROM people WHERE \
    ((id % 7 = 0 AND name IS NULL) OR (id % 7 <> 0 AND name LIKE 'é %')) AND \
    share = id / 8.0 AND balance = id - 100.25 AND kind = CASE WHEN id % 2 = 1 THEN 'MEMBER' ELSE 'GUEST' END";

#[test]
fn avro_files_are_loaded_into_every_database() {
    for place in &Place::all() {
        let folder = folder(&[]);
        for codec in CODECS {
            let file = avro(codec);
            let arguments = [file.to_str().unwrap(), &place.url(), "people", "--mode", "create", "--key", "id"];
            let what = format!("{} {codec}", place.name());
            says(&said(folder.path(), &arguments), &["200 rows written"]);
            assert_eq!(place.client(EXPECTED), ["200"], "{what}");
            let first = "SELECT born, CAST(joined AS CHAR(26)), CAST(seen AS CHAR(23)) FROM people WHERE id = 3";
            let first = place.client(&first.replace("CHAR", if place.name() == "SQLite" { "TEXT" } else { "CHAR" }));
            let clock = match place {
                // In the time zone of the session.
                Place::Postgres(_) => "06:00:00.000003",
                Place::MySql(_) => "10:00:00.000003",
                Place::Sqlite(_) => "10:00:00.000003Z",
            };
            assert_eq!(first, [format!("1970-02-03|2020-05-17 {clock}|1969-12-31 23:59:59.999")], "{what}");
            assert_eq!(place.client("SELECT count(*) FROM people WHERE born IS NULL"), ["40"], "{what}");
            assert_eq!(place.client("SELECT count(*) FROM people WHERE active"), ["66"], "{what}");
            let bytes = match place {
                Place::Postgres(_) => "SELECT encode(\"key\", 'hex') FROM people WHERE id = 171",
                Place::MySql(_) => "SELECT lower(hex(`key`)) FROM people WHERE id = 171",
                Place::Sqlite(_) => "SELECT lower(hex(\"key\")) FROM people WHERE id = 171",
            };
            assert_eq!(place.client(bytes), ["ab00"], "{what}");
            place.client("DROP TABLE people");
        }
    }
}

#[test]
fn several_avro_files_are_one_table_and_columns_can_be_selected() {
    let folder = folder(&[]);
    let path = folder.path();
    std::fs::copy(avro("snappy"), path.join("a.avro")).unwrap();
    std::fs::copy(avro("null"), path.join("b.avro")).unwrap();
    sqlite(path, "CREATE TABLE t (id INTEGER, name TEXT)");
    let query = "SELECT name, id FROM file WHERE id > 190";
    said(path, &["*.avro", "sqlite:t.db", "t", "--select", query]);
    assert_eq!(rows(path, "SELECT count(*) || ' ' || sum(id) || ' ' || count(name) FROM t"), ["20 3910 18"]);
    says(&error(path, &["*.avro", "sqlite:t.db", "t"]), &["table t has no column \"born\""]);
}

#[test]
fn a_damaged_avro_file_is_an_error_and_loses_no_row() {
    let folder = folder(&[]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (id INTEGER)");
    let whole = std::fs::read(avro("deflate")).unwrap();
    let load = ["a.avro", "sqlite:t.db", "t", "--select", "SELECT id FROM file"];
    let marker = b"0123456789abcdef";
    let header = whole.windows(16).position(|part| part == marker).unwrap() + 16;
    let last = whole.len() - 16;
    let mut other = whole.clone();
    other[last] ^= 1;
    let mut changed = whole.clone();
    changed[header + 40] ^= 0xff;
    let mut fewer = whole.clone();
    // The rows of the first block.
    fewer[header] -= 2;
    for (bytes, why) in [
        (&whole[..last - 30], "is cut off: it ends in the middle of a block"),
        (&whole[..whole.len() - 1], "is cut off"),
        (&whole[..header + 1], "is cut off"),
        (&whole[..30], "is cut off: it ends before the end of its header"),
        (b"k,v\n1,2\n", "is not an Avro file"),
        (&other, "is damaged: a block does not end with the marker of the file"),
        (&changed, "could not be read"),
        (&fewer, "the number of rows of a block differs"),
    ] {
        std::fs::write(path.join("a.avro"), bytes).unwrap();
        says(&error(path, &load), &["file a.avro", why]);
        assert_eq!(rows(path, "SELECT count(*) || '' FROM t"), ["0"], "{why}");
    }
    std::fs::write(path.join("a.avro"), &whole).unwrap();
    says(&said(path, &load), &["200 rows written"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_job_resumes_in_an_avro_file_after_its_last_checkpoint() {
    let folder = folder(&[]);
    let path = folder.path();
    // A large file, by repeating the blocks of a small one.
    let small = std::fs::read(avro("null")).unwrap();
    let header = small.windows(16).position(|part| part == b"0123456789abcdef").unwrap() + 16;
    let large: Vec<u8> = small[..header].iter().copied().chain(small[header..].repeat(250)).collect();
    std::fs::write(path.join("a.avro"), large).unwrap();
    sqlite(path, "CREATE TABLE t (id INTEGER)");
    let query = ["--select", "SELECT id FROM file", "--option", "checkpoint.rows=10000", "--job", "j"];
    let arguments: Vec<&str> = ["load", "a.avro", "sqlite:t.db", "t"].into_iter().chain(query).collect();
    let killed =
        program(path).args(&arguments).env("FAILPOINTS", "sqlite.commit.after=2*off->return").output().unwrap();
    assert!(!killed.status.success(), "{killed:?}");
    let stored = rows(path, "SELECT count(*) || '' FROM t")[0].parse::<u32>().unwrap();
    assert!((10_000..50_000).contains(&stored), "{stored}");
    said(path, &arguments[1..]);
    assert_eq!(rows(path, "SELECT count(*) || ' ' || sum(id) FROM t"), ["50000 5025000"]);
    says(&said(path, &arguments[1..]), &["0 rows written"]);
}

/// Loads standard input into the table `t` of the file `t.db`.
fn piped(path: &Path, bytes: Vec<u8>, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut child = program(path);
    let child = child.args(["load", "-", "sqlite:t.db", "t", "--file-type"]).args(arguments);
    let child = child.envs(variables.iter().copied());
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may end before it has read all.
    let writes = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writes.join().unwrap();
    output
}

/// Files of 30,000 rows in each format, of DataFusion and of Arrow's own writers.
fn formats(path: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let numbers = "SELECT value AS k, 'value ' || value AS v FROM generate_series(1, 30000)";
    for (name, format) in [("a.parquet", "PARQUET"), ("a.arrow", "ARROW")] {
        let output = run(path, &["sql", "-c", &format!("COPY ({numbers}) TO '{name}' STORED AS {format}")]);
        assert!(output.status.success(), "{output:?}");
    }
    let file = std::fs::File::open(path.join("a.arrow")).unwrap();
    let file = datafusion::arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let mut stream = datafusion::arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &file.schema()).unwrap();
    file.for_each(|batch| stream.write(&batch.unwrap()).unwrap());
    let stream = stream.into_inner().unwrap();
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
    vec![("parquet", read("a.parquet")), ("arrow", read("a.arrow")), ("arrow", stream)]
}

#[test]
fn standard_input_can_have_types() {
    let folder = folder(&[]);
    let path = folder.path();
    let temporary = path.join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let variables = [("TMPDIR", temporary.to_str().unwrap())];
    for (index, (file_type, bytes)) in formats(path).into_iter().enumerate() {
        let what = format!("{file_type} {index}");
        sqlite(path, "DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS landfall_ledger");
        let arguments = [file_type, "--mode", "create-or-append", "--job", "j"];
        for expected in ["30000 rows written", "0 rows written"] {
            let output = piped(path, bytes.clone(), &arguments, &variables);
            assert!(output.status.success(), "{what}: {output:?}");
            says(&texts(&output).0, &[expected]);
        }
        let all = "SELECT count(*) || ' ' || sum(k) || ' ' || sum(v = 'value ' || k) FROM t";
        assert_eq!(rows(path, all), ["30000 450015000 30000"], "{what}");
        // Half of it is an error, and stores nothing.
        let output = piped(path, bytes[..bytes.len() / 2].to_vec(), &[file_type], &variables);
        assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
        assert_eq!(rows(path, all), ["30000 450015000 30000"], "{what}");
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "{what}: the copy is removed");
    }
    sqlite(path, "DROP TABLE t; CREATE TABLE t (id INTEGER)");
    let arguments = ["avro", "--select", "SELECT id FROM file"];
    let output = piped(path, std::fs::read(avro("xz")).unwrap(), &arguments, &variables);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(rows(path, "SELECT sum(id) || '' FROM t"), ["20100"]);
}

#[test]
fn standard_input_that_cannot_be_read_says_why() {
    let folder = folder(&[]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (k INTEGER)");
    let missing = [("TMPDIR", "/nowhere")];
    for (bytes, arguments, variables, parts) in [
        (
            &b"PAR1"[..],
            &["parquet"][..],
            &missing[..],
            &["standard input could not be copied", "'/nowhere'", "TMPDIR"][..],
        ),
        (b"", &["parquet"], &[], &["standard input is empty"]),
        (b"", &["arrow"], &[], &["standard input is empty"]),
        (b"", &["avro"], &[], &["standard input is empty"]),
        (b"not parquet", &["parquet"], &[], &["arquet"]),
        (b"k,v\n1,2\n", &["avro"], &[], &["standard input is not an Avro file"]),
        (b"k,v\n1,2\n", &["arrow"], &[], &["standard input"]),
    ] {
        let output = piped(path, bytes.to_vec(), arguments, variables);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        says(&texts(&output).1, parts);
    }
    assert_eq!(
        Connection::open(path.join("t.db")).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)),
        Ok(0)
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_removes_the_copy_of_standard_input() {
    let folder = folder(&[]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (k INTEGER)");
    let temporary = path.join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut child = program(path);
    let child = child.args(["load", "-", "sqlite:t.db", "t", "--file-type", "parquet"]).env("TMPDIR", &temporary);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than is read before the copy begins.
    stdin.write_all(&vec![0; 20 << 20]).unwrap();
    let begun = || std::fs::read_dir(&temporary).unwrap().count() > 0;
    while !begun() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!begun());
}
