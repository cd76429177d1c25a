//! An execution provider of ONNX Runtime's that is a library of its own, as the user names it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ditbench_record::Home;
use serde::{Deserialize, Serialize};

/// A provider as `--ep` and plans name it: `NAME=LIBRARY[,key=value…]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Provider(String);

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" names no provider: write NAME=LIBRARY, then ,key=value for each option");
        let (name, rest) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(wrong)?;
        let (path, options) = match rest.split_once(',') {
            Some((path, options)) => (path, format!(",{options}")),
            None => (rest, String::new()),
        };
        if path.trim().is_empty() || options.split(',').skip(1).any(|pair| !pair.contains('=')) {
            return Err(wrong());
        }
        // Workers may run in another folder.
        let path = std::path::absolute(path.trim()).map_err(|error| format!("{path}: {error}"))?;
        Ok(Self(format!("{}={}{options}", name.trim().to_lowercase(), path.display())))
    }
}

impl TryFrom<String> for Provider {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Of a record that hid the user's home folder.
        if text.contains("=~/") { Ok(Self(text)) } else { text.parse() }
    }
}

impl From<Provider> for String {
    fn from(provider: Provider) -> Self {
        provider.0
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Provider {
    /// The same with paths as they were before the record hid the user's home folder in them.
    #[must_use]
    pub fn whole(&self, home: &Home) -> Self {
        let whole = |pair: &str| match pair.split_once('=') {
            Some((key, value)) => format!("{key}={}", home.whole(Path::new(value)).display()),
            None => pair.to_owned(),
        };
        Self(self.0.split(',').map(whole).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_hides_the_home_folder_in_a_provider_and_gets_it_back() {
        let home = Home::new(Path::new("/home/anna"));
        let provider: Provider = "qnn=/home/anna/lib.so,backend_path=/home/anna/htp.so,soc_model=69".parse().unwrap();
        let hidden = Provider(home.hide(&provider.to_string()));
        assert_eq!(hidden.to_string(), "qnn=~/lib.so,backend_path=~/htp.so,soc_model=69");
        assert_eq!(hidden.whole(&home), provider);
        let again: Provider = serde_json::from_value(serde_json::to_value(&hidden).unwrap()).unwrap();
        assert_eq!(again, hidden, "reading it makes it no other path");
        assert!("webgpu".parse::<Provider>().unwrap_err().contains("NAME=LIBRARY"));
    }
}
