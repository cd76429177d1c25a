//! Reading an order, and the version of what is said.

use crate::LaunchSpec;

/// The version of orders and events. Within one, fields are only added, each with a default.
pub const VERSION: u32 = 1;

/// The environment variable that names the descriptor for a worker's events.
pub const EVENTS_FD: &str = "DITBENCH_EVENTS_FD";

/// Why a worker does not take an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It is none.
    #[error(
        "`ditbench worker` takes its order as JSON on standard input, as `ditbench run` writes it to specs/ in a run's directory (docs/PROTOCOL.md): {0}"
    )]
    NotOne(#[from] serde_json::Error),
    /// It is of a later version.
    #[error(
        "the order uses protocol {0}, but this worker supports only up to {VERSION}: use the same ditbench for \
             both"
    )]
    Newer(u64),
}

/// Reads an order.
///
/// # Errors
/// It is no order, or one of a later version.
pub fn read_order(text: &str) -> Result<LaunchSpec, OrderError> {
    // The version first: a later one may say the rest in other words.
    #[derive(serde::Deserialize)]
    struct Versioned {
        #[serde(default)]
        protocol: u64,
    }
    let Versioned { protocol } = serde_json::from_str(text)?;
    if protocol > u64::from(VERSION) {
        return Err(OrderError::Newer(protocol));
    }
    Ok(serde_json::from_str(text)?)
}

/// Why events of this version cannot be understood; `None` if they can.
pub fn newer_events(protocol: u32) -> Option<String> {
    (protocol > VERSION).then(|| {
        format!(
            "the worker uses protocol {protocol}, but this ditbench supports only up to {VERSION}: use the same \
             ditbench for both"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_order_is_refused_whatever_else_it_says() {
        let error = read_order(r#"{"protocol": 99, "stages": "in words of the future"}"#).unwrap_err().to_string();
        assert!(error.contains("protocol 99") && error.contains("up to 1") && !error.contains('\n'), "{error}");
        for text in ["", "{", "[]", "\"hello\"", "{\"protocol\": 1}"] {
            let error = read_order(text).unwrap_err();
            assert!(matches!(error, OrderError::NotOne(_)), "{text}: {error}");
        }
    }

    #[test]
    fn events_of_this_version_and_before_are_understood() {
        assert_eq!((newer_events(0), newer_events(VERSION)), (None, None));
        assert!(newer_events(VERSION + 1).unwrap().contains("protocol 2"));
    }
}
