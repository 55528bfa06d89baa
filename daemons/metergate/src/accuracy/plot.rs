//! Error against current as an SVG picture, in the form that data sheets use.
//!
//! Two pictures over the same logarithmic axis of current: above with the limits of the class as steps, below magnified
//! to what the errors need. One line per power factor through the biases; the bars are three standard deviations of a
//! measurement of ten seconds to either side.

use std::fmt::Write;

use super::classes::Class;
use super::measure::{COVERAGE, Outcome};
use super::points::{Load, Pf};
use super::range::Range;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 820.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 812.0;
/// Colours that people with any kind of colour vision tell apart, in the order of [`Pf::ALL`].
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#555555"];
const LIMIT: &str = "#b00020";
/// Lines differ too, for print without colours.
const DASHES: [&str; 5] = ["none", "7 3", "2 3", "9 3 2 3", "4 2"];
/// Lines of the same current are drawn so far apart that their bars do not hide each other, in pixels.
const APART: f64 = 4.0;
/// Full scales of the vertical axis, %, of which the smallest that holds everything is taken.
const SCALES: [f64; 11] = [0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 0.8, 1.2, 2.0, 4.0, 8.0];

/// A point of a line: current, bias, half the length of its bar.
type Spot = (f64, f64, f64);

/// Top and bottom of a picture, its vertical full scale, %, and the ends of the current axis, A.
struct Frame {
    top: f64,
    bottom: f64,
    scale: f64,
    currents: (f64, f64),
}

impl Frame {
    fn y(&self, percent: f64) -> f64 {
        let middle = (self.top + self.bottom) / 2.0;
        middle - (percent / self.scale).clamp(-1.0, 1.0) * (self.bottom - self.top) / 2.0
    }

    fn x(&self, amps: f64) -> f64 {
        let (from, to) = (self.currents.0.log10(), self.currents.1.log10());
        LEFT + (amps.log10() - from) / (to - from) * (RIGHT - LEFT)
    }
}

/// Draws the points at reference voltage and frequency.
pub fn svg(outcomes: &[Outcome], range: Range, class: Class) -> String {
    let lines: Vec<(usize, Vec<Spot>)> = Pf::ALL.iter().map(|pf| line(outcomes, *pf)).enumerate().collect();
    let spots = || lines.iter().flat_map(|(_, line)| line);
    let reach = |(_, bias, bar): &Spot| bias.abs() + bar;
    let largest = spots().map(reach).fold(0.0, f64::max);
    // What PF 1 needs; the bars of the smallest currents at the smallest power factors leave the lower picture.
    let unity = lines[0].1.iter().map(reach).fold(0.0, f64::max);
    let widest = Pf::ALL.iter().flat_map(|pf| steps(range, class, *pf)).map(|(_, limit)| limit).fold(0.0, f64::max);
    let ends = (range.currents()[0] / 1.35, range.currents()[9] * 1.35);
    let above = Frame { top: 70.0, bottom: 400.0, scale: full_scale(largest.max(widest * 1.1)), currents: ends };
    let below = Frame { top: 452.0, bottom: 748.0, scale: full_scale(unity * 1.05), currents: ends };

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let title = format!("Error of active energy against current, {}", range.name());
    text(&mut out, (LEFT, 30.0), "start", &format!("<tspan font-size=\"18\" font-weight=\"bold\">{title}</tspan>"));
    let words = format!("230 V, 50 Hz, balanced load, 10 s; bars: ±{COVERAGE} sigma of the noise");
    text(&mut out, (LEFT, 50.0), "start", &words);
    for (frame, limits) in [(&above, true), (&below, false)] {
        grid(&mut out, frame);
        if limits {
            limit_steps(&mut out, frame, range, class);
        }
        for (k, line) in lines.iter().rev() {
            curve(&mut out, frame, *k, line);
        }
        outline(&mut out, frame);
    }
    text(&mut out, (RIGHT, above.top - 8.0), "end", &format!("with the limits of {}", class.name()));
    text(&mut out, (RIGHT, below.top - 8.0), "end", "the same, magnified");
    text(&mut out, ((LEFT + RIGHT) / 2.0, HEIGHT - 26.0), "middle", "current per phase, A");
    legend(&mut out, above.top);
    out.push_str("</svg>\n");
    out
}

/// What was registered at a power factor.
fn line(outcomes: &[Outcome], pf: Pf) -> Vec<Spot> {
    let at_reference = |o: &&Outcome| o.point.is_reference() && o.point.load == Load::Active(pf);
    let spot = |o: &Outcome| Some((o.point.amps, o.figure.bias?, COVERAGE * o.figure.sigma));
    outcomes.iter().filter(at_reference).filter_map(spot).collect()
}

fn full_scale(value: f64) -> f64 {
    SCALES.into_iter().find(|scale| *scale >= value).unwrap_or(100.0)
}

/// Where the limit of a power factor begins and changes: current and limit, up to Imax.
fn steps(range: Range, class: Class, pf: Pf) -> Vec<(f64, f64)> {
    let mut borders = class.borders(range, pf.group());
    if !borders.is_empty() {
        borders.push(range.largest());
    }
    borders.into_iter().filter_map(|amps| Some((amps, class.balanced(range, pf.group(), amps)?))).collect()
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{words}</text>");
}

fn stroke(out: &mut String, points: &[(f64, f64)], style: &str) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" {style}/>", path.join(" "));
}

fn grid(out: &mut String, frame: &Frame) {
    for decade in -4..=3 {
        for digit in 1..=9 {
            let amps = f64::from(digit) * 10f64.powi(decade);
            if !(frame.currents.0..=frame.currents.1).contains(&amps) {
                continue;
            }
            let colour = if digit == 1 { "#c4c4c4" } else { "#ececec" };
            let x = frame.x(amps);
            stroke(out, &[(x, frame.top), (x, frame.bottom)], &format!("stroke=\"{colour}\""));
            if matches!(digit, 1 | 2 | 5) {
                text(out, (x, frame.bottom + 18.0), "middle", &format!("{}", (amps * 1e4).round() / 1e4));
            }
        }
    }
    let decimals = (2.0 - frame.scale.log10()).ceil().max(0.0) as usize;
    for n in -4..=4 {
        let percent = frame.scale * f64::from(n) / 4.0;
        let colour = if n == 0 { "#666" } else { "#dcdcdc" };
        stroke(out, &[(LEFT, frame.y(percent)), (RIGHT, frame.y(percent))], &format!("stroke=\"{colour}\""));
        let label = if n == 0 { "0 %".to_owned() } else { format!("{percent:+.decimals$} %").replace('-', "−") };
        text(out, (LEFT - 8.0, frame.y(percent) + 4.5), "end", &label);
    }
}

fn outline(out: &mut String, frame: &Frame) {
    let (width, height, top) = (RIGHT - LEFT, frame.bottom - frame.top, frame.top);
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#666\"/>"
    );
}

fn curve(out: &mut String, frame: &Frame, k: usize, line: &[Spot]) {
    let colour = COLOURS[k];
    let aside = (k as f64 - 2.0) * APART;
    let place = |(amps, bias, _): &Spot| (frame.x(*amps) + aside, frame.y(*bias));
    let path: Vec<(f64, f64)> = line.iter().map(place).collect();
    let dashes = DASHES[k];
    stroke(out, &path, &format!("stroke=\"{colour}\" stroke-width=\"1.6\" stroke-dasharray=\"{dashes}\""));
    for (spot, (x, y)) in line.iter().zip(path) {
        let ends = [spot.1 - spot.2, spot.1 + spot.2];
        let (low, high) = (frame.y(ends[0]), frame.y(ends[1]));
        let mut path = format!("M{x:.1},{low:.1}V{high:.1}");
        // A bar that leaves the frame has no end there.
        for end in ends.into_iter().filter(|end| end.abs() <= frame.scale) {
            let _ = write!(path, "M{:.1},{:.1}h5", x - 2.5, frame.y(end));
        }
        let _ = writeln!(out, "<path d=\"{path}\" stroke=\"{colour}\" fill=\"none\"/>");
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>");
    }
}

/// Unity solid with what is outside shaded, 0.5 dashed; mirrored below zero.
fn limit_steps(out: &mut String, frame: &Frame, range: Range, class: Class) {
    for (pf, dashes) in [(Pf::HalfInductive, "6 4"), (Pf::One, "none")] {
        let steps = steps(range, class, pf);
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { continue };
        for sign in [1.0, -1.0] {
            let mut points = Vec::new();
            let mut before = None;
            for (amps, limit) in &steps {
                points.extend(before.map(|before: f64| (frame.x(*amps), frame.y(sign * before))));
                points.push((frame.x(*amps), frame.y(sign * limit)));
                before = Some(*limit);
            }
            if pf == Pf::One {
                let edge = if sign > 0.0 { frame.top } else { frame.bottom };
                let mut area = points.clone();
                area.extend([(frame.x(last.0), edge), (frame.x(first.0), edge)]);
                let path: Vec<String> = area.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let _ =
                    writeln!(out, "<polygon points=\"{}\" fill=\"{LIMIT}\" fill-opacity=\"0.06\"/>", path.join(" "));
            }
            stroke(out, &points, &format!("stroke=\"{LIMIT}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\""));
        }
    }
}

fn legend(out: &mut String, top: f64) {
    let (from, to) = (RIGHT + 16.0, RIGHT + 48.0);
    let lines = Pf::ALL.iter().enumerate().map(|(k, pf)| (COLOURS[k], DASHES[k], format!("PF {}", pf.name())));
    let limits = [(LIMIT, "none", "limit PF 1"), (LIMIT, "6 4", "limit 0.5i")];
    let limits = limits.map(|(colour, dashes, words)| (colour, dashes, words.to_owned()));
    for (n, (colour, dashes, words)) in lines.chain(limits).enumerate() {
        let y = top + 14.0 + 22.0 * n as f64;
        let style = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"");
        stroke(out, &[(from, y), (to, y)], &style);
        text(out, (to + 8.0, y + 4.5), "start", &words.replace('-', "−"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Figure;
    use super::super::points;
    use super::*;

    #[test]
    fn limits_step_down_with_the_current_and_end_at_imax() {
        let range = Range::Direct100;
        assert_eq!(steps(range, Class::C, Pf::One), [(0.075, 1.0), (0.25, 0.5), (100.0, 0.5)]);
        assert_eq!(steps(range, Class::FifthS, Pf::HalfInductive), [(0.1, 0.5), (0.5, 0.3), (100.0, 0.3)]);
        assert_eq!(steps(range, Class::C, Pf::QuarterInductive), []);
    }

    #[test]
    fn the_picture_has_a_line_markers_and_bars_for_each_power_factor() {
        let range = Range::Direct100;
        let figure = Figure { bias: Some(0.01), sigma: 0.002, draws: Vec::new() };
        let outcomes: Vec<Outcome> = points::points(range, false)
            .into_iter()
            .filter(|point| point.is_reference() && matches!(point.load, Load::Active(_)))
            .map(|point| Outcome { point, figure: figure.clone() })
            .collect();
        let picture = svg(&outcomes, range, Class::C);
        assert_eq!(picture.matches("<circle").count(), 2 * 65, "13 currents, five power factors, two frames");
        for colour in COLOURS {
            assert_eq!(picture.matches(&format!("stroke=\"{colour}\" stroke-width=\"1.6\"")).count(), 2);
            assert_eq!(picture.matches(&format!("stroke=\"{colour}\" fill")).count(), 2 * 13, "bars");
        }
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }
}
