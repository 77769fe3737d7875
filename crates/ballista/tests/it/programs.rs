//! A cluster of real processes.

use std::process::Command;

/// A scheduler and two executors that tests/ballista starts.
pub struct Processes {
    folder: tempfile::TempDir,
    pub url: String,
}

fn script(arguments: &[&str]) -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_landfall-scheduler")).parent().unwrap();
    let output = Command::new(format!("{here}/../../tests/ballista"))
        .args(arguments)
        .env("LANDFALL_BALLISTA_PROGRAMS", programs)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Processes {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = script(&["start", folder.path().to_str().unwrap()]);
        Self { folder, url }
    }

    pub fn signal(&self, name: &str, signal: &str) -> bool {
        let pid = std::fs::read_to_string(self.folder.path().join(format!("{name}.pid"))).unwrap();
        Command::new("kill").args([signal, pid.trim()]).status().unwrap().success()
    }

    pub fn start_executor(&self, name: &str) {
        script(&["executor", self.folder.path().to_str().unwrap(), name]);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for name in ["scheduler", "executor1", "executor2"].into_iter().filter(|_| std::thread::panicking()) {
            let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            println!("{name}:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        script(&["stop", self.folder.path().to_str().unwrap()]);
    }
}
