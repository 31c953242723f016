//! Runs that begin with weights from elsewhere: checkpoints of training scripts, frozen layers, probes.

use super::*;
use crate::{Beginning, Record, Run};
use bonfire_cluster::{Alone, Communicator};
use bonfire_train::Event;
use burn::tensor::TensorData;
use image::{ImageFormat, RgbImage};
use std::cell::RefCell;
use std::io::Cursor;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tempfile::TempDir;

/// Hears of the progress and tells nobody.
struct Silent;

impl Listener for Silent {
    fn on(&mut self, _event: &Event<'_>) {}
}

/// A picture file of stripes, upright ones in class 0.
fn png(number: u32) -> Vec<u8> {
    let shade = |x: u32, y: u32| ((if number.is_multiple_of(2) { x } else { y }) * (30 + number) % 256) as u8;
    let picture = RgbImage::from_fn(32, 32, |x, y| image::Rgb([shade(x, y), shade(x, y) / 2, 90]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A folder with pictures, and runs on them by a small residual network.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..24 {
            let class = folder.path().join("pictures").join(["upright", "level"][number as usize % 2]);
            std::fs::create_dir_all(&class).unwrap();
            std::fs::write(class.join(format!("{number}.png")), png(number)).unwrap();
        }
        Place(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Trains the run of that name, and hands back what was told.
    fn train(&self, run: &str, steps: u64, more: &str, resume: bool) -> Result<Vec<String>, RunError> {
        let text = format!(
            "[data]\nkind = 'image'\ntrain = '{}'\nvalid_fraction = 0.25\n[model]\nname = 'resnet18'\n\
             layers = [1, 1, 1, 1]\nwidth = 4\ndrop_path = 0.4\n[train]\nsteps = {steps}\nbatch_size = 6\n\
             [optimizer]\nname = 'sgd'\nlearning_rate = 0.05\n{more}",
            self.path("pictures").display()
        );
        let recipe = self.path("recipe.toml");
        std::fs::write(&recipe, text).unwrap();
        let beginning = Beginning {
            recipe: Some(recipe.display().to_string()),
            run: Some(self.path(run)),
            resume,
            ..Beginning::default()
        };
        let alone: Arc<dyn Communicator> = Arc::new(Alone);
        let told = Rc::new(RefCell::new(Vec::new()));
        let hear = told.clone();
        let notices = Rc::new(move |line: &str| hear.borrow_mut().push(line.to_string()));
        let training = Training::begin(&beginning, &alone, notices)?;
        training.fit(Instant::now(), Box::new(Silent))?;
        Ok(told.take())
    }

    fn weights(&self, run: &str) -> Weights {
        let path = self.path(run).join("model.safetensors");
        Weights::from_safetensors(&std::fs::read(&path).unwrap(), &path).unwrap()
    }

    /// `[finetune]` by weights that lie here.
    fn tuned(&self, file: &str, more: &str) -> String {
        format!("[finetune]\npretrained = '{}'\n{more}", self.path(file).display())
    }

    /// Writes tensors under other names.
    fn write(&self, file: &str, tensors: impl Iterator<Item = (String, TensorData)>) {
        let mut weights = Weights::default();
        tensors.for_each(|(name, data)| weights.insert(name, data));
        let path = self.path(file);
        std::fs::write(&path, weights.to_safetensors(&path).unwrap()).unwrap();
    }
}

/// All but the head is the same, to the bit, and the head is not.
fn assert_only_the_head_differs(found: &Weights, expected: &Weights) {
    assert!(found.iter().any(|(path, _)| path.ends_with("running_var")));
    for (path, tensor) in found.iter() {
        assert_eq!(expected.get(path) == Some(tensor), !path.starts_with("head."), "{path}");
    }
}

#[test]
fn frozen_is_frozen_and_checkpoints_of_scripts_begin_runs() {
    let place = Place::new();
    place.train("first", 3, "", false).unwrap();
    let first = place.weights("first");
    Run::open(place.path("first")).unwrap().export("torchvision", &place.path("theirs.safetensors")).unwrap();
    let path = place.path("theirs.safetensors");
    let theirs = Weights::from_safetensors(&std::fs::read(&path).unwrap(), &path).unwrap();
    let named = |prefix: &'static str| {
        theirs.iter().map(move |(name, data)| (format!("{prefix}{name}"), data.clone()))
    };

    // A checkpoint as timm's script writes it: averages beside other weights, which are another run's here, and
    // an optimizer.
    let zeros =
        named("state_dict.").map(|(name, data)| (name, TensorData::zeros::<f32, _>(data.shape().clone())));
    let optimizer = [("optimizer.state.0.exp_avg".to_string(), TensorData::zeros::<f32, _>([2]))];
    let backbone = named("state_dict_ema.module._orig_mod.").filter(|(name, _)| !name.contains(".fc."));
    place.write("script.safetensors", zeros.chain(backbone).chain(optimizer));
    let frozen = "freeze = ['stem*', 'stages*']";
    let told = place.train("frozen", 20, &place.tuned("script.safetensors", frozen), false).unwrap();
    let told = told.join("\n");
    assert!(
        told.contains("tensors by torchvision names from") && told.contains("below `state_dict_ema.`"),
        "{told}"
    );
    assert!(told.contains("fc.weight is drawn anew: expected shape [2, 32], found none"), "{told}");
    assert!(told.contains("left out: ") && told.contains("optimizer (1)"), "{told}");
    assert_only_the_head_differs(&place.weights("frozen"), &first);

    // A tensor that lacks elsewhere is told with the nearest names.
    place.write(
        "lacks.safetensors",
        named("net.").filter(|(name, _)| !name.ends_with("layer2.0.conv1.weight")),
    );
    let error =
        place.train("lacks", 1, &place.tuned("lacks.safetensors", ""), false).unwrap_err().to_string();
    assert!(
        error.contains("`layer2.0.conv1.weight`") && error.contains("the nearest names: `layer"),
        "{error}"
    );
    place.write("other.safetensors", named("x").map(|(name, data)| (name.replace('.', "_"), data)));
    let error =
        place.train("other", 1, &place.tuned("other.safetensors", ""), false).unwrap_err().to_string();
    assert!(error.contains("by Bonfire's, or torchvision names"), "{error}");
}

#[test]
fn a_probe_trains_the_head_on_features_and_goes_on() {
    let place = Place::new();
    place.train("first", 3, "", false).unwrap();
    let first = place.weights("first");
    let probe = place.tuned("first/model.safetensors", "probe = true");
    let told = place.train("probe", 40, &probe, false).unwrap().join("\n");
    assert!(told.contains("probe: 18 training samples, 32 features each (2.3 kB), computed once"), "{told}");
    assert!(told.contains("probe: 6 validation samples"), "{told}");
    let straight = place.weights("probe");
    assert_only_the_head_differs(&straight, &first);

    // The run is one of the whole model.
    let run = Run::open(place.path("probe")).unwrap();
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    assert!(predictor.answer(vec![Record::Picture(png(1))]).unwrap().pop().unwrap().is_ok());

    // Features are those of the whole model in evaluation: a frozen run without anything random takes the
    // same steps, but for the order of its sums.
    let parts = place.tuned("first/model.safetensors", "freeze = ['stem*', 'stages*']");
    place.train("parts", 40, &parts, false).unwrap();
    assert_only_the_head_differs(&place.weights("parts"), &first);

    // It goes on, within an epoch, to the same weights.
    place.train("stopped", 20, &probe, false).unwrap();
    std::fs::remove_file(place.path("first/model.safetensors")).unwrap();
    place.train("stopped", 40, &probe, true).unwrap();
    let resumed = place.weights("stopped");
    for (path, tensor) in straight.iter() {
        assert!(resumed.get(path) == Some(tensor), "{path}");
    }

    // A model without a head on features is refused by the key.
    let csv = (0..9).map(|row| format!("{row},{}.5\n", row * 7)).collect::<String>();
    std::fs::write(place.path("rows.csv"), format!("a,b\n{csv}")).unwrap();
    let text = format!(
        "[data]\nkind = 'table'\ntrain = '{}'\ntarget = 'b'\n[model]\nname = 'linear'\n[train]\nsteps = 1\n",
        place.path("rows.csv").display()
    );
    std::fs::write(place.path("rows.toml"), text).unwrap();
    let begin = |changes: &[&str], run: &str| {
        let beginning = Beginning {
            recipe: Some(place.path("rows.toml").display().to_string()),
            changes: changes.iter().map(|change| change.to_string()).collect(),
            run: Some(place.path(run)),
            ..Beginning::default()
        };
        let alone: Arc<dyn Communicator> = Arc::new(Alone);
        let training = Training::begin(&beginning, &alone, Rc::new(|_: &str| ()))?;
        training.fit(Instant::now(), Box::new(Silent)).map(drop)
    };
    begin(&[], "rows").unwrap();
    let pretrained = format!("finetune.pretrained={}", place.path("rows/model.safetensors").display());
    let error = begin(&[&pretrained, "finetune.probe=true"], "rows-2").unwrap_err().to_string();
    assert!(error.contains("finetune.probe") && error.contains("linear"), "{error}");

    // A model that no library has says where its weights are.
    let error =
        Run::open(place.path("rows")).unwrap().export("timm", Path::new("x")).unwrap_err().to_string();
    assert!(error.contains("a model that another library has, too"), "{error}");
    assert!(error.contains("safetensors already") && error.contains("rows/model.safetensors"), "{error}");
}
