//! Arrays of several dimensions.

use super::Postgres;
use crate::landing::says;

#[tokio::test(flavor = "multi_thread")]
async fn arrays_have_the_dimensions_that_they_are_declared_with() {
    let server = Postgres::new(
        "CREATE TYPE pair AS (a int, b text); CREATE DOMAIN grid AS integer[][]; \
         CREATE TYPE held AS (m integer[][], t text); \
         CREATE TABLE t (id int PRIMARY KEY, m integer[][], x text[][][], c pair[][], d grid, j jsonb[][], h held, \
         one integer[]); \
         INSERT INTO t VALUES \
         (1, '{{1,NULL},{3,4}}', '{{{a,\"b,\"},{NULL,\"\"}}}', ARRAY[[row(1, 'x')], [NULL]]::pair[][], '{{1},{2}}', \
          ARRAY[['{\"k\": [1]}'::jsonb, 'null']], row('{{1,2}}', 'x'), '{1}'), \
         (2, '{}', '{}', '{}', '{}', '{}', row('{}', NULL), '{}'), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL), \
         (4, '[2:3][0:1]={{5,6},{7,8}}', NULL, NULL, NULL, NULL, NULL, NULL), \
         (5, (ARRAY[[1,2,3],[4,5,6],[7,8,9]])[2:3][1:2], '{{{NULL}}}', NULL, NULL, NULL, NULL, NULL)",
    );
    server.register("t", "", "").await.unwrap();
    let read = [
        "1|[[1, NULL], [3, 4]]|[[[a, b,], [NULL, ]]]|[[{a: 1, b: x}], [NULL]]|[[1], [2]]|[[{\"k\": [1]}, null]]|\
         {m: [[1, 2]], t: x}|[1]",
        "2|[]|[]|[]|[]|[]|{m: [], t: NULL}|[]",
        "3|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
        "4|[[5, 6], [7, 8]]|NULL|NULL|NULL|NULL|NULL|NULL",
        "5|[[4, 5], [7, 8]]|[[[NULL]]]|NULL|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(server.read("SELECT * FROM t ORDER BY id").await, read);
    // Written as it was read, and by literals; lower bounds are 1.
    server.sql("INSERT INTO t SELECT id + 10, m, x, c, d, j, h, one FROM t").await.unwrap();
    let differing = "SELECT a.id FROM t a JOIN t b ON b.id = a.id + 10 WHERE row(a.x, a.c, a.d, a.j, a.h, a.one)::text \
                     <> row(b.x, b.c, b.d, b.j, b.h, b.one)::text OR a.m::text <> b.m::text ORDER BY 1";
    assert_eq!(server.rows(differing), ["4"]);
    assert_eq!(server.rows("SELECT m FROM t WHERE id = 14"), ["{{5,6},{7,8}}"]);
    server.sql("UPDATE t SET m = [[1, 2], [3, NULL]] WHERE id = 3").await.unwrap();
    let update = datafusion_landfall::sql(&server.context, "UPDATE t SET c = [[{'b': 'y'}]] WHERE id = 3").await;
    update.unwrap().collect().await.unwrap();
    assert_eq!(server.rows("SELECT m, c FROM t WHERE id = 3"), ["{{1,2},{3,NULL}}|{{\"(,y)\"}}"]);
    says(&server.error("UPDATE t SET m = [[1, 2], [3]] WHERE id = 3").await, &["\"m\"", "different lengths"]);
    server.sql("INSERT INTO t (id, m) VALUES (20, []), (21, [[7]])").await.unwrap();
    assert_eq!(server.rows("SELECT m FROM t WHERE id IN (20, 21) ORDER BY id"), ["{}", "{{7}}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_of_other_dimensions_is_named_with_its_row() {
    let server = Postgres::new(
        "CREATE TYPE held AS (m integer[][]); CREATE TABLE t (id int PRIMARY KEY, m integer[][], h held, hs held[]); \
         INSERT INTO t SELECT id, \
         CASE id WHEN 5 THEN NULL WHEN 7 THEN '{1}'::int[] ELSE '{{1}}' END, \
         CASE id WHEN 3 THEN NULL WHEN 5 THEN row('{{{2}}}'::int[])::held ELSE row('{{2}}'::int[])::held END, \
         CASE id WHEN 2 THEN ARRAY[NULL, row(NULL)::held] WHEN 3 THEN ARRAY[NULL, row('{3}'::int[])::held] \
         ELSE ARRAY[row('{{3}}'::int[])::held, NULL] END FROM generate_series(1, 9) id; \
         CREATE VIEW seen AS SELECT m FROM t",
    );
    server.register("t", "", "").await.unwrap();
    // A view says of its columns that they are arrays, and no more.
    server.register("seen", "", "").await.unwrap();
    says(
        &server.error("SELECT m FROM seen").await,
        &["\"m\"", "row 1 ", "2 dimensions", "declare this column as [][]", "VARCHAR"],
    );
    let error = server.error("SELECT id, m FROM t").await;
    says(&error, &["\"m\" (integer[])", "row 7 ", "1 dimension ", "VARCHAR"]);
    says(&server.error("SELECT id, h FROM t").await, &["\"h\" (held)", "row 5 ", "field \"m\"", "3 dimensions"]);
    says(&server.error("SELECT id, hs FROM t").await, &["\"hs\" (held[])", "row 3 ", "field \"m\"", "1 dimension "]);
    // What the error says to do.
    server.register("texts", "(id INT, m VARCHAR, h VARCHAR, hs VARCHAR)", "'table' 't'").await.unwrap();
    let all = "SELECT id, m, h, hs FROM t ORDER BY id";
    assert_eq!(server.read(&all.replace("FROM t", "FROM texts")).await, server.rows(all));
    server.sql("UPDATE texts SET m = '{{{9}}}' WHERE id = 1").await.unwrap();
    assert_eq!(server.rows("SELECT m FROM t WHERE id = 1"), ["{{{9}}}"]);
    server.rows("CREATE TABLE flat (m integer[][]); INSERT INTO flat VALUES ('{1,2}')");
    server.register("flat", "(m INT[])", "").await.unwrap();
    assert_eq!(server.read("SELECT m FROM flat").await, ["[1, 2]"]);
}
