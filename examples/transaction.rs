//! One transaction of several statements, in one or two databases: `cargo run --example transaction`, or with two URLs,
//! `cargo run --example transaction -- postgres://me@host/sales mysql://me@host/shop`.

use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use datafusion_landfall::{begin, register, sql};

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        urls.push(format!("sqlite:{}", folder.path().join("shop.db").display()));
    }
    let context = SessionContext::new();
    register(&context);
    let last = urls.len() - 1;
    for (number, url) in urls.iter().enumerate() {
        sql(&context, &format!("ATTACH '{url}' AS db{number}")).await?;
    }
    sql(&context, "CREATE TABLE IF NOT EXISTS db0.landfall_stock (item VARCHAR(20) PRIMARY KEY, amount INTEGER)")
        .await?;
    sql(&context, &format!("CREATE TABLE IF NOT EXISTS db{last}.landfall_orders (item VARCHAR(20), amount INTEGER)"))
        .await?;
    sql(&context, "INSERT OVERWRITE db0.landfall_stock VALUES ('anchor', 4), ('buoy', 30)").await?.collect().await?;

    for (item, amount) in [("buoy", 10), ("anchor", 5)] {
        let transaction = begin(&context).await?;
        let order = format!("INSERT INTO db{last}.landfall_orders VALUES ('{item}', {amount})");
        transaction.sql(&order).await?.collect().await?;
        let take = format!("UPDATE db0.landfall_stock SET amount = amount - {amount} WHERE item = '{item}'");
        transaction.sql(&take).await?.collect().await?;
        // It sees what the transaction has written.
        let missing = "SELECT item FROM db0.landfall_stock WHERE amount < 0";
        let missing = transaction.sql(missing).await?.collect().await?;
        if missing.iter().any(|batch| batch.num_rows() > 0) {
            println!("there are not {amount} of {item}: the order is rolled back");
            transaction.rollback().await;
        } else {
            transaction.commit().await?;
            println!("{amount} of {item} are ordered");
        }
    }
    sql(&context, "SELECT * FROM db0.landfall_stock ORDER BY item").await?.show().await?;
    sql(&context, &format!("SELECT * FROM db{last}.landfall_orders")).await?.show().await
}
