//! Kinds of cores by the numbers that Arm's cores carry (`/proc/cpuinfo`).

use std::collections::BTreeMap;

/// A kind of core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `Cortex-A55`.
    pub name: &'static str,
    /// Whether it takes instructions in their order: what makers call a little core.
    pub in_order: bool,
}

/// Implementer and part of the cores that phones have had since 2012: as the kernel's `cputype.h` and util-linux' `lscpu`
/// name them.
const KINDS: [(u32, u32, &str, bool); 41] = [
    (0x41, 0xc07, "Cortex-A7", true),
    (0x41, 0xd03, "Cortex-A53", true),
    (0x41, 0xd04, "Cortex-A35", true),
    (0x41, 0xd05, "Cortex-A55", true),
    (0x41, 0xd07, "Cortex-A57", false),
    (0x41, 0xd08, "Cortex-A72", false),
    (0x41, 0xd09, "Cortex-A73", false),
    (0x41, 0xd0a, "Cortex-A75", false),
    (0x41, 0xd0b, "Cortex-A76", false),
    (0x41, 0xd0d, "Cortex-A77", false),
    (0x41, 0xd41, "Cortex-A78", false),
    (0x41, 0xd4b, "Cortex-A78C", false),
    (0x41, 0xd44, "Cortex-X1", false),
    (0x41, 0xd4c, "Cortex-X1C", false),
    (0x41, 0xd46, "Cortex-A510", true),
    (0x41, 0xd47, "Cortex-A710", false),
    (0x41, 0xd48, "Cortex-X2", false),
    (0x41, 0xd4d, "Cortex-A715", false),
    (0x41, 0xd4e, "Cortex-X3", false),
    (0x41, 0xd80, "Cortex-A520", true),
    (0x41, 0xd81, "Cortex-A720", false),
    (0x41, 0xd82, "Cortex-X4", false),
    (0x41, 0xd85, "Cortex-X925", false),
    (0x41, 0xd87, "Cortex-A725", false),
    (0x41, 0xd8a, "C1-Nano", true),
    (0x41, 0xd8b, "C1-Pro", false),
    (0x41, 0xd8c, "C1-Ultra", false),
    (0x41, 0xd90, "C1-Premium", false),
    (0x51, 0x001, "Oryon", false),
    (0x51, 0x800, "Kryo Gold", false),
    (0x51, 0x801, "Kryo Silver", true),
    (0x51, 0x802, "Kryo 3xx Gold", false),
    (0x51, 0x803, "Kryo 3xx Silver", true),
    (0x51, 0x804, "Kryo 4xx Gold", false),
    (0x51, 0x805, "Kryo 4xx Silver", true),
    (0x51, 0x201, "Kryo", false),
    (0x51, 0x205, "Kryo", false),
    (0x51, 0x211, "Kryo", false),
    (0x53, 0x001, "Exynos-M1", false),
    (0x53, 0x002, "Exynos-M3", false),
    (0x53, 0x003, "Exynos-M4", false),
];

/// The kind of each core of which `/proc/cpuinfo` tells one that we know.
pub fn parse(cpuinfo: &str) -> BTreeMap<u32, Kind> {
    let number = |text: &str| match text.trim().strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.trim().parse().ok(),
    };
    let mut kinds = BTreeMap::new();
    let (mut cpu, mut implementer) = (None, None);
    for (name, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        match name.trim() {
            "processor" => (cpu, implementer) = (number(value), None),
            "CPU implementer" => implementer = number(value),
            "CPU part" => {
                let known = KINDS.iter().find(|kind| (Some(kind.0), Some(kind.1)) == (implementer, number(value)));
                if let (Some(cpu), Some(&(.., name, in_order))) = (cpu, known) {
                    kinds.insert(cpu, Kind { name, in_order });
                }
            }
            _ => {}
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_known_by_their_parts() {
        let text = "processor\t: 0\nBogoMIPS\t: 38.40\nCPU implementer\t: 0x41\nCPU part\t: 0xd46\nCPU revision\t: 2\n\n\
            processor\t: 7\nCPU implementer\t: 0x51\nCPU part\t: 0x001\nprocessor : 8\nCPU implementer : 0x61\nCPU part : 0x022\n";
        let kinds = parse(text);
        assert_eq!(kinds[&0], Kind { name: "Cortex-A510", in_order: true });
        assert_eq!(kinds[&7], Kind { name: "Oryon", in_order: false });
        assert_eq!(kinds.len(), 2, "a core that nobody knows is of no kind");
        assert!(parse("model name : Intel").is_empty());
    }

    #[test]
    fn no_part_is_listed_twice() {
        let mut parts: Vec<_> = KINDS.iter().map(|kind| (kind.0, kind.1)).collect();
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), KINDS.len());
    }
}
