//! TLS, passwords, and that these are never shown.

use super::{Postgres, folder, port};
use crate::landing::says;

async fn register(server: &Postgres, url: &str, options: &str) -> Result<(), String> {
    server
        .register_at(url, "x", "", &format!("'table' '{}.t'{options}", server.schema))
        .await
        .map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_as_strict_as_the_url_says() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    let port = port();
    let ca = folder().join("ca.crt");
    let ca = ca.display();
    // It has the same name, and another key.
    let other = crate::mysql::folder().join("ca.crt");
    let other = other.display();
    for (host, parameters, expected) in [
        ("localhost", "sslmode=disable".to_owned(), Ok("false")),
        ("localhost", "sslmode=prefer".into(), Ok("true")),
        ("localhost", "sslmode=require".into(), Ok("true")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), Ok("true")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), Ok("true")),
        // A root is there to verify the server.
        ("localhost", format!("sslrootcert={ca}"), Ok("true")),
        ("localhost", format!("sslmode=require&sslrootcert={ca}"), Ok("true")),
        // The certificate has no such name.
        ("[::ffff:127.0.0.1]", format!("sslmode=require&sslrootcert={ca}"), Ok("true")),
        ("[::ffff:127.0.0.1]", format!("sslmode=verify-full&sslrootcert={ca}"), Err("check sslmode, sslrootcert")),
        ("localhost", format!("sslrootcert={other}"), Err("check sslmode, sslrootcert")),
        ("localhost", format!("ssl-ca={other}&sslmode=require"), Err("check sslmode, sslrootcert")),
        ("localhost", format!("sslmode=verify-ca&ssl-root-cert={other}"), Err("check sslmode, sslrootcert")),
        ("localhost", format!("sslmode=prefer&sslrootcert={ca}"), Err("with sslmode=prefer, the server")),
        ("localhost", format!("sslrootcert={ca}&sslmode=disable"), Err("with sslmode=disable, the server")),
        ("localhost", "sslmode=verify-full".into(), Err("check sslmode, sslrootcert")),
        ("localhost", "sslmode=verify-ca&sslrootcert=/no/such/file".into(), Err("No such file")),
        ("localhost", "sslmode=allow".into(), Err("use sslmode=prefer or sslmode=disable")),
        ("localhost", "sslmode=maybe".into(), Err("LOCATION")),
    ] {
        let url = format!("postgres://landfall@{host}:{port}/landfall?{parameters}");
        let _ = server.sql("DROP TABLE IF EXISTS x").await;
        server.rows(&format!(
            "DROP VIEW IF EXISTS seen; CREATE VIEW {}.seen AS SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            server.schema
        ));
        let seen = server.register_at(&url, "x", "", &format!("'table' '{}.seen'", server.schema)).await;
        match (seen, expected) {
            (Ok(()), Ok(ssl)) => assert_eq!(server.read("SELECT * FROM x").await, [ssl], "{url}"),
            (Err(error), Err(part)) => says(&error.to_string(), &[part]),
            (seen, expected) => panic!("{url}: {seen:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn the_environment_says_how_strict_tls_is_where_the_url_does_not() {
    let port = port();
    let (ca, other) = (folder().join("ca.crt"), crate::mysql::folder().join("ca.crt"));
    let (ca, other) = (ca.to_str().unwrap(), other.to_str().unwrap());
    let connect = |parameters: &str, variables: &[(&str, &str)]| {
        let url = format!("postgres://landfall@localhost:{port}/landfall{parameters}");
        let sql = format!(
            "CREATE EXTERNAL TABLE x STORED AS POSTGRES LOCATION '{url}' OPTIONS ('table' 'pg_catalog.pg_class')"
        );
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"));
        let output = program.args(["sql", "-c", &sql]).envs(variables.iter().copied()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    for (parameters, variables, expected) in [
        ("", &[("PGSSLROOTCERT", ca)][..], None),
        ("", &[("PGSSLROOTCERT", other)], Some("check sslmode, sslrootcert")),
        ("?sslmode=require", &[("PGSSLROOTCERT", other)], Some("check sslmode, sslrootcert")),
        ("?sslmode=disable", &[("PGSSLROOTCERT", other)], None),
        ("", &[("PGSSLROOTCERT", ca), ("PGSSLMODE", "prefer")], Some("with sslmode=prefer, the server")),
        ("", &[("PGSSLMODE", "verify_full")], Some("PGSSLMODE cannot be 'verify_full'")),
        ("", &[("PGSSLMODE", "verify-full")], Some("check sslmode, sslrootcert")),
    ] {
        let (done, said) = connect(parameters, variables);
        assert_eq!(done, expected.is_none(), "{parameters} {variables:?}: {said}");
        says(&said, &[expected.unwrap_or_default()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_the_door_and_is_never_shown() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    server.rows(&format!(
        "GRANT USAGE ON SCHEMA {} TO secretive; GRANT ALL ON ALL TABLES IN SCHEMA {} TO secretive",
        server.schema, server.schema
    ));
    let port = port();
    let url = format!("postgres://secretive:open%20sesame@localhost:{port}/landfall");
    register(&server, &url, "").await.unwrap();
    let mut shown = server.read("EXPLAIN INSERT INTO x VALUES (1)").await;
    shown.extend(server.read("EXPLAIN SELECT * FROM x").await);
    shown.extend(server.read("SELECT * FROM information_schema.views").await);
    shown.extend(server.read("SHOW CREATE TABLE x").await);
    shown.push(server.error("INSERT INTO x SELECT 1/0").await);
    shown.push(format!("{:?}", server.context.table_provider("x").await.unwrap()));
    let shown = shown.join("\n");
    assert!(shown.contains("secretive") && !shown.contains("sesame"), "{shown}");

    let url = format!("postgres://secretive@localhost:{port}/landfall");
    let _ = server.sql("DROP TABLE x").await;
    says(&register(&server, &url, "").await.unwrap_err(), &["password"]);
    says(
        &register(&server, &url, ", 'password_env' 'LANDFALL_UNSET'").await.unwrap_err(),
        &["LANDFALL_UNSET", "export"],
    );
    // The environment of this process is everybody's: the program has one of its own.
    let folder = tempfile::tempdir().unwrap();
    let passfile = folder.path().join("pgpass");
    std::fs::write(&passfile, format!("localhost:{port}:*:secretive:open sesame\n")).unwrap();
    std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (variable, value, options) in [
        ("PGPASSWORD", "open sesame", ""),
        ("PGPASSFILE", passfile.to_str().unwrap(), ""),
        ("MY_PASSWORD", "open sesame", ", 'password_env' 'MY_PASSWORD'"),
    ] {
        let sql = format!(
            "CREATE EXTERNAL TABLE x STORED AS POSTGRES LOCATION '{url}' OPTIONS ('table' '{}.t'{options}); \
             INSERT INTO x VALUES (1)",
            server.schema
        );
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["sql", "-c", &sql])
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{variable}: {output:?}");
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_with_odd_characters_is_not_shown_either() {
    let server = Postgres::new("");
    for location in ["me:p@ss/word@localhost:1/db", "me:12#34word@localhost/db", "me:it''s a word@localhost:1/db"] {
        let error = register(&server, &format!("postgres://{location}"), "").await.unwrap_err();
        assert!(!error.contains("word@") && !error.contains("ss/"), "{error}");
    }
    let forgotten = "CREATE EXTERNAL TABLE t STORED AS POSTGRES 'postgres://me:s3cret@localhost/db'";
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall")).args(["sql", "-c", forgotten]).output();
    let shown = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(shown.contains("me:***@") && !shown.contains("s3cret"), "{shown}");
}
