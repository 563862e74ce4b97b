//! System calls, wrapped so that the rest of the crate can use them safely.
//!
//! **Absent by design:** any decision. A function here does one thing to the kernel and says how that went.

pub(crate) mod clock;
pub(crate) mod kin;
pub(crate) mod packet;
pub(crate) mod proc;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod sealed;
pub(crate) mod signals;
