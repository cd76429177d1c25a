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
    /// The current, in mA for makers that print it here (Samsung).
    pub current: Option<f64>,
    /// The charge that is left, in µAh by Android's word.
    pub charge: Option<f64>,
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
        current: number("current now").filter(|count| *count != 0.0),
        charge: number("Charge counter").filter(|charge| *charge > 0.0),
        charger: charger.map(|name| (*name).to_owned()),
        known: level.is_some() || charger.is_some() || field("status").is_some(),
        none: false,
    }
}

/// Thousandths or millionths of a volt, or volts, by vendor; a phone's battery has one cell or two, of 2.5 to 4.6 V.
fn volts(raw: f64) -> Option<f64> {
    [1e-3, 1e-6, 1.0].into_iter().map(|unit| raw * unit).find(|volts| (2.5..=9.5).contains(volts))
}

/// The kernel's files of the battery.
#[derive(Clone, Debug, PartialEq)]
pub struct Supply {
    /// The current as the vendor gives it: in µA or mA, counting what leaves the battery as negative or as positive. Which of these
    /// it is cannot be told from one number: whoever has those of a whole run decides.
    pub current: Reading<f64>,
    /// Volts.
    pub volts: Reading<f64>,
    /// The charge that is left, in µAh or mAh.
    pub charge: Reading<f64>,
}

/// Reads the battery of `/sys/class/power_supply`.
pub fn supply(files: &Files) -> Supply {
    let names = ["battery", "bms", "Battery", "main-battery", "bq27411-0", "max77705-fuelgauge"];
    let mut found: Vec<&str> = files.between(SUPPLY, "/current_now").map(|(name, _)| name).collect();
    // The battery before chargers, which have currents of their own.
    found.sort_by_key(|name| names.iter().position(|known| known == name).unwrap_or(names.len()));
    let Some(name) = found.into_iter().find(|name| is_battery(files, name)) else {
        let none = || Reading::absent("the kernel has no power supply that is a battery with a current");
        return Supply { current: none(), volts: none(), charge: none() };
    };
    let number = |file: &str| files.number(&format!("{SUPPLY}{name}/{file}"));
    let volts = match number("voltage_now") {
        Reading::Ok(raw) => {
            Reading::or_absent(volts(raw), format!("{SUPPLY}{name}/voltage_now cannot be a battery's voltage: {raw}"))
        }
        other => other,
    };
    let current = match number("current_now") {
        Reading::Ok(0.0) => {
            Reading::absent(format!("{SUPPLY}{name}/current_now is 0, which some phones always report"))
        }
        other => other,
    };
    Supply { current, volts, charge: number("charge_counter") }
}

/// What `cmd battery get current_now` says, where Android knows it.
pub fn command_current(said: &str) -> Reading<f64> {
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let number = first.parse().ok().filter(|count: &f64| count.is_finite() && *count != 0.0);
    Reading::or_absent(
        number,
        if first.is_empty() { "cmd battery says nothing".to_owned() } else { format!("cmd battery: {first}") },
    )
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
    fn the_battery_is_told_from_the_charger() {
        let files = |current: &str, voltage: &str| {
            Files::parse(&format!(
                "/sys/class/power_supply/usb/type:USB\n/sys/class/power_supply/usb/current_now:500000\n\
                 /sys/class/power_supply/battery/type:Battery\n/sys/class/power_supply/battery/current_now:{current}\n\
                 /sys/class/power_supply/battery/voltage_now:{voltage}\n/sys/class/power_supply/battery/charge_counter:4183000\n"
            ))
        };
        let of = |current, voltage| supply(&files(current, voltage));
        let micro = of("-850000", "4000000");
        assert_eq!(
            (micro.current, micro.volts, micro.charge),
            (Reading::Ok(-850_000.0), Reading::Ok(4.0), Reading::Ok(4_183_000.0))
        );
        assert_eq!(of("850", "4000").current, Reading::Ok(850.0), "as it is: one number does not tell its unit");
        assert!(of("0", "4000000").current.why().is_some_and(|why| why.contains("is 0")));
        let denied = Files::parse("grep: /sys/class/power_supply/battery/current_now: Permission denied\n");
        assert!(matches!(supply(&denied).current, Reading::Denied { .. }));
        assert!(matches!(supply(&Files::default()).current, Reading::Absent { .. }));
    }

    #[test]
    fn what_the_services_tell_of_the_current() {
        let samsung =
            parse("  status: 2\n  level: 44\n  Charge counter: 1633905\n  voltage: 3908\n  current now: 559\n");
        assert_eq!((samsung.current, samsung.charge), (Some(559.0), Some(1_633_905.0)));
        assert_eq!(command_current("-402343\n"), Reading::Ok(-402_343.0));
        assert!(command_current("Unknown get option: current_now").why().is_some_and(|why| why.contains("Unknown")));
        assert!(command_current("").why().is_some());
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
            let _ = supply(&Files::parse(&text));
        }
    }
}
