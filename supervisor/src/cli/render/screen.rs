//! Standard output and standard error, as one thing to print on.

use std::io::{self, IsTerminal, Write};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::text;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::control::api::{SCHEMA, State};
use crate::observe::printable_json;

/// Columns when the terminal does not say how many it has.
const DEFAULT_WIDTH: usize = 80;

/// Columns at most: longer lines are hard to read.
const MOST_WIDTH: usize = 100;

/// The global flags that concern printing.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct ScreenOptions {
    pub(in crate::cli) quiet: bool,
    pub(in crate::cli) json: bool,
}

/// Where a command prints.
///
/// A closed pipe is no error: what is printed to it is dropped, and [`Screen::is_gone`] says so, for those who would
/// print for ever.
pub(in crate::cli) struct Screen {
    out: Stream,
    err: Stream,
    quiet: bool,
    json: bool,
    width: usize,
    zone: TimeZone,
    /// The journal of systemd reads standard output.
    journal: bool,
    /// Lines that are held back until the page is whole.
    page: Option<String>,
}

struct Stream {
    to: Box<dyn Write>,
    gone: bool,
    terminal: bool,
    colour: bool,
}

impl Stream {
    fn new(to: Box<dyn Write>, terminal: bool, may_colour: bool) -> Self {
        Self { to, gone: false, terminal, colour: terminal && may_colour }
    }

    fn write(&mut self, text: &str) {
        if self.gone {
            return;
        }
        // Whatever the reason (a closed pipe, a full disk), there is nobody left to tell.
        let written = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        self.gone = written.is_err();
    }
}

/// What a word means; how it is coloured where that helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

impl Tone {
    pub(super) fn of_state(state: State) -> Self {
        match state {
            State::Failed | State::Unkillable => Self::Bad,
            State::Backoff
            | State::Degraded
            | State::Starting
            | State::Stopping
            | State::Loaded => Self::Warning,
            State::Active => Self::Good,
            State::Registered | State::Unknown => Self::Plain,
        }
    }

    fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "1;31",
            Self::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

impl Screen {
    /// The screen of this process.
    pub(in crate::cli) fn of_process(options: &ScreenOptions) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // https://no-color.org
        let may_colour = !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Self {
            out: Stream::new(Box::new(io::stdout()), io::stdout().is_terminal(), may_colour),
            err: Stream::new(Box::new(io::stderr()), io::stderr().is_terminal(), may_colour),
            quiet: options.quiet,
            json: options.json,
            width: columns(),
            zone: TimeZone::system(),
            journal: std::env::var("JOURNAL_STREAM").is_ok_and(|is| is_stdout(&is)),
            page: None,
        }
    }

    /// A screen that keeps what is printed, standard error behind `!`.
    #[cfg(test)]
    pub(in crate::cli) fn for_test(width: usize, json: bool) -> (Self, Printed) {
        let printed = Printed::default();
        let stream = |mark| Stream::new(Box::new(printed.stream(mark)), false, false);
        let screen = Self {
            out: stream(""),
            err: stream("! "),
            quiet: false,
            json,
            width,
            zone: TimeZone::UTC,
            journal: false,
            page: None,
        };
        (screen, printed)
    }

    #[cfg(test)]
    pub(in crate::cli) fn into_journal(mut self) -> Self {
        self.journal = true;
        self
    }

    /// The same where somebody watches.
    #[cfg(test)]
    pub(in crate::cli) fn on_terminal(mut self) -> Self {
        self.out.terminal = true;
        self
    }

    #[cfg(test)]
    pub(in crate::cli) fn break_pipe(&mut self) {
        self.out.gone = true;
    }

    /// Whether JSON is asked for.
    pub(in crate::cli) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nothing but errors is to be printed.
    pub(in crate::cli) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether people read standard output as it comes.
    pub(in crate::cli) fn is_terminal(&self) -> bool {
        self.out.terminal
    }

    /// Whether nobody reads standard output any more.
    pub(in crate::cli) fn is_gone(&self) -> bool {
        self.out.gone
    }

    /// What the journal takes as the priority of the line that begins with it (sd-daemon(3)); nothing for anybody else.
    pub(super) fn priority(&self, level: &str) -> &'static str {
        match level {
            _ if !self.journal => "",
            "error" => "<3>",
            "warn" => "<4>",
            "debug" | "trace" => "<7>",
            _ => "<6>",
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// A line of the answer.
    pub(in crate::cli) fn line(&mut self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    /// A line of the answer, part of which has a tone.
    pub(super) fn toned(&mut self, before: &str, tone: Tone, word: &str, after: &str) {
        let word = if self.out.colour { tone.paint(word) } else { word.to_owned() };
        self.line(format!("{before}{word}{after}").trim_end());
    }

    /// Text of the answer, as it is.
    pub(in crate::cli) fn print(&mut self, text: &str) {
        match &mut self.page {
            _ if self.quiet => {}
            Some(page) => page.push_str(text),
            None => self.out.write(text),
        }
    }

    /// Whether a page can be drawn over the last one.
    pub(in crate::cli) fn redraws(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        self.out.terminal && !self.json && !self.quiet && !dumb
    }

    /// Draws a page over the last one. What the terminal has no room for is counted: trouble stands first.
    pub(in crate::cli) fn page(&mut self, draw: impl FnOnce(&mut Self)) {
        self.page = Some(String::new());
        draw(self);
        let page = self.page.take().unwrap_or_default();
        let rows = terminal_size::terminal_size().map_or(24, |(_, rows)| usize::from(rows.0));
        self.out.write(&format!("\x1b[H\x1b[2J{}", first_rows(&page, rows)));
    }

    /// A line of progress.
    pub(in crate::cli) fn progress(&mut self, line: &str) {
        if !self.quiet && !self.json {
            self.err.write(&format!("{line}\n"));
        }
    }

    /// Text of an error that has its shape already.
    pub(in crate::cli) fn complain(&mut self, text: &str) {
        self.err.write(text);
    }

    /// One JSON object that says its schema itself.
    pub(in crate::cli) fn json(&mut self, value: &impl Serialize) {
        self.json_text(serde_json::to_string(value));
    }

    /// One of many JSON objects, a line each, which do not say their schema.
    pub(in crate::cli) fn json_line(&mut self, value: &impl Serialize) {
        #[derive(Serialize)]
        struct Line<'a, T: Serialize> {
            schema: u32,
            #[serde(flatten)]
            value: &'a T,
        }
        self.json_text(serde_json::to_string(&Line { schema: SCHEMA, value }));
    }

    fn json_text(&mut self, text: serde_json::Result<String>) {
        match text {
            Ok(text) => self.line(&printable_json(text)),
            Err(error) => {
                self.complain(&format!("error: this cannot be said in JSON\n  {error}\n"))
            }
        }
    }

    /// An error in its shape; returns its exit code. With `-q` too: only errors are printed then.
    pub(in crate::cli) fn trouble(&mut self, trouble: &Trouble) -> Exit {
        let mut text = match self.err.colour {
            true => format!("{} {}\n", Tone::Bad.paint("error:"), text::visible(&trouble.what)),
            false => format!("error: {}\n", text::visible(&trouble.what)),
        };
        for cause in &trouble.cause {
            text.push_str(&format!("  {}\n", text::visible(cause)));
        }
        if let Some(help) = &trouble.help {
            text.push_str(&format!("help: {help}\n"));
        }
        self.complain(&text);
        trouble.exit
    }
}

/// Whether standard output is the stream that the journal gave (`DEVICE:INODE`, systemd.exec(5)): it may have been sent
/// elsewhere since.
fn is_stdout(stream: &str) -> bool {
    nix::sys::stat::fstat(io::stdout())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The lines of a page that fit; the cursor needs the last row.
fn first_rows(page: &str, rows: usize) -> String {
    let lines = page.lines().count();
    let room = rows.saturating_sub(1).max(2);
    if lines <= room {
        return page.to_owned();
    }
    let shown: Vec<&str> = page.lines().take(room - 1).collect();
    format!("{}\n… {} more lines\n", shown.join("\n"), lines - shown.len())
}

fn columns() -> usize {
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    terminal().or_else(variable).filter(|width| *width > 0).unwrap_or(DEFAULT_WIDTH).min(MOST_WIDTH)
}

/// What a test's screen printed, line by line.
#[cfg(test)]
#[derive(Clone, Default)]
pub(in crate::cli) struct Printed(std::rc::Rc<std::cell::RefCell<String>>);

#[cfg(test)]
impl Printed {
    fn stream(&self, mark: &'static str) -> impl Write + use<> {
        struct Marked(Printed, &'static str);
        impl Write for Marked {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let text = std::str::from_utf8(bytes).expect("a screen prints text");
                for line in text.split_inclusive('\n') {
                    self.0.0.borrow_mut().push_str(&format!("{}{line}", self.1));
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        Marked(self.clone(), mark)
    }

    /// Everything so far.
    pub(in crate::cli) fn text(&self) -> String {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_journal_is_told_priorities() {
        let (screen, _) = Screen::for_test(80, false);
        assert_eq!(screen.priority("error"), "");
        let screen = screen.into_journal();
        let told = ["error", "warn", "info", "debug", "trace"].map(|level| screen.priority(level));
        assert_eq!(told, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
        assert!(!is_stdout("0:0") && !is_stdout("of another kind"));
    }

    #[test]
    fn a_page_that_is_too_long_says_so() {
        assert_eq!(first_rows("a\nb\n", 3), "a\nb\n");
        assert_eq!(first_rows("a\nb\nc\nd\n", 4), "a\nb\n… 2 more lines\n");
        assert_eq!(first_rows("a\nb\nc\nd\n", 0), "a\n… 3 more lines\n");
    }
}
