//! Whose process a client of the sockets is: a plugin's, or somebody else's.
//!
//! A plugin's processes are in its cgroup leaf, where there are leaves, and below it in the tree: the keeper is the parent
//! of every plugin, and what a plugin leaves behind lands below its leader or on the keeper, never outside. Either sign is
//! enough.
//!
//! It is sound for whoever does not mean to hide. A plugin of the supervisor's own user can have somebody else connect for
//! it (a session manager, a shell that it may trace); nothing but another user, or a sandbox, keeps it from that.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use outboard_core::PluginId;
use outboard_core::word::{self, Word};
use outboard_keeper::peer::{self, Lineage, NoPeer, Peer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::supervisor::Supervisor;
use super::throttle::Throttle;

/// How plugins are kept from each other: all run as the supervisor's own user. `[process] user` is refused until it has
/// an effect, so there is no other answer yet.
pub const ISOLATION: &str = "shared-user";

/// Who a client is, as far as that can be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose {
    /// A process of this plugin: `plugin:ID`, and `plugin:?` where a plugin's it is but not whose.
    Plugin(#[serde(with = "word")] Word),
    /// Of no plugin.
    Other,
    /// It has ended already, or the kernel does not say.
    #[default]
    Unknown,
}

impl Whose {
    /// `plugin:ID`, for a plugin's.
    #[must_use]
    pub fn plugin(self) -> Option<Word> {
        match self {
            Self::Plugin(name) => Some(name),
            Self::Other | Self::Unknown => None,
        }
    }

    /// Why it is not served under `[control] refuse_plugins`, in words with the next step. Who cannot be known is refused
    /// as well: a process that connects and ends at once must not get through by that.
    #[must_use]
    pub fn why_refused(self) -> Option<String> {
        let who = match self {
            Self::Plugin("plugin:?") => "a process that a plugin left behind".to_owned(),
            Self::Plugin(name) => format!("a process of {name}"),
            Self::Unknown => {
                "a process that ended before it could be told from a plugin's".to_owned()
            }
            Self::Other => return None,
        };
        Some(format!(
            "this client is {who}, and plugins are refused here; a plugin calls others by host/call and [permissions], or \
             set refuse_plugins = false under [control] in outboard.toml and run again"
        ))
    }
}

/// Each leader's plugin, and the order that it was started by.
type ByPid = BTreeMap<u32, (u64, PluginId)>;

/// The leaders of all generations that have a process, or had one whose tree is not empty yet.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    by_pid: Mutex<ByPid>,
    /// How often refusals are told.
    refused: Mutex<Throttle>,
}

impl Leaders {
    /// A process of this plugin has been started.
    pub(super) fn add(&self, pid: u32, order: u64, plugin: PluginId) {
        self.lock().insert(pid, (order, plugin));
    }

    /// The tree of that order's process is empty, and its number may be given out again.
    pub(super) fn remove(&self, order: u64) {
        self.lock().retain(|_, (other, _)| *other != order);
    }

    /// Nothing of any plugin is left.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, ByPid> {
        self.by_pid.lock().expect("nothing panics while it holds this")
    }
}

impl Supervisor {
    /// Whose the process is that connected this socket. Reads a few files of `/proc`.
    pub(crate) fn whose(&self, socket: impl AsFd) -> Whose {
        let shared = &self.shared;
        let keeper = shared.keeper_info();
        let fleet = keeper.containment.as_ref().and_then(|it| it.fleet.as_deref());
        match Peer::of(socket).and_then(|peer| peer.lineage()) {
            Ok(lineage) => {
                judge(&lineage, keeper.pid, fleet, &shared.leaders.lock(), peer::cgroup_of)
            }
            // What is below the keeper has a number here.
            Err(NoPeer::Elsewhere) => Whose::Other,
            Err(NoPeer::Ended | NoPeer::Untold) => Whose::Unknown,
        }
    }

    /// Why a client is not served, if it is not; said in the journal too.
    pub(crate) fn why_refused(&self, whose: Whose, socket: &'static str) -> Option<String> {
        let shared = &self.shared;
        let why = whose.why_refused().filter(|_| shared.settings.control.refuse_plugins)?;
        let mut throttle =
            shared.leaders.refused.lock().expect("nothing panics while it holds this");
        if let Some(unsaid) = throttle.may("client.refused", shared.clock.now()) {
            let caller = whose.plugin().unwrap_or("unknown");
            let mut fields = json!({"caller": caller, "socket": socket});
            if unsaid > 0 {
                fields["unsaid"] = unsaid.into();
            }
            shared.recorder.supervisor("client.refused", fields);
        }
        Some(why)
    }
}

/// What the signs say. `cgroup` looks up a leader's.
fn judge(
    lineage: &Lineage,
    keeper: Option<u32>,
    fleet: Option<&Path>,
    leaders: &ByPid,
    cgroup: impl Fn(u32) -> Option<String>,
) -> Whose {
    let name = |id: &PluginId| Whose::Plugin(word::keep(&format!("plugin:{id}")));
    // The nearest: a plugin may run a supervisor with plugins of its own.
    if let Some((_, id)) = lineage.line.iter().find_map(|pid| leaders.get(pid)) {
        return name(id);
    }
    let leaf = fleet.and_then(Path::file_name).and_then(|fleet| fleet.to_str()).and_then(|fleet| {
        let below = format!("/{fleet}/");
        let at = lineage.cgroup.find(&below)? + below.len();
        let end = lineage.cgroup[at..].find('/').map_or(lineage.cgroup.len(), |end| at + end);
        Some(&lineage.cgroup[..end])
    });
    let left_behind =
        keeper.is_some_and(|keeper| lineage.line.iter().skip(1).any(|it| *it == keeper));
    if leaf.is_none() && !left_behind {
        return Whose::Other;
    }
    // Its leader is no ancestor any more, or never was: by leaf, else by the session that the leader began.
    let lives_in = |leaf: &str, pid: u32| {
        let cgroup = cgroup(pid).unwrap_or_default();
        cgroup.strip_prefix(leaf).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let by_leaf = leaf.and_then(|leaf| leaders.iter().find(|(pid, _)| lives_in(leaf, **pid)));
    let found = by_leaf.map(|(_, leader)| leader).or_else(|| leaders.get(&lineage.session));
    found.map_or(Whose::Plugin("plugin:?"), |(_, id)| name(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPER: u32 = 10;

    fn look(line: &[u32], session: u32, cgroup: &str) -> Whose {
        let lineage = Lineage { line: line.to_vec(), session, cgroup: cgroup.to_owned() };
        let leaders =
            ByPid::from([(20, (1, "a".into())), (30, (2, "b".into())), (3, (3, "c".into()))]);
        let fleet = Path::new("/sys/fs/cgroup/user/outboard-77");
        let of_leader = |pid| Some(format!("/user/outboard-77/leaf-{pid}"));
        judge(&lineage, Some(KEEPER), Some(fleet), &leaders, of_leader)
    }

    #[test]
    fn a_plugins_process_is_known_by_descent() {
        assert_eq!(look(&[20, KEEPER, 9, 1], 20, "/"), Whose::Plugin("plugin:a"));
        assert_eq!(look(&[33, 32, 30, KEEPER, 9, 1], 33, "/"), Whose::Plugin("plugin:b"));
    }

    #[test]
    fn one_that_left_its_tree_is_known_by_its_leaf_and_then_by_its_session() {
        let leaf = "/user/outboard-77/leaf-30/deeper";
        assert_eq!(look(&[40, 1], 40, leaf), Whose::Plugin("plugin:b"));
        assert_eq!(look(&[40, KEEPER, 9], 20, "/"), Whose::Plugin("plugin:a"));
        assert_eq!(look(&[40, KEEPER, 9], 40, "/"), Whose::Plugin("plugin:?"));
    }

    #[test]
    fn whoever_runs_the_supervisor_is_nobodys() {
        for line in [&[9, 1][..], &[50, 1], &[1], &[KEEPER, 9, 1]] {
            assert_eq!(look(line, 1, "/user/shell"), Whose::Other, "{line:?}");
        }
        // Somebody else's supervisor.
        assert_eq!(look(&[50, 1], 50, "/user/outboard-78/leaf-1"), Whose::Other);
    }

    #[test]
    fn who_cannot_be_known_is_refused_like_a_plugin() {
        assert!(Whose::Unknown.why_refused().is_some());
        assert!(
            Whose::Plugin("plugin:a").why_refused().unwrap().contains("refuse_plugins = false")
        );
        assert_eq!(Whose::Other.why_refused(), None);
    }
}
