//! A swap is asked for when it does not suit: each state has its answer, and of two only one wins.

use outboard_tests::fault::{Row, race};
use serde_json::json;

use super::{ID, NEW, OLD, Swapping, instances, is, one_verdict_each, swap, version};

#[test]
fn swap_05_where_nothing_serves_it_is_a_plain_start_with_a_fresh_budget() {
    let row = Row::new("SWAP-05");
    let next = version(&row, NEW, "");
    let slowly = "[restart]\nbackoff = { initial = \"30s\", jitter = 0.0 }\n";
    row.chaos_with(ID, "first once { exit 1 }\nat never\npause\n", slowly);
    {
        let run = row.run();
        run.state(ID, "backoff");
        assert_eq!(run.plugin(ID)["restarts"], 1);
        swap(&run, &next).code(0);
        let plugin = run.plugin(ID);
        assert_eq!((&plugin["state"], &plugin["restarts"]), (&json!("active"), &json!(0)));
        row.witness("backoff");
    }
    std::fs::remove_file(row.state_dir("").join("state.json")).unwrap();
    row.manifest(ID, "[process]\ncommand = [\"./no-such-program\"]\n");
    {
        let run = row.run();
        run.state(ID, "failed");
        swap(&run, &next).code(0);
        assert_eq!(run.call(ID, "who", &json!({})).unwrap(), "new");
        row.witness("failed");
    }
    std::fs::remove_file(row.state_dir("").join("state.json")).unwrap();
    row.chaos(ID, "at here\ngate never\n");
    {
        let run = row.run();
        row.gates().report("here");
        assert_eq!(run.plugin(ID)["state"], "starting");
        swap(&run, &next).code(0);
        assert_eq!(run.call(ID, "who", &json!({})).unwrap(), "new");
        row.witness("starting");
    }
    std::fs::remove_file(row.state_dir("").join("state.json")).unwrap();
    row.chaos_with(ID, OLD, "[stop]\ndrain = \"30s\"\n");
    {
        let run = row.run();
        run.active(ID);
        let mut attach = run.attach(ID);
        attach.send("hold", &json!({"gate": "hold"}));
        attach.call("who", &json!({})).unwrap();
        run.control("stop", &json!({"ids": [ID], "wait": false})).unwrap();
        run.state(ID, "stopping");
        let said = swap(&run, &next).code(8);
        assert!(said.stderr.contains("is being stopped"), "{}", said.stderr);
        row.gates().open("hold");
        run.state(ID, "registered");
        row.witness("stopping");
        // It rests: the version is in force, and nothing starts by it.
        swap(&run, &next).code(0);
        assert_eq!(run.plugin(ID)["state"], "registered");
        run.cli(&["start", ID]).code(0);
        assert_eq!(run.call(ID, "who", &json!({})).unwrap(), "new");
    }
}

#[test]
fn swap_06_of_two_swaps_one_wins_and_a_stop_ends_either() {
    let row = Row::new("SWAP-06");
    row.chaos(ID, OLD);
    let run = row.run();
    run.active(ID);
    let trial = "at trial\ngate go\nserve\n";
    let next = version(&row, trial, "");
    race(|_| {
        let both = [Swapping::begin(&run, Some(&next)), Swapping::begin(&run, Some(&next))];
        row.gates().report("trial");
        assert_eq!(instances(&run), 2, "never three");
        let third = swap(&run, &next).code(8);
        assert!(third.stderr.contains("a swap of x is under way"), "{}", third.stderr);
        let restart = run.cli(&["restart", ID]).code(8);
        assert!(restart.stdout.contains("on trial"), "{}", restart.stdout);
        row.gates().open("go");
        let ends = both.map(Swapping::end);
        let won = ends.iter().filter(|end| end.is_ok()).count();
        let lost: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
        assert_eq!((won, lost.len()), (1, 1), "{ends:?}");
        assert_eq!(lost[0]["data"]["class"], "swap_under_way");
        assert_eq!(instances(&run), 1);
    });
    race(|_| {
        let swapping = Swapping::begin(&run, Some(&next));
        row.gates().report("trial");
        run.cli(&["stop", ID]).code(0);
        assert_eq!(swapping.verdict(), "abandoned");
        assert_eq!(instances(&run), 0);
        row.gates().open("go");
        run.cli(&["start", ID]).code(0);
        row.gates().report("trial");
    });
    one_verdict_each(&run);
    row.witness(format_args!(
        "{} swaps were under way when the other came",
        run.count(is("swap.started"))
    ));
}
