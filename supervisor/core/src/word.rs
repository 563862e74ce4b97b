//! Words of closed lists (`exe-missing`, `SIGSEGV`) that go over from one build of the supervisor to the next.
//!
//! A word is a `&'static str`, so what is read has to be made one. Each word that is read is kept once and for good; who
//! writes them is the image of the supervisor that ran before, so there are as many as its lists have.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde::{Deserialize, Deserializer, Serializer};

/// A word of a closed list. An alias, since a derive takes a plain reference for a borrow from what it reads.
pub type Word = &'static str;

static KEPT: Mutex<BTreeSet<Word>> = Mutex::new(BTreeSet::new());

/// The word that reads like `text`; the same one each time.
#[must_use]
pub fn keep(text: &str) -> Word {
    let mut kept = KEPT.lock().expect("nothing panics while it holds the words");
    match kept.get(text) {
        Some(word) => word,
        None => {
            let word: Word = Box::leak(text.into());
            kept.insert(word);
            word
        }
    }
}

/// For `#[serde(with = "…")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(word: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(word)
}

/// For `#[serde(with = "…")]`.
///
/// # Errors
/// What is read is no text.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    String::deserialize(from).map(|text| keep(&text))
}
