//! HAND: what can go wrong between the first byte and `active`.

mod answer;
mod early;
mod time;
