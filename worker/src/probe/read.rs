//! Files of the system's: what is in them, or why that cannot be read.

use std::fs;
use std::path::Path;

use ditbench_record::Reading;

/// The first line of a file of the system's, or why it cannot be read.
pub(super) fn first_line(path: impl AsRef<Path>) -> Reading<String> {
    let text = fs::read_to_string(&path);
    let path = path.as_ref().display();
    match text {
        Ok(text) => {
            Reading::or_absent(text.lines().next().map(|line| line.trim().to_owned()), format!("{path} is empty"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Reading::denied(format!("{path}: {error}"))
        }
        Err(error) => Reading::absent(format!("{path}: {error}")),
    }
}

/// A number out of a file of the system's.
pub(super) fn field(path: impl AsRef<Path>, parse: impl Fn(&str) -> Option<f64>) -> Reading<f64> {
    let path = path.as_ref();
    let text = fs::read_to_string(path);
    let path = path.display();
    match text {
        Ok(text) => Reading::or_absent(parse(&text), format!("{path} has an unknown format")),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Reading::denied(format!("{path}: {error}"))
        }
        Err(error) => Reading::absent(format!("{path}: {error}")),
    }
}
