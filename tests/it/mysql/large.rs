//! Rows that are longer than a packet.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use datafusion::dataframe::DataFrameWriteOptions;

use super::MySql;

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_of_a_row_longer_than_a_packet_goes_through_a_file() {
    let server = MySql::new("CREATE TABLE big (id bigint PRIMARY KEY, v longblob)");
    // As a literal, it has more than the 16 MB that the server accepts.
    let huge = vec![0x0a; 9_000_000];
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let blobs: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"small", &huge, b"last"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("v", blobs)]).unwrap();
    let frame = server.context.read_batch(batch).unwrap();
    for (name, options) in [
        ("update", "'on_conflict' 'update', 'upsert' 'blind'"),
        ("two_phases", "'on_conflict' 'update', 'commit' 'two_phase'"),
        ("ignore", "'on_conflict' 'ignore'"),
    ] {
        let kept = if name == "ignore" { "1" } else { "0" };
        server.rows("DELETE FROM big; INSERT INTO big VALUES (2, 'old'), (4, 'other')");
        server.register(name, "", &format!("'table' 'big', {options}")).await.unwrap();
        frame.clone().write_table(name, DataFrameWriteOptions::new()).await.unwrap();
        let sums = "SELECT count(*), sum(v = 'old'), sum(v = repeat(X'0a', 9000000)), sum(v = 'other') FROM big";
        let new = if name == "ignore" { "0" } else { "1" };
        assert_eq!(server.rows(sums), [format!("4|{kept}|{new}|1")], "{name}");
    }
    server.register("big", "", "").await.unwrap();
    let values = "VALUES (2, CAST('a' AS BYTEA)), (2, CAST(repeat('b', 12000000) AS BYTEA)), (5, NULL)";
    server.sql(&format!("REPLACE INTO big {values}")).await.unwrap();
    assert_eq!(
        server.rows("SELECT id, length(v), left(v, 1) FROM big WHERE id > 1 ORDER BY id"),
        ["2|12000000|b", "3|4|l", "4|5|o", "5|NULL|NULL"]
    );
}
