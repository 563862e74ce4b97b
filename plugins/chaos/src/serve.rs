//! Answers frames, by the script's own handlers or by those of `prelude/`.

use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use crate::json;
use crate::player::Player;
use crate::script::{self, Act, Block, Dialect, Step};
use crate::sys;

impl<'s> Player<'s> {
    /// Serves until a frame of method `until` has been handled, or until end of file.
    pub(crate) fn serve(&mut self, dialect: Dialect, until: Option<&str>) {
        self.input.headers = dialect == Dialect::Lsp;
        loop {
            // A gate that opens is seen between any two frames, however many have gathered.
            let listening = !self.input.has_frame() && !self.input.ended();
            let timeout = if self.input.has_frame() { 0 } else { -1 };
            let mut fds: Vec<i32> = self.deferred.iter().map(|d| d.gate.as_raw_fd()).collect();
            if listening {
                fds.push(0);
            }
            let mut ready = self.wait(&fds, timeout);
            if listening && ready.pop() == Some(true) {
                self.input.read();
            }
            if let Some(open) = ready.iter().position(|&open| open) {
                self.run_deferred(open);
            }
            if let Some(frame) = self.input.take() {
                self.frame = frame;
                if !self.answered() {
                    self.dispatch(dialect);
                }
                if until.is_some_and(|until| until.as_bytes() == self.frame.method) {
                    return;
                }
            } else if self.input.ended() && !self.ignore_eof {
                sys::exit(0);
            }
        }
    }

    fn run_deferred(&mut self, index: usize) {
        let deferred = self.deferred.remove(index);
        sys::read(deferred.gate.as_raw_fd(), &mut [0]);
        let in_hand = std::mem::replace(&mut self.frame, deferred.frame);
        self.run(deferred.block);
        self.frame = in_hand;
    }

    /// Whether the frame in hand answers an `ask`. It is then passed on to whoever was in hand at that time, or given to
    /// `on answer`, with the answer's member as params.
    fn answered(&mut self) -> bool {
        let Some((member, value)) = self.frame.outcome.take() else { return false };
        let number =
            self.frame.id.as_deref().map(json::unquoted).and_then(|id| {
                std::str::from_utf8(id).ok()?.strip_prefix("ask-")?.parse::<u64>().ok()
            });
        let Some(at) = self.asked.iter().position(|(asked, _)| Some(*asked) == number) else {
            return false;
        };
        self.frame = self.asked.remove(at).1;
        match self.own_handler(b"answer") {
            Some(block) => {
                let mut params = format!("{{\"{member}\":").into_bytes();
                params.extend_from_slice(&value);
                params.push(b'}');
                self.frame.params = params;
                self.run(block);
            }
            None => self.answer(member, &value),
        }
        true
    }

    fn dispatch(&mut self, dialect: Dialect) {
        let known: &[&'static Block] = match dialect {
            Dialect::Native => &[native(), methods()],
            Dialect::Mcp => &[mcp()],
            Dialect::Lsp => &[lsp(), methods()],
        };
        if let Some(block) = self.handler(known) {
            self.run(block);
        } else if dialect == Dialect::Mcp && self.frame.method == b"tools/call" {
            self.call_tool();
        } else if !self.frame.method.is_empty() {
            self.answer("error", br#"{"code":-32601,"message":"method not found"}"#);
        }
    }

    /// A tool is the method of its name with the tool's arguments as params. `echo` alone has its
    /// result laid out as MCP wants it; tests look at the others only for when they answer.
    fn call_tool(&mut self) {
        let params = std::mem::take(&mut self.frame.params);
        let name = json::member(&params, "name").map_or(&b""[..], json::unquoted).to_vec();
        let arguments = json::member(&params, "arguments").unwrap_or(b"{}").to_vec();
        if name == b"echo" && self.own_handler(b"echo").is_none() {
            let text = json::quoted(&arguments);
            let result = format!("{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}]}}");
            self.answer("result", result.as_bytes());
            return;
        }
        let method = std::mem::replace(&mut self.frame.method, name);
        self.frame.params = arguments;
        match self.handler(&[methods()]) {
            Some(block) => self.run(block),
            None => self.answer("error", br#"{"code":-32602,"message":"unknown tool"}"#),
        }
        self.frame.method = method;
    }

    /// What to do with the frame in hand: the script's word first, then what is `known`.
    fn handler(&self, known: &[&'static Block]) -> Option<&'s [Step]> {
        let method = &*self.frame.method;
        self.own_handler(method)
            .or_else(|| known.iter().find_map(|block| find(block, method)))
            .or_else(|| self.own_handler(b"*"))
    }

    /// The latest `on` for this method.
    fn own_handler(&self, method: &[u8]) -> Option<&'s [Step]> {
        let mut latest = self.handlers.iter().rev();
        latest.find(|(name, _)| name.as_bytes() == method).map(|&(_, block)| block)
    }
}

fn find(prelude: &'static Block, method: &[u8]) -> Option<&'static [Step]> {
    prelude.iter().find_map(|step| match &step.act {
        Act::On { method: name, block } if name.as_bytes() == method => Some(&block[..]),
        _ => None,
    })
}

fn native() -> &'static Block {
    static BLOCK: OnceLock<Block> = OnceLock::new();
    own(&BLOCK, include_str!("prelude/native.chaos"))
}

fn mcp() -> &'static Block {
    static BLOCK: OnceLock<Block> = OnceLock::new();
    own(&BLOCK, include_str!("prelude/mcp.chaos"))
}

fn lsp() -> &'static Block {
    static BLOCK: OnceLock<Block> = OnceLock::new();
    own(&BLOCK, include_str!("prelude/lsp.chaos"))
}

/// Application methods: of the native dialect as they are, of MCP as tools.
fn methods() -> &'static Block {
    static BLOCK: OnceLock<Block> = OnceLock::new();
    own(&BLOCK, include_str!("prelude/methods.chaos"))
}

fn own(cell: &'static OnceLock<Block>, source: &str) -> &'static Block {
    cell.get_or_init(|| script::parse(source.as_bytes()).expect("a test reads all of prelude/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelude_is_a_sound_script() {
        for block in [native(), mcp(), lsp(), methods()] {
            assert!(!block.is_empty());
            assert!(block.iter().all(|step| matches!(step.act, Act::On { .. })));
        }
    }
}
