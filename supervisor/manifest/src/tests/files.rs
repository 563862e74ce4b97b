//! Whatever lies in the folder, nothing blocks, nothing grows without end, and it is said what it is.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use insta::assert_snapshot;
use nix::sys::stat::Mode;

use super::Folder;
use crate::file::{self, Trust};

const SOUND: &str = "[process]\ncommand = [\"x\"]\n";

#[test]
fn only_regular_files_are_read() {
    let elsewhere = Folder::new(&[("real.toml", SOUND)]);
    let folder = Folder::new(&[("good.toml", SOUND)]);
    nix::unistd::mkfifo(&folder.path("fifo.toml"), Mode::S_IRWXU).expect("a FIFO");
    let _socket = UnixListener::bind(folder.path("socket.toml")).expect("a socket");
    std::fs::create_dir(folder.path("folder.toml")).expect("a folder");
    for (target, name) in [
        ("/dev/zero", "device.toml"),
        ("circle.toml", "circle.toml"),
        ("nowhere", "dangling.toml"),
        ("fifo.toml", "link-to-fifo.toml"),
    ] {
        symlink(target, folder.path(name)).expect("a link");
    }
    symlink(elsewhere.path("real.toml"), folder.path("linked.toml")).expect("a link");

    let set = folder.load();
    let ids: Vec<_> = set.manifests.iter().map(|manifest| &*manifest.id).collect();
    assert_eq!(ids, ["good", "linked"]);
    // The folder of a linked manifest is the one that the link stands in.
    assert_eq!(set.manifests[1].dir, folder.path("").components().collect::<std::path::PathBuf>());
    assert_snapshot!(folder.screen(&set), @r"
    error: cannot be read: its links go round in a circle
      manifests/circle.toml
    error: cannot be read: no such file or directory
      manifests/dangling.toml
    error: cannot be read: it is a device, not a regular file
      manifests/device.toml
    error: cannot be read: it is a FIFO, not a regular file
      manifests/fifo.toml
    error: cannot be read: it is a folder, not a regular file
      manifests/folder.toml
    error: cannot be read: it is a FIFO, not a regular file
      manifests/link-to-fifo.toml
    error: cannot be read: it is a socket, not a regular file
      manifests/socket.toml
    7 errors in 7 of 9 files.
    ");
}

#[test]
fn what_is_not_text_is_said_with_its_place() {
    let folder = Folder::new(&[]);
    folder.write("latin.toml", b"id = \"x\"\ndescription = \"gr\xfc\xdfe\"\n");
    folder.write("nul.toml", b"id = \"a\"\nlazy\0 = true\n");
    folder.write("utf16.toml", b"\xff\xfei\0d\0");
    folder.write("bom.toml", format!("\u{feff}lazy = true\n{SOUND}").as_bytes());
    folder.write("bom-error.toml", "\u{feff}lazi = true\n".as_bytes());
    let set = folder.load();
    assert_eq!(set.manifests.len(), 1);
    assert!(set.manifests[0].lazy);
    assert_snapshot!(folder.screen(&set));
}

#[test]
fn a_huge_file_is_not_read() {
    let folder = Folder::new(&[("good.toml", SOUND)]);
    let sparse = std::fs::File::create(folder.path("huge.toml")).expect("a file");
    sparse.set_len(1 << 30).expect("a sparse file");
    assert_snapshot!(folder.check(), @r"
    error: cannot be read: it is larger than 1MiB
      manifests/huge.toml
    1 error in 1 of 2 files.
    ");
}

#[test]
fn a_file_that_lies_about_its_length_is_bounded_too() {
    let status = Path::new("/proc/self/status");
    assert_eq!(std::fs::metadata(status).expect("procfs").len(), 0);
    assert_eq!(file::read(status, 16).err().as_deref(), Some("it is larger than 16B"));
    assert!(file::read(status, 1 << 20).is_ok());
}

#[test]
fn a_file_of_the_largest_size_is_read_in_bounded_time() {
    let line = "a = [[[[[[1, 2]]]]]] # ";
    let many = "x\\u0041".repeat(1000);
    let mut text = format!("{SOUND}[config]\nbig = \"{many}\"\n");
    let mut n = 0;
    while text.len() < (1 << 20) - 100 {
        text.push_str(&format!("k{n}{line}\n"));
        n += 1;
    }
    let folder = Folder::new(&[("big.toml", &text), ("flat.toml", &"[a]\n".repeat(200_000))]);
    let set = folder.load();
    assert_eq!(set.manifests.len(), 1);
    assert_eq!(set.refused[0].problems.len(), 101);
}

#[test]
fn deep_nesting_is_refused_and_not_descended_into() {
    let folder = Folder::new(&[
        ("arrays.toml", &format!("{SOUND}[config]\na = {}", "[".repeat(100_000))),
        ("tables.toml", &format!("{SOUND}[config]\na = {}", "{ a = ".repeat(100_000))),
        ("dots.toml", &format!("{SOUND}[config]\n{}a = 1\n", "a.".repeat(100_000))),
        ("header.toml", &format!("{SOUND}[config.{}a]\n", "a.".repeat(100_000))),
        (
            "deep.toml",
            &format!(
                "{SOUND}[config{}]\na = {}1{}\n",
                ".a".repeat(70),
                "[".repeat(70),
                "]".repeat(70)
            ),
        ),
    ]);
    let set = folder.load();
    let ids: Vec<_> = set.manifests.iter().map(|manifest| &*manifest.id).collect();
    assert_eq!(ids, ["deep"]);
    for refused in &set.refused {
        assert!(refused.render("".as_ref()).contains("recurs"), "{}", refused.render("".as_ref()));
    }
}

#[test]
fn ten_thousand_files_are_too_many() {
    let folder = Folder::new(&[("p0.toml", "")]);
    // Links cost the file system far less than files.
    for n in 1..10_000 {
        std::fs::hard_link(folder.path("p0.toml"), folder.path(&format!("p{n}.toml")))
            .expect("a link");
    }
    let set = folder.load();
    assert_eq!(set.settings_problems[0].what, "10000 manifests; a set has at most 4096");
    assert_eq!(set.refused.len(), 4096);
}

fn mode(folder: &Folder, name: &str, mode: u32) {
    std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(mode))
        .expect("ours");
}

#[test]
fn what_others_can_change_warns_and_is_refused_as_root() {
    let folder = Folder::new(&[("mine.toml", SOUND), ("open.toml", SOUND), ("group.toml", SOUND)]);
    mode(&folder, "mine.toml", 0o644);
    mode(&folder, "open.toml", 0o666);
    mode(&folder, "group.toml", 0o664);
    let user = nix::unistd::Uid::effective().as_raw();
    let warned = folder.load_trusting(Trust { refuse: false, user });
    assert_eq!(warned.manifests.len(), 3);
    assert_snapshot!(folder.screen(&warned), @r"
    warning: everybody can change this, and so what is run
      manifests/open.toml
    help: chmod o-w manifests/open.toml
    1 warning in 1 of 3 files.
    ");
    let refused = folder.load_trusting(Trust { refuse: true, user });
    assert!(refused.refused.iter().any(|file| file.id.as_deref() == Some("open")));
    assert!(refused.manifests.iter().any(|manifest| &*manifest.id == "mine"));

    mode(&folder, "", 0o777);
    let refused = folder.load_trusting(Trust { refuse: true, user });
    assert!(refused.settings_problems.iter().any(|problem| problem.is_error()));
    mode(&folder, "", 0o1777);
    let sticky = folder.load_trusting(Trust { refuse: true, user });
    assert!(sticky.settings_problems.is_empty());
}

#[test]
fn another_users_manifest_is_judged_as_configured() {
    // Seen from a user that does not own these files; root's own files are everybody's to trust.
    if nix::unistd::Uid::effective().is_root() {
        let folder = Folder::new(&[("a.toml", SOUND)]);
        std::os::unix::fs::chown(folder.path("a.toml"), Some(12_345), None).expect("root may");
        let root = Trust { refuse: true, user: 0 };
        assert_eq!(folder.load_trusting(root).manifests.len(), 0);
        folder.write("outboard.toml", b"[supervisor]\nforeign_manifests = \"warn\"\n");
        let set = folder.load_trusting(root);
        assert_eq!(set.manifests.len(), 1);
        assert!(
            folder.screen(&set).contains("user 12345 can change this"),
            "{}",
            folder.screen(&set)
        );
    } else {
        let folder = Folder::new(&[("a.toml", SOUND)]);
        let stranger = nix::unistd::Uid::effective().as_raw() + 1;
        let set = folder.load_trusting(Trust { refuse: true, user: stranger });
        assert_eq!(set.manifests.len(), 0);
        let set = folder.load_trusting(Trust { refuse: false, user: stranger });
        assert_eq!(set.manifests.len(), 1);
    }
}
