//! Runs that are asked from elsewhere, whose data have moved, or that have not ended.

use crate::support::program::{Ended, Workshop};
use serde_json::Value;

/// A run on 40 rows, by a recipe in a folder of its own whose paths start there.
fn trained(workshop: &Workshop) {
    let rows: String = (0..40).map(|n| format!("{n},{}\n", 2 * n + 1)).collect();
    workshop.write("data/train.csv", format!("x,y\n{rows}"));
    workshop.write("data/test.csv", "x,y\n1,3\n2,5\n7,15\n");
    workshop.write("recipes/r.toml", RECIPE);
    let trained = workshop.succeed(&["train", "recipes/r.toml", "--run", "run"]);
    assert!(!trained.stderr.contains("beside the recipe"), "{}", trained.stderr);
}

const RECIPE: &str = "[data]\nkind = 'table'\ntrain = '../data/train.csv'\ntest = '../data/test.csv'\ntarget = 'y'\n\
    [model]\nname = 'linear'\n[train]\nsteps = 20\nbatch_size = 8\n[checkpoint]\nevery_steps = 5\n";

fn from(workshop: &Workshop, folder: &str, arguments: &[&str]) -> Ended {
    std::fs::create_dir_all(workshop.path(folder)).unwrap();
    workshop.command(arguments).current_dir(workshop.path(folder)).output().unwrap().into()
}

#[test]
fn a_run_is_evaluated_from_anywhere_and_goes_on_by_its_recipe() {
    let workshop = Workshop::new();
    trained(&workshop);
    let kept = String::from_utf8(workshop.read("run/recipe.toml")).unwrap();
    let absolute = workshop.path("data/train.csv").canonicalize().unwrap();
    assert!(kept.contains(&format!("train = \"{}\"", absolute.display())), "{kept}");
    let here = workshop.succeed(&["evaluate", "run", "--json"]).stdout;
    let there = from(&workshop, "elsewhere/deep", &["evaluate", "../../run", "--json"]);
    assert_eq!((there.code, there.stdout), (Some(0), here), "{}", there.stderr);
    for (folder, recipe, run) in
        [("recipes", "r.toml", "../run"), ("elsewhere", "../recipes/r.toml", "../run")]
    {
        let on = from(&workshop, folder, &["train", recipe, "--run", run, "--resume"]);
        assert_eq!(on.code, Some(0), "{}", on.stderr);
    }
}

#[test]
fn a_path_of_the_working_folder_alone_is_taken_and_told() {
    let workshop = Workshop::new();
    workshop.write("data/train.csv", "x,y\n1,2\n2,4\n3,6\n4,8\n");
    workshop.write(
        "recipes/r.toml",
        "[data]\nkind = 'table'\ntrain = 'data/train.csv'\ntarget = 'y'\ntarget_kind = 'value'\n\
         [model]\nname = 'linear'\n[train]\nsteps = 2\n",
    );
    let told = workshop.succeed(&["train", "recipes/r.toml", "--run", "run"]).stderr;
    assert!(told.contains("r.toml:3: data.train: nothing is beside the recipe"), "{told}");
    // What is typed starts at the working folder.
    let set = ["--set", "data.train=data/train.csv"];
    let told = workshop.succeed(&[&["train", "recipes/r.toml", "--run", "set"], &set[..]].concat()).stderr;
    assert!(!told.contains("beside the recipe"), "{told}");
    workshop.fail(
        &["train", "recipes/r.toml", "--run", "none", "--set", "data.train=gone.csv"],
        &["gone.csv", "nothing of that name"],
    );
}

#[test]
fn where_data_are_gone_the_error_says_which_key_to_give() {
    let workshop = Workshop::new();
    trained(&workshop);
    let figures = workshop.succeed(&["evaluate", "run", "--json"]).stdout;
    std::fs::rename(workshop.path("data"), workshop.path("archive")).unwrap();
    workshop.fail(&["evaluate", "run"], &["data/test.csv", "nothing of that name", "--data URI"]);
    let other = workshop.succeed(&["evaluate", "run", "--json", "--data", "archive/test.csv"]).stdout;
    assert_eq!(other, figures);
    let longer = ["train", "--run", "run", "--resume", "--set", "train.steps=25"];
    workshop.fail(&longer, &["data/train.csv", "nothing of that name", "--set data.train=URI"]);
    let moved = ["--set", "data.train=archive/train.csv", "--set", "data.test=archive/test.csv"];
    let told = workshop.succeed(&[&longer[..], &moved[..]].concat()).stderr;
    assert!(told.contains("data.train: the run began with ") && told.contains("archive/train.csv"), "{told}");
    // Other data than the run began with are refused all the same.
    workshop.write("archive/train.csv", "x,y\n1,2\n2,4\n");
    workshop.fail(
        &["train", "--run", "run", "--resume", "--set", "train.steps=30", moved[0], moved[1]],
        &["that the run began with"],
    );
}

#[test]
fn a_run_of_an_earlier_version_keeps_its_relative_paths() {
    let workshop = Workshop::new();
    trained(&workshop);
    let figures = workshop.succeed(&["evaluate", "run", "--json"]).stdout;
    let kept = String::from_utf8(workshop.read("run/recipe.toml")).unwrap();
    let root = workshop.path("").canonicalize().unwrap();
    let relative = kept.replace(&format!("{}/", root.display()), "");
    assert!(relative != kept && relative.contains("train = \"data/train.csv\""), "{relative}");
    workshop.write("run/recipe.toml", relative);
    assert_eq!(workshop.succeed(&["evaluate", "run", "--json"]).stdout, figures);
    assert_ne!(from(&workshop, "elsewhere", &["evaluate", "../run"]).code, Some(0));
    workshop.succeed(&["train", "recipes/r.toml", "--run", "run", "--resume"]);
    workshop.succeed(&["train", "--run", "run", "--resume"]);
}

#[test]
fn a_run_that_has_not_ended_answers_with_its_last_checkpoint_and_says_so() {
    let workshop = Workshop::new();
    trained(&workshop);
    let ask = || workshop.succeed(&["predict", "run", "data/test.csv"]);
    let ended = ask();
    assert!(!ended.stderr.contains("not finished"), "{}", ended.stderr);
    // As a run is left that is killed behind its last checkpoint.
    std::fs::remove_file(workshop.path("run/model.safetensors")).unwrap();
    let unfinished = ask();
    assert_eq!(unfinished.stdout, ended.stdout);
    assert!(
        unfinished
            .stderr
            .contains("the run is not finished: the weights are those of its checkpoint at step 20")
    );
    let figures: Value =
        serde_json::from_str(&workshop.succeed(&["evaluate", "run", "--json"]).stdout).unwrap();
    assert_eq!(figures["samples"], 3);
    // A damaged checkpoint is passed over, and told.
    workshop.write("run/checkpoints/step-000000020/weights.safetensors", "half");
    let older = ask();
    assert!(older.stderr.contains("crc32") && older.stderr.contains("at step 15"), "{}", older.stderr);
    std::fs::remove_dir_all(workshop.path("run/checkpoints")).unwrap();
    workshop.fail(&["predict", "run", "data/test.csv"], &["a checkpoint", "neither", "--resume"]);
}
