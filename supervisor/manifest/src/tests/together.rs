//! What this room must not know.

use std::path::Path;

#[test]
fn the_room_knows_nothing_of_how_things_run() {
    let words = [
        "tokio",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "outboard_wire",
        "outboard_keeper",
    ];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("our own source") {
            let path = entry.expect("our own source").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.ends_with("tests/together.rs")
            {
                let text = std::fs::read_to_string(&path).expect("our own source");
                seen += 1;
                for word in words {
                    assert!(
                        !text.contains(word),
                        "{} mentions {word}; that is for the host",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(seen > 20);
}
