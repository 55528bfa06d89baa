//! Error against current as an SVG picture, in the form that data sheets use.
//!
//! Two pictures over the same logarithmic axis of current: above with the limits of the class as steps, below magnified
//! to what the errors need. One line per power factor; each point is one measurement of ten seconds with noise.

use std::fmt::Write;

use super::classes::{Class, I_MAX};
use super::measure::Outcome;
use super::points::{Kind, Pf};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 800.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 770.0;
/// Ends of the current axis, decades of A.
const DECADES: (f64, f64) = (-2.0, 2.2);
/// Colours that people with any kind of colour vision tell apart, in the order of [`Pf::ALL`].
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#444444"];
/// Markers differ too, for print without colours.
const DASHES: [&str; 5] = ["none", "7 3", "2 3", "9 3 2 3", "4 2"];
/// Full scales of the vertical axis, %, of which the smallest that holds everything is taken.
const SCALES: [f64; 11] = [0.01, 0.02, 0.04, 0.08, 0.2, 0.4, 0.8, 1.2, 2.0, 4.0, 8.0];

/// Top and bottom of a picture, and its vertical full scale, %.
struct Frame {
    top: f64,
    bottom: f64,
    scale: f64,
}

impl Frame {
    fn y(&self, percent: f64) -> f64 {
        let middle = (self.top + self.bottom) / 2.0;
        middle - (percent / self.scale).clamp(-1.0, 1.0) * (self.bottom - self.top) / 2.0
    }
}

fn x(amps: f64) -> f64 {
    LEFT + (amps.log10() - DECADES.0) / (DECADES.1 - DECADES.0) * (RIGHT - LEFT)
}

/// Draws the points at reference voltage and frequency.
pub fn svg(outcomes: &[Outcome], class: Class) -> String {
    let lines: Vec<(usize, Vec<(f64, f64)>)> = Pf::ALL.iter().map(|pf| line(outcomes, *pf)).enumerate().collect();
    let largest = lines.iter().flat_map(|(_, line)| line).map(|(_, error)| error.abs()).fold(0.0, f64::max);
    let widest = Pf::ALL.iter().flat_map(|pf| steps(class, *pf)).map(|(_, limit)| limit).fold(0.0, f64::max);
    let above = Frame { top: 60.0, bottom: 390.0, scale: full_scale(largest.max(widest * 1.1)) };
    let below = Frame { top: 440.0, bottom: 730.0, scale: full_scale(largest * 1.05) };

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let title = format!("Error of active energy against current, 230 V, 50 Hz; {}", class.names().0);
    text(&mut out, (LEFT, 32.0), "start", &format!("<tspan font-size=\"17\">{title}</tspan>"));
    for (frame, limits) in [(&above, true), (&below, false)] {
        grid(&mut out, frame);
        for (k, line) in lines.iter().rev() {
            curve(&mut out, frame, line, COLOURS[*k], DASHES[*k]);
        }
        if limits {
            limit_steps(&mut out, frame, class);
        }
    }
    text(&mut out, (RIGHT, above.top - 8.0), "end", "with the limits of the class");
    text(&mut out, (RIGHT, below.top - 8.0), "end", "the same, magnified");
    text(&mut out, ((LEFT + RIGHT) / 2.0, HEIGHT - 22.0), "middle", "current, A");
    legend(&mut out, above.top);
    out.push_str("</svg>\n");
    out
}

fn line(outcomes: &[Outcome], pf: Pf) -> Vec<(f64, f64)> {
    let at_reference = |o: &&Outcome| o.point.kind == Kind::Active(pf) && o.point.f == 50.0 && o.point.u == 1.0;
    outcomes.iter().filter(at_reference).filter_map(|o| Some((o.point.amps, o.error?))).collect()
}

fn full_scale(value: f64) -> f64 {
    SCALES.into_iter().find(|scale| *scale >= value).unwrap_or(100.0)
}

/// Where the limit of a power factor begins and changes: current and limit, up to Imax.
fn steps(class: Class, pf: Pf) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    // 1 mA apart at the low end, where borders are: every border of every table is a multiple.
    for amps in (1..=5000).map(|n| f64::from(n) / 1e3).chain([I_MAX]) {
        let limit = class.balanced(pf.group(), amps);
        if let Some(limit) = limit.filter(|limit| amps == I_MAX || out.last().is_none_or(|(_, last)| last != limit)) {
            out.push((amps, limit));
        }
    }
    out
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
    for decade in -2..=2 {
        for digit in 1..=9 {
            let amps = f64::from(digit) * 10f64.powi(decade);
            if x(amps) > RIGHT {
                break;
            }
            let colour = if digit == 1 { "#bbb" } else { "#eee" };
            stroke(out, &[(x(amps), frame.top), (x(amps), frame.bottom)], &format!("stroke=\"{colour}\""));
            if digit == 1 {
                text(out, (x(amps), frame.bottom + 17.0), "middle", &format!("{amps}"));
            }
        }
    }
    let decimals = (2.0 - frame.scale.log10()).ceil().max(0.0) as usize;
    for n in -4..=4 {
        let percent = frame.scale * f64::from(n) / 4.0;
        let colour = if n == 0 { "#555" } else { "#ddd" };
        stroke(out, &[(LEFT, frame.y(percent)), (RIGHT, frame.y(percent))], &format!("stroke=\"{colour}\""));
        let label = if n == 0 { "0 %".to_owned() } else { format!("{percent:+.decimals$} %") };
        text(out, (LEFT - 7.0, frame.y(percent) + 4.0), "end", &label);
    }
    let (width, height) = (RIGHT - LEFT, frame.bottom - frame.top);
    let top = frame.top;
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#555\"/>"
    );
}

fn curve(out: &mut String, frame: &Frame, line: &[(f64, f64)], colour: &str, dashes: &str) {
    let points: Vec<(f64, f64)> = line.iter().map(|(amps, error)| (x(*amps), frame.y(*error))).collect();
    stroke(out, &points, &format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\""));
    for (x, y) in points {
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
}

/// Unity solid, the other power factors dashed, mirrored below zero.
fn limit_steps(out: &mut String, frame: &Frame, class: Class) {
    for (pf, dashes) in [(Pf::HalfInductive, "6 4"), (Pf::One, "none")] {
        for sign in [1.0, -1.0] {
            let mut points = Vec::new();
            let mut last = None;
            for (amps, limit) in steps(class, pf) {
                points.extend(last.map(|last| (x(amps), frame.y(sign * last))));
                points.push((x(amps), frame.y(sign * limit)));
                last = Some(limit);
            }
            stroke(out, &points, &format!("stroke=\"#c00000\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\""));
        }
    }
}

fn legend(out: &mut String, top: f64) {
    let (from, to) = (RIGHT + 14.0, RIGHT + 46.0);
    let lines = Pf::ALL.iter().enumerate().map(|(k, pf)| (COLOURS[k], DASHES[k], format!("PF {}", pf.name())));
    let limits = [("#c00000", "none", "limit PF 1"), ("#c00000", "6 4", "limit 0.5i")];
    let limits = limits.map(|(colour, dashes, words)| (colour, dashes, words.to_owned()));
    for (n, (colour, dashes, words)) in lines.chain(limits).enumerate() {
        let y = top + 14.0 + 22.0 * n as f64;
        let style = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"");
        stroke(out, &[(from, y), (to, y)], &style);
        text(out, (to + 7.0, y + 4.0), "start", &words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::points;

    #[test]
    fn limits_step_down_with_the_current_and_end_at_imax() {
        assert_eq!(steps(Class::C, Pf::One), [(0.075, 1.0), (0.25, 0.5), (100.0, 0.5)]);
        assert_eq!(steps(Class::Fifth, Pf::HalfInductive), [(0.1, 0.5), (0.5, 0.3), (100.0, 0.3)]);
        assert_eq!(steps(Class::C, Pf::QuarterInductive), []);
    }

    #[test]
    fn the_picture_has_a_line_and_markers_for_each_power_factor() {
        let reference = |point: &points::Point| matches!(point.kind, Kind::Active(_)) && point.f == 50.0;
        let outcomes: Vec<Outcome> = points::points(false)
            .into_iter()
            .filter(|point| reference(point) && point.u == 1.0)
            .map(|point| Outcome { point, error: Some(0.01), bias: Some(0.0), limit: None })
            .collect();
        let picture = svg(&outcomes, Class::C);
        assert_eq!(picture.matches("<circle").count(), 2 * 50, "ten currents, five power factors, two frames");
        for colour in COLOURS {
            assert_eq!(picture.matches(&format!("stroke=\"{colour}\"")).count(), 3);
        }
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }
}
