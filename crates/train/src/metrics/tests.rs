use super::*;
use burn::tensor::{Device, TensorData};

fn metric(evaluation: &Evaluation, name: &str) -> f64 {
    let found = evaluation.metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", evaluation.metrics)).value
}

fn classes(batches: &[(Vec<[f32; 3]>, Vec<i64>)], top_k: usize) -> Evaluation {
    let device = Device::flex();
    let mut meter = Meter::new(&MetricConfig { top_k, ..MetricConfig::default() });
    for (logits, labels) in batches {
        let logits = TensorData::new(logits.concat(), [logits.len(), 3]);
        let labels = TensorData::new(labels.clone(), [labels.len()]);
        let target = Target::Classes(Tensor::from_data(labels, &device));
        meter.add(Output::Logits(Tensor::from_data(logits, &device)), target).unwrap();
    }
    meter.finish()
}

#[test]
fn figures_of_classes_by_hand() {
    let ln = |p: f32| p.ln();
    let row = |a, b, c| [ln(a), ln(b), ln(c)];
    let evaluation = classes(
        &[
            (vec![row(0.7, 0.2, 0.1), row(0.3, 0.6, 0.1)], vec![0, 0]),
            (vec![row(0.2, 0.5, 0.3), row(0.25, 0.35, 0.4)], vec![1, 2]),
        ],
        2,
    );
    let loss = -(0.7f64.ln() + 0.3f64.ln() + 0.5f64.ln() + 0.4f64.ln()) / 4.0;
    assert!((metric(&evaluation, "loss") - loss).abs() < 1e-6);
    assert_eq!(metric(&evaluation, "accuracy"), 0.75);
    assert_eq!(metric(&evaluation, "top_2_accuracy"), 1.0);
    assert_eq!(evaluation.confusion.as_ref().unwrap().rows(), [[1, 1, 0], [0, 1, 0], [0, 0, 1]]);
    // F1 of the classes: 2/3, 2/3, 1.
    assert!((metric(&evaluation, "f1") - (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
    // One against the rest: class 0 ranks {0.7, 0.3} above {0.2, 0.25}; class 1 ranks 0.5 above
    // 0.2 and 0.35 but not 0.6; class 2 ranks 0.4 above all.
    assert!((metric(&evaluation, "auroc") - (1.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
    assert_eq!(evaluation.samples, 4);
    assert_eq!(evaluation.per_class()[0].samples, 2);
    // The predicted classes have 0.7, 0.6 (wrong), 0.5 and 0.4, each alone in its bin.
    assert!((metric(&evaluation, "ece") - (0.3 + 0.6 + 0.5 + 0.6) / 4.0).abs() < 1e-6);
}

#[test]
fn the_samples_of_the_highest_loss_are_kept_by_number() {
    let device = Device::flex();
    let mut meter = Meter::new(&MetricConfig { worst: 2, ..MetricConfig::default() });
    for (samples, first) in [(&[7u64, 9][..], 3.0f32), (&[][..], 1.0)] {
        let logits = Tensor::<2>::from_data([[first, 0.0], [0.0, 2.0]], &device);
        let target = Target::Classes(Tensor::from_data([1i64, 1], &device));
        meter.add_samples(samples, Output::Logits(logits), target).unwrap();
    }
    let worst = meter.finish().worst;
    let found: Vec<_> = worst.iter().map(|worst| (worst.sample, worst.class, worst.predicted)).collect();
    assert_eq!(found, [(7, 1, 0), (2, 1, 0)]);
    let p = 1.0 / (1.0 + (-3.0f64).exp());
    assert!((worst[0].probability - p).abs() < 1e-6 && (worst[0].loss + (1.0 - p).ln()).abs() < 1e-6);
}

#[test]
fn two_classes_score_class_one_without_saturation() {
    let device = Device::flex();
    let mut meter = Meter::new(&MetricConfig::default());
    // As f32 probabilities, all of these are 1.
    let logits = [[0.0f32, 40.0], [0.0, 41.0], [0.0, 42.0], [0.0, 43.0]];
    let target = Target::Classes(Tensor::from_data([0i64, 1, 0, 1], &device));
    meter.add(Output::Logits(Tensor::from_data(logits, &device)), target).unwrap();
    let evaluation = meter.finish();
    assert_eq!(metric(&evaluation, "auroc"), 0.75);
    assert!((metric(&evaluation, "f1") - 2.0 / 3.0).abs() < 1e-12);
    assert!((metric(&evaluation, "loss") - 82.0 / 4.0).abs() < 1e-6);
}

#[test]
fn values_are_in_their_own_unit_over_any_batches() {
    let device = Device::flex();
    let config =
        MetricConfig { values: vec![ValueScale { mean: 100.0, std: 10.0 }], ..MetricConfig::default() };
    let (found, expected) = ([1.0f32, 2.0, -1.0, 0.5], [1.5f32, 2.0, 0.0, -1.0]);
    for split in 1..4 {
        let mut meter = Meter::new(&config);
        for range in [0..split, split..4] {
            let tensor = |values: &[f32]| {
                Tensor::<2>::from_data(
                    TensorData::new(values[range.clone()].to_vec(), [range.len(), 1]),
                    &device,
                )
            };
            meter.add(Output::Values(tensor(&found)), Target::Values(tensor(&expected))).unwrap();
        }
        let evaluation = meter.finish();
        assert!((metric(&evaluation, "mse") - 100.0 * 3.5 / 4.0).abs() < 1e-9);
        assert!((metric(&evaluation, "mae") - 7.5).abs() < 1e-9);
        assert!((metric(&evaluation, "rmse") - 10.0 * (3.5f64 / 4.0).sqrt()).abs() < 1e-9);
        // Mean 0.625, squared deviations 5.6875.
        assert!((metric(&evaluation, "r2") - (1.0 - 3.5 / 5.6875)).abs() < 1e-12);
    }
}

/// Squared, absolute and root mean squared errors of prices, from the prices themselves: 212 for 200, 90 for
/// 100, 330 for 300.
#[test]
fn errors_of_standardised_values_are_those_of_the_values() {
    let device = Device::flex();
    let scale = ValueScale { mean: 200.0, std: 80.0 };
    let config = MetricConfig { values: vec![scale], ..MetricConfig::default() };
    let standardised = |prices: [f64; 3]| {
        let values = prices.map(|price| [((price - scale.mean) / scale.std) as f32]);
        Tensor::<2>::from_data(values, &device)
    };
    let mut meter = Meter::new(&config);
    let target = Target::Values(standardised([200.0, 100.0, 300.0]));
    meter.add(Output::Values(standardised([212.0, 90.0, 330.0])), target).unwrap();
    let evaluation = meter.finish();
    let mse = (12.0 * 12.0 + 10.0 * 10.0 + 30.0 * 30.0) / 3.0;
    assert!((metric(&evaluation, "mse") - mse).abs() < 1e-3);
    assert!((metric(&evaluation, "mae") - 52.0 / 3.0).abs() < 1e-4);
    assert!((metric(&evaluation, "rmse") - f64::sqrt(mse)).abs() < 1e-4);
    assert!((metric(&evaluation, "r2") - (1.0 - 1144.0 / 20_000.0)).abs() < 1e-6);
}

#[test]
fn tokens_without_a_successor_count_for_nothing() {
    let device = Device::flex();
    let mut meter = Meter::new(&MetricConfig::default());
    let logits = Tensor::<3>::from_data([[[0.0f32, 0.0], [0.0, 3.0f32.ln()], [9.0, 0.0]]], &device);
    let target = Target::NextTokens(Tensor::from_data([[0i64, 1, -1]], &device));
    meter.add(Output::TokenLogits(logits), target).unwrap();
    let evaluation = meter.finish();
    let nats = -(0.5f64.ln() + 0.75f64.ln()) / 2.0;
    assert!((metric(&evaluation, "loss") - nats).abs() < 1e-6);
    assert!((metric(&evaluation, "perplexity") - nats.exp()).abs() < 1e-6);
    assert!((metric(&evaluation, "bits_per_character") - nats / 2.0f64.ln()).abs() < 1e-6);
}

#[test]
fn a_reconstruction_is_scored_over_all_elements() {
    let device = Device::flex();
    let mut meter = Meter::new(&MetricConfig::default());
    for rows in [1, 3] {
        let output = Tensor::<2>::ones([rows, 4], &device);
        let input = Tensor::<2>::ones([rows, 4], &device) * (rows as f32);
        meter.add(Output::Reconstruction { output, input }, Target::Input).unwrap();
    }
    assert!((metric(&meter.finish(), "reconstruction_error") - 3.0).abs() < 1e-12);
}

#[test]
fn targets_that_do_not_fit_are_errors() {
    let device = Device::flex();
    let mut meter = Meter::new(&MetricConfig::default());
    let logits = || Output::Logits(Tensor::<2>::zeros([2, 3], &device));
    let error = meter.add(logits(), Target::Input).unwrap_err().to_string();
    assert_eq!(error, "metrics: expected classes, found the input");
    let outside = Target::Classes(Tensor::from_data([0i64, 3], &device));
    assert!(meter.add(logits(), outside).unwrap_err().to_string().ends_with("below 3, found class 3"));
    let short = Target::Classes(Tensor::from_data([0i64], &device));
    assert!(meter.add(logits(), short).is_err());
    let mut meter = Meter::new(&MetricConfig::default());
    let next = Target::NextTokens(Tensor::from_data([[5i64]], &device));
    assert!(meter.add(Output::TokenLogits(Tensor::zeros([1, 1, 5], &device)), next).is_err());
}

/// The figures of three ranks' shares, sent over the network and merged, are the figures of all samples.
#[test]
fn meters_merge_to_the_meter_of_all() {
    let device = Device::flex();
    let number = |at: usize, phase: f32| ((at as f32 + 1.0) * phase).sin();
    let logits = |range: std::ops::Range<usize>| {
        let numbers: Vec<f32> = range.clone().flat_map(|at| [0.7, 1.9, 3.1].map(|p| number(at, p))).collect();
        let labels: Vec<i64> = range.clone().map(|at| (at % 3) as i64).collect();
        let logits = Tensor::from_data(TensorData::new(numbers, [range.len(), 3]), &device);
        let labels = Tensor::from_data(TensorData::new(labels, [range.len()]), &device);
        (Output::Logits(logits), Target::Classes(labels))
    };
    let values = |range: std::ops::Range<usize>| {
        let tensor = |phase| {
            let numbers: Vec<f32> = range.clone().map(|at| 5.0 + number(at, phase)).collect();
            Tensor::from_data(TensorData::new(numbers, [range.len(), 1]), &device)
        };
        (Output::Values(tensor(0.3)), Target::Values(tensor(1.3)))
    };
    let config = MetricConfig { top_k: 2, worst: 4, ..MetricConfig::default() };
    type Part<'a> = &'a dyn Fn(std::ops::Range<usize>) -> (Output, Target);
    for part in [&logits as Part, &values] {
        let meter_of = |range: std::ops::Range<usize>| {
            let mut meter = Meter::new(&config);
            let samples: Vec<u64> = range.clone().map(|at| at as u64).collect();
            let (output, target) = part(range);
            meter.add_samples(&samples, output, target).unwrap();
            meter
        };
        let whole = meter_of(0..40).finish();
        let mut merged = Meter::new(&config);
        for range in [0..13, 13..14, 14..40] {
            let bytes = rmp_serde::to_vec(meter_of(range).sums(40)).unwrap();
            merged.merge(rmp_serde::from_slice(&bytes).unwrap()).unwrap();
        }
        merged.merge(Meter::new(&config).sums).unwrap(); // a rank without a sample
        let merged = merged.finish();
        assert_eq!((&merged.confusion, merged.samples), (&whole.confusion, whole.samples));
        assert_eq!(merged.worst, whole.worst);
        for (merged, whole) in merged.metrics.iter().zip(&whole.metrics) {
            assert_eq!(merged.name, whole.name);
            assert!((merged.value - whole.value).abs() < 1e-12, "{merged:?} against {whole:?}");
        }
    }
    let (output, target) = values(0..3);
    let mut meter = Meter::new(&config);
    meter.add(output, target).unwrap();
    let (output, target) = logits(0..3);
    let mut other = Meter::new(&config);
    other.add(output, target).unwrap();
    assert!(meter.merge(other.sums).is_err());
}

#[test]
fn a_number_that_is_not_finite_is_refused_by_the_sample_and_the_batch() {
    let device = Device::flex();
    let two = |rows: [[f32; 2]; 2]| Tensor::<2>::from_data(rows, &device);
    let classes = || Target::Classes(Tensor::from_data([0i64, 1], &device));
    let good = [[0.0, 1.0], [2.0, 3.0]];
    let refused = |first: (Output, Target), second: (Output, Target)| {
        let mut meter = Meter::new(&MetricConfig::default());
        meter.add(first.0, first.1).unwrap();
        meter.add(second.0, second.1).unwrap_err().to_string()
    };
    // Class 0 would win, and be right.
    let nan = Output::Logits(two([[f32::NAN, f32::NAN], [2.0, 3.0]]));
    assert_eq!(
        refused((Output::Logits(two(good)), classes()), (nan, classes())),
        "evaluation, sample 2 in batch 2: expected finite logits, found NaN"
    );
    let values = |rows| (Output::Values(two(rows)), Target::Values(two(good)));
    assert_eq!(
        refused(values(good), values([[0.0, 1.0], [f32::INFINITY, 0.0]])),
        "evaluation, sample 3 in batch 2: expected finite values, found inf"
    );
    let copies = |rows| (Output::Reconstruction { output: two(rows), input: two(good) }, Target::Input);
    assert_eq!(
        refused(copies(good), copies([[0.0, 1.0], [1e30, 0.0]])),
        "evaluation, sample 3 in batch 2: expected finite squared errors, found inf"
    );
    let tokens = |logits: [[[f32; 2]; 2]; 1], next: [[i64; 2]; 1]| {
        let logits = Tensor::<3>::from_data(logits, &device);
        (Output::TokenLogits(logits), Target::NextTokens(Tensor::from_data(next, &device)))
    };
    let spoilt = [[[0.0, 1.0], [f32::NAN, 0.0]]];
    // The second position has no token.
    let whole = tokens(spoilt, [[0, -1]]);
    assert_eq!(
        refused(whole, tokens(spoilt, [[0, 1]])),
        "evaluation, sample 1 in batch 2: expected finite logits of tokens, found NaN"
    );
    let mut meter = Meter::new(&MetricConfig::default());
    let nan = Output::Logits(two([[0.0, 1.0], [f32::NAN, 0.0]]));
    let error = meter.add_samples(&[7, 4], nan, classes()).unwrap_err().to_string();
    assert!(error.starts_with("evaluation, sample 4 in batch 1: "), "{error}");
}

#[test]
fn a_meter_that_counts_goes_on_and_gives_no_number() {
    let device = Device::flex();
    let two = |rows: [[f32; 2]; 2]| Tensor::<2>::from_data(rows, &device);
    let good = [[0.0, 1.0], [2.0, 3.0]];
    let meter = |found: [[f32; 2]; 2]| {
        let mut meter = Meter::new(&MetricConfig::default()).counting_not_finite(true);
        meter.add(Output::Values(two(found)), Target::Values(two(good))).unwrap();
        meter
    };
    let names = |evaluation: &Evaluation| -> Vec<String> {
        evaluation.metrics.iter().map(|metric| metric.name.clone()).collect()
    };
    let whole = meter(good).finish();
    assert_eq!(whole.not_finite, 0);
    let mut merged = meter(good);
    merged.merge(meter([[f32::NAN, f32::INFINITY], [2.0, 3.0]]).sums).unwrap();
    let merged = merged.finish();
    assert_eq!((merged.samples, merged.not_finite), (4, 1));
    assert_eq!(names(&merged), names(&whole));
    assert!(merged.metrics.iter().all(|metric| metric.value.is_nan()), "{:?}", merged.metrics);
    // A target is of the data, and not of the model.
    let mut meter = meter(good);
    let spoilt = Target::Values(two([[0.0, f32::NAN], [2.0, 3.0]]));
    let error = meter.add(Output::Values(two(good)), spoilt).unwrap_err().to_string();
    assert_eq!(error, "evaluation, sample 2 in batch 2: expected finite target values, found NaN");
}
