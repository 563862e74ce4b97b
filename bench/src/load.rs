//! A steady load on a healthy plugin, alone and beside five bad ones.
//!
//! An open loop: a call leaves every half millisecond whatever comes back, and its time counts from the moment at which
//! it was due, so a stall is seen by every call that fell into it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::floor;
use crate::report::quantile;
use crate::world::{World, beside};

const RATE: u32 = 2_000;
const SECONDS: u32 = 10;
const WARM_UP: u32 = RATE / 2;

/// Lines of a script, and what more its manifest needs.
const BAD: [(&str, &str, &str); 5] = [
    ("junk", "serve until ping\nflood-out forever [INFO] this is no message $n", ""),
    ("deaf", "serve until ping\npause", ""),
    ("endless", "serve until ping\nloop {\n say-repeat 100M x\n say\n}", ""),
    ("chatty", "serve until ping\nflood-err forever line $n of what nobody will read", ""),
    (
        "crashing",
        "exit 1",
        "[restart]\nbackoff = { initial = \"10ms\", max = \"10ms\" }\nbudget = { restarts = 100000, within = \"5m\" }\n",
    ),
];

/// Prints what became of the calls, alone and beside the bad ones. Whether none was lost.
pub(crate) fn run() -> bool {
    floor::build();
    let alone = phase("alone", &[]);
    let beside = phase("beside five bad plugins", &BAD);
    alone && beside
}

fn phase(what: &str, bad: &[(&str, &str, &str)]) -> bool {
    let world = World::new();
    let hold = floor::dir().join("hold");
    // 2,000 calls/s of 32 ms are 64 at a time, which is where the default would begin to queue.
    let healthy = format!(
        "dialect = \"mcp\"\n[process]\ncommand = [\"{}\"]\n[calls]\nconcurrency = 256\n",
        hold.display()
    );
    world.manifest("healthy", &healthy);
    for (id, script, more) in bad {
        let file = world.folder.path().join(format!("{id}.chaos"));
        std::fs::write(&file, script).expect("the folder is ours");
        let command =
            [beside("outboard-chaos"), file].map(|word| format!("\"{}\"", word.display()));
        world.manifest(id, &format!("[process]\ncommand = [{}]\n{more}", command.join(", ")));
    }
    let mut running = world.outboard();
    let stream = crate::attach::connect(&world, "healthy", &mut running);
    let deaf = bad.iter().any(|(id, ..)| *id == "deaf").then(|| burden(&world, &mut running));
    let calls = open_loop(stream);
    println!("{what}: {}", calls.line());
    for (id, note) in states(&world) {
        println!("  {id:<10} {note}");
    }
    end(running, deaf);
    calls.lost == 0
}

struct Calls {
    made: u32,
    lost: u32,
    taken: Vec<f64>,
}

impl Calls {
    fn line(&self) -> String {
        let mut taken = self.taken.clone();
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(&mut taken, share));
        format!(
            "{} calls at {RATE}/s, each held 32 ms: {} lost; p50 {p50:.1} ms, p99 {p99:.1} ms, at most {most:.1} ms",
            self.made, self.lost
        )
    }
}

/// Makes the calls and waits for every answer.
fn open_loop(stream: UnixStream) -> Calls {
    let made = RATE * SECONDS + WARM_UP;
    let reader = BufReader::new(stream.try_clone().expect("a descriptor can be had"));
    reader.get_ref().set_read_timeout(Some(Duration::from_secs(40))).expect("not zero");
    let began = Instant::now();
    let due = move |id: u32| began + Duration::from_secs(1) * id / RATE;
    let answers = std::thread::spawn(move || {
        let (mut taken, mut lost) = (Vec::new(), 0);
        for line in reader.lines().take(made as usize) {
            let Ok(line) = line else { break };
            let id = line.split_once("\"id\":").and_then(|(_, rest)| {
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
            });
            let id = id.expect("every line answers a call");
            if !line.contains("\"result\"") {
                lost += 1;
            } else if id >= WARM_UP {
                taken.push(Instant::now().duration_since(due(id)).as_secs_f64() * 1e3);
            }
        }
        (taken, lost)
    });
    let mut writer = &stream;
    for id in 0..made {
        if let Some(left) = due(id).checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
        writeln!(writer, r#"{{"jsonrpc":"2.0","id":{id},"method":"hold","params":{{}}}}"#)
            .expect("the socket takes a line");
    }
    let (taken, lost) = answers.join().expect("the reader does not panic");
    let counted = made - WARM_UP;
    let missing = counted - (taken.len() as u32).min(counted);
    Calls { made: counted, lost: lost.max(missing), taken }
}

/// Calls of 64 KiB to the plugin that never reads, until the test is over.
fn burden(world: &World, running: &mut Child) -> UnixStream {
    let stream = crate::attach::connect(world, "deaf", running);
    let (writer, reader) =
        [(); 2].map(|()| stream.try_clone().expect("a descriptor can be had")).into();
    std::thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).for_each(drop));
    std::thread::spawn(move || {
        let params = "x".repeat(64 * 1024);
        for id in 0_u64.. {
            let line = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"m\",\"params\":{{\"p\":\"{params}\"}}}}\n"
            );
            if (&writer).write_all(line.as_bytes()).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    stream
}

/// What `status` says of each plugin.
fn states(world: &World) -> Vec<(String, String)> {
    let output = std::process::Command::new(beside("outboard"))
        .args(["status", "--json", "--state-dir"])
        .arg(world.state())
        .output()
        .expect("outboard was built beside this");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = |plugin: &serde_json::Value, name: &str| {
        plugin[name].as_str().map_or_else(|| plugin[name].to_string(), str::to_owned)
    };
    let plugins = status["plugins"].as_array().cloned().unwrap_or_default();
    plugins
        .iter()
        .map(|plugin| {
            let note = format!(
                "{}, {} restarts, {}",
                text(plugin, "state"),
                text(plugin, "restarts"),
                text(plugin, "note")
            );
            (text(plugin, "id"), note)
        })
        .collect()
}

fn end(running: Child, deaf: Option<UnixStream>) {
    drop(deaf);
    crate::attach::end(running);
}
