//! What is written, language by language.

use crate::cli::args::Lang;

/// A file's path in the new folder, and its text. `{{name}}` and `{{sdk}}` stand for what they say.
pub(super) type File = (&'static str, &'static str);

/// What there is to know of a language.
pub(super) struct Template {
    pub(super) files: &'static [File],
    pub(super) manifest: &'static str,
    /// The folder of the SDK below `plugin-sdk`; `None` needs none.
    pub(super) sdk: Option<&'static str>,
    /// What makes it ready to run, in its folder; empty where it is so already.
    pub(super) build: &'static str,
    /// What runs its test, in its folder.
    pub(super) test: &'static str,
    /// A call of the method that it has.
    pub(super) call: &'static str,
}

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("templates/", $file))
    };
}

/// What most of them answer to.
const GREET: &str = r#"greet '{"name": "Ada"}'"#;

pub(super) fn of(lang: Lang) -> Template {
    match lang {
        Lang::Rust => Template {
            files: &[
                ("Cargo.toml", template!("rust/Cargo.toml.in")),
                ("src/main.rs", template!("rust/main.rs.in")),
                (".gitignore", "/target\n"),
            ],
            manifest: template!("rust/manifest.toml"),
            sdk: Some("rust"),
            build: "cargo build",
            test: "cargo test",
            call: GREET,
        },
        Lang::Python => Template {
            files: &[
                ("plugin.py", template!("python/plugin.py")),
                ("test_plugin.py", template!("python/test_plugin.py")),
                (".gitignore", "__pycache__/\n"),
            ],
            manifest: template!("python/manifest.toml"),
            sdk: Some("python"),
            build: "",
            test: "PYTHONPATH='{{sdk}}/python/src' python3 -m unittest",
            call: GREET,
        },
        Lang::Typescript => Template {
            files: &[
                ("package.json", template!("typescript/package.json")),
                ("tsconfig.json", template!("typescript/tsconfig.json")),
                ("src/main.ts", template!("typescript/main.ts")),
                ("src/plugin.ts", template!("typescript/plugin.ts")),
                ("src/plugin.test.ts", template!("typescript/plugin.test.ts")),
                (".gitignore", "node_modules/\ndist/\n"),
            ],
            manifest: template!("typescript/manifest.toml"),
            sdk: Some("typescript"),
            build: "npm install && npm run build",
            test: "npm test",
            call: GREET,
        },
        Lang::Go => Template {
            files: &[
                ("go.mod", template!("go/go.mod.in")),
                ("main.go", template!("go/main.go")),
                ("main_test.go", template!("go/main_test.go")),
                (".gitignore", "/{{name}}\n"),
            ],
            manifest: template!("go/manifest.toml"),
            sdk: Some("go"),
            build: "go build -o {{name}} .",
            test: "go test .",
            call: GREET,
        },
        Lang::Sh => Template {
            files: &[
                ("plugin.sh", template!("sh/plugin.sh")),
                ("test.sh", template!("sh/test.sh")),
            ],
            manifest: template!("sh/manifest.toml"),
            sdk: None,
            build: "",
            test: "sh test.sh",
            call: r#"echo '{"text": "hello"}'"#,
        },
    }
}
