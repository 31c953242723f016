//! Recipes for pictures.

use super::lines::Lines;
use super::listed::Answers;
use super::{Asked, Parts, refuse};
use crate::RecipeError;
use bonfire_datasets::look::{ListedLook, Look, PictureLayout, PicturesLook};

/// Pictures of this many pixels a side and fewer are small ones, as CIFAR's.
const SMALL: usize = 64;

/// Mean and deviation of ImageNet's pictures, as torchvision has them.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// Pictures of a class below which it can hardly be learned.
const FEW: u64 = 10;

pub(super) fn propose(
    look: &Look,
    (pictures, listed): (&PicturesLook, Option<(&ListedLook, Answers)>),
    asked: &Asked,
    lines: &mut Lines,
    told: &mut Vec<String>,
) -> Result<(), RecipeError> {
    if asked.target.is_some() && listed.is_none() {
        return Err(super::refuse_option("target", "rows of a table, which have columns", look));
    }
    let Some([least, side, most]) = pictures.shorter_side else {
        let found = match &pictures.unreadable {
            Some((count, error)) => format!("{count} that cannot: {error}"),
            None => "none".to_string(),
        };
        return Err(refuse(look, "pictures that can be read", found));
    };
    if pictures.classes.len() < 2 && listed.is_none() {
        return Err(refuse(look, "pictures of at least two classes", format!("{}", pictures.classes.len())));
    }
    let about = about(pictures);
    told.push(about.clone());
    told.push(format!("the shorter side has {least} to {most} pixels, {side} in the middle"));
    let fewest = pictures.classes.iter().min_by_key(|class| class.1);
    if let Some((name, count)) = fewest.filter(|class| class.1 < FEW && !pictures.of_first_shard) {
        told.push(format!("class `{name}` has {count} pictures: hardly enough to learn it"));
    }
    lines.section("data");
    lines.key("kind", "image", &about);
    lines.key("train", &look.train, "");
    let (mut skips, mut held_out) = (false, Parts::of(look, asked));
    if let Some((listed, answers)) = &listed {
        skips = answers.write(listed, lines, told);
        held_out = answers.parts(look, listed, asked, told)?;
    }
    let validates = match pictures.layout {
        PictureLayout::Shards => {
            lines
                .comment("shards are not split: hold some of them out by `valid = \"…\"` and `test = \"…\"`");
            if let Some(valid) = held_out.valid {
                lines.key("valid", valid, "");
            }
            if let Some(test) = held_out.test {
                lines.key("test", test, "");
            }
            held_out.valid.is_some()
        }
        _ => held_out.write(Some(pictures.pictures), lines),
    };
    if let Some((count, error)) = &pictures.unreadable {
        let why = format!("{count} of {} pictures that were looked at cannot be read", pictures.looked_at);
        told.push(format!("{why} and are left out (data.on_corrupt = \"skip\"): {error}"));
        lines.key("on_corrupt", "skip", &format!("{why}: they are left out, and counted"));
    } else if skips {
        lines.key("on_corrupt", "skip", "rows without a picture or an answer are left out, and counted");
    }
    match &asked.pretrained {
        Some(pretrained) => {
            let size = pretrained.size;
            lines.key("resize", size + size / 7, "the shorter side, a little more than what is cut out");
            lines.key("center_crop", [size, size], "what the weights were trained on");
            lines.key(
                "random_resized_crop",
                0.35,
                "training sees random parts, of 35 % of the area and more",
            );
            lines.key("flip", true, "and every second one mirrored");
            lines.key("mean", &pretrained.mean, "as the weights expect pixels");
            lines.key("std", &pretrained.std, "");
            lines.key("workers", 2, "threads that decode");
            lines.section("model");
            lines.key("name", &pretrained.architecture, "the architecture of the weights, by their names");
            lines.section("finetune");
            lines.key("pretrained", &pretrained.uri, "");
            lines.key("layer_rates", [("head*", 10.0)], "the head is drawn anew, and learns faster");
        }
        None if side <= SMALL && pictures.layout == PictureLayout::Idx => {
            lines.key("flip", false, "digits are not mirrored; set it for clothes and the like");
            lines.section("model");
            lines.key("name", "cnn", "grey pictures of few pixels");
        }
        None if side <= SMALL => {
            lines.key("resize", [32, 32], &format!("the middle of the sizes is {side}"));
            lines.key("random_crop", 4, "training sees random parts");
            lines.key("flip", true, "and every second one mirrored");
            lines.key("mean", MEAN, "of ImageNet's pictures");
            lines.key("std", STD, "");
            lines.key("workers", 2, "threads that decode");
            lines.section("model");
            lines.key("name", "resnet9", "for small pictures");
        }
        None => {
            // A network of few layers learns from few pictures; a deep one from scratch wants thousands.
            let deep = pictures.pictures >= 5_000;
            let size = if deep { 224 } else { 96 };
            lines.key("resize", size + size / 7, "the shorter side, a little more than what is cut out");
            lines.key("center_crop", [size, size], "");
            lines.key(
                "random_resized_crop",
                0.35,
                "training sees random parts, of 35 % of the area and more",
            );
            lines.key("flip", true, "and every second one mirrored");
            lines.key("mean", MEAN, "of ImageNet's pictures");
            lines.key("std", STD, "");
            lines.key("workers", 2, "threads that decode");
            lines.section("model");
            if deep {
                lines.key(
                    "name",
                    "resnet18",
                    "--pretrained begins with published weights, which is far better",
                );
            } else {
                let why = "few pictures: --pretrained begins with published weights, which is far better";
                lines.key("name", "resnet9", why);
            }
        }
    }
    let is_class = listed.is_none_or(|(_, answers)| answers.is_class());
    training(pictures, (side, is_class, validates), asked, lines);
    Ok(())
}

/// The pictures in a line.
fn about(pictures: &PicturesLook) -> String {
    let classes = pictures.classes.len();
    if pictures.layout == PictureLayout::Listed {
        return format!("{} pictures that a table names", pictures.files);
    }
    match pictures.of_first_shard {
        true => {
            format!(
                "{} shards; {} pictures of {classes} classes in the first",
                pictures.files, pictures.pictures
            )
        }
        false => format!("{} pictures of {classes} classes", pictures.pictures),
    }
}

/// The loop: more epochs where there are fewer pictures.
fn training(
    pictures: &PicturesLook,
    (side, is_class, validates): (usize, bool, bool),
    asked: &Asked,
    lines: &mut Lines,
) {
    let shards = if pictures.of_first_shard { pictures.files } else { 1 };
    let samples = (pictures.pictures * shards).max(1);
    let (batch_size, steps, bounds) = match (&asked.pretrained, side <= SMALL) {
        (Some(_), _) => (32, 600, (5, 30)),
        (None, true) => (64, 4_000, (10, 60)),
        (None, false) => (32, 3_000, (10, 60)),
    };
    let batch_size = if samples < 1_000 { 16 } else { batch_size };
    if is_class {
        lines.section("loss");
        lines.key("label_smoothing", 0.1, "");
    }
    lines.section("train");
    let epochs = super::epochs(samples, batch_size, steps, bounds);
    lines.key("epochs", epochs, &format!("about {} steps", epochs * samples.div_ceil(batch_size)));
    lines.key("batch_size", batch_size, "");
    super::select(validates, "pictures", lines);
    lines.section("optimizer");
    lines.key("name", "adamw", "");
    let rate = if asked.pretrained.is_some() { 0.0002 } else { 0.001 };
    lines.key(
        "learning_rate",
        rate,
        if asked.pretrained.is_some() { "small, as the weights are good" } else { "" },
    );
    lines.key("weight_decay", 0.05, "");
    lines.section("schedule");
    lines.key("name", "one_cycle", "");
}
