use std::{fmt, sync::Arc};

use super::{Tool, ToolOptions};
use crate::chat::{InvalidSchema, Schema, ToolAuthority, ToolDefinition};

/// The tools that a [`ToolLayer`](super::ToolLayer) may run. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tools {
    entries: Arc<Vec<Arc<ToolEntry>>>,
}

/// A tool with its definition and options, read once.
pub(super) struct ToolEntry {
    pub(super) definition: ToolDefinition,
    pub(super) options: ToolOptions,
    pub(super) schema: Schema,
    pub(super) tool: Box<dyn Tool>,
}

/// The error of a tool that can't be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTool {
    /// Models don't accept the name.
    #[error("a tool's name is 1 to 64 of A-Z a-z 0-9 _ -, which {name:?} is not")]
    Name {
        /// The tool's name.
        name: String,
    },
    /// Another tool has the name.
    #[error("there is a tool {name:?} already")]
    Taken {
        /// The tool's name.
        name: String,
    },
    /// The parameters are no JSON Schema that arguments can be checked against.
    #[error("the parameters of the tool {name:?} can't be used")]
    Parameters {
        /// The tool's name.
        name: String,
        /// The cause.
        #[source]
        source: InvalidSchema,
    },
}

impl Tools {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool, for chains.
    ///
    /// # Panics
    ///
    /// If [`insert`](Self::insert) returns an error, with its text.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, tool: impl Tool) -> Self {
        if let Err(error) = self.insert(tool) {
            panic!("{error}");
        }
        self
    }

    /// Adds a tool. Unlike [`with`](Self::with) it returns an error, for definitions that come from
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// If models don't accept the name, if another tool has it, or if the parameters are no JSON
    /// Schema that can be checked.
    pub fn insert(&mut self, tool: impl Tool) -> Result<(), InvalidTool> {
        let mut definition = tool.definition();
        let name = definition.name.clone();
        if !is_name(&name) {
            return Err(InvalidTool::Name { name });
        }
        if self.entry(&name).is_some() {
            return Err(InvalidTool::Taken { name });
        }
        if definition.parameters.is_null() {
            definition.parameters = serde_json::json!({"type": "object"});
        }
        let schema = Schema::new(&definition.parameters)
            .map_err(|source| InvalidTool::Parameters { name, source })?;
        let entry = ToolEntry {
            options: tool.options(),
            definition,
            schema,
            tool: Box::new(tool),
        };
        Arc::make_mut(&mut self.entries).push(Arc::new(entry));
        Ok(())
    }

    /// Adds all tools of another set, or none.
    ///
    /// # Errors
    ///
    /// If a tool of this set has the name of one of the others.
    pub fn extend(&mut self, others: &Self) -> Result<(), InvalidTool> {
        let taken = others.names().find(|name| self.entry(name).is_some());
        if let Some(name) = taken {
            let name = name.to_owned();
            return Err(InvalidTool::Taken { name });
        }
        if self.entries.is_empty() {
            self.entries = Arc::clone(&others.entries);
        } else {
            Arc::make_mut(&mut self.entries).extend(others.entries().map(Arc::clone));
        }
        Ok(())
    }

    /// Adds the tools of another set whose names are free, and traces the names that aren't.
    pub(super) fn extend_where_free(&mut self, others: &Self) {
        if self.extend(others).is_ok() {
            return;
        }
        for entry in others.entries() {
            let name = &entry.definition.name;
            if self.entry(name).is_some() {
                tracing::error!(name, "a tool is left out: another one has its name");
            } else {
                Arc::make_mut(&mut self.entries).push(Arc::clone(entry));
            }
        }
    }

    /// Returns the names of the tools in the order of their insertion, for
    /// [`Capabilities`](crate::chat::Capabilities).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .map(|entry| entry.definition.name.as_str())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<ToolEntry>> {
        self.entries.iter()
    }

    /// Returns true if the server runs the tool of this name, or a part of it.
    pub(super) fn runs_here(&self, name: &str) -> bool {
        let entry = self.entry(name);
        entry.is_some_and(|entry| entry.options.authority != ToolAuthority::Client)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.definition.name == name)
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::client_tool;

    #[test]
    fn a_tool_that_can_not_be_used_is_refused() {
        let mut tools = Tools::new();
        tools.insert(client_tool("map", "", json!({}))).unwrap();
        let mut refused =
            |name: &str, parameters| tools.insert(client_tool(name, "", parameters)).unwrap_err();
        assert!(matches!(
            refused("map", json!({})),
            InvalidTool::Taken { .. }
        ));
        let long = "a".repeat(65);
        for name in ["", "a b", "ä", "a.b", &long] {
            assert!(
                matches!(refused(name, json!({})), InvalidTool::Name { .. }),
                "{name}"
            );
        }
        let bad = json!({"type": "no such type"});
        assert!(matches!(
            refused("other", bad),
            InvalidTool::Parameters { .. }
        ));
        assert_eq!(tools.names().collect::<Vec<_>>(), ["map"]);
        assert!(
            tools
                .insert(client_tool("a".repeat(64), "", json!(null)))
                .is_ok()
        );
    }

    #[test]
    fn a_set_takes_all_tools_of_another_or_none() {
        let set = |names: &[&str]| {
            let tools = names.iter().map(|name| client_tool(*name, "", json!({})));
            tools.fold(Tools::new(), Tools::with)
        };
        let mut tools = Tools::new();
        tools.extend(&set(&["a", "b"])).unwrap();
        tools.extend(&set(&["c"])).unwrap();
        let refused = tools.extend(&set(&["d", "b"])).unwrap_err();
        assert!(matches!(refused, InvalidTool::Taken { name } if name == "b"));
        assert_eq!(tools.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    #[should_panic(expected = "there is a tool")]
    fn a_second_tool_of_the_same_name_panics() {
        let tool = || client_tool("map", "", json!({}));
        let _ = Tools::new().with(tool()).with(tool());
    }
}
