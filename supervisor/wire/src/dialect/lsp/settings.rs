//! What a manifest's `[lsp]` section says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A folder that the server works in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// `file:///srv/project`.
    pub uri: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LspSettings {
    pub root: Option<Folder>,
    /// Without any, the root is the one folder.
    pub folders: Vec<Folder>,
    /// An object: what `workspace/configuration` is answered with, by section.
    pub settings: Value,
    /// Passed on as it is.
    pub initialization_options: Value,
    /// An object: declared beside, or in place of, what the host declares of itself.
    pub capabilities: Value,
}

impl LspSettings {
    /// The params of `initialize`, as JSON text.
    pub(super) fn opening(&self, host: &Value, host_pid: Option<u32>) -> String {
        let root = self.root.as_ref().map(|root| &root.uri);
        json!({
            "processId": host_pid,
            "clientInfo": host,
            "rootUri": root,
            "workspaceFolders": self.workspace_folders(),
            "initializationOptions": self.initialization_options,
            "capabilities": self.declared(),
        })
        .to_string()
    }

    /// The folders as servers are told them; null for none.
    pub(super) fn workspace_folders(&self) -> Value {
        let folders =
            if self.folders.is_empty() { self.root.as_slice() } else { self.folders.as_slice() };
        if folders.is_empty() { Value::Null } else { json!(folders) }
    }

    /// What is declared to the server: what this host bears by itself, and above that the manifest's word.
    fn declared(&self) -> Value {
        let mut declared = json!({
            "general": {"positionEncodings": ["utf-16"]},
            "workspace": {
                "configuration": true,
                "workspaceFolders": true,
                "didChangeConfiguration": {"dynamicRegistration": true},
            },
            "window": {"workDoneProgress": true},
        });
        overlay(&mut declared, &self.capabilities);
        declared
    }

    /// The settings of a section, `python.analysis`; of all of them where none is named. Null for what there is not.
    pub(super) fn section(&self, section: Option<&str>) -> Value {
        let Some(section) = section.filter(|section| !section.is_empty()) else {
            return self.settings.clone();
        };
        // A manifest may write a section as a table in tables, or with the dots in its name.
        if let Some(whole) = self.settings.get(section) {
            return whole.clone();
        }
        let found = section.split('.').try_fold(&self.settings, |at, name| at.get(name));
        found.cloned().unwrap_or(Value::Null)
    }

    /// All settings, as an object; `None` when there are none.
    pub(super) fn all(&self) -> Option<&Map<String, Value>> {
        self.settings.as_object().filter(|settings| !settings.is_empty())
    }
}

/// Lays `over` on top: objects are joined, everything else is replaced.
fn overlay(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                overlay(under.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (under, over) => *under = over.clone(),
    }
}
