//! What `outboard new` takes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct NewArgs {
    /// The plugin's name, and the folder's
    pub(in crate::cli) name: String,

    /// What it is written in
    #[arg(long, value_enum)]
    pub(in crate::cli) lang: Lang,

    /// The folder of the SDKs [default: that of the checkout which this program or this folder is in]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Lang {
    Rust,
    Python,
    Typescript,
    Go,
    /// POSIX shell, without an SDK
    Sh,
}

impl Lang {
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Typescript => "typescript",
            Self::Go => "go",
            Self::Sh => "sh",
        }
    }
}
