//! Phones for tests: the real `adbd`, each in namespaces of its own, with scripted services and files of the system's.
//!
//! A phone here is x86-64 Linux that answers `getprop` and `dumpsys` like Android, so it runs this machine's own build of
//! ditbench. Nothing of it can be reached from outside: the network is private, and so is the adb server.

#![allow(dead_code, reason = "each test uses its own part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A private network with an adb server, and phones in it.
pub struct Lab {
    dir: tempfile::TempDir,
    holder: Child,
    phones: Vec<u16>,
    user: &'static str,
    /// What runs programs for 64-bit ARM on its phones; `None`: they are this machine's own kind.
    qemu: Option<PathBuf>,
}

/// Makes a phone's root: everything of this machine's, but `/data`, the cores, sensors and services of its own. Then adbd.
const PHONE: &str = r#"
set -e
root=$1/root; data=$1/data; port=$2; size=$3; user=$4; qemu=$5
# Programs for 64-bit ARM, by the kernel's table of this namespace alone: elsewhere they stay what cannot be executed.
if [ -n "$qemu" ]; then
  table=/proc/sys/fs/binfmt_misc
  mount -t binfmt_misc binfmt_misc $table
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":ditbench-aarch64:M::$magic:$mask:$qemu:F" > $table/register
fi
mkdir -p "$root" && mount -t tmpfs root "$root"
for entry in /*; do
  name=${entry#/}
  case $name in data) continue ;; esac
  if [ -L "$entry" ]; then cp -P "$entry" "$root/$name"
  elif [ -d "$entry" ]; then mkdir "$root/$name" && mount --rbind "$entry" "$root/$name"; fi
done
mkdir "$root/data"
if [ -n "$size" ]; then mount -t tmpfs -o size="$size" data "$root/data"; cp -r "$data/." "$root/data"
else mount --bind "$data" "$root/data"; fi
mkdir -p "$root/data/local/tmp"
mount -t tmpfs cpu "$root/sys/devices/system/cpu"
mount -t tmpfs class "$root/sys/class"
cp -a "$data/sys/cpu/." "$root/sys/devices/system/cpu"
cp -a "$data/sys/class/." "$root/sys/class"
echo 0-1 > "$root/sys/devices/system/cpu/online"
# Android's own shell and tools, where Debian's builds of them are installed.
if command -v mksh >/dev/null && command -v toybox >/dev/null; then
  mount --bind "$(readlink -f "$(command -v mksh)")" "$root$(readlink -f /bin/sh)"
  mkdir -p "$root/data/toybox"
  for tool in grep wc sha256sum df mkdir rm rmdir mv chmod cat ls kill sleep tail sync ps cp cut; do
    ln -sf "$(readlink -f "$(command -v toybox)")" "$root/data/toybox/$tool"
  done
fi
export PATH=/data/bin:/data/toybox:$PATH ADBD_PORT=$port
mount --bind "$data/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount --bind "$data/uptime" "$root/proc/uptime"
# What else this machine does is not the phone's: its counters stand still, which the program must see.
cat /proc/stat > "$data/stat" && mount --bind "$data/stat" "$root/proc/stat"
echo $$ > "$1/adbd.pid"
if [ "$user" = shell ]; then
  # As on Android, all that the shell may write is its own.
  touch "$root/data/cmd.log" && chmod 666 "$root/data/cmd.log"
  chown -R 2000:2000 "$root/data/local" && chmod 771 "$root/data/local/tmp"
  exec chroot "$root" setpriv --reuid 2000 --regid 2000 --clear-groups adbd
fi
exec chroot "$root" adbd
"#;

const GETPROP: &str = r#"#!/bin/sh
if [ -n "$1" ]; then sed -n "s/^\[$1\]: \[\(.*\)\]\$/\1/p" /data/props; else cat /data/props; fi
"#;
const DUMPSYS: &str = r#"#!/bin/sh
case $1 in
  thermalservice) printf 'IsStatusOverride: false\nThermal Status: %s\nCurrent temperatures from HAL:\n' "$(cat /data/status)"
    printf '\tTemperature{mValue=%s, mType=3, mName=VIRTUAL-SKIN, mStatus=0}\n' "$(cat /data/skin)" ;;
  battery) printf 'Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  level: 80\n  scale: 100\n  voltage: 4100\n  temperature: 301\n' ;;
  power) echo '  mWakefulness=Awake' ;;
  -l) ;;
  *) echo "Can't find service: $1" ;;
esac
"#;
const CMD: &str = r#"#!/bin/sh
if [ "$1" = battery ]; then echo "Unknown get option: $4"; exit 255; fi
echo "$@" >> /data/cmd.log
"#;

impl Lab {
    /// A lab, or `None` where this machine cannot have one: said loudly, and a failure where `DITBENCH_NEED_ADB` is set.
    pub fn new() -> Option<Self> {
        match Self::try_new() {
            Ok(lab) => Some(lab),
            Err(why) => {
                let test = std::thread::current().name().unwrap_or("a test").to_owned();
                // Not by the macro, whose output cargo hides for tests that pass.
                let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: {why}");
                assert!(std::env::var_os("DITBENCH_NEED_ADB").is_none(), "not run: {why}");
                None
            }
        }
    }

    /// As [`Lab::new`]; the phones' adbd runs as Android's does, as user 2000 without root's rights, so that refusals are the
    /// kernel's own.
    pub fn of_the_shell() -> Option<Self> {
        let mut lab = Self::new()?;
        lab.user = "shell";
        Some(lab)
    }

    /// A lab whose phones are 64-bit ARM ones, their programs run by this qemu (a static one).
    ///
    /// # Errors
    /// Why this machine can have none: above all a kernel before 6.7, whose table of foreign programs is the whole machine's.
    pub fn of_arm64(qemu: &Path) -> Result<Self, String> {
        let mut lab = Self::try_new()?;
        let mount = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc";
        let tried = lab.inside(&["unshare", "--user", "--map-root-user", "-m", "sh", "-c", mount]);
        if !tried.status.success() {
            let why = text(&tried.stderr);
            return Err(format!("no table of foreign programs in a namespace of its own: {}", why.trim()));
        }
        lab.qemu = Some(qemu.to_owned());
        Ok(lab)
    }

    fn try_new() -> Result<Self, String> {
        for program in ["adb", "adbd", "unshare", "nsenter", "ip", "chroot", "setpriv"] {
            if !in_path(program) {
                return Err(format!("no {program} here; scripts/adb-setup.sh installs it on Debian"));
            }
        }
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new("unshare");
        command.args(["-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]);
        // The loop reaps what the phones leave behind, as Android's init does.
        command.args(["sh", "-c", "ip link set lo up && echo ready && while :; do sleep 1; done"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).map_err(|e| e.to_string())?;
        if line.trim() != "ready" {
            let output = holder.wait_with_output().map_err(|error| error.to_string())?;
            return Err(format!("no private namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let lab = Self { dir, holder, phones: Vec::new(), user: "root", qemu: None };
        std::fs::create_dir(lab.dir.path().join("home")).map_err(|error| error.to_string())?;
        let started = lab.inside(&["adb", "start-server"]);
        if started.status.success() { Ok(lab) } else { Err(format!("no adb server: {}", text(&started.stderr))) }
    }

    /// Starts a phone and connects it; gives its serial.
    pub fn phone(&mut self) -> String {
        self.phone_of_size("")
    }

    /// As [`Lab::phone`], with so much room in `/data`: `200m`.
    pub fn phone_of_size(&mut self, size: &str) -> String {
        self.phone_as(size, |_| {})
    }

    /// As [`Lab::phone`]; what it has in `/data` and below `sys` is changed before it starts.
    pub fn phone_with(&mut self, change: impl FnOnce(&Path)) -> String {
        self.phone_as("", change)
    }

    fn phone_as(&mut self, size: &str, change: impl FnOnce(&Path)) -> String {
        let port = 15555 + self.phones.len() as u16;
        self.phones.push(port);
        let data = self.data(port);
        for folder in ["bin", "sys/cpu", "sys/class/power_supply/battery", "sys/class/thermal", "local/tmp"] {
            std::fs::create_dir_all(data.join(folder)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(data.join(name), text).unwrap();
        for (name, script) in [("getprop", GETPROP), ("dumpsys", DUMPSYS), ("cmd", CMD)] {
            write(&format!("bin/{name}"), script);
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(data.join("bin").join(name), mode).unwrap();
        }
        write("status", "0");
        write("boot_id", "11111111-2222-4333-8444-555555555555\n");
        write("uptime", "86400.00 80000.00\n");
        write("skin", "31.5");
        let abi = if self.qemu.is_some() { "arm64-v8a" } else { "x86_64" };
        write(
            "props",
            &format!(
                "[ro.product.model]: [Testphone {port}]\n[ro.product.manufacturer]: [Bench]\n[ro.soc.model]: [T1000]\n\
                 [ro.build.version.release]: [14]\n[ro.build.version.sdk]: [34]\n[ro.product.cpu.abi]: [{abi}]\n\
                 [ro.build.fingerprint]: [bench/test/test:14/1/1:user/release-keys]\n"
            ),
        );
        for (cpu, capacity, max, now) in [(0, 512, 1_800_000, 1_200_000), (1, 1024, 2_900_000, 2_400_000)] {
            let folder = data.join(format!("sys/cpu/cpu{cpu}/cpufreq"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(data.join(format!("sys/cpu/cpu{cpu}/cpu_capacity")), format!("{capacity}\n")).unwrap();
            for (file, khz) in [("cpuinfo_max_freq", max), ("scaling_max_freq", max), ("scaling_cur_freq", now)] {
                std::fs::write(folder.join(file), format!("{khz}\n")).unwrap();
            }
        }
        for (file, value) in [("type", "Battery"), ("current_now", "-850000"), ("voltage_now", "4000000")] {
            write(&format!("sys/class/power_supply/battery/{file}"), value);
        }
        change(&data);
        self.plug_in(port, size);
        format!("127.0.0.1:{port}")
    }

    /// Starts a phone's adbd (again) and waits until adb can use it.
    pub fn plug_in(&self, port: u16, size: &str) {
        let folder = self.dir.path().join(port.to_string());
        let own: &[&str] = if self.qemu.is_some() { &["--user", "--map-root-user"] } else { &[] };
        let private = ["-m", "--propagation", "private", "sh", "-c", PHONE, "phone"];
        let mut command = self.enter(&[&["unshare"], own, &private].concat());
        command.arg(&folder).arg(port.to_string()).arg(size).arg(self.user);
        command.arg(self.qemu.as_deref().unwrap_or(Path::new("")));
        let log = std::fs::File::create(folder.join("adbd.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // Reaped with the lab: it lives as long as the phone does.
        std::mem::drop(command.spawn().expect("nsenter starts"));
        let serial = format!("127.0.0.1:{port}");
        wait_for("the phone to answer", || {
            self.inside(&["adb", "connect", &serial]);
            let state = self.inside(&["adb", "-s", &serial, "shell", "echo here"]);
            if !text(&state.stdout).contains("here") {
                self.inside(&["adb", "disconnect", &serial]);
                return false;
            }
            true
        });
    }

    /// What a phone sees as `/data`.
    pub fn data(&self, port: u16) -> PathBuf {
        self.dir.path().join(port.to_string()).join("data")
    }

    /// Sends a signal to a phone's adbd and all that it serves: `KILL` takes the phone away, `STOP` makes it hang.
    pub fn signal(&self, port: u16, signal: &str) {
        let script = format!("kill -{signal} $(cat {})", self.pid_file(port));
        let output = self.inside(&["sh", "-c", &script]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// The file with adbd's process id. Not in the phone's `/data`, which may be one of a size of its own.
    fn pid_file(&self, port: u16) -> String {
        self.dir.path().join(port.to_string()).join("adbd.pid").display().to_string()
    }

    /// A folder of a phone's `/data` as the phone sees it now, seen from the lab: also of one with a size of its own, and
    /// while adbd is stopped.
    fn seen(&self, port: u16, path: &str) -> String {
        format!("/proc/$(cat {})/root/data/{path}", self.pid_file(port))
    }

    /// The names in a folder of a phone's `/data`.
    pub fn names(&self, port: u16, folder: &str) -> Vec<String> {
        let output = self.inside(&["sh", "-c", &format!("ls -A {}", self.seen(port, folder))]);
        text(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Fills a phone's disk to the last byte, but for `spare` KiB.
    pub fn fill(&self, port: u16, spare: u64) {
        let (fill, room) = (self.seen(port, "fill"), self.seen(port, "spare"));
        let script = format!(
            "head -c {spare}K /dev/zero > {room}; dd if=/dev/zero of={fill} bs=64k 2>/dev/null; rm {room}; true"
        );
        assert!(self.inside(&["sh", "-c", &script]).status.success());
    }

    /// Takes back [`Lab::fill`].
    pub fn empty(&self, port: u16) {
        self.inside(&["sh", "-c", &format!("rm -f {}", self.seen(port, "fill"))]);
    }

    /// Forgets a phone that is reached through the network.
    pub fn disconnect(&self, serial: &str) {
        self.inside(&["adb", "disconnect", serial]);
    }

    /// Another start of the phone: all that ran there is gone, and the kernel says so. [`Lab::plug_in`] brings it back.
    pub fn reboot(&self, port: u16) {
        let launches = self.data(port).join("local/tmp/ditbench/launches");
        let script = format!("kill -9 $(cat {} {}/*/pid)", self.pid_file(port), launches.display());
        assert!(self.inside(&["sh", "-c", &script]).status.success());
        for (name, text) in [("boot_id", "66666666-7777-4888-9999-aaaaaaaaaaaa\n"), ("uptime", "41.00 30.00\n")] {
            std::fs::write(self.data(port).join(name), text).unwrap();
        }
    }

    /// Runs a command on a phone.
    pub fn on_phone(&self, serial: &str, script: &str) -> String {
        text(&self.inside(&["adb", "-s", serial, "shell", script]).stdout)
    }

    /// Sends a file to a phone as it is.
    pub fn push(&self, serial: &str, file: &Path, to: &str) {
        let output = self.inside(&["adb", "-s", serial, "push", &file.display().to_string(), to]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        self.on_phone(serial, &format!("chmod 755 {to}"));
    }

    /// The real program as a host sees it: in the lab's network, with a home of its own.
    pub fn ditbench(&self, dir: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        // Not in the lab's process namespace: nsenter then becomes the program, and signals reach it.
        command.args(["-t", &self.holder_pid(), "-n", "--", env!("CARGO_BIN_EXE_ditbench")]).args(arguments);
        command.current_dir(dir).env("DITBENCH_CACHE", super::common::cache());
        self.environment(&mut command);
        command
    }

    fn inside(&self, arguments: &[&str]) -> Output {
        self.enter(arguments).output().expect("nsenter starts")
    }

    fn enter(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder_pid(), "-n", "-m", "-p", "--"]).args(arguments);
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        command.env("HOME", self.dir.path().join("home")).env("ANDROID_ADB_SERVER_PORT", "15037");
        command.env("PATH", path()).env_remove("ANDROID_SERIAL").env_remove("ADB").env_remove("ORT_DYLIB_PATH");
    }

    /// The process that holds the namespaces: the child of `unshare`.
    fn holder_pid(&self) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.holder.id());
        std::fs::read_to_string(children).expect("the lab's process").trim().to_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where adbd and ip are is not on everybody's path.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn in_path(program: &str) -> bool {
    path().split(':').any(|folder| Path::new(folder).join(program).is_file())
}
