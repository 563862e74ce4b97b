//! From what was found to manifests that do not exist yet: ids, secrets, text.

use std::path::{Component, Path};

use crate::found::{Fate, Found, Program};
use crate::vault::{Vault, dotenv_value};
use crate::words::Piece;
use crate::{Reading, toml};

/// What there is already; looked at by whoever calls.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Absolute: where the manifests go.
    pub folder: &'a Path,
    /// Absolute: the file that is read.
    pub source: &'a Path,
    pub home: Option<&'a Path>,
    /// The lines of the `.env` there.
    pub dotenv: &'a [(String, String)],
    /// A variable of the environment that a supervisor would be started with.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a manifest that is there, by the name of its file.
    pub manifest: &'a dyn Fn(&str) -> Option<String>,
}

/// A manifest for one entry.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Which of [`Reading::found`] it is for.
    pub index: usize,
    pub id: String,
    pub text: String,
    /// A manifest that says the same, or was once written for this entry, is there: it is left as it is.
    pub is_there: bool,
    /// Variables that hold what was taken out of the file.
    pub secrets: Vec<String>,
    /// Variables that it needs and nobody sets yet.
    pub wants: Vec<String>,
}

impl Draft {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.toml", self.id)
    }
}

/// What is to be written. Never prints a secret.
#[derive(Clone, Default)]
pub struct Plan {
    pub drafts: Vec<Draft>,
    /// Lines for the `.env` beside the manifests, which are not there yet.
    pub dotenv: Vec<(String, String)>,
}

impl Plan {
    /// The new lines of the `.env`, in its own syntax.
    #[must_use]
    pub fn dotenv_lines(&self) -> String {
        self.dotenv
            .iter()
            .map(|(name, value)| format!("{name}={}\n", dotenv_value(value)))
            .collect()
    }
}

/// Plans the manifests of a file. What is there is never changed: an entry whose name is taken gets a number.
#[must_use]
pub fn plan(reading: &Reading, around: &Surroundings<'_>) -> Plan {
    let mut plan = Plan::default();
    for (index, found) in reading.found.iter().enumerate() {
        if let Fate::Program(program) = &found.fate {
            draft(&mut plan, around, index, found, program);
        }
    }
    plan
}

fn draft(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    index: usize,
    found: &Found,
    program: &Program,
) {
    let slug = id_of(&found.name);
    for n in 1..=u32::MAX {
        let id = if n == 1 { slug.clone() } else { format!("{slug}-{n}") };
        if plan.drafts.iter().any(|draft| draft.id == id) {
            continue;
        }
        let mut vault = Vault::new(plan, around, &id);
        let text = manifest(found, program, &mut vault);
        let (new, secrets) = (vault.new, vault.names);
        let there = (around.manifest)(&format!("{id}.toml"));
        let (same, own) = match &there {
            None => (true, false),
            Some(there) => (body(there) == body(&text), is_from(there, &text)),
        };
        if !same && !own {
            continue;
        }
        if same {
            plan.dotenv.extend(new);
        }
        let wants = wants(plan, around, program);
        let is_there = there.is_some();
        plan.drafts.push(Draft { index, id, text, is_there, secrets, wants });
        return;
    }
}

/// Whether a manifest was written for the entry that `text` was now written for: its first line says so.
#[must_use]
pub fn is_from(manifest: &str, text: &str) -> bool {
    manifest.starts_with("# ") && manifest.lines().next() == text.lines().next()
}

/// A manifest without its comments.
fn body(manifest: &str) -> Vec<&str> {
    manifest.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect()
}

/// A name that a plugin may have.
fn id_of(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let mut id: String = name.chars().map(kept).collect();
    while id.contains("--") {
        id = id.replace("--", "-");
    }
    let id = id.trim_matches(['.', '_', '-']);
    // Room is left for a number behind it.
    let id: String = id.chars().take(58).collect();
    // `outboard.toml` is never a manifest.
    if id.is_empty() || id == "outboard" {
        format!("imported-{id}").trim_end_matches('-').to_owned()
    } else {
        id
    }
}

fn manifest(found: &Found, program: &Program, vault: &mut Vault<'_, '_>) -> String {
    let around = vault.around;
    let mut text = format!(
        "# `{}` of {}\n",
        one_line(&found.name),
        place_of(found.file.as_deref().unwrap_or(around.source), around)
    );
    for note in &program.notes {
        text.push_str(&format!("# {note}.\n"));
    }
    for lost in found.lost.iter().filter(|lost| !program.notes.contains(&lost.what)) {
        text.push_str(&format!("# Not carried over: {}.\n", one_line(&lost.what)));
    }
    if let Some(description) = &program.description {
        text.push_str(&format!("description = {}\n", toml::text(description)));
    }
    if !matches!(program.dialect, "" | "native") {
        text.push_str(&format!("dialect = {}\n", toml::text(program.dialect)));
    }
    if !program.enabled {
        text.push_str("enabled = false\n");
    }
    text.push_str("\n[process]\n");
    let command: Vec<_> =
        vault.command(&program.command).iter().map(|word| toml::text(&word.template())).collect();
    text.push_str(&toml::list("command = ", &command));
    text.push('\n');
    if let Some(cwd) = cwd_of(program, around).filter(|cwd| cwd != ".") {
        text.push_str(&format!("cwd = {}\n", toml::text(&cwd)));
    }
    let process = program.sections.get("process");
    for (key, value) in process.into_iter().flatten() {
        text.push_str(&format!("{key} = {value}\n"));
    }
    if !program.env.is_empty() {
        text.push_str("\n[process.env]\n");
        for (name, words) in &program.env {
            text.push_str(&format!("{} = {}\n", toml::key(name), vault.variable(name, words)));
        }
    }
    for (section, keys) in program.sections.iter().filter(|(section, _)| **section != "process") {
        text.push_str(&format!("\n[{section}]\n"));
        for (key, value) in keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A path as people write it.
#[must_use]
pub fn tilde(path: &Path, home: Option<&Path>) -> String {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

fn place_of(path: &Path, around: &Surroundings<'_>) -> String {
    relative(around.folder, path).unwrap_or_else(|| tilde(path, around.home))
}

/// The working directory, relative to the manifest where that is short.
fn cwd_of(program: &Program, around: &Surroundings<'_>) -> Option<String> {
    let written = match &program.cwd {
        None => program.project.clone()?,
        Some(words) => match words.as_plain() {
            None => return Some(words.template()),
            // A manifest reads it as these programs do.
            Some(plain) if plain.starts_with("~/") => return Some(words.template()),
            Some(plain) => match &program.project {
                Some(project) => project.join(plain),
                None => Path::new(plain).to_owned(),
            },
        },
    };
    let path = without_dots(&written);
    let shown = relative(around.folder, &path).unwrap_or_else(|| path.display().to_string());
    Some(shown.replace('$', "$$"))
}

fn without_dots(path: &Path) -> std::path::PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// The way from one folder to a path beside or below it; `None` when it is a long one.
fn relative(from: &Path, to: &Path) -> Option<String> {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let ups = from.len() - common;
    // Nothing but `/` in common is no neighbourhood.
    if common < 2 || ups > 2 || to.contains(&Component::ParentDir) {
        return None;
    }
    let ups = std::iter::repeat_n("..".to_owned(), ups);
    let parts =
        ups.chain(to[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()));
    let way = parts.collect::<Vec<_>>().join("/");
    Some(if way.is_empty() { ".".to_owned() } else { way })
}

/// Variables without a default that nobody sets.
fn wants(plan: &Plan, around: &Surroundings<'_>, program: &Program) -> Vec<String> {
    let all =
        program.env.iter().map(|(_, words)| words).chain(&program.command).chain(&program.cwd);
    let mut wants = Vec::new();
    for piece in all.flat_map(|words| &words.0) {
        let Piece::Variable { name, default: None } = piece else { continue };
        let there = around.dotenv.iter().chain(&plan.dotenv).any(|(there, _)| there == name);
        if !there && (around.environment)(name).is_none() && !wants.contains(name) {
            wants.push(name.clone());
        }
    }
    wants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_that_a_plugin_may_have() {
        for (name, id) in [
            ("weather", "weather"),
            ("My Server!", "My-Server"),
            ("Time & Date", "Time-Date"),
            ("@scope/name", "scope-name"),
            ("天気", "imported"),
            ("outboard", "imported-outboard"),
        ] {
            assert_eq!(id_of(name), id);
        }
        assert!(id_of(&"x".repeat(100)).len() < 60);
    }

    #[test]
    fn ways_are_short_or_whole() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/w/app/manifests", "/w/app").as_deref(), Some(".."));
        assert_eq!(way("/w/app", "/w/app").as_deref(), Some("."));
        assert_eq!(way("/w/app/manifests", "/w/app/.mcp.json").as_deref(), Some("../.mcp.json"));
        assert_eq!(way("/w/app", "/etc/x"), None);
        assert_eq!(way("/w/a/b/c/d", "/w/x"), None);
    }

    #[test]
    fn a_dotenv_gives_back_what_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let values = ["plain", "it's", "a \"b\" \\ $x", "line\nline", " # no comment", ""];
        let named = |(n, value): (usize, &&str)| (format!("V{n}"), (*value).to_owned());
        let dotenv: Vec<_> = values.iter().enumerate().map(named).collect();
        let plan = Plan { drafts: Vec::new(), dotenv: dotenv.clone() };
        std::fs::write(&path, plan.dotenv_lines()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        assert_eq!(outboard_manifest::resolve::dotenv(&path).unwrap().vars, dotenv);
    }
}
