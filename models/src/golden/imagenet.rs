//! The models of ImageNet against torchvision's and timm's own: names and sizes of all tensors, logits,
//! gradients, and the weights after ten steps of training.
//!
//! `golden/imagenet.py` says how parameters and pictures are filled and wrote the file read here; the cases
//! have the same names in both.

use super::{assert_near, numbers};
use crate::{
    Architecture, ConvNeXtConfig, EfficientNetConfig, LayerNames, MobileNetV2Config, Objective, PatchPooling,
    ResNet9Config, ResNetConfig, TensorKey, VisionTransformerConfig, tensor_keys,
};
use bonfire_contract::{Images, Output, Target, Task};
use bonfire_kernels::Prepared;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const CLASSES: usize = 5;
const BATCH: usize = 4;
const STEPS: usize = 10;

/// The largest relative difference of the losses of ten steps. PyTorch's own in single and in double
/// precision differ by up to 3e-5, where a loss ends at a thousandth of what it was, and by 1e-6 elsewhere.
const LOSS_TOLERANCE: f64 = 1e-4;

/// The largest difference of what ten steps changed in a tensor, relative to the norm of that change, or to 1
/// % of the greatest norm among weights or among running statistics. PyTorch's own steps in single and in
/// double precision differ by up to 3e-3: a weight near 1 keeps only the last digits of a change of a
/// thousandth.
const TRAINED_TOLERANCE: f64 = 5e-3;

static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../golden/imagenet.json")).expect("the file is JSON")
});

/// Numbers in `[-1, 1)`, of 24 bits, that a name and a place decide.
fn scattered(name: &str) -> impl Fn(usize) -> f64 {
    let key = u64::from(crc32fast::hash(name.as_bytes())).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    move |place| {
        let mut mixed = key ^ (place as u64 + 1);
        for _ in 0..3 {
            mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        }
        (mixed >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

/// A tensor's numbers in the other library's layout; calm ones are those of a norm by the batch before
/// training.
fn filled(TensorKey { name, shape, .. }: &TensorKey, calm: bool) -> Vec<f32> {
    let value = scattered(name);
    let fan_in: usize = shape[1..].iter().product();
    let (center, spread) = match shape.len() {
        1 if name.ends_with("running_var") || name.ends_with("weight") => (1.0, 0.1),
        1 => (0.0, 0.1),
        _ => (0.0, (3.0 / fan_in as f64).sqrt()),
    };
    let (center, spread) = match () {
        () if calm && name.ends_with(".weight") => (center / 4.0, spread / 4.0),
        () if calm && name.ends_with(".bias") => (center + 1.0, spread),
        () => (center, spread),
    };
    (0..shape.iter().product()).map(|place| (center + spread * value(place)) as f32).collect()
}

/// A matrix's numbers, column after column.
fn turned<T: Copy>(values: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    let place = |index: usize| values[index % rows * columns + index / rows];
    (0..rows * columns).map(place).collect()
}

/// Norm and checksum of numbers in the other library's layout.
fn digest(key: &TensorKey, values: Vec<f64>) -> [f64; 2] {
    let values = if key.transposed { turned(&values, [key.shape[1], key.shape[0]]) } else { values };
    let checksum = scattered("checksum");
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    [norm, values.iter().enumerate().map(|(place, value)| value * checksum(place)).sum()]
}

/// Fills parameters by the names that keys give them in the order of their fields.
struct Filler<'a> {
    keys: std::slice::Iter<'a, TensorKey>,
    /// Layers whose scales and biases keep what comes out of them away from 0.
    calm: BTreeSet<&'a str>,
}

impl<'a> Filler<'a> {
    fn new(keys: &'a [TensorKey]) -> Self {
        Filler { keys: keys.iter(), calm: BTreeSet::new() }
    }

    fn for_training(keys: &'a [TensorKey]) -> Self {
        let by_batch = keys.iter().filter_map(|key| key.name.strip_suffix(".running_mean"));
        Filler { keys: keys.iter(), calm: by_batch.collect() }
    }
}

impl ModuleMapper for Filler<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let key = self.keys.next().expect("a key a tensor");
        let calm = key.name.rsplit_once('.').is_some_and(|(layer, _)| self.calm.contains(layer));
        let values = if key.transposed {
            turned(&filled(key, calm), [key.shape[0], key.shape[1]])
        } else {
            filled(key, calm)
        };
        param.map(|old| Tensor::from_data(TensorData::new(values, old.dims()), &old.device()))
    }
}

/// Digests of gradients, or of values where there are no gradients.
struct Collector<'a> {
    keys: std::slice::Iter<'a, TensorKey>,
    gradients: Option<Gradients>,
    found: BTreeMap<String, Vec<f64>>,
}

impl<'a> Collector<'a> {
    fn of<M: Task>(
        model: &M,
        keys: &'a [TensorKey],
        gradients: Option<Gradients>,
    ) -> BTreeMap<String, Vec<f64>> {
        let mut collector = Collector { keys: keys.iter(), gradients, found: BTreeMap::new() };
        model.visit(&mut collector);
        collector.found
    }
}

impl ModuleVisitor for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let key = self.keys.next().expect("a key a tensor");
        let values: Vec<f64> = match &self.gradients {
            None => param.val().into_data().iter().collect(),
            Some(_) if key.name.contains("running_") => return,
            Some(gradients) => {
                let gradient = param.val().grad(gradients);
                let gradient = gradient.unwrap_or_else(|| panic!("{} has no gradient", key.path));
                gradient.into_data().iter().collect()
            }
        };
        self.found.insert(key.name.clone(), values);
    }
}

fn pictures(side: usize, device: &Device) -> Images {
    let value = scattered("pictures");
    let values: Vec<f32> = (0..BATCH * 3 * side * side).map(|place| value(place) as f32).collect();
    Images { pixels: Tensor::from_data(TensorData::new(values, [BATCH, 3, side, side]), device) }
}

fn labels(device: &Device) -> Target {
    let labels: Vec<i64> = (0..BATCH).map(|picture| (picture * 3 % CLASSES) as i64).collect();
    Target::Classes(Tensor::from_data(labels.as_slice(), device))
}

/// Compares a case; its training too, where the file has one, by steps of the given rate.
fn check<M: Task<Input = Images>>(case: &str, init: impl Fn(&Device) -> M, names: &LayerNames) {
    let golden = &GOLDEN[case];
    let device = Device::flex().autodiff();
    let side = if case == "resnet9" { 32 } else { PICTURE[1] };
    let model = init(&device);
    let keys = tensor_keys(&model, names);

    let mut lines: Vec<_> = keys.iter().map(|key| format!("{} {:?}", key.name, key.shape)).collect();
    lines.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    let names = crc32fast::hash(lines.join("\n").as_bytes());
    assert_eq!(Some(u64::from(names)), golden["names"].as_u64(), "{case}: {lines:#?}");

    // frozen, so that norms and dropout behave as in evaluation, and then with gradients again
    let model = model.map(&mut Filler::new(&keys)).freeze().set_require_grad(true);
    let evaluated = model.valid();
    let predict = || evaluated.predict(pictures(side, &device.clone().inner()));
    for (place, output) in
        [("logits", predict()), ("logits of prepared weights", Prepared::new().run(predict))]
    {
        let Output::Logits(logits) = output else { panic!("classes have logits") };
        let logits: Vec<f64> = logits.into_data().iter().collect();
        assert_near(&format!("{case}: {place}"), &logits, &numbers(&golden["logits"]), super::TOLERANCE);
    }
    let loss = model.loss(pictures(side, &device), labels(&device));
    let value = f64::from(loss.clone().into_scalar::<f32>());
    assert_near(&format!("{case}: loss"), &[value], &numbers(&golden["loss"]), super::TOLERANCE);
    let gradients = Collector::of(&model, &keys, Some(loss.backward()));
    let found: Vec<f64> = digests(&keys, gradients).into_values().flatten().collect();
    assert_near(&format!("{case}: gradient"), &found, &numbers(&golden["gradients"]), super::TOLERANCE);

    let Some(rate) = golden["learning_rate"].as_f64() else { return };
    let mut model = init(&device).map(&mut Filler::for_training(&keys)).set_require_grad(true);
    let before = Collector::of(&model.valid(), &keys, None);
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let mut optimizer = SgdConfig::new().with_momentum(Some(momentum)).init();
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let loss = model.loss(pictures(side, &device), labels(&device));
        losses.push(f64::from(loss.clone().into_scalar::<f32>()));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(rate, model, gradients);
    }
    assert_near(&format!("{case}: losses"), &losses, &numbers(&golden["losses"]), LOSS_TOLERANCE);
    let mut changes = Collector::of(&model.valid(), &keys, None);
    for (name, values) in &mut changes {
        values.iter_mut().zip(&before[name]).for_each(|(after, before)| *after -= before);
    }
    assert_changes(case, &keys, changes, &numbers(&golden["trained"]));
}

/// Norm and checksum by name.
fn digests(keys: &[TensorKey], found: BTreeMap<String, Vec<f64>>) -> BTreeMap<String, [f64; 2]> {
    let by_name: BTreeMap<_, _> = keys.iter().map(|key| (&key.name, key)).collect();
    let digest_of = |(name, values)| {
        let digest = digest(by_name[&name], values);
        (name, digest)
    };
    found.into_iter().map(digest_of).collect()
}

/// Compares changes with the file's pairs, which are sorted by name.
fn assert_changes(case: &str, keys: &[TensorKey], found: BTreeMap<String, Vec<f64>>, expected: &[f64]) {
    let found = digests(keys, found);
    assert_eq!(2 * found.len(), expected.len(), "{case}: changes");
    let pairs: Vec<_> = found.iter().zip(expected.chunks_exact(2)).collect();
    for statistics in [false, true] {
        let alike = || pairs.iter().filter(|((name, _), _)| name.contains("running_") == statistics);
        let greatest = alike().map(|(_, expected)| expected[0]).fold(0.0, f64::max);
        for ((name, found), expected) in alike() {
            let allowed = TRAINED_TOLERANCE * expected[0].max(0.01 * greatest);
            let near = found.iter().zip(*expected).all(|(a, b)| (a - b).abs() <= allowed);
            assert!(near, "{case}: {name} changed by {found:?}, expected {expected:?}");
        }
    }
}

fn objective() -> Objective {
    Objective::classes(CLASSES)
}

const PICTURE: [usize; 3] = [3, 64, 64];

#[test]
fn resnet9() {
    let layers = [
        ("stem", "0"),
        ("layers.0.convolution", "1"),
        ("layers.1.convolution", "2"),
        ("layers.2.convolution", "3"),
    ];
    let residuals = [0, 2].into_iter().flat_map(|layer| {
        let names = move |place: usize| {
            (format!("layers.{layer}.residual.{place}"), format!("{}.4.{place}", layer + 1))
        };
        (0..2).map(names)
    });
    let pairs =
        layers.map(|(ours, theirs)| (ours.to_string(), theirs.to_string())).into_iter().chain(residuals);
    let pairs = pairs.flat_map(|(ours, theirs)| {
        [("convolution", 0), ("norm", 1)]
            .map(|(layer, place)| (format!("{ours}.{layer}"), format!("{theirs}.{place}")))
    });
    let names = pairs.chain([("head".to_string(), "6".to_string())]).collect();
    check("resnet9", |device| ResNet9Config::new([3, 32, 32], objective()).init(device), &names);
}

#[test]
fn resnets() {
    for (case, preset) in [
        ("resnet18", ResNetConfig::resnet18 as fn(_, _) -> _),
        ("resnet34", ResNetConfig::resnet34),
        ("resnet50", ResNetConfig::resnet50),
        ("resnet101", ResNetConfig::resnet101),
        ("resnet152", ResNetConfig::resnet152),
    ] {
        let config: ResNetConfig = preset(PICTURE, objective());
        check(case, |device| config.init(device), &config.torchvision_names());
    }
    let config = ResNetConfig::resnet50(PICTURE, objective()).with_layers([1; 4]);
    check("resnet50_shallow", |device| config.init(device), &config.torchvision_names());
}

#[test]
fn inverted_residuals() {
    let config = MobileNetV2Config::new(PICTURE, objective()).with_dropout(0.0);
    let shallow = config.clone().with_layers([1; 7]);
    for (case, config) in [("mobilenet_v2", config), ("mobilenet_v2_shallow", shallow)] {
        check(case, |device| config.init(device), &config.torchvision_names());
    }
    let config = EfficientNetConfig::b0(PICTURE, objective()).with_drop_path(0.0).with_dropout(0.0);
    check("efficientnet_b0", |device| config.init(device), &config.torchvision_names());
    let config = EfficientNetConfig::lite0(PICTURE, objective());
    check("efficientnet_lite0", |device| config.init(device), &config.timm_names());
}

#[test]
fn convnext() {
    let tiny = ConvNeXtConfig::tiny(PICTURE, objective());
    let shallow = tiny.clone().with_layers([1; 4]).with_drop_path(0.0);
    for (case, config) in [
        ("convnext_tiny", tiny),
        ("convnext_tiny_shallow", shallow),
        ("convnext_small", ConvNeXtConfig::small(PICTURE, objective())),
    ] {
        check(case, |device| config.init(device), &config.torchvision_names());
    }
}

#[test]
fn vision_transformers() {
    let tiny = VisionTransformerConfig::ti16(PICTURE, objective());
    let mean = tiny.clone().with_pooling(PatchPooling::Mean);
    let small = VisionTransformerConfig::s16(PICTURE, objective());
    for (case, config) in [("vit_ti16", tiny), ("vit_ti16_mean", mean), ("vit_s16", small)] {
        check(case, |device| config.init(device), &config.timm_names());
    }
    let config = VisionTransformerConfig::b16(PICTURE, objective());
    check("vit_b16", |device| config.init(device), &config.torchvision_names());
}
