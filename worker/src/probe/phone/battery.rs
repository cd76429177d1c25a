//! Battery: level, heat, whether it is charging, and power where the vendor lets it be read.

use ditbench_record::Reading;

use super::Files;

/// Folder of the power supplies.
pub const SUPPLY: &str = "/sys/class/power_supply/";

/// The battery now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Battery {
    /// Percent.
    pub level: Option<f64>,
    /// Degrees Celsius.
    pub celsius: Option<f64>,
    /// Volts.
    pub volts: Option<f64>,
    /// What it is charged by: `USB`, `AC`, `wireless`, `dock`; `None` on its own power, or where nothing is known.
    pub charger: Option<String>,
    /// Whether anything was understood.
    pub known: bool,
    /// Whether the device says that it has no battery: a TV, a car, a watch on its dock.
    pub none: bool,
}

/// Reads `dumpsys battery`.
pub fn parse(text: &str) -> Battery {
    let field = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim().eq_ignore_ascii_case(key)).then(|| value.trim())
        })
    };
    let number = |key: &str| field(key)?.parse::<f64>().ok().filter(|n| n.is_finite());
    let scale = number("scale").filter(|scale| *scale > 0.0).unwrap_or(100.0);
    let chargers = ["USB", "AC", "Wireless", "Dock"];
    let charger = chargers.iter().find(|name| field(&format!("{name} powered")) == Some("true"));
    if field("present") == Some("false") {
        return Battery { none: true, ..Battery::default() };
    }
    // A device that makes its voltage up makes its temperature up as well.
    let made_up = number("voltage").is_some_and(|raw| raw != 0.0 && volts(raw).is_none());
    let level = number("level").map(|level| 100.0 * level / scale).filter(|level| (0.0..=100.0).contains(level));
    Battery {
        level,
        // Tenths of a degree.
        celsius: number("temperature")
            .map(|tenths| tenths / 10.0)
            .filter(|c| !made_up && (-40.0..=150.0).contains(c) && *c != 0.0),
        volts: number("voltage").and_then(volts),
        charger: charger.map(|name| (*name).to_owned()),
        known: level.is_some() || charger.is_some() || field("status").is_some(),
        none: false,
    }
}

/// Thousandths or millionths of a volt, or volts, by vendor; a phone's battery has one cell or two, of 2.5 to 4.6 V.
fn volts(raw: f64) -> Option<f64> {
    [1e-3, 1e-6, 1.0].into_iter().map(|unit| raw * unit).find(|volts| (2.5..=9.5).contains(volts))
}

/// Power out of or into the battery.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    /// Amperes as the vendor signs them: some count discharging as negative, some as positive.
    pub amperes: f64,
    /// Volts.
    pub volts: f64,
    /// Whether the unit had to be guessed from the size of the number.
    pub guessed: bool,
}

impl Power {
    /// Watts, without a sign: its direction is told by whether a charger is plugged in.
    pub fn watts(&self) -> f64 {
        (self.amperes * self.volts).abs()
    }
}

/// Current × voltage of the battery by `/sys/class/power_supply`.
pub fn power(files: &Files) -> Reading<Power> {
    let names = ["battery", "bms", "Battery", "main-battery", "bq27411-0", "max77705-fuelgauge"];
    let mut found: Vec<&str> = files.between(SUPPLY, "/current_now").map(|(name, _)| name).collect();
    // The battery before chargers, which have currents of their own.
    found.sort_by_key(|name| names.iter().position(|known| known == name).unwrap_or(names.len()));
    let Some(name) = found.into_iter().find(|name| is_battery(files, name)) else {
        return Reading::absent("no power supply of the kernel's is a battery with a current");
    };
    let current = files.number(&format!("{SUPPLY}{name}/current_now"));
    let voltage = files.number(&format!("{SUPPLY}{name}/voltage_now"));
    match (current, voltage) {
        (Reading::Ok(current), Reading::Ok(voltage)) => {
            // The kernel's documented unit is µA. Some vendors give mA: a phone under load draws 0.1 to 10 A.
            let guessed = current.abs() < 20_000.0;
            let amperes = current * if guessed { 1e-3 } else { 1e-6 };
            match volts(voltage) {
                Some(volts) if current != 0.0 => Reading::Ok(Power { amperes, volts, guessed }),
                Some(_) => Reading::absent(format!("{SUPPLY}{name}/current_now is always 0 here")),
                None => Reading::absent(format!("{SUPPLY}{name}/voltage_now is no battery's voltage: {voltage}")),
            }
        }
        (Reading::Ok(_), other) | (other, _) => match other {
            Reading::Denied { why } => Reading::denied(why),
            Reading::Absent { why } => Reading::absent(why),
            Reading::Ok(_) => Reading::absent("no current"),
        },
    }
}

fn is_battery(files: &Files, name: &str) -> bool {
    match files.value(&format!("{SUPPLY}{name}/type")) {
        Some(kind) => matches!(kind, "Battery" | "BMS" | "Unknown"),
        None => name.to_lowercase().contains("bat") || name == "bms" || name == "*",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIXEL: &str = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  Wireless powered: false\n  Dock powered: false\n  \
        Max charging current: 500000\n  Max charging voltage: 5000000\n  Charge counter: 4183000\n  status: 2\n  health: 2\n  present: true\n  \
        level: 85\n  scale: 100\n  voltage: 4312\n  temperature: 281\n  technology: Li-ion\n";
    const SAMSUNG: &str = "Current Battery Service state:\n  (UPDATES STOPPED -- use 'reset' to restart)\n  AC powered: false\n  USB powered: false\n  \
        Wireless powered: false\n  status: 3\n  level: 50\n  scale: 200\n  voltage: 3812000\n  temperature: 305\n";
    const HONOR: &str =
        "  AC powered: true\r\n  level: 101\r\n  scale: 100\r\n  voltage: 0\r\n  temperature: -2730\r\n";

    #[test]
    fn several_makers() {
        let pixel = parse(PIXEL);
        assert_eq!((pixel.level, pixel.celsius, pixel.volts), (Some(85.0), Some(28.1), Some(4.312)));
        assert_eq!(pixel.charger.as_deref(), Some("USB"));
        let samsung = parse(SAMSUNG);
        assert_eq!((samsung.level, samsung.volts, samsung.charger), (Some(25.0), Some(3.812), None));
        let honor = parse(HONOR);
        assert_eq!((honor.level, honor.celsius, honor.volts), (None, None, None), "impossible values are missing");
        assert_eq!(honor.charger.as_deref(), Some("AC"));
        assert!(!parse("Can't find service: battery").known);
        let none = parse("  AC powered: true\n  present: false\n  level: 0\n  scale: 100\n  temperature: 0\n");
        assert_eq!(none, Battery { none: true, ..Battery::default() }, "0 % of no battery is not empty");
    }

    #[test]
    fn power_in_two_units_and_signs() {
        let files = |current: &str, voltage: &str| {
            Files::parse(&format!(
                "/sys/class/power_supply/usb/type:USB\n/sys/class/power_supply/usb/current_now:500000\n\
                 /sys/class/power_supply/battery/type:Battery\n/sys/class/power_supply/battery/current_now:{current}\n\
                 /sys/class/power_supply/battery/voltage_now:{voltage}\n"
            ))
        };
        let micro = power(&files("-850000", "4000000"));
        let milli = power(&files("850", "4000"));
        assert!((micro.value().unwrap().watts() - 3.4).abs() < 1e-9 && !micro.value().unwrap().guessed);
        assert!((milli.value().unwrap().watts() - 3.4).abs() < 1e-9 && milli.value().unwrap().guessed);
        assert!(power(&files("0", "4000000")).why().is_some_and(|why| why.contains("always 0")));
        let denied = Files::parse("grep: /sys/class/power_supply/battery/current_now: Permission denied\n");
        assert!(matches!(power(&denied), Reading::Denied { .. }));
        assert!(matches!(power(&Files::default()), Reading::Absent { .. }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "((USB|AC) powered: (true|false)|level|scale|voltage|temperature|: ?|-?[0-9]{1,22}|[\\r\\n]|.){0,40}") {
            let battery = parse(&text);
            prop_assert!(battery.level.is_none_or(|level| (0.0..=100.0).contains(&level)));
        }

        #[test]
        fn no_numbers_panic(current in any::<f64>(), voltage in any::<f64>()) {
            let text = format!("{SUPPLY}battery/current_now:{current}\n{SUPPLY}battery/voltage_now:{voltage}\n");
            let _ = power(&Files::parse(&text)).value().map(Power::watts);
        }
    }
}
