//! `ditbench doctor`: is a phone ready to be measured, and if not, which command mends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ditbench_record::{Reading, held};

use super::Common;
use super::phones::by_answer;
use crate::host::adb::{
    Adb, AdbError, Device, Limit, PhoneOptions, Program, Pusher, choose, find_binary, free_kib, parcel, quote,
    read_sources, runs,
};
use crate::plan::{ClusterChoice, Target};
use crate::text;
use ditbench_worker::probe::phone::readings::{self, Readings};
use ditbench_worker::probe::phone::thermal::Status;
use ditbench_worker::probe::phone::{Cluster, Identity, Sources, clusters, props, thermal};
use ditbench_worker::registry;

/// Arguments of `ditbench doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Which phone: adb (the one that is connected), adb:SERIAL, adb:* for all
    #[arg(long, value_delimiter = ',', value_name = "LIST", required = true)]
    on: Vec<Target>,
    /// Cores that the phone should have, written as for `run`
    #[arg(long, value_delimiter = ',', value_name = "LIST", help_heading = "Phones")]
    cluster: Vec<ClusterChoice>,
    #[command(flatten)]
    phone: PhoneOptions,
}

/// Room below which models of the paper's sizes do not fit beside their exported copies.
const ROOM_KIB: u64 = 1 << 20;
/// Charge below which Android begins to save.
const CHARGE: f64 = 30.0;

/// Looks phones over and prints a line for each thing looked at.
///
/// # Errors
/// Something is in the way of a run.
pub fn doctor(args: &DoctorArgs, common: &Common) -> Result<()> {
    let adb: Arc<dyn Adb> = Arc::new(Program::find());
    let mut faults = 0;
    for target in choose(&args.on, adb.as_ref())? {
        let Target::Phone(serial) = target else { bail!("doctor checks phones: name one with --on adb:SERIAL") };
        text::show(&format!("adb:{serial}\n"));
        let mut findings = Findings::default();
        let device = Device::new(Arc::clone(&adb), &serial);
        if let Err(error) = examine(&device, args, common, &mut findings) {
            findings.fault("connection", &error.to_string(), &error.mend(&serial));
        }
        findings.print();
        faults += findings.faults();
    }
    match faults {
        0 => Ok(()),
        1 => bail!("1 problem prevents a run"),
        n => bail!("{n} problems prevent a run"),
    }
}

/// What was found, in the order in which it was looked at.
#[derive(Default)]
struct Findings(Vec<Finding>);

struct Finding {
    mark: &'static str,
    about: &'static str,
    says: String,
    mend: Option<String>,
}

impl Findings {
    fn ok(&mut self, about: &'static str, says: impl Into<String>) {
        self.0.push(Finding { mark: "ok", about, says: says.into(), mend: None });
    }

    /// Does not stop a run, and its reader should know.
    fn note(&mut self, about: &'static str, says: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { mark: "note", about, says: says.into(), mend: Some(mend.into()) });
    }

    fn fault(&mut self, about: &'static str, says: &str, mend: &str) {
        self.0.push(Finding { mark: "FAULT", about, says: says.to_owned(), mend: Some(mend.to_owned()) });
    }

    fn faults(&self) -> usize {
        self.0.iter().filter(|finding| finding.mark == "FAULT").count()
    }

    fn print(&self) {
        for Finding { mark, about, says, mend } in &self.0 {
            text::show(&format!("  {mark:5}  {about}: {says}\n"));
            if let Some(mend) = mend {
                text::show(&format!("         fix: {mend}\n"));
            }
        }
    }
}

/// Everything, the connection first: without it nothing else can be asked.
fn examine(device: &Device, args: &DoctorArgs, common: &Common, findings: &mut Findings) -> Result<(), AdbError> {
    let options = &args.phone;
    device.reach()?;
    let asked = Instant::now();
    device.ask("seeing whether it answers", "true")?;
    findings.ok("connection", format!("authorised; a command takes {}", text::seconds(asked.elapsed().as_secs_f64())));
    let sources = read_sources(device)?;
    let identity = Identity::of(&props::parse(&sources.props));
    let groups = clusters::group(&sources);
    let readings = readings::all(&sources, &groups);
    let abi = identity.abi.value().map_or("unknown", String::as_str);
    findings.ok(
        "phone",
        format!("{}, {abi}, Android {}", identity.name(), identity.android.value().map_or("?", String::as_str)),
    );
    room(device, options, findings)?;
    program(device, options, abi, findings)?;
    libraries(options, common, abi, findings);
    cores(device, &args.cluster, &sources, findings);
    battery(device.serial(), &readings, findings);
    screen(device.serial(), &sources, findings);
    heat(device.serial(), &sources, &readings, findings);
    sensors(&readings, findings);
    match identity.sdk.value() {
        Some(sdk) if *sdk >= 30 => {
            findings.ok("fixed performance", "available (API 30 and later): --fixed-performance")
        }
        _ => findings.note(
            "fixed performance",
            "not available before Android 11",
            "nothing; leave --fixed-performance out",
        ),
    }
    Ok(())
}

fn room(device: &Device, options: &PhoneOptions, findings: &mut Findings) -> Result<(), AdbError> {
    let folder = options.folder();
    let serial = device.serial();
    let made = device.shell(
        "making our folder",
        &format!("mkdir -p {0} && echo x > {0}/.try && rm {0}/.try", quote(folder)),
        Limit::work(Duration::from_secs(20)),
    )?;
    if made.status != 0 {
        let said = device.failed("writing there", &made).to_string();
        findings.fault("folder", &said, "choose a folder that the shell may write: --phone-dir /data/local/tmp/NAME");
        return Ok(());
    }
    let left = device.ask("looking for what is left", &format!("ls {}/launches 2>/dev/null | wc -l", quote(folder)))?;
    if left.trim().parse::<u32>().is_ok_and(|left| left > 0) {
        let mend =
            format!("collect it with `ditbench run --resume RUN`, or remove it: adb -s {serial} shell rm -r {folder}");
        findings.note("folder", format!("a launch of an interrupted run is in {folder}"), mend);
    }
    match free_kib(device, folder)? {
        Some(free) if free < ROOM_KIB / 8 => findings.fault(
            "room",
            &format!("{} free for {folder}", text::bytes(free * 1024)),
            &format!("free some space on the phone; what there is: adb -s {serial} shell df -h /data"),
        ),
        Some(free) if free < ROOM_KIB => findings.note(
            "room",
            format!("{} free for {folder}: enough for small models only", text::bytes(free * 1024)),
            "free some space on the phone before models of the paper's sizes",
        ),
        Some(free) => findings.ok("room", format!("{} free for {folder}", text::bytes(free * 1024))),
        None => findings.note(
            "room",
            "this phone's df prints an unknown format",
            "nothing; if the phone fills up, the row says so",
        ),
    }
    Ok(())
}

fn program(device: &Device, options: &PhoneOptions, abi: &str, findings: &mut Findings) -> Result<(), AdbError> {
    let file = match find_binary(options.phone_binary.as_deref(), abi) {
        Ok(file) => file,
        Err(error) => {
            findings.fault("program", &error.to_string(), &error.mend(device.serial()));
            return Ok(());
        }
    };
    let folder = format!("{}/bin", options.folder());
    let sent = Pusher::default().put(device, &file, &folder, "0700", &|_| {});
    let started = sent.and_then(|path| runs(device, &path, &file));
    match started {
        Ok(()) => findings.ok("program", format!("{} starts there", file.display())),
        Err(error) if error.is_drop() => return Err(error),
        Err(error @ AdbError::NotExecutable { .. }) => {
            findings.fault("execute bit", &error.to_string(), &error.mend(device.serial()));
        }
        Err(error) => {
            findings.fault("program", &error.to_string(), &error.mend(device.serial()));
        }
    }
    if !options.keep {
        // Not with a lock: a run that goes on there keeps its own files, which have the same names.
        let script = format!(
            "cd {0} && [ ! -e lock ] && rm -rf bin && cd .. && rmdir {0} 2>/dev/null; exit 0",
            quote(options.folder())
        );
        let _ = device.ask_within("removing our program", &script, Limit::always(Duration::from_secs(20)));
    }
    Ok(())
}

/// What backends need there, as a run would carry it.
fn libraries(options: &PhoneOptions, common: &Common, abi: &str, findings: &mut Findings) {
    for (name, backend) in registry::listed().filter_map(|name| Some((name, registry::backend(name).ok()?))) {
        let named = options.named(name, common);
        match backend.carry(&named) {
            Ok(None) => {}
            Ok(Some(parcel)) => match parcel::fits(&parcel, abi) {
                Ok(()) => findings.ok("libraries", format!("{} is for {abi}", parcel.named.display())),
                Err(why) => findings.fault("libraries", &why, &parcel.how),
            },
            Err(missing) if named.is_nothing() => {
                let none = format!("{}: {name} cannot run there, and what needs no library can", missing.why);
                findings.note("libraries", none, missing.cure);
            }
            Err(missing) => findings.fault("libraries", &missing.why, &missing.cure),
        }
    }
}

fn cores(device: &Device, wanted: &[ClusterChoice], sources: &Sources, findings: &mut Findings) {
    let groups = clusters::group(sources);
    let all: Vec<u32> = groups.iter().flat_map(|c| c.cpus.iter().copied()).collect();
    let allowed = clusters::parse_list(&sources.cpus_allowed).unwrap_or_default();
    let names: Vec<String> = groups.iter().map(Cluster::said).collect();
    if !all.is_empty() && all.iter().any(|cpu| !allowed.contains(cpu)) {
        findings.note(
            "cores",
            format!("the shell may use CPUs {} only, of {}", sources.cpus_allowed, names.join(", ")),
            format!("adb -s {} shell cat /proc/self/cpuset; wake the screen and look again", device.serial()),
        );
    } else {
        findings
            .ok("cores", if names.is_empty() { "the kernel reports no clusters".to_owned() } else { names.join(", ") });
    }
    for wanted in wanted {
        match clusters::cpus_of(wanted.as_str(), &groups) {
            Ok(cpus) => findings.ok("cluster", format!("{wanted} is CPUs {}", clusters::list(&cpus))),
            Err(why) => findings.fault("cluster", &why, "choose one of these"),
        }
    }
}

fn value(readings: &Readings, name: &str) -> Option<f64> {
    readings.get(name).and_then(Reading::value).copied()
}

fn battery(serial: &str, readings: &Readings, findings: &mut Findings) {
    match value(readings, "battery_percent") {
        Some(level) if level < CHARGE => findings.fault(
            "battery",
            &format!("{level:.0} %: Android starts to save power"),
            &format!(
                "charge it; and switch the battery saver off: adb -s {serial} shell settings put global low_power 0"
            ),
        ),
        Some(level) => findings.ok("battery", format!("{level:.0} %")),
        None => match readings.get("battery_percent").and_then(Reading::why) {
            Some(why) if why.contains("no battery") => findings.ok("battery", why),
            _ => findings.note("battery", "the battery level cannot be read", "look at its screen"),
        },
    }
    if value(readings, "charging") == Some(1.0) {
        findings.note(
            "charging",
            "a charger is plugged in: power readings say nothing about the run, and charging heats the phone",
            format!("measure without a cable: adb -s {serial} tcpip 5555, adb connect PHONE:5555, then unplug it"),
        );
    }
}

fn screen(serial: &str, sources: &Sources, findings: &mut Findings) {
    match sources.screen().value().map(String::as_str) {
        Some("Awake") => findings.note(
            "screen",
            "it is on, and draws power",
            format!("for power readings turn it off: adb -s {serial} shell input keyevent KEYCODE_SLEEP"),
        ),
        Some(state) => findings.note(
            "screen",
            format!("it is off ({state}); some phones then keep the shell on slow cores"),
            format!("adb -s {serial} shell input keyevent KEYCODE_WAKEUP"),
        ),
        None => findings.note("screen", "dumpsys power does not say whether it is on", "look at it"),
    }
    if sources.battery_saver().value() == Some(&true) {
        findings.fault(
            "battery saver",
            "it is on: Android lowers the clocks",
            &format!("adb -s {serial} shell settings put global low_power 0"),
        );
    }
}

fn heat(serial: &str, sources: &Sources, readings: &Readings, findings: &mut Findings) {
    let thermal = thermal::parse(sources.thermal.as_deref().unwrap_or_default());
    let at = value(readings, "skin_c").or(value(readings, "battery_c"));
    let at = at.map_or_else(String::new, |c| format!(", {c:.0} °C"));
    let cool = "let it cool down on a stone or metal surface, out of its case; or measure the heat itself with --sustained 10m";
    match thermal.status {
        Status::Is(status) if status >= 1 => {
            findings.fault("heat", &format!("thermal status {}{at}", thermal::status_name(status)), cool);
        }
        Status::Is(status) => findings.ok("heat", format!("thermal status {}{at}", thermal::status_name(status))),
        Status::Overridden(status) => findings.fault(
            "heat",
            &format!("Android's thermal status was set to {} by hand{at}", thermal::status_name(status)),
            &format!("adb -s {serial} shell cmd thermalservice reset"),
        ),
        Status::NoSensors | Status::Unsaid => findings.note(
            "heat",
            format!("Android's thermal status says nothing here{at}"),
            "nothing; clock limits and the times before and after each launch are used instead",
        ),
    }
    for cluster in clusters::group(sources) {
        let allowed = cluster.allowed_mhz(&sources.files);
        let share = allowed.value().zip(cluster.max_mhz).map(|(allowed, hardware)| allowed / hardware);
        if let Some(share) = share.filter(|&share| share < held::CAPPED) {
            findings.note(
                "clock",
                format!("{} cores are limited to {:.0} % of their clock", cluster.name, 100.0 * share),
                format!("let it cool down; and switch the battery saver off: adb -s {serial} shell settings put global low_power 0"),
            );
        }
    }
    if thermal.cpu_cooling().is_some_and(|level| level > 0.0) {
        findings.note("clock", "Android is throttling the processor because of heat", cool);
    }
}

fn sensors(readings: &Readings, findings: &mut Findings) {
    findings.ok("sensors", by_answer(readings, |reading| reading.value().is_some()));
    for (name, reading) in readings {
        if let Reading::Denied { why } = reading {
            findings.note(
                "sensors",
                format!("{name} is denied: {why}"),
                "nothing without root; it will be missing from the record",
            );
        }
    }
    let absent = by_answer(readings, |reading| matches!(reading, Reading::Absent { .. }));
    if !absent.is_empty() {
        findings.note("sensors", format!("not there: {absent}"), "nothing; they will be missing from the record");
    }
}
