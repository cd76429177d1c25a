//! `getprop`: who a phone is.

use std::collections::BTreeMap;

use ditbench_record::Reading;

/// A phone's name and kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// `Pixel 8 Pro`.
    pub model: Reading<String>,
    /// `Google`.
    pub maker: Reading<String>,
    /// `Tensor G3`, `SM8550`; else the board's platform.
    pub soc: Reading<String>,
    /// `14`.
    pub android: Reading<String>,
    /// API level.
    pub sdk: Reading<u32>,
    /// `arm64-v8a`.
    pub abi: Reading<String>,
    /// The build, which tells two updates of one model apart.
    pub fingerprint: Reading<String>,
}

/// Reads `[key]: [value]` lines; a value may go over several lines.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    let mut props = BTreeMap::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if let Some((_, value)) = open.as_mut() {
            value.push('\n');
            value.push_str(line);
        } else if let Some((key, value)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: [")) {
            open = Some((key.to_owned(), value.to_owned()));
        }
        if let Some((key, value)) = open.take_if(|(_, value)| value.ends_with(']')) {
            props.insert(key, value[..value.len() - 1].trim().to_owned());
        }
    }
    props
}

impl Identity {
    /// Out of all properties.
    pub fn of(props: &BTreeMap<String, String>) -> Self {
        let first = |keys: &[&str]| {
            let value = keys
                .iter()
                .filter_map(|key| props.get(*key))
                .find(|value| !value.is_empty() && !value.eq_ignore_ascii_case("unknown"));
            Reading::or_absent(value.cloned(), format!("getprop has no {}", keys.join(", ")))
        };
        let sdk = first(&["ro.build.version.sdk"]);
        Self {
            model: first(&["ro.product.model", "ro.product.vendor.model"]),
            maker: first(&["ro.product.manufacturer", "ro.product.vendor.manufacturer"]),
            soc: first(&["ro.soc.model", "ro.board.platform", "ro.hardware"]),
            android: first(&["ro.build.version.release"]),
            sdk: Reading::or_absent(
                sdk.value().and_then(|text| text.parse().ok()),
                "getprop has no number as ro.build.version.sdk",
            ),
            abi: first(&["ro.product.cpu.abi"]),
            fingerprint: first(&["ro.build.fingerprint", "ro.vendor.build.fingerprint"]),
        }
    }

    /// `Google Pixel 8 Pro`.
    pub fn name(&self) -> String {
        let model = self.model.value().map_or("a phone that does not say its model", String::as_str);
        match self.maker.value() {
            Some(maker) if !model.to_lowercase().starts_with(&maker.to_lowercase()) => format!("{maker} {model}"),
            _ => model.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIXEL: &str = "[ro.build.fingerprint]: [google/husky/husky:14/UQ1A.240205.004/11269751:user/release-keys]\n\
        [ro.build.version.release]: [14]\n[ro.build.version.sdk]: [34]\n[ro.product.cpu.abi]: [arm64-v8a]\n\
        [ro.product.manufacturer]: [Google]\n[ro.product.model]: [Pixel 8 Pro]\n[ro.soc.model]: [Tensor G3]\n\
        [persist.two.lines]: [first\nsecond]\n[empty]: []\n";
    const XIAOMI: &str = "[ro.board.platform]: [kona]\r\n[ro.build.version.sdk]: [30]\r\n\
        [ro.product.manufacturer]: [Xiaomi]\r\n[ro.product.model]: [M2007J3SG]\r\n[ro.soc.model]: []\r\n";

    #[test]
    fn several_makers() {
        let props = parse(PIXEL);
        let phone = Identity::of(&props);
        assert_eq!(phone.name(), "Google Pixel 8 Pro");
        assert_eq!((phone.sdk.value(), phone.soc.value().map(String::as_str)), (Some(&34), Some("Tensor G3")));
        assert_eq!(props["persist.two.lines"], "first\nsecond");
        let phone = Identity::of(&parse(XIAOMI));
        assert_eq!(phone.soc.value().map(String::as_str), Some("kona"), "the platform where the maker names no SoC");
        assert!(phone.abi.why().is_some_and(|why| why.contains("ro.product.cpu.abi")));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\[[a-z.]{0,5}\\]?: ?\\[?[^\\n]{0,10}\\]?\\r?\\n?|.){0,40}") {
            let _ = Identity::of(&parse(&text)).name();
        }
    }
}
