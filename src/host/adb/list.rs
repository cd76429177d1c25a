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

    /// Whether it is reached through the network: `HOST:PORT`, or a service of Wireless debugging.
    fn by_network(&self) -> bool {
        self.serial.contains(':') || self.serial.contains("._adb")
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

/// The states that adb prints, by its source.
const STATES: [&str; 13] = [
    "device",
    "offline",
    "unauthorized",
    "authorizing",
    "connecting",
    "no permissions",
    "recovery",
    "rescue",
    "sideload",
    "bootloader",
    "host",
    "detached",
    "unknown",
];

/// Where the serial ends, which may hold blanks (`adb-XYZ (2)._adb-tls-connect._tcp`): before a tab, else before a state behind
/// which only `key:value` pairs follow, else at the first blank.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some((serial, rest)) = line.split_once('\t') {
        return Some((serial.trim(), rest));
    }
    let blanks = line.match_indices(' ').map(|(at, _)| at);
    let at_state = blanks.filter(|at| *at > 0).find(|&at| {
        let rest = line[at..].trim_start();
        STATES.iter().any(|state| match rest.strip_prefix(state) {
            Some(_) if *state == "no permissions" => true,
            Some(after) => {
                (after.is_empty() || after.starts_with(' ')) && after.split_whitespace().all(|word| word.contains(':'))
            }
            None => false,
        })
    });
    match at_state {
        Some(at) => Some((line[..at].trim_end(), &line[at..])),
        None => line.split_once(char::is_whitespace),
    }
}

/// Reads `adb devices -l`: a serial, a state that may be several words, then `key:value` pairs.
pub fn parse(text: &str) -> Vec<Listed> {
    let line = |line: &str| {
        let line = line.trim();
        if line.is_empty() || line.starts_with("List of devices") || line.starts_with('*') {
            return None;
        }
        let (serial, rest) = split(line)?;
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

/// Tells phones apart that are listed twice, by cable and by network: of each, what it says of itself (its serial number, and the
/// kernel's id of its last start, because all emulators have one number); nothing for one that does not say.
fn once(found: Vec<Listed>, adb: &dyn Adb) -> Vec<Listed> {
    let script = "getprop ro.serialno; cat /proc/sys/kernel/random/boot_id 2>/dev/null";
    let identity = |one: &Listed| {
        let said = adb.call(&["-s", &one.serial, "shell", script], Limit::work(Duration::from_secs(10))).ok()?.stdout;
        let lines: Vec<String> =
            said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        // The last two: a shell may print lines of its own first.
        (lines.len() >= 2).then(|| lines[lines.len() - 2..].to_vec())
    };
    if found.iter().filter(|one| one.usable()).count() < 2 {
        return found;
    }
    let mut kept: Vec<(Listed, Option<Vec<String>>)> = Vec::new();
    for one in found {
        let who = one.usable().then(|| identity(&one)).flatten();
        match kept.iter_mut().find(|(_, other)| who.is_some() && *other == who) {
            // The cable is quicker and does not drop.
            Some((other, _)) if other.by_network() && !one.by_network() => *other = one,
            Some(_) => {}
            None => kept.push((one, who)),
        }
    }
    kept.into_iter().map(|(one, _)| one).collect()
}

/// What is meant by `targets`, each once: this machine, and phones by their serials. `$ANDROID_SERIAL` names the one phone, as for
/// adb itself.
///
/// # Errors
/// A phone that is not there, several where one was meant, none at all. A phone that is there but cannot be used is
/// among the results where it was named or all were asked for: it becomes a failed device, not a failed run.
pub fn choose(targets: &[Target], adb: &dyn Adb) -> Result<Vec<Target>, AdbError> {
    let preferred = std::env::var("ANDROID_SERIAL").ok().filter(|serial| !serial.is_empty());
    choose_with(targets, adb, preferred.as_deref())
}

fn choose_with(targets: &[Target], adb: &dyn Adb, preferred: Option<&str>) -> Result<Vec<Target>, AdbError> {
    let mut chosen = Vec::new();
    let mut listed = None;
    for target in targets {
        let mut all = || match &listed {
            Some(known) => Ok(Vec::clone(known)),
            None => list(adb).map(|found| listed.insert(found).clone()),
        };
        let named = preferred.filter(|_| *target == Target::OnlyPhone).map(|serial| Target::Phone(serial.to_owned()));
        let target = named.as_ref().unwrap_or(target);
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
            Target::OnlyPhone => match once(all()?, adb).as_slice() {
                [] => return Err(AdbError::NoDevice),
                [one] => vec![Target::Phone(one.serial.clone())],
                several => return Err(AdbError::Several { known: names(several) }),
            },
            Target::AllPhones => match once(all()?, adb).as_slice() {
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

    const WIRELESS: &str = "List of devices attached\n\
        adb-ZY22MGW35T-Z3uXXq (2)._adb-tls-connect._tcp device product:lynx model:Pixel_7a device:lynx transport_id:9\n\
        a device         device usb:1-1 transport_id:2\n\
        adb-R5CT-aB (3)._adb-tls-connect._tcp offline transport_id:4\nX1   sideload usb:1-2\nY2 no permissions; see [http://x]\nZ3 newstate\n";

    #[test]
    fn a_serial_may_hold_blanks() {
        let found: Vec<(String, String)> = parse(WIRELESS).into_iter().map(|one| (one.serial, one.state)).collect();
        let expected = [
            ("adb-ZY22MGW35T-Z3uXXq (2)._adb-tls-connect._tcp", "device"),
            ("a device", "device"),
            ("adb-R5CT-aB (3)._adb-tls-connect._tcp", "offline"),
            ("X1", "sideload"),
            ("Y2", "no permissions; see [http://x]"),
            ("Z3", "newstate"),
        ];
        assert_eq!(found, expected.map(|(serial, state)| (serial.to_owned(), state.to_owned())));
        let tabbed = parse("List of devices attached\nadb-A (2)._adb-tls-connect._tcp\tdevice\n");
        assert_eq!(tabbed[0].serial, "adb-A (2)._adb-tls-connect._tcp");
    }

    /// A listing, and what each phone says of itself.
    struct Twice<'a>(&'static str, &'a [(&'static str, &'static str)]);

    impl Adb for Twice<'_> {
        fn call_while(
            &self,
            arguments: &[&str],
            _: Limit,
            _: &mut dyn FnMut() -> Result<(), AdbError>,
        ) -> Result<Output, AdbError> {
            let says = self.1.iter().find(|(serial, _)| arguments.get(1) == Some(serial)).map_or("", |(_, says)| says);
            let stdout = if arguments[0] == "devices" { self.0 } else { says };
            Ok(Output { stdout: stdout.to_owned(), ..Output::default() })
        }

        fn open(&self, _: &[&str]) -> Result<Stream, AdbError> {
            Err(AdbError::NoDevice)
        }
    }

    #[test]
    fn one_phone_by_two_ways_is_one_and_the_cable_is_taken() {
        let list = "List of devices attached\n10.0.0.7:5555\tdevice\nR58\tdevice\nemulator-5554\tdevice\nemulator-5556\tdevice\n";
        let says = [
            ("10.0.0.7:5555", "WARNING: linker\nR58\nboot-1\n"),
            ("R58", "R58\nboot-1\n"),
            ("emulator-5554", "EMU\nboot-2\n"),
            ("emulator-5556", "EMU\nboot-3\n"),
        ];
        let adb = Twice(list, &says);
        let phones = ["R58", "emulator-5554", "emulator-5556"].map(|serial| Target::Phone(serial.into()));
        assert_eq!(choose_with(&targets("adb:*"), &adb, None).unwrap(), phones);
        let two = Twice("List of devices attached\nR58\tdevice\n10.0.0.7:5555\tdevice\n", &says);
        assert_eq!(choose_with(&targets("adb"), &two, None).unwrap(), [Target::Phone("R58".into())]);
        // A phone that says nothing of itself is one of its own.
        let silent = Twice("List of devices attached\nA\tdevice\nB\tdevice\n", &[("A", "only a number\n")]);
        assert!(choose_with(&targets("adb"), &silent, None).is_err());
    }

    #[test]
    fn the_environment_names_the_one_phone() {
        let two = Fixed("List of devices attached\nA\tdevice\nB\tdevice\n");
        assert_eq!(choose_with(&targets("adb"), &two, Some("B")).unwrap(), [Target::Phone("B".into())]);
        assert!(choose_with(&targets("adb"), &two, Some("C")).unwrap_err().to_string().contains("no phone C"));
        assert_eq!(choose_with(&targets("adb:A"), &two, Some("B")).unwrap(), [Target::Phone("A".into())]);
    }

    struct Fixed(&'static str);

    impl Adb for Fixed {
        fn call_while(
            &self,
            arguments: &[&str],
            _: Limit,
            _: &mut dyn FnMut() -> Result<(), AdbError>,
        ) -> Result<Output, AdbError> {
            let stdout = if arguments[0] == "devices" { self.0 } else { "" };
            Ok(Output { stdout: stdout.to_owned(), ..Output::default() })
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
        assert_eq!(choose_with(&targets("adb"), &one, None).unwrap(), [Target::Phone("A".into())]);
        assert_eq!(choose_with(&targets("adb"), &Fixed("List of devices attached\n"), None), Err(AdbError::NoDevice));
        let error = choose_with(&targets("adb"), &Fixed(LIST), None).unwrap_err().to_string();
        assert!(error.contains("--on adb:SERIAL") && error.contains("Pixel 8 Pro"), "{error}");
        let error = choose_with(&targets("adb:Z"), &Fixed(LIST), None).unwrap_err().to_string();
        assert!(error.contains("no phone Z") && error.contains("1A2B3C4D"), "{error}");
    }

    #[test]
    fn lists_name_each_phone_once() {
        let two = Fixed("List of devices attached\nA\tdevice\nB\tdevice\n");
        let both = [Target::Phone("A".into()), Target::Phone("B".into())];
        assert_eq!(choose_with(&targets("adb:*"), &two, None).unwrap(), both);
        assert_eq!(choose_with(&targets("adb:A,adb:*,adb:B"), &two, None).unwrap(), both);
        assert_eq!(
            choose_with(&targets("local,adb:B"), &two, None).unwrap(),
            [Target::Local, Target::Phone("B".into())]
        );
        assert!("adb:".parse::<Target>().is_err() && "usb".parse::<Target>().is_err());
    }

    proptest! {
        #[test]
        fn no_listing_panics(text in ".{0,300}") {
            let _ = names(&parse(&text));
        }
    }
}
