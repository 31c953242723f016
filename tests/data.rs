//! `bonfire data …` on shards of the local disk, and training from them.

use crate::support::picture;
use crate::support::program::Workshop;

const SHARDS: &str = "shards/pictures-{00000..00002}.tar";

/// A workshop with 60 pictures of two classes in three shards.
fn packed() -> Workshop {
    let workshop = Workshop::new();
    for number in 0..60 {
        let class = ["cat", "dog"][number as usize % 2];
        workshop.write(&format!("pictures/{class}/{number}.png"), picture::grey(16, number));
    }
    let packed = workshop.succeed(&["data", "pack", "pictures", "shards", "--shard-size", "44kB"]);
    assert!(packed.stdout.contains(SHARDS) && packed.stdout.contains("60 pictures"), "{}", packed.stdout);
    workshop
}

#[test]
fn shards_are_packed_inspected_verified_and_measured() {
    let workshop = packed();
    let again = workshop.succeed(&["data", "pack", "pictures", "shards", "--shard-size", "44kB"]);
    assert!(again.stdout.contains("3 shards (3 were there)"), "{}", again.stdout);
    let inspected = workshop.succeed(&["data", "inspect", SHARDS]).stdout;
    for fragment in ["60 samples in 3 shards", "2 classes", "cat", "dog", "png (", "cls (3 bytes)"] {
        assert!(inspected.contains(fragment), "{inspected}");
    }
    let indexed = workshop.succeed(&["data", "index", SHARDS]);
    assert!(
        indexed.stderr.contains("3 shards") && indexed.stdout.contains("60 samples"),
        "{}",
        indexed.stderr
    );
    let verified = workshop.succeed(&["data", "verify", SHARDS]);
    assert!(verified.stderr.contains("0 corrupt") && verified.stdout.is_empty(), "{}", verified.stderr);
    let measured = workshop.succeed(&["data", "bench", SHARDS, "--seconds", "0.2"]);
    assert!(measured.stdout.contains("pictures/s"), "{}", measured.stdout);

    // One flipped bit, under a modification time that hides it from the index.
    let path = workshop.path("shards/pictures-00001.tar");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[512 + 60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let ended = workshop.run(&["data", "verify", SHARDS]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("60 samples") && ended.stderr.contains("1 corrupt"), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("pictures-00001.tar, sample ") && ended.stdout.contains("(byte 512)"),
        "{}",
        ended.stdout
    );
    // A shard that is cut short is refused with the place of the cut. Wrong sizes are refused before anything
    // is read.
    std::fs::write(&path, &std::fs::read(&path).unwrap()[..5000]).unwrap();
    workshop.fail(&["data", "verify", SHARDS], &["pictures-00001.tar, byte "]);
    workshop.fail(&["data", "inspect", "shards/none-{0..1}.tar"], &["none-0.tar", "nothing of that name"]);
}

#[test]
fn pictures_that_are_none_are_named_by_pack_and_by_verify() {
    let workshop = packed();
    let pictures = workshop.succeed(&["data", "verify", "pictures"]);
    assert!(pictures.stderr.contains("60 samples") && pictures.stdout.is_empty(), "{}", pictures.stderr);
    workshop.write("pictures/cat/none.jpg", "no picture");
    let half = std::fs::read(workshop.path("pictures/dog/1.png")).unwrap();
    workshop.write("pictures/dog/half.png", &half[..half.len() / 2]);
    for uri in ["pictures", "pictures/*/*"] {
        let verified = workshop.run(&["data", "verify", uri]);
        assert_eq!(verified.code, Some(1));
        assert!(
            verified.stderr.contains("62 samples") && verified.stderr.contains("2 corrupt"),
            "{}",
            verified.stderr
        );
        for file in ["pictures/cat/none.jpg, picture: ", "pictures/dog/half.png, picture: "] {
            assert!(verified.stdout.contains(file), "{}", verified.stdout);
        }
    }
    let packed = workshop.succeed(&["data", "pack", "pictures", "more"]);
    assert!(packed.stdout.contains("62 pictures"), "{}", packed.stdout);
    assert!(packed.stderr.contains("pictures/cat/none.jpg, picture: expected "), "{}", packed.stderr);
    assert!(
        packed.stderr.contains("1 of the pictures are none, and were packed all the same"),
        "{}",
        packed.stderr
    );
}

#[test]
fn shards_train_evaluate_and_predict_as_their_folder_does() {
    let workshop = packed();
    workshop.write(
        "r.toml",
        format!(
            "[data]\nkind = 'image'\ntrain = '{SHARDS}'\ntest = 'pictures'\n[model]\nname = 'logistic'\n\
             [train]\nepochs = 2\n"
        ),
    );
    workshop.succeed(&["train", "r.toml", "--run", "full"]);
    workshop.succeed(&["train", "r.toml", "--run", "window", "--set", "data.order=window"]);
    assert!(workshop.read("full/model.safetensors") != workshop.read("window/model.safetensors"));
    let from_shards = workshop.succeed(&["evaluate", "window", "--json", "--data", SHARDS]).stdout;
    let from_folder = workshop.succeed(&["evaluate", "window", "--json"]).stdout;
    let samples = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["samples"].clone();
    assert_eq!((samples(&from_shards), samples(&from_folder)), (60.into(), 60.into()));
    assert_eq!(workshop.succeed(&["predict", "window", SHARDS]).stdout.lines().count(), 60);
    workshop.fail(
        &["train", "r.toml", "--run", "x", "--set", "data.valid_fraction=0.1"],
        &["data.valid_fraction", "expected 0 with shards"],
    );
}

#[test]
fn a_pack_that_is_killed_goes_on_and_leaves_no_half_shard() {
    let workshop = Workshop::new();
    for number in 0..400 {
        workshop.write(&format!("pictures/{}/{number}.png", number % 2), picture::grey(32, number));
    }
    let pack = |to| ["data", "pack", "pictures", to, "--shard-size", "20kB"];
    workshop.succeed(&pack("whole"));
    for milliseconds in [2, 5, 8, 11, 14] {
        let mut child =
            workshop.command(&pack("killed")).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    workshop.succeed(&pack("killed"));
    let files = |folder: &str| -> std::collections::BTreeSet<String> {
        let entries = std::fs::read_dir(workshop.path(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(files("whole"), files("killed"));
    for name in files("whole").iter().filter(|name| name.ends_with(".tar")) {
        assert!(
            workshop.read(&format!("whole/{name}")) == workshop.read(&format!("killed/{name}")),
            "{name}"
        );
    }
}
