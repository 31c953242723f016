//! Every subcommand on real data.

use crate::support::program::{Workshop, records};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use std::io::Cursor;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn a_table_is_trained_evaluated_and_predicted() {
    let workshop = Workshop::new();
    let trained = workshop.succeed(&["train", "adult", "--run", "run", "--set", "train.epochs=2"]);
    assert!(trained.stderr.contains("accuracy"), "{}", trained.stderr);
    for file in ["recipe.toml", "metrics.jsonl", "columns.json", "model.safetensors", "run.json"] {
        assert!(workshop.path("run").join(file).is_file(), "{file} is missing");
    }
    let records = records(&workshop.path("run"));
    for key in ["step", "epoch", "seconds", "samples"] {
        assert!(records.iter().all(|record| record[key].is_number()), "{key}: {:?}", records[0]);
    }

    let evaluated = workshop.succeed(&["evaluate", "run", "--json"]);
    let figures: Value = serde_json::from_str(&evaluated.stdout).unwrap();
    assert_eq!(figures["samples"], 16_281);
    assert!(figures["accuracy"].as_f64().unwrap() > 0.84, "{figures}");
    assert!(figures["auroc"].as_f64().unwrap() > 0.89, "{figures}");

    // The same file by its URI gives the same figures.
    let other = workshop.succeed(&["evaluate", "run", "--json", "--data", "builtin:adult.test.gz"]);
    assert_eq!(figures, serde_json::from_str::<Value>(&other.stdout).unwrap());

    workshop.write(
        "people.jsonl",
        concat!(
            r#"{"age": 50, "workclass": "Private", "fnlwgt": 1, "education": "Doctorate", "#,
            r#""education-num": 16, "marital-status": "Married-civ-spouse", "#,
            r#""occupation": "Exec-managerial", "relationship": "Husband", "race": "White", "#,
            r#""sex": "Male", "capital-gain": 20000, "capital-loss": 0, "hours-per-week": 60, "#,
            r#""native-country": "United-States"}"#,
            "\n",
            r#"{"age": 17, "workclass": null, "fnlwgt": 1, "education": "9th", "education-num": 5, "#,
            r#""marital-status": "Never-married", "occupation": "unheard of", "#,
            r#""relationship": "Own-child", "race": "White", "sex": "Female", "capital-gain": 0, "#,
            r#""capital-loss": 0, "hours-per-week": 10, "native-country": "United-States"}"#,
            "\n",
        ),
    );
    let predicted = json_lines(&workshop.succeed(&["predict", "run", "people.jsonl"]).stdout);
    assert_eq!(predicted.len(), 2);
    assert_eq!(
        (&predicted[0]["label"], &predicted[1]["label"]),
        (&">50K".into(), &"<=50K".into()),
        "{predicted:?}"
    );
    let sum: f64 =
        predicted[0]["probabilities"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-5);
}

#[test]
fn a_value_is_predicted_in_its_own_unit() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "diamonds", "--run", "run", "--set", "train.epochs=2"]);
    workshop.write(
        "stones.csv",
        "carat,cut,color,clarity,depth,table,x,y,z\n0.23,Ideal,E,SI2,61.5,55,3.95,3.98,2.43\n\
         2.0,Ideal,D,IF,61.5,55,8.1,8.1,5.0\n",
    );
    workshop.succeed(&["predict", "run", "stones.csv", "--output", "prices.jsonl"]);
    let prices = json_lines(&String::from_utf8(workshop.read("prices.jsonl")).unwrap());
    let price = |row: usize| prices[row]["value"].as_f64().unwrap();
    assert!(price(1) > 10_000.0 && price(0) < 5_000.0, "{prices:?}");

    // With more rows than one batch, each answer keeps its own name.
    let header = "carat,cut,color,clarity,depth,table,x,y,z";
    let row =
        |number: usize| format!("{:.2},Ideal,E,SI2,61.5,55,3.95,3.98,2.43", 0.2 + number as f64 / 500.0);
    let rows: Vec<String> = (0..600).map(row).collect();
    workshop.write("many.csv", format!("{header}\n{}\n", rows.join("\n")));
    workshop.write("last.csv", format!("{header}\n{}\n", rows[599]));
    let many = json_lines(&workshop.succeed(&["predict", "run", "many.csv"]).stdout);
    let last = json_lines(&workshop.succeed(&["predict", "run", "last.csv"]).stdout);
    let names: Vec<String> = many.iter().map(|line| line["input"].as_str().unwrap().to_string()).collect();
    assert_eq!(names, (0..600).map(|number| format!("many.csv:{}", number + 2)).collect::<Vec<_>>());
    let (a, b) = (many[599]["value"].as_f64().unwrap(), last[0]["value"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-3 * b.abs(), "{a} alone is {b}");
}

/// A recipe without a length: least squares take one pass.
#[test]
fn least_squares_take_one_pass_by_default() {
    let workshop = Workshop::new();
    workshop.write(
        "prices.toml",
        "[data]\nkind = 'table'\ntrain = 'builtin:diamonds.csv.gz'\nvalid_fraction = 0.1\ntarget = 'price'\n\
         [model]\nname = 'linear'\n[train]\nsolver = 'least_squares'\n",
    );
    workshop.succeed(&["train", "prices.toml", "--run", "run"]);
    let records = records(&workshop.path("run"));
    let last = records.iter().rfind(|record| record["kind"] == "valid").expect("an evaluation");
    assert_eq!((&last["step"], &last["epoch"]), (&1.into(), &1.0.into()), "{last:?}");
    let [mse, rmse] = ["mse", "rmse"].map(|name| last[name].as_f64().unwrap());
    assert!((mse - rmse * rmse).abs() < 1e-9 * mse, "both of dollars: {last:?}");
    assert!(last["r2"].as_f64().unwrap() > 0.9, "{last:?}");
}

#[test]
fn texts_are_classified() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "sms", "--run", "run", "--set", "train.epochs=2"]);
    let texts = ["WINNER!! Claim your free prize now, call 09061701461", "see you at lunch then"];
    let predicted = json_lines(&workshop.succeed(&["predict", "run", texts[0], texts[1]]).stdout);
    assert_eq!(predicted.len(), 2);
    assert_eq!((&predicted[0]["label"], &predicted[1]["label"]), (&"1".into(), &"0".into()), "{predicted:?}");
}

#[test]
fn a_language_model_writes_on() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "shakespeare", "--run", "run", "--set", "train.steps=30"]);
    let write = |seed: &str| {
        let arguments = ["predict", "run", "ROMEO:", "--tokens", "100", "--seed", seed];
        json_lines(&workshop.succeed(&arguments).stdout)[0]["text"].as_str().unwrap().to_string()
    };
    let text = write("1");
    assert_eq!(text.chars().count(), 100);
    assert_eq!(text, write("1"), "the same seed writes the same");
    assert_ne!(text, write("2"));
    workshop.fail(&["predict", "run", "smörgås"], &["ö"]);
}

#[test]
fn pictures_are_told_apart_and_reconstructed() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "fashion", "--run", "run", "--set", "train.steps=20"]);
    let evaluated = workshop.succeed(&["evaluate", "run"]);
    assert!(
        evaluated.stdout.contains("confusion") && evaluated.stdout.contains("sneaker"),
        "{}",
        evaluated.stdout
    );

    workshop.succeed(&["train", "fashion-autoencoder", "--run", "codes", "--set", "train.steps=20"]);
    let figures: Value =
        serde_json::from_str(&workshop.succeed(&["evaluate", "codes", "--json"]).stdout).unwrap();
    assert!(figures["reconstruction_error"].as_f64().unwrap() < 0.2, "{figures}");
}

/// Writes pictures of two classes, red and blue, somewhat larger than their crops. The last picture of each
/// class lies in the other class's folder.
fn colours(workshop: &Workshop) {
    for (class, other, colour) in [("red", "blue", [200u8, 30, 30]), ("blue", "red", [30, 30, 200])] {
        for number in 0..12u8 {
            let shade = |value: u8| value + number;
            let mut png = Cursor::new(Vec::new());
            RgbImage::from_pixel(12, 10, Rgb(colour.map(shade)))
                .write_to(&mut png, ImageFormat::Png)
                .unwrap();
            let folder = if number == 11 { other } else { class };
            workshop.write(&format!("photos/{folder}/{class}-{number:02}.png"), png.into_inner());
        }
    }
    workshop.write(
        "colours.toml",
        r#"
name = "colours"
[data]
kind = "image"
train = "photos"
valid = "photos"
test = "photos"
resize = [10, 12]
center_crop = [8, 8]
[model]
name = "mlp"
hidden = [8]
[train]
epochs = 30
batch_size = 8
[optimizer]
learning_rate = 0.01
"#,
    );
}

#[test]
fn a_report_shows_the_pictures_of_the_highest_loss() {
    let workshop = Workshop::new();
    colours(&workshop);
    workshop.succeed(&["train", "colours.toml", "--run", "run"]);
    // Training leaves a report, and evaluation writes it again.
    let trained = String::from_utf8(workshop.read("run/report.html")).unwrap();
    assert!(trained.contains("24 samples of the test set"), "{trained}");
    let figures: Value =
        serde_json::from_str(&workshop.succeed(&["evaluate", "run", "--json"]).stdout).unwrap();
    assert!((figures["accuracy"].as_f64().unwrap() - 22.0 / 24.0).abs() < 1e-9, "{figures}");
    assert_eq!(
        (&figures["classes"][0]["label"], &figures["classes"][0]["samples"]),
        (&"blue".into(), &12.into())
    );
    assert!((figures["classes"][0]["recall"].as_f64().unwrap() - 11.0 / 12.0).abs() < 1e-9, "{figures}");
    let samples: u64 = (0..15).map(|bin| figures["calibration"][bin]["samples"].as_u64().unwrap()).sum();
    assert_eq!(samples, 24);
    // The pictures in the wrong folders are the worst mistakes, and are named.
    let worst: Vec<&str> = (0..2).map(|at| figures["worst"][at]["input"].as_str().unwrap()).collect();
    assert!(
        worst.contains(&"photos/blue/red-11.png") && worst.contains(&"photos/red/blue-11.png"),
        "{worst:?}"
    );
    let report = String::from_utf8(workshop.read("run/report.html")).unwrap();
    assert_eq!(report.matches("<img ").count(), 24);
    assert!(report.find("red-11.png").unwrap() < report.find("red-00.png").unwrap());

    // Shards, which are not held in memory, give the same.
    workshop.succeed(&["data", "pack", "photos", "shards", "--shard-size", "4KB"]);
    let streamed =
        workshop.succeed(&["evaluate", "run", "--json", "--data", "shards/*.tar", "--report", "tar.html"]);
    let streamed: Value = serde_json::from_str(&streamed.stdout).unwrap();
    assert_eq!(streamed["confusion"], figures["confusion"]);
    assert_eq!(String::from_utf8(workshop.read("tar.html")).unwrap().matches("<img ").count(), 24);
    let printed = workshop.succeed(&["evaluate", "run"]).stdout;
    assert!(printed.contains("precision") && printed.contains("\nece "), "{printed}");
}

#[test]
fn probabilities_are_averaged_over_crops() {
    let workshop = Workshop::new();
    colours(&workshop);
    workshop.succeed(&["train", "colours.toml", "--run", "run", "--set", "data.crops=5"]);
    let evaluate = |arguments: &[&str]| -> Value {
        let evaluated = workshop.succeed(&[&["evaluate", "run", "--json"], arguments].concat());
        serde_json::from_str(&evaluated.stdout).unwrap()
    };
    let (recipes, five, ten, one) = (
        evaluate(&[]),
        evaluate(&["--crops", "5"]),
        evaluate(&["--crops", "10"]),
        evaluate(&["--crops", "1"]),
    );
    assert_eq!(recipes, five);
    assert!(String::from_utf8(workshop.read("run/report.html")).unwrap().contains("24 samples"));
    for figures in [&five, &ten, &one] {
        assert_eq!(figures["samples"], 24);
        assert!((figures["accuracy"].as_f64().unwrap() - 22.0 / 24.0).abs() < 1e-9, "{figures}");
    }
    let line = |crops: &str| {
        let predicted = workshop.succeed(&["predict", "run", "photos/red/red-00.png", "--crops", crops]);
        json_lines(&predicted.stdout).remove(0)
    };
    assert_eq!((&line("10")["label"], &line("1")["label"]), (&"red".into(), &"red".into()));

    workshop.fail(&["evaluate", "run", "--crops", "3"], &["data.crops", "1, 5 or 10", "3"]);
    let whole = [
        "train",
        "colours.toml",
        "--run",
        "whole",
        "--set",
        "data.center_crop=[10, 12]",
        "--set",
        "train.steps=1",
    ];
    workshop.succeed(&whole);
    workshop.fail(&["evaluate", "whole", "--crops", "5"], &["data.crops", "as large as resize"]);
    workshop.fail(&["predict", "whole", "photos", "--crops", "10"], &["data.crops", "as large as resize"]);
    workshop.succeed(&["train", "sms", "--run", "texts", "--set", "train.steps=1"]);
    workshop.fail(&["evaluate", "texts", "--crops", "5"], &["--crops", "pictures", "texts"]);
    workshop.fail(&["predict", "texts", "hello", "--sheet", "x.html"], &["--sheet", "pictures", "texts"]);
}

#[test]
fn a_folder_is_predicted_onto_a_contact_sheet() {
    let workshop = Workshop::new();
    colours(&workshop);
    workshop.succeed(&["train", "colours.toml", "--run", "run"]);
    let predicted = workshop.succeed(&[
        "predict",
        "run",
        "photos/red",
        "photos/blue/blue-00.png",
        "--sheet",
        "sheet.html",
    ]);
    let lines = json_lines(&predicted.stdout);
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[12]["input"], "photos/blue/blue-00.png");
    let sheet = String::from_utf8(workshop.read("sheet.html")).unwrap();
    assert_eq!(sheet.matches("<img ").count(), 13);
    assert!(sheet.contains("photos/red/red-00.png") && sheet.contains(" %"), "{sheet}");
    // A mistake leaves neither half a sheet nor half an output.
    let arguments =
        ["predict", "run", "photos/red", "gone.png", "--sheet", "half.html", "--output", "half.jsonl"];
    workshop.fail(&arguments, &["gone.png"]);
    assert!(!workshop.path("half.html").exists() && !workshop.path("half.jsonl").exists());
}

#[test]
fn a_picture_that_cannot_be_read_stops_a_prediction_or_has_a_line_that_says_why() {
    let workshop = Workshop::new();
    colours(&workshop);
    let train = ["train", "colours.toml", "--set", "train.steps=1", "--run"];
    workshop.succeed(&[&train[..], &["stops"]].concat());
    workshop.succeed(&[&train[..], &["skips", "--set", "data.on_corrupt=skip"]].concat());
    // Damages the first picture, one in the middle, and the last.
    for name in ["blue-00", "blue-05", "red-11"] {
        workshop.write(&format!("photos/blue/{name}.png"), "no picture");
    }
    workshop.fail(&["predict", "stops", "photos/blue"], &["blue-00.png", "10 bytes of another format"]);
    let predicted = workshop.succeed(&["predict", "skips", "photos/blue", "--sheet", "sheet.html"]);
    let lines = json_lines(&predicted.stdout);
    let names: Vec<_> = lines.iter().map(|line| line["input"].as_str().unwrap().to_string()).collect();
    let blue = (0..11).map(|at| format!("photos/blue/blue-{at:02}.png"));
    assert_eq!(names, blue.chain(["photos/blue/red-11.png".to_string()]).collect::<Vec<_>>());
    for (at, line) in lines.iter().enumerate() {
        if [0, 5, 11].contains(&at) {
            let error = line["error"].as_str().unwrap();
            assert!(error.contains(&names[at]) && error.contains("10 bytes of another format"), "{error}");
            assert!(line["label"].is_null());
        } else {
            assert!(line["error"].is_null() && line["label"].is_string(), "{line}");
        }
    }
    assert!(predicted.stderr.contains("3 inputs have no answer"), "{}", predicted.stderr);
    assert_eq!(String::from_utf8(workshop.read("sheet.html")).unwrap().matches("<img ").count(), 9);
    // No input can be read, or there is no input.
    let none = workshop.succeed(&["predict", "skips", "photos/blue/blue-05.png"]);
    assert!(json_lines(&none.stdout)[0]["error"].is_string() && none.stdout.lines().count() == 1);
    workshop.fail(&["predict", "skips", "photos/blue", "gone.png"], &["gone.png"]);
}

#[test]
fn models_recipes_and_devices_are_listed() {
    let workshop = Workshop::new();
    let models = workshop.succeed(&["models"]).stdout;
    let recipes = workshop.succeed(&["recipes"]).stdout;
    for name in ["linear", "logistic", "mlp", "cnn", "resnet", "lstm", "gru", "transformer", "gpt", "vae"] {
        assert!(models.contains(name), "{name}: {models}");
        let described = workshop.succeed(&["models", name]).stdout;
        assert!(described.contains("options"), "{described}");
    }
    for name in
        ["fashion", "fashion-autoencoder", "shakespeare", "shakespeare-lstm", "sms", "adult", "diamonds"]
    {
        assert!(recipes.contains(name), "{name}: {recipes}");
        // The printed text is a recipe.
        workshop.write("printed.toml", workshop.succeed(&["recipes", name]).stdout);
        workshop.fail(&["train", "printed.toml", "--set", "nonsense=1"], &["nonsense"]);
    }
    let devices = workshop.succeed(&["devices"]).stdout;
    assert!(devices.contains("flex") && devices.contains("--features cuda"), "{devices}");
    workshop.fail(&["models", "resnett"], &["did you mean 'resnet'?"]);
    assert_eq!(workshop.succeed(&["devices", "--threads", "2"]).stdout, devices);
    workshop.fail(&["--threads", "0", "devices"], &["--threads"]);
}
