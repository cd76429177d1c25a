//! Where readings come from: one script for `adb shell`, and the same sources read by our own program on the phone.

use std::process::{Command, Stdio};

use ditbench_record::Reading;

use super::{Files, battery, cpufreq, files, gpu, thermal};

/// The text of every source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// `getprop`.
    pub props: String,
    /// Small files below `/sys`.
    pub files: Files,
    /// `dumpsys thermalservice`; `None` if it was not asked.
    pub thermal: Option<String>,
    /// `dumpsys battery`; `None` if it was not asked.
    pub battery: Option<String>,
    /// `cmd battery get current_now`; `None` if it was not asked, because another source has the current.
    pub battery_command: Option<String>,
    /// `/proc/meminfo`.
    pub meminfo: String,
    /// The lines of `/proc/cpuinfo` that name each core's kind.
    pub cpuinfo: String,
    /// The line of `dumpsys power` that says whether the screen is on.
    pub power: String,
    /// CPUs that a process of the shell may use.
    pub cpus_allowed: String,
    /// The state of the shell: its user, its group of CPUs, and whether the battery saver is on, a line each.
    pub shell: String,
}

/// Patterns of the small files that change: frequencies, zones, battery, graphics.
fn changing() -> Vec<String> {
    let mut patterns = cpufreq::CHANGING.map(|file| format!("{}*{file}", cpufreq::CPU)).to_vec();
    patterns.extend(["type", "temp"].map(|file| format!("{}*/{file}", thermal::ZONE)));
    patterns.extend(
        ["type", "current_now", "voltage_now", "charge_counter"].map(|file| format!("{}*/{file}", battery::SUPPLY)),
    );
    patterns.extend(gpu::FILES.map(str::to_owned));
    patterns
}

/// Patterns of the small files that stay as they are.
fn fixed() -> Vec<String> {
    cpufreq::FILES.map(|file| format!("{}*{file}", cpufreq::CPU)).to_vec()
}

/// Reads everything in one shell call, with what every phone has: `getprop`, `grep`, `cat`, `dumpsys`.
pub fn script() -> String {
    let patterns = [fixed(), changing()]
        .concat()
        .join(" ")
        .replace(&format!("{}*", cpufreq::CPU), &format!("{}[0-9]*", cpufreq::CPU));
    let supply = battery::SUPPLY;
    format!(
        "echo '=== props'; getprop 2>&1\necho '=== files'; grep -H '' {patterns} 2>&1\n\
         echo '=== thermal'; dumpsys thermalservice 2>&1\necho '=== battery'; dumpsys battery 2>&1\n\
         echo '=== command'; cmd battery get -f current_now 2>&1\n\
         echo '=== closed'; [ ! -e {supply} ] || [ -r {supply} ] || echo \"grep: {supply}battery/current_now: Permission denied\"\n\
         for d in {supply}*; do [ ! -e \"$d\" ] || [ -x \"$d\" ] || echo \"grep: $d/current_now: Permission denied\"; done\n\
         echo '=== meminfo'; cat /proc/meminfo 2>&1\n\
         echo '=== cpuinfo'; grep -E '^(processor|CPU implementer|CPU part)' /proc/cpuinfo 2>&1\necho '=== power'; dumpsys power 2>&1 | grep mWakefulness=\n\
         echo '=== cpus'; grep Cpus_allowed_list /proc/self/status 2>&1\n\
         echo '=== shell'; echo uid: $(id -u 2>&1); echo cpuset: $(cat /proc/self/cpuset 2>&1); \
         echo saver: $(settings get global low_power 2>&1)\necho '=== end'"
    )
}

/// Reads what the script printed.
pub fn parse(text: &str) -> Sources {
    let section = |name: &str| {
        let start = format!("=== {name}\n");
        let Some(from) = text.find(&start).map(|at| at + start.len()) else { return String::new() };
        let rest = &text[from..];
        rest[..rest.find("=== ").filter(|&at| at == 0 || rest.as_bytes()[at - 1] == b'\n').unwrap_or(rest.len())]
            .to_owned()
    };
    Sources {
        props: section("props"),
        // Files in a folder that may not be entered are no files for the shell's patterns.
        files: Files::parse(&(section("files") + &section("closed"))),
        thermal: Some(section("thermal")),
        battery: Some(section("battery")),
        battery_command: Some(section("command")),
        meminfo: section("meminfo"),
        cpuinfo: section("cpuinfo"),
        power: section("power"),
        cpus_allowed: cpus_allowed(&section("cpus")).unwrap_or_default(),
        shell: section("shell"),
    }
}

impl Sources {
    /// Whether the screen is on, by Android's word for it: `Awake`, `Asleep`, `Dozing`.
    pub fn screen(&self) -> Reading<String> {
        // Some phones have a line for each display.
        let word = self.power.lines().find_map(|line| line.split_once("mWakefulness=")?.1.split_whitespace().next());
        Reading::or_absent(word.map(str::to_owned), "dumpsys power does not say whether the screen is on")
    }

    /// Whether the battery saver is on.
    pub fn battery_saver(&self) -> Reading<bool> {
        match self.shell_line("saver") {
            "0" | "null" => Reading::Ok(false),
            "1" => Reading::Ok(true),
            "" => Reading::absent("settings does not say whether the battery saver is on"),
            said => Reading::absent(format!("settings: {said}")),
        }
    }

    /// The user of the shell.
    pub fn uid(&self) -> Reading<u32> {
        Reading::or_absent(self.shell_line("uid").parse().ok(), "id does not give a user")
    }

    /// The shell's group of CPUs.
    pub fn cpuset(&self) -> Reading<String> {
        match self.shell_line("cpuset") {
            path if path.starts_with('/') => Reading::Ok(path.to_owned()),
            said if said.contains("ermission") => Reading::denied(said),
            said => Reading::absent(format!("/proc/self/cpuset: {said}")),
        }
    }

    fn shell_line(&self, key: &str) -> &str {
        let value = |line: &'_ str| line.trim().strip_prefix(key)?.strip_prefix(':').map(str::len);
        let found = self.shell.lines().find(|line| value(line).is_some());
        found.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }
}

/// The list after `Cpus_allowed_list:`.
pub fn cpus_allowed(status: &str) -> Option<String> {
    status.lines().find_map(|line| line.split_once("Cpus_allowed_list:").map(|(_, list)| list.trim().to_owned()))
}

/// The paths of this machine's own changing files, looked up once.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    paths: Vec<String>,
}

impl Watch {
    /// Finds the files and drops those that cannot be read: asking them again every second would cost and give nothing.
    pub fn new() -> Self {
        let paths = changing().iter().flat_map(|pattern| files::matching(pattern)).collect::<Vec<_>>();
        let readable = |path: &String| std::fs::read_to_string(path).is_ok();
        Self { paths: paths.into_iter().filter(readable).collect() }
    }

    /// The files now.
    pub fn read(&self) -> Files {
        Files::read(self.paths.iter().map(String::as_str))
    }
}

/// All sources of this machine, read by ourselves. Takes a few tenths of a second on a phone: services are asked.
pub fn read_here() -> Sources {
    let paths: Vec<String> =
        [fixed(), changing()].concat().iter().flat_map(|pattern| files::matching(pattern)).collect();
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Sources {
        props: command("getprop", &[]),
        files: Files::read(paths.iter().map(String::as_str)),
        thermal: Some(command("dumpsys", &["thermalservice"])),
        battery: Some(command("dumpsys", &["battery"])),
        battery_command: Some(command_current()),
        meminfo: text("/proc/meminfo"),
        cpuinfo: text("/proc/cpuinfo"),
        power: String::new(),
        shell: String::new(),
        cpus_allowed: cpus_allowed(&text("/proc/self/status")).unwrap_or_default(),
    }
}

/// The battery's current by Android's command, which takes some tens of milliseconds.
pub fn command_current() -> String {
    command("cmd", &["battery", "get", "-f", "current_now"])
}

/// What a program of the phone's says, complaints included.
pub fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if text.trim().is_empty() { String::from_utf8_lossy(&output.stderr).into_owned() } else { text }
        }
        Err(error) => format!("{program}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sections_are_told_apart() {
        let sources = parse(
            "=== props\n[a]: [b]\n=== files\n/sys/x:1\n=== thermal\nThermal Status: 2\n=== battery\n  level: 3\n=== meminfo\nMemTotal: 5 kB\n\
             === power\n  mWakefulness=Awake\n=== cpus\nCpus_allowed_list:\t0-3\n=== end\n",
        );
        assert_eq!(sources.props, "[a]: [b]\n");
        assert_eq!(sources.files.value("/sys/x"), Some("1"));
        assert_eq!(sources.thermal.as_deref(), Some("Thermal Status: 2\n"));
        assert_eq!((sources.screen(), sources.cpus_allowed.as_str()), (Reading::Ok("Awake".to_owned()), "0-3"));
    }

    #[test]
    fn the_shells_own_state_is_read_or_its_reason_given() {
        let of = |shell: &str, power: &str| Sources { shell: shell.into(), power: power.into(), ..Sources::default() };
        let said = of("uid: 2000\ncpuset: /foreground\nsaver: 1\n", "  mWakefulness=Dozing\n  mWakefulness=Awake\n");
        assert_eq!((said.uid(), said.battery_saver()), (Reading::Ok(2000), Reading::Ok(true)));
        assert_eq!((said.cpuset(), said.screen()), (Reading::Ok("/foreground".into()), Reading::Ok("Dozing".into())));
        let silent = of("uid: \ncpuset: cat: /proc/self/cpuset: Permission denied\nsaver: settings: not found\n", "");
        assert!(silent.uid().why().is_some() && silent.screen().why().is_some());
        assert!(matches!(silent.cpuset(), Reading::Denied { .. }));
        assert!(silent.battery_saver().why().is_some_and(|why| why.contains("not found")));
    }

    #[test]
    fn the_script_asks_every_core_and_no_folder_that_is_no_core() {
        assert!(script().contains("/sys/devices/system/cpu/cpu[0-9]*/cpu_capacity"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(=== (props|files|battery|thermal)?\n?|.|\n){0,40}") {
            let _ = parse(&text);
        }
    }
}
