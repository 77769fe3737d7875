//! What the URL of a server can be: addresses, sockets, passwords, on both servers.

use crate::landing::{count, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;
use crate::{mysql, postgres};

/// All that RFC 3986 reserves, and what other parsers stumble over.
const PASSWORD: &str = r##":/?#[]@!$&'()*+,;= %25"\<>^`{|}~é-._"##;

/// What may stand in a password as it is: `sub-delims` of RFC 3986, and unreserved characters.
const PLAIN_PASSWORD: &str = "!$&'()*+,;=a-._~";

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The passwords, and how a URL has each.
fn passwords() -> [(String, String); 2] {
    [(PASSWORD, percent_encoded(PASSWORD)), (PLAIN_PASSWORD, PLAIN_PASSWORD.to_owned())]
        .map(|(password, in_url)| (password.to_owned(), in_url.replace('\'', "''")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_reserved_characters_opens_postgres() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    let (schema, port) = (&server.schema, postgres::port());
    for (index, (password, in_url)) in passwords().iter().enumerate() {
        let role = format!("{schema}_{index}");
        server.rows(&format!(
            "CREATE ROLE {role} LOGIN IN ROLE secretive PASSWORD '{}'; GRANT USAGE ON SCHEMA {schema} TO {role}; \
             GRANT ALL ON t TO {role}",
            password.replace('\'', "''")
        ));
        let table = format!("'table' '{schema}.t'");
        let at = |user: &str, query: &str| format!("postgres://{user}localhost:{port}/landfall?{query}");
        let urls = [
            at(&format!("{role}:{in_url}@"), ""),
            at("", &format!("user={role}&password={}", percent_encoded(password))),
        ];
        for (number, url) in urls.iter().enumerate() {
            let name = format!("t{index}{number}");
            server.register_at(url, &name, "", &table).await.unwrap();
            assert_eq!(count(&server.sql(&format!("INSERT INTO {name} VALUES (1)")).await.unwrap()), 1);
        }
        // Nobody is let in without it.
        let wrong = at(&format!("{role}:wrong@"), "");
        let refused = server.register_at(&wrong, "wrong", "", &table).await.unwrap_err();
        says(&refused.to_string(), &["authentication failed"]);
        server
            .rows(&format!("REVOKE ALL ON t FROM {role}; REVOKE ALL ON SCHEMA {schema} FROM {role}; DROP ROLE {role}"));
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_reserved_characters_opens_mysql() {
    let server = MySql::new("CREATE TABLE t (id int)");
    let port = mysql::server().port().unwrap();
    for (index, (password, in_url)) in passwords().iter().enumerate() {
        let user = format!("{}_{index}", server.database);
        let literal = password.replace('\\', "\\\\").replace('\'', "''");
        server.rows(&format!(
            "CREATE USER {user} IDENTIFIED BY '{literal}'; GRANT ALL ON {}.* TO {user}",
            server.database
        ));
        let at = |password: &str| format!("mysql://{user}:{password}@127.0.0.1:{port}/{}", server.database);
        let name = format!("t{index}");
        server.register_at(&at(in_url), &name, "", "'table' 't'").await.unwrap();
        assert_eq!(count(&server.sql(&format!("INSERT INTO {name} VALUES (1)")).await.unwrap()), 1);
        let refused = server.register_at(&at("wrong"), "wrong", "", "'table' 't'").await.unwrap_err();
        says(&refused.to_string(), &["authentication failed"]);
        server.rows(&format!("DROP USER {user}"));
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_a_name_an_address_or_a_socket_of_postgres() {
    let server = Postgres::new("");
    let schema = &server.schema;
    // Over a socket there is no address.
    server.rows(&format!(
        "CREATE VIEW {schema}.seen AS SELECT coalesce(host(inet_client_addr()), 'socket') AS client; \
         CREATE TABLE {schema}.t (id int)"
    ));
    let port = postgres::port();
    let folder = postgres::folder().canonicalize().unwrap().display().to_string();
    let ca = format!("{folder}/ca.crt");
    for (number, (url, client)) in [
        (format!("postgres://landfall@[::ffff:127.0.0.1]:{port}/landfall"), "127.0.0.1"),
        (format!("postgres://landfall@127.0.0.1:{port}/landfall"), "127.0.0.1"),
        (format!("postgres://landfall@none.invalid/landfall?hostaddr=127.0.0.1&port={port}"), "127.0.0.1"),
        (format!("postgres:///landfall?host=::ffff:127.0.0.1&port={port}&user=landfall"), "127.0.0.1"),
        // What stands behind the question mark comes first, as in libpq.
        (
            format!("postgres://nobody@[::1]:1/nothing?host=localhost&port={port}&user=landfall&dbname=landfall"),
            "127.0.0.1",
        ),
        (format!("postgres:///landfall?host={folder}&port={port}&user=landfall"), "socket"),
        (format!("postgres://landfall@{}:{port}/landfall", folder.replace('/', "%2F")), "socket"),
        (
            format!("postgres://landfall@localhost:{port}/landfall?host={folder}&sslmode=require&sslrootcert={ca}"),
            "socket",
        ),
    ]
    .iter()
    .enumerate()
    {
        server.register_at(url, &format!("seen{number}"), "", &format!("'table' '{schema}.seen'")).await.unwrap();
        assert_eq!(server.read(&format!("SELECT client FROM seen{number}")).await, [*client], "{url}");
        let insert = format!("'table' '{schema}.t', 'job' 'j{number}', 'ledger_table' '{schema}.l'");
        server.register_at(url, &format!("t{number}"), "", &insert).await.unwrap();
        server.sql(&format!("INSERT INTO t{number} VALUES ({number})")).await.unwrap();
    }
    assert_eq!(server.rows("SELECT count(DISTINCT id) FROM t"), ["8"]);
    for hosts in ["one,two", "one:1,two:2", "none.invalid/landfall?host=one,two"] {
        let url = format!("postgres://landfall@{hosts}");
        let error = server.register_at(&url, "several", "", "").await.unwrap_err().to_string();
        says(&error, &["several hosts", "specify one host"]);
    }
    // It is a name of this system's, which it does not know.
    let error = server.register_at("postgres://me@[fe80::1%25none]/d", "x", "", "").await.unwrap_err().to_string();
    says(&error, &["LOCATION is not a valid URL", "invalid IPv6 address"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_a_name_an_address_or_a_socket_of_mysql() {
    let server = MySql::new("CREATE TABLE t (id int)");
    let database = &server.database;
    let port = mysql::server().port().unwrap();
    let socket = mysql::folder().canonicalize().unwrap().join("mysql.sock").display().to_string();
    for (number, (url, client)) in [
        (format!("mysql://landfall@[::ffff:127.0.0.1]:{port}/{database}"), "127.0.0.1"),
        (format!("mysql://landfall@127.0.0.1:{port}/{database}"), "127.0.0.1"),
        (format!("mysql://landfall@localhost:1/{database}?socket={socket}"), "localhost"),
        (format!("mysql://landfall@{}/{database}", socket.replace('/', "%2F")), "localhost"),
    ]
    .iter()
    .enumerate()
    {
        // Who reads the list is in it.
        let list = url.replace(database, "information_schema");
        server.register_at(&list, &format!("list{number}"), "", "'table' 'PROCESSLIST'").await.unwrap();
        let seen = format!("SELECT \"HOST\" FROM list{number} WHERE \"INFO\" LIKE '%PROCESSLIST%'");
        let seen = server.read(&seen).await;
        assert!(seen.iter().any(|host| host.split(':').next() == Some(client)), "{url}: {seen:?}");
        let insert = format!("'table' '{database}.t', 'job' 'j{number}'");
        server.register_at(url, &format!("t{number}"), "", &insert).await.unwrap();
        server.sql(&format!("INSERT INTO t{number} VALUES ({number})")).await.unwrap();
    }
    assert_eq!(server.rows("SELECT count(DISTINCT id) FROM t"), ["4"]);
    for hosts in ["one,two", "one:1,two:2"] {
        let url = format!("mysql://landfall@{hosts}/d");
        let error = server.register_at(&url, "several", "", "").await.unwrap_err().to_string();
        says(&error, &["several hosts", "specify one host"]);
    }
}
