//! What the documentation shows is what happens: its commands are run as they stand there.

use std::fs;

use outboard_tests::packages::{Venv, can_install};
use outboard_tests::runtimes::{bins, on_path, repository, skip};
use outboard_tests::world::Launch;
use outboard_tests::{World, long};
use serde_json::Value;

/// The fenced blocks of a page in `docs/`, each with its language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join("docs").join(page)).unwrap();
    let mut parts = text.split("\n```");
    parts.next();
    let (mut blocks, mut inside) = (Vec::new(), true);
    for part in parts {
        if inside {
            let (language, text) = part.split_once('\n').unwrap();
            blocks.push((language.to_owned(), text.to_owned()));
        }
        inside = !inside;
    }
    blocks
}

/// Runs a line as somebody would type it, and gives everything that it prints.
fn type_in(world: &World, state: &str, line: &str) -> String {
    let mut spawn = world.spawn(["sh", "-c", line].map(str::to_owned).into());
    let path = format!("{}:{}", bins().display(), std::env::var("PATH").unwrap_or_default());
    let home = world.folder().join("home").display().to_string();
    let state = world.state_dir(state).display().to_string();
    for (name, value) in [("PATH", path), ("HOME", home), ("OUTBOARD_STATE_DIR", state)] {
        spawn.env.insert(name.to_owned(), value);
    }
    let output = world.finish(spawn);
    output.stdout + &output.stderr
}

/// A screen without what differs from run to run: spans and numbers, widths of columns, the folder.
fn same_for_all(world: &World, screen: &str) -> String {
    let folder = world.folder().display().to_string();
    let screen = screen.replace(&folder, "/home/you/work");
    let mut plain = String::new();
    for line in screen.lines() {
        for word in line.split_whitespace() {
            let number = word.starts_with(|c: char| c.is_ascii_digit());
            let unit = |unit: &str| number && word.ends_with(unit);
            let word = match word {
                _ if unit("s") || unit("m") || unit("h") => "TIME",
                _ if number => "N",
                word if word.ends_with(':') && word[..word.len() - 1].parse::<u32>().is_ok() => {
                    "N:"
                }
                word => word,
            };
            plain.push_str(word);
            plain.push(' ');
        }
        plain.push('\n');
    }
    plain
}

#[test]
fn a_newcomer_breaks_a_plugin_and_finds_out_why() {
    if !on_path("python3") {
        return skip("docs", "python3");
    }
    let world = World::new();
    let blocks = blocks("walk-why.md");
    let manifest = blocks.iter().find(|(language, _)| language == "toml").unwrap();
    world.manifest("adder", &manifest.1);
    fs::copy(repository().join("plugins/python/echo.py"), world.manifests().join("adder.py"))
        .unwrap();
    let run = world.run();
    run.active("adder");
    run.socket("control.sock");
    run.socket("attach.sock");
    let screens: Vec<_> = blocks
        .iter()
        .filter(|(language, _)| language == "console")
        .flat_map(|(_, text)| text.split("$ ").skip(1))
        .collect();
    assert!(screens.len() > 6, "{screens:?}");
    for screen in screens {
        let (line, shown) = screen.split_once('\n').unwrap_or((screen, ""));
        let printed = type_in(&world, "", line);
        let (shown, printed) = (same_for_all(&world, shown), same_for_all(&world, &printed));
        assert_eq!(shown, printed, "$ {line}");
    }
}

#[test]
fn a_package_is_found_and_called_as_its_page_shows() {
    if !can_install() {
        return skip("docs", "pip's build backend (`cargo xtask setup`)");
    }
    let world = World::new();
    let blocks = blocks("python-entry-points.md");
    let nth = |wanted: &str, n: usize| {
        let mut of = blocks.iter().filter(|(language, _)| language == wanted);
        of.nth(n).map(|(_, text)| text.as_str()).unwrap()
    };
    let sample = |file: &str| {
        fs::read_to_string(repository().join("plugins/platforms/demi-geo").join(file)).unwrap()
    };
    assert_eq!(nth("python", 0).trim(), sample("demi_geo.py").trim());
    assert_eq!(nth("toml", 0).trim(), sample("pyproject.toml").trim());
    let (lines, settings) = nth("sh", 0).split_once("cat > outboard.toml <<'END'\n").unwrap();
    if long() {
        // With a pip of the environment's own, which fetches what it builds with.
        let lines = lines.replace("PATH-TO", &repository().display().to_string());
        for line in lines.lines() {
            let said = type_in(&world, "", &format!("cd manifests && {line} && echo done"));
            assert!(said.contains("done\n"), "$ {line}\n{said}");
        }
    } else {
        Venv::make(&world, "manifests/.venv").install(&["sdk", "demi-geo"]);
    }
    world.settings(settings.split_once("END\n").unwrap().0);
    let run = world.run();
    run.active("geo");
    run.socket("control.sock");
    run.socket("attach.sock");
    let printed: String = nth("sh", 1).lines().map(|line| type_in(&world, "", line)).collect();
    assert_eq!(same_for_all(&world, nth("text", 0)), same_for_all(&world, &printed));
}

#[test]
fn curl_gets_what_the_page_shows() {
    if !on_path("curl") {
        return skip("docs", "curl");
    }
    let world = World::new();
    world.chaos("geo", "serve");
    // Where it is when nobody says otherwise.
    let state = "home/.local/state/outboard/default";
    let run = world.launch(&Launch { state, ..Launch::default() });
    run.active("geo");
    run.socket("control.sock");
    let blocks = blocks("api.md");
    let mut shell = blocks.iter().filter(|(language, _)| language == "sh").peekable();
    let setting = &shell.next().unwrap().1;
    let mut curls = 0;
    for (number, (language, text)) in blocks.iter().enumerate() {
        if language != "sh" || text == setting {
            continue;
        }
        let printed = type_in(&world, state, &format!("unset XDG_STATE_HOME\n{setting}\n{text}"));
        let answers = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
        let answers: Vec<Value> =
            answers.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {printed}"));
        curls += answers.len();
        match blocks.get(number + 1) {
            Some((language, shown)) if language == "json" => {
                shows(&answers[0], &serde_json::from_str(shown).unwrap(), "answer");
            }
            _ => {
                assert!(answers.iter().all(|answer| answer.get("result").is_some()), "{answers:?}")
            }
        }
    }
    assert_eq!(curls, 7, "every request of the page was made");
}

/// Everything that is shown is there: members, and words; numbers are another matter.
#[track_caller]
fn shows(answer: &Value, shown: &Value, at: &str) {
    match (answer, shown) {
        (Value::Object(answer), Value::Object(shown)) => {
            for (name, shown) in shown {
                let member = answer.get(name).unwrap_or_else(|| panic!("{at}.{name} is not there"));
                shows(member, shown, &format!("{at}.{name}"));
            }
        }
        (Value::Array(answer), Value::Array(shown)) => {
            for (number, shown) in shown.iter().enumerate() {
                shows(&answer[number], shown, &format!("{at}[{number}]"));
            }
        }
        (Value::Number(_), Value::Number(_)) => {}
        _ => assert_eq!(answer, shown, "{at}"),
    }
}
