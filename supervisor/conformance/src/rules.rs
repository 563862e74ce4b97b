//! The rules of the protocol that can be checked from outside.

use std::fmt;
use std::str::FromStr;

/// How much a rule weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Breaking it is a failure.
    Must,
    /// Breaking it is a warning.
    Should,
}

impl Level {
    /// `MUST`, `SHOULD`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    pub id: Id,
    pub level: Level,
    /// What has to be so for the rule to apply; `None`: it always does.
    pub applies: Option<&'static str>,
    /// The rule in one line: what is done to the plugin, and what is expected of it.
    pub says: &'static str,
    /// Rules without which this one says nothing: when one of them is broken, this one is not judged. All of them come
    /// earlier in the list.
    pub rests_on: &'static [Id],
}

macro_rules! rules {
    ($($id:ident $level:ident $applies:expr, [$($base:ident)*], $says:literal;)*) => {
        /// The name of a rule. It is never given to another one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Id { $(#[doc = $says] $id,)* }

        impl Id {
            /// `C01` to `C40`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$id => stringify!($id),)* }
            }
        }

        /// Every rule, in order.
        pub static RULES: &[Rule] = &[$(Rule {
            id: Id::$id,
            level: Level::$level,
            applies: $applies,
            says: $says,
            rests_on: &[$(Id::$base,)*],
        },)*];
    };
}

rules! {
    C01 Must None, [], "initialize that offers version 1 gets a result with protocolVersion 1, within the start budgets";
    C02 Must None, [], "initialize that offers versions 999 and 1, and has an unknown member, gets version 1";
    C03 Must None, [], "the answer to initialize carries its id, as the same integer";
    C04 Should None, [], "initialize that offers version 999 alone gets an error, no result";
    C05 Must None, [C01], "the members of the opening have the types that the protocol gives them";
    C06 Must None, [C01], "initialized gets no frame in answer within 300ms";
    C07 Should None, [], "a plugin that was told nothing for 1s has written nothing to stdout, and runs";
    C08 Must None, [C01], "ping gets one answer";
    C09 Should None, [C08], "the answer to ping is an object, and of 100 pings 99 are answered within 50ms";
    C10 Must None, [C08], "an unknown request gets error -32601, and the next ping is answered";
    C11 Must None, [C08], "an unknown notification gets no frame, and the next ping is answered";
    C12 Must None, [C08], "$/nope and $/cancel of an unknown id get no frame, and the next ping is answered";
    C13 Must None, [C08], "an event that was not subscribed to gets no frame, and the next ping is answered";
    C14 Must None, [C08], "an answer with an id never used gets no frame, and the next ping is answered";
    C15 Must None, [C08], "config/changed gets an answer: applied, or -32601 without supports.configReload";
    C16 Must None, [C08], "100 pings in one write get 100 answers, each id once, and nothing more within 300ms";
    C17 Must None, [C08], "the ids 1 and 2147483647 are given back exactly";
    C18 Must None, [C08], "a frame that comes in three writes, 50ms apart, is answered";
    C19 Must None, [C08 C18], "a ping of 1 MiB is answered";
    C20 Should None, [C19], "a ping of 8 MiB is answered within 30s";
    C21 Must Some("a declared method"), [C08], "text with U+2028, U+0085, an astral character, escaped quotes and ,\"params\":{\"id\":5} gets one answer under the right id; echo gives it back unchanged";
    C22 Must Some("supports.meta and a declared method"), [C21], "a call with _meta gets the same class of answer as without";
    C23 Must None, [], "whole run: stdout has frames and blank lines, and nothing else";
    C24 Must None, [], "whole run: each frame ends with LF and is UTF-8, and there is no BOM";
    C25 Must None, [], "whole run: each frame is a message, with exactly one of result and error where it is an answer";
    C26 Must None, [], "whole run: no id is answered twice, and frames are within the caps given";
    C27 Should Some("a declared method with a schema"), [C08], "params of the wrong type get -32602, and the next ping is answered";
    C28 Should Some("a declared method"), [C08], "each declared method, called with {}, answers within its timeoutMs, and the plugin lives on";
    C29 Should None, [], "whole run: error codes are JSON-RPC's own, the protocol's, or outside the ranges kept back";
    C30 Must None, [C16 C18], "20000 pings while stdout is not read for 1.5s are all answered once it is read again";
    C31 Should None, [C08], "the line `not json` is ignored or gets -32700, and the next ping is answered";
    C32 Must Some("supports.cancel and conformance.slow_method"), [C01], "a call that is cancelled in flight gets one answer within 2s: -32800, or a result";
    C33 Must None, [C01], "shutdown is answered within 2s";
    C34 Must None, [C33], "exit after shutdown ends the plugin with status 0 within 2s";
    C35 Must None, [C01], "a plugin whose stdin is closed ends within 2s";
    C36 Must None, [C01], "SIGTERM to its group ends a plugin within 2s";
    C37 Must None, [], "a plugin whose stdin is closed before initialize ends within 2s";
    C38 Must None, [], "nothing of a plugin is left 500ms after its end";
    C39 Should Some("a declared method"), [C33], "a call after shutdown was answered gets -31008 or no answer, and is no crash";
    C40 Must Some("supports.progress, supports.meta and conformance.slow_method"), [C01], "progress has the token that was given and rises, and nothing comes after the answer";
}

impl Id {
    /// Its rule.
    #[must_use]
    pub fn rule(self) -> &'static Rule {
        // The table and the enum come from one list.
        &RULES[self as usize]
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no rule of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule `{0}`: they are C01 to C40")]
pub struct UnknownRule(pub String);

impl FromStr for Id {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let found = RULES.iter().find(|rule| rule.id.as_str().eq_ignore_ascii_case(text));
        found.map(|rule| rule.id).ok_or_else(|| UnknownRule(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_rests_on_earlier_ones_only_and_is_found_by_its_name() {
        assert_eq!(RULES.len(), 40);
        for rule in RULES {
            assert!(rule.rests_on.iter().all(|base| *base < rule.id), "{}", rule.id);
            assert_eq!(rule.id.as_str().to_lowercase().parse(), Ok(rule.id));
            assert!(std::ptr::eq(rule.id.rule(), rule));
            // What a verdict may rest on is never a warning: that would hide it.
            assert!(rule.rests_on.iter().all(|base| base.rule().level == Level::Must));
        }
        assert!("C41".parse::<Id>().is_err());
    }
}
