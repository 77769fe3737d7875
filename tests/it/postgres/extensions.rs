//! Types that only the server can convert, of extensions and its own, and numbers of any length: what every statement
//! writes is what psql shows, and what psql shows is read.

use super::Postgres;

const COLUMNS: &str = "l, ls, cu, sg, ci, cis, h, r, rs, p, b, tq, x, m";

/// Every statement, into columns of all the types.
#[tokio::test(flavor = "multi_thread")]
async fn types_of_extensions_are_texts_in_every_statement() {
    // Extensions are of a database.
    let server = Postgres::with_database(
        "CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION seg; CREATE EXTENSION citext; \
         CREATE EXTENSION hstore; \
         CREATE TABLE t (id int PRIMARY KEY, l ltree, ls ltree[], cu cube, sg seg, ci citext, cis citext[], h hstore, \
         r int4range, rs numrange[], p point, b box, tq tsquery, x xml, m money)",
    );
    server.register("t", "", "'on_conflict' 'update'").await.unwrap();
    let shown = format!("SELECT id, {COLUMNS} FROM t ORDER BY id");
    // As psql has it, but for maps and lists.
    let read = format!(
        "SELECT id, {} FROM t ORDER BY id",
        COLUMNS.replace("cis,", "array_to_string(cis, '+'),").replace(" h,", " CAST(h['k'] AS VARCHAR),")
    );
    let shown_alike = shown.replace("cis,", "array_to_string(cis, '+'),").replace(" h,", " h -> 'k',");
    let check = async |what: &str| {
        assert_eq!(server.read(&read).await, server.rows(&shown_alike), "{what}");
    };

    let insert = format!(
        "INSERT INTO t (id, {COLUMNS}) VALUES (1, 'Top.a_b', '{{A.B,C}}', '(1,2),(3,4)', '1.0 .. 2', 'ÄbC', ['x', 'Y'], \
         MAP {{'k': 'v'}}, '[1,5]', '{{\"(,2.50]\",empty}}', '(1,2)', '(0,0),(1,1)', 'a & b', '<a>1</a>', '12.50'), \
         (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    );
    server.sql(&insert).await.unwrap();
    let first = "1|Top.a_b|{A.B,C}|(1, 2),(3, 4)|1.0 .. 2|ÄbC|{x,Y}|\"k\"=>\"v\"|[1,6)|{\"(,2.50]\",empty}|(1,2)|\
                 (1,1),(0,0)|'a' & 'b'|<a>1</a>|$12.50";
    let nulls = format!("2{}", "|NULL".repeat(14));
    assert_eq!(server.rows(&shown), [first, &nulls]);
    check("INSERT").await;

    // An upsert, of a row that is there and a new one.
    let upsert = "INSERT INTO t (id, l, cu, ci, r, p, h) VALUES (2, 'a', '(0)', 'q', 'empty', '(3,4)', MAP {'k': NULL}), \
                  (3, 'x.y.z', NULL, '', '(,)', NULL, MAP {})";
    server.sql(upsert).await.unwrap();
    let some = "SELECT id, l, cu, ci, r, p, h FROM t WHERE id > 1 ORDER BY id";
    let rows = ["2|a|(0)|q|empty|(3,4)|\"k\"=>NULL", "3|x.y.z|NULL||(,)|NULL|"];
    assert_eq!(server.rows(some), rows);
    check("upsert").await;

    let update = "UPDATE t SET l = 'up.' || id, ls = '{}', cu = '(5)', ci = 'Z', r = '[7,8)', p = '(9,9)', m = '1' \
                  WHERE id > 1";
    server.sql(update).await.unwrap();
    let some = "SELECT id, l, ls, cu, ci, r, p, m FROM t WHERE id > 1 ORDER BY id";
    assert_eq!(server.rows(some), ["2|up.2|{}|(5)|Z|[7,8)|(9,9)|$1.00", "3|up.3|{}|(5)|Z|[7,8)|(9,9)|$1.00"]);
    check("UPDATE").await;

    let merge = "MERGE INTO t USING (SELECT 3 AS id, 'm' AS l UNION ALL SELECT 4, 'n.o') AS s ON t.id = s.id \
                 WHEN MATCHED THEN UPDATE SET l = s.l, cu = '(6)', r = '[1,2)', ci = s.l \
                 WHEN NOT MATCHED THEN INSERT (id, l, p, sg) VALUES (s.id, s.l, '(0,0)', '5')";
    server.sql(merge).await.unwrap();
    let some = "SELECT id, l, cu, r, ci, p, sg FROM t WHERE id > 2 ORDER BY id";
    assert_eq!(server.rows(some), ["3|m|(6)|[1,2)|m|(9,9)|NULL", "4|n.o|NULL|NULL|NULL|(0,0)|5"]);
    check("MERGE").await;

    // Conditions are DataFusion's where the server's could differ.
    assert_eq!(server.read("SELECT id FROM t WHERE l = 'n.o'").await, ["4"]);
    assert_eq!(server.read("SELECT id FROM t WHERE ci = 'z'").await, [""; 0]);
    server.sql("DELETE FROM t WHERE l = 'm' OR ci = 'Z'").await.unwrap();
    assert_eq!(server.rows("SELECT id FROM t ORDER BY id"), ["1", "4"]);
    // What was read is written.
    server.sql(&format!("INSERT INTO t (id, {COLUMNS}) SELECT id + 10, {COLUMNS} FROM t WHERE id = 1")).await.unwrap();
    assert_eq!(server.rows(&shown)[2], first.replacen('1', "11", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_types_of_extensions_are_upserted() {
    let server = Postgres::with_database(
        "CREATE EXTENSION ltree; CREATE EXTENSION citext; CREATE TABLE l (k ltree PRIMARY KEY, v int); \
         CREATE TABLE c (k citext PRIMARY KEY, v int); CREATE TABLE r (k int4range PRIMARY KEY, v int)",
    );
    for (table, keys, again, expected) in [
        ("l", ["a.b", "c"], "a.b", ["a.b|3", "c|2"]),
        ("c", ["Ab", "c"], "aB", ["Ab|3", "c|2"]),
        ("r", ["[1,2)", "[5,9]"], "[1,1]", ["[1,2)|3", "[5,10)|2"]),
    ] {
        server.register(table, "", "'on_conflict' 'update'").await.unwrap();
        let insert = format!("INSERT INTO {table} VALUES ('{}', 1), ('{}', 2)", keys[0], keys[1]);
        server.sql(&insert).await.unwrap();
        server.sql(&format!("INSERT INTO {table} VALUES ('{again}', 3)")).await.unwrap();
        assert_eq!(server.rows(&format!("SELECT k, v FROM {table} ORDER BY v DESC")), expected);
        assert_eq!(server.read(&format!("SELECT k, v FROM {table} ORDER BY v DESC")).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numeric_keeps_every_digit_in_every_statement() {
    let long = "123456789012345678901234567890.12345678901234567890123456789012345678901234567890";
    let numbers =
        [long.to_owned(), format!("-{long}"), "9".repeat(1_000), format!("0.{}1", "0".repeat(500)), "-0.0".into()];
    let server = Postgres::new("CREATE TABLE t (id int PRIMARY KEY, n numeric, ns numeric[])");
    let shown = "SELECT id, n, ns FROM t ORDER BY id";
    for upsert in ["blind", "diff"] {
        server.rows("TRUNCATE t");
        let name = format!("t_{upsert}");
        server.register(&name, "", &format!("'table' 't', 'on_conflict' 'update', 'upsert' '{upsert}'")).await.unwrap();
        let read = shown.replace("ns FROM t", &format!("array_to_string(ns, ',') FROM {name}"));
        for number in &numbers {
            let stored = if number == "-0.0" { "0.0" } else { number };
            let row = |id: i32| format!("{id}|{stored}|{{{stored}}}");
            let check = async |what: &str, id: i32| {
                assert_eq!(server.rows(shown), [row(id)], "{what}, {upsert}");
                let read = server.read(&read).await;
                assert_eq!(read, [row(id).replace(['{', '}'], "")], "{what}, {upsert}");
            };
            server.sql(&format!("INSERT INTO {name} VALUES (1, '{number}', ['{number}'])")).await.unwrap();
            check("INSERT", 1).await;
            let upsert = "INSERT INTO t SELECT 1, n, ns FROM (VALUES ('0', ['0'])) AS v (n, ns)"
                .replace("INTO t", &format!("INTO {name}"));
            server.sql(&upsert).await.unwrap();
            assert_eq!(server.rows(shown), ["1|0|{0}"]);
            server.sql(&upsert.replace("'0'", &format!("'{number}'"))).await.unwrap();
            check("upsert", 1).await;
            server.sql(&format!("UPDATE {name} SET n = '0'")).await.unwrap();
            server.sql(&format!("UPDATE {name} SET n = '{number}', ns = ['{number}']")).await.unwrap();
            check("UPDATE", 1).await;
            let merge = format!(
                "MERGE INTO {name} USING (SELECT 1 AS id, '{number}' AS n) AS s ON {name}.id = s.id \
                 WHEN MATCHED THEN UPDATE SET n = s.n"
            );
            server.sql(&merge.replace(&format!("'{number}'"), "'1'")).await.unwrap();
            server.sql(&merge).await.unwrap();
            check("MERGE", 1).await;
            server.sql(&format!("DELETE FROM {name}")).await.unwrap();
            let merge = format!(
                "MERGE INTO {name} USING (SELECT 2 AS id, '{number}' AS n) AS s ON {name}.id = s.id \
                 WHEN NOT MATCHED THEN INSERT (id, n, ns) VALUES (s.id, s.n, [s.n])"
            );
            server.sql(&merge).await.unwrap();
            check("MERGE", 2).await;
            server.sql(&format!("DELETE FROM {name}")).await.unwrap();
        }
        // As numbers, too, where the statement is planned from its text.
        for number in [long, "-1.50", "100000000000000000000000000000"] {
            let insert = format!("INSERT INTO {name} (id, n) VALUES (3, {number})");
            datafusion_landfall::sql(&server.context, &insert).await.unwrap().collect().await.unwrap();
            assert_eq!(server.rows("SELECT n FROM t"), [number], "{upsert}");
        }
    }
}
