//! From a manifest to an order for the keeper.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use outboard_keeper::{Orphans, SpawnOrder};
use outboard_manifest::resolve::{self, Resolved};
use outboard_manifest::{Manifest, Orphans as WhoAdopts, Problem};

use crate::run::Error;

/// A plugin, ready to be started as often as needed.
#[derive(Debug)]
pub(crate) struct Launch {
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    umask: Option<u32>,
    orphans: Orphans,
    name: String,
    pub(crate) secrets: Vec<String>,
}

impl Launch {
    /// Looks at the surroundings as they are now: variables, secrets, the program.
    pub(crate) fn prepare(manifest: &Manifest) -> Result<Self, Error> {
        let refused = |problems: Vec<Problem>| {
            let errors = problems.iter().filter(|problem| problem.is_error());
            Error::Surroundings(errors.map(Problem::sentence).collect())
        };
        let dotenv = match &manifest.env_file {
            Some(path) => resolve::dotenv(path).map_err(refused)?.vars,
            None => Vec::new(),
        };
        let inherited: Vec<_> = std::env::vars_os().collect();
        let look_up = |name: &str| std::env::var_os(name);
        let resolved =
            resolve::resolve(manifest, &look_up, &dotenv, &inherited).map_err(refused)?;
        let program = resolve::look_up(manifest, &resolved).map_err(|problem| {
            let cause = problem.cause.iter().cloned();
            Error::Surroundings(std::iter::once(problem.sentence()).chain(cause).collect())
        })?;
        Self::of(manifest, resolved, program).ok_or_else(|| {
            Error::Surroundings(vec!["a NUL byte in its command or environment".to_owned()])
        })
    }

    /// `None` where a text has a NUL byte.
    fn of(manifest: &Manifest, resolved: Resolved, program: PathBuf) -> Option<Self> {
        let c = |text: &OsStr| CString::new(text.as_bytes()).ok();
        let own = [
            ("OUTBOARD_PROTOCOL", "1".to_owned()),
            ("OUTBOARD_PLUGIN", manifest.id.to_string()),
            ("OUTBOARD_INSTANCE", format!("{}-0", manifest.id)),
            ("OUTBOARD_GENERATION", "1".to_owned()),
        ];
        let pair = |name: &OsStr, value: &OsStr| {
            c(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
        };
        let given = resolved.env.iter().map(|(name, value)| pair(name, value));
        let own = own.iter().map(|(name, value)| pair(OsStr::new(name), OsStr::new(value)));
        Some(Self {
            program: c(program.as_os_str())?,
            argv: resolved.argv.iter().map(|arg| c(arg)).collect::<Option<_>>()?,
            env: given.chain(own).collect::<Option<_>>()?,
            cwd: c(resolved.cwd.as_os_str())?,
            umask: manifest.process.umask,
            orphans: match manifest.process.orphans {
                WhoAdopts::Plugin => Orphans::Plugin,
                WhoAdopts::Keeper => Orphans::Keeper,
            },
            name: manifest.id.to_string(),
            secrets: resolved.secrets,
        })
    }

    pub(crate) fn order(&self, key: u64, stdio: [OwnedFd; 3]) -> SpawnOrder {
        let mut order = SpawnOrder::new(key, self.program.clone(), stdio);
        order.argv = self.argv.clone();
        order.env = self.env.clone();
        order.cwd = Some(self.cwd.clone());
        order.umask = self.umask;
        order.orphans = self.orphans;
        order.name = self.name.clone();
        order
    }
}
