//! A predictor gives an answer about a record the same bits alone and among others, and on any thread.

use super::*;
use crate::{Answer, Beginning, Record, Training};
use bonfire_checkpoint::Weights;
use bonfire_cluster::{Alone, Communicator};
use bonfire_datasets::table::Cell;
use bonfire_train::{Event, Listener};
use burn::tensor::TensorData;
use image::{ImageFormat, RgbImage};
use std::cell::RefCell;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

/// Hears of the progress and tells nobody.
struct Silent;

impl Listener for Silent {
    fn on(&mut self, _event: &Event<'_>) {}
}

/// A run of a few steps in `folder`, by a recipe.
fn trained(folder: &Path, recipe: &str) -> Run {
    let path = folder.join("recipe.toml");
    std::fs::write(&path, recipe).unwrap();
    let run = folder.join("run");
    let beginning = Beginning {
        recipe: Some(path.display().to_string()),
        run: Some(run.clone()),
        ..Beginning::default()
    };
    assert!(train(&beginning).is_empty());
    Run::open(run).unwrap()
}

/// Trains to the end, and hands back what was told.
fn train(beginning: &Beginning) -> Vec<String> {
    let alone: Arc<dyn Communicator> = Arc::new(Alone);
    let told = Rc::new(RefCell::new(Vec::new()));
    let hear = told.clone();
    let notices = Rc::new(move |line: &str| hear.borrow_mut().push(line.to_string()));
    let training = Training::begin(beginning, &alone, notices).unwrap();
    training.fit(Instant::now(), Box::new(Silent)).unwrap();
    told.take()
}

/// A picture file of stripes that depend on `number`.
fn png(number: u32) -> Vec<u8> {
    let shade =
        |x: u32, y: u32| ((x * (number % 7 + 1) * 9 + y * (number / 7 + 2) * 13 + number * 31) % 256) as u8;
    let picture =
        RgbImage::from_fn(32, 32, |x, y| image::Rgb([shade(x, y), shade(y, x), shade(x + y, number)]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// Pictures of two classes, and a recipe for a model of them.
fn pictures(folder: &Path, data: &str, model: &str) -> (Run, Vec<Record>) {
    for number in 0..32 {
        let class = folder.join("pictures").join(["even", "odd"][number as usize % 2]);
        std::fs::create_dir_all(&class).unwrap();
        std::fs::write(class.join(format!("{number}.png")), png(number)).unwrap();
    }
    let train = folder.join("pictures");
    let recipe = format!(
        "[data]\nkind = 'image'\ntrain = '{}'\n{data}\n[model]\n{model}\n[train]\nsteps = 2\nbatch_size = 16\n",
        train.display()
    );
    (trained(folder, &recipe), (0..32).map(|number| Record::Picture(png(number))).collect())
}

/// Rows of numbers and categories, and a recipe for a model of them.
fn rows(folder: &Path, target: &str, model: &str) -> (Run, Vec<Record>) {
    let colour = |row: usize| ["red", "green", "blue"][row * 7 % 3];
    let number = |row: usize, column: usize| ((row * 37 + column * 101) % 97) as f64 / 7.0;
    let mut csv = "colour,".to_string()
        + &(0..6).map(|column| format!("n{column},")).collect::<String>()
        + "kind,price\n";
    for row in 0..60 {
        csv += colour(row);
        (0..6).for_each(|column| csv += &format!(",{}", number(row, column)));
        csv += &format!(",{},{}\n", ["a", "b", "c"][row % 3], number(row, 1) * 3.0 - number(row, 2));
    }
    let train = folder.join("rows.csv");
    std::fs::write(&train, csv).unwrap();
    let ignored = if target == "price" { "kind" } else { "price" };
    let recipe = format!(
        "[data]\nkind = 'table'\ntrain = '{}'\ntarget = '{target}'\nignore = ['{ignored}']\none_hot = false\n\
         [model]\n{model}\n[train]\nsteps = 3\nbatch_size = 16\n",
        train.display()
    );
    let record = |row: usize| {
        let mut cells = vec![("colour".to_string(), Cell::from(colour(row)))];
        cells.extend((0..6).map(|column| (format!("n{column}"), Cell::from(number(row, column)))));
        Record::Row(cells)
    };
    (trained(folder, &recipe), (0..32).map(record).collect())
}

/// Texts of 1 to 40 words, and a recipe for a model of them.
fn texts(folder: &Path, model: &str) -> (Run, Vec<Record>) {
    texts_of(
        folder,
        "vocabulary = 'word'\nmax_tokens = 48",
        |row| ["ham", "spam"][row % 2].to_string(),
        model,
    )
}

/// As [`texts`], with these keys of the data and these labels.
fn texts_of(folder: &Path, data: &str, label: impl Fn(usize) -> String, model: &str) -> (Run, Vec<Record>) {
    let words = ["sea", "sun", "win", "prize", "call", "now", "moon", "tide", "free", "claim"];
    let text = |number: usize| {
        let length = number * 11 % 40 + 1;
        (0..length).map(|word| words[(number * 3 + word * word) % 10]).collect::<Vec<_>>().join(" ")
    };
    let csv: String = (0..60).map(|row| format!("{},{}\n", text(row), label(row))).collect();
    let train = folder.join("texts.csv");
    std::fs::write(&train, "text,label\n".to_string() + &csv).unwrap();
    let recipe = format!(
        "[data]\nkind = 'text'\ntask = 'classify'\ntext_column = 'text'\nlabel_column = 'label'\n{data}\n\
         train = '{}'\n[model]\n{model}\n[train]\nsteps = 2\nbatch_size = 16\n",
        train.display()
    );
    (trained(folder, &recipe), (0..32).map(|number| Record::Text(text(number))).collect())
}

fn answers(predictor: &mut dyn Predictor, records: &[Record]) -> Vec<Answer> {
    predictor.answer(records.to_vec()).unwrap().into_iter().map(Result::unwrap).collect()
}

/// The answers of 32 records alone, and how many of the answers in batches of 2 to 32, each record at every
/// place, have other bits.
fn differing(run: &Run, records: &[Record]) -> Vec<(usize, usize)> {
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    // Numbers in an answer's text are distinct where their bits are.
    let bits = |answer: &Answer| format!("{answer:?}");
    let alone: Vec<String> = records
        .iter()
        .map(|record| bits(&answers(&mut *predictor, std::slice::from_ref(record))[0]))
        .collect();
    assert!(alone.iter().any(|answer| answer != &alone[0]), "all answers are alike: {}", alone[0]);
    [2, 3, 7, 16, 32]
        .into_iter()
        .map(|size| {
            let places = (0..records.len()).map(|start| {
                let chosen: Vec<usize> = (start..start + size).map(|place| place % records.len()).collect();
                let batch: Vec<Record> = chosen.iter().map(|&record| records[record].clone()).collect();
                let found = answers(&mut *predictor, &batch);
                chosen.iter().zip(found).filter(|(record, found)| bits(found) != alone[**record]).count()
            });
            (size, places.sum())
        })
        .collect()
}

#[test]
fn an_answer_has_the_same_bits_alone_and_in_any_batch_at_any_place() {
    type Make<'a> = &'a dyn Fn(&Path) -> (Run, Vec<Record>);
    let price = |row: usize| format!("{}", (row * 37 % 97) as f64 / 7.0 + 100.0);
    let kind = |row: usize| ["ham", "spam"][row % 2].to_string();
    let ngrams = "vocabulary = 'ngrams'\nngrams = [1, 3]";
    let hashed = "vocabulary = 'ngrams'\nngram_unit = 'character'\nngrams = [3, 5]\nhash_buckets = 512";
    let makes: [(&str, Make<'_>); 13] = [
        ("cnn", &|folder| pictures(folder, "", "name = 'cnn'")),
        ("resnet9", &|folder| pictures(folder, "", "name = 'resnet9'")),
        ("vit_ti16", &|folder| pictures(folder, "", "name = 'vit_ti16'\nlayers = 2")),
        ("autoencoder", &|folder| pictures(folder, "target = 'input'", "name = 'autoencoder'")),
        ("mlp of classes", &|folder| rows(folder, "kind", "name = 'mlp'\nhidden = [600, 300]")),
        ("mlp of a value", &|folder| rows(folder, "price", "name = 'mlp'\nhidden = [600, 300]")),
        ("transformer", &|folder| texts(folder, "name = 'transformer'")),
        ("lstm", &|folder| texts(folder, "name = 'lstm'")),
        ("gru", &|folder| texts(folder, "name = 'gru'")),
        ("lstm of a value", &|folder| texts_of(folder, "max_tokens = 48", price, "name = 'lstm'")),
        ("logistic of n-grams", &|folder| texts_of(folder, ngrams, kind, "name = 'logistic'")),
        ("linear of hashed n-grams", &|folder| texts_of(folder, hashed, kind, "name = 'linear'")),
        ("linear of n-grams and a value", &|folder| texts_of(folder, ngrams, price, "name = 'linear'")),
    ];
    let mut wrong = Vec::new();
    for (name, make) in makes {
        let folder = TempDir::new().unwrap();
        let (run, records) = make(folder.path());
        let found = differing(&run, &records);
        let of = |(size, count): &(usize, usize)| {
            format!("{count} of {} in batches of {size}", size * records.len())
        };
        println!("{name:<16} {}", found.iter().map(of).collect::<Vec<_>>().join(", "));
        if found.iter().any(|(_, count)| *count > 0) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "answers with other bits than alone: {}", wrong.join(", "));
}

#[test]
fn records_are_answered_as_files_are_and_each_is_refused_alone() {
    let folder = TempDir::new().unwrap();
    let (run, records) = pictures(folder.path(), "", "name = 'cnn'");
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    let mut from_files = Vec::new();
    let inputs = [folder.path().join("pictures/even").display().to_string()];
    let skipped = predictor.predict(&inputs, &mut |batch| {
        from_files.extend(batch.into_iter().map(|answered| (answered.input, answered.answer.unwrap())));
        ControlFlow::Continue(())
    });
    assert_eq!((skipped.unwrap(), from_files.len()), (0, 16));
    for (name, answer) in from_files {
        let number: usize = name.rsplit('/').next().unwrap().trim_end_matches(".png").parse().unwrap();
        let from_memory = answers(&mut *predictor, &records[number..=number]).remove(0);
        assert_eq!(format!("{from_memory:?}"), format!("{answer:?}"), "{name}");
    }
    let Record::Picture(whole) = &records[0] else { panic!("a picture") };
    let cut = Record::Picture(whole[..60].to_vec());
    let batch = vec![records[1].clone(), cut, Record::Text("no picture".into()), records[2].clone()];
    let found = predictor.answer(batch).unwrap();
    assert_eq!(found[0].as_ref().unwrap(), &answers(&mut *predictor, &records[1..2])[0]);
    assert_eq!(found[3].as_ref().unwrap(), &answers(&mut *predictor, &records[2..3])[0]);
    let refused = |at: usize| found[at].as_ref().unwrap_err().to_string();
    assert!(
        refused(1).starts_with("request, record 1, picture: expected a complete picture (PNG, JPEG"),
        "{}",
        refused(1)
    );
    assert_eq!(refused(2), "request, record 2: expected a picture, found a text");
    assert!(predictor.answer(Vec::new()).unwrap().is_empty());
    let all_refused = predictor.answer(vec![Record::Picture(Vec::new())]).unwrap();
    assert!(all_refused[0].is_err());
}

#[test]
fn a_predictor_is_asked_from_another_thread_and_outlives_its_run() {
    let folder = TempDir::new().unwrap();
    let (run, records) = rows(folder.path(), "price", "name = 'linear'");
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    let here = answers(&mut *predictor, &records);
    drop((run, folder));
    let there = std::thread::spawn(move || answers(&mut *predictor, &records)).join().unwrap();
    assert_eq!(here, there);
    assert!(matches!(&here[0], Answer::Values(values) if values.len() == 1));
}

/// Values of texts are answered in their own unit, from files as from memory, and measured in it.
#[test]
fn a_value_of_a_text_has_the_unit_of_its_labels() {
    for (data, model) in [
        ("max_tokens = 48", "name = 'gru'"),
        ("max_tokens = 48", "name = 'transformer'"),
        ("vocabulary = 'ngrams'", "name = 'linear'"),
    ] {
        let folder = TempDir::new().unwrap();
        let label = |row: usize| format!("{}", 100.0 + (row % 5) as f64 / 4.0);
        let (run, records) = texts_of(folder.path(), data, label, model);
        let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
        let mut from_files = Vec::new();
        let inputs = [folder.path().join("texts.csv").display().to_string()];
        let unanswered = predictor.predict(&inputs, &mut |batch| {
            from_files.extend(batch.into_iter().map(|answered| answered.answer.unwrap()));
            ControlFlow::Continue(())
        });
        assert_eq!((unanswered.unwrap(), from_files.len()), (0, 60), "{model}");
        let from_memory = answers(&mut *predictor, &records);
        assert_eq!(from_memory[..], from_files[..32], "{model}");
        for answer in &from_memory {
            let Answer::Values(values) = answer else {
                panic!("{model}: expected a value, found {answer:?}")
            };
            assert!(values.len() == 1 && (99.0..102.0).contains(&values[0]), "{model}: {values:?}");
        }
        let device = run.device(None).unwrap();
        let evaluation = run.evaluate(&run.evaluation_set(Some(&inputs[0]), None).unwrap(), &device).unwrap();
        let metric = |name: &str| evaluation.metrics.iter().find(|metric| metric.name == name).unwrap().value;
        // The labels' standard deviation is 0.354: hardly trained models are off by about as much.
        assert!((0.1..1.0).contains(&metric("rmse")), "{model}: {}", metric("rmse"));
    }
}

/// scikit-learn's TF-IDF and logistic regression (C = 30) reach 98.2 to 99.3 % on
/// eight random fifths.
#[test]
fn spam_is_told_by_counted_ngrams() {
    let folder = TempDir::new().unwrap();
    let beginning = Beginning {
        recipe: Some("sms-linear".into()),
        run: Some(folder.path().join("run")),
        ..Beginning::default()
    };
    let alone: Arc<dyn Communicator> = Arc::new(Alone);
    let training = Training::begin(&beginning, &alone, Rc::new(|_: &str| {})).unwrap();
    let tested = training.fit(Instant::now(), Box::new(Silent)).unwrap().tested.unwrap();
    let accuracy = tested.metrics.iter().find(|metric| metric.name == "accuracy").unwrap().value;
    println!("accuracy {accuracy}");
    assert!(accuracy >= 0.983, "{accuracy}");
}

/// A language model of lines, which writes 12 tokens.
fn writer(folder: &Path) -> (Run, Box<dyn Predictor + Send>) {
    let train = folder.join("lines.txt");
    std::fs::write(&train, "to be or not to be\nthat is the question\n".repeat(40)).unwrap();
    let recipe = format!(
        "[data]\nkind = 'text'\ntask = 'language_model'\nmax_tokens = 16\ntrain = '{}'\n\
         [model]\nname = 'gpt'\n[train]\nsteps = 2\nbatch_size = 8\n",
        train.display()
    );
    let run = trained(folder, &recipe);
    let generation = Generation { tokens: 12, ..Generation::default() };
    let predictor = run.predictor_with(run.device(None).unwrap(), None, generation).unwrap();
    (run, predictor)
}

/// Fills every tensor of a run's weights with a number.
fn spoil(run: &Run, number: f32) {
    let path = run.folder.model();
    let mut weights = Weights::from_safetensors(&std::fs::read(&path).unwrap(), &path).unwrap();
    let spoilt: Vec<_> = weights.iter().map(|(name, data)| (name.to_string(), data.clone())).collect();
    for (name, data) in spoilt {
        let values = vec![number; data.num_elements()];
        weights.insert(name, TensorData::new(values, data.shape().clone()));
    }
    std::fs::write(&path, weights.to_safetensors(&path).unwrap()).unwrap();
}

/// The answer about an input, or its error.
fn asked(predictor: &mut dyn Predictor, input: impl ToString) -> Result<(Answer, u64), String> {
    let mut found = None;
    let unanswered = predictor.predict(&[input.to_string()], &mut |batch| {
        found = batch.into_iter().next().map(|answered| answered.answer.map_err(|error| error.to_string()));
        ControlFlow::Continue(())
    });
    let unanswered = unanswered.map_err(|error| error.to_string())?;
    Ok((found.expect("an answer")?, unanswered))
}

#[test]
fn a_prompt_is_a_text_or_is_read_from_the_file_that_is_named() {
    let folder = TempDir::new().unwrap();
    let (_run, mut predictor) = writer(folder.path());
    let file = folder.path().join("prompt.txt");
    std::fs::write(&file, "\u{feff}to be").unwrap();
    let of_text = asked(&mut *predictor, "to be").unwrap();
    assert_eq!(asked(&mut *predictor, file.display()).unwrap(), of_text);
    assert_eq!(asked(&mut *predictor, format!("file://{}", file.display())).unwrap(), of_text);
    assert_eq!(
        asked(&mut *predictor, "promt.txt").unwrap_err(),
        "promt.txt: expected a file, found nothing of that name"
    );
    // Read through the source, which this build lacks.
    let error = asked(&mut *predictor, "s3://bucket/prompt.txt").unwrap_err();
    assert!(error.starts_with("s3://bucket/prompt.txt: expected "), "{error}");
}

#[test]
fn a_model_of_numbers_that_are_none_gives_errors_and_no_answers() {
    let folder = TempDir::new().unwrap();
    let (run, mut records) = rows(folder.path(), "kind", "name = 'mlp'");
    spoil(&run, f32::NAN);
    let error = run.predictor(run.device(None).unwrap()).err().unwrap().to_string();
    assert!(error.ends_with("expected finite numbers, found one that is not"), "{error}");
    // Finite ones whose products are not.
    spoil(&run, 1e30);
    let mut predictor = run.predictor(run.device(None).unwrap().autodiff()).unwrap();
    records.insert(1, Record::Text("no row".into()));
    let refused: Vec<String> = predictor
        .answer(records)
        .unwrap()
        .into_iter()
        .map(|answer| answer.unwrap_err().to_string())
        .collect();
    assert_eq!(refused[1], "request, record 1: expected a row of a table, found a text");
    for at in [0, 2, 32] {
        let expected = format!("request, record {at}: expected finite numbers from the model, found ");
        assert!(refused[at].starts_with(&expected), "{}", refused[at]);
    }
    let mut errors = Vec::new();
    let rows = folder.path().join("rows.csv").display().to_string();
    let unanswered = predictor.predict(&[rows], &mut |batch| {
        errors.extend(batch.into_iter().map(|answered| answered.answer.unwrap_err().to_string()));
        ControlFlow::Continue(())
    });
    assert_eq!((unanswered.unwrap(), errors.len()), (60, 60));
    assert!(errors[0].contains("rows.csv:2: expected finite numbers"), "{}", errors[0]);

    let folder = TempDir::new().unwrap();
    let (run, _) = writer(folder.path());
    spoil(&run, 3e38);
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    let error = asked(&mut *predictor, "to be").unwrap_err();
    assert!(error.starts_with("'to be': expected finite numbers from the model, found NaN"), "{error}");
}

#[test]
fn records_are_numbered_among_those_of_all_kinds() {
    let folder = TempDir::new().unwrap();
    let (run, records) = pictures(folder.path(), "", "name = 'cnn'");
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    let bad = Record::Picture(b"no picture".to_vec());
    let found = predictor.answer(vec![Record::Text("x".into()), bad, records[0].clone()]).unwrap();
    let error = found[1].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("request, record 1, picture: expected"), "{error}");
    assert!(found[0].is_err() && found[2].is_ok());

    let folder = TempDir::new().unwrap();
    let (run, records) = rows(folder.path(), "kind", "name = 'mlp'");
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    let found = predictor.answer(vec![Record::Text("x".into()), Record::Row(Vec::new()), records[3].clone()]);
    let found = found.unwrap();
    let error = found[1].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("request, record 1: expected a column"), "{error}");
    assert_eq!(found[2].as_ref().unwrap(), &answers(&mut *predictor, &records[3..4])[0]);
}

#[test]
fn a_language_model_continues_a_prompt_alike_at_any_place() {
    let folder = TempDir::new().unwrap();
    let (_run, mut predictor) = writer(folder.path());
    let prompts: Vec<Record> = ["to be", "that", "to be"].map(|text| Record::Text(text.into())).to_vec();
    let found = answers(&mut *predictor, &prompts);
    assert!(found[0] == found[2] && found[0] == answers(&mut *predictor, &prompts[..1])[0], "{found:?}");
    let refused = predictor.answer(vec![Record::Text(String::new()), prompts[1].clone()]).unwrap();
    assert!(refused[0].is_err() && refused[1].as_ref().unwrap() == &found[1]);
}

#[test]
fn a_run_that_went_on_without_an_end_says_that_its_weights_are_older() {
    let folder = TempDir::new().unwrap();
    let (run, _) = rows(folder.path(), "price", "name = 'linear'");
    assert!(run.notices().is_empty());
    // As a process leaves it that is killed behind its checkpoint at step 7.
    let checkpoints = run.folder.checkpoints();
    std::fs::create_dir(checkpoints.join("step-000000007")).unwrap();
    for file in std::fs::read_dir(checkpoints.join("step-000000003")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), checkpoints.join("step-000000007").join(file.file_name())).unwrap();
    }
    let path = folder.path().join("run");
    let run = Run::open(&path).unwrap();
    let [notice] = run.notices() else { panic!("{:?}", run.notices()) };
    assert!(notice.contains("those of step 3") && notice.contains("gone on to step 7"), "{notice}");
    // Nothing is lost: it can be asked, and goes on.
    assert!(run.predictor(run.device(None).unwrap()).is_ok());
    std::fs::remove_dir_all(checkpoints.join("step-000000007")).unwrap();
    let changes = vec!["train.steps=5".to_string()];
    let on = Beginning { run: Some(path.clone()), resume: true, changes, ..Beginning::default() };
    assert!(train(&on).is_empty());
    assert!(Run::open(&path).unwrap().notices().is_empty());
}

#[test]
fn a_run_that_has_not_ended_answers_with_its_newest_whole_checkpoint() {
    let folder = TempDir::new().unwrap();
    let (run, records) = rows(folder.path(), "kind", "name = 'mlp'");
    let ask = |run: &Run| answers(&mut *run.predictor(run.device(None).unwrap()).unwrap(), &records);
    let expected = ask(&run);
    // As a process leaves it that is killed behind its checkpoint at step 3.
    std::fs::remove_file(run.folder.model()).unwrap();
    let path = folder.path().join("run");
    let unfinished = Run::open(&path).unwrap();
    let [notice] = unfinished.notices() else { panic!("{:?}", unfinished.notices()) };
    assert!(notice.contains("not finished") && notice.contains("its checkpoint at step 3"), "{notice}");
    assert_eq!(ask(&unfinished), expected);
    // Weights that cannot be read are not those of a run that goes on.
    #[cfg(unix)]
    for place in ["/dev/zero", "/nowhere"] {
        std::os::unix::fs::symlink(place, run.folder.model()).unwrap();
        let error = Run::open(&path).err().unwrap().to_string();
        assert!(error.contains("model.safetensors"), "{error}");
        std::fs::remove_file(run.folder.model()).unwrap();
    }
    std::fs::write(run.folder.checkpoints().join("step-000000003/weights.safetensors"), "half").unwrap();
    assert!(Run::open(&path).err().unwrap().to_string().contains("found 1 damaged"));
    std::fs::remove_dir_all(run.folder.checkpoints()).unwrap();
    let none = Run::open(&path).unwrap();
    let error = none.predictor(none.device(None).unwrap()).err().unwrap().to_string();
    assert!(error.contains("or a checkpoint of another, found neither"), "{error}");
}

#[test]
fn columns_are_kept_and_what_cannot_be_read_has_its_error_in_its_place() {
    let folder = TempDir::new().unwrap();
    let (run, _) = rows(folder.path(), "kind", "name = 'mlp'");
    let mut skips = run;
    let DataConfig::Table(config) = &mut skips.recipe.data else { panic!("a table") };
    config.on_corrupt = bonfire_datasets::OnCorrupt::Skip;
    let mut predictor = skips.predictor(skips.device(None).unwrap()).unwrap();
    predictor.keep(vec!["id".into()]).unwrap();
    let ask = folder.path().join("ask.csv");
    let row = |id: &str, first: &str| format!("{id},red,{first},1,1,1,1,1\n");
    let text =
        ["no", "a", "b"].iter().map(|id| row(id, if *id == "b" { "1" } else { "x" })).collect::<String>();
    std::fs::write(
        &ask,
        format!("id,colour,n0,n1,n2,n3,n4,n5\n{text}c,short\n{}{}", row("d", "2"), row("e", "y")),
    )
    .unwrap();
    let mut found = Vec::new();
    let unanswered = predictor.predict(&[ask.display().to_string()], &mut |batch| {
        found.extend(batch.into_iter().map(|answered| {
            let id = answered.kept.first().and_then(|id| id.text().map(String::from));
            (answered.input.rsplit(':').next().unwrap().to_string(), id, answered.answer.is_ok())
        }));
        ControlFlow::Continue(())
    });
    let expected = [
        ("2", Some("no"), false),
        ("3", Some("a"), false),
        ("4", Some("b"), true),
        ("5", None, false),
        ("6", Some("d"), true),
        ("7", Some("e"), false),
    ];
    assert_eq!(found, expected.map(|(line, id, ok)| (line.to_string(), id.map(String::from), ok)));
    assert_eq!(unanswered.unwrap(), 4);

    let folder = TempDir::new().unwrap();
    let (run, _) = pictures(folder.path(), "", "name = 'cnn'");
    let mut predictor = run.predictor(run.device(None).unwrap()).unwrap();
    let error = predictor.keep(vec!["id".into()]).unwrap_err().to_string();
    assert!(error.starts_with("keep: expected a run on tables or labelled texts"), "{error}");
}

#[test]
fn a_run_that_is_to_go_on_and_is_not_there_begins_with_a_notice() {
    let folder = TempDir::new().unwrap();
    let (_run, _) = rows(folder.path(), "price", "name = 'linear'");
    let recipe = folder.path().join("recipe.toml").display().to_string();
    let typo = folder.path().join("rum");
    let on =
        Beginning { recipe: Some(recipe), run: Some(typo.clone()), resume: true, ..Beginning::default() };
    assert_eq!(train(&on), [format!("no run at {}: a new one begins", typo.display())]);
    assert!(train(&on).is_empty(), "the run is there by now");
}

#[test]
fn a_loss_key_without_a_use_is_refused_where_training_starts_and_no_later() {
    let folder = TempDir::new().unwrap();
    let (run, records) = rows(folder.path(), "price", "name = 'mlp'");
    let ask = |run: &Run| answers(&mut *run.predictor(run.device(None).unwrap()).unwrap(), &records);
    let expected = ask(&run);
    // As if the run had been trained with it: a squared error knows no delta.
    let recipe = run.folder.recipe();
    let text = std::fs::read_to_string(&recipe).unwrap();
    let unused = text.replace("huber_delta = 1.0", "huber_delta = 2.0");
    assert_ne!(text, unused);
    std::fs::write(&recipe, unused).unwrap();
    let path = folder.path().join("run");
    assert_eq!(ask(&Run::open(&path).unwrap()), expected);
    let changes = vec!["train.steps=5".to_string()];
    let on = Beginning { run: Some(path.clone()), resume: true, changes, ..Beginning::default() };
    assert!(train(&on).is_empty());
    ask(&Run::open(&path).unwrap());

    let new = folder.path().join("new");
    let begin = Beginning {
        recipe: Some(recipe.display().to_string()),
        run: Some(new.clone()),
        ..Beginning::default()
    };
    let alone: Arc<dyn Communicator> = Arc::new(Alone);
    let training = Training::begin(&begin, &alone, Rc::new(|_: &str| ())).unwrap();
    let error = training.fit(Instant::now(), Box::new(Silent)).err().unwrap().to_string();
    assert!(error.contains("loss.huber_delta: expected 1.0, the default, with another loss"), "{error}");
    assert!(!new.exists());
}

#[test]
fn arguments_are_refused_by_their_fields() {
    let folder = TempDir::new().unwrap();
    let (run, _) = rows(folder.path(), "price", "name = 'linear'");
    let device = run.device(None).unwrap();
    let refused = |crops, generation: Generation| {
        run.predictor_with(device.clone(), crops, generation).err().unwrap().to_string()
    };
    let usual = Generation::default;
    assert_eq!(refused(Some(5), usual()), "crops: expected a run on pictures, found one on tables");
    let cold = Generation { temperature: -1.0, ..usual() };
    assert_eq!(refused(None, cold), "temperature: expected a number of at least 0, found -1");
    let none = Generation { top_k: Some(0), ..usual() };
    assert_eq!(refused(None, none), "top_k: expected at least 1, found 0");
    let error = run.export("torchvision", &folder.path().join("x")).unwrap_err().to_string();
    assert!(
        error.starts_with("library: expected a model that another library has, too, found torchvision"),
        "{error}"
    );
}
