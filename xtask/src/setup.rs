//! Installs the servers that `manifests/mcp`, `manifests/lsp` and `manifests/mcp-breadth` run, and what pip builds the packages
//! of `tests/entrypoints` with, from their lock files, into those folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{Failure, ask, command, root, run as run_command};
use crate::suite::long;

/// Installs what is not installed yet. Takes milliseconds when everything is. The long forms have more servers.
pub(crate) fn run() -> Result<(), Failure> {
    mcp_servers()?;
    servers("lsp")?;
    node_servers("mcp-breadth")?;
    python_packages("tests/entrypoints", "requirements.txt", ".venv")?;
    if long() {
        python_packages("manifests/mcp-breadth", "requirements-2025.txt", ".venv-2025")?;
        python_packages("manifests/mcp-breadth", "requirements.txt", ".venv")?;
        warm_uvx()?;
        gopls()?;
    }
    Ok(())
}

/// What `manifests/mcp` runs.
pub(crate) fn mcp_servers() -> Result<(), Failure> {
    servers("mcp")
}

fn servers(of: &str) -> Result<(), Failure> {
    node_servers(of)?;
    python_packages(&format!("manifests/{of}"), "requirements.txt", ".venv")
}

fn node_servers(of: &str) -> Result<(), Failure> {
    let help = "install Node.js 20 or later with npm, then run this again";
    let lacking = |found: String| {
        Failure::new(format!("manifests/{of} needs Node 20 or later with npm, and {found}"))
            .help(help)
    };
    let node = ask(with("node", &["--version"]))
        .ok_or_else(|| lacking("there is no `node` on PATH".into()))?;
    if leading_number(node.trim_start_matches('v')).is_none_or(|major| major < 20) {
        return Err(lacking(format!("`node` is {node}")));
    }
    let install = Installation {
        what: "npm ci",
        lock: manifests(of).join("package-lock.json"),
        folder: manifests(of).join("node_modules"),
        runtime: node,
    };
    if install.is_done()? {
        return Ok(());
    }
    ask(with("npm", &["--version"])).ok_or_else(|| lacking("there is no `npm` on PATH".into()))?;
    println!("setup: npm ci in manifests/{of} (once; about half a minute)");
    let mut npm = with("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    npm.current_dir(manifests(of));
    run_command(install.what, npm).map_err(needs_network)?;
    install.done()
}

fn python_packages(of: &str, lock: &str, folder: &str) -> Result<(), Failure> {
    let help = "install Python 3.10 or later with its venv module, then run this again";
    let lacking = |found: String| {
        let what = format!("{of} needs Python 3.10 or later with venv, and {found}");
        Failure::new(what).help(help)
    };
    let python = ask(with("python3", &["--version"]))
        .ok_or_else(|| lacking("there is no `python3` on PATH".into()))?;
    let mut numbers = python.trim_start_matches("Python ").split('.').map(leading_number);
    let version = (numbers.next().flatten(), numbers.next().flatten());
    if version < (Some(3), Some(10)) {
        return Err(lacking(format!("`python3` is {python}")));
    }
    let install = Installation {
        what: "pip install",
        lock: root().join(of).join(lock),
        folder: root().join(of).join(folder),
        runtime: python,
    };
    if install.is_done()? {
        return Ok(());
    }
    // Some distributions package these two apart, and then fail half way through.
    ask(with("python3", &["-c", "import venv, ensurepip"]))
        .ok_or_else(|| lacking("its modules venv and ensurepip are not there".into()))?;
    println!("setup: pip install in {of}/{folder} (once; about half a minute)");
    let mut venv = with("python3", &["-m", "venv", "--clear"]);
    venv.arg(&install.folder);
    run_command("python3 -m venv", venv)?;
    let mut pip = command(install.folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip.arg("-r").arg(&install.lock);
    run_command(install.what, pip).map_err(needs_network)?;
    install.done()
}

/// Builds the language server for Go. The sums in `go.sum` are what it is held against: nobody is asked for them.
fn gopls() -> Result<(), Failure> {
    let help = "install Go 1.24.2 or later, then run this again";
    let folder = manifests("lsp");
    let mut asks = with("go", &["version"]);
    asks.current_dir(&folder);
    let go = ask(asks).ok_or_else(|| {
        Failure::new("gopls needs Go 1.24.2 or later, and `go version` in manifests/lsp fails")
            .help(help)
    })?;
    let install = Installation {
        what: "go build",
        lock: folder.join("go.sum"),
        folder: folder.join(".gopls"),
        runtime: go,
    };
    if install.is_done()? {
        return Ok(());
    }
    println!("setup: go build gopls in manifests/lsp (once; some minutes)");
    let mut build = with("go", &["build", "-mod=readonly", "-o", ".gopls/gopls"]);
    build.arg("golang.org/x/tools/gopls").current_dir(&folder);
    // Else a workspace file somewhere above would have a say.
    build.env("GOWORK", "off");
    run_command(install.what, build).map_err(needs_network)?;
    install.done()
}

/// Fills uv's cache, so that `uvx --offline` starts a server as `uvx` does when it was used before.
fn warm_uvx() -> Result<(), Failure> {
    let venv = manifests("mcp-breadth").join(".venv");
    let cache = venv.join("uv-cache");
    if cache.join(".warm").exists() {
        return Ok(());
    }
    let mut uvx = command(venv.join("bin/uvx"));
    uvx.args(["mcp-server-time@2026.10.19", "--help"]).env("UV_CACHE_DIR", &cache);
    uvx.stdout(std::process::Stdio::null());
    run_command("uvx", uvx).map_err(needs_network)?;
    let warm = cache.join(".warm");
    fs::write(&warm, "").map_err(|error| Failure::new(format!("{}: {error}", warm.display())))
}

fn manifests(of: &str) -> PathBuf {
    root().join("manifests").join(of)
}

fn with(program: &str, args: &[&str]) -> Command {
    let mut command = command(program);
    command.args(args);
    command
}

fn needs_network(failure: Failure) -> Failure {
    failure.help("it downloads packages, once: check the network, then run this again")
}

/// The number that `text` begins with.
fn leading_number(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}

/// A folder that a package manager fills from a lock file. A stamp in it, written last, says from which
/// lock file, for which place (virtual environments hold absolute paths) and for which runtime.
struct Installation {
    what: &'static str,
    lock: PathBuf,
    folder: PathBuf,
    runtime: String,
}

impl Installation {
    fn is_done(&self) -> Result<bool, Failure> {
        let stamp = self.stamp()?;
        Ok(fs::read_to_string(self.stamp_path()).is_ok_and(|found| found == stamp))
    }

    fn done(&self) -> Result<(), Failure> {
        let stamp = self.stamp()?;
        fs::write(self.stamp_path(), stamp).map_err(|error| self.unusable(&self.folder, &error))
    }

    fn stamp_path(&self) -> PathBuf {
        self.folder.join(".installed")
    }

    fn stamp(&self) -> Result<String, Failure> {
        let lock = fs::read(&self.lock).map_err(|error| self.unusable(&self.lock, &error))?;
        let folder = self.folder.display();
        Ok(format!("{:016x}\n{folder}\n{}\n", fnv1a(&lock), self.runtime))
    }

    fn unusable(&self, path: &Path, error: &std::io::Error) -> Failure {
        Failure::new(format!("{}: {}: {error}", self.what, path.display()))
    }
}

/// FNV-1a, 64 bits: tells lock files apart, with nobody to deceive.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn versions_are_read_to_their_first_odd_character() {
        assert_eq!(leading_number("20.11.1"), Some(20));
        assert_eq!(leading_number("13rc1"), Some(13));
        assert_eq!(leading_number(""), None);
    }

    #[test]
    fn an_installation_is_done_only_for_its_own_lock_place_and_runtime() {
        let folder = std::env::temp_dir().join(format!("outboard-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let lock = folder.join("lock");
        let install = |runtime: &str| Installation {
            what: "test",
            lock: lock.clone(),
            folder: folder.clone(),
            runtime: runtime.into(),
        };
        fs::write(&lock, "a").unwrap();
        assert!(!install("v20").is_done().unwrap(), "nothing is installed");
        install("v20").done().unwrap();
        assert!(install("v20").is_done().unwrap());
        assert!(!install("v22").is_done().unwrap(), "another runtime");
        fs::write(&lock, "b").unwrap();
        assert!(!install("v20").is_done().unwrap(), "another lock file");
        fs::remove_dir_all(&folder).unwrap();
        assert!(
            install("v20").is_done().is_err(),
            "no lock file is a failure, not a reason to install"
        );
    }
}
