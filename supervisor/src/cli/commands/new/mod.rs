//! `outboard new`: a folder with a plugin, its manifest, its test and a page on what to type next.

mod templates;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Ended;
use crate::cli::args::{Lang, NewArgs};
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::trouble::Trouble;
use templates::Template;

/// What programs are told.
#[derive(Serialize)]
struct Written<'a> {
    schema: u32,
    name: &'a str,
    folder: &'a str,
    files: &'a [&'a str],
    next: &'a [String],
}

pub(super) fn run(args: &NewArgs, screen: &mut Screen) -> Ended {
    let name = &*args.name;
    check_name(name, args.lang)?;
    let template = templates::of(args.lang);
    let sdk = match template.sdk {
        Some(language) => find_sdk(args, language)?.display().to_string(),
        None => String::new(),
    };
    // It goes into files of five syntaxes, unescaped.
    if let Some(odd) =
        sdk.chars().find(|c| matches!(c, '"' | '\'' | '\\' | '$' | '`') || c.is_control())
    {
        let what =
            format!("the SDK's path has {odd:?} in it, which not every language's files can hold");
        return Err(Trouble::new(Exit::Usage, what)
            .cause(sdk)
            .help("put the SDK elsewhere, then name it with --sdk"));
    }
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{sdk}}", &sdk);
    let next = next(args.lang, name, &template, &fill);
    let manifest = format!("{name}.toml");
    let readme = readme(name, &template, &next, &fill);
    let mut files = template.files.to_vec();
    files.push((&manifest, template.manifest));
    files.push(("README.md", &readme));
    let folder = Path::new(name);
    write(folder, &files, &fill).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Trouble::new(Exit::Usage, format!("{name} is there already, and nothing was written"))
                .help(format!("outboard new --lang {} ANOTHER-NAME", args.lang.as_str()))
        }
        _ => Trouble::new(Exit::Usage, format!("{name} cannot be written: {error}"))
            .cause("what was written of it before that is still there"),
    })?;
    if args.lang == Lang::Rust {
        // The versions that the SDK was tested with: those are here already, and nothing need be fetched.
        drop(fs::copy(Path::new(&sdk).join("../Cargo.lock"), folder.join("Cargo.lock")));
    }
    let names: Vec<_> = files.iter().map(|(path, _)| *path).collect();
    if screen.is_json() {
        screen.json(&Written {
            schema: crate::control::api::SCHEMA,
            name,
            folder: name,
            files: &names,
            next: &next,
        });
    } else {
        screen.line(&format!(
            "{name}/ has a plugin, its manifest and its test: {}",
            names.join(", ")
        ));
        screen.line("Next:");
        for (line, then) in next.iter().zip(notes(&next)) {
            screen.line(&format!("  {line}{then}"));
        }
    }
    Ok(Exit::Done)
}

/// A name that is right for a plugin's id, a program, a module and a package.
fn check_name(name: &str, lang: Lang) -> Result<(), Trouble> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let why = if name == "outboard" {
        "outboard.toml is for the supervisor's own settings"
    } else if name.chars().count() > LONGEST {
        "it has more than 40 characters"
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "it has to begin with a letter from a to z"
    } else if !name.chars().all(legal) || name.ends_with('-') {
        "it has to be of a to z, 0 to 9, and single - between them"
    } else if name.contains("--") {
        "it has two - in a row"
    } else {
        return Ok(());
    };
    let what = format!("`{name}` cannot be the name of a new plugin");
    let near = near_name(name).unwrap_or_else(|| "my-plugin".to_owned());
    let help = format!("outboard new --lang {} {near}", lang.as_str());
    Err(Trouble::new(Exit::Usage, what).cause(why).help(help))
}

/// Bytes of the longest name.
const LONGEST: usize = 40;

/// What was probably meant: `hello-world` for `Hello World`; `None` where nothing is left of it.
fn near_name(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let near: String = words.collect::<Vec<_>>().join("-").chars().take(LONGEST).collect();
    let near = near.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-');
    (!near.is_empty() && near != "outboard").then(|| near.to_owned())
}

/// The folder of the SDKs: the one that was named, or the one of the checkout that this program or this folder is in.
fn find_sdk(args: &NewArgs, language: &str) -> Result<PathBuf, Trouble> {
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    let lang = args.lang.as_str();
    if let Some(named) = &args.sdk {
        let found = named.canonicalize().ok().filter(|sdk| sdk.join(language).is_dir());
        return found.ok_or_else(|| {
            let what = format!("there is no SDK for {lang} in {}", named.display());
            Trouble::new(Exit::Usage, what)
                .cause(format!("a folder with {language}/ in it is wanted, such as plugin-sdk/ of outboard's source"))
                .help(format!("outboard new --lang {lang} --sdk PATH-TO/plugin-sdk {}", args.name))
        });
    }
    let above = |path: &Path| {
        path.ancestors()
            .map(|folder| folder.join("plugin-sdk"))
            .find(|sdk| sdk.join(language).is_dir())
    };
    let found = [program, here].into_iter().flatten().find_map(|path| above(&path));
    found.ok_or_else(|| {
        Trouble::new(Exit::Usage, format!("nobody knows where the SDK for {lang} lies"))
            .cause("the SDKs are in no registry yet; outboard's source has them, in plugin-sdk/")
            .help(format!("outboard new --lang {lang} --sdk PATH-TO/plugin-sdk {}", args.name))
    })
}

/// What to type, from the folder that the new one is in.
fn next(
    lang: Lang,
    name: &str,
    template: &Template,
    fill: &impl Fn(&str) -> String,
) -> Vec<String> {
    let mut next = Vec::new();
    if lang == Lang::Typescript && !Path::new(&fill("{{sdk}}/typescript/dist/index.js")).is_file() {
        next.push(fill("(cd '{{sdk}}/typescript' && npm ci)"));
    }
    if !template.build.is_empty() {
        next.push(format!("(cd {name} && {})", fill(template.build)));
    }
    next.push(format!("(cd {name} && {})", fill(template.test)));
    next.push(format!("outboard conformance {name}/{name}.toml"));
    next.push(format!("outboard run --watch {name}"));
    next.push(format!("outboard call {name} {}", template.call));
    next
}

/// What is said beside each line: the last one is for while the one before it runs.
fn notes(next: &[String]) -> impl Iterator<Item = &'static str> {
    let last = next.len().saturating_sub(1);
    (0..next.len()).map(move |n| if n == last { "   # in another terminal" } else { "" })
}

fn readme(
    name: &str,
    template: &Template,
    next: &[String],
    fill: &impl Fn(&str) -> String,
) -> String {
    let lines = next.iter().zip(notes(next)).map(|(line, then)| format!("{line}{then}"));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let sdk = match template.sdk {
        Some(language) => {
            fill(&format!("What else the SDK can do: {{{{sdk}}}}/{language}/README.md.\n"))
        }
        None => String::new(),
    };
    format!(
        "# {name}\n\nAn outboard plugin. From the folder above this one:\n\n\
         ```sh\n{lines}\n```\n\n`{name}.toml` says how it is started and what configuration it gets. {sdk}"
    )
}

/// Writes a folder that is not there yet.
fn write(folder: &Path, files: &[(&str, &str)], fill: &impl Fn(&str) -> String) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        File::create_new(path)?.write_all(fill(text).as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_right_for_ids_programs_and_packages() {
        for name in ["a", "geo", "my-plugin", "s3"] {
            assert!(check_name(name, Lang::Go).is_ok(), "{name}");
        }
        let long = "x".repeat(41);
        for name in
            ["", "outboard", "Geo", "3s", "-a", "a-", "a--b", "a_b", "a/b", "..", "é", &long]
        {
            let trouble = check_name(name, Lang::Go).unwrap_err();
            assert_eq!(trouble.exit, Exit::Usage, "{name}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_answered_with_one_that_can() {
        for (name, near) in [
            ("Hello World", Some("hello-world")),
            ("a_b", Some("a-b")),
            ("3s-Geo-", Some("s-geo")),
            ("über/../geo", Some("ber-geo")),
            (&"x-".repeat(60), Some(&"x-".repeat(20)[..39])),
            ("42", None),
            ("Outboard", None),
            ("", None),
        ] {
            let found = near_name(name);
            assert_eq!(found.as_deref(), near, "{name}");
            assert!(found.is_none_or(|near| check_name(&near, Lang::Go).is_ok()), "{name}");
        }
    }

    #[test]
    fn every_template_names_what_it_runs() {
        for lang in [Lang::Rust, Lang::Python, Lang::Typescript, Lang::Go, Lang::Sh] {
            let template = templates::of(lang);
            let text: String = template.files.iter().map(|(_, text)| *text).collect();
            assert!((text + template.manifest).contains("{{name}}"), "{lang:?}");
            assert!(template.manifest.contains("[process]"), "{lang:?}");
        }
    }
}
