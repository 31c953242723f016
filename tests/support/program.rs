//! The program, run on files in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder to run the program in.
pub struct Workshop {
    folder: TempDir,
}

/// The program's output, and its exit code.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workshop {
    pub fn new() -> Self {
        Workshop { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and creates its folders.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_string()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bonfire"));
        command.current_dir(self.folder.path()).args(arguments);
        command.env("BONFIRE_CACHE", self.path("cache"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs the program and expects success.
    pub fn succeed(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(
            ended.code,
            Some(0),
            "bonfire {}\n{}\n{}",
            arguments.join(" "),
            ended.stdout,
            ended.stderr
        );
        ended
    }

    /// Runs the program and expects one line of error that contains all `fragments`, and no panic.
    pub fn fail(&self, arguments: &[&str], fragments: &[&str]) {
        let ended = self.run(arguments);
        let what = format!("bonfire {}\n{}\n{}", arguments.join(" "), ended.stdout, ended.stderr);
        assert!(ended.code.is_some_and(|code| code != 0), "expected a failure: {what}");
        assert!(!ended.stderr.contains("panicked"), "{what}");
        let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "expected one line of error: {what}");
        for fragment in fragments {
            assert!(errors[0].contains(fragment), "expected '{fragment}' in: {what}");
        }
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The records of a run's log.
pub fn records(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
