use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::tools::{self, Tools};
use crate::chat::{ChatRequest, ToolAuthority};

/// The tools that the model of one request may ask for, by name.
pub(super) struct Offers {
    by_name: HashMap<String, Offer>,
}

/// The side that defines a tool.
#[derive(Clone)]
pub(super) enum Offer {
    /// A tool of the layer.
    Server(Arc<tools::ToolEntry>),
    /// A tool that the client brought.
    Client(ToolAuthority),
}

impl Offers {
    /// Collects the layer's tools that the request enables, and those that the client brought. If
    /// both have a tool of the same name, the layer's counts, or the one for whose side the session has
    /// declared the name. The tools become the request's.
    pub(super) fn of(tools: &Tools, request: &mut ChatRequest) -> Self {
        let mut by_name = HashMap::new();
        let declared = request.declared.take().unwrap_or_default();
        let of_client: HashSet<&String> = declared.client_tools.iter().collect();
        let of_server = declared.tools.iter();
        let of_server: HashSet<_> = of_server.filter(|name| !of_client.contains(name)).collect();
        let enabled = request.enabled_tools.as_ref();
        for entry in tools.entries() {
            let name = &entry.definition.name;
            if of_client.contains(name) {
                tracing::warn!(
                    name,
                    "a tool is left out: its name was declared as the client's"
                );
            } else if enabled.is_none_or(|enabled| enabled.allow(name)) {
                request.tools.push(entry.definition.clone());
                by_name.insert(name.clone(), Offer::Server(Arc::clone(entry)));
            }
        }
        for tool in std::mem::take(&mut request.isomorphic_tools) {
            if let Entry::Vacant(vacant) = by_name.entry(tool.name.clone())
                && !of_server.contains(&tool.name)
            {
                request.tools.push((&tool).into());
                vacant.insert(Offer::Client(tool.authority));
            }
        }
        Self { by_name }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Offer> {
        self.by_name.get(name)
    }

    /// Returns the message for the model about a tool that doesn't exist.
    pub(super) fn unknown(&self, name: &str) -> String {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        if names.is_empty() {
            format!("there is no tool {name:?}, nor any other")
        } else {
            format!("there is no tool {name:?}; there are {}", names.join(", "))
        }
    }
}

impl Offer {
    /// Returns true if the server only hands the call over.
    pub(super) fn is_client_tool(&self) -> bool {
        match self {
            Self::Server(entry) => entry.options.authority == ToolAuthority::Client,
            Self::Client(_) => true,
        }
    }
}
