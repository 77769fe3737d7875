//! `landfall load`: dates, timestamps and numbers of text files in other formats than the standard ones.

use crate::dml::Place;
use crate::landing::says;
use crate::load::{error, folder, rows, said, sqlite};
use crate::postgres::Postgres;

const GERMAN: [&str; 8] = [
    "--date-format",
    "%d.%m.%Y",
    "--timestamp-format",
    "%d.%m.%Y %H:%M",
    "--decimal-separator",
    ",",
    "--thousands",
    ".",
];

fn german<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().chain(GERMAN).collect()
}

#[test]
fn values_in_other_formats_are_stored_by_every_database() {
    for place in &Place::all() {
        place.client(
            "CREATE TABLE t (k INTEGER, day DATE, at TIMESTAMP NULL, price DECIMAL(12, 2), share DOUBLE PRECISION, \
             note VARCHAR(20))",
        );
        let text = "k;day;at;price;share;note\n1.000;31.01.2020;01.02.2020 13:05;1.234.567,89;-0,5;31.01.2020\n\
                    2;1.2.2020;;-1,5;1.000,25;1,5\n3;;;;;\n";
        let folder = folder(&[("a.csv", text)]);
        let (path, url) = (folder.path(), place.url());
        says(&said(path, &german(&["a.csv", &url, "t", "--delimiter", ";"])), &["3 rows written"]);
        let found =
            |k: &str, condition: &str| place.client(&format!("SELECT count(*) FROM t WHERE k = {k} AND {condition}"));
        assert_eq!(
            place.client("SELECT day, note FROM t WHERE k = 1000"),
            ["2020-01-31|31.01.2020"],
            "{}",
            place.name()
        );
        assert_eq!(place.client("SELECT day, note FROM t WHERE k = 2"), ["2020-02-01|1,5"], "{}", place.name());
        assert_eq!(found("1000", "price = 1234567.89 AND share = -0.5"), ["1"], "{}", place.name());
        assert_eq!(
            found("1000", "substr(CAST(at AS CHAR(19)), 1, 16) = '2020-02-01 13:05'"),
            ["1"],
            "{}",
            place.name()
        );
        assert_eq!(found("2", "price = -1.5 AND share = 1000.25 AND at IS NULL"), ["1"], "{}", place.name());
        assert_eq!(found("3", "price IS NULL AND share IS NULL AND day IS NULL"), ["1"], "{}", place.name());
        for (line, parts) in [
            ("9;30.02.2020;;;;", &["column \"day\"", "'30.02.2020' is not a date in the format '%d.%m.%Y'"][..]),
            ("9;01.02.20;;;;", &["column \"day\"", "'01.02.20' is not a date"]),
            ("9;2020-01-31;;;;", &["column \"day\"", "'2020-01-31' is not a date"]),
            ("9;;31.01.2020;;;", &["column \"at\"", "'31.01.2020' is not a timestamp in the format"]),
            (
                "9;;;1.5;;",
                &["column \"price\"", "'1.5' is not a number with decimal separator ',' and thousands separator '.'"],
            ),
            ("9;;;1,555;;", &["column \"price\"", "text '1,555'"]),
            ("1,5;;;;;", &["column \"k\"", "text '1,5'"]),
        ] {
            std::fs::write(path.join("bad.csv"), format!("k;day;at;price;share;note\n8;;;;;\n{line}\n")).unwrap();
            let message = error(path, &german(&["bad.csv", &url, "t", "--delimiter", ";"]));
            says(&message, &["file bad.csv, line 3", parts[0], parts[1]]);
        }
        assert_eq!(place.client("SELECT count(*) FROM t"), ["3"], "{}", place.name());
    }
}

#[test]
fn a_new_table_has_the_types_of_values_in_other_formats() {
    for place in &Place::all() {
        let text = "day;at;price;count;zip\n31.01.2020;01.02.2020 13:05;1.234,5;1.000;00701\n1.2.2020;;-1,25;2;1\n";
        let lines = "{\"day\": \"31.01.2020\", \"price\": \"1.234,5\", \"n\": 1.234}\n{\"day\": null, \"price\": 1.5, \"n\": 2}\n";
        let folder = folder(&[("a.csv", text), ("a.json", lines)]);
        let (path, url) = (folder.path(), place.url());
        said(path, &german(&["a.csv", &url, "made", "--delimiter", ";", "--mode", "create"]));
        let all = "SELECT day, zip FROM made WHERE price > 1234.4 AND price < 1234.6 AND count = 1000";
        assert_eq!(place.client(all), ["2020-01-31|00701"], "{}", place.name());
        assert_eq!(
            place.client("SELECT count(*) FROM made WHERE price = -1.25 AND count = 2"),
            ["1"],
            "{}",
            place.name()
        );
        // A number of JSON has a decimal point, whatever texts have.
        said(path, &german(&["a.json", &url, "lines", "--mode", "create"]));
        let all = "SELECT count(*) FROM lines WHERE day = '2020-01-31' AND price = 1234.5 AND n > 1.2 AND n < 1.3";
        let all = if matches!(place, Place::MySql(_)) { all.replace("lines", "`lines`") } else { all.to_owned() };
        assert_eq!(place.client(&all), ["1"], "{}", place.name());
        let all = all.split(" WHERE").next().unwrap();
        assert_eq!(
            place.client(&format!("{all} WHERE day IS NULL AND price = 1.5 AND n = 2")),
            ["1"],
            "{}",
            place.name()
        );
    }
}

#[test]
fn numbers_of_any_size_have_their_separators_too() {
    let place = Postgres::new("CREATE TABLE t (k integer, n numeric, v varchar)");
    let text = "k;n;v\n1;1.234.567.890.123.456.789.012,5;1,5\n2;;\n";
    let lines = "{\"k\": 3, \"n\": 1.5, \"v\": 1.5}\n{\"k\": 4, \"n\": \"1,5\", \"v\": \"1,5\"}\n";
    let folder = folder(&[("a.csv", text), ("a.json", lines), ("bad.csv", "k;n;v\n1;1.5;\n")]);
    let (path, url) = (folder.path(), place.url());
    said(path, &german(&["a.csv", &url, "t", "--delimiter", ";"]));
    said(path, &german(&["a.json", &url, "t"]));
    let expected = ["1|1234567890123456789012.5|1,5", "2|NULL|NULL", "3|1.5|1.5", "4|1.5|1,5"];
    assert_eq!(place.rows("SELECT k, n, v FROM t ORDER BY k"), expected);
    let message = error(path, &german(&["bad.csv", &url, "t", "--delimiter", ";"]));
    says(&message, &["file bad.csv, line 2", "column \"n\"", "'1.5' is not a number with decimal separator ','"]);
}

#[test]
fn a_job_knows_the_formats_of_its_values() {
    let folder = folder(&[("a.csv", "day\n01.02.2020\n")]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (day DATE)");
    let load = |format| ["a.csv", "sqlite:t.db", "t", "--job", "j", "--date-format", format];
    says(&said(path, &load("%d.%m.%Y")), &["1 row written"]);
    says(&said(path, &load("%d.%m.%Y")), &["0 rows written"]);
    says(&error(path, &load("%m.%d.%Y")), &["has run another INSERT"]);
    assert_eq!(rows(path, "SELECT day FROM t"), ["2020-02-01"]);
}

#[test]
fn columns_that_a_query_selects_are_read_as_those_of_the_file() {
    let folder = folder(&[("a.csv", "tag,n,x\n01.02.2020,1,a\n02.02.2020,z,b\n")]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (day DATE, k INTEGER, x TEXT)");
    let load = |query| ["a.csv", "sqlite:t.db", "t", "--date-format", "%d.%m.%Y", "--select", query];
    says(&error(path, &load("SELECT n AS k, tag AS day FROM file")), &["file a.csv, line 3", "column \"n\"", "'z'"]);
    says(&error(path, &load("SELECT x AS day FROM file")), &["file a.csv, line 2", "'a' is not a date in the format"]);
    says(&said(path, &load("SELECT n AS x, file.tag AS \"Day\" FROM file")), &["2 rows written"]);
    assert_eq!(rows(path, "SELECT day || x FROM t ORDER BY day"), ["2020-02-011", "2020-02-02z"]);
    // What a query computes has no line.
    says(&error(path, &["a.csv", "sqlite:t.db", "t", "--select", "SELECT n || n AS k FROM file"]), &["row 2", "'zz'"]);
    let made = ["a.csv", "sqlite:t.db", "made", "--mode", "create", "--date-format", "%d.%m.%Y", "--select"];
    said(path, &made.into_iter().chain(["SELECT tag AS day FROM file"]).collect::<Vec<_>>());
    assert_eq!(rows(path, "SELECT day FROM made ORDER BY day"), ["2020-02-01", "2020-02-02"]);
}

#[test]
fn a_wrong_format_says_what_to_use() {
    let folder = folder(&[("a.csv", "day\n01.02.2020\n"), ("a.parquet", "")]);
    let path = folder.path();
    sqlite(path, "CREATE TABLE t (day DATE)");
    for (more, parts) in [
        (&["--date-format", "DD.MM.YYYY"][..], &["date format 'DD.MM.YYYY'", "'%d.%m.%Y'"][..]),
        (&["--date-format", "%d.%m.%Q"], &["date format '%d.%m.%Q'", "does not begin a specifier"]),
        (&["--date-format", "%H:%M"], &["date format '%H:%M'", "does not determine a date"]),
        (
            &["--timestamp-format", "%d.%m.%Y %I:%M"],
            &["timestamp format '%d.%m.%Y %I:%M'", "does not determine a date"],
        ),
        (&["--timestamp-format", "%Y-%m-%d %H:%M %Z"], &["contains %Z", "use %z"]),
        (&["--decimal-separator", ",", "--thousands", ","], &["both ','", "set a different"]),
        (&["--decimal-separator", "5"], &["the decimal separator '5' cannot separate digits"]),
        (&["--thousands", "-"], &["the thousands separator '-' cannot separate digits"]),
        (
            &["--date-format", "%d.%m.%Y", "--select", "SELECT * FROM file LIMIT 1"],
            &["select and rename columns", "to_date("],
        ),
        (&["--date-format", "%d.%m.%Y", "--file-type", "parquet"], &["apply only to text files"]),
    ] {
        let arguments: Vec<&str> = ["a.csv", "sqlite:t.db", "t"].iter().chain(more).copied().collect();
        says(&error(path, &arguments), parts);
    }
    assert_eq!(rows(path, "SELECT count(*) || '' FROM t"), ["0"]);
}
