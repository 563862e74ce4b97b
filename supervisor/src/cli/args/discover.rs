use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct DiscoverArgs {
    /// Folders of manifests, and single manifests [default: those of the running supervisor]
    #[arg(value_name = "DIR")]
    pub(in crate::cli) sources: Vec<PathBuf>,

    /// List the entry points of this virtual environment instead
    #[arg(long, value_name = "VENV", requires = "group", conflicts_with = "sources")]
    pub(in crate::cli) python: Option<PathBuf>,

    /// The group of those entry points, such as demi.platforms
    #[arg(long, value_name = "NAME", requires = "python")]
    pub(in crate::cli) group: Option<String>,
}
