//! A server of a test's own, which is stopped at the end.

use std::path::Path;
use std::process::{Command, Output};

/// A server that a script of tests/ runs: "postgres" or "mysql".
pub struct Cluster {
    pub folder: tempfile::TempDir,
    script: &'static str,
}

impl Cluster {
    /// Starts it, and says where it is.
    pub fn start(script: &'static str) -> (Self, String) {
        let cluster = Self { folder: tempfile::tempdir().unwrap(), script };
        let url = String::from_utf8(cluster.control("start").stdout).unwrap().trim().to_owned();
        (cluster, url)
    }

    /// Stops it as a crash would, and starts it again.
    pub fn crash(&self) {
        self.stop();
        self.resume();
    }

    pub fn stop(&self) {
        self.control("stop");
    }

    pub fn resume(&self) {
        self.control("resume");
    }

    fn control(&self, verb: &str) -> Output {
        let output = control(self.script, verb, self.folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        control(self.script, "stop", self.folder.path());
    }
}

fn control(script: &str, verb: &str, folder: &Path) -> Output {
    let script = crate::program::repository().join("tests").join(script);
    Command::new(script).arg(verb).arg(folder).output().unwrap()
}
