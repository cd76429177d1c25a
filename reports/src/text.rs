//! Numbers as people read them: three significant digits, a fitting unit. And text of others, made harmless for each place
//! that shows it.

use std::ops::Range;

pub use ditbench_record::{inert, one_line};

/// `significant` digits without an exponent: 0.0123, 1.23, 123, 12300.
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = digits - 1 - magnitude;
    if decimals <= 0 {
        let unit = 10f64.powi(-decimals);
        return format!("{:.0}", (value / unit).round() * unit);
    }
    let text = format!("{value:.*}", decimals as usize);
    // 9.999 becomes 10.00: one digit too many.
    let rounded: f64 = text.parse().unwrap_or(value);
    if rounded.abs() >= 10f64.powi(magnitude + 1) { format!("{rounded:.*}", (decimals - 1) as usize) } else { text }
}

/// A duration: `812 ms`, `1.23 s`, `21.4 min`.
pub fn seconds(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        0.0 => (value, "s"),
        v if v < 0.999_5e-3 => (value * 1e6, "µs"),
        v if v < 0.999_5 => (value * 1e3, "ms"),
        v if v < 600.0 => (value, "s"),
        v if v < 36_000.0 => (value / 60.0, "min"),
        _ => (value / 3600.0, "h"),
    };
    format!("{}\u{a0}{unit}", significant(scaled, 3))
}

/// The size of an image behind what is named: ` 512×768` (width × height); nothing behind a single graph of a user's own, which makes
/// none.
pub fn pixels(width: u32, height: u32) -> String {
    if width == 0 { String::new() } else { format!(" {width}×{height}") }
}

/// An amount of memory: `655 MiB`, `1.50 GiB`.
pub fn bytes(value: u64) -> String {
    let (mut scaled, mut unit) = (value as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1000.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    format!("{}\u{a0}{unit}", significant(scaled, 3))
}

/// A rate of operations, given in 10⁹ a second: `153 GFLOP/s`, `3.50 TFLOP/s`.
pub fn operations(value: f64) -> String {
    let (mut scaled, mut unit) = (value, "GFLOP/s");
    for next in ["TFLOP/s", "PFLOP/s", "EFLOP/s"] {
        if scaled.abs() < 999.5 {
            break;
        }
        scaled /= 1000.0;
        unit = next;
    }
    format!("{}\u{a0}{unit}", significant(scaled, 3))
}

/// A count: `257.7 M`, `1.60 G`, `94`.
pub fn count(value: f64) -> String {
    for (unit, scale) in [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if value.abs() >= scale {
            return format!("{}\u{a0}{unit}", significant(value / scale, 3));
        }
    }
    significant(value, 3)
}

/// A share: `0.153` is `15.3 %`.
pub fn percent(share: f64) -> String {
    format!("{}\u{a0}%", significant(share * 100.0, 3))
}

/// A small ratio such as an error: `2.2e-2`, `0` as `0`.
pub fn scientific(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") }
}

/// A heading in the midst of others: `Image, p50` as `image, p50`; abbreviations such as `PSNR` stay as they are.
pub fn lowercase_first(words: &str) -> String {
    let mut letters = words.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(words.chars().skip(1)).collect()
        }
        _ => words.to_owned(),
    }
}

/// The beginning of a sentence: `steady image` as `Steady image`.
pub fn uppercase_first(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A number with a proper minus sign.
pub fn minus(text: String) -> String {
    text.replace('-', "−")
}

/// Several things in a sentence: `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Text inside a table or a paragraph of Markdown: nothing in it may end a cell, open a tag, call somebody or fetch a
/// picture.
pub fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '@' => safe.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// What is wrong in a TOML file, in one line: the place, the line as it stands there, TOML's own words.
pub fn toml_mistake(text: &str, error: &toml::de::Error) -> String {
    let words = one_line(error.message());
    let Some(Range { start, .. }) = error.span() else { return words };
    let Some(before) = text.get(..start) else { return words };
    let from = before.rfind('\n').map_or(0, |end| end + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[from..].chars().count() + 1);
    let stands: String = text[from..].lines().next().unwrap_or_default().trim().chars().take(60).collect();
    let stands = if stands.is_empty() { String::new() } else { format!(" ({})", one_line(&stands)) };
    format!("line {line}, column {column}{stands}: {words}")
}

/// Text made safe inside HTML and SVG, in content and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Control characters are not allowed in the document; a backend's message may hold them (colour codes).
    for c in inert(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_fitting_unit() {
        for (value, want) in [(0.0, "0 s"), (4.2e-7, "0.420 µs"), (0.000_999_6, "1.00 ms"), (0.999_4, "999 ms")] {
            assert_eq!(seconds(value).replace('\u{a0}', " "), want);
        }
        for (value, want) in
            [(0.999_6, "1.00 s"), (9.999, "10.0 s"), (310.4, "310 s"), (1281.0, "21.4 min"), (1e6, "278 h")]
        {
            assert_eq!(seconds(value).replace('\u{a0}', " "), want);
        }
        for (value, want) in [(153.4, "153 GFLOP/s"), (999.6, "1.00 TFLOP/s"), (1.92e11, "192 EFLOP/s")] {
            assert_eq!(operations(value).replace('\u{a0}', " "), want);
        }
        for (value, want) in [
            (0, "0 B"),
            (1023, "0.999 KiB"),
            (1 << 20, "1.00 MiB"),
            (1531 << 20, "1.50 GiB"),
            (u64::MAX, "16800000 TiB"),
        ] {
            assert_eq!(bytes(value).replace('\u{a0}', " "), want);
        }
        assert_eq!(count(257.7e6), "258\u{a0}M");
        assert_eq!(count(94.0), "94.0");
        assert_eq!(percent(0.1534), "15.3\u{a0}%");
        assert_eq!(significant(f64::NAN, 3), "NaN");
        assert_eq!(significant(-0.012_345, 3), "-0.0123");
    }

    #[test]
    fn a_mistake_in_toml_is_one_line_with_its_place() {
        let said = |text: &str| {
            toml_mistake(text, &toml::from_str::<std::collections::BTreeMap<String, u32>>(text).unwrap_err())
        };
        assert_eq!(said("a = 1\n  b = -1\n").split(':').next().unwrap(), "line 2, column 7 (b = -1)");
        for text in ["a = ", "[", "a = 1\na = 2", "é = 'x", "x\u{1b}[2J", "\u{0}", ""] {
            if let Err(error) = toml::from_str::<std::collections::BTreeMap<String, u32>>(text) {
                let said = toml_mistake(text, &error);
                assert!(said.len() > 10 && !said.contains(char::is_control), "{said:?}");
            }
        }
    }

    #[test]
    fn nothing_escapes_from_a_message() {
        assert_eq!(escape("<b a=\"x\">'&\u{1b}[31m"), "&lt;b a=&quot;x&quot;&gt;&#39;&amp;\u{fffd}[31m");
        let message = "![x](http://a/b.png) <b> @me |#1\\";
        assert_eq!(markdown(message), "!\\[x\\](http://a/b.png) &lt;b&gt; &#64;me \\|\\#1\\\\");
        assert_eq!(["Image, p50", "PSNR", "p90", ""].map(lowercase_first), ["image, p50", "PSNR", "p90", ""]);
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
