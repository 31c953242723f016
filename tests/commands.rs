//! Every subcommand on real data.

#[path = "support/program.rs"]
mod program;

use program::{Workshop, records};
use serde_json::Value;

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

    // The same figures on the same file by URI.
    let other = workshop.succeed(&["evaluate", "run", "--json", "--data", "builtin:adult.test.gz"]);
    assert_eq!(figures, serde_json::from_str::<Value>(&other.stdout).unwrap());

    workshop.write(
        "people.jsonl",
        r#"{"age": 50, "workclass": "Private", "fnlwgt": 1, "education": "Doctorate", "education-num": 16, "marital-status": "Married-civ-spouse", "occupation": "Exec-managerial", "relationship": "Husband", "race": "White", "sex": "Male", "capital-gain": 20000, "capital-loss": 0, "hours-per-week": 60, "native-country": "United-States"}
{"age": 17, "workclass": null, "fnlwgt": 1, "education": "9th", "education-num": 5, "marital-status": "Never-married", "occupation": "unheard of", "relationship": "Own-child", "race": "White", "sex": "Female", "capital-gain": 0, "capital-loss": 0, "hours-per-week": 10, "native-country": "United-States"}
"#,
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
        "carat,cut,color,clarity,depth,table,x,y,z\n0.23,Ideal,E,SI2,61.5,55,3.95,3.98,2.43\n2.0,Ideal,D,IF,61.5,55,8.1,8.1,5.0\n",
    );
    workshop.succeed(&["predict", "run", "stones.csv", "--output", "prices.jsonl"]);
    let prices = json_lines(&String::from_utf8(workshop.read("prices.jsonl")).unwrap());
    let price = |row: usize| prices[row]["value"].as_f64().unwrap();
    assert!(price(1) > 10_000.0 && price(0) < 5_000.0, "{prices:?}");

    // More rows than one batch: each answer keeps its own name.
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
        // What is printed is a recipe.
        workshop.write("printed.toml", workshop.succeed(&["recipes", name]).stdout);
        workshop.fail(&["train", "printed.toml", "--set", "nonsense=1"], &["nonsense"]);
    }
    let devices = workshop.succeed(&["devices"]).stdout;
    assert!(devices.contains("flex") && devices.contains("--features cuda"), "{devices}");
    workshop.fail(&["models", "resnett"], &["did you mean 'resnet'?"]);
    assert_eq!(workshop.succeed(&["devices", "--threads", "2"]).stdout, devices);
    workshop.fail(&["--threads", "0", "devices"], &["--threads"]);
}
