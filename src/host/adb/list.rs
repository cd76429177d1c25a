//! The phones that adb sees, and which of them are meant.

use std::time::Duration;

use super::AdbError;
use super::program::{Adb, Limit};
use crate::plan::Target;

/// A line of `adb devices -l`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its serial; `HOST:PORT` for one that is reached through the network.
    pub serial: String,
    /// `device`, `unauthorized`, `offline`, `no permissions (…)`, …
    pub state: String,
    /// Its model, where adb may ask for it.
    pub model: Option<String>,
}

impl Listed {
    /// Whether adb can use it.
    pub fn usable(&self) -> bool {
        self.state == "device"
    }
}

/// All phones that adb sees.
///
/// # Errors
/// No adb, or one that does not answer.
pub fn list(adb: &dyn Adb) -> Result<Vec<Listed>, AdbError> {
    let output = adb.call(&["devices", "-l"], Limit::work(Duration::from_secs(20)))?;
    Ok(parse(&output.stdout))
}

/// Reads `adb devices -l`: a serial, a state that may be several words, then `key:value` pairs.
pub fn parse(text: &str) -> Vec<Listed> {
    let line = |line: &str| {
        let line = line.trim();
        if line.is_empty() || line.starts_with("List of devices") || line.starts_with('*') {
            return None;
        }
        let (serial, rest) = line.split_once(char::is_whitespace)?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let pair = |word: &str| {
            ["usb:", "product:", "model:", "device:", "transport_id:"].iter().any(|key| word.starts_with(key))
        };
        let state: Vec<&str> = words.iter().copied().take_while(|word| !pair(word)).collect();
        let model = words.iter().find_map(|word| word.strip_prefix("model:")).map(|model| model.replace('_', " "));
        (!state.is_empty()).then(|| Listed { serial: serial.to_owned(), state: state.join(" "), model })
    };
    text.lines().filter_map(line).collect()
}

/// `A (Pixel 8), B (unauthorized)`, or `none`.
pub fn names(listed: &[Listed]) -> String {
    let name = |one: &Listed| match (&one.model, one.usable()) {
        (Some(model), true) => format!("{} ({model})", one.serial),
        (None, true) => one.serial.clone(),
        (_, false) => format!("{} ({})", one.serial, one.state),
    };
    if listed.is_empty() { "none".to_owned() } else { listed.iter().map(name).collect::<Vec<_>>().join(", ") }
}

/// What is meant by `targets`, each once: this machine, and phones by their serials.
///
/// # Errors
/// A phone that is not there, several where one was meant, none at all. A phone that is there but cannot be used is
/// among the results where it was named or all were asked for: it becomes a failed device, not a failed run.
pub fn choose(targets: &[Target], adb: &dyn Adb) -> Result<Vec<Target>, AdbError> {
    let mut chosen = Vec::new();
    let mut listed = None;
    for target in targets {
        let mut all = || match &listed {
            Some(known) => Ok(Vec::clone(known)),
            None => list(adb).map(|found| listed.insert(found).clone()),
        };
        let found = match target {
            Target::Local => vec![Target::Local],
            Target::Phone(serial) => {
                let known = all()?;
                // One behind a port may only need connecting, which opening it does.
                if !known.iter().any(|one| one.serial == *serial) && !serial.contains(':') {
                    return Err(AdbError::Unknown { serial: serial.clone(), known: names(&known) });
                }
                vec![target.clone()]
            }
            Target::OnlyPhone => match all()?.as_slice() {
                [] => return Err(AdbError::NoDevice),
                [one] => vec![Target::Phone(one.serial.clone())],
                several => return Err(AdbError::Several { known: names(several) }),
            },
            Target::AllPhones => match all()?.as_slice() {
                [] => return Err(AdbError::NoDevice),
                several => several.iter().map(|one| Target::Phone(one.serial.clone())).collect(),
            },
        };
        for target in found {
            if !chosen.contains(&target) {
                chosen.push(target);
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::program::{Output, Stream};
    use super::*;

    const LIST: &str = "* daemon not running; starting now at tcp:5037\n* daemon started successfully\n\
        List of devices attached\n\
        1A2B3C4D               device usb:1-4 product:husky model:Pixel_8_Pro device:husky transport_id:1\n\
        R58N12ABCDE            unauthorized usb:1-2 transport_id:3\n\
        192.168.1.7:5555       offline transport_id:4\n\
        ????????????           no permissions (missing udev rules? user is in the plugdev group); see [http://developer.android.com/tools/device.html] usb:1-1 transport_id:9\n\n";

    struct Fixed(&'static str);

    impl Adb for Fixed {
        fn call_while(
            &self,
            _: &[&str],
            _: Limit,
            _: &mut dyn FnMut() -> Result<(), AdbError>,
        ) -> Result<Output, AdbError> {
            Ok(Output { stdout: self.0.to_owned(), ..Output::default() })
        }

        fn open(&self, _: &[&str]) -> Result<Stream, AdbError> {
            Err(AdbError::NoDevice)
        }
    }

    fn targets(text: &str) -> Vec<Target> {
        text.split(',').map(|one| one.parse().unwrap()).collect()
    }

    #[test]
    fn all_states_are_read() {
        let found = parse(LIST);
        let states: Vec<&str> = found.iter().map(|one| one.state.as_str()).collect();
        assert_eq!(states[..3], ["device", "unauthorized", "offline"]);
        assert!(states[3].starts_with("no permissions (missing udev rules?"));
        assert_eq!(found[0].model.as_deref(), Some("Pixel 8 Pro"));
        assert!(names(&found).starts_with("1A2B3C4D (Pixel 8 Pro), R58N12ABCDE (unauthorized)"));
    }

    #[test]
    fn one_phone_needs_no_name_and_several_do() {
        let one = Fixed("List of devices attached\nA\tdevice\n");
        assert_eq!(choose(&targets("adb"), &one).unwrap(), [Target::Phone("A".into())]);
        assert_eq!(choose(&targets("adb"), &Fixed("List of devices attached\n")), Err(AdbError::NoDevice));
        let error = choose(&targets("adb"), &Fixed(LIST)).unwrap_err().to_string();
        assert!(error.contains("--on adb:SERIAL") && error.contains("Pixel 8 Pro"), "{error}");
        let error = choose(&targets("adb:Z"), &Fixed(LIST)).unwrap_err().to_string();
        assert!(error.contains("no phone Z") && error.contains("1A2B3C4D"), "{error}");
    }

    #[test]
    fn lists_name_each_phone_once() {
        let two = Fixed("List of devices attached\nA\tdevice\nB\tdevice\n");
        let both = [Target::Phone("A".into()), Target::Phone("B".into())];
        assert_eq!(choose(&targets("adb:*"), &two).unwrap(), both);
        assert_eq!(choose(&targets("adb:A,adb:*,adb:B"), &two).unwrap(), both);
        assert_eq!(choose(&targets("local,adb:B"), &two).unwrap(), [Target::Local, Target::Phone("B".into())]);
        assert!("adb:".parse::<Target>().is_err() && "usb".parse::<Target>().is_err());
    }

    proptest! {
        #[test]
        fn no_listing_panics(text in ".{0,300}") {
            let _ = names(&parse(&text));
        }
    }
}
