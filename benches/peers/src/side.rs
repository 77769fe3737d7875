//! One side of a comparison: a process that loads the rows into a table which is there, and says how long that took.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who loads.
#[derive(Debug)]
pub struct Side {
    /// What it is called in what is printed.
    pub label: &'static str,
    pub program: Program,
    /// What the program calls it.
    pub load: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// This one.
    Own,
    /// That of `others/`, which is built into the same folder.
    Others,
    /// `load.py`, in the environment that `LANDFALL_PEERS_PYTHON` names.
    Python,
}

impl Side {
    /// The environment that `load.py` needs, if there is one.
    pub fn python() -> Option<PathBuf> {
        std::env::var_os("LANDFALL_PEERS_PYTHON").filter(|python| !python.is_empty()).map(PathBuf::from)
    }

    /// Loads the first `rows` events into the table at `place`; `file` has all of them, for who cannot make them.
    /// `None` where it fails; why is on the standard error then.
    pub fn seconds(&self, place: &str, rows: usize, file: impl FnOnce() -> PathBuf) -> Option<f64> {
        let own = std::env::current_exe().expect("the name of this program");
        let mut command = match self.program {
            Program::Own => {
                let mut command = Command::new(own);
                command.arg("load");
                command
            }
            Program::Others => Command::new(own.with_file_name("landfall-peers-others")),
            Program::Python => {
                let mut command = Command::new(Self::python().expect("LANDFALL_PEERS_PYTHON"));
                command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("load.py"));
                command
            }
        };
        command.args([self.load, place]).arg(rows.to_string());
        if self.program == Program::Python {
            command.arg(file());
        }
        let run = command.stderr(Stdio::inherit()).output();
        let run = run.inspect_err(|error| eprintln!("{command:?}: {error}")).ok()?;
        String::from_utf8_lossy(&run.stdout).trim().parse().ok().filter(|_| run.status.success())
    }
}
