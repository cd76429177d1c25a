//! `dumpsys thermalservice`: the status that Android acts on, the temperatures that the vendor's HAL gives, what it does against
//! heat, and from where on it does more.

use ditbench_record::{HotThreshold, Reading, held};

use super::Files;

/// What the thermal service says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thermal {
    /// How hot Android takes the phone to be.
    pub status: Status,
    /// Temperatures: of the HAL where it answers, else those that the service remembers.
    pub temperatures: Vec<Temperature>,
    /// Whether they are of the HAL, now. What is remembered is as old as the last change of a status.
    pub from_hal: bool,
    /// What can be slowed down against heat, and how much it is.
    pub cooling: Vec<Cooling>,
    /// Where each status begins.
    pub thresholds: Vec<HotThreshold>,
}

/// Android's thermal status: 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// As the phone's own sensors have it.
    Is(u8),
    /// Set by hand, for a test: it says nothing of the phone.
    Overridden(u8),
    /// The vendor gives Android no sensors: it then says 0 for ever.
    NoSensors,
    /// The service does not say.
    #[default]
    Unsaid,
}

/// One sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Temperature {
    /// Degrees Celsius.
    pub celsius: f64,
    /// What it measures.
    pub kind: Kind,
    /// The vendor's name for it.
    pub name: String,
}

/// Something that is slowed down or switched off against heat.
#[derive(Clone, Debug, PartialEq)]
pub struct Cooling {
    /// The vendor's name for it: `thermal-cpufreq-6`.
    pub name: String,
    /// How far: 0 is not at all.
    pub level: f64,
    /// Whether it slows processor cores down.
    pub of_cpu: bool,
}

/// What a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Processor cores.
    Cpu,
    /// Graphics.
    Gpu,
    /// Battery.
    Battery,
    /// The surface that a hand feels.
    Skin,
    /// Neural processor.
    Npu,
    /// The chip as a whole.
    Soc,
    /// Anything else.
    Other,
}

impl Kind {
    /// By Android's number for it (Android 16 has 0 to 13 and more), unless the name says otherwise: vendors' numbers from 10 on
    /// differ, and Samsung's processor (`AP`) and MediaTek's (`soc_max`) lie there.
    fn of(number: i64, name: &str) -> Self {
        let name = name.to_lowercase();
        match number {
            0 => Self::Cpu,
            1 => Self::Gpu,
            2 => Self::Battery,
            3 => Self::Skin,
            _ if name == "ap" || name.starts_with("cpu") => Self::Cpu,
            _ if name.starts_with("gpu") => Self::Gpu,
            _ if name.starts_with("soc_max") => Self::Soc,
            9 => Self::Npu,
            10 => Self::Npu,
            13 => Self::Soc,
            _ => Self::Other,
        }
    }

    /// Numbers of what is no temperature: a battery's voltage, current and charge, as limits of it.
    fn is_none(number: i64) -> bool {
        (6..=8).contains(&number)
    }
}

/// The word for a status.
pub fn status_name(status: u8) -> &'static str {
    held::STATUS_NAMES.get(usize::from(status)).copied().unwrap_or("unknown")
}

/// Reads the service's dump.
pub fn parse(text: &str) -> Thermal {
    let mut section = String::new();
    let (mut cached, mut hal) = (Vec::new(), Vec::new());
    let (mut status, mut overridden, mut has_hal) = (None, false, true);
    let mut thermal = Thermal::default();
    for line in text.lines().map(str::trim) {
        if let Some((key, value)) = line.split_once(':') {
            match (key, value.trim()) {
                ("Thermal Status", value) => status = value.parse().ok(),
                ("IsStatusOverride", value) => overridden = value == "true",
                ("HAL Ready", value) => has_hal = value != "false",
                _ => {}
            }
        }
        if line.ends_with(':') {
            section = line.to_lowercase();
        }
        if let Some(temperature) = temperature(line) {
            if section.contains("temperatures from hal") {
                hal.push(temperature);
            } else if section.contains("cached temperatures") {
                cached.push(temperature);
            }
        }
        thermal.cooling.extend(cooling(line));
        thermal.thresholds.extend(threshold(line));
    }
    thermal.status = match status {
        None => Status::Unsaid,
        Some(status) if overridden => Status::Overridden(status),
        Some(_) if !has_hal => Status::NoSensors,
        Some(status) => Status::Is(status),
    };
    thermal.from_hal = !hal.is_empty();
    thermal.temperatures = if thermal.from_hal { hal } else { cached };
    thermal
}

/// The value of a field in `Name{a=1, b=2, c=[1, 2]}`, whatever their order.
fn field<'a>(inside: &'a str, key: &str) -> Option<&'a str> {
    let from = inside.match_indices(key).map(|(at, _)| at).find(|&at| {
        let starts = at == 0 || inside[..at].ends_with([' ', ',', '(']);
        starts && inside[at + key.len()..].starts_with('=')
    })?;
    let value = &inside[from + key.len() + 1..];
    let end = if value.starts_with('[') { value.find(']')? + 1 } else { value.find([',', ')']).unwrap_or(value.len()) };
    Some(value[..end].trim())
}

/// `Temperature{mValue=36.1, mType=3, mName=VIRTUAL-SKIN, mStatus=0}`, in any order of fields.
fn temperature(line: &str) -> Option<Temperature> {
    let inside = line.strip_prefix("Temperature{")?.strip_suffix('}')?;
    let celsius: f64 = field(inside, "mValue")?.parse().ok()?;
    let number = field(inside, "mType").and_then(|n| n.parse().ok()).unwrap_or(-1);
    let name = field(inside, "mName").unwrap_or_default();
    // Sensors that are switched off report 0, 0 K, NaN, or a nonsense far outside what a phone survives.
    let believed = celsius.is_finite() && celsius != 0.0 && (-40.0..=150.0).contains(&celsius);
    (believed && !Kind::is_none(number)).then(|| Temperature {
        celsius,
        kind: Kind::of(number, name),
        name: name.to_owned(),
    })
}

/// `CoolingDevice{mValue=11, mType=2, mName=thermal-cpufreq-6}`; type 2 is the processor.
fn cooling(line: &str) -> Option<Cooling> {
    let inside = line.strip_prefix("CoolingDevice{")?.strip_suffix('}')?;
    let name = field(inside, "mName").unwrap_or_default();
    let level: f64 = field(inside, "mValue")?.parse().ok()?;
    let of_cpu = field(inside, "mType") == Some("2") || name.to_lowercase().contains("cpufreq");
    level.is_finite().then(|| Cooling { name: name.to_owned(), level, of_cpu })
}

/// `TemperatureThreshold{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0, 43.0, …], …}`: a place for each status.
fn threshold(line: &str) -> Option<HotThreshold> {
    let inside = line.strip_prefix("TemperatureThreshold{")?;
    let number = field(inside, "mType")?.parse().ok()?;
    let name = field(inside, "mName").unwrap_or_default();
    let list = field(inside, "mHotThrottlingThresholds")?.strip_prefix('[')?.strip_suffix(']')?;
    let degrees = |text: &str| text.trim().parse().ok().filter(|c: &f64| c.is_finite() && *c > 0.0 && *c <= 150.0);
    let celsius: Vec<Option<f64>> = list.split(',').map(degrees).collect();
    let told = celsius.iter().any(Option::is_some) && !Kind::is_none(number);
    told.then(|| HotThreshold { sensor: name.to_owned(), skin: Kind::of(number, name) == Kind::Skin, celsius })
}

impl Thermal {
    /// The hottest sensor of a kind.
    pub fn hottest(&self, kind: Kind) -> Option<f64> {
        self.temperatures.iter().filter(|t| t.kind == kind).map(|t| t.celsius).max_by(f64::total_cmp)
    }

    /// How far processor cores are slowed down against heat: the level of the device that is at it most; `None` where the HAL
    /// names no such device.
    pub fn cpu_cooling(&self) -> Option<f64> {
        self.cooling.iter().filter(|device| device.of_cpu).map(|device| device.level).max_by(f64::total_cmp)
    }
}

impl Status {
    /// The status, where it says something of the phone; else why it does not, and `unsaid` where nothing is known.
    pub fn reading(self, unsaid: impl FnOnce() -> Reading<f64>) -> Reading<f64> {
        match self {
            Self::Is(status) => Reading::Ok(f64::from(status)),
            Self::Overridden(status) => Reading::absent(format!(
                "Android's thermal status was set to {status} by hand; to restore the phone's own: adb shell cmd \
                 thermalservice reset"
            )),
            Self::NoSensors => Reading::absent(
                "this phone's vendor gives Android no temperatures (HAL Ready: false): its status is always 0",
            ),
            Self::Unsaid => unsaid(),
        }
    }
}

/// Folder of the kernel's thermal zones.
pub const ZONE: &str = "/sys/class/thermal/thermal_zone";

/// The hottest zone of the kernel's that measures processor cores, by its vendor's name.
pub fn hottest_cpu_zone(files: &Files) -> Option<f64> {
    let names = ["cpu", "big", "little", "mid", "tscpu", "tsens_tz_sensor", "cluster", "silver", "gold", "x86_pkg"];
    files
        .between(ZONE, "/type")
        .filter(|(_, kind)| {
            let kind = kind.value().map(|kind| kind.to_lowercase()).unwrap_or_default();
            names.iter().any(|name| kind.contains(name))
        })
        .filter_map(|(zone, _)| files.number(&format!("{ZONE}{zone}/temp")).value().copied())
        .filter_map(celsius)
        .max_by(f64::total_cmp)
}

/// Thousandths of a degree for most vendors, tenths or whole degrees for some.
fn celsius(raw: f64) -> Option<f64> {
    let degrees = match raw.abs() {
        v if v > 1500.0 => raw / 1000.0,
        v if v > 150.0 => raw / 10.0,
        _ => raw,
    };
    (-40.0..=150.0).contains(&degrees).then_some(degrees)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIXEL: &str = "IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 2\n\tkilled: false\n\tbroadcasts count: -1\n\
        ThermalStatusListeners:\n\tcallbacks: 1\nThermal Status: 1\nCached temperatures:\n \
        Temperature{mValue=30.0, mType=3, mName=VIRTUAL-SKIN, mStatus=0}\nHAL Ready: true\nHAL connection:\n\tThermalHAL AIDL 1\n\
        Current temperatures from HAL:\n\tTemperature{mValue=41.5, mType=0, mName=BIG, mStatus=0}\n\
        \tTemperature{mValue=39.25, mType=0, mName=LITTLE, mStatus=0}\n\tTemperature{mValue=36.1, mType=3, mName=VIRTUAL-SKIN, mStatus=1}\n\
        \tTemperature{mValue=NaN, mType=1, mName=G3D, mStatus=0}\nCurrent cooling devices from HAL:\n\
        \tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}\nTemperature static thresholds from HAL:\n\
        \tTemperatureThreshold{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0]}\n";
    const SAMSUNG: &str = "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\n\
        \tTemperature{mValue=31.2, mType=2, mName=BATTERY, mStatus=0}\n\tTemperature{mValue=33.4, mType=3, mName=SKIN, mStatus=0}\n\
        HAL Ready: true\nHAL connection:\n\tThermalHAL 2.0 connected: yes\nCurrent temperatures from HAL:\nCurrent cooling devices from HAL:\n";
    const ODD: &str = "Thermal Status: 3\nCurrent temperatures from HAL:\n Temperature{mName=cpu, mValue=88, mStatus=2, mType=0}\n \
        Temperature{mValue=-273.1, mType=1, mName=off, mStatus=0}\n Temperature{mValue=";

    #[test]
    fn the_hal_is_believed_before_the_memory() {
        let thermal = parse(PIXEL);
        assert_eq!((thermal.status, thermal.from_hal), (Status::Is(1), true));
        assert_eq!(thermal.hottest(Kind::Skin), Some(36.1));
        assert_eq!(thermal.hottest(Kind::Cpu), Some(41.5));
        assert_eq!(thermal.hottest(Kind::Gpu), None, "NaN is no temperature");
    }

    #[test]
    fn a_hal_that_gives_nothing_leaves_what_is_remembered() {
        let thermal = parse(SAMSUNG);
        assert!(!thermal.from_hal);
        assert_eq!((thermal.hottest(Kind::Battery), thermal.hottest(Kind::Skin)), (Some(31.2), Some(33.4)));
    }

    #[test]
    fn any_order_of_fields_and_a_cut_end() {
        let thermal = parse(ODD);
        assert_eq!((thermal.status, thermal.hottest(Kind::Cpu)), (Status::Is(3), Some(88.0)));
        assert_eq!(thermal.temperatures.len(), 1, "absolute zero is a sensor that is off");
        assert_eq!(parse("Can't find service: thermalservice"), Thermal::default());
    }

    #[test]
    fn a_status_that_says_nothing_of_the_phone_is_none() {
        let absent = |text: &str| parse(text).status.reading(|| Reading::absent("unsaid"));
        let no_hal = "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\nHAL Ready: false\n";
        assert!(absent(no_hal).why().is_some_and(|why| why.contains("HAL Ready: false")), "{:?}", absent(no_hal));
        let set = absent("IsStatusOverride: true\nThermal Status: 0\nHAL Ready: true\n");
        assert!(set.why().is_some_and(|why| why.contains("cmd thermalservice reset")), "{set:?}");
        assert_eq!(absent("Thermal Status: 2\nHAL Ready: true\n"), Reading::Ok(2.0));
    }

    #[test]
    fn what_is_done_against_heat_and_where_more_begins() {
        let thermal = parse(PIXEL);
        assert_eq!(thermal.cpu_cooling(), Some(0.0));
        assert_eq!(thermal.thresholds[0].celsius, [None, Some(39.0)]);
        assert!(thermal.thresholds[0].skin);
        let hot = parse(
            "CoolingDevice{mValue=3, mType=3, mName=thermal-devfreq-0}\nCoolingDevice{mValue=11, mType=2, mName=thermal-cpufreq-6}\n\
             CoolingDevice{mName=cpufreq-cpu0, mValue=2, mType=-1}\nCoolingDevice{mValue=NaN, mType=2, mName=x}\n",
        );
        assert_eq!((hot.cpu_cooling(), hot.cooling.len()), (Some(11.0), 3));
        assert_eq!(parse(ODD).cpu_cooling(), None, "nothing known is not nothing done");
    }

    #[test]
    fn kinds_by_number_and_by_name() {
        let of = |number, name| {
            let line = format!(
                "Current temperatures from HAL:\nTemperature{{mValue=69.0, mType={number}, mName={name}, mStatus=0}}"
            );
            parse(&line).temperatures.first().map(|t| t.kind)
        };
        assert_eq!(of(13, "AP"), Some(Kind::Cpu), "Samsung's processor");
        assert_eq!((of(10, "soc_max"), of(13, "x")), (Some(Kind::Soc), Some(Kind::Soc)));
        assert_eq!((of(9, "TPU"), of(10, "TPU")), (Some(Kind::Npu), Some(Kind::Npu)));
        assert_eq!(of(7, "soft_ocp_gpu"), None, "a limit of the current is no temperature");
        assert_eq!((of(11, "panel"), of(-1, "VIRTUAL-SKIN-CHARGE")), (Some(Kind::Other), Some(Kind::Other)));
    }

    #[test]
    fn zones_in_three_units() {
        let files = Files::parse(
            "/sys/class/thermal/thermal_zone0/type:cpu-1-0-usr\n/sys/class/thermal/thermal_zone0/temp:52300\n\
             /sys/class/thermal/thermal_zone1/type:mtktscpu\n/sys/class/thermal/thermal_zone1/temp:61\n\
             /sys/class/thermal/thermal_zone2/type:BIG\n/sys/class/thermal/thermal_zone2/temp:555\n\
             /sys/class/thermal/thermal_zone3/type:battery\n/sys/class/thermal/thermal_zone3/temp:99000\n",
        );
        assert_eq!(hottest_cpu_zone(&files), Some(61.0));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(Temperature(Threshold)?\\{|CoolingDevice\\{|mValue=|mHotThrottlingThresholds=\\[?|[0-9.NaN-]{1,6}|mType=|[],:}\\n]|Thermal Status:|from HAL|.){0,60}") {
            let thermal = parse(&text);
            prop_assert!(thermal.temperatures.iter().all(|t| t.celsius.is_finite()));
            let _ = thermal.hottest(Kind::Cpu);
        }
    }
}
