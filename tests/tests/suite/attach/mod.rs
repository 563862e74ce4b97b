//! Many clients on one plugin, through `outboard attach`: what they share, what they must not, and what outlives what.

mod asked;
mod crowd;
mod editor;
mod foreign;
mod opening;
mod restart;
mod sharing;

/// An MCP server that offers whatever has to outlive its process, and says what it is told. `work` gives back what it was
/// sent, after it has told how far it is.
const SERVER: &str = r#"
on initialize { reply {"protocolVersion":"2025-11-25","capabilities":{"logging":{},"resources":{"subscribe":true,"listChanged":true},"tools":{"listChanged":true}},"serverInfo":{"name":"chaos","version":"1"}} }
on logging/setLevel {
  at level $p.level
  reply {}
}
on resources/subscribe {
  at subscribed $p.uri
  reply {}
}
on resources/unsubscribe {
  at unsubscribed $p.uri
  reply {}
}
on work {
  say {"jsonrpc":"2.0","method":"notifications/progress","params":${p._meta:-null}}
  reply {"got":$params}
}
on log { say {"jsonrpc":"2.0","method":"notifications/message","params":$params} }
on touch { say {"jsonrpc":"2.0","method":"notifications/resources/updated","params":$params} }
"#;

/// The section that makes a scripted plugin an MCP server.
const MCP: &str = "dialect = \"mcp\"\n[restart]\nbackoff = { initial = \"1ms\", max = \"1ms\" }\n";
