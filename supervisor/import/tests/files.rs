//! Files as people have them, written after the public formats. What is made of them is shown, is sound, and holds no secret.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use outboard_import::{
    Alone, Beside, Source, Start, Surroundings, attach, is_attached, plan, read,
};

/// In every secret of these files.
const MARK: &str = "s3cr3t";

/// Programs that the files name; they are looked up, and never run.
const PROGRAMS: [&str; 13] = [
    "npx",
    "uvx",
    "docker",
    "node",
    "python3",
    "gopls",
    "typescript-language-server",
    "npm",
    "cmd",
    "bin/celery",
    "bin/gunicorn",
    "php",
    "context-server",
];

/// What the files name beside themselves.
#[derive(Debug)]
struct OnDisk;

impl Beside for OnDisk {
    fn text(&self, path: &Path) -> Result<String, String> {
        fs::read_to_string(path).map_err(|error| error.kind().to_string())
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

/// A folder with everything in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Reads a file as if it lay in a project of its own, and says everything that comes of it.
fn whole(name: &str) -> String {
    let world = tempfile::tempdir().unwrap();
    // As the shown paths would be on somebody's machine.
    let (case, file) = name.split_once('/').unwrap();
    let project = world.path().join("app");
    let path = project.join(file);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(case), &project);
    let text = fs::read_to_string(&path).unwrap();
    let source = Source { path: &path, text: &text, home: None, beside: &OnDisk };
    let reading = read(&source).unwrap();
    let folder = project.join("manifests");
    fs::create_dir(&folder).unwrap();
    let planned = plan(
        &reading,
        &Surroundings {
            folder: &folder,
            source: &path,
            home: None,
            dotenv: &[],
            environment: &|_| None,
            manifest: &|_| None,
        },
    );
    let mut shown = format!("{}\n", reading.format.words());
    let place = |file: &Option<PathBuf>, line: usize| match file {
        Some(file) => format!("{}:{line}", file.display()),
        None => line.to_string(),
    };
    for found in &reading.found {
        if let Some(why) = found.why_not() {
            let at = place(&found.file, found.line);
            shown.push_str(&format!("{at}: {}: left as it is: {why}\n", found.name));
        }
        for lost in &found.lost {
            let at = place(&lost.file, lost.line);
            shown.push_str(&format!("{at}: {}: {}\n", found.name, lost.what));
        }
    }
    for lost in &reading.lost {
        shown.push_str(&format!("{}: {}\n", place(&lost.file, lost.line), lost.what));
    }
    let mut env: Vec<(OsString, OsString)> = vec![("HOME".into(), "/home/you".into())];
    for draft in &planned.drafts {
        fs::write(folder.join(draft.file_name()), &draft.text).unwrap();
        let wants = draft.wants.join(" ");
        shown.push_str(&format!("\n==> {}  wants: {wants}\n{}", draft.file_name(), draft.text));
        for want in draft.wants.iter().filter(|want| *want != "HOME") {
            let value =
                if want == "VENV" { world.path().join("venv").into() } else { "a value".into() };
            env.push((want.into(), value));
        }
    }
    let dotenv = planned.dotenv_lines();
    fs::write(folder.join(".env"), &dotenv).unwrap();
    fs::set_permissions(folder.join(".env"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!shown.contains(MARK), "{shown}");
    shown.push_str(&format!("\n==> .env\n{dotenv}"));
    is_sound(world.path(), &folder, env);
    if reading.format.is_of_client() {
        let start = |index: usize| {
            let draft = planned.drafts.iter().find(|draft| draft.index == index)?;
            let args = ["attach", "--autostart", "/m", &draft.id].map(str::to_owned).into();
            Some(Start { program: "/bin/outboard".into(), args })
        };
        let now = attach(&text, &reading, &start);
        let again = Source { text: &now, ..source };
        assert!(is_attached(&again, &text), "{now}");
        let attached = read(&again).unwrap();
        let left = attached.found.iter().filter(|found| found.why_not().is_none()).count();
        assert_eq!(left, 0, "every program is reached through attach: {now}");
        shown.push_str(&format!("\n==> attached\n{now}"));
    }
    shown.replace(&world.path().display().to_string(), "/home/you")
}

/// What was written passes `check`, in a place where the programs are to be found.
fn is_sound(world: &Path, folder: &Path, mut env: Vec<(OsString, OsString)>) {
    for base in ["path", "venv"] {
        for program in PROGRAMS {
            let path = world.join(base).join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    env.push(("PATH".into(), world.join("path").into()));
    let mut set = outboard_manifest::load(&[folder.to_owned()], None).unwrap();
    assert!(!set.has_errors(), "{}", set.render(world));
    set.look_around(&env);
    // Folders of other people's machines are not there: nothing else may be missing.
    let missing =
        |what: &str| what.contains("cwd") || what.contains("/home/you/") || what.contains("/srv/");
    for problem in set.problems().into_iter().filter(|problem| problem.is_error()) {
        let text = problem.render(world);
        assert!(missing(&text), "{text}");
    }
}

macro_rules! files {
    ($($test:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $test() {
                insta::with_settings!({ prepend_module_to_snapshot => false }, {
                    insta::assert_snapshot!(stringify!($test), whole($file));
                });
            }
        )*
    };
}

files! {
    claude_code: "claude-code/.mcp.json",
    claude_desktop: "claude-desktop/claude_desktop_config.json",
    claude_user: "claude-user/.claude.json",
    cursor: "cursor/.cursor/mcp.json",
    vscode: "vscode/.vscode/mcp.json",
    vscode_settings: "vscode-settings/.vscode/settings.json",
    windsurf: "windsurf/mcp_config.json",
    cline: "cline/cline_mcp_settings.json",
    zed: "zed/.zed/settings.json",
    gemini: "gemini/.gemini/settings.json",
    pm2: "pm2/ecosystem.config.json",
    pm2_yaml: "pm2-yaml/ecosystem.config.yml",
    supervisord: "supervisord/supervisord.conf",
    supervisord_d: "supervisord-d/celery.ini",
    supervisord_debian: "supervisord-debian/supervisord.conf",
    lsp: "lsp/.lsp.json",
}

#[test]
fn what_is_nothing_of_this_says_so() {
    let refused = |name: &str, text: &str| {
        let path = Path::new("/w").join(name);
        read(&Source { path: &path, text, home: None, beside: &Alone }).unwrap_err()
    };
    assert!(refused("package.json", "{\"name\": \"x\"}").what.starts_with("no servers in it"));
    assert_eq!(refused("mcp.json", "{\n  \"mcpServers\": {\n").line, Some(3));
    assert!(refused("compose.yml", "services: {}").what.contains("no `apps`"));
    assert_eq!(refused("ecosystem.config.yml", "apps:\n  - name: [\n").line, Some(3));
    assert!(refused("x.conf", "[a]\n").what.contains("program"));
}

#[test]
fn a_variable_of_the_environment_that_means_something_else_is_left_to_it() {
    let text = r#"{"mcpServers":{"a":{"command":"npx","env":{"API_KEY":"of the file"}}}}"#;
    let path = Path::new("/w/app/.mcp.json");
    let reading = read(&Source { path, text, home: None, beside: &Alone }).unwrap();
    let name = |environment: &dyn Fn(&str) -> Option<String>| {
        let folder = Path::new("/w/app/manifests");
        let around = Surroundings {
            folder,
            source: path,
            home: None,
            dotenv: &[],
            environment,
            manifest: &|_| None,
        };
        plan(&reading, &around).dotenv[0].0.clone()
    };
    assert_eq!(name(&|_| None), "API_KEY");
    assert_eq!(name(&|_| Some("of the file".into())), "API_KEY");
    assert_eq!(name(&|name| (name == "API_KEY").then(|| "another".into())), "A_API_KEY");
}
