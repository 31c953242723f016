//! The area under the receiver operating characteristic, and the average precision, exact.

/// The probability that a positive scores above a negative, ties counting half (Mann and Whitney
/// 1947). `None` without a positive or without a negative.
pub(crate) fn auroc(scores: &[f64], positive: impl Fn(usize) -> bool) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut negatives, mut positives, mut wins) = (0u64, 0u64, 0.0f64);
    let mut rest = order.as_slice();
    while let Some(&first) = rest.first() {
        let tied = rest.iter().take_while(|&&i| scores[i] == scores[first]).count().max(1);
        let (group, after) = rest.split_at(tied);
        let above = group.iter().filter(|&&i| positive(i)).count() as u64;
        let below = tied as u64 - above;
        wins += above as f64 * (negatives as f64 + 0.5 * below as f64);
        (positives, negatives, rest) = (positives + above, negatives + below, after);
    }
    (positives > 0 && negatives > 0).then(|| wins / (positives as f64 * negatives as f64))
}

/// The mean of the precisions at each rank of a positive, highest score first; equal scores share a rank.
/// `None` without a positive.
pub(crate) fn average_precision(scores: &[f64], positive: &dyn Fn(usize) -> bool) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut seen, mut positives, mut sum) = (0u64, 0u64, 0.0f64);
    for group in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let here = group.iter().filter(|&&i| positive(i)).count() as u64;
        (seen, positives) = (seen + group.len() as u64, positives + here);
        sum += here as f64 * positives as f64 / seen as f64;
    }
    (positives > 0).then(|| sum / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn average_precisions_are_scikit_learns() {
        // sklearn.metrics.average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) and with ties.
        let labels = [false, false, true, true];
        let found = average_precision(&[0.1, 0.4, 0.35, 0.8], &|i| labels[i]).unwrap();
        assert!((found - 0.8333333333333333).abs() < 1e-12, "{found}");
        assert_eq!(average_precision(&[0.5; 4], &|i| labels[i]), Some(0.5));
        assert_eq!(average_precision(&[0.1], &|_| false), None);
    }

    #[test]
    fn known_areas() {
        // sklearn.metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) is 0.75.
        let labels = [false, false, true, true];
        assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], |i| labels[i]), Some(0.75));
        assert_eq!(auroc(&[0.5; 4], |i| labels[i]), Some(0.5));
        assert_eq!(auroc(&[0.1, 0.2], |_| true), None);
        assert_eq!(auroc(&[], |_| true), None);
    }

    proptest! {
        #[test]
        fn equals_the_count_over_all_pairs(
            samples in prop::collection::vec((0u8..8, any::<bool>()), 2..60),
        ) {
            let scores: Vec<f64> = samples.iter().map(|s| f64::from(s.0)).collect();
            let (mut wins, mut pairs) = (0.0, 0.0);
            for a in samples.iter().filter(|s| s.1) {
                for b in samples.iter().filter(|s| !s.1) {
                    pairs += 1.0;
                    wins += if a.0 > b.0 { 1.0 } else if a.0 == b.0 { 0.5 } else { 0.0 };
                }
            }
            let found = auroc(&scores, |i| samples[i].1);
            if pairs > 0.0 {
                prop_assert!((found.unwrap() - wins / pairs).abs() < 1e-12);
            } else {
                prop_assert_eq!(found, None);
            }
        }
    }
}
