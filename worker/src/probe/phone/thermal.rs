//! `dumpsys thermalservice`: the status that Android acts on, and the temperatures that the vendor's HAL gives.

use super::Files;

/// What the thermal service says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thermal {
    /// 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown.
    pub status: Option<u8>,
    /// Temperatures: of the HAL where it answers, else those that the service remembers.
    pub temperatures: Vec<Temperature>,
    /// Whether they are of the HAL, now.
    pub from_hal: bool,
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

/// Kinds of sensors, as Android numbers them.
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
    /// Anything else.
    Other,
}

impl Kind {
    fn of(number: i64) -> Self {
        match number {
            0 => Self::Cpu,
            1 => Self::Gpu,
            2 => Self::Battery,
            3 => Self::Skin,
            9 => Self::Npu,
            _ => Self::Other,
        }
    }
}

/// The word for a status.
pub fn status_name(status: u8) -> &'static str {
    ["none", "light", "moderate", "severe", "critical", "emergency", "shutdown"]
        .get(usize::from(status))
        .copied()
        .unwrap_or("unknown")
}

/// Reads the service's dump.
pub fn parse(text: &str) -> Thermal {
    let mut section = "";
    let (mut cached, mut hal) = (Vec::new(), Vec::new());
    let mut status = None;
    for line in text.lines().map(str::trim) {
        if let Some(value) = line.strip_prefix("Thermal Status:") {
            status = value.trim().parse().ok();
        }
        if line.ends_with(':') {
            section = line;
        }
        if let Some(temperature) = temperature(line) {
            // Thresholds and cooling devices have sections of their own and are not of this form.
            if section.to_lowercase().contains("temperatures from hal") {
                hal.push(temperature);
            } else if section.to_lowercase().contains("cached temperatures") {
                cached.push(temperature);
            }
        }
    }
    let from_hal = !hal.is_empty();
    Thermal { status, temperatures: if from_hal { hal } else { cached }, from_hal }
}

/// `Temperature{mValue=36.1, mType=3, mName=VIRTUAL-SKIN, mStatus=0}`, in any order of fields.
fn temperature(line: &str) -> Option<Temperature> {
    let inside = line.strip_prefix("Temperature{")?.strip_suffix('}')?;
    let field =
        |key: &str| inside.split(',').find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('=')).map(str::trim);
    let celsius: f64 = field("mValue")?.parse().ok()?;
    // Sensors that are switched off report 0 K, NaN, or a nonsense far outside what a phone survives.
    (celsius.is_finite() && (-40.0..=150.0).contains(&celsius)).then(|| Temperature {
        celsius,
        kind: Kind::of(field("mType").and_then(|n| n.parse().ok()).unwrap_or(-1)),
        name: field("mName").unwrap_or_default().to_owned(),
    })
}

impl Thermal {
    /// The hottest sensor of a kind.
    pub fn hottest(&self, kind: Kind) -> Option<f64> {
        self.temperatures.iter().filter(|t| t.kind == kind).map(|t| t.celsius).max_by(f64::total_cmp)
    }
}

/// Folder of the kernel's thermal zones.
pub const ZONE: &str = "/sys/class/thermal/thermal_zone";

/// The hottest zone of the kernel's that measures processor cores, by its vendor's name.
pub fn hottest_cpu_zone(files: &Files) -> Option<f64> {
    let names = ["cpu", "big", "little", "mid", "tscpu", "cluster", "silver", "gold", "x86_pkg"];
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
        assert_eq!((thermal.status, thermal.from_hal), (Some(1), true));
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
        assert_eq!((thermal.status, thermal.hottest(Kind::Cpu)), (Some(3), Some(88.0)));
        assert_eq!(thermal.temperatures.len(), 1, "absolute zero is a sensor that is off");
        assert_eq!(parse("Can't find service: thermalservice"), Thermal::default());
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
        fn no_text_panics(text in "(Temperature\\{|mValue=|[0-9.NaN-]{1,6}|mType=|[,:}\\n]|Thermal Status:|from HAL|.){0,60}") {
            let thermal = parse(&text);
            prop_assert!(thermal.temperatures.iter().all(|t| t.celsius.is_finite()));
            let _ = thermal.hottest(Kind::Cpu);
        }
    }
}
