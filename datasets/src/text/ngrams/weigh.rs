//! The weight of a feature in a text: its count there, by how rare it is among the training texts.

/// The weights of features, as scikit-learn's `TfidfTransformer` has them: `tf * (ln((1 + n) / (1 + df)) + 1)`, of
/// `n` texts `df` with the feature, and a text's weights divided by their Euclidean norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Weigher {
    /// The inverse document frequency of each feature.
    idf: Vec<f64>,
    /// True where the logarithm of a count stands for it: `1 + ln(tf)`.
    sublinear: bool,
}

impl Weigher {
    /// The weights of features that so many of `documents` texts have.
    pub(in crate::text) fn new(frequencies: &[u32], documents: u64, sublinear: bool) -> Self {
        let idf = |&df: &u32| ((1.0 + documents as f64) / (1.0 + f64::from(df))).ln() + 1.0;
        Weigher { idf: frequencies.iter().map(idf).collect(), sublinear }
    }

    /// The different features among `ids`, each below the number of frequencies, in their order, and the weight
    /// of each.
    pub(in crate::text) fn weigh(&self, mut ids: Vec<u32>) -> (Vec<u32>, Vec<f32>) {
        ids.sort_unstable();
        let (mut features, mut weights) = (Vec::new(), Vec::new());
        for run in ids.chunk_by(|a, b| a == b) {
            let count = run.len() as f64;
            let tf = if self.sublinear { 1.0 + count.ln() } else { count };
            features.push(run[0]);
            weights.push(tf * self.idf[run[0] as usize]);
        }
        let norm = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
        (features, weights.into_iter().map(|weight| (weight / norm) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_feature_has_no_weight() {
        let weigher = Weigher::new(&[1, 2], 2, true);
        assert_eq!(weigher.weigh(Vec::new()), (Vec::new(), Vec::new()));
        let (features, weights) = weigher.weigh(vec![1, 0, 1]);
        // 1 + ln 2 beside 1 + ln(3 / 2).
        let (twice, once) = (1.0 + 2f64.ln(), 1.0 + 1.5f64.ln());
        let norm = twice.hypot(once);
        assert_eq!((features, weights), (vec![0, 1], vec![(once / norm) as f32, (twice / norm) as f32]));
    }
}
