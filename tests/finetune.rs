//! One run exports its weights under another library's names, and other runs begin with them: at another size
//! of pictures, with another head, partly frozen.

use crate::support::program::Workshop;
use bonfire::checkpoint::Weights;

/// A small vision transformer on clothes of `side` x `side` pixels.
fn recipe(workshop: &Workshop, name: &str, side: u32, more: &str) {
    workshop.write(
        name,
        format!(
            "[data]\nkind = 'image'\ntrain = 'builtin:fashion-mnist-small/train-images-idx3-ubyte.gz'\n\
             test = 'builtin:fashion-mnist-small/t10k-images-idx3-ubyte.gz'\nresize = [{side}, {side}]\n\
             [model]\nname = 'vit_ti16'\npatch = 8\nlayers = 2\nheads = 2\nwidth = 16\n[train]\nsteps = 3\n\
             batch_size = 8\n{more}"
        ),
    );
}

#[test]
fn exported_weights_begin_a_run_at_another_size() {
    let workshop = Workshop::new();
    recipe(&workshop, "small.toml", 32, "");
    workshop.succeed(&["train", "small.toml", "--run", "small"]);
    for names in ["torchvision", "timm"] {
        let file = format!("{names}.safetensors");
        workshop.succeed(&["export", "small", "-o", &file, "--names", names]);
        let tuning = format!("[finetune]\npretrained = '{file}'\nfreeze = ['embedding*', 'blocks.0*']\n");
        recipe(&workshop, "large.toml", 48, &tuning);
        let run = format!("large-{names}");
        let said = workshop.succeed(&["train", "large.toml", "--run", &run]).stderr;
        assert!(said.contains(&format!("tensors by {names} names from ")) && said.contains(&file), "{said}");
        assert!(said.contains("[1, 17, 16] are interpolated to [1, 37, 16]"), "{said}");
        workshop.succeed(&["evaluate", &run]);
    }
    // The frozen layers of both runs are those of the exported run.
    let tensor = |run: &str, name: &str| {
        let path = workshop.path(&format!("{run}/model.safetensors"));
        let weights = Weights::from_safetensors(&std::fs::read(&path).unwrap(), &path).unwrap();
        weights.get(name).unwrap().try_to_vec::<f32>().unwrap()
    };
    for run in ["large-torchvision", "large-timm"] {
        assert_eq!(tensor(run, "embedding.weight"), tensor("small", "embedding.weight"));
        assert_ne!(tensor(run, "head.weight"), tensor("small", "head.weight"));
    }

    // A resumed run without a checkpoint begins with the weights, too. One with a checkpoint does not read
    // them again.
    let resume = ["train", "large.toml", "--run", "resumed", "--resume"];
    let said = workshop.succeed(&resume).stderr;
    assert!(said.contains("tensors by timm names"), "{said}");
    assert_eq!(tensor("resumed", "embedding.weight"), tensor("small", "embedding.weight"));
    std::fs::remove_file(workshop.path("timm.safetensors")).unwrap();
    workshop.succeed(&resume);
    workshop.succeed(&["export", "small", "-o", "timm.safetensors", "--names", "timm"]);

    // Weights of another model are refused, and the error names a tensor.
    recipe(&workshop, "wide.toml", 32, "[finetune]\npretrained = 'timm.safetensors'\n");
    let wide = ["train", "wide.toml", "--run", "wide", "--set", "model.width=32"];
    workshop.fail(&wide, &["timm.safetensors", "expected shape"]);
}
