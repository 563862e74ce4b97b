//! What a handler fails with.

use std::fmt;

use serde_json::Value;

/// An error answer: a code, a sentence, and data if there is any.
///
/// Every [`std::error::Error`] turns into one by `?`, with code 1 and its whole chain of causes as the message. For
/// that reason this type is not a `std::error::Error` itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

/// JSON-RPC's own codes, and those of the host's table that a plugin may use.
pub(crate) mod code {
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    pub(crate) const INVALID_PARAMS: i64 = -32602;
    pub(crate) const INTERNAL: i64 = -32603;
    pub(crate) const OVERLOADED: i64 = -31004;
    pub(crate) const TOO_LARGE: i64 = -31005;
    pub(crate) const SHUTTING_DOWN: i64 = -31008;
    pub(crate) const NOT_READY: i64 = -31009;
    pub(crate) const UNSUPPORTED_PROTOCOL: i64 = -31010;
    pub(crate) const CANCELLED: i64 = -32800;
    pub(crate) const DEADLINE: i64 = -31002;
    pub(crate) const APPLICATION: i64 = 1;
}

impl Error {
    /// An application's own error. `code` is any integer outside −32768…−32000 and −31099…−31000, which belong to
    /// JSON-RPC and to the host.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The params are of the right type and still wrong: −32602.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// The handler saw [`Call::is_cancelled`](crate::Call::is_cancelled) and stopped: −32800, or −31002 where the
    /// deadline has passed.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(code::CANCELLED, "cancelled")
    }

    /// An integer: JSON-RPC's, the host's, or an application's.
    #[must_use]
    pub fn code(&self) -> i64 {
        self.code
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// For programs.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// The host's word for what went wrong with a call to another plugin, such as `backoff`.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.data.as_ref()?["class"].as_str()
    }

    /// Whether the host says that the same call may be tried again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data["retryable"] == true)
    }

    /// Adds what a program, rather than a person, wants to know.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(code::APPLICATION, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the port is wrong")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_standard_error_keeps_its_causes() {
        fn handler() -> Result<(), Error> {
            Err("x".parse::<u16>().map_err(Outer).expect_err("x is no number"))?
        }
        let error = handler().expect_err("it fails");
        assert_eq!(error.to_string(), "the port is wrong: invalid digit found in string (1)");
    }
}
