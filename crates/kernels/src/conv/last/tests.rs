use super::*;
use crate::activation::Activation;
use crate::testing::random;

/// Numbers in `[-1, 1)`.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    random(&[count], seed).values
}

#[derive(Clone, Copy, Debug)]
struct Case {
    images: usize,
    size: [usize; 2],
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Case {
    fn of(images: usize, size: usize, [inputs, outputs]: [usize; 2], kernel: usize, stride: usize) -> Case {
        let (size, kernel, padding) = ([size; 2], [kernel; 2], kernel / 2);
        Case { images, size, inputs, outputs, kernel, stride, padding, dilation: 1 }
    }

    fn options(&self) -> ConvOptions {
        let Case { stride, padding, dilation, .. } = *self;
        ConvOptions { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups: 1 }
    }

    fn weight_shape(&self) -> [usize; 4] {
        [self.outputs, self.inputs, self.kernel[0], self.kernel[1]]
    }

    fn input(&self) -> Vec<f32> {
        numbers(self.images * self.size[0] * self.size[1] * self.inputs, 3)
    }

    fn weight(&self) -> Vec<f32> {
        numbers(self.weight_shape().iter().product(), 5)
    }

    fn run(&self, way: Way, x: &[f32], weight: &[f32], order: Order, finish: Finish) -> Vec<f32> {
        let layer = Layer::by(way, weight, self.weight_shape(), self.options(), order);
        let [height, width] = layer.out(self.size);
        let mut to = vec![f32::NAN; self.images * height * width * self.outputs];
        layer.run(x, self.images, self.size, finish, &mut to);
        to
    }

    /// The sums in double precision, and the largest sum of magnitudes.
    fn twin(&self, x: &[f32], weight: &[f32], order: Order) -> (Vec<f64>, f64) {
        let Case { images, size: [height, width], inputs, outputs, kernel, stride, padding, dilation } =
            *self;
        let out = self.out();
        let (mut sums, mut largest) = (Vec::new(), 0.0f64);
        for place in 0..images * out[0] * out[1] {
            let (image, i, j) = (place / (out[0] * out[1]), place / out[1] % out[0], place % out[1]);
            for output in 0..outputs {
                let (mut sum, mut magnitude) = (0.0, 0.0);
                for tap in 0..kernel[0] * kernel[1] {
                    let y = (i * stride + tap / kernel[1] * dilation).wrapping_sub(padding);
                    let z = (j * stride + tap % kernel[1] * dilation).wrapping_sub(padding);
                    if y >= height || z >= width {
                        continue;
                    }
                    for input in 0..inputs {
                        let at = match order {
                            Order::Last => ((image * height + y) * width + z) * inputs + input,
                            Order::First => ((image * inputs + input) * height + y) * width + z,
                        };
                        let weight = weight[(output * inputs + input) * kernel[0] * kernel[1] + tap];
                        let product = f64::from(x[at]) * f64::from(weight);
                        sum += product;
                        magnitude += product.abs();
                    }
                }
                sums.push(sum);
                largest = largest.max(magnitude);
            }
        }
        (sums, largest)
    }

    fn out(&self) -> [usize; 2] {
        Windows::new(self.size, self.kernel, [self.stride; 2], [self.padding; 2], [self.dilation; 2]).out
    }

    /// The ways that serve the case.
    fn ways(&self) -> Vec<Way> {
        let winograd = self.kernel == [3, 3] && self.stride == 1 && self.dilation == 1;
        if winograd { vec![Way::Direct, Way::Winograd2, Way::Winograd4] } else { vec![Way::Direct] }
    }

    /// Asserts that each way's numbers are within its bound of the twin's. Returns the largest error found, as
    /// a share of the bound.
    fn check(&self, order: Order) -> f64 {
        let (x, weight) = (self.input(), self.weight());
        let (sums, largest) = self.twin(&x, &weight, order);
        let ways = if order == Order::First { vec![Way::Direct] } else { self.ways() };
        let mut worst = 0.0f64;
        for way in ways {
            let found = self.run(way, &x, &weight, order, Finish::default());
            assert_eq!(found.len(), sums.len());
            for (place, (found, expected)) in found.iter().zip(&sums).enumerate() {
                let share = (f64::from(*found) - expected).abs() / (way.error() * largest.max(1e-30));
                assert!(share <= 1.0, "{self:?} {way:?}: {found} at {place}, expected {expected}");
                worst = worst.max(share);
            }
        }
        worst
    }
}

#[test]
fn all_ways_find_the_sums_of_loops() {
    for channels in [[1, 1], [3, 17], [15, 24], [16, 16], [17, 40], [24, 15], [64, 64], [40, 1000], [300, 8]]
    {
        for (size, kernel, stride) in [
            (1, 1, 1),
            (1, 3, 1),
            (2, 3, 1),
            (7, 3, 1),
            (9, 1, 1),
            (9, 3, 2),
            (10, 5, 3),
            (13, 3, 1),
            (8, 1, 2),
        ] {
            Case::of(1, size, channels, kernel, stride).check(Order::Last);
        }
    }
    Case::of(3, 14, [48, 32], 3, 1).check(Order::Last);
    Case::of(2, 30, [16, 24], 3, 1).check(Order::Last);
    Case::of(2, 11, [300, 40], 3, 1).check(Order::Last);
    Case::of(1, 23, [1100, 72], 1, 1).check(Order::Last);
    Case::of(2, 9, [600, 72], 3, 2).check(Order::Last);
}

#[test]
fn planes_kernels_and_strides_of_any_shape() {
    for order in [Order::Last, Order::First] {
        for inputs in [1, 3, 20] {
            let case = Case::of(2, 23, [inputs, 64], 7, 2);
            case.check(order);
            Case { size: [5, 31], kernel: [3, 5], padding: 0, ..case }.check(order);
            Case { size: [12, 9], kernel: [2, 3], dilation: 2, stride: 1, ..case }.check(order);
            Case { size: [4, 3], kernel: [1, 1], padding: 2, ..case }.check(order);
            Case { size: [3, 3], kernel: [3, 3], padding: 4, stride: 1, ..case }.check(order);
            Case { size: [3, 40], kernel: [3, 3], padding: 0, stride: 1, ..case }.check(order);
        }
    }
}

#[test]
fn errors_stay_within_their_bounds_where_sums_are_long() {
    for channels in [[64, 64], [512, 48]] {
        let worst = Case::of(1, 14, channels, 3, 1).check(Order::Last);
        assert!(worst > 1e-3, "a bound that nothing comes near: {worst}");
    }
}

#[test]
fn sums_are_scaled_shifted_and_added_to() {
    let case = Case::of(2, 6, [18, 21], 3, 1);
    let (x, weight) = (case.input(), case.weight());
    let (sums, largest) = case.twin(&x, &weight, Order::Last);
    let (scale, shift, residual) = (numbers(21, 7), numbers(21, 9), numbers(sums.len(), 11));
    for (way, number) in [(Way::Direct, 0usize), (Way::Winograd2, 1), (Way::Winograd4, 2)] {
        for given in 0..8 {
            let finish = Finish {
                scale: (given & 1 > 0).then_some(&scale[..]),
                shift: (given & 2 > 0).then_some(&shift[..]),
                residual: (given & 4 > 0).then_some(&residual[..]),
                activation: [Activation::Identity, Activation::Relu, Activation::Relu6][(given + number) % 3],
            };
            let found = case.run(way, &x, &weight, Order::Last, finish);
            for (place, sum) in sums.iter().enumerate() {
                let factor = finish.scale.map_or(1.0, |scale| f64::from(scale[place % 21]));
                let mut value = factor * sum + finish.shift.map_or(0.0, |shift| f64::from(shift[place % 21]));
                value += finish.residual.map_or(0.0, |residual| f64::from(residual[place]));
                let expected = match finish.activation {
                    Activation::Relu => value.max(0.0),
                    Activation::Relu6 => value.clamp(0.0, 6.0),
                    _ => value,
                };
                let close = (f64::from(found[place]) - expected).abs() <= 2.0 * way.error() * largest;
                assert!(close, "{way:?} {finish:?}: {} at {place}, expected {expected}", found[place]);
            }
        }
    }
}

#[test]
fn every_activation_is_the_one_asked_for() {
    let case = Case::of(1, 5, [4, 10], 1, 1);
    let (x, weight) = (case.input(), case.weight());
    let sums = case.run(Way::Direct, &x, &weight, Order::Last, Finish::default());
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Tanh] {
        let finish = Finish { activation, ..Finish::default() };
        let found = case.run(Way::Direct, &x, &weight, Order::Last, finish);
        for (found, sum) in found.iter().zip(&sums) {
            let x = f64::from(*sum);
            let gate = |u: f64| 1.0 / (1.0 + (-u).exp());
            let cubic = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let expected = match activation {
                Activation::GeluTanh => x * gate(2.0 * cubic),
                Activation::Silu => x * gate(x),
                Activation::Tanh => x.tanh(),
                // the two forms of GELU differ by less than 1e-3
                _ => x * gate(2.0 * cubic),
            };
            let bound = if activation == Activation::Gelu { 1e-3 } else { 1e-6 };
            assert!(
                (f64::from(*found) - expected).abs() < bound,
                "{activation:?} of {x}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn answers_have_the_same_bits_in_any_batch_and_for_any_threads() {
    for case in [
        Case::of(5, 7, [40, 100], 3, 1),
        Case::of(5, 29, [16, 16], 3, 1),
        Case::of(5, 14, [70, 64], 1, 1),
        Case::of(5, 9, [530, 300], 3, 2),
        Case::of(5, 33, [3, 64], 7, 2),
    ] {
        let (x, weight) = (case.input(), case.weight());
        for way in case.ways() {
            let all = case.run(way, &x, &weight, Order::Last, Finish::default());
            let (one, out) = (Case { images: 1, ..case }, all.len() / 5);
            for threads in [1, 2, 3, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let again = case.run(way, &x, &weight, Order::Last, Finish::default());
                    assert!(again == all, "{case:?} {way:?} by {threads} threads");
                    for (image, x) in x.chunks_exact(x.len() / 5).enumerate() {
                        let alone = one.run(way, x, &weight, Order::Last, Finish::default());
                        let same = alone == all[image * out..(image + 1) * out];
                        assert!(same, "{case:?} {way:?}: image {image} alone by {threads} threads");
                    }
                });
            }
        }
    }
}

#[test]
fn nothing_in_nothing_out() {
    let case = Case::of(0, 7, [20, 20], 3, 1);
    for way in case.ways() {
        assert!(case.run(way, &[], &case.weight(), Order::Last, Finish::default()).is_empty());
    }
    let case = Case::of(2, 7, [20, 0], 3, 1);
    for way in case.ways() {
        assert!(case.run(way, &case.input(), &[], Order::Last, Finish::default()).is_empty());
    }
    let case = Case::of(2, 7, [0, 20], 3, 1);
    let shift = numbers(20, 1);
    for way in case.ways() {
        let finish = Finish { shift: Some(&shift), ..Finish::default() };
        let found = case.run(way, &[], &[], Order::Last, finish);
        assert!(found.chunks_exact(20).all(|pixel| pixel == shift), "{way:?}");
    }
}

/// The output pixels with a number that is not finite, of one image.
fn spoilt(found: &[f32], channels: usize) -> Vec<usize> {
    let pixels = found.chunks_exact(channels).enumerate();
    pixels.filter(|(_, pixel)| pixel.iter().any(|value| !value.is_finite())).map(|(pixel, _)| pixel).collect()
}

#[test]
fn infinities_and_nan_reach_their_windows_and_no_further_than_their_tiles() {
    let case = Case::of(1, 12, [20, 17], 3, 1);
    let weight: Vec<f32> = case.weight().into_iter().map(|weight| weight.abs() + 0.1).collect();
    for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let (y, z) = (5, 6);
        let mut x = case.input();
        x[(y * 12 + z) * 20 + 3] = value;
        for way in case.ways() {
            let found = case.run(way, &x, &weight, Order::Last, Finish::default());
            let tile = match way {
                Way::Direct => 1,
                Way::Winograd2 => 2,
                Way::Winograd4 => 4,
            };
            for pixel in 0..144 {
                let (i, j) = (pixel / 12, pixel % 12);
                let held = |at: usize, place: usize| (at + 1).abs_diff(place + 1) <= 1;
                let near = |at: usize, place: usize| {
                    let first = at / tile * tile;
                    (first..first + tile).any(|at| held(at, place))
                };
                let bad = spoilt(&found[pixel * 17..][..17], 17) == [0];
                assert!(!(held(i, y) && held(j, z)) || bad, "{way:?} hides {value} at {i}, {j}");
                assert!(!bad || (near(i, y) && near(j, z)), "{way:?} brings {value} to {i}, {j}");
            }
        }
    }
}

#[test]
fn numbers_at_the_ends_of_the_range() {
    let case = Case::of(1, 9, [32, 20], 3, 1);
    let (x, weight) = (case.input(), case.weight());
    for factor in [1e-42f32, 1e-36, 1e-20, 1e20, 1e32] {
        let x: Vec<f32> = x.iter().map(|value| value * factor).collect();
        let (sums, largest) = case.twin(&x, &weight, Order::Last);
        for way in case.ways() {
            let found = case.run(way, &x, &weight, Order::Last, Finish::default());
            // below its smallest normal number f32 has fewer digits, and transforms multiply by up to 361
            let bound =
                (way.error() * largest).max(1e3 * f64::from(f32::MIN_POSITIVE) * f64::from(f32::EPSILON));
            for (found, expected) in found.iter().zip(&sums) {
                let close = (f64::from(*found) - expected).abs() <= bound;
                assert!(close, "{way:?} at {factor:e}: {found}, expected {expected}");
            }
        }
    }
}

#[test]
fn ways_follow_the_weight_alone() {
    let of = |outputs, inputs, kernel, stride, order| {
        let options = ConvOptions { stride: [stride; 2], ..ConvOptions::default() };
        Way::of([outputs, inputs, kernel, kernel], options, order)
    };
    assert_eq!(of(64, 64, 3, 1, Order::Last), Way::Winograd4);
    assert_eq!(of(512, 512, 3, 1, Order::Last), Way::Winograd2);
    assert_eq!(of(64, 64, 3, 2, Order::Last), Way::Direct);
    assert_eq!(of(64, 64, 1, 1, Order::Last), Way::Direct);
    assert_eq!(of(64, 3, 3, 1, Order::Last), Way::Direct);
    assert_eq!(of(64, 64, 3, 1, Order::First), Way::Direct);
}

#[test]
#[should_panic(expected = "the input of 1 images")]
fn inputs_of_another_size_are_refused() {
    let case = Case::of(1, 4, [3, 4], 3, 1);
    case.run(Way::Direct, &case.input()[1..], &case.weight(), Order::Last, Finish::default());
}

#[test]
#[should_panic(expected = "the residual of an output")]
fn residuals_of_another_size_are_refused() {
    let case = Case::of(1, 4, [3, 4], 3, 1);
    let finish = Finish { residual: Some(&[0.0; 3]), ..Finish::default() };
    case.run(Way::Direct, &case.input(), &case.weight(), Order::Last, finish);
}
