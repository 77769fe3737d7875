//! Values that are longer than a message.

use super::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn values_longer_than_a_message_are_read_between_short_ones() {
    let server = Postgres::new(
        "CREATE TABLE t (id int PRIMARY KEY, v text, b bytea); \
         INSERT INTO t SELECT id, CASE id % 3 WHEN 0 THEN repeat('ü' || id, 700000) WHEN 1 THEN 'short' || id END, \
             CASE WHEN id % 4 = 0 THEN decode(repeat('00ff', 600000), 'hex') END FROM generate_series(0, 9) AS id",
    );
    server.register("t", "", "").await.unwrap();
    for order in ["id", "id DESC"] {
        let sums = format!(
            "SELECT id, length(v), md5(v), length(encode(b, 'hex')) / 2, md5(encode(b, 'hex')) FROM t ORDER BY {order}"
        );
        assert_eq!(server.read(&sums).await, server.rows(&sums), "{order}");
    }
    // Written by one row and by several.
    server.register("u", "(id INT, v VARCHAR, b BYTEA)", "").await.unwrap();
    server.sql("INSERT INTO u SELECT * FROM t").await.unwrap();
    assert_eq!(server.rows("SELECT count(*) FROM (TABLE t EXCEPT TABLE u) AS d"), ["0"]);
    assert_eq!(server.rows("SELECT count(*) FROM u"), ["10"]);
}
