//! pgpq's bytes, encoded batch by batch into tokio-postgres' COPY.

use std::time::Instant;

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use futures::SinkExt;
use pgpq::ArrowToPostgresBinaryEncoder;

/// Seconds of loading the batches; it connects inside of them.
pub async fn postgres(url: &str, batches: &[RecordBatch]) -> f64 {
    let began = Instant::now();
    let (mut client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let transaction = client.transaction().await.expect("a transaction");
    let copy = transaction.copy_in("COPY bench_events FROM STDIN (FORMAT BINARY)").await.expect("a COPY");
    let mut copy = Box::pin(copy);
    let mut encoder = ArrowToPostgresBinaryEncoder::try_new(&batches[0].schema()).expect("an encoder");
    let mut buffer = BytesMut::new();
    encoder.write_header(&mut buffer).expect("a header");
    for batch in batches {
        encoder.write_batch(batch, &mut buffer).expect("a batch");
        copy.send(buffer.split().freeze()).await.expect("a piece");
    }
    encoder.write_footer(&mut buffer).expect("a footer");
    copy.send(buffer.split().freeze()).await.expect("a piece");
    copy.as_mut().finish().await.expect("all rows");
    drop(copy);
    transaction.commit().await.expect("a commit");
    drop(client);
    connection.await.expect("the connection's task").expect("a goodbye");
    began.elapsed().as_secs_f64()
}
