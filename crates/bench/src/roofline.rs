//! The ops under the machine's ceilings, drawn as SVG (Williams, Waterman and Patterson, "Roofline", 2009).
//!
//! Across: additions and multiplications a byte. Up: 10⁹ additions and multiplications a second. Both axes
//! are logarithmic. An op far below the roof wastes speed. An op above the slope finds its numbers in a
//! cache.

use crate::ceilings::Ceilings;
use crate::measure::Measured;
use crate::ops;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 600.0;
/// Space around the drawing, for the axes: left, top, right, bottom.
const MARGIN: [f64; 4] = [70.0, 40.0, 30.0, 60.0];
/// The width of a letter and the height of a label's line, in pixels at a font size of 13.
const LETTER: [f64; 2] = [7.2, 15.0];

/// `bonfire-bench roofline`.
pub(crate) fn report(asked: &[String], output: &Path) -> Result<ExitCode> {
    let mut points = Vec::new();
    let ceilings = ops::measure(asked, |_, measured| points.push(Point::new(&measured)))?;
    std::fs::write(output, draw(&ceilings, &points)).with_context(|| output.display().to_string())?;
    eprintln!("{}: {} ops", output.display(), points.len());
    Ok(ExitCode::SUCCESS)
}

/// An op, forward and backward together.
#[derive(Clone, Debug)]
pub struct Point {
    /// The op's name.
    pub name: String,
    /// Additions and multiplications a byte.
    pub intensity: f64,
    /// 10⁹ additions and multiplications a second.
    pub gflops: f64,
}

impl Point {
    fn new(measured: &Measured) -> Self {
        let whole = measured.whole();
        Point { name: measured.name.into(), intensity: whole.intensity(), gflops: whole.gflops() }
    }
}

/// A logarithmic axis, mapped to pixels.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    /// The pixels of `low` and `high`.
    ends: [f64; 2],
}

impl Axis {
    /// An axis from half the least number to twice the greatest.
    fn around(numbers: impl Iterator<Item = f64> + Clone, ends: [f64; 2]) -> Self {
        let low = numbers.clone().fold(f64::INFINITY, f64::min) / 2.0;
        let high = numbers.fold(0.0, f64::max) * 2.0;
        Axis { low, high, ends }
    }

    fn at(&self, number: f64) -> f64 {
        let share = (number / self.low).ln() / (self.high / self.low).ln();
        self.ends[0] + share * (self.ends[1] - self.ends[0])
    }

    /// The marks: 1, 2 and 5 times powers of ten, or the powers alone if there are many.
    fn marks(&self) -> Vec<f64> {
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let steps: &[f64] = if powers.clone().count() > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let marks = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        marks.filter(|mark| (self.low..=self.high).contains(mark)).collect()
    }
}

/// The drawing, as a whole SVG file.
pub fn draw(ceilings: &Ceilings, points: &[Point]) -> String {
    let ridge = ceilings.gflops / ceilings.gigabytes;
    let x = Axis::around(
        points.iter().map(|point| point.intensity).chain([ridge]),
        [MARGIN[0], WIDTH - MARGIN[2]],
    );
    let y = Axis::around(
        points.iter().map(|point| point.gflops).chain([ceilings.gflops]),
        [HEIGHT - MARGIN[3], MARGIN[1]],
    );
    let mut svg = String::new();
    let mut add = |line: &str| writeln!(svg, "{line}").expect("a string takes every line");
    add(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">"
    ));
    add(&format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"));
    for mark in x.marks() {
        let at = x.at(mark);
        add(&line([at, y.ends[0], at, y.ends[1]], "#ddd"));
        add(&text(at, y.ends[0] + 18.0, "middle", &mark.to_string()));
    }
    for mark in y.marks() {
        let at = y.at(mark);
        add(&line([x.ends[0], at, x.ends[1], at], "#ddd"));
        add(&text(x.ends[0] - 8.0, at + 4.0, "end", &mark.to_string()));
    }
    add(&text((x.ends[0] + x.ends[1]) / 2.0, HEIGHT - 14.0, "middle", "FLOP a byte"));
    add(&text(14.0, 20.0, "start", "GFLOP/s"));

    // the slope starts where it enters the drawing, on its left or from below
    let start = x.low.max(y.low / ceilings.gigabytes);
    let top = y.at(ceilings.gflops);
    add(&line([x.at(start), y.at(start * ceilings.gigabytes), x.at(ridge), top], "#c33"));
    add(&line([x.at(ridge), top, x.ends[1], top], "#c33"));
    let product = format!("matrix product: {:.0} GFLOP/s", ceilings.gflops);
    add(&text(x.ends[1], top - 8.0, "end", &product));
    let copy = format!("copy: {:.1} GB/s", ceilings.gigabytes);
    add(&text(x.at(ridge) - 8.0, top - 8.0, "end", &copy));

    let mut taken: Vec<([f64; 2], f64)> = [&product, &copy]
        .into_iter()
        .zip([x.ends[1], x.at(ridge) - 8.0])
        .map(|(words, end)| ([end - width(words), end], top - 12.0))
        .chain(points.iter().map(|point| (x.at(point.intensity), y.at(point.gflops))).map(dot))
        .collect();
    for point in points {
        let (at, up) = (x.at(point.intensity), y.at(point.gflops));
        add(&format!("<circle cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"4\" fill=\"#26c\"/>"));
        let width = width(&point.name);
        let left = if at + 10.0 + width > WIDTH { at - 10.0 - width } else { at + 10.0 };
        let row = free_row(&mut taken, [left, left + width], up);
        if row != up {
            let near = if left > at { left - 2.0 } else { left + width + 2.0 };
            add(&line([at, up, near, row], "#999"));
        }
        add(&text(left, row + 4.0, "start", &point.name));
    }
    add("</svg>");
    svg
}

/// The horizontal extent of a dot, and its row.
fn dot((x, y): (f64, f64)) -> ([f64; 2], f64) {
    ([x - 5.0, x + 5.0], y)
}

/// The approximate width of a label, in pixels.
fn width(words: &str) -> f64 {
    LETTER[0] * words.chars().count() as f64
}

/// The row nearest to `wanted` on which a label with these two sides covers no other.
fn free_row(taken: &mut Vec<([f64; 2], f64)>, sides: [f64; 2], wanted: f64) -> f64 {
    let covers = |row: f64| {
        taken
            .iter()
            .any(|(other, its)| sides[0] < other[1] && other[0] < sides[1] && (row - its).abs() < LETTER[1])
    };
    let rows = (0..).flat_map(|step| [-1.0, 1.0].map(|side| wanted + side * f64::from(step) * LETTER[1]));
    let row = rows.into_iter().find(|row| !covers(*row)).expect("rows never end");
    taken.push((sides, row));
    row
}

fn line([x1, y1, x2, y2]: [f64; 4], colour: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>")
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings { gflops: 320.0, gigabytes: 20.0 };

    fn points() -> Vec<Point> {
        let point = |name: &str, intensity, gflops| Point { name: name.into(), intensity, gflops };
        vec![
            point("matmul", 85.0, 310.0),
            point("linear", 84.0, 305.0),
            point("a < b & c", 0.25, 3.0),
            point("pool", 0.25, 3.1),
            point("the far one of a long name", 900.0, 200.0),
        ]
    }

    /// Asserts that tags open and close in turn, attributes are quoted, and text holds no bare sign of
    /// markup.
    fn assert_well_formed(xml: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = xml.trim();
        while let Some(start) = rest.find('<') {
            let words = &rest[..start];
            assert!(!words.contains('>'), "{words}");
            for (at, _) in words.match_indices('&') {
                let entities = ["&amp;", "&lt;", "&gt;"];
                assert!(entities.iter().any(|entity| words[at..].starts_with(entity)), "{words}");
            }
            let end = start + rest[start..].find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            assert!(name.chars().all(char::is_alphabetic) && !name.is_empty(), "{tag}");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            rest = &rest[end + 1..];
            assert!(!open.is_empty() || rest.is_empty(), "one root, and nothing behind it");
        }
        assert!(open.is_empty() && rest.is_empty());
    }

    #[test]
    fn a_drawing_is_xml_with_one_dot_and_one_label_an_op() {
        let svg = draw(&CEILINGS, &points());
        assert_well_formed(&svg);
        assert_eq!(svg.matches("<circle").count(), 5);
        for name in ["matmul", "a &lt; b &amp; c", "pool"] {
            assert_eq!(svg.matches(&format!(">{name}<")).count(), 1, "{name}");
        }
        assert_well_formed(&draw(&CEILINGS, &[]));
    }

    #[test]
    fn everything_is_inside_and_labels_do_not_cover_each_other() {
        let mut taken = Vec::new();
        let rows: Vec<f64> = (0..5).map(|_| free_row(&mut taken, [0.0, 50.0], 100.0)).collect();
        for (index, row) in rows.iter().enumerate() {
            assert!(rows[..index].iter().all(|other| (row - other).abs() >= LETTER[1]), "{rows:?}");
        }
        assert_eq!(free_row(&mut taken, [60.0, 90.0], 100.0), 100.0);
        let svg = draw(&CEILINGS, &points());
        for (attribute, most) in [("x", WIDTH), ("x1", WIDTH), ("x2", WIDTH), ("y", HEIGHT), ("y1", HEIGHT)] {
            for part in svg.split(&format!(" {attribute}=\"")).skip(1) {
                let number: f64 = part[..part.find('"').unwrap()].parse().unwrap();
                assert!((0.0..=most).contains(&number), "{attribute}={number}");
            }
        }
    }
}
