//! A rectangle of a picture blotted out.
//!
//! Zhong, Zheng, Kang, Li and Yang, "Random erasing data augmentation", 2017 (2 to 33 % of the area, shapes
//! of 3:10 to 10:3), as torchvision's `RandomErasing`: after the normalisation, so that 0 is the mean colour.

use bonfire_contract::SplitMix64;

const AREA: [f64; 2] = [0.02, 0.33];
const RATIO: f64 = 3.3;
const ATTEMPTS: usize = 10;

/// Blots out a rectangle of `[channels, height, width]` values with the given probability.
pub(super) fn erase(
    values: &mut [f32],
    [height, width]: [usize; 2],
    probability: f64,
    draws: &mut SplitMix64,
) {
    if draws.unit() >= probability {
        return;
    }
    for _ in 0..ATTEMPTS {
        let area = (height * width) as f64 * (AREA[0] + (AREA[1] - AREA[0]) * draws.unit());
        let ratio = (RATIO.ln() * (1.0 - 2.0 * draws.unit())).exp();
        let (tall, wide) = ((area * ratio).sqrt().round() as usize, (area / ratio).sqrt().round() as usize);
        if tall < height && wide < width {
            let top = draws.below((height - tall) as u64 + 1) as usize;
            let left = draws.below((width - wide) as u64 + 1) as usize;
            for plane in values.chunks_exact_mut(height * width) {
                for row in plane.chunks_exact_mut(width).skip(top).take(tall) {
                    row[left..left + wide].fill(0.0);
                }
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rectangle_of_the_published_area_is_erased_in_every_channel() {
        let (mut erased, mut areas) = (0, 0.0);
        for draw in 0..2_000 {
            let mut values = vec![1.0; 3 * 40 * 50];
            erase(&mut values, [40, 50], 0.25, &mut SplitMix64::new(bonfire_contract::mix(8, draw)));
            let holes: Vec<usize> = (0..2_000).filter(|at| values[*at] == 0.0).collect();
            assert_eq!(values.iter().filter(|value| **value == 0.0).count(), 3 * holes.len());
            let Some((first, last)) = holes.first().zip(holes.last()) else { continue };
            let (tall, wide) = (last / 50 - first / 50 + 1, last % 50 - first % 50 + 1);
            assert_eq!(tall * wide, holes.len());
            erased += 1;
            areas += holes.len() as f64 / 2_000.0;
        }
        assert!((430..570).contains(&erased), "{erased}");
        let mean = areas / f64::from(erased);
        assert!((0.14..0.2).contains(&mean), "{mean}");
    }
}
