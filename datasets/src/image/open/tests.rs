use super::*;
use crate::image::Resize;
use crate::image::decode::tests::file;
use crate::image::open_prediction;
use crate::records::split::told;
use crate::{Dataset, Draw, Names, OnCorrupt, ShardOrder};
use bonfire_contract::{Batch, Images, Loader, Portion, Position, Share, Target};
use burn::tensor::Device;
use image::ImageFormat;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const FASHION: &str = "builtin:fashion-mnist-small/train-images-idx3-ubyte.gz";
const FASHION_TEST: &str = "builtin:fashion-mnist-small/t10k-images-idx3-ubyte.gz";

fn fashion() -> ImageConfig {
    ImageConfig { train: FASHION.into(), test: Some(FASHION_TEST.into()), ..ImageConfig::default() }
}

fn batches(pipeline: &Pipeline<ImageSet>, batch_size: usize) -> Vec<Batch<Images>> {
    let all = pipeline.batches(Position::default(), batch_size, &Device::flex());
    all.map(|batch| batch.unwrap()).collect()
}

fn classes(batch: &Batch<Images>) -> Vec<i64> {
    match &batch.target {
        Target::Classes(classes) => classes.to_data().convert::<i64>().try_to_vec().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// All pixels and classes of one epoch.
fn epoch(pipeline: &Pipeline<ImageSet>) -> (Vec<f32>, Vec<i64>) {
    let batches = batches(pipeline, 64);
    let pixels = batches.iter().flat_map(|batch| batch.input.pixels.to_data().try_to_vec::<f32>().unwrap());
    (pixels.collect(), batches.iter().flat_map(classes).collect())
}

/// The pictures of a pipeline, each by its bits.
fn pictures(pipeline: &Pipeline<ImageSet>) -> BTreeSet<Vec<u32>> {
    let (pixels, classes) = epoch(pipeline);
    let size = pixels.len() / classes.len();
    pixels.chunks(size).map(|picture| picture.iter().map(|value| value.to_bits()).collect()).collect()
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Six pictures of 8 x 6 in two classes, one of them a PNG of the name of a JPEG.
fn class_folders() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [
        ("cat/1.png", ImageFormat::Png),
        ("cat/2.jpg", ImageFormat::Png),
        ("cat/more/3.jpeg", ImageFormat::Jpeg),
        ("dog/1.png", ImageFormat::Png),
        ("dog/2.png", ImageFormat::Png),
        ("dog/3.png", ImageFormat::Png),
    ] {
        write(folder.path(), name, &file(format, 8, 6));
    }
    folder
}

fn folder_config(folder: &tempfile::TempDir) -> ImageConfig {
    ImageConfig { train: folder.path().display().to_string(), ..ImageConfig::default() }
}

fn refused(config: &ImageConfig) -> String {
    match open(config, 1) {
        Ok(_) => panic!("{config:?} opens"),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{message}");
            message
        }
    }
}

/// The bits of a picture's pixels, and the shares of its classes.
type Mixed = (Vec<u32>, Vec<f32>);

/// The samples of each batch, on all ranks together.
fn mixed(pipeline: &Pipeline<ImageSet>, ranks: u64) -> Vec<BTreeMap<u64, Mixed>> {
    let mut batches: Vec<BTreeMap<u64, Mixed>> = Vec::new();
    for rank in 0..ranks {
        let portions = pipeline
            .portions(Position::default(), 96, Share { rank, ranks }, &Device::flex())
            .map(Result::unwrap);
        for (at, batch) in portions.filter_map(Portion::batch).enumerate() {
            batches.resize_with(batches.len().max(at + 1), BTreeMap::new);
            let Target::Probabilities(shares) = batch.target else { panic!("{:?}", batch.target) };
            let (pixels, shares) = (batch.input.pixels.into_data(), shares.into_data());
            let pictures = pixels.as_slice::<f32>().unwrap().chunks(28 * 28);
            for ((sample, picture), shares) in
                batch.samples.iter().zip(pictures).zip(shares.as_slice::<f32>().unwrap().chunks(10))
            {
                let bits = picture.iter().map(|value| value.to_bits()).collect();
                assert!(batches[at].insert(*sample, (bits, shares.to_vec())).is_none());
            }
        }
    }
    batches
}

#[test]
fn pictures_are_mixed_alike_on_any_number_of_ranks() {
    for (mixup, cutmix) in [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)] {
        let config = ImageConfig { mixup, cutmix, flip: true, ..fashion() };
        let opened = open(&config, 3).unwrap();
        let alone = mixed(&opened.train, 1);
        for ranks in [2, 3, 4, 8] {
            assert!(mixed(&opened.train, ranks) == alone, "{ranks} ranks, {config:?}");
        }
        // Of 96 pictures all have a mate; the 4 of the last batch have none.
        let plain = pictures(&open(&ImageConfig { flip: true, ..fashion() }, 3).unwrap().train);
        let all = alone.iter().flat_map(BTreeMap::values);
        let (mut two, mut changed) = (0, 0);
        for (bits, shares) in all {
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            two += usize::from(shares.iter().filter(|share| **share > 0.0).count() == 2);
            changed += usize::from(!plain.contains(bits));
        }
        // Nine mates in ten are of another class; some shares round to all or nothing.
        assert!(two > 1_700 && changed > 1_900, "{two} of two classes, {changed} changed");
        let halves = BTreeSet::from_iter(alone.iter().flat_map(|batch| {
            batch.values().flat_map(|(_, shares)| shares.iter().map(|share| share.to_bits()))
        }));
        assert!(halves.len() > 2 * alone.len() / 2, "each batch has a share of its own");
    }
}

#[test]
fn the_embedded_set_opens() {
    let opened = open(&fashion(), 1).unwrap();
    let schema = &opened.schema;
    assert_eq!((schema.channels, schema.height, schema.width), (1, 28, 28));
    assert_eq!(schema.labels, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!((opened.train.len(), opened.test.as_ref().unwrap().len()), (2_500, 500));
    assert!(opened.valid.is_none());

    let first = &batches(&opened.train, 32)[0];
    assert_eq!(first.input.pixels.dims(), [32, 1, 28, 28]);
    let (pixels, labels) = epoch(opened.test.as_ref().unwrap());
    assert!(pixels.iter().all(|value| (0.0..=1.0).contains(value)));
    assert_eq!(
        labels,
        opened.test.unwrap().dataset().classes().iter().map(|&c| c as i64).collect::<Vec<_>>()
    );
    assert!((0..10).all(|class| labels.iter().filter(|&&label| label == class).count() == 50));
}

#[test]
fn held_out_pictures_are_the_same_in_training_and_evaluation() {
    let config = ImageConfig { valid_fraction: 0.1, test_fraction: 0.2, test: None, ..fashion() };
    let opened = open(&config, 5).unwrap();
    let (valid, test) = (opened.valid.unwrap(), opened.test.unwrap());
    assert_eq!((opened.train.len(), valid.len(), test.len()), (1_750, 250, 500));
    let parts = [pictures(&opened.train), pictures(&valid), pictures(&test)];
    assert!(
        parts[0].is_disjoint(&parts[1]) && parts[0].is_disjoint(&parts[2]) && parts[1].is_disjoint(&parts[2])
    );

    let evaluated = open_evaluation(&config, &opened.schema, None, 5).unwrap();
    assert_eq!(epoch(&evaluated), epoch(&test));
    let without_test = ImageConfig { test_fraction: 0.0, ..config.clone() };
    let opened = open(&without_test, 5).unwrap();
    let evaluated = open_evaluation(&without_test, &opened.schema, None, 5).unwrap();
    assert_eq!(epoch(&evaluated), epoch(&opened.valid.unwrap()));
    assert_ne!(epoch(&open_evaluation(&without_test, &opened.schema, None, 6).unwrap()), epoch(&evaluated));

    let named = open_evaluation(&config, &opened.schema, Some(FASHION_TEST), 5).unwrap();
    assert_eq!(named.len(), 500);
    let nothing = ImageConfig { valid_fraction: 0.0, test_fraction: 0.0, ..config };
    let error = open_evaluation(&nothing, &opened.schema, None, 5).err().unwrap().to_string();
    assert!(error.starts_with("data.test: expected pictures to evaluate on"), "{error}");
}

/// The classes of a pipeline's pictures, counted.
fn counted(pipeline: &Pipeline<ImageSet>) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    epoch(pipeline).1.into_iter().for_each(|class| *counts.entry(class).or_default() += 1);
    counts
}

#[test]
fn classes_have_their_shares_unless_the_run_began_without() {
    let (train, classes) = epoch(&open(&fashion(), 5).unwrap().train);
    assert_eq!((train.len(), classes.len()), (2_500 * 28 * 28, 2_500));
    let config = ImageConfig { valid_fraction: 0.1, test_fraction: 0.2, test: None, ..fashion() };
    let opened = open(&config, 5).unwrap();
    assert_eq!(opened.schema.split, SplitBy::Stratified);
    let (valid, test) = (opened.valid.unwrap(), opened.test.unwrap());
    for class in 0..10 {
        let all = classes.iter().filter(|&&of| of == class).count() as f64;
        for (part, share) in [(&valid, 0.1), (&test, 0.2)] {
            let found = counted(part)[&class] as f64;
            assert!((found - share * all).abs() < 1.0, "{found} of {all}");
        }
    }
    // A run of an earlier version: its labels say nothing of its split.
    let alike = open(&ImageConfig { stratify: Some(false), ..config.clone() }, 5).unwrap();
    assert_eq!(alike.schema.split, SplitBy::Random);
    let began = epoch(&alike.test.unwrap());
    assert_ne!(began, epoch(&test));
    assert_eq!(epoch(&open_evaluation(&config, &alike.schema, None, 5).unwrap()), began);
    let goes_on = reopen(&config, 5, alike.schema).unwrap();
    assert_eq!(epoch(&goes_on.test.unwrap()), began);
    assert_eq!(epoch(&reopen(&config, 5, opened.schema).unwrap().test.unwrap()), epoch(&test));
}

#[test]
fn a_class_of_one_picture_trains() {
    let folder = tempfile::tempdir().unwrap();
    for name in (0..20).flat_map(|number| [format!("a/{number}.png"), format!("b/{number}.png")]) {
        write(folder.path(), &name, &file(ImageFormat::Png, 8, 6));
    }
    write(folder.path(), "rare/1.png", &file(ImageFormat::Png, 8, 6));
    let config = ImageConfig { valid_fraction: 0.5, ..folder_config(&folder) };
    for seed in 0..9 {
        let opened = open(&config, seed).unwrap();
        let counts = |pipeline: &Pipeline<ImageSet>| {
            let classes = pipeline.dataset().classes();
            [0, 1, 2].map(|class| classes.iter().filter(|&&of| of == class).count())
        };
        let (train, valid) = (counts(&opened.train), counts(&opened.valid.unwrap()));
        let lines = told(&config.train, || _ = open(&config, seed).unwrap());
        assert_eq!(lines, ["1 class without a validation sample: `rare` (1 sample)"]);
        assert_eq!((train[2], valid[2]), (1, 0));
        assert!(train[0].abs_diff(10) <= 1 && valid[0] + valid[1] == 21, "{train:?} {valid:?}");
    }
}

#[test]
fn training_is_shuffled_and_augmented_and_evaluation_is_not() {
    let config = ImageConfig { random_crop: 2, flip: true, workers: 2, ..fashion() };
    let opened = open(&config, 1).unwrap();
    let (pixels, labels) = epoch(&opened.train);
    assert_eq!((&pixels, &labels), (&epoch(&open(&config, 1).unwrap().train).0, &labels));
    assert_ne!(labels, epoch(&open(&config, 2).unwrap().train).1);
    let plain = pictures(&open(&fashion(), 1).unwrap().train);
    let augmented = pictures(&opened.train);
    // A shift of nothing, unmirrored, comes once in 50 pictures.
    let unchanged = augmented.intersection(&plain).count();
    assert!((10..150).contains(&unchanged), "{unchanged}");
    assert_eq!(
        pictures(opened.test.as_ref().unwrap()),
        pictures(open(&fashion(), 1).unwrap().test.as_ref().unwrap())
    );
}

#[test]
fn class_folders_open_in_colour() {
    let folder = class_folders();
    let opened = open(&folder_config(&folder), 1).unwrap();
    assert_eq!(opened.schema.labels, ["cat", "dog"]);
    assert_eq!((opened.schema.channels, opened.schema.height, opened.schema.width), (3, 8, 6));
    let (_, mut labels) = epoch(&opened.train);
    labels.sort_unstable();
    assert_eq!(labels, [0, 0, 0, 1, 1, 1]);

    let grey = ImageConfig {
        channels: Some(1),
        class_names: Some(vec!["dog".into(), "cat".into()]),
        ..folder_config(&folder)
    };
    let opened = open(&grey, 1).unwrap();
    assert_eq!(opened.schema.labels, ["dog", "cat"]);
    assert_eq!(batches(&opened.train, 6)[0].input.pixels.dims(), [6, 1, 8, 6]);
    // In the set's own order, cats are first and have the index that class_names gives them.
    assert_eq!(opened.train.dataset().classes(), [1, 1, 1, 0, 0, 0]);
}

#[test]
fn autoencoders_need_no_labels() {
    let folder = class_folders();
    let config = ImageConfig { target: ImageTarget::Input, valid_fraction: 0.5, ..folder_config(&folder) };
    let opened = open(&config, 1).unwrap();
    assert!(opened.schema.labels.is_empty());
    let batch = &batches(&opened.train, 9)[0];
    assert_eq!(batch.input.pixels.dims(), [3, 3, 8, 6]);
    assert!(matches!(batch.target, Target::Input));
    let glob = ImageConfig { train: format!("{}/*/*.png", folder.path().display()), ..config };
    assert_eq!(open(&ImageConfig { valid_fraction: 0.0, ..glob }, 1).unwrap().train.len(), 4);
    let idx = ImageConfig { target: ImageTarget::Input, ..fashion() };
    assert_eq!(open(&idx, 1).unwrap().train.len(), 2_500);
}

#[test]
fn pictures_of_other_sizes_are_named_or_resized() {
    let folder = class_folders();
    write(folder.path(), "dog/4.png", &file(ImageFormat::Png, 9, 6));
    let opened = open(&folder_config(&folder), 1).unwrap();
    let mut rest = opened.train.batches(Position::default(), 1, &Device::flex());
    let error = rest.find_map(Result::err).unwrap().to_string();
    assert!(error.contains("/dog/4.png, size: expected 8 x 6 as the first picture"), "{error}");
    assert!(error.ends_with("found 9 x 6 (height x width)"), "{error}");

    let resized = ImageConfig {
        resize: Some(Resize::Exact([5, 7])),
        center_crop: Some([4, 4]),
        ..folder_config(&folder)
    };
    assert_eq!(batches(&open(&resized, 1).unwrap().train, 7)[0].input.pixels.dims(), [7, 3, 4, 4]);
    let cropped = ImageConfig { center_crop: Some([8, 4]), ..folder_config(&folder) };
    assert_eq!(batches(&open(&cropped, 1).unwrap().train, 7)[0].input.pixels.dims(), [7, 3, 8, 4]);
}

#[test]
fn corrupt_pictures_stop_or_are_skipped() {
    let folder = class_folders();
    let png = file(ImageFormat::Png, 8, 6);
    write(folder.path(), "cat/0.png", &png[..png.len() / 2]);
    write(folder.path(), "dog/0.png", b"");
    let config = ImageConfig { workers: 2, ..folder_config(&folder) };
    // The first picture decides the size.
    assert!(refused(&config).contains("/cat/0.png, picture: expected a complete picture (PNG, JPEG,"));
    let sized = ImageConfig { resize: Some(Resize::Exact([8, 6])), ..config.clone() };
    let opened = open(&sized, 1).unwrap();
    assert!(opened.train.batches(Position::default(), 1, &Device::flex()).any(|batch| batch.is_err()));

    let skipping = ImageConfig { on_corrupt: OnCorrupt::Skip, ..config };
    let opened = open(&skipping, 1).unwrap();
    assert_eq!(opened.train.len(), 8);
    let read = batches(&opened.train, 4);
    assert_eq!(read.iter().map(|batch| batch.consumed).sum::<u64>(), 8);
    assert_eq!(read.iter().map(|batch| batch.input.pixels.dims()[0]).sum::<usize>(), 6);
    assert_eq!(opened.train.skipped().count(), 2);

    // A picture that is gone is not a corrupt one.
    fs::remove_file(folder.path().join("dog/1.png")).unwrap();
    let error = opened.train.batches(Position::default(), 4, &Device::flex()).find_map(Result::err).unwrap();
    assert!(error.to_string().ends_with("dog/1.png: expected a file, found nothing of that name"), "{error}");
}

#[test]
fn sources_that_cannot_be_trained_on_are_refused() {
    let folder = class_folders();
    let config = folder_config(&folder);
    assert!(
        refused(&ImageConfig { train: "no/such".into(), ..config.clone() }).contains("nothing of that name")
    );
    let one_class = ImageConfig { train: format!("{}/cat", config.train), ..config.clone() };
    assert!(refused(&one_class).contains("pictures in class folders"));
    let single = tempfile::tempdir().unwrap();
    write(single.path(), "cat/1.png", &file(ImageFormat::Png, 8, 6));
    assert!(refused(&folder_config(&single)).ends_with("expected at least two classes, found only \"cat\""));
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(&folder_config(&empty)).ends_with("found an empty folder"));

    // A class of the validation folder that training lacks.
    let other = tempfile::tempdir().unwrap();
    write(other.path(), "bird/1.png", &file(ImageFormat::Png, 8, 6));
    let foreign = ImageConfig { valid: Some(other.path().display().to_string()), ..config.clone() };
    assert!(refused(&foreign).ends_with("expected pictures of the classes cat, dog, found \"bird\""));

    let share = ImageConfig { test_fraction: 0.01, ..config.clone() };
    assert_eq!(
        refused(&share),
        "data.test_fraction: expected a share that holds at least one picture, found 0.01 of 6"
    );
    assert!(refused(&ImageConfig { valid_fraction: 0.99, ..config }).contains("leave a picture to train on"));
    let large = ImageConfig { center_crop: Some([29, 28]), ..fashion() };
    assert_eq!(
        refused(&large),
        "data.center_crop: expected at most the size of the pictures, [28, 28], found [29, 28]"
    );
}

/// IDX pictures of 1 x 2 and their labels, beside each other.
fn idx(folder: &Path, name: &str, labels: &[u8]) -> String {
    let count = (labels.len() as u32).to_be_bytes();
    let pixels = vec![0; 2 * labels.len()];
    let pictures = [&[0, 0, 8, 3][..], &count, &[0, 0, 0, 1, 0, 0, 0, 2], &pixels].concat();
    write(folder, &format!("{name}-images-idx3-ubyte"), &pictures);
    write(folder, &format!("{name}-labels-idx1-ubyte"), &[&[0, 0, 8, 1][..], &count, labels].concat());
    folder.join(format!("{name}-images-idx3-ubyte")).display().to_string()
}

#[test]
fn labels_of_idx_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let train = idx(folder.path(), "train", &[0, 1, 2, 1]);
    let config = ImageConfig { train: train.clone(), ..ImageConfig::default() };
    assert_eq!(open(&config, 1).unwrap().schema.labels, ["0", "1", "2"]);

    let valid = idx(folder.path(), "valid", &[0, 1, 3]);
    let foreign = refused(&ImageConfig { valid: Some(valid.clone()), ..config.clone() });
    assert!(
        foreign.contains("valid-labels-idx1-ubyte, label 2 (byte 10): expected a number below 3"),
        "{foreign}"
    );
    assert!(foreign.ends_with("found 3"));
    let named = Some(["a", "b", "c", "d"].map(String::from).to_vec());
    let four = ImageConfig { valid: Some(valid), class_names: named, ..config.clone() };
    assert_eq!(open(&four, 1).unwrap().schema.labels.len(), 4);

    let one_class = idx(folder.path(), "one", &[4, 4, 4]);
    assert!(refused(&ImageConfig { train: one_class, ..config.clone() }).ends_with("found only \"4\""));
    let none = idx(folder.path(), "none", &[]);
    assert!(
        refused(&ImageConfig { train: none, ..config.clone() }).ends_with("expected pictures, found none")
    );

    let short = folder.path().join("valid-labels-idx1-ubyte").display().to_string();
    let mismatch = refused(&ImageConfig { labels: Some(short), ..config.clone() });
    assert!(mismatch.contains("expected 4 labels, as many as there are pictures in"), "{mismatch}");
    assert!(mismatch.ends_with("found 3"), "{mismatch}");

    fs::copy(&train, folder.path().join("pictures")).unwrap();
    let renamed = folder.path().join("pictures").display().to_string();
    assert!(
        refused(&ImageConfig { train: renamed.clone(), ..config.clone() })
            .starts_with("data.labels: expected")
    );
    let labels = Some(folder.path().join("train-labels-idx1-ubyte").display().to_string());
    let explicit = ImageConfig { train: renamed.clone(), labels, ..config.clone() };
    let opened = open(&explicit, 1).unwrap();
    assert_eq!(open_evaluation(&explicit, &opened.schema, Some(&renamed), 1).unwrap().len(), 4);

    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
    assert!(
        refused(&config).contains("train-labels-idx1-ubyte: expected a file, found nothing of that name")
    );
}

/// The only part of inputs that are few.
fn predicted(
    config: &ImageConfig,
    schema: &ImageSchema,
    inputs: &[String],
) -> Result<(Pipeline<ImageSet>, Names), DataError> {
    let mut parts = open_prediction(config, schema, inputs)?;
    let part = parts.next().unwrap()?;
    assert!(parts.next().is_none());
    Ok((part.samples, part.names))
}

#[test]
fn pictures_to_predict_come_in_parts_of_some_thousand() {
    let folder = tempfile::tempdir().unwrap();
    let pixel = file(ImageFormat::Png, 1, 1);
    for number in 0..4_100 {
        fs::write(folder.path().join(format!("{number:05}.png")), &pixel).unwrap();
    }
    let root = folder.path().display().to_string();
    let config = ImageConfig { train: root.clone(), ..ImageConfig::default() };
    let schema = crate::image::schema::tests::schema(3, 1, 1);
    let inputs = [root.clone(), format!("{root}/00007.png")];
    let parts: Vec<_> = open_prediction(&config, &schema, &inputs).unwrap().map(Result::unwrap).collect();
    assert_eq!(parts.iter().map(|part| part.samples.len()).collect::<Vec<_>>(), [4_096, 5]);
    assert_eq!(parts[1].names.of(0), format!("{root}/04096.png"));
    assert_eq!(parts[1].names.of(4), format!("{root}/00007.png"));
}

#[test]
fn pictures_have_as_many_views_as_crops_are_asked_for() {
    let folder = class_folders();
    let cropped = |crops| ImageConfig {
        resize: Some(Resize::Exact([8, 6])),
        center_crop: Some([5, 4]),
        crops,
        ..folder_config(&folder)
    };
    let opened = open(&cropped(5), 1).unwrap();
    let one = &batches(&opened.train, 100)[0];
    assert_eq!(one.input.pixels.dims()[0], one.samples.len(), "training sees one view");
    let of = |crops| {
        let set =
            open_evaluation(&cropped(crops), &opened.schema, Some(&folder_config(&folder).train), 1).unwrap();
        batches(&set, 2).remove(0)
    };
    let (one, five, ten) = (of(1), of(5), of(10));
    assert_eq!(one.input.pixels.dims(), [2, 3, 5, 4]);
    assert_eq!(five.input.pixels.dims(), [10, 3, 5, 4]);
    assert_eq!(ten.input.pixels.dims(), [20, 3, 5, 4]);
    assert_eq!((classes(&ten), &ten.samples), (classes(&one), &one.samples));
    let values = |batch: &Batch<Images>| batch.input.pixels.to_data().try_to_vec::<f32>().unwrap();
    let size = 3 * 5 * 4;
    for picture in 0..2 {
        let view =
            |batch: &Batch<Images>, views: usize| values(batch)[picture * views * size..][..size].to_vec();
        assert_eq!(view(&five, 5), view(&one, 1), "the first view is the centre");
        assert_eq!(view(&ten, 10), view(&one, 1));
    }
}

#[test]
fn prediction_names_every_picture_and_needs_no_labels() {
    let folder = class_folders();
    let config = folder_config(&folder);
    let opened = open(&config, 1).unwrap();
    let root = &config.train;
    // A file without an ending is known by its content.
    fs::copy(format!("{root}/dog/1.png"), format!("{root}/unnamed")).unwrap();
    let inputs =
        [format!("{root}/dog"), format!("{root}/unnamed"), FASHION_TEST.into(), format!("{root}/cat/2.jpg")];
    let resizing = ImageSchema { resize: Some(Resize::Exact([8, 6])), ..opened.schema };
    let (pipeline, names) = predicted(&config, &resizing, &inputs).unwrap();
    assert_eq!(pipeline.len(), 3 + 1 + 500 + 1);
    assert_eq!(names.of(0), format!("{root}/dog/1.png"));
    assert_eq!(names.of(3), format!("{root}/unnamed"));
    assert_eq!(names.of(4), format!("{FASHION_TEST}:0"));
    let batch = &batches(&pipeline, 505)[0];
    assert_eq!(batch.input.pixels.dims(), [505, 3, 8, 6]);
    assert!(matches!(batch.target, Target::Absent));

    // The fourth picture is the first again.
    let pixels = batch.input.pixels.to_data().try_to_vec::<f32>().unwrap();
    let size = 3 * 8 * 6;
    assert_eq!(pixels[..size], pixels[3 * size..4 * size]);

    let refused = |inputs: &[String]| predicted(&config, &resizing, inputs).err().unwrap().to_string();
    assert!(refused(&[]).contains("found no input"));
    assert!(refused(&["missing.png".into()]).contains("nothing of that name"));
    assert!(refused(&["Cargo.toml".into()]).contains(".gif) or an IDX file of them, found another format"));
}

#[test]
fn a_file_that_is_no_training_set_is_named_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, found) in [
        ("table.data", &b"a,b\n1,2\n"[..], "found a file that begins with 61 2c 62 0a"),
        ("one.png", &file(ImageFormat::Png, 8, 6), "found a single picture"),
        ("labels", &[0, 0, 8, 1, 0, 0, 0, 1, 7], "found an IDX file of labels"),
        ("empty", &[], "found an empty file"),
    ] {
        write(folder.path(), name, bytes);
        let config = ImageConfig { train: folder.path().join(name).display().to_string(), ..fashion() };
        let message = refused(&config);
        assert!(message.contains("a folder of class folders") && message.ends_with(found), "{message}");
    }
}

/// Ten pictures in one folder, and a table of them: what it says of number `n` is `say(n)`.
fn beside_a_table(say: impl Fn(usize) -> String) -> (tempfile::TempDir, ImageConfig) {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "file_name,label\n".to_string();
    for number in 0..10 {
        let format = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp][number % 3];
        write(folder.path(), &format!("{number}.png"), &file(format, 8, 6));
        table += &format!("{number}.png,{}\n", say(number));
    }
    write(folder.path(), "metadata.csv", table.as_bytes());
    let train = folder.path().join("metadata.csv").display().to_string();
    (folder, ImageConfig { train, workers: 0, ..ImageConfig::default() })
}

#[test]
fn a_table_beside_pictures_is_trained_on() {
    let (folder, config) = beside_a_table(|number| ["cat", "dog"][number % 2].to_string());
    let opened = open(&ImageConfig { test_fraction: 0.2, ..config.clone() }, 1).unwrap();
    assert_eq!(opened.schema.labels, ["cat", "dog"]);
    let (_, classes) = epoch(&opened.train);
    let (_, tested) = epoch(opened.test.as_ref().unwrap());
    assert_eq!((classes.len(), tested.len()), (8, 2));
    let all: i64 = classes.iter().chain(&tested).sum();
    assert_eq!(all, 5);
    // The folder alone has no classes, and says where they are.
    let alone = ImageConfig { train: folder.path().display().to_string(), ..config.clone() };
    let error = refused(&alone);
    assert!(error.ends_with("outside of them; a table of labels is read as \"metadata.csv\""), "{error}");
    // Labels are not asked for in prediction.
    let mut parts = open_prediction(&config, &opened.schema, std::slice::from_ref(&config.train)).unwrap();
    let part = parts.next().unwrap().unwrap();
    assert!(part.names.of(9).ends_with("/9.png"));
    assert_eq!(part.samples.dataset().len(), 10);
}

#[test]
fn pictures_of_a_group_are_on_one_side() {
    let (folder, config) = beside_a_table(|number| format!("{number}.5"));
    let patient = |number: usize| number * number % 5;
    let table: String = (0..10).map(|of| format!("{of}.png,{of}.5,p{}\n", patient(of))).collect();
    write(folder.path(), "metadata.csv", format!("file_name,depth,patient\n{table}").as_bytes());
    let (target, group_column) = (ImageTarget::Value, Some("patient".to_string()));
    let config = ImageConfig { target, group_column, test_fraction: 0.4, ..config };
    let of = |pipeline: &Pipeline<ImageSet>, schema: &ImageSchema| -> BTreeSet<usize> {
        let moments = schema.value.unwrap();
        let Target::Values(values) = batches(pipeline, 10).remove(0).target else { panic!("no values") };
        let values: Vec<f32> = values.into_data().try_to_vec().unwrap();
        let number = |value: f32| (f64::from(value) * moments.std + moments.mean - 0.5).round() as usize;
        values.into_iter().map(number).collect()
    };
    for seed in 0..4 {
        let opened = open(&config, seed).unwrap();
        assert_eq!(opened.schema.split, SplitBy::Groups("patient".into()));
        let (train, test) =
            (of(&opened.train, &opened.schema), of(opened.test.as_ref().unwrap(), &opened.schema));
        assert_eq!(train.len() + test.len(), 10);
        assert!(!train.iter().any(|&of| test.iter().any(|&other| patient(of) == patient(other))), "{test:?}");
        let evaluated = open_evaluation(&config, &opened.schema, None, seed).unwrap();
        assert_eq!(of(&evaluated, &opened.schema), test);
    }
    let schema = open(&config, 1).unwrap().schema;
    let without = ImageConfig { group_column: None, label_column: Some("depth".into()), ..config.clone() };
    let error = reopen(&without, 1, schema).err().unwrap().to_string();
    assert!(error.starts_with("data.group_column: expected `patient`, by which the run began"), "{error}");
    let other = ImageConfig {
        group_column: Some("patent".into()),
        label_column: Some("depth".into()),
        ..config.clone()
    };
    assert!(refused(&other).starts_with("data.group_column: expected a column of"));
    let folders = ImageConfig { train: folder.path().display().to_string(), ..config.clone() };
    assert!(refused(&folders).starts_with("data.group_column: expected none, or a table of file names"));
    write(
        folder.path(),
        "metadata.csv",
        format!("file_name,depth,patient\n{table}1.png,1.5,p2\n").as_bytes(),
    );
    let error = refused(&config);
    assert!(error.contains("expected the same group of") && error.contains("line 12"), "{error}");
    write(folder.path(), "metadata.csv", format!("file_name,depth,patient\n{table}1.png,1.5,\n").as_bytes());
    assert!(refused(&config).contains("line 12, column `patient`: expected a group, found no value"));
}

#[test]
fn values_of_a_table_are_standardised_by_those_that_are_trained_on() {
    let (folder, config) = beside_a_table(|number| format!("{}.5", number * number));
    let config = ImageConfig { target: ImageTarget::Value, test_fraction: 0.2, ..config };
    let opened = open(&config, 1).unwrap();
    let moments = opened.schema.value.unwrap();
    let values = |pipeline: &Pipeline<ImageSet>| -> Vec<f64> {
        let target = batches(pipeline, 10).remove(0).target;
        let Target::Values(values) = target else { panic!("expected values, found {target:?}") };
        let values: Vec<f32> = values.into_data().try_to_vec().unwrap();
        values.into_iter().map(f64::from).collect()
    };
    let (trained, tested) = (values(&opened.train), values(opened.test.as_ref().unwrap()));
    assert!(trained.iter().sum::<f64>().abs() < 1e-4);
    assert!((trained.iter().map(|value| value * value).sum::<f64>() / 8.0 - 1.0).abs() < 1e-4);
    let mut all: Vec<f64> = trained
        .iter()
        .chain(&tested)
        .map(|value| (value * moments.std + moments.mean - 0.5).round())
        .collect();
    all.sort_by(f64::total_cmp);
    let expected: Vec<f64> = (0..10).map(|number| f64::from(number * number)).collect();
    assert_eq!(all, expected);
    // A run that goes on keeps its moments, and evaluates by them.
    opened.schema.save(folder.path()).unwrap();
    let schema = ImageSchema::load(folder.path()).unwrap();
    assert_eq!(schema, opened.schema);
    let evaluated = open_evaluation(&config, &schema, None, 1).unwrap();
    assert_eq!(values(&evaluated), tested);
    let classes = ImageConfig { target: ImageTarget::Class, ..config.clone() };
    assert!(refused(&classes).starts_with("data.target: expected \"value\""));
    let mixing = ImageConfig { mixup: 0.2, ..config };
    assert!(refused(&mixing).starts_with("data.mixup: expected 0 where the target is no class"));
}

#[test]
fn a_corrupt_picture_counts_once_in_many_epochs() {
    let folder = class_folders();
    write(folder.path(), "dog/4.png", b"no picture");
    let config = ImageConfig { on_corrupt: OnCorrupt::Skip, ..folder_config(&folder) };
    let train = open(&config, 1).unwrap().train;
    for epoch in 0..3 {
        let start = Position { epoch, samples: 0 };
        assert!(train.batches(start, 2, &Device::flex()).all(|batch| batch.is_ok()));
        assert_eq!(train.skipped().count(), 1);
    }
}

/// The pictures of a folder of class folders as shards of about `shard_bytes`.
fn packed(source: &str, folder: &Path, shard_bytes: u64) -> String {
    let pictures = crate::image::folder::classed(source).unwrap();
    let names = &pictures.names;
    let pictures = pictures.pictures.iter().map(|(uri, class)| (uri.clone(), Some(names[*class].clone())));
    let pack = crate::pack::Pack {
        format: crate::records::Format::Tar,
        pictures: pictures.collect(),
        source: source.to_string(),
        folder: folder.display().to_string(),
        shard_bytes,
        seed: 1,
    };
    crate::pack::pack(&pack, &mut |_, _| {}, &|_| {}).unwrap().uri
}

/// Many pictures that differ, in class folders.
fn many(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..count {
        let name = format!("{}/{number}.png", ["cat", "dog", "owl"][number % 3]);
        write(folder.path(), &name, &file(ImageFormat::Png, 4 + number as u32, 9));
    }
    folder
}

#[test]
fn shards_give_the_pictures_that_their_folder_gives() {
    let (folder, shards) = (many(40), tempfile::tempdir().unwrap());
    let config = ImageConfig { resize: Some(Resize::Exact([8, 6])), workers: 2, ..folder_config(&folder) };
    let uri = packed(&config.train, shards.path(), 8_000);
    let expected = open(&config, 1).unwrap();
    let sorted = |pipeline: &Pipeline<ImageSet>| {
        let (pixels, labels) = epoch(pipeline);
        let mut samples: Vec<(i64, Vec<u32>)> = labels
            .into_iter()
            .zip(pixels.chunks(3 * 8 * 6))
            .map(|(label, pixels)| (label, pixels.iter().map(|value| value.to_bits()).collect()))
            .collect();
        samples.sort_unstable();
        samples
    };
    for order in [None, Some(ShardOrder::Full), Some(ShardOrder::Window)] {
        let config = ImageConfig {
            train: uri.clone(),
            valid: Some(uri.clone()),
            order,
            window_shards: 2,
            window_block: 3,
            ..config.clone()
        };
        let opened = open(&config, 1).unwrap();
        assert_eq!(opened.schema, expected.schema);
        assert_eq!(sorted(&opened.train), sorted(&expected.train), "{order:?}");
        assert_eq!(sorted(opened.valid.as_ref().unwrap()), sorted(&expected.train));
        let evaluated = open_evaluation(&config, &opened.schema, None, 1).unwrap();
        assert_eq!(epoch(&evaluated), epoch(opened.valid.as_ref().unwrap()));

        // The sequence is the same for any number of workers, and from any position on.
        let (whole, labels) = epoch(&open(&ImageConfig { workers: 0, ..config.clone() }, 1).unwrap().train);
        assert_eq!((&whole, &labels), (&epoch(&open(&config, 1).unwrap().train).0, &epoch(&opened.train).1));
        let rest = opened.train.batches(Position { epoch: 0, samples: 17 }, 5, &Device::flex());
        let rest: Vec<f32> = rest
            .flat_map(|batch| batch.unwrap().input.pixels.to_data().try_to_vec::<f32>().unwrap())
            .collect();
        assert_eq!(rest, whole[17 * 3 * 8 * 6..]);
    }
    let (pipeline, names) = predicted(&config, &expected.schema, std::slice::from_ref(&uri)).unwrap();
    assert_eq!((pipeline.len(), names.of(39)), (40, format!("{uri}:39")));
}

/// Each of `ranks` reads its part of every global batch; put together, they are what one reads.
#[test]
fn the_sequence_is_the_same_for_any_number_of_ranks() {
    const GLOBAL_BATCH: u64 = 12;
    let (folder, shards) = (many(31), tempfile::tempdir().unwrap());
    let config = ImageConfig {
        train: packed(&folder_config(&folder).train, shards.path(), 8_000),
        resize: Some(Resize::Exact([2, 2])),
        order: Some(ShardOrder::Window),
        window_shards: 3,
        window_block: 2,
        flip: true,
        ..ImageConfig::default()
    };
    let whole = epoch(&open(&config, 1).unwrap().train);
    for ranks in [1, 2, 3, 4, 8] {
        let opened: Vec<_> = (0..ranks).map(|_| open(&config, 1).unwrap().train).collect();
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for begin in (0..31).step_by(GLOBAL_BATCH as usize) {
            let size = GLOBAL_BATCH.min(31 - begin);
            for rank in 0..ranks {
                let (from, to) = (size * rank / ranks, size * (rank + 1) / ranks);
                if from == to {
                    continue;
                }
                let start = Position { epoch: 0, samples: begin + from };
                let mut slice = opened[rank as usize].batches(start, (to - from) as usize, &Device::flex());
                let batch = slice.next().unwrap().unwrap();
                pixels.extend(batch.input.pixels.to_data().try_to_vec::<f32>().unwrap());
                let Target::Classes(classes) = batch.target else { panic!("pictures have classes") };
                labels.extend(classes.to_data().convert::<i64>().try_to_vec::<i64>().unwrap());
            }
        }
        assert_eq!((&pixels, &labels), (&whole.0, &whole.1), "{ranks} ranks");
    }
}

#[test]
fn shards_that_cannot_be_trained_on_are_refused() {
    use crate::records::tests::tar;
    let folder = tempfile::tempdir().unwrap();
    let png = file(ImageFormat::Png, 8, 6);
    let shard = |name: &str, members: &[(&str, &[u8])]| {
        write(folder.path(), name, &tar(members));
        ImageConfig { train: folder.path().join(name).display().to_string(), ..ImageConfig::default() }
    };
    let one = shard("one.tar", &[("a.png", &png), ("a.cls", b"cat"), ("b.png", &png), ("b.cls", b"cat")]);
    assert!(refused(&one).ends_with("expected at least two classes, found only \"cat\""));
    let none = shard("none.tar", &[("cat/a.png", &png), ("b.png", &png)]);
    assert!(
        refused(&none).contains("a class for each sample")
            && refused(&none).ends_with("none for 1 of 2 samples")
    );
    let empty = shard("empty.tar", &[]);
    assert!(refused(&empty).ends_with("expected pictures, found shards without samples"));
    let two = shard("two.tar", &[("cat/a.png", &png), ("dog/b.png", &png), ("dog/c.txt", b"words")]);
    let fraction = refused(&ImageConfig { valid_fraction: 0.1, ..two.clone() });
    assert!(fraction.starts_with("data.valid_fraction: expected 0 with shards"), "{fraction}");

    // The classes are names, or numbers of the names that the recipe gives.
    let numbered =
        shard("numbered.tar", &[("a.png", &png), ("a.cls", b"0"), ("b.png", &png), ("b.cls", b"2\n")]);
    assert_eq!(open(&numbered, 1).unwrap().schema.labels, ["0", "2"]);
    let names = Some(["x", "y", "z"].map(String::from).to_vec());
    let opened = open(&ImageConfig { class_names: names, ..numbered.clone() }, 1).unwrap();
    let mut labels = epoch(&opened.train).1;
    labels.sort_unstable();
    assert_eq!(labels, [0, 2]);
    let names = Some(["x", "y"].map(String::from).to_vec());
    assert!(
        refused(&ImageConfig { class_names: names, ..numbered.clone() })
            .ends_with("classes x, y, found \"2\"")
    );
    let foreign = ImageConfig { valid: Some(numbered.train.clone()), ..two.clone() };
    assert!(refused(&foreign).ends_with("samples of the classes cat, dog, found \"0\""));

    // Samples of two pictures are read by a key that says which.
    let pair =
        [("a.a.image.png", &png[..]), ("a.a.mask.webp", b"a mask"), ("a.cls", b"x"), ("b.image.PNG", &png)];
    let pair = shard("pair.tar", &[&pair[..], &[("b.mask.webp", b"a mask"), ("b.cls", b"y")]].concat());
    let expected =
        "data.picture: expected the ending of one of the pictures of a sample: a.image.png or a.mask.webp";
    assert_eq!(refused(&pair), format!("{expected}, found none for sample a"));
    let named = ImageConfig { picture: Some("image.png".into()), ..pair };
    assert_eq!(epoch(&open(&named, 1).unwrap().train).1.len(), 2);

    // A sample without a picture, and one whose bytes have changed under an index that does not know.
    let opened = open(&two, 1).unwrap();
    let error = opened.train.batches(Position::default(), 1, &Device::flex()).find_map(Result::err).unwrap();
    assert!(
        error.to_string().contains("two.tar, sample dog/c: expected one part that is a picture (.png, .jpg,")
            && error.to_string().ends_with("found txt")
    );
    let skipping = ImageConfig { on_corrupt: OnCorrupt::Skip, ..two.clone() };
    let opened = open(&skipping, 1).unwrap();
    assert_eq!((epoch(&opened.train).1.len(), opened.train.skipped().count()), (2, 1));

    let path = folder.path().join("two.tar");
    let opened = open(&skipping, 1).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[512 + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!((epoch(&opened.train).1.len(), opened.train.skipped().count()), (1, 2));
    let strict = Pipeline::new(
        ImageSet::new(
            Pictures::Streamed(Streamed::open(&two.train, None, ShardOrder::Full, None).unwrap()),
            &opened.schema,
            Augment::default(),
        ),
        in_order(&two, 1),
    );
    assert!(strict.batches(Position::default(), 1, &Device::flex()).any(|batch| batch.is_err()));
}

#[test]
fn packed_shards_are_unpacked_into_the_cache() {
    use std::io::Write;
    let (folder, shards) = (many(12), tempfile::tempdir().unwrap());
    let config = ImageConfig { resize: Some(Resize::Exact([4, 4])), ..folder_config(&folder) };
    let plain = packed(&config.train, shards.path(), 1 << 20);
    let tar = fs::read(crate::source::list(&plain).unwrap().remove(0)).unwrap();
    let expected = pictures(&open(&ImageConfig { train: plain, ..config.clone() }, 1).unwrap().train);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    for (name, bytes) in
        [("a.tar.gz", gzip.finish().unwrap()), ("b.tar.zst", zstd::encode_all(&tar[..], 1).unwrap())]
    {
        write(shards.path(), name, &bytes);
        let train = shards.path().join(name).display().to_string();
        let opened = open(&ImageConfig { train: train.clone(), ..config.clone() }, 1).unwrap();
        assert_eq!(pictures(&opened.train), expected, "{name}");
        write(shards.path(), name, &bytes[..bytes.len() / 2]);
        assert!(refused(&ImageConfig { train, ..config.clone() }).contains(name));
    }
}

/// Two Parquet files in Hugging Face's layout, in row groups of 7, whose numbers have names.
fn parquet_files(folder: &Path, pictures: usize) -> String {
    use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
    use arrow_schema::{DataType, Field, Fields};
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;
    let names = r#"{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;
    for (number, rows) in [(0, 0..pictures / 3), (1, pictures / 3..pictures)] {
        let bytes = rows.clone().map(|row| {
            let picture = image::RgbImage::from_pixel(8, 6, image::Rgb([row as u8, 0, 77]));
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
            bytes.into_inner()
        });
        let fields = Fields::from(vec![
            Field::new("bytes", DataType::Binary, true),
            Field::new("path", DataType::Utf8, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_iter_values(bytes)),
            Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("{row}.png")))),
        ];
        let image: ArrayRef = Arc::new(StructArray::new(fields, columns, None));
        let label: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.map(|row| row as i64 % 2)));
        let batch = RecordBatch::try_from_iter([("image", image), ("label", label)]).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(7))
            .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_string(), names.to_string())]))
            .build();
        let to = fs::File::create(folder.join(format!("{number}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(to, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    format!("{}/?.parquet", folder.display())
}

#[test]
fn pictures_in_parquet_come_once_each_in_every_order_and_from_any_position() {
    let folder = tempfile::tempdir().unwrap();
    let uri = parquet_files(folder.path(), 50);
    let mut sets = Vec::new();
    for order in [None, Some(ShardOrder::Full), Some(ShardOrder::Window)] {
        let config = ImageConfig { train: uri.clone(), order, window_shards: 3, ..ImageConfig::default() };
        let opened = open(&config, 5).unwrap();
        assert_eq!(opened.schema.labels, ["cat", "dog"]);
        assert_eq!([opened.schema.height, opened.schema.width], [6, 8]);
        let (pixels, classes) = epoch(&opened.train);
        assert_eq!((classes.len(), classes.iter().sum::<i64>()), (50, 25));
        let found = pictures(&opened.train);
        assert_eq!(found.len(), 50);
        sets.push(found);
        let size = pixels.len() / 50;
        for start in [1u64, 13, 49] {
            let again = open(&config, 5).unwrap().train;
            let position = Position { epoch: 0, samples: start };
            let rest: Vec<f32> = again
                .batches(position, 4, &Device::flex())
                .flat_map(|batch| batch.unwrap().input.pixels.to_data().try_to_vec::<f32>().unwrap())
                .collect();
            assert_eq!(rest, pixels[start as usize * size..], "from {start}");
        }
    }
    assert!(sets.iter().all(|set| *set == sets[0]));
    let schema = open(&ImageConfig { train: uri.clone(), ..ImageConfig::default() }, 5).unwrap().schema;
    let config = ImageConfig { train: uri.clone(), ..ImageConfig::default() };
    let (pipeline, names) = predicted(&config, &schema, std::slice::from_ref(&uri)).unwrap();
    assert_eq!((pipeline.len(), names.of(49)), (50, format!("{uri}:49")));
}

#[test]
fn a_parquet_file_of_pictures_that_changed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let uri = parquet_files(folder.path(), 30);
    let config = ImageConfig { train: uri, ..ImageConfig::default() };
    let opened = open(&config, 5).unwrap();
    let path = folder.path().join("1.parquet");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = opened.train.dataset().sample(29, Draw::default()).unwrap_err().to_string();
    assert!(error.contains("1.parquet"), "{error}");
    let error = open(&config, 5).err().unwrap().to_string();
    assert!(error.contains("1.parquet, footer: expected a whole Parquet file"), "{error}");
}

/// A run goes on with the classes that it began with, or says which ones are new or gone.
#[test]
fn a_run_that_goes_on_keeps_its_classes() {
    let folder = class_folders();
    let config = ImageConfig { valid_fraction: 0.34, ..folder_config(&folder) };
    let opened = open(&config, 1).unwrap();
    let again = || reopen(&config, 1, opened.schema.clone());
    let same = again().unwrap();
    assert_eq!(same.schema, opened.schema);
    assert_eq!(epoch(&same.train), epoch(&opened.train));
    assert_eq!(epoch(&same.valid.unwrap()), epoch(&opened.valid.unwrap()));

    let message = |result: Result<Opened<ImageSet, ImageSchema>, DataError>| match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    };
    let root = &config.train;
    write(folder.path(), "ant/1.png", &file(ImageFormat::Png, 8, 6));
    let began = format!("{root}: expected the classes that the run began with, `cat`, `dog`");
    assert_eq!(message(again()), format!("{began}, found `ant` new"));
    fs::remove_dir_all(folder.path().join("dog")).unwrap();
    assert_eq!(message(again()), format!("{began}, found `ant` new, `dog` missing"));
    // A first picture of another size does not change the size of a run's pictures.
    fs::rename(folder.path().join("ant"), folder.path().join("dog")).unwrap();
    write(folder.path(), "cat/0.png", &file(ImageFormat::Png, 9, 9));
    let larger = again().unwrap();
    assert_eq!((larger.schema.height, larger.schema.width), (8, 6));
    let first = larger.train.batches(Position::default(), 9, &Device::flex()).next().unwrap();
    assert!(first.unwrap_err().to_string().contains("cat/0.png, size: expected "));
}

#[test]
fn a_run_of_shards_that_goes_on_keeps_its_classes() {
    let (folder, shards) = (many(30), tempfile::tempdir().unwrap());
    let config = ImageConfig { resize: Some(Resize::Exact([8, 6])), ..folder_config(&folder) };
    let config = ImageConfig { train: packed(&config.train, shards.path(), 8_000), ..config };
    let opened = open(&config, 1).unwrap();
    assert_eq!(reopen(&config, 1, opened.schema.clone()).unwrap().schema, opened.schema);
    let fewer = ImageSchema { labels: vec!["cat".into(), "owl".into()], ..opened.schema };
    let error = reopen(&config, 1, fewer).err().unwrap().to_string();
    assert!(
        error.ends_with("expected the classes that the run began with, `cat`, `owl`, found `dog` new"),
        "{error}"
    );
}
