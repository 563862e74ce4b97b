//! The rules that can be checked from outside, and what each dialect makes of them.

mod lsp;
mod mcp;
mod native;

use std::fmt;
use std::str::FromStr;

use outboard_manifest::Dialect;

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

/// One rule, as one dialect has it.
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
    /// Where the text of a foreign protocol says so: page and section. `None` for what it leaves open, and a supervisor
    /// leans on all the same: that is never more than a SHOULD.
    pub source: Option<&'static str>,
}

/// The rules of one dialect.
#[derive(Debug)]
pub struct Book {
    pub dialect: Dialect,
    /// `protocol version 1`, `MCP 2025-11-25`, `LSP 3.17`.
    pub against: &'static str,
    /// In order of their ids.
    pub rules: &'static [Rule],
}

impl Book {
    /// The rules of a dialect.
    #[must_use]
    pub fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Native => &NATIVE,
            Dialect::Mcp => &MCP,
            Dialect::Lsp => &LSP,
        }
    }

    /// What it makes of a rule; `None` where that means nothing to it.
    #[must_use]
    pub fn rule(&self, id: Id) -> Option<&'static Rule> {
        let at = self.rules.binary_search_by_key(&id, |rule| rule.id).ok()?;
        self.rules.get(at)
    }

    /// The rules that mean nothing to it.
    pub fn without(&self) -> impl Iterator<Item = Id> {
        Id::ALL.iter().copied().filter(|id| self.rule(*id).is_none())
    }
}

static NATIVE: Book =
    Book { dialect: Dialect::Native, against: "protocol version 1", rules: native::RULES };
static MCP: Book = Book { dialect: Dialect::Mcp, against: "MCP 2025-11-25", rules: mcp::RULES };
static LSP: Book = Book { dialect: Dialect::Lsp, against: "LSP 3.17", rules: lsp::RULES };

macro_rules! ids {
    ($($id:ident)*) => {
        /// The name of a rule. It is never given to another one, and stands for the same question in every dialect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "what it says is for a dialect's book")]
        pub enum Id { $($id,)* }

        impl Id {
            /// Every name, in order.
            pub const ALL: &'static [Self] = &[$(Self::$id,)*];

            /// `C01` to `C40`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$id => stringify!($id),)* }
            }
        }
    };
}

ids! {
    C01 C02 C03 C04 C05 C06 C07 C08 C09 C10 C11 C12 C13 C14 C15 C16 C17 C18 C19 C20
    C21 C22 C23 C24 C25 C26 C27 C28 C29 C30 C31 C32 C33 C34 C35 C36 C37 C38 C39 C40
}

/// A book's table: `ID LEVEL applies, [rests on], source, "words";`.
macro_rules! rules {
    ($($id:ident $level:ident $applies:expr, [$($base:ident)*], $source:expr, $says:literal;)*) => {
        pub(super) static RULES: &[Rule] = &[$(Rule {
            id: Id::$id,
            level: Level::$level,
            applies: $applies,
            says: $says,
            rests_on: &[$(Id::$base,)*],
            source: $source,
        },)*];
    };
}
use rules;

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
        let found = Self::ALL.iter().find(|id| id.as_str().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| UnknownRule(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKS: [&Book; 3] = [&NATIVE, &MCP, &LSP];

    #[test]
    fn every_name_is_found_and_the_own_protocol_has_them_all() {
        assert_eq!(Id::ALL.len(), 40);
        for id in Id::ALL {
            assert_eq!(id.as_str().to_lowercase().parse(), Ok(*id));
            assert!(NATIVE.rule(*id).is_some(), "{id}");
        }
        assert!("C41".parse::<Id>().is_err());
        assert_eq!(NATIVE.without().count(), 0);
    }

    #[test]
    fn a_rule_rests_on_earlier_ones_of_its_book_only() {
        for book in BOOKS {
            assert!(book.rules.is_sorted_by_key(|rule| rule.id), "{}", book.against);
            for rule in book.rules {
                let (id, against) = (rule.id, book.against);
                assert!(std::ptr::eq(book.rule(id).unwrap(), rule), "{against} {id}");
                for base in rule.rests_on {
                    assert!(*base < id && book.rule(*base).is_some(), "{against} {id}");
                }
            }
        }
    }

    #[test]
    fn a_must_of_a_foreign_protocol_names_its_source() {
        for rule in MCP.rules.iter().chain(LSP.rules) {
            assert!(rule.level == Level::Should || rule.source.is_some(), "{}", rule.id);
        }
    }
}
