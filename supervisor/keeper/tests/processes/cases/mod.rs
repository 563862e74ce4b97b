//! The cases, by what they are about.

mod again;
mod contain;
mod deaths;
mod figures;
mod leftovers;
mod starts;
mod states;
mod stops;
mod switches;
mod trees;
mod trials;

use outboard_keeper::ContainmentChoice;

pub struct Case {
    pub name: &'static str,
    pub levels: Levels,
    pub run: fn(ContainmentChoice),
}

/// At which containment a case runs.
pub enum Levels {
    Both,
    Session,
    Cgroup,
}

pub const CASES: &[&[Case]] = &[
    starts::CASES,
    states::CASES,
    stops::CASES,
    trees::CASES,
    deaths::CASES,
    again::CASES,
    leftovers::CASES,
    contain::CASES,
    switches::CASES,
    trials::CASES,
    figures::CASES,
];

/// `cases![Both: a, b; Session: c;]`
macro_rules! cases {
    ($($levels:ident: $($run:ident),* $(,)?;)*) => {
        pub const CASES: &[super::Case] = &[$($(super::Case {
            name: concat!(module_path!(), "::", stringify!($run)),
            levels: super::Levels::$levels,
            run: $run,
        },)*)*];
    };
}
use cases;
