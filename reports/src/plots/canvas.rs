//! A drawing in plotters' SVG that follows the page's colours.
//!
//! Contract: colours are named by [`Ink`], drawn as placeholder RGB values, and turned into CSS classes when the drawing
//! is finished, so that the page's light and dark palettes apply. Everything is laid out for a phone: [`WIDTH`] units wide,
//! one unit a pixel there. What gains by more room is drawn a second time, [`WIDE`], and the page shows what fits. Text positions
//! are ours; plotters' estimate of text extents is not relied on.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::text;

/// Width of every drawing.
pub(super) const WIDTH: i32 = 360;
/// Width of a drawing for the whole width of a desk's screen.
pub(super) const WIDE: i32 = 1180;
/// Text of labels, in units.
pub(super) const LABEL: f64 = 12.0;
/// Text of ticks and legends.
pub(super) const SMALL: f64 = 11.0;

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the plot \"{figure}\" cannot be drawn: {why}. This is a fault of ditbench: please report it with the record")]
pub struct PlotError {
    /// Which plot.
    pub figure: String,
    /// The library's words.
    pub why: String,
}

/// A colour of the page's palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text.
    Text,
    /// Less important text and lines.
    Muted,
    /// Grid lines, tracks.
    Grid,
    /// The page's background.
    Paper,
    /// The text encoder.
    Encoder,
    /// A denoiser step: alternating shades, so that neighbours can be told apart.
    Step(u8),
    /// The decoder.
    Decoder,
    /// The rest.
    Rest,
    /// A backend.
    Backend(u8),
    /// File-mapped memory.
    File,
    /// The Pareto front.
    Front,
}

impl Ink {
    const ALL: [Self; 16] = [
        Self::Text,
        Self::Muted,
        Self::Grid,
        Self::Paper,
        Self::Encoder,
        Self::Step(0),
        Self::Step(1),
        Self::Decoder,
        Self::Rest,
        Self::Backend(0),
        Self::Backend(1),
        Self::Backend(2),
        Self::Backend(3),
        Self::Backend(4),
        Self::File,
        Self::Front,
    ];

    /// The colour of a backend, by name, so that it is the same in every plot and report.
    pub(super) fn backend(name: &str) -> Self {
        Self::Backend(match name {
            "ort" => 0,
            "candle" => 1,
            "tract" => 2,
            "reference" => 3,
            _ => 4,
        })
    }

    /// The name of its CSS classes, after `f-` (fill) and `s-` (stroke).
    pub(super) fn class(self) -> String {
        match self {
            Self::Step(shade) => format!("step{shade}"),
            Self::Backend(index) => format!("backend{index}"),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn rgb(self) -> RGBColor {
        let index = Self::ALL.iter().position(|ink| *ink == self).unwrap_or(0);
        RGBColor(1, 2, index as u8)
    }
}

/// Where text is held.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing under way.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    figure: &'a str,
    width: i32,
}

impl Canvas<'_> {
    fn check<E: std::error::Error + Send + Sync>(
        &self,
        result: Result<(), DrawingAreaErrorKind<E>>,
    ) -> Result<(), PlotError> {
        result.map_err(|error| PlotError { figure: self.figure.to_owned(), why: error.to_string() })
    }

    /// Text, centred on `y`.
    pub(super) fn text(
        &self,
        words: &str,
        (x, y): (i32, i32),
        size: f64,
        anchor: Anchor,
        ink: Ink,
    ) -> Result<(), PlotError> {
        let h_pos = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // plotters divides sizes by 1.24 on their way to SVG.
        let colour = ink.rgb();
        let font = ("sans-serif", size * 1.24).into_font();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(h_pos, VPos::Center));
        self.check(self.area.draw(&Text::new(text::one_line(words), (x, y), style)))
    }

    /// A filled rectangle from its left and top, faint by `alpha` (1 is solid).
    pub(super) fn rect(
        &self,
        (x, y): (i32, i32),
        (width, height): (i32, i32),
        ink: Ink,
        alpha: f64,
    ) -> Result<(), PlotError> {
        let style = ink.rgb().mix(alpha).filled();
        self.check(self.area.draw(&Rectangle::new([(x, y), (x + width, y + height)], style)))
    }

    /// A line through points.
    pub(super) fn path(&self, points: Vec<(i32, i32)>, width: u32, ink: Ink, alpha: f64) -> Result<(), PlotError> {
        let style = ink.rgb().mix(alpha).stroke_width(width);
        self.check(self.area.draw(&PathElement::new(points, style)))
    }

    /// A broken line from one point to another: dashes of 5 units, and gaps of 3.
    pub(super) fn dashed(&self, from: (i32, i32), to: (i32, i32), width: u32, ink: Ink) -> Result<(), PlotError> {
        let (across, down) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = across.hypot(down);
        let at = |along: f64| {
            let share = (along / length).min(1.0);
            (from.0 + (share * across).round() as i32, from.1 + (share * down).round() as i32)
        };
        for dash in 0..(length / 8.0).ceil() as i32 {
            let start = 8.0 * f64::from(dash);
            self.path(vec![at(start), at(start + 5.0)], width, ink, 1.0)?;
        }
        Ok(())
    }

    /// A filled circle.
    pub(super) fn dot(&self, centre: (i32, i32), radius: i32, ink: Ink, alpha: f64) -> Result<(), PlotError> {
        self.check(self.area.draw(&Circle::new(centre, radius, ink.rgb().mix(alpha).filled())))
    }

    /// A number on a disc of a backend's colour, ringed in the page's so that neighbours stay apart.
    pub(super) fn badge(&self, centre: (i32, i32), number: usize, ink: Ink) -> Result<(), PlotError> {
        self.dot(centre, BADGE + 1, Ink::Paper, 1.0)?;
        self.dot(centre, BADGE, ink, 1.0)?;
        self.text(&number.to_string(), centre, 10.0, Anchor::Middle, Ink::Paper)
    }

    /// Legend entries in as many rows as they need, from the top left; gives the height used.
    pub(super) fn legend(&self, top: i32, entries: &[(String, Ink, f64)]) -> Result<i32, PlotError> {
        let (mut x, mut y) = (0, top);
        for (words, ink, alpha) in entries {
            let width = 16 + estimate(words, SMALL) + 12;
            if x > 0 && x + width - 12 > self.width {
                (x, y) = (0, y + 18);
            }
            self.rect((x, y + 3), (11, 11), *ink, *alpha)?;
            self.text(words, (x + 16, y + 9), SMALL, Anchor::Start, Ink::Muted)?;
            x += width;
        }
        Ok(y + 18 - top)
    }
}

/// Radius of a [`Canvas::badge`].
pub(super) const BADGE: i32 = 8;

/// Places badges so that none covers another: each at its point, or at the nearest free place inside the box. A box too
/// full for all of them (about 30 to a strip of 60 by 240 units) leaves the last ones at their points.
pub(super) fn spread(points: &[(i32, i32)], (top_left, bottom_right): ((i32, i32), (i32, i32))) -> Vec<(i32, i32)> {
    let (from, to) = ((top_left.0 + BADGE, top_left.1 + BADGE), (bottom_right.0 - BADGE, bottom_right.1 - BADGE));
    let distance = |a: (i32, i32), b: (i32, i32)| (a.0 - b.0).pow(2) + (a.1 - b.1).pow(2);
    let grid: Vec<(i32, i32)> =
        (from.1..=to.1).step_by(6).flat_map(|y| (from.0..=to.0).step_by(6).map(move |x| (x, y))).collect();
    let mut placed: Vec<(i32, i32)> = Vec::new();
    for &(x, y) in points {
        let own = (x.clamp(from.0, to.0.max(from.0)), y.clamp(from.1, to.1.max(from.1)));
        let free = |place: &(i32, i32)| placed.iter().all(|other| distance(*other, *place) >= (2 * BADGE + 2).pow(2));
        let nearest = || grid.iter().copied().filter(free).min_by_key(|place| distance(*place, own));
        placed.push(Some(own).filter(free).or_else(nearest).unwrap_or(own));
    }
    placed
}

/// Width of text in units, generously: fonts differ from machine to machine.
pub(super) fn estimate(words: &str, size: f64) -> i32 {
    (words.chars().count() as f64 * size * 0.58).ceil() as i32
}

/// Breaks a label into lines that fit `width` units: at spaces and dots where there are any, else after hyphens, else anywhere.
pub(super) fn wrap(label: &str, width: i32, size: f64) -> Vec<String> {
    let fits = |line: &str| estimate(line, size) <= width;
    let most = (f64::from(width) / (size * 0.58)) as usize;
    let mut lines = vec![String::new()];
    for word in label.split_inclusive([' ', '-']) {
        let pieces: Vec<char> = word.chars().collect();
        // A word longer than a line is cut into lines.
        for piece in pieces.chunks(most.max(1)) {
            let piece: String = piece.iter().collect();
            let line = lines.last_mut().map_or(String::new(), std::mem::take);
            let joined = format!("{line}{piece}");
            if line.is_empty() || fits(joined.trim_end()) {
                lines.pop();
                lines.push(joined);
            } else {
                lines.pop();
                lines.extend([line, piece]);
            }
        }
    }
    lines.iter().map(|line| line.trim_end().trim_end_matches(" ·").to_owned()).collect()
}

/// Draws, and gives the SVG with its accessible name.
pub(super) fn draw(
    figure: &str,
    alt: &str,
    height: i32,
    paint: impl FnOnce(&Canvas) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    draw_at(figure, alt, (WIDTH, height), paint)
}

/// As [`draw`], of any width.
pub(super) fn draw_at(
    figure: &str,
    alt: &str,
    (width, height): (i32, i32),
    paint: impl FnOnce(&Canvas) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width as u32, height.max(1) as u32)).into_drawing_area();
        let canvas = Canvas { area, figure, width };
        paint(&canvas)?;
        canvas.check(canvas.area.present())?;
    }
    for ink in Ink::ALL {
        let RGBColor(r, g, b) = ink.rgb();
        let colour = format!("#{r:02X}{g:02X}{b:02X}");
        let class = ink.class();
        svg = svg
            .replace(&format!("fill=\"{colour}\""), &format!("class=\"f-{class}\""))
            .replace(&format!("stroke=\"{colour}\""), &format!("class=\"s-{class}\""));
    }
    let size = format!("width=\"{width}\" height=\"{}\" ", height.max(1));
    let named = format!("role=\"img\" aria-label=\"{}\" ", text::escape(alt));
    Ok(svg.replacen(&size, &named, 1).replace("font-family=\"sans-serif\" ", "").replace(" stroke=\"none\"", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes() {
        let svg = draw("f", "what <it> shows", 20, |canvas| {
            canvas.rect((0, 0), (5, 5), Ink::Decoder, 0.5)?;
            canvas.path(vec![(0, 0), (9, 9)], 1, Ink::Backend(2), 1.0)?;
            canvas.text("a < b", (1, 1), SMALL, Anchor::Start, Ink::Text)
        })
        .unwrap();
        for want in [
            "class=\"f-decoder\"",
            "class=\"s-backend2\"",
            "class=\"f-text\"",
            "aria-label=\"what &lt;it&gt; shows\"",
            "a &lt; b",
        ] {
            assert!(svg.contains(want), "{want} in {svg}");
        }
        assert!(!svg.contains('#'), "a colour was left: {svg}");
        let classes: std::collections::BTreeSet<String> = Ink::ALL.iter().map(|ink| ink.class()).collect();
        assert_eq!(classes.len(), Ink::ALL.len());
    }

    #[test]
    fn badges_stay_apart() {
        let places = spread(&[(50, 50); 28], ((0, 0), (62, 240)));
        for (i, a) in places.iter().enumerate() {
            for b in &places[..i] {
                assert!((a.0 - b.0).pow(2) + (a.1 - b.1).pow(2) >= (2 * BADGE).pow(2), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn long_labels_wrap_and_lose_nothing() {
        let label = "tract block-quantized-with-repacking · q4 · 2 threads";
        let lines = wrap(label, 200, LABEL);
        assert!(lines.len() > 1 && lines.iter().all(|line| estimate(line, LABEL) <= 200), "{lines:?}");
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        assert_eq!(letters(&lines.concat()), letters(label));
        assert!(wrap(&"x".repeat(500), 100, LABEL).iter().all(|line| estimate(line, LABEL) <= 100));
        assert_eq!(wrap("", 100, LABEL), [""]);
    }
}
