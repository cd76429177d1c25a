//! What goes wrong between us and a phone, and the command that mends it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::elf::Machine;
use crate::text;

/// Why something did not work on a phone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdbError {
    /// No adb on this machine.
    #[error(
        "cannot start adb ({why}). Install Android's platform tools (on Debian: apt install adb), or name the program with ADB=/path/to/adb"
    )]
    NoProgram {
        /// The system's words.
        why: String,
    },
    /// Nothing is plugged in.
    #[error(
        "adb sees no phone. Plug one in and switch on USB debugging in its developer options, or connect one: adb connect HOST:PORT"
    )]
    NoDevice,
    /// Not the one that was asked for.
    #[error("adb sees no phone {serial}; it sees {known}. List them with: adb devices -l")]
    Unknown {
        /// What was asked for.
        serial: String,
        /// What is there.
        known: String,
    },
    /// More than one, and none named.
    #[error(
        "adb sees several phones: {known}. Choose one with --on adb:SERIAL, some with commas, all with --on 'adb:*'"
    )]
    Several {
        /// What is there.
        known: String,
    },
    /// A phone that adb sees but may not use.
    #[error("{serial}: {state}. {cure}")]
    State {
        /// Which.
        serial: String,
        /// `unauthorized`, `offline`, `no permissions`, …
        state: String,
        /// What to do.
        cure: &'static str,
    },
    /// The answer broke off.
    #[error("{serial} disconnected while {doing}. Check the cable, and: adb devices")]
    Lost {
        /// Which.
        serial: String,
        /// In the middle of what.
        doing: String,
    },
    /// adb itself did not end in time; [`super::Device`] makes [`AdbError::Hung`] of it.
    #[error("adb did not answer within {}", text::seconds(limit.as_secs_f64()))]
    Slow {
        /// How long we waited.
        limit: Duration,
        /// What it had said.
        said: String,
    },
    /// adb sees it, and it does not answer.
    #[error(
        "{serial} did not answer within {} while {doing}. Unlock it, try `adb -s {serial} reconnect`, or restart it",
        text::seconds(limit.as_secs_f64())
    )]
    Hung {
        /// Which.
        serial: String,
        /// In the middle of what.
        doing: String,
        /// How long we waited.
        limit: Duration,
    },
    /// A command on the phone failed.
    #[error("{serial}: {doing} failed with status {status}: {said}")]
    Failed {
        /// Which.
        serial: String,
        /// What.
        doing: String,
        /// Its exit status.
        status: i32,
        /// The end of what it said.
        said: String,
    },
    /// No room.
    #[error(
        "{serial} has no room for {what} in {dir}. Free some space on the phone, or choose another folder with --phone-dir"
    )]
    Full {
        /// Which.
        serial: String,
        /// The file, with its size.
        what: String,
        /// Where.
        dir: String,
    },
    /// A file arrived otherwise than it was sent.
    #[error("{serial}: {what} arrived damaged ({why}). Try again; if that does not help, try another cable or port")]
    Damaged {
        /// Which.
        serial: String,
        /// The file.
        what: String,
        /// What was found.
        why: String,
    },
    /// Somebody else measures there.
    #[error("{serial} is in use by {owner}. Two runs at once would spoil both: wait for it, or stop it there")]
    Locked {
        /// Which.
        serial: String,
        /// Who said so.
        owner: String,
    },
    /// The folder is on a file system that runs no programs.
    #[error("{serial} does not run programs from {dir}. Choose another folder with --phone-dir")]
    NotExecutable {
        /// Which.
        serial: String,
        /// The folder.
        dir: String,
    },
    /// The program for the phone is damaged or is not for that phone.
    #[error("{0}")]
    Binary(String),
    /// There is no program for a phone of this kind.
    #[error("there is no ditbench for the phone ({abi}). {}", how_to_build(abi))]
    NoBuild {
        /// As the phone reports it: `arm64-v8a`.
        abi: String,
    },
    /// It has no cores of that name; says which there are.
    #[error("{0}")]
    NoSuchCores(String),
    /// A file on this machine that cannot be read or written: nothing is wrong with the phone.
    #[error("cannot read or write {} on this machine: {why}", path.display())]
    Local {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl AdbError {
    /// A file on this machine that cannot be read or written.
    pub fn local(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |error| Self::Local { path: path.to_owned(), why: error.to_string() }
    }

    /// Whether it is of one launch alone, and the phone is there for others: a full phone, a damaged file, a file of ours.
    pub fn is_of_one_launch(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Damaged { .. } | Self::Failed { .. } | Self::Local { .. })
    }

    /// Whether trying again after the phone is back makes sense.
    pub fn is_drop(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. } | Self::Hung { .. } | Self::State { .. } | Self::Unknown { .. } | Self::NoDevice
        )
    }

    /// The command that mends it, or shows more of it.
    pub fn mend(&self, serial: &str) -> String {
        match self {
            Self::NoProgram { .. } => "apt install adb".to_owned(),
            Self::NoDevice | Self::Unknown { .. } | Self::Several { .. } => "adb devices -l".to_owned(),
            Self::State { state, .. } => {
                let known = STATES.iter().find(|(name, ..)| name == state).map(|(.., command)| *command);
                known.unwrap_or("adb devices -l").replace("SERIAL", serial)
            }
            Self::Full { dir, .. } => {
                format!("adb -s {serial} shell df -h {dir}; adb -s {serial} shell pm trim-caches 4G")
            }
            Self::NotExecutable { .. } => format!("ditbench doctor --on adb:{serial} --phone-dir /data/local/tmp/NAME"),
            Self::Binary(_) => "scripts/android/build.sh".to_owned(),
            Self::NoBuild { abi } => how_to_build(abi).to_owned(),
            Self::Local { path, .. } => text::command([Path::new("ls"), Path::new("-l"), path]),
            _ => format!("adb -s {serial} reconnect"),
        }
    }

    /// What adb's complaint means, if it is about the phone's state.
    pub fn of_state(serial: &str, said: &str) -> Option<Self> {
        let cure = STATES.iter().find(|(state, ..)| said.contains(state));
        cure.map(|(state, cure, _)| Self::State { serial: serial.to_owned(), state: (*state).to_owned(), cure })
    }
}

/// States in which adb names a phone and cannot use it, what to do, and the command for it; `SERIAL` stands for the phone's.
const STATES: [(&str, &str, &str); 7] = [
    (
        "unauthorized",
        "Unlock the phone and allow this computer; if its screen shows no question: adb kill-server, then plug it in \
         again",
        "adb kill-server; adb devices -l",
    ),
    ("authorizing", "Unlock the phone and allow this computer", "adb devices -l"),
    (
        "no permissions",
        "This user may not use the USB device: install udev rules (on Debian: apt install android-sdk-platform-tools-common), then plug it in again",
        "apt install android-sdk-platform-tools-common",
    ),
    (
        "insufficient permissions",
        "This user may not use the USB device: install udev rules (on Debian: apt install android-sdk-platform-tools-common), then plug it in again",
        "apt install android-sdk-platform-tools-common",
    ),
    ("recovery", "Start Android on it: adb reboot", "adb -s SERIAL reboot"),
    ("bootloader", "Start Android on it: fastboot reboot", "fastboot -s SERIAL reboot"),
    ("offline", "Unplug the cable and plug it in again, or: adb reconnect offline", "adb reconnect offline"),
];

/// How to get a program for a phone of some kind. `scripts/android/build.sh` builds for 64-bit ARM alone.
pub fn how_to_build(abi: &str) -> &'static str {
    match Machine::of_abi(abi) {
        Some(Machine::Aarch64) => "Build one with scripts/android/build.sh, or name one with --phone-binary FILE",
        Some(Machine::X86_64) => {
            "Build one with cargo build --release -p ditbench-phone --target x86_64-unknown-linux-musl, and name it with --phone-binary FILE"
        }
        Some(Machine::Arm | Machine::X86) => {
            "ditbench is for 64-bit systems: this one has a 32-bit Android and cannot be measured"
        }
        _ => "ditbench has never run on such a machine; if you built it for one, name it with --phone-binary FILE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_adb_become_states_with_a_cure() {
        for (said, state) in [
            ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "unauthorized"),
            ("adb: error: failed to get feature set: device offline", "offline"),
            ("error: insufficient permissions for device: user in plugdev group", "insufficient permissions"),
        ] {
            let error = AdbError::of_state("X", said).expect(said);
            assert!(error.to_string().starts_with(&format!("X: {state}. ")), "{error}");
            assert!(error.is_drop());
            assert!(!error.mend("X").contains("SERIAL"));
        }
        assert_eq!(AdbError::of_state("X", "ls: /nowhere: No such file or directory"), None);
    }

    #[test]
    fn a_file_of_ours_that_cannot_be_read_is_no_phone_that_has_gone() {
        let path = Path::new("/nowhere/my weights");
        let error = AdbError::local(path)(std::fs::read(path).unwrap_err());
        assert!(error.is_of_one_launch() && !error.is_drop());
        assert!(error.to_string().contains("/nowhere/my weights on this machine: No such file"), "{error}");
        assert_eq!(error.mend("X"), "ls -l '/nowhere/my weights'");
        assert!(!AdbError::NoDevice.is_of_one_launch() && !AdbError::Interrupted.is_of_one_launch());
    }
}
