use super::*;
use crate::testing::{Inputs, Sample, alone, check, check_within, random, with_twins};
use burn::tensor::Device;
use proptest::prelude::*;

const PLAIN: AttentionOptions = AttentionOptions { causal: false, dropout: 0.0 };
const CAUSAL: AttentionOptions = AttentionOptions { causal: true, dropout: 0.0 };

fn thirds(qkv: Tensor<3>) -> [Tensor<3>; 3] {
    let third = qkv.dims()[2] / 3;
    [0, 1, 2].map(|index| qkv.clone().narrow(2, index * third, third))
}

/// A mask of 1 and 0. Each batch item begins with a 1.
fn mask(batch: usize, keys: usize, hidden: f32) -> Sample {
    let mut mask = random(&[batch, keys], 9).map(|x| f32::from(x > hidden)).untracked();
    mask.values.chunks_mut(keys.max(1)).for_each(|item| item[0] = 1.0);
    mask
}

fn both(
    name: &str,
    [batch, queries, keys, heads, width]: [usize; 5],
    options: AttentionOptions,
    hidden: Option<f32>,
) {
    let of = |tokens: usize, parts: usize, seed| {
        random(&[batch, tokens, parts * heads * width], seed).map(|x| 2.0 * x)
    };
    let mut separate = vec![of(queries, 1, 1), of(keys, 1, 2), of(keys, 1, 3)];
    let mut packed = vec![of(queries, 3, 4)];
    if let Some(hidden) = hidden {
        separate.push(mask(batch, keys, hidden));
        packed.push(mask(batch, queries, hidden));
    }
    let mask = |i: &Inputs, index| hidden.map(|_| i.get::<2>(index));
    check(
        &format!("{name}, apart"),
        &separate,
        |i| cross_attention(i.get(0), i.get(1), i.get(2), heads, options, mask(i, 3)),
        |i| plain([i.get(0), i.get(1), i.get(2)], heads, options, mask(i, 3), None),
    );
    check(
        &format!("{name}, packed"),
        &packed,
        |i| attention(i.get(0), heads, options, mask(i, 1)),
        |i| plain(thirds(i.get(0)), heads, options, mask(i, 1), None),
    );
}

#[test]
fn agrees_with_its_twin() {
    for shape in [
        [1, 1, 1, 1, 1],
        [2, 5, 9, 3, 7],
        [2, 40, 40, 2, 32],
        [1, 3, 33, 1, 128],
        [1, 13, 40, 1, 250],
        [1, 20, 230, 2, 17],
        [1, 200, 200, 1, 16],
        [1, 4, 23, 2, 20],
    ] {
        for options in [PLAIN, CAUSAL] {
            for hidden in [None, Some(-0.4), Some(0.6)] {
                // a causal query with all its keys hidden differs by the rounding of scores near -10,000
                if !(options.causal && hidden.is_some()) {
                    both(&format!("{shape:?} {options:?} {hidden:?}"), shape, options, hidden);
                }
            }
        }
    }
}

#[test]
fn more_keys_than_are_held_at_a_time() {
    let keys = 2 * tile::HELD + 70;
    both("one row of pieces", [1, 15, keys, 2, 5], PLAIN, None);
    both("hidden keys", [2, 3, keys, 1, 5], PLAIN, Some(0.6));
    both("queries that see one piece, two or three", [1, keys, keys, 1, 3], CAUSAL, None);
    let mut ends = mask(1, keys, -2.0);
    ends.values[2 * tile::HELD - 9..].fill(0.0);
    let samples = [random(&[1, keys, 6], 1), ends];
    check(
        "causal, and the last keys hidden",
        &samples,
        |i| attention(i.get(0), 1, CAUSAL, Some(i.get(1))),
        |i| plain(thirds(i.get(0)), 1, CAUSAL, Some(i.get(1)), None),
    );
    let mut later = mask(1, keys, -2.0);
    later.values[..tile::HELD + 5].fill(0.0);
    let samples = [random(&[1, 14, 4], 1), random(&[1, keys, 4], 2), random(&[1, keys, 4], 3), later];
    check(
        "the first keys hidden",
        &samples,
        |i| cross_attention(i.get(0), i.get(1), i.get(2), 1, PLAIN, Some(i.get(3))),
        |i| plain([i.get(0), i.get(1), i.get(2)], 1, PLAIN, Some(i.get(3)), None),
    );
    // the largest score comes with the last keys, or with the first
    for sign in [1.0, -1.0] {
        let rising = random(&[1, keys, 4], 2);
        let values = rising.values.iter().enumerate().map(|(at, x)| x + sign * at as f32 / 400.0).collect();
        let samples = [random(&[1, 14, 4], 1), Sample { values, ..rising }, random(&[1, keys, 4], 3)];
        check(
            "rising scores",
            &samples,
            |i| cross_attention(i.get(0), i.get(1), i.get(2), 1, PLAIN, None),
            |i| plain([i.get(0), i.get(1), i.get(2)], 1, PLAIN, None, None),
        );
    }
}

#[test]
fn a_causal_mask_with_padding_at_the_end() {
    let mut ends = mask(3, 30, -2.0);
    ends.values[20..30].fill(0.0);
    ends.values[61..90].fill(0.0);
    let samples = [random(&[3, 30, 96], 1), ends];
    check(
        "causal and padded",
        &samples,
        |i| attention(i.get(0), 2, CAUSAL, Some(i.get(1))),
        |i| plain(thirds(i.get(0)), 2, CAUSAL, Some(i.get(1)), None),
    );
}

#[test]
fn nothing_to_look_at_is_everything_to_look_at() {
    let samples = [random(&[2, 9, 48], 1), random(&[2, 9], 2).map(|_| 0.0).untracked()];
    check(
        "no key carries text",
        &samples,
        |i| attention(i.get(0), 2, PLAIN, Some(i.get(1))),
        |i| plain(thirds(i.get(0)), 2, PLAIN, None, None),
    );
    // the twin's scores are rounded near -10,000
    check_within(
        3e-3,
        "as the model has it",
        &samples,
        |i| attention(i.get(0), 2, PLAIN, Some(i.get(1))),
        |i| plain(thirds(i.get(0)), 2, PLAIN, Some(i.get(1)), None),
    );
}

#[test]
fn hidden_keys_get_no_gradient_and_may_hold_anything() {
    let device = Device::flex().autodiff();
    let of = |value: f32| {
        let mut sample = random(&[1, 6, 12], 3);
        sample.values[4 * 12..].fill(value);
        let data = burn::tensor::TensorData::new(sample.values, [1, 6, 12]);
        let qkv = Tensor::<3>::from_data(data, &device).require_grad();
        let mask = Tensor::<2>::from_data([[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]], &device);
        let output = attention(qkv.clone(), 2, PLAIN, Some(mask)).narrow(1, 0, 4);
        let gradient = qkv.grad(&output.clone().square().sum().backward()).unwrap();
        let behind: Vec<f32> = gradient.narrow(1, 4, 2).into_data().try_into_vec().unwrap();
        assert!(behind.iter().all(|x| *x == 0.0), "{behind:?}");
        output.into_data()
    };
    of(0.5).assert_eq(&of(-80.0), true);
}

/// [`cross_attention`] with a dropout of 0.3. The twin drops the same weights, which by itself it would not.
pub(crate) fn dropping(parts: [Tensor<3>; 3], heads: usize, causal: bool) -> Tensor<3> {
    let [batch, queries, _] = parts[0].dims();
    let keys = parts[1].dims()[1];
    let options = AttentionOptions { causal, dropout: 0.3 };
    let dropout = Dropout::new(options.dropout, 11);
    let [query, key, value] = parts;
    if flex::runs_on(&query) {
        let none = flex::or_empty::<2, 3>(None, &query);
        let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
        let settings = Settings { heads, causal, dropout: Some(dropout) };
        return Tensor::from_dispatch(Dispatch::separate_attention(query, key, value, none, settings));
    }
    let mut kept = vec![0.0; batch * heads * queries * keys];
    for (row, factors) in kept.chunks_mut(keys).enumerate() {
        let [item, head, query] = [row / queries / heads, row / queries % heads, row % queries];
        dropout.factors([item, head, query], heads, 0, factors);
    }
    let kept = burn::tensor::TensorData::new(kept, [batch, heads, queries, keys]);
    let kept = Tensor::from_data(kept, (&query.device(), query.dtype()));
    plain([query, key, value], heads, options, None, Some(kept))
}

#[test]
fn dropout_drops_the_same_weights_in_both_passes() {
    for (causal, keys) in [(false, 200), (true, 200), (false, tile::HELD + 40), (true, tile::HELD + 40)] {
        let [batch, queries, heads, width] = [2, 30, 2, 9];
        let of = |tokens: usize, seed| random(&[batch, tokens, heads * width], seed);
        let samples = [of(queries, 1), of(keys, 2), of(keys, 3)];
        let op = |i: &Inputs| dropping([i.get(0), i.get(1), i.get(2)], heads, causal);
        check(&format!("{keys} keys, causal {causal}"), &samples, op, |i| with_twins(|| op(i)));
    }
}

#[test]
fn dropout_follows_the_devices_generator() {
    let _alone = alone();
    let device = Device::flex();
    let qkv = Tensor::<3>::random([2, 20, 24], Distribution::Default, &device);
    let options = AttentionOptions { causal: false, dropout: 0.5 };
    let after = |seed| {
        device.seed(seed);
        attention(qkv.clone(), 2, options, None).into_data()
    };
    let first = after(3);
    first.assert_eq(&after(3), true);
    assert_ne!(first, after(4));
    let plain = attention(qkv.clone(), 2, PLAIN, None);
    let mean = (0..200)
        .fold(Tensor::zeros_like(&plain), |sum, _| sum + attention(qkv.clone(), 2, options, None))
        / 200.0;
    let error: f32 = (mean - plain).abs().mean().into_scalar();
    assert!(error < 0.02, "{error}");
}

#[test]
fn strided_transposed_and_broadcast_inputs() {
    let samples = [random(&[5, 2, 36], 1), random(&[12, 7, 2], 2), random(&[1, 7, 12], 3)];
    let parts = |i: &Inputs| {
        [
            i.get::<3>(0).narrow(2, 11, 12).swap_dims(0, 1),
            i.get::<3>(1).permute([2, 1, 0]),
            i.get::<3>(2).expand([2, 7, 12]),
        ]
    };
    check(
        "views",
        &samples,
        |i| {
            let [query, key, value] = parts(i);
            cross_attention(query, key, value, 3, PLAIN, None)
        },
        |i| plain(parts(i), 3, PLAIN, None, None),
    );
}

#[test]
fn extreme_scores_and_no_queries() {
    let large = [random(&[1, 20, 48], 5).map(|x| 40.0 * x)];
    check(
        "one weight is all",
        &large,
        |i| attention(i.get(0), 2, PLAIN, None),
        |i| plain(thirds(i.get(0)), 2, PLAIN, None, None),
    );
    let device = Device::flex();
    assert_eq!(attention(Tensor::zeros([0, 5, 12], &device), 2, PLAIN, None).dims(), [0, 5, 4]);
    assert_eq!(attention(Tensor::zeros([3, 0, 12], &device), 2, CAUSAL, None).dims(), [3, 0, 4]);
    let broken = Tensor::<3>::full([1, 3, 12], f32::NAN, &device);
    assert!(attention(broken, 2, PLAIN, None).into_data().iter::<f32>().all(f32::is_nan));
}

#[test]
fn wider_heads_go_to_the_twin() {
    let samples = [random(&[1, 4, 3 * 258], 5)];
    check(
        "258 wide",
        &samples,
        |i| attention(i.get(0), 1, PLAIN, None),
        |i| plain(thirds(i.get(0)), 1, PLAIN, None, None),
    );
}

#[test]
#[should_panic(expected = "at most 3 causal queries")]
fn more_causal_queries_than_keys() {
    let of = |tokens: usize| Tensor::zeros([1, tokens, 4], &Device::flex());
    cross_attention(of(4), of(3), of(3), 1, CAUSAL, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_shape(
        batch in 1usize..3, queries in 12usize..50, more in 0usize..60, heads in 1usize..4, width in 1usize..40,
        causal: bool,
    ) {
        let options = AttentionOptions { causal, dropout: 0.0 };
        both("any shape", [batch, queries, queries + more, heads, width], options, (!causal).then_some(-0.2));
    }
}
