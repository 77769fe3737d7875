//! Oracle's own driver as a [`Session`].

use std::fmt;
use std::ops::ControlFlow;

use arrow::array::RecordBatch;
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::options::SinkOptions;
use oracledb::{BindParameters, Config, Connection, DbType, OracleNumber, OracleTimestamp, Row, ToDbValue};

use crate::location::Location;
use crate::options::wallet;
use crate::session::{Bind, Connect, Datum, Failure, Session};

/// Opens sessions with Oracle's driver.
pub struct Driver {
    config: Config,
}

impl Driver {
    /// Opens sessions of the database at a location.
    ///
    /// # Errors
    /// `Config` if there is no password, or the driver refuses the location.
    pub fn try_new(location: &Location, options: &SinkOptions) -> Result<Self> {
        let invalid = |error: oracledb::Error| Error::new(ErrorKind::Config, format!("LOCATION {location}: {error}"));
        if location.is_tls {
            // It fails if the program has chosen already.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let (wallet, password) = wallet(options);
        let mut config = Config::default()
            .set_credentials(&location.user, location.password()?)
            .set_driver_name("landfall")
            .set_connect_string(&location.connect_string())
            .map_err(invalid)?;
        if let Some(directory) = wallet {
            config = config.set_wallet_location(directory);
        }
        if let Some(variable) = password {
            let password = std::env::var(variable).map_err(|_| {
                Error::new(
                    ErrorKind::Config,
                    format!(
                        "option 'wallet_password_env' names the environment variable {variable}, which is not set: export it"
                    ),
                )
            })?;
            config = config.set_wallet_password(&password);
        }
        Ok(Self { config })
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The parameters contain the password.
        f.write_str("Driver")
    }
}

impl Connect for Driver {
    fn connect(&self) -> Result<Box<dyn Session>, Failure> {
        let connection = oracledb::connect(self.config.clone()).map_err(|error| failure(&error))?;
        Ok(Box::new(OracleSession(connection)))
    }
}

/// A failure of the driver.
fn failure(error: &oracledb::Error) -> Failure {
    if let oracledb::ErrorKind::DbError(error) = error.kind() {
        return Failure::of_server(u32::try_from(error.code()).unwrap_or_default(), error.message());
    }
    let message = error.to_string();
    match error.kind() {
        // The driver has found it before it sent anything.
        oracledb::ErrorKind::ArrowOperation
        | oracledb::ErrorKind::CannotConvertToArrowDecimal128(..)
        | oracledb::ErrorKind::DifferentTypes(..)
        | oracledb::ErrorKind::InvalidColumnIndex(_)
        | oracledb::ErrorKind::InvalidConnectString(..)
        | oracledb::ErrorKind::InvalidNetworkName(_)
        | oracledb::ErrorKind::InvalidOracleNumber(_)
        | oracledb::ErrorKind::NoDataFound
        | oracledb::ErrorKind::NotImplemented(_)
        | oracledb::ErrorKind::OutOfRange(_)
        | oracledb::ErrorKind::PemFileOperation
        | oracledb::ErrorKind::ServerVersionNotSupported
        | oracledb::ErrorKind::UnsupportedArrowType(_)
        | oracledb::ErrorKind::UnsupportedConversion(..)
        | oracledb::ErrorKind::UnsupportedDbType(_)
        | oracledb::ErrorKind::ValueWasNull
        | oracledb::ErrorKind::WalletPasswordMissingOrInvalid(..)
        | oracledb::ErrorKind::WalletPrivateKeyInvalid(_)
        | oracledb::ErrorKind::WalletUnreadable(_)
        | oracledb::ErrorKind::WrongNumPositionalBinds(..) => Failure::of_driver(message),
        _ => Failure::lost(message),
    }
}

struct OracleSession(Connection);

/// Runs a call of the driver. It panics on some messages of the protocol that it does not know.
fn guarded<T>(call: impl FnOnce() -> Result<T, oracledb::Error>) -> Result<T, Failure> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(|error| failure(&error)),
        Err(_) => Err(Failure::lost("Oracle's driver failed, and its connection was closed")),
    }
}

/// The binds in the driver's types.
fn values(binds: &[Bind]) -> Vec<&dyn ToDbValue> {
    binds.iter().map(bound).collect()
}

fn bound(bind: &Bind) -> &dyn ToDbValue {
    match bind {
        Bind::Integer(value) => value,
        Bind::Double(value) => value,
        Bind::Text(text) => text,
        Bind::Bytes(bytes) => bytes,
    }
}

impl Session for OracleSession {
    fn execute(&mut self, sql: &str, binds: &[Bind]) -> Result<u64, Failure> {
        guarded(|| Ok(self.0.execute(sql, &values(binds))?.rows_affected()))
    }

    fn execute_batch(&mut self, sql: &str, rows: &RecordBatch) -> Result<u64, Failure> {
        guarded(|| Ok(self.0.execute_batch(sql, BindParameters::Arrow(rows.clone()))?.rows_affected()))
    }

    fn call(&mut self, block: &str, binds: &[Bind]) -> Result<i64, Failure> {
        let number = oracledb::DB_TYPE_NUMBER;
        let mut all: Vec<&dyn ToDbValue> = vec![&number];
        all.extend(values(binds));
        guarded(|| self.0.execute(block, &all)?.out_bind_data().get::<i64>(0))
    }

    fn query(
        &mut self,
        sql: &str,
        binds: &[Bind],
        fetch: usize,
        each: &mut dyn FnMut(Vec<Datum>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let fetch = u32::try_from(fetch).unwrap_or(u32::MAX).clamp(2, 10_000);
        let cursor = guarded(|| {
            let statement = self.0.statement(sql)?.prefetch_rows(fetch).fetch_array_size(fetch).build()?;
            statement.query(&values(binds))
        });
        let mut cursor = cursor?;
        while let Some(row) = guarded(|| cursor.next().transpose())? {
            if each(read(&row)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        guarded(|| self.0.commit())
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        guarded(|| self.0.rollback())
    }

    fn ping(&mut self) -> Result<(), Failure> {
        guarded(|| self.0.ping())
    }

    fn close(self: Box<Self>) {
        let mut connection = self.0;
        // The server ends the session in any case.
        let _ = guarded(|| connection.close());
    }
}

fn read(row: &Row) -> Result<Vec<Datum>, Failure> {
    let read = |(index, column): (usize, &oracledb::Metadata)| datum(row, index, column.db_type());
    row.columns().iter().enumerate().map(read).collect::<Result<_, _>>().map_err(|error| failure(&error))
}

fn datum(row: &Row, index: usize, db_type: &'static DbType) -> Result<Datum, oracledb::Error> {
    let is = |types: &[&'static DbType]| types.contains(&db_type);
    Ok(if is(&[oracledb::DB_TYPE_NUMBER, oracledb::DB_TYPE_BINARY_INTEGER]) {
        row.get::<Option<OracleNumber>>(index)?.map_or(Datum::Null, |number| Datum::Number(number.to_string()))
    } else if is(&[oracledb::DB_TYPE_BINARY_FLOAT]) {
        row.get::<Option<f32>>(index)?.map_or(Datum::Null, Datum::Float)
    } else if is(&[oracledb::DB_TYPE_BINARY_DOUBLE]) {
        row.get::<Option<f64>>(index)?.map_or(Datum::Null, Datum::Double)
    } else if is(&[oracledb::DB_TYPE_BOOLEAN]) {
        row.get::<Option<bool>>(index)?.map_or(Datum::Null, Datum::Boolean)
    } else if is(&[oracledb::DB_TYPE_DATE, oracledb::DB_TYPE_TIMESTAMP]) {
        match row.get::<Option<OracleTimestamp>>(index)? {
            Some(time) => {
                let time = chrono::NaiveDateTime::try_from(time)?.and_utc();
                Datum::Timestamp(time.timestamp(), time.timestamp_subsec_nanos())
            }
            None => Datum::Null,
        }
    } else if is(&[oracledb::DB_TYPE_RAW, oracledb::DB_TYPE_LONG_RAW, oracledb::DB_TYPE_BLOB]) {
        row.get::<Option<Vec<u8>>>(index)?.map_or(Datum::Null, Datum::Bytes)
    } else {
        row.get::<Option<String>>(index)?.map_or(Datum::Null, Datum::Text)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Decimal128Array;
    use chrono::{DateTime, Datelike, NaiveDateTime};
    use fastrand::Rng;

    use super::*;
    use crate::decode::decimal;

    /// The driver binds the text of a decimal as an [`OracleNumber`], and shows one as text.
    #[test]
    fn a_decimal_survives_the_drivers_number() {
        let mut rng = Rng::with_seed(1);
        let mut numbers: Vec<i128> = vec![0, 1, -1, 10, 100, 99, -100, 10_i128.pow(38) - 1, 1 - 10_i128.pow(38)];
        numbers.extend((0..20_000).map(|_| rng.i128(..) % 10_i128.pow(rng.u32(1..=38))));
        for number in numbers {
            let scale = rng.i8(0..=38);
            let array = Decimal128Array::from(vec![number]).with_precision_and_scale(38, scale).unwrap();
            let bound: OracleNumber = array.value_as_string(0).parse().unwrap();
            assert_eq!(decimal(&bound.to_string(), scale), Some(number), "{number} of scale {scale}");
        }
        for number in [i64::MIN, i64::MAX, 0, -1] {
            assert_eq!(decimal(&OracleNumber::from(number).to_string(), 0), Some(number.into()));
        }
        assert_eq!(decimal(&OracleNumber::from(u64::MAX).to_string(), 0), Some(u64::MAX.into()));
    }

    /// The years that the driver is given are those that its timestamp has.
    #[test]
    fn a_time_survives_the_drivers_timestamp() {
        let mut rng = Rng::with_seed(2);
        let (first, end) = (-62_135_596_800_i64, 253_402_300_800);
        let mut seconds = vec![first, end - 1, 0, -1];
        seconds.extend((0..20_000).map(|_| rng.i64(first..end)));
        for second in seconds {
            let time = DateTime::from_timestamp(second, rng.u32(0..1_000_000_000)).unwrap().naive_utc();
            let bound = OracleTimestamp::from(time);
            assert_eq!(
                (i32::from(bound.year()), bound.nanoseconds()),
                (time.year(), time.and_utc().timestamp_subsec_nanos())
            );
            assert_eq!(NaiveDateTime::try_from(bound).unwrap(), time);
        }
    }

    #[test]
    fn an_error_of_the_server_has_its_number() {
        let parse = "x".parse::<OracleNumber>().unwrap_err();
        assert_eq!(failure(&parse).code, None);
        assert!(!failure(&parse).is_lost);
    }
}
