//! A random part of the picture, of a random size and shape.
//!
//! Szegedy et al., "Going deeper with convolutions", 2014, section 6 (8 to 100 % of the area, shapes of 3:4
//! to 4:3), as torchvision's `RandomResizedCrop` draws it: ten attempts, and the middle where none fits.

use super::resize::Part;
use bonfire_contract::SplitMix64;

/// Width divided by height, at the least; the inverse at the most.
const NARROWEST: f64 = 3.0 / 4.0;

const ATTEMPTS: usize = 10;

/// A part of a picture of `[height, width]`, of at least the share `least` of its area.
pub(super) fn part([height, width]: [usize; 2], least: f64, draws: &mut SplitMix64) -> Part {
    let (full_height, full_width) = (height as f64, width as f64);
    for _ in 0..ATTEMPTS {
        let area = full_height * full_width * (least + (1.0 - least) * draws.unit());
        let ratio = (NARROWEST.ln() * (1.0 - 2.0 * draws.unit())).exp();
        let (height, width) = ((area / ratio).sqrt().round(), (area * ratio).sqrt().round());
        let fits = (1.0..=full_height).contains(&height) && (1.0..=full_width).contains(&width);
        if fits {
            let mut at = |room: f64| draws.below(room as u64 + 1) as f64;
            let (top, left) = (at(full_height - height), at(full_width - width));
            return Part { top, left, height, width };
        }
    }
    // As much of the middle as has a shape within the bounds.
    let (height, width) = match full_width / full_height {
        ratio if ratio < NARROWEST => ((full_width / NARROWEST).round(), full_width),
        ratio if ratio > 1.0 / NARROWEST => (full_height, (full_height / NARROWEST).round()),
        _ => (full_height, full_width),
    };
    let (height, width) = (height.clamp(1.0, full_height), width.clamp(1.0, full_width));
    let middle = |room: f64| (room / 2.0).floor();
    Part { top: middle(full_height - height), left: middle(full_width - width), height, width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_part_lies_in_its_picture(
            draw: u64, height in 1usize..5000, width in 1usize..5000, least in 0.01f64..=1.0,
        ) {
            let part = part([height, width], least, &mut SplitMix64::new(draw));
            prop_assert!(part.top >= 0.0 && part.left >= 0.0 && part.height >= 1.0 && part.width >= 1.0);
            prop_assert!(part.top + part.height <= height as f64 && part.left + part.width <= width as f64);
        }
    }

    #[test]
    fn areas_and_shapes_are_spread_as_published() {
        let parts: Vec<Part> = (0..4_000)
            .map(|n| part([600, 600], 0.08, &mut SplitMix64::new(bonfire_contract::mix(3, n))))
            .collect();
        let areas: Vec<f64> = parts.iter().map(|part| part.height * part.width / 360_000.0).collect();
        let shapes: Vec<f64> = parts.iter().map(|part| (part.width / part.height).ln()).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // Large parts are drawn anew where their shape does not fit: a little below the middle of 0.08 and 1.
        assert!((0.48..0.54).contains(&mean(&areas)), "{}", mean(&areas));
        assert!(mean(&shapes).abs() < 0.01, "{}", mean(&shapes));
        assert!(areas.iter().all(|area| (0.075..=1.0).contains(area)));
        assert!(shapes.iter().all(|shape| shape.abs() < 0.31));
        let below =
            |part: &&Part| part.top + part.height / 2.0 > 300.0 && part.left + part.width / 2.0 > 300.0;
        let corners = parts.iter().filter(below).count();
        assert!((900..1_100).contains(&corners), "{corners}");
    }

    #[test]
    fn what_no_shape_fits_gives_its_middle() {
        let found = part([10, 1000], 1.0, &mut SplitMix64::new(1));
        assert_eq!(found, Part { top: 0.0, left: 493.0, height: 10.0, width: 13.0 });
    }
}
