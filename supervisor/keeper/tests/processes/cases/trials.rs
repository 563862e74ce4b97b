//! What is tried is really done, and leaves nothing.

use std::path::PathBuf;

use outboard_keeper::trial::{self, Ended, Limited};
use outboard_keeper::{ContainmentChoice, Level};

use crate::world;

super::cases![
    Both:
        everything_is_tried_and_nothing_is_left;
];

fn everything_is_tried_and_nothing_is_left(choice: ContainmentChoice) {
    let found = trial::run(choice).expect("a trial");
    // Not after a while: nobody is there any more.
    assert!(!world::reap(), "it left a child: {:?}", world::living_below(world::me()));
    println!("    {found:?}");
    assert!(matches!(found.tree, Ended::All { processes: 3, .. }), "{:?}", found.tree);
    assert!(matches!(found.killed, Ended::All { processes: 2, .. }), "{:?}", found.killed);
    let held = found.held.expect("a keeper");
    assert_eq!(held.level == Level::Cgroup, choice == ContainmentChoice::Cgroup);
    assert_eq!(found.memory == Limited::Plugin, held.controllers.memory);
    assert_eq!(found.processes == Limited::Plugin, held.controllers.pids);
    assert_eq!(found.cpu, held.controllers.cpu);
    assert_eq!(found.users.is_ok(), world::is_root(), "{:?}", found.users);
    if let Some(fleet) = held.fleet {
        let mut leaf = fleet.clone().into_os_string();
        leaf.push(".self");
        for folder in [fleet, PathBuf::from(leaf)] {
            assert!(!folder.exists(), "{} was left", folder.display());
        }
    }
}
