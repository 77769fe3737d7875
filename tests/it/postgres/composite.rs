//! Composite types: what lands is what the server makes of the same values as literals, and it comes back as it went in.

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::*;
use datafusion::dataframe::DataFrameWriteOptions;

use super::Postgres;
use super::types::{Bytes, Column, check_after};
use crate::landing::says;

/// Types with columns of several kinds, one of them the row of a table that has lost a column.
const TYPES: &str = "CREATE TYPE pair AS (a int, b text); CREATE DOMAIN sure AS pair CHECK ((VALUE).a > -100); \
     CREATE DOMAIN cents AS numeric(10,2) CHECK (VALUE < 1000); CREATE TYPE mood AS ENUM ('sad', 'glad'); \
     CREATE TYPE deep AS (id bigint, p pair, s sure, ps pair[], n cents, m mood, u uuid, h hstore, d date[], j jsonb); \
     CREATE TABLE gone (x int, y text, z numeric); ALTER TABLE gone DROP COLUMN y;";

const TEXTS: [Option<&str>; 16] = [
    Some(""),
    None,
    Some(","),
    Some("(,)"),
    Some("a\"b"),
    Some("\""),
    Some("\\"),
    Some("a\\\\b\\"),
    Some("NULL"),
    Some(" x "),
    Some("two\nlines\ttab"),
    Some("{1,2}"),
    Some("ä€😀"),
    Some("'"),
    Some("()"),
    Some("it''s $1 %s"),
];

fn field(name: &str, data_type: &DataType) -> Field {
    Field::new(name, data_type.clone(), true)
}

fn structs(columns: Vec<(&str, ArrayRef)>, nulls: Option<NullBuffer>) -> StructArray {
    let fields = columns.iter().map(|(name, array)| field(name, array.data_type())).collect();
    StructArray::new(fields, columns.into_iter().map(|(_, array)| array).collect(), nulls)
}

fn quoted(text: Option<&str>) -> String {
    text.map_or("NULL".into(), |text| format!("'{}'", text.replace('\'', "''")))
}

/// Pairs with every text, every fifth of them NULL, which hides a number and a text; and the literals of them.
fn pairs() -> (ArrayRef, ArrayRef, NullBuffer, Vec<Option<String>>) {
    let numbers = Int32Array::from_iter((0..16).map(|row| (row % 3 != 1).then_some(row - 8)));
    let texts = StringArray::from_iter(TEXTS);
    let nulls: NullBuffer = (0..16).map(|row| row % 5 != 4).collect::<Vec<_>>().into();
    let literal = |row: usize| {
        let number = numbers.is_valid(row).then(|| numbers.value(row).to_string());
        let number = number.unwrap_or_else(|| "NULL".into());
        nulls.is_valid(row).then(|| format!("row({number}, {})", quoted(TEXTS[row])))
    };
    let literals = (0..16).map(literal).collect();
    (Arc::new(numbers), Arc::new(texts), nulls, literals)
}

#[tokio::test(flavor = "multi_thread")]
async fn structs_are_written_by_the_names_of_their_fields() {
    let (numbers, texts, nulls, literals) = pairs();
    let column = |array: StructArray| Column { sql_type: "pair", array: Arc::new(array), literals: literals.clone() };
    let in_order = structs(vec![("a", Arc::clone(&numbers)), ("b", Arc::clone(&texts))], Some(nulls.clone()));
    let reversed = structs(vec![("b", Arc::clone(&texts)), ("a", Arc::clone(&numbers))], Some(nulls.clone()));
    check_after(TYPES, &column(in_order.clone()), Bytes::AreTheServers).await;
    check_after(TYPES, &column(reversed.clone()), Bytes::AreTheServers).await;
    let all = structs(vec![("b", Arc::clone(&texts)), ("a", Arc::clone(&numbers))], None);
    let without_null = |row: usize| {
        Some(literals[row].clone().unwrap_or_else(|| {
            let number = cast(&numbers.slice(row, 1), &DataType::Utf8).unwrap();
            let number = number.as_string::<i32>();
            let number = if number.is_null(0) { "NULL" } else { number.value(0) };
            format!("row({number}, {})", quoted(TEXTS[row]))
        }))
    };
    let literals_of_all = (0..16).map(without_null).collect();
    let all = Column { sql_type: "pair", array: Arc::new(all), literals: literals_of_all };
    check_after(TYPES, &all, Bytes::AreTheServers).await;

    // Other types of the same values, in dictionaries too.
    let wide = cast(&numbers, &DataType::Int64).unwrap();
    let encoded = cast(&texts, &DataType::Dictionary(DataType::Int8.into(), DataType::Utf8View.into())).unwrap();
    check_after(TYPES, &column(structs(vec![("b", encoded), ("a", wide)], Some(nulls.clone()))), Bytes::AreTheServers)
        .await;
    // A slice has the values of the whole around it.
    let mut sliced = column(reversed.slice(3, 9));
    sliced.literals = literals[3..12].to_vec();
    check_after(TYPES, &sliced, Bytes::AreTheServers).await;
    // What is missing is NULL.
    let missing = structs(vec![("a", numbers)], Some(nulls));
    let mut literals = literals.clone();
    literals.iter_mut().flatten().for_each(|literal| {
        literal.replace_range(literal.find(',').unwrap().., ", NULL)");
    });
    let missing = Column { sql_type: "pair", array: Arc::new(missing), literals };
    check_after(TYPES, &missing, Bytes::AreTheServers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_table_leave_dropped_columns_out() {
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, None]));
    let decimals: ArrayRef = Arc::new(StringArray::from(vec![Some("1.50"), None, Some("-0.001")]));
    let array = structs(vec![("z", decimals), ("x", numbers)], Some(vec![true, true, false].into()));
    let literals = vec![Some("row(1, 1.50)".to_owned()), Some("row(NULL, NULL)".to_owned()), None];
    check_after(TYPES, &Column { sql_type: "gone", array: Arc::new(array), literals }, Bytes::AreTheServers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_of_composites_are_lists_of_structs() {
    let (numbers, texts, nulls, literals) = pairs();
    let items = structs(vec![("b", texts), ("a", numbers)], Some(nulls));
    let offsets = OffsetBuffer::<i32>::from_lengths([3, 0, 2, 4, 6, 1]);
    let item = Arc::new(field("item", items.data_type()));
    // The third row is NULL and hides two items.
    let nulls: NullBuffer = vec![true, true, false, true, true, true].into();
    let lists = ListArray::new(item, offsets.clone(), Arc::new(items), Some(nulls));
    let literal = |row: usize| {
        let items = literals[offsets[row] as usize..offsets[row + 1] as usize].iter();
        let items = items.map(|item| item.clone().unwrap_or_else(|| "NULL".into())).collect::<Vec<_>>();
        (row != 2).then(|| format!("ARRAY[{}]::pair[]", items.join(", ")))
    };
    let literals: Vec<_> = (0..6).map(literal).collect();
    let column = Column { sql_type: "pair[]", array: Arc::new(lists.clone()), literals: literals.clone() };
    check_after(TYPES, &column, Bytes::AreTheServers).await;
    let sliced = Column { sql_type: "pair[]", array: Arc::new(lists.slice(2, 3)), literals: literals[2..5].to_vec() };
    check_after(TYPES, &sliced, Bytes::AreTheServers).await;
}

/// A table with all of it, and one row.
async fn table() -> Postgres {
    let server = Postgres::new(&format!(
        "{TYPES} CREATE TABLE t (id int PRIMARY KEY, p pair, s sure, ps pair[], v deep, g gone); \
         INSERT INTO t VALUES (1, '(1,x)', '(2,\"y,z\")', ARRAY[row(3, NULL), NULL]::pair[], row(4, row(5, 'p'), NULL, \
         ARRAY[row(6, '')]::pair[], 7.5, 'sad', NULL, 'k=>v', '{{2024-02-29,NULL}}', '{{\"a\": 1}}'), row(8, 9))"
    ));
    server.register("t", "", "").await.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn composites_are_read_as_structs() {
    let server = table().await;
    assert_eq!(
        server.read("SELECT p, s, ps, v, g FROM t").await,
        ["{a: 1, b: x}|{a: 2, b: y,z}|[{a: 3, b: NULL}, NULL]|{id: 4, p: {a: 5, b: p}, s: NULL, ps: [{a: 6, b: }], \
             n: 7.50, m: sad, u: NULL, h: {k: v}, d: [2024-02-29, NULL], j: {\"a\": 1}}|{x: 8, z: 9}"]
    );
    assert_eq!(server.read("SELECT p['b'], ps[1]['a'], v['p']['a'] FROM t WHERE p['a'] = 1").await, ["x|3|5"]);
    // A composite of NULLs is none that is NULL, but it is to PostgreSQL.
    server.rows("INSERT INTO t (id, p, ps) VALUES (2, NULL, NULL), (3, row(NULL, NULL), '{}')");
    assert_eq!(server.rows("SELECT id FROM t WHERE p IS NULL ORDER BY id"), ["2", "3"]);
    let read = server.read("SELECT id, p, p IS NULL, ps FROM t WHERE id > 1 ORDER BY id").await;
    assert_eq!(read, ["2|NULL|true|NULL", "3|{a: NULL, b: NULL}|false|[]"]);
    server
        .rows("INSERT INTO t (id, v) VALUES (4, row(1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{infinity}', NULL))");
    says(&server.error("SELECT v FROM t WHERE id = 4").await, &["\"v\" (deep)", "field \"d\"", "infinity"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_write_composites_by_the_names_of_their_fields() {
    let server = table().await;
    for sql in [
        "INSERT INTO t (id, p, s, ps) VALUES (2, {'b': '(\"', 'a': 1}, {'a': 2, 'b': 'x'}, [{'b': 'y', 'a': 3}]), \
         (3, NULL, NULL, [])",
        "INSERT INTO t (id, p, ps, v) SELECT 4, {'a': 7}, [{'a': NULL, 'b': 'only'}, NULL], {'id': 1, 'p': {'b': 'in'}, 'n': 1.5}",
        "UPDATE t SET p = {'b': 'new'}, g = {'z': 0.10} WHERE id = 1",
        "MERGE INTO t USING (SELECT 3 AS id, 'merged' AS b UNION ALL SELECT 5, 'five') AS s ON t.id = s.id \
         WHEN MATCHED THEN UPDATE SET p = {'b': s.b} WHEN NOT MATCHED THEN INSERT (id, p) VALUES (s.id, {'b': s.b, 'a': 5})",
        // From itself.
        "INSERT INTO t (id, p, s, ps, v, g) SELECT id + 10, p, s, ps, v, g FROM t",
    ] {
        server.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let seen = "SELECT id, p, s, ps, v, g FROM t WHERE id < 10 ORDER BY id";
    let rows = [
        "1|(,new)|(2,\"y,z\")|{\"(3,)\",NULL}|(4,\"(5,p)\",,\"{\"\"(6,\\\\\"\"\\\\\"\")\"\"}\",7.50,sad,,\"\"\"k\"\"=>\"\"v\"\"\",\
         \"{2024-02-29,NULL}\",\"{\"\"a\"\": 1}\")|(,0.1)",
        "2|(1,\"(\"\"\")|(2,x)|{\"(3,y)\"}|NULL|NULL",
        "3|(,merged)|NULL|{}|NULL|NULL",
        "4|(7,)|NULL|{\"(,only)\",NULL}|(1,\"(,in)\",,,1.50,,,,,)|NULL",
        "5|(5,five)|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(server.rows(seen), rows);
    let copies = "SELECT count(*) FROM t a JOIN t b ON b.id = a.id + 10 \
                  AND (a.*)::text = regexp_replace((b.*)::text, '^\\(1', '(')";
    assert_eq!(server.rows(copies), ["5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_missing_are_null_in_every_statement() {
    let server = table().await;
    for sql in [
        "INSERT INTO t (id, p, ps) VALUES (2, {'a': 7}, [{'b': 'only'}, NULL]), (3, {'b': 'x'}, []), (4, NULL, NULL)",
        "UPDATE t SET p = {'b': 'new'}, ps = [{'a': 1}] WHERE id = 3",
        "MERGE INTO t USING (SELECT 4 AS id UNION ALL SELECT 5) AS s ON t.id = s.id \
         WHEN MATCHED THEN UPDATE SET p = {'a': s.id}, ps = [{'b': 'm'}] \
         WHEN NOT MATCHED THEN INSERT (id, p, ps) VALUES (s.id, {'b': 'i'}, [{'a': 2}])",
        "UPDATE t SET p = ps[2] WHERE id = 5",
    ] {
        let run = async { datafusion_landfall::sql(&server.context, sql).await?.collect().await };
        run.await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let rows = ["2|(7,)|{\"(,only)\",NULL}", "3|(,new)|{\"(1,)\"}", "4|(4,)|{\"(,m)\"}", "5|NULL|{\"(2,)\"}"];
    assert_eq!(server.rows("SELECT id, p, ps FROM t WHERE id > 1 ORDER BY id"), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_there_is_named_when_the_plan_is_made() {
    let server = table().await;
    let parts = ["\"p\"", "no field \"z\"", "\"a\", \"b\""];
    let error = async |sql: &str| {
        let planned = async { server.context.sql(sql).await?.create_physical_plan().await };
        planned.await.map(drop).unwrap_err().to_string()
    };
    let own_error = async |sql: &str| {
        let planned = async { datafusion_landfall::sql(&server.context, sql).await?.create_physical_plan().await };
        planned.await.map(drop).unwrap_err().to_string()
    };
    for sql in [
        "INSERT INTO t (id, p) VALUES (2, {'a': 1, 'z': 'x'})",
        "INSERT INTO t (id, p) SELECT 2, {'a': 1, 'b': 'x', 'z': 2}",
        "UPDATE t SET p = {'z': 2}",
        "MERGE INTO t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET p = {'z': 2}",
    ] {
        says(&error(sql).await, &parts);
        says(&own_error(sql).await, &parts);
    }
    let inner = "INSERT INTO t (id, v) SELECT 2, {'p': {'a': 1, 'c': 2}}";
    says(&error(inner).await, &["\"v\"", "field \"p\"", "no field \"c\"", "\"a\", \"b\""]);
    for sql in ["INSERT INTO t (id, ps) SELECT 2, [{'c': 2}]", "INSERT INTO t (id, ps) VALUES (2, [{'c': 2}])"] {
        says(&own_error(sql).await, &["\"ps\"", "no field \"c\"", "\"a\", \"b\""]);
    }
    let frame = server.context.sql("SELECT 2 AS id, {'c': 2} AS p").await.unwrap();
    let error = frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap_err();
    says(&error.to_string(), &["\"p\"", "no field \"c\"", "\"a\", \"b\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_field_cannot_hold_is_named_with_its_row() {
    let server = table().await;
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1 << 40]));
    let array = structs(vec![("a", numbers)], Some(vec![true, false, true].into()));
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![2, 3, 4]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("p", Arc::new(array) as ArrayRef)]).unwrap();
    let frame = server.context.read_batch(batch).unwrap();
    let error = frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap_err();
    says(&error.to_string(), &["row 3, column \"p\"", "field \"a\"", "1099511627776"]);
    let nul = "INSERT INTO t (id, p) SELECT 2, {'a': 1, 'b': concat('x', chr(0))}";
    says(&server.error(nul).await, &["row 1, column \"p\"", "field \"b\"", "NUL"]);
    let refused = "INSERT INTO t (id, s) SELECT 2, {'a': -100}";
    says(&server.error(refused).await, &["row 1", "\"s\"", "sure"]);
    let refused = "INSERT INTO t (id, v) SELECT 2, {'n': 1000}";
    says(&server.error(refused).await, &["row 1", "\"v\"", "cents"]);
    says(&server.error("INSERT INTO t (id, v) SELECT 2, {'m': 'angry'}").await, &["row 1", "\"v\"", "angry"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composite_is_text_where_the_user_wants_that_or_only_the_server_can_convert_it() {
    let server = Postgres::new(&format!(
        "{TYPES} CREATE TYPE place AS (at point, name text); \
         CREATE TABLE t (id int PRIMARY KEY, p pair, ps pair[], h hstore, w place, ws place[])"
    ));
    let columns = "(id INT, p VARCHAR, ps VARCHAR, h VARCHAR, w VARCHAR, ws VARCHAR)";
    server.register("t", columns, "").await.unwrap();
    let insert = "INSERT INTO t VALUES \
        (1, '(1,\"a,\"\"b\")', '{\"(2,😀)\",NULL}', 'k=>NULL', '(\"(1,2)\",x)', '{\"(\\\"(3,4)\\\",)\"}'), \
        (2, '(,)', '{}', '', NULL, NULL), (3, NULL, NULL, NULL, '(,)', '{}')";
    server.sql(insert).await.unwrap();
    let all = "SELECT id, p, ps, h, w, ws FROM t ORDER BY id";
    assert_eq!(server.read(all).await, server.rows(all));
    assert_eq!(server.rows("SELECT (p).b, (w).at, (ps[1]).a FROM t WHERE id = 1"), ["a,\"b|(1,2)|2"]);
    server.sql("UPDATE t SET p = '(5,\\\\)', w = '(,\"a b\")' WHERE id = 2").await.unwrap();
    assert_eq!(server.rows("SELECT p, w FROM t WHERE id = 2"), ["(5,\"\\\\\")|(,\"a b\")"]);
    says(&server.error("INSERT INTO t (id, p) VALUES (4, '(1,2,3)')").await, &["malformed record literal"]);
    assert_eq!(server.read("SELECT id FROM t WHERE p IS NULL").await, ["3"]);
    // Texts of a stream go to a column that is read as a Struct, too.
    let server = table().await;
    let frame = server.context.sql("SELECT 2 AS id, '(1,x)' AS p, '{NULL,\"(2,)\"}' AS ps").await.unwrap();
    frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap();
    assert_eq!(server.rows("SELECT p, ps FROM t WHERE id = 2"), ["(1,x)|{NULL,\"(2,)\"}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_by_difference_leaves_equal_composites_alone() {
    let server = Postgres::new(&format!(
        "{TYPES} CREATE TABLE t (id int PRIMARY KEY, p pair, ps pair[], g gone); \
         INSERT INTO t SELECT id, row(id, 'x')::pair, ARRAY[row(id, NULL)]::pair[], row(id, 1.5)::gone FROM generate_series(1, 3) id; \
         INSERT INTO t VALUES (4, NULL, NULL, NULL), (5, row(NULL, NULL), '{{}}', row(NULL, NULL)), \
         (6, NULL, '{{NULL}}', NULL), (7, row(NULL, NULL), ARRAY[row(NULL, NULL)]::pair[], NULL)"
    ));
    server.register("t", "", "'on_conflict' 'update', 'upsert' 'diff'").await.unwrap();
    let versions = "SELECT id, xmin FROM t ORDER BY id";
    let before = server.rows(versions);
    server.sql("CREATE TABLE copies AS SELECT * FROM t").await.unwrap();
    server.sql("INSERT INTO t SELECT * FROM copies").await.unwrap();
    assert_eq!(server.rows(versions), before, "nothing differs");
    // A field, an item, NULL and a composite of NULLs.
    let change = "INSERT INTO t (id, p, ps) VALUES (1, {'b': 'X', 'a': 1}, [{'a': 1, 'b': NULL}]), \
        (2, {'a': 2, 'b': 'x'}, [{'a': 2, 'b': ''}]), (3, {'a': 3, 'b': 'x'}, [{'a': 3, 'b': NULL}]), \
        (4, {'a': NULL, 'b': NULL}, NULL), (5, NULL, []), (6, NULL, [{'a': NULL, 'b': NULL}]), \
        (7, {'a': NULL, 'b': NULL}, [NULL])";
    server.sql(change).await.unwrap();
    let after = server.rows(versions);
    let same: Vec<_> = before.iter().zip(&after).map(|(before, after)| before == after).collect();
    assert_eq!(same, [false, false, true, false, false, false, false]);
    assert_eq!(
        server.rows("SELECT id, p, ps, g FROM t ORDER BY id"),
        [
            "1|(1,X)|{\"(1,)\"}|(1,1.5)",
            "2|(2,x)|{\"(2,\\\"\\\")\"}|(2,1.5)",
            "3|(3,x)|{\"(3,)\"}|(3,1.5)",
            "4|(,)|NULL|NULL",
            "5|NULL|{}|(,)",
            "6|NULL|{\"(,)\"}|NULL",
            "7|(,)|{NULL}|NULL",
        ]
    );
    // With a column that is staged as text there is no difference to be had, and the rest is as it should be.
    let server = table().await;
    server.rows("ALTER TABLE t ADD COLUMN q point");
    server.register("u", "", "'table' 't', 'on_conflict' 'update'").await.unwrap();
    server.sql("INSERT INTO u (id, p, q) VALUES (1, {'a': 9}, '(1,2)'), (2, {'b': 'n'}, NULL)").await.unwrap_err();
    server
        .sql("INSERT INTO u (id, p, q) SELECT 1, {'a': 9}, '(1,2)' UNION ALL SELECT 2, {'a': 3}, NULL")
        .await
        .unwrap();
    assert_eq!(server.rows("SELECT p, q, s FROM t ORDER BY id"), ["(9,)|(1,2)|(2,\"y,z\")", "(3,)|NULL|NULL"]);
}
