//! Text of others, made harmless: what a record, a plan, a store or a phone says may stand in any output.

use std::borrow::Cow;

/// Text that cannot speak to a terminal or disguise itself: control characters but for line ends and tabs, characters that turn
/// the direction of text round, and what is no character at all stand as `\u{fffd}`.
pub fn inert(text: &str) -> Cow<'_, str> {
    if text.contains(is_active) {
        Cow::Owned(text.chars().map(|c| if is_active(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The same, in one line.
pub fn one_line(text: &str) -> String {
    let blank = |c| matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}');
    inert(&text.trim().replace(blank, " ")).into_owned()
}

fn is_active(c: char) -> bool {
    let turns_round = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || turns_round || matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_speaks_to_a_terminal() {
        let text = "a\u{1b}[2J\r\u{9b}b\n\tc\u{202e}d\u{ffff}";
        assert_eq!(inert(text), "a\u{fffd}[2J\u{fffd}\u{fffd}b\n\tc\u{fffd}d\u{fffd}");
        assert_eq!(one_line(" OK\r\nfine\u{2028}\u{1b}c\tx "), "OK  fine \u{fffd}c x");
        assert_eq!(inert("“ok” · 你好 מזל"), "“ok” · 你好 מזל");
    }
}
