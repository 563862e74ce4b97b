//! What a plugin is and was given, as JSON: for tests of how plugins are set up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::json::quoted;
use crate::sys::{self, SignalSets};

/// The result of `reply-self`.
pub(crate) fn report(env: &BTreeMap<OsString, OsString>, signals: &SignalSets) -> String {
    let [pid, ppid, pgid, sid, uid, gid, umask] = sys::identity();
    let SignalSets { blocked, ignored, caught, groups } = signals;
    let groups: Vec<&str> = groups.split_whitespace().collect();
    let args: Vec<_> = std::env::args_os().map(|arg| quoted(arg.as_bytes())).collect();
    let pair = |(name, value): (&OsString, &OsString)| {
        format!("{}:{}", quoted(name.as_bytes()), quoted(value.as_bytes()))
    };
    let env: Vec<_> = env.iter().map(pair).collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    let members = [
        format!("\"pid\":{pid},\"ppid\":{ppid},\"pgid\":{pgid},\"sid\":{sid}"),
        format!("\"uid\":{uid},\"gid\":{gid},\"groups\":[{}]", groups.join(",")),
        format!("\"umask\":{umask},\"cwd\":{}", quoted(cwd.as_os_str().as_bytes())),
        format!("\"sigblk\":\"{blocked}\",\"sigign\":\"{ignored}\",\"sigcgt\":\"{caught}\""),
        format!("\"fds\":[{}]", open_descriptors().join(",")),
        format!("\"args\":[{}],\"env\":{{{}}}", args.join(","), env.join(",")),
    ];
    format!("{{{}}}", members.join(","))
}

/// Numbers of the open descriptors, save our own.
fn open_descriptors() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let listed = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<i32> = listed.filter(|fd| *fd < sys::OWN_DESCRIPTORS).collect();
    // The listing itself was a descriptor, and it is closed by now.
    numbers.retain(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok());
    numbers.sort_unstable();
    numbers.iter().map(i32::to_string).collect()
}
