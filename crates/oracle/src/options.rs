//! The options that only Oracle has.

use datafusion_landfall::options::{BackendOption, SinkOptions};

const EMPTY_STRINGS: &str = "empty_strings";
const WALLET: &str = "wallet";
const WALLET_PASSWORD_ENV: &str = "wallet_password_env";
const XA_TIMEOUT: &str = "xa_timeout";

/// The seconds that a branch may wait between its last statement and its prepare.
const XA_SECONDS: u32 = 600;

/// The options.
pub(crate) const OPTIONS: &[BackendOption] = &[
    BackendOption {
        key: EMPTY_STRINGS,
        values: "`error`, `null`",
        default: "`error`",
        meaning: "what happens to an empty string, which Oracle stores as NULL",
        check: |text| match text {
            "error" | "null" => Ok(()),
            _ => Err("use error or null".into()),
        },
    },
    BackendOption {
        key: WALLET,
        values: "a directory",
        default: "none",
        meaning: "the wallet for connections with TLS: a directory with `ewallet.pem`",
        check: |_| Ok(()),
    },
    BackendOption {
        key: WALLET_PASSWORD_ENV,
        values: "the name of an environment variable",
        default: "none",
        meaning: "the environment variable that has the password of the wallet",
        check: |_| Ok(()),
    },
    BackendOption {
        key: XA_TIMEOUT,
        values: "a number of seconds",
        default: "600",
        meaning: "how long a branch of a two-phase commit may be inactive before it is prepared",
        check: |text| match text.parse() {
            Ok(1_u32..=2_000_000_000) => Ok(()),
            _ => Err("use a number of seconds, 1 or more".into()),
        },
    },
];

/// What happens to an empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyStrings {
    /// It is an error.
    #[default]
    Error,
    /// It becomes NULL.
    Null,
}

impl EmptyStrings {
    pub(crate) fn of(options: &SinkOptions) -> Self {
        if options.own(EMPTY_STRINGS) == Some("null") { Self::Null } else { Self::Error }
    }
}

/// The seconds of the option `xa_timeout`.
pub(crate) fn xa_timeout(options: &SinkOptions) -> u32 {
    options.own(XA_TIMEOUT).and_then(|seconds| seconds.parse().ok()).unwrap_or(XA_SECONDS)
}

#[cfg(feature = "driver")]
/// The wallet's directory, and the environment variable of its password.
pub(crate) fn wallet(options: &SinkOptions) -> (Option<&str>, Option<&str>) {
    (options.own(WALLET), options.own(WALLET_PASSWORD_ENV))
}
