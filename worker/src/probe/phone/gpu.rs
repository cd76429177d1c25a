//! Graphics processor: load and clock, under the vendors' names.

use ditbench_record::Reading;

use super::Files;

/// Patterns of the files that tell: Qualcomm's, then the kernel's generic ones.
pub const FILES: [&str; 5] = [
    "/sys/class/kgsl/kgsl-3d0/gpubusy",
    "/sys/class/kgsl/kgsl-3d0/gpuclk",
    "/sys/class/devfreq/*gpu/cur_freq",
    "/sys/class/devfreq/*mali/cur_freq",
    "/sys/class/devfreq/*kgsl-3d0/cur_freq",
];

/// Clock in MHz.
pub fn mhz(files: &Files) -> Reading<f64> {
    let first = files.number(FILES[1]);
    if first.value().is_some() {
        return hertz(first);
    }
    let others = FILES[2..].iter().filter_map(|pattern| pattern.split_once('*'));
    let found =
        others.flat_map(|(start, end)| files.between(start, end).map(move |(name, _)| format!("{start}{name}{end}")));
    let mut denied = first;
    for path in found {
        match files.number(&path) {
            Reading::Ok(value) => return hertz(Reading::Ok(value)),
            other @ Reading::Denied { .. } => denied = other,
            Reading::Absent { .. } => {}
        }
    }
    denied
}

/// Hertz for all known vendors but some old ones, which give kHz.
fn hertz(raw: Reading<f64>) -> Reading<f64> {
    match raw {
        Reading::Ok(value) if value >= 1e7 => Reading::Ok(value / 1e6),
        Reading::Ok(value) => Reading::Ok(value / 1e3),
        other => other,
    }
}

/// Share of the time that it worked since the last look, in percent: `busy total` in microseconds.
pub fn load(files: &Files) -> Reading<f64> {
    let Some(text) = files.value(FILES[0]) else {
        let missing = files.number(FILES[0]);
        return missing;
    };
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [busy, total] if total > 0.0 && busy >= 0.0 => Reading::Ok((100.0 * busy / total).min(100.0)),
        [_, _] => Reading::Ok(0.0),
        _ => Reading::absent(format!("{} has an unknown format", FILES[0])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_makers_and_none() {
        let adreno = Files::parse(
            "/sys/class/kgsl/kgsl-3d0/gpubusy:  250000 1000000\n/sys/class/kgsl/kgsl-3d0/gpuclk:585000000\n",
        );
        assert_eq!((load(&adreno), mhz(&adreno)), (Reading::Ok(25.0), Reading::Ok(585.0)));
        let mali = Files::parse("/sys/class/devfreq/1f000000.mali/cur_freq:848000000\n");
        assert_eq!(mhz(&mali), Reading::Ok(848.0));
        assert!(matches!(load(&mali), Reading::Absent { .. }));
        let denied = Files::parse("grep: /sys/class/kgsl/kgsl-3d0/gpuclk: Permission denied\n");
        assert!(matches!(mhz(&denied), Reading::Denied { .. }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let files = Files::parse(&format!("{}:{text}\n{}:{text}\n", FILES[0], FILES[1]));
            let _ = (load(&files), mhz(&files));
        }
    }
}
