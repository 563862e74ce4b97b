//! Manifests that others could change.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use outboard_tests::fault::Row;

use super::{WELL, says_all};

#[test]
fn man_11_what_others_may_write_is_refused_or_said_as_it_is_configured() {
    for (choice, code) in [("refuse", 2), ("warn", 0)] {
        let row = Row::new("MAN-11");
        row.chaos(WELL, "serve");
        row.settings(&format!("[supervisor]\nforeign_manifests = \"{choice}\"\n"));
        let run = row.run();
        run.active(WELL);
        let path = row.manifests().join(format!("{WELL}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}[calls]\ndeadline = \"9s\"\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        row.witness(format_args!("the file's mode is {:o}", mode & 0o777));
        let planned = run.cli(&["reload", "--plan"]).code(code);
        let said = format!("{}{}", planned.stdout, planned.stderr);
        says_all(&["everybody can change this, and so what is run", "well.toml"], &said);
        run.cli(&["reload"]).code(code);
        let revision = &run.status()["supervisor"]["revision"];
        assert_eq!(*revision, if code == 0 { 2 } else { 1 }, "{choice}");
        assert_eq!(run.plugin(WELL)["generation"], 1);
        // The folder decides as much as the file does.
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        fs::set_permissions(row.manifests(), PermissionsExt::from_mode(0o777)).unwrap();
        let planned = run.cli(&["reload", "--plan"]).code(code);
        says_all(&["everybody can change this"], &format!("{}{}", planned.stdout, planned.stderr));
    }
}
