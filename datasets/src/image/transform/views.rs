//! Several crops of a picture, for a model to be asked about each.
//!
//! Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, section 4.1,
//! and torchvision's `FiveCrop` and `TenCrop`, which give the centre last.

use super::super::picture::Picture;
use super::{Transform, WrongSize, place};

impl Transform {
    /// `[views, channels, height, width]` values: the centre crop; of five views the crops at the four
    /// corners behind it; of ten then these five of the mirrored picture. Not augmented.
    pub(in crate::image) fn views(&self, picture: Picture, views: usize) -> Result<Vec<f32>, WrongSize> {
        const CROPS: usize = 5;
        let (mut picture, centre) = self.scaled(picture)?;
        let [height, width] = self.size;
        let [bottom, right] = [picture.height - height, picture.width - width];
        let corners = [centre, [0, 0], [0, right], [bottom, 0], [bottom, right]];
        let mut output = Vec::with_capacity(views * self.channels() * height * width);
        for view in 0..views {
            if view == CROPS {
                picture = place::mirror(picture);
            }
            let corner = corners[view % CROPS].map(|at| at as isize);
            self.normalise(&place::cut(picture.clone(), corner, self.size), &mut output);
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Augment;
    use super::*;
    use crate::image::schema::tests::schema;
    use std::borrow::Cow;

    #[test]
    fn views_are_the_centre_the_corners_and_their_mirrors() {
        let mut schema = schema(1, 2, 3);
        schema.center_crop = Some([2, 3]);
        let transform = Transform::new(&schema, Augment::default());
        // Row y holds 10 y, 10 y + 1, ...
        let pixels = Cow::Owned((0..20u8).map(|at| at / 5 * 10 + at % 5).collect());
        let picture = Picture { channels: 1, height: 4, width: 5, full: [4, 5], pixels };
        let shown = |views: usize| -> Vec<Vec<u8>> {
            let values = transform.views(picture.clone(), views).unwrap();
            let pixels: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
            pixels.chunks(6).map(<[u8]>::to_vec).collect()
        };
        let corners = [[11, 12, 13, 21, 22, 23], [0, 1, 2, 10, 11, 12], [2, 3, 4, 12, 13, 14]];
        let lower = [[20, 21, 22, 30, 31, 32], [22, 23, 24, 32, 33, 34]];
        let five: Vec<Vec<u8>> = corners.iter().chain(&lower).map(|view| view.to_vec()).collect();
        assert_eq!(shown(5), five);
        assert_eq!(shown(1)[0], five[0]);
        let ten = shown(10);
        assert_eq!(ten[..5], five);
        // The upper left of the mirrored picture is the mirrored upper right.
        assert_eq!((&ten[5][..], &ten[6][..]), (&[13, 12, 11, 23, 22, 21][..], &[4, 3, 2, 14, 13, 12][..]));
        let small = Picture { height: 1, width: 20, full: [1, 20], ..picture.clone() };
        assert!(transform.views(small, 5).is_err());
    }
}
