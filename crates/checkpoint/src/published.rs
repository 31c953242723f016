//! Weights that other programs have written: torchvision's and timm's, and the checkpoints of training
//! scripts, as PyTorch's own files or safetensors.
//!
//! ```text
//! .pth .pt .ckpt     a pickle in a zip, or the older formats
//! .safetensors       [header length: u64 le] [header: JSON] [numbers]
//! ```
//!
//! A checkpoint holds more than weights (an optimizer, arguments), under names of its own
//! (`state_dict_ema.module.blocks.0.…`): the prefix is found under which the file has most of a model's names.

use crate::tensors::{EXPECTED, TensorFile};
use crate::translation::Key;
use crate::{CheckpointError, Part};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// Parts of names that wrappers of a module add: `torch.compile`, data parallel, sharded, checkpointed.
const WRAPPERS: [&str; 4] = ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The file's places of weights, first those that are evaluated: averages, as timm takes them.
const SECTIONS: [&str; 6] = ["state_dict", "model_state_dict", "model_state", "model", "net", "weights"];

/// Names that a message lists.
const LISTED: usize = 4;

/// Parts of a file that are no weights, and their tensors.
const BESIDE: usize = 6;

/// A file of weights.
pub struct Published(Rc<TensorFile>);

/// A library's names for a model's tensors.
#[derive(Clone, Debug)]
pub struct Names {
    /// Whose names they are, in the genitive or not: `timm`.
    pub library: &'static str,
    /// The names.
    pub keys: Vec<Key>,
}

/// The part of a file that holds a model's weights.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The place of the names among those that were offered.
    pub names: usize,
    /// Everything that stands before the names, `state_dict_ema.`; empty where nothing does.
    pub prefix: String,
    /// Other prefixes under which the file has as many of the names.
    pub others: Vec<String>,
    /// Parts of the file that hold other tensors, with the number of each.
    pub beside: Vec<(String, usize)>,
    /// Those tensors of the file that stand under the prefix, without it.
    pub weights: Part,
}

impl Published {
    /// Opens a file. Its tensors are read when the model's are made of them: see [`Part::translated`].
    ///
    /// # Errors
    /// When the file cannot be read, or is neither safetensors nor PyTorch's, or holds no tensor.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = TensorFile::open(path)?;
        if file.tensors().is_empty() {
            return Err(CheckpointError::malformed(path, EXPECTED, "no tensor"));
        }
        Ok(Published(Rc::new(file)))
    }

    /// The names of the file's tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.tensors().keys().map(String::as_str)
    }

    /// The part of the file that has most of a model's names, by whichever library's. Of several parts that
    /// have as many, averaged weights (`state_dict_ema`, `model_ema`) come first, as in timm, and a
    /// checkpoint's usual places before others; `prefix` decides where it is given. The names of `head` decide
    /// nothing, as a head may be missing. `place` names the file in errors.
    ///
    /// # Errors
    /// When no part has half of the names, or several parts have them and nothing says which is meant.
    pub fn choose(
        &self,
        offered: &[Names],
        head: &str,
        prefix: Option<&str>,
        place: &Path,
    ) -> Result<Choice, CheckpointError> {
        let bare = self.without_wrappers(offered);
        let mut best: Option<(usize, usize, Vec<&str>)> = None;
        for (index, names) in offered.iter().enumerate() {
            let is_body = |key: &&Key| !key.is_of(head);
            let has_body = names.keys.iter().any(|key| is_body(&key));
            let known = names.keys.iter().filter(|key| !has_body || is_body(key));
            let known: HashSet<&str> = known.map(|key| key.name.as_str()).collect();
            let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
            for name in bare.keys() {
                for before in prefixes(name).filter(|before| known.contains(&name[before.len()..])) {
                    *hits.entry(before).or_default() += 1;
                }
            }
            let wanted = |before: &str| prefix.is_none_or(|prefix| of_prefix(before, prefix));
            hits.retain(|before, _| wanted(before));
            let most = hits.values().copied().max().unwrap_or(0);
            if best.as_ref().is_none_or(|(_, best, _)| most >= *best) {
                let those = hits.into_iter().filter(|(_, count)| *count == most);
                best = Some((index, most, those.map(|(before, _)| before).collect()));
            }
        }
        let (index, most, mut before) = best.expect("a model has names of its own");
        let keys = &offered[index].keys;
        let body = keys.iter().filter(|key| !key.is_of(head)).count();
        if most == 0 || 2 * most < body {
            return Err(self.unknown(offered, most, prefix, place));
        }
        before.sort_by_key(|before| rank(before));
        let chosen = before[0].to_string();
        let tied: Vec<&&str> = before[1..].iter().filter(|other| rank(other) == rank(&chosen)).collect();
        if !tied.is_empty() {
            let tied: Vec<String> =
                [&before[0]].into_iter().chain(tied).map(|before| format!("`{before}`")).collect();
            let expected =
                "the weights of one model, or finetune.prefix, which says what stands before the names";
            let found = format!("{most} names of the model below each of {}", tied.join(", "));
            return Err(CheckpointError::malformed(place, expected, found));
        }
        let others = before[1..].iter().map(|before| before.to_string()).collect();
        let (mut within, mut beside) = (Vec::new(), BTreeMap::new());
        for (bare, name) in &bare {
            match bare.strip_prefix(&chosen).filter(|_| !is_beside(bare, &chosen)) {
                Some(rest) => within.push((*name, rest)),
                None => *beside.entry(bare.split('.').next().unwrap_or(bare)).or_insert(0) += 1,
            }
        }
        let beside = beside.into_iter().map(|(part, count): (&str, usize)| (part.to_string(), count));
        let beside = beside.collect();
        let weights = Part::of(&self.0, &within);
        Ok(Choice { names: index, prefix: chosen, others, beside, weights })
    }

    /// The names of the file without what wrappers add, and the names as they are in the file. A name that
    /// another one would become stays as it is.
    fn without_wrappers(&self, offered: &[Names]) -> BTreeMap<String, &str> {
        let used: BTreeSet<&str> =
            offered.iter().flat_map(|names| &names.keys).flat_map(|key| key.name.split('.')).collect();
        let wrappers: Vec<&str> = WRAPPERS.into_iter().filter(|wrapper| !used.contains(wrapper)).collect();
        let bare = |name: &str| {
            let parts: Vec<&str> = name.split('.').filter(|part| !wrappers.contains(part)).collect();
            parts.join(".")
        };
        let mut count: HashMap<String, usize> = HashMap::new();
        self.names().for_each(|name| *count.entry(bare(name)).or_default() += 1);
        let kept = |name: &str| {
            let bare = bare(name);
            if count[&bare] == 1 { bare } else { name.to_string() }
        };
        self.names().map(|name| (kept(name), name)).collect()
    }

    /// The error of a file that holds another model, or none.
    fn unknown(&self, offered: &[Names], most: usize, prefix: Option<&str>, place: &Path) -> CheckpointError {
        let libraries: Vec<&str> = offered.iter().map(|names| names.library).collect();
        let example = offered.last().and_then(|names| names.keys.first()).map_or("", |key| &key.name);
        let below = prefix.map_or(String::new(), |prefix| format!(" below `{prefix}`"));
        let expected = format!(
            "the tensors of this model by {} names, such as `{example}`{below}",
            libraries.join(", or ")
        );
        let tensors = self.0.tensors();
        let listed: Vec<String> = tensors
            .iter()
            .take(LISTED)
            .map(|(name, tensor)| format!("`{name}` {:?}", tensor.shape))
            .collect();
        let more = if tensors.len() > LISTED { ", …" } else { "" };
        let found =
            format!("{} tensors, {most} of them by such names: {}{more}", tensors.len(), listed.join(", "));
        CheckpointError::malformed(place, expected, found)
    }
}

impl Choice {
    /// Everything that was not taken, in words: other parts that would fit, and parts that are no weights.
    /// None where all was taken.
    pub fn left_out(&self) -> Option<String> {
        let mut parts: Vec<String> =
            self.beside.iter().take(BESIDE).map(|(part, count)| format!("{part} ({count})")).collect();
        if self.beside.len() > BESIDE {
            parts.push("…".into());
        }
        let total: usize = self.beside.iter().map(|(_, count)| count).sum();
        let others: Vec<String> = self.others.iter().map(|prefix| format!("`{prefix}`")).collect();
        let fit = match others.is_empty() {
            true => String::new(),
            false => format!("; the names also stand below {}", others.join(", ")),
        };
        (total > 0 || !fit.is_empty()).then(|| format!("{total} other tensors: {}{fit}", parts.join(", ")))
    }
}

/// Everything that may stand before a name: nothing, and each beginning up to a dot, the dot included.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(name.match_indices('.').map(|(at, _)| &name[..=at]))
}

/// True where `before` is the prefix that a person wrote, with or without its last dot.
fn of_prefix(before: &str, prefix: &str) -> bool {
    before.trim_end_matches('.') == prefix.trim_end_matches('.')
}

/// The order in which parts that fit alike are taken: averages, then names without a prefix, then a
/// checkpoint's usual places, then any other.
fn rank(prefix: &str) -> usize {
    let mut parts = prefix.split('.').filter(|part| !part.is_empty());
    let is_average = |part: &str| part.split('_').any(|word| word == "ema");
    if parts.clone().any(is_average) {
        return 0;
    }
    match parts.next() {
        None => 1,
        Some(first) => 2 + SECTIONS.iter().position(|section| *section == first).unwrap_or(SECTIONS.len()),
    }
}

/// True for a tensor of a training script beside weights that have no prefix: an optimizer's, say.
fn is_beside(name: &str, prefix: &str) -> bool {
    const PARTS: [&str; 8] = [
        "optimizer",
        "optimizers",
        "optimizer_states",
        "lr_scheduler",
        "scheduler",
        "scaler",
        "callbacks",
        "loops",
    ];
    let first = name.split('.').next().unwrap_or(name);
    prefix.is_empty() && (PARTS.contains(&first) || first.contains("rng_state"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weights;
    use crate::translation::tests::{file, key};
    use std::fs;

    fn offered() -> [Names; 2] {
        let ours = vec![
            key("stem.gamma", "stem.gamma", &[2], false),
            key("head.weight", "head.weight", &[2, 3], false),
        ];
        let theirs =
            vec![key("stem.gamma", "bn.weight", &[2], false), key("head.weight", "fc.weight", &[3, 2], true)];
        [Names { library: "Bonfire's", keys: ours }, Names { library: "timm", keys: theirs }]
    }

    fn chosen(names: &[&str], prefix: Option<&str>) -> Result<Choice, CheckpointError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors: Vec<(&str, &[usize])> = names.iter().map(|name| (*name, &[2][..])).collect();
        fs::write(&path, file(&tensors).to_safetensors(&path).unwrap()).unwrap();
        Published::open(&path).unwrap().choose(&offered(), "head", prefix, Path::new("x"))
    }

    /// The two names of the model below each prefix, chosen among: the prefix.
    fn of(prefixes: &[&str]) -> String {
        let names = prefixes.iter().flat_map(|p| ["bn.weight", "fc.weight"].map(|name| format!("{p}{name}")));
        let names: Vec<String> = names.chain(["optimizer.state.0.exp_avg".to_string()]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let choice = chosen(&names, None).unwrap();
        assert_eq!(choice.names, 1);
        assert_eq!(
            choice.weights.shapes().map(|(name, _)| name).collect::<Vec<_>>(),
            ["bn.weight", "fc.weight"]
        );
        choice.prefix
    }

    #[test]
    fn wrappers_in_any_order_and_places_of_any_script_are_found() {
        assert_eq!(of(&[""]), "");
        assert_eq!(of(&["_orig_mod.module."]), "");
        assert_eq!(of(&["module._orig_mod.module."]), "");
        assert_eq!(of(&["state_dict.module."]), "state_dict.");
        assert_eq!(of(&["state_dict.model._orig_mod."]), "state_dict.model.");
        assert_eq!(of(&["state_dict.net.backbone."]), "state_dict.net.backbone.");
        assert_eq!(of(&["my.own.place."]), "my.own.place.");
        // As timm, averages first.
        assert_eq!(of(&["state_dict.", "state_dict_ema."]), "state_dict_ema.");
        assert_eq!(of(&["model.", "model_ema.module."]), "model_ema.");
        assert_eq!(of(&["state_dict.model.", "state_dict.model_ema."]), "state_dict.model_ema.");
        assert_eq!(of(&["model.", "state_dict."]), "state_dict.");
        let inside = chosen(&["a.bn._orig_mod.weight", "a.fc.weight"], None).unwrap();
        assert_eq!((inside.prefix.as_str(), inside.weights.shapes().count()), ("a.", 2));
    }

    #[test]
    fn other_parts_are_told_and_what_could_be_either_is_asked() {
        let names = ["state_dict.bn.weight", "state_dict_ema.bn.weight", "optimizer.state.0.a", "loss.b"];
        let choice = chosen(&names, None).unwrap();
        assert_eq!(
            choice.left_out().unwrap(),
            "3 other tensors: loss (1), optimizer (1), state_dict (1); the names also stand below `state_dict.`"
        );
        assert_eq!(chosen(&["bn.weight", "fc.weight"], None).unwrap().left_out(), None);
        let both = ["state_dict.student.bn.weight", "state_dict.teacher.bn.weight"];
        let error = chosen(&both, None).unwrap_err().to_string();
        assert!(error.contains("finetune.prefix") && error.contains("`state_dict.teacher.`"), "{error}");
        let choice = chosen(&both, Some("state_dict.student")).unwrap();
        assert_eq!(choice.prefix, "state_dict.student.");
        let error = chosen(&["layer.a", "layer.b", "c", "d", "e"], None).unwrap_err().to_string();
        assert_eq!(
            error,
            "x: expected the tensors of this model by Bonfire's, or timm names, such as `bn.weight`, found 5 \
             tensors, 0 of them by such names: `c` [2], `d` [2], `e` [2], `layer.a` [2], …"
        );
        assert!(chosen(&both, Some("elsewhere")).unwrap_err().to_string().contains("below `elsewhere`"));
    }

    #[test]
    fn a_checkpoint_of_a_training_script_gives_its_averaged_weights() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/training.pth");
        let published = Published::open(&path).unwrap();
        let choice = published.choose(&offered(), "head", None, &path).unwrap();
        assert_eq!(choice.prefix, "state_dict_ema.");
        let (weights, replaced) =
            choice.weights.translated(&offered()[1].keys, &Weights::default(), "head", &path).unwrap();
        assert!(replaced.is_empty());
        let values = |name: &str| weights.get(name).unwrap().as_slice::<f32>().unwrap().to_vec();
        assert_eq!(values("stem.gamma"), [10.0, 11.0]);
        assert_eq!(values("head.weight"), [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
    }

    #[test]
    fn strange_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let strange = folder.path().join("x.pth");
        fs::write(&strange, b"just some text").unwrap();
        let message = |path: &Path| Published::open(path).map(drop).unwrap_err().to_string();
        let error = message(&strange);
        assert!(error.contains("x.pth") && error.contains("PyTorch"), "{error}");
        fs::write(&strange, b"PK\x03\x04 and no more").unwrap();
        assert!(message(&strange).contains("x.pth"));
        assert!(message(&folder.path().join("none.pth")).contains("cannot read"));
    }
}
