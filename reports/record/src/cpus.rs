//! Lists of CPUs as the kernel writes them: `0-3,7`.

/// Numbers as such a list.
pub fn list(cpus: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match parts.last_mut() {
            Some((_, end)) if cpu == end.saturating_add(1) => *end = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let part = |(a, b): (u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    parts.into_iter().map(part).collect::<Vec<_>>().join(",")
}

/// Reads such a list.
pub fn parse(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to > 4095 {
            return None;
        }
        cpus.extend(from..=to);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_of_several_parts() {
        assert_eq!(parse(" 0-2,7\n"), Some(vec![0, 1, 2, 7]));
        assert_eq!(list(&[0, 1, 2, 7]), "0-2,7");
        for wrong in ["", "3-1", "0-99999", "x", "0,,1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn lists_read_back(mut cpus in proptest::collection::vec(0u32..64, 1..20)) {
            cpus.sort_unstable();
            cpus.dedup();
            prop_assert_eq!(parse(&list(&cpus)), Some(cpus));
        }
    }
}
