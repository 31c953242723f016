//! Classes that a part of a set lacks, told.

use crate::bounds;
use crate::records::shortened;
use std::collections::BTreeMap;

/// The samples of each of `num` classes.
pub(crate) fn count(classes: impl Iterator<Item = usize>, num: usize) -> Vec<u64> {
    let mut counts = vec![0; num];
    classes.for_each(|class| counts[class] += 1);
    counts
}

/// The samples of each label in each part of a set, counted block by block; given up where there are too many
/// labels for classes.
#[derive(Debug)]
pub(crate) struct LabelCounts(Option<BTreeMap<String, [u64; 3]>>);

impl Default for LabelCounts {
    fn default() -> Self {
        LabelCounts(Some(BTreeMap::new()))
    }
}

impl LabelCounts {
    /// Adds so many samples of a label in a part: 0 for training, 1 for validation, 2 for tests.
    pub(crate) fn add(&mut self, label: &str, part: usize, samples: u64) {
        let Some(counts) = &mut self.0 else { return };
        match counts.get_mut(label) {
            Some(parts) => parts[part] += samples,
            None => {
                counts.entry(label.to_string()).or_default()[part] = samples;
                if counts.len() > bounds::MOST_CLASSES {
                    self.0 = None;
                }
            }
        }
    }

    /// Adds what was counted of other blocks.
    pub(crate) fn merge(&mut self, other: LabelCounts) {
        let Some(counts) = other.0 else {
            self.0 = None;
            return;
        };
        for (label, parts) in counts {
            (0..).zip(parts).filter(|&(_, samples)| samples > 0).for_each(|(part, samples)| {
                self.add(&label, part, samples);
            });
        }
    }

    /// True while the labels are few enough for classes.
    pub(crate) fn are_few(&self) -> bool {
        self.0.is_some()
    }

    /// The samples of each of `labels` in each part that was held out by these `(valid, test)` fractions.
    pub(crate) fn of(&self, labels: &[String], (valid, test): (f64, f64)) -> [Option<Vec<u64>>; 3] {
        [(0, true), (1, valid > 0.0), (2, test > 0.0)].map(|(part, is_there)| {
            let counts = self.0.as_ref().filter(|_| is_there)?;
            Some(labels.iter().map(|label| counts.get(label).map_or(0, |parts| parts[part])).collect())
        })
    }
}

/// Tells the log of the classes that a part lacks. `parts` are the samples of each class for training,
/// validation and tests; none of a part that there is not, or that was not counted.
pub(crate) fn tell_lacking(uri: &str, labels: &[String], parts: [Option<Vec<u64>>; 3]) {
    lacking(labels, parts).iter().for_each(|line| log::warn!("{uri}: {line}"));
}

/// A line for each part that lacks classes.
fn lacking(labels: &[String], parts: [Option<Vec<u64>>; 3]) -> Vec<String> {
    let samples: Vec<u64> =
        (0..labels.len()).map(|class| parts.iter().flatten().map(|part| part[class]).sum()).collect();
    let told = |without: &str, is_told: &dyn Fn(usize) -> bool| {
        let classes: Vec<usize> = (0..labels.len()).filter(|&class| is_told(class)).collect();
        (!classes.is_empty()).then(|| {
            let noun = if classes.len() == 1 { "class" } else { "classes" };
            format!("{} {noun} {without}: {}", classes.len(), named(labels, &samples, &classes))
        })
    };
    let kinds = [
        "without a training sample, which no model learns",
        "without a validation sample",
        "without a test sample",
    ];
    let parts_lacking = kinds.iter().zip(&parts).filter_map(|(without, part)| {
        let part = part.as_ref()?;
        told(without, &|class| part[class] == 0)
    });
    let mut lines: Vec<String> = parts_lacking.collect();
    // Of a class of one sample some part is without it, where there are several.
    if let [Some(train), None, None] = &parts {
        lines.extend(told("of a single sample", &|class| train[class] == 1));
    }
    lines
}

/// The first of some classes, each with the number of its samples.
fn named(labels: &[String], samples: &[u64], classes: &[usize]) -> String {
    const MOST: usize = 12;
    let name = |&class: &usize| {
        let noun = if samples[class] == 1 { "sample" } else { "samples" };
        format!("`{}` ({} {noun})", shortened(&labels[class]), samples[class])
    };
    let names: Vec<String> = classes.iter().take(MOST).map(name).collect();
    let more = if classes.len() > MOST { " …" } else { "" };
    names.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_a_part_lacks_are_told_by_name_and_count() {
        let labels = ["a", "b", "c", "d"].map(String::from);
        let lines = |train: [u64; 4], valid: Option<[u64; 4]>, test: Option<[u64; 4]>| {
            lacking(&labels, [Some(train.into()), valid.map(Vec::from), test.map(Vec::from)])
        };
        assert!(lines([9, 9, 2, 2], Some([1; 4]), Some([1; 4])).is_empty());
        assert_eq!(
            lines([9, 9, 0, 1], Some([3, 3, 2, 0]), None),
            [
                "1 class without a training sample, which no model learns: `c` (2 samples)",
                "1 class without a validation sample: `d` (1 sample)"
            ]
        );
        assert_eq!(
            lines([9, 9, 3, 1], None, Some([1, 0, 0, 1])),
            ["2 classes without a test sample: `b` (9 samples), `c` (3 samples)"]
        );
        assert_eq!(
            lines([9, 1, 1, 2], None, None),
            ["2 classes of a single sample: `b` (1 sample), `c` (1 sample)"]
        );
        let many: Vec<String> = (0..40).map(|class| class.to_string()).collect();
        let [line] = &lacking(&many, [Some(vec![0; 40]), None, None])[..] else { panic!() };
        assert!(line.starts_with("40 classes") && line.ends_with("`11` (0 samples) …"), "{line}");
        assert_eq!(count([1, 1, 0].into_iter(), 3), [1, 2, 0]);
    }

    #[test]
    fn labels_are_counted_part_by_part_until_they_are_too_many() {
        let (mut all, mut more) = (LabelCounts::default(), LabelCounts::default());
        all.add("a", 0, 3);
        more.add("b", 2, 1);
        more.add("a", 0, 2);
        all.merge(more);
        let labels = ["a", "b"].map(String::from);
        assert_eq!(all.of(&labels, (0.0, 0.5)), [Some(vec![5, 0]), None, Some(vec![0, 1])]);
        (0..70_000).for_each(|label| all.add(&label.to_string(), 0, 1));
        assert!(!all.are_few());
        assert_eq!(all.of(&labels, (0.0, 0.5)), [None, None, None]);
    }
}
