//! The defaults of the key tables as values.

use std::time::Duration;

use outboard_core::RetryAfter;

use super::join;
use crate::keys::{Key, Kind, Section};
use crate::scalar;
use crate::template::Template;
use crate::value::{Value, Values};

/// A key table is a constant: a default that its kind cannot read is found by the first test that reads anything.
const SOUND: &str = "the default of a key is of its kind";

/// Every default of a section and of those below it.
pub(crate) fn built_in(section: &'static Section) -> Values {
    let mut values = Values::default();
    fill(section, "", &mut values);
    values
}

fn fill(section: &'static Section, path: &str, values: &mut Values) {
    for key in section.keys() {
        let path = join(path, key.name);
        if let Kind::Section(section) = key.kind {
            fill(section, &path, values);
        } else if let Some(default) = of(key) {
            values.insert(path, default, None);
        }
    }
}

/// The default of one key.
pub(super) fn of(key: &Key) -> Option<Value> {
    let text = key.default?;
    Some(match key.kind {
        Kind::Bool => Value::Bool(text == "true"),
        Kind::Duration { none, .. } => {
            Value::Duration(if none == Some(text) { None } else { Some(duration(text)) })
        }
        Kind::Size { .. } => Value::Size(scalar::size(text).expect(SOUND)),
        Kind::Count { .. } => Value::Count(text.parse().expect(SOUND)),
        Kind::Factor { .. } => Value::Factor(text.parse().expect(SOUND)),
        Kind::Choice(words) => {
            Value::Choice(words.iter().find(|word| **word == text).expect(SOUND))
        }
        Kind::Template => Value::Template(Template::parse(text, None).expect(SOUND)),
        Kind::RetryAfter => {
            let (initial, max) = text.split_once(' ').expect(SOUND);
            Value::RetryAfter(RetryAfter::Growing {
                initial: duration(initial),
                max: duration(max),
            })
        }
        Kind::Text
        | Kind::Id
        | Kind::Ids
        | Kind::Counts { .. }
        | Kind::Percent
        | Kind::Umask
        | Kind::Sha256
        | Kind::Command
        | Kind::Argv
        | Kind::Templates
        | Kind::Env
        | Kind::Globs
        | Kind::Paths
        | Kind::PathOrFalse
        | Kind::Object
        | Kind::Json
        | Kind::Section(_)
        | Kind::Tables(_) => unreachable!("{}: keys of this kind have no default", key.name),
    })
}

fn duration(text: &str) -> Duration {
    scalar::duration(text).expect(SOUND)
}
