//! A module's tensors under the names of another library, and back.
//!
//! A file's tensors are matched with the module's by name. A list of [`Key`]s gives each tensor's name on
//! both sides and tells whether its rows and columns change places.

use crate::tensors::TensorFile;
use crate::weights::is_finite;
use crate::{CheckpointError, Weights};
use bonfire_contract::most_alike;
use burn::tensor::{DType, TensorData};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// A tensor's name in the module and in another library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The tensor's path in the module, `stages.0.1.convolutions.0.norm.gamma`.
    pub path: String,
    /// The tensor's name in the other library, `layer1.1.bn1.weight`.
    pub name: String,
    /// The tensor's shape in the other library.
    pub shape: Vec<usize>,
    /// True if the other library keeps the transpose of the module's matrix.
    pub transposed: bool,
}

impl Key {
    /// True for a tensor below the module's path `head`.
    pub(crate) fn is_of(&self, head: &str) -> bool {
        self.path.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// A tensor of the head that is not taken from a file, because the file's head does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The tensor's name in the file.
    pub name: String,
    /// The tensor's shape in the model.
    pub expected: Vec<usize>,
    /// The tensor's shape in the file; none where it has no such tensor.
    pub found: Option<Vec<usize>>,
}

/// Counters of batch normalisation, which only PyTorch keeps.
const COUNTER: &str = "num_batches_tracked";

/// Names of a file that a message lists.
const LISTED: usize = 3;

/// Some tensors of a file. Their numbers are not read before they are known to be of the model's shapes, so that
/// no file takes more memory than its model.
#[derive(Clone, Debug, Default)]
pub struct Part {
    file: Option<Rc<TensorFile>>,
    tensors: BTreeMap<String, Listed>,
    /// Those that were put in the file's stead.
    held: Weights,
}

/// A tensor that is not read yet.
#[derive(Clone, Debug)]
struct Listed {
    /// Its name in the file.
    name: String,
    shape: Vec<usize>,
    dtype: DType,
}

impl Part {
    /// Tensors by their names in the file, under other names.
    pub(crate) fn of(file: &Rc<TensorFile>, names: &[(&str, &str)]) -> Self {
        let listed = names.iter().filter_map(|(name, ours)| {
            let tensor = file.tensors().get(*name)?;
            let (name, shape, dtype) = (name.to_string(), tensor.shape.clone(), tensor.dtype);
            Some((ours.to_string(), Listed { name, shape, dtype }))
        });
        Part { file: Some(Rc::clone(file)), tensors: listed.collect(), held: Weights::default() }
    }

    /// The tensors' names and shapes, sorted by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, listed)| (name.as_str(), listed.shape.as_slice()))
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|listed| listed.shape.as_slice())
    }

    /// Puts a tensor in the place of the file's.
    pub fn insert(&mut self, name: impl Into<String>, data: TensorData) {
        let (name, shape) = (name.into(), data.shape().to_vec());
        self.tensors.insert(name.clone(), Listed { name: name.clone(), shape, dtype: data.dtype() });
        self.held.insert(name, data);
    }

    /// A tensor in single precision, of whatever shape it has. `path` names the file in errors.
    ///
    /// # Errors
    /// When there is no such tensor, or its storage is damaged, or a number of it is not finite.
    pub fn read(&self, name: &str, path: &Path) -> Result<TensorData, CheckpointError> {
        let mut read = None;
        self.read_all(&[name], path, &mut |_, data| {
            read = Some(data);
            Ok(())
        })?;
        read.ok_or_else(|| CheckpointError::malformed(path, format!("a tensor `{name}`"), "none"))
    }

    /// Reads tensors in single precision, and hands each to `take` with its place in `names`.
    fn read_all(
        &self,
        names: &[&str],
        path: &Path,
        take: &mut dyn FnMut(usize, TensorData) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let mut take_finite = |number: usize, data: TensorData| {
            let wrong = |expected: &str, found: &str| CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: self.tensors[names[number]].name.clone(),
                expected: expected.into(),
                found: found.into(),
            };
            if !is_finite(&data) {
                return Err(wrong("finite numbers", "one that is not"));
            }
            let data = data.convert::<f32>();
            if !is_finite(&data) {
                return Err(wrong("numbers that single precision holds", "one that is too large"));
            }
            take(number, data)
        };
        let (mut numbers, mut unread) = (Vec::new(), Vec::new());
        for (number, name) in names.iter().enumerate() {
            match (self.held.get(name), self.tensors.get(*name)) {
                (Some(data), _) => take_finite(number, data.clone())?,
                (None, Some(listed)) => {
                    numbers.push(number);
                    unread.push(listed.name.as_str());
                }
                (None, None) => {}
            }
        }
        match &self.file {
            Some(file) => file.read(&unread, path, &mut |at, data| take_finite(numbers[at], data)),
            None => Ok(()),
        }
    }

    /// The module's weights under its own paths, in single precision. Where a tensor below the module's path
    /// `head` is missing or of another shape, all tensors of the head are taken from `own`, the module's
    /// weights, and returned as [`Replaced`]. Whole numbers that the module has no place for, such as counters,
    /// are left out. `path` names the file in errors.
    ///
    /// # Errors
    /// When a tensor is missing, unknown to `keys`, of another shape, damaged, or not finite; also when `own`
    /// lacks a tensor of the head.
    pub fn translated(
        &self,
        keys: &[Key],
        own: &Weights,
        head: &str,
        path: &Path,
    ) -> Result<(Weights, Vec<Replaced>), CheckpointError> {
        let wrong = |tensor: &str, expected: String, found: String| CheckpointError::Tensor {
            path: path.to_path_buf(),
            tensor: tensor.to_string(),
            expected,
            found,
        };
        let fits = |key: &Key| self.shape(&key.name).is_some_and(|shape| shape == key.shape);
        let anew = keys.iter().any(|key| key.is_of(head) && !fits(key));
        let (mut weights, mut replaced, mut taken) = (Weights::default(), Vec::new(), Vec::new());
        let is_left = |name: &str, listed: &Listed| !name.ends_with(COUNTER) && is_real(listed.dtype);
        let left = self.tensors.iter().filter(|(name, listed)| is_left(name, listed));
        let mut left: BTreeMap<&str, &[usize]> =
            left.map(|(name, listed)| (name.as_str(), listed.shape.as_slice())).collect();
        for key in keys {
            let shape = || format!("shape {:?}", key.shape);
            left.remove(key.name.as_str());
            let found = self.shape(&key.name);
            if anew && key.is_of(head) {
                let own = own.get(&key.path).ok_or_else(|| wrong(&key.name, shape(), "none".into()))?;
                weights.insert(&key.path, own.clone());
                let found = found.map(<[usize]>::to_vec);
                replaced.push(Replaced { name: key.name.clone(), expected: key.shape.clone(), found });
                // A head of several layers begins with the name of the one layer: `fc.1.weight`.
                let layer = key.name.rsplit_once('.').map_or(key.name.as_str(), |(layer, _)| layer);
                left.retain(|name, _| !name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.')));
                continue;
            }
            let Some(found) = found else { return Err(wrong(&key.name, shape(), self.nearest(&key.name))) };
            if found != key.shape {
                return Err(wrong(&key.name, shape(), format!("shape {found:?}")));
            }
            taken.push(key);
        }
        if let Some((name, shape)) = left.pop_first() {
            let more = if left.is_empty() { String::new() } else { format!(", and {} more", left.len()) };
            let found = format!("one of shape {shape:?}{more}");
            return Err(wrong(name, "no such tensor in the model".into(), found));
        }
        let names: Vec<&str> = taken.iter().map(|key| key.name.as_str()).collect();
        self.read_all(&names, path, &mut |number, data| {
            let key = taken[number];
            weights.insert(&key.path, if key.transposed { transposed(&data, path)? } else { data });
            Ok(())
        })?;
        Ok((weights, replaced))
    }

    /// None among these tensors, in words: their number, and the names most like `name`.
    fn nearest(&self, name: &str) -> String {
        let nearest = most_alike(name, self.tensors.keys().map(String::as_str), LISTED);
        let nearest: Vec<String> = nearest.into_iter().map(|name| format!("`{name}`")).collect();
        format!("none among {} tensors; the nearest names: {}", self.tensors.len(), nearest.join(", "))
    }
}

impl Weights {
    /// A module's weights under the names of another library. `path` names the file in errors.
    ///
    /// # Errors
    /// When a tensor of `keys` is missing.
    pub fn for_publication(&self, keys: &[Key], path: &Path) -> Result<Self, CheckpointError> {
        let mut weights = Weights::default();
        for key in keys {
            let data = self.get(&key.path).ok_or_else(|| CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: key.path.clone(),
                expected: format!("shape {:?}", key.shape),
                found: "none".into(),
            })?;
            weights.insert(&key.name, if key.transposed { transposed(data, path)? } else { data.clone() });
        }
        Ok(weights)
    }
}

fn is_real(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

/// The transpose of a matrix of single precision.
fn transposed(data: &TensorData, path: &Path) -> Result<TensorData, CheckpointError> {
    let values = data.as_slice::<f32>().map_err(|error| {
        CheckpointError::malformed(path, "numbers of single precision", format!("{error:?}"))
    })?;
    let [rows, columns] = data.shape().as_slice() else {
        return Err(CheckpointError::malformed(path, "a matrix", format!("shape {:?}", data.shape())));
    };
    let turned: Vec<f32> =
        (0..*columns).flat_map(|column| (0..*rows).map(move |row| values[row * columns + column])).collect();
    Ok(TensorData::new(turned, [*columns, *rows]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn key(path: &str, name: &str, shape: &[usize], transposed: bool) -> Key {
        Key { path: path.into(), name: name.into(), shape: shape.to_vec(), transposed }
    }

    fn data(shape: &[usize]) -> TensorData {
        let values: Vec<f32> = (0..shape.iter().product()).map(|at: usize| at as f32).collect();
        TensorData::new(values, shape.to_vec())
    }

    fn keys() -> Vec<Key> {
        vec![key("stem.gamma", "bn.weight", &[2], false), key("head.weight", "fc.weight", &[3, 2], true)]
    }

    pub(crate) fn file(names: &[(&str, &[usize])]) -> Weights {
        let mut weights = Weights::default();
        for (name, shape) in names {
            weights.insert(*name, data(shape));
        }
        weights
    }

    fn part(names: &[(&str, &[usize])]) -> Part {
        let mut part = Part::default();
        for (name, shape) in names {
            part.insert(*name, data(shape));
        }
        part
    }

    #[test]
    fn names_and_rows_change_and_change_back() {
        let (path, own) = (Path::new("x.pth"), Weights::default());
        let tensors: [(&str, &[usize]); 3] =
            [("bn.weight", &[2]), ("fc.weight", &[3, 2]), ("bn.num_batches_tracked", &[1])];
        let theirs = part(&tensors);
        let (ours, replaced) = theirs.translated(&keys(), &own, "head", path).unwrap();
        assert!(replaced.is_empty());
        let head = ours.get("head.weight").unwrap();
        assert_eq!(head.shape().as_slice(), [2, 3]);
        assert_eq!(head.as_slice::<f32>().unwrap(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let back = ours.for_publication(&keys(), path).unwrap();
        assert_eq!(back.get("fc.weight"), file(&tensors).get("fc.weight"));
        assert_eq!(back.iter().count(), 2);
    }

    #[test]
    fn a_head_of_another_size_is_replaced_and_nothing_else() {
        let path = Path::new("x.pth");
        let mut own = Weights::default();
        own.insert("head.weight", data(&[2, 3]));
        let other = part(&[("bn.weight", &[2]), ("fc.weight", &[7, 2])]);
        let (weights, replaced) = other.translated(&keys(), &own, "head", path).unwrap();
        assert_eq!(weights.get("head.weight"), own.get("head.weight"));
        let expected = Replaced { name: "fc.weight".into(), expected: vec![3, 2], found: Some(vec![7, 2]) };
        assert_eq!(replaced, [expected]);
        let message = |weights: Part| {
            weights.translated(&keys(), &own, "head", path).map(drop).unwrap_err().to_string()
        };
        let misshaped = message(part(&[("bn.weight", &[5]), ("fc.weight", &[3, 2])]));
        assert!(misshaped.contains("bn.weight") && misshaped.contains("[2]") && misshaped.contains("[5]"));
        let missing = message(part(&[("bm.weight", &[2]), ("fc.weight", &[3, 2])]));
        let expected =
            "`bn.weight`: expected shape [2], found none among 2 tensors; the nearest names: `bm.weight`";
        assert!(missing.contains(expected), "{missing}");
        let extra = message(part(&[("bn.weight", &[2]), ("fc.weight", &[3, 2]), ("fc.bias", &[3])]));
        assert!(extra.contains("fc.bias") && extra.contains("no such tensor in the model"), "{extra}");
    }

    #[test]
    fn a_backbone_without_its_head_takes_the_models_whole_head() {
        let path = Path::new("x.pth");
        let mut keys = keys();
        keys.push(key("head.bias", "fc.bias", &[3], false));
        let mut own = Weights::default();
        own.insert("head.weight", data(&[2, 3]));
        own.insert("head.bias", data(&[3]));
        for (other, found) in [
            (part(&[("bn.weight", &[2])]), None),
            // A head of several layers, as transfer learning puts it in place.
            (part(&[("bn.weight", &[2]), ("fc.0.weight", &[4, 2]), ("fc.2.weight", &[3, 4])]), None),
            // The weight of a head without a bias would not fit the bias that is drawn.
            (part(&[("bn.weight", &[2]), ("fc.weight", &[3, 2])]), Some(vec![3, 2])),
        ] {
            let (weights, replaced) = other.translated(&keys, &own, "head", path).unwrap();
            assert_eq!(weights.get("head.weight"), own.get("head.weight"));
            assert_eq!(weights.get("head.bias"), own.get("head.bias"));
            assert_eq!((replaced.len(), &replaced[0].found), (2, &found));
        }
    }

    #[test]
    fn numbers_that_no_weight_has_are_refused_by_name() {
        let path = Path::new("x.pth");
        let message = |data: TensorData| {
            let mut theirs = part(&[("fc.weight", &[3, 2])]);
            theirs.insert("bn.weight", data);
            let translated = theirs.translated(&keys(), &Weights::default(), "head", path);
            translated.map(drop).unwrap_err().to_string()
        };
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(
                message(TensorData::new(vec![1.0, number], [2])),
                "x.pth: tensor `bn.weight`: expected finite numbers, found one that is not"
            );
        }
        assert_eq!(
            message(TensorData::new(vec![1.0, 1e300], [2])),
            "x.pth: tensor `bn.weight`: expected numbers that single precision holds, found one that is too large"
        );
    }
}
