use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::tools::{self, Tools};
use crate::chat::{ChatRequest, ToolAuthority};

/// The tools that one request's model may ask for, by name.
pub(super) struct Offers {
    by_name: HashMap<String, Offer>,
}

/// Whose tool it is.
#[derive(Clone)]
pub(super) enum Offer {
    /// One of the layer's.
    Server(Arc<tools::ToolEntry>),
    /// One that the client brought.
    Client(ToolAuthority),
}

impl Offers {
    /// Of the layer's tools those that the request enables, and those that it brings, unless one of
    /// the former has the name. They become the request's tools.
    pub(super) fn of(tools: &Tools, request: &mut ChatRequest) -> Self {
        let mut by_name = HashMap::new();
        let enabled = request.enabled_tools.as_ref();
        for entry in tools.entries() {
            let name = &entry.definition.name;
            if enabled.is_some_and(|enabled| enabled.allow(name)) {
                request.tools.push(entry.definition.clone());
                by_name.insert(name.clone(), Offer::Server(Arc::clone(entry)));
            }
        }
        for tool in std::mem::take(&mut request.isomorphic_tools) {
            if let Entry::Vacant(vacant) = by_name.entry(tool.name.clone()) {
                request.tools.push((&tool).into());
                vacant.insert(Offer::Client(tool.authority));
            }
        }
        Self { by_name }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Offer> {
        self.by_name.get(name)
    }

    /// What the model is told that asked for something else.
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
    /// Whether all that the server does is to hand it over.
    pub(super) fn is_client_tool(&self) -> bool {
        match self {
            Self::Server(entry) => entry.options.authority == ToolAuthority::Client,
            Self::Client(_) => true,
        }
    }
}
