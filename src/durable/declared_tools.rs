use std::{collections::HashSet, fmt, sync::Arc};

/// The names of the server's tools, as they are when a session begins.
#[derive(Clone)]
pub(super) struct DeclaredTools {
    names: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl DeclaredTools {
    #[cfg(feature = "tools")]
    pub(super) fn new(source: impl crate::tools::ToolSource) -> Self {
        Self {
            names: Arc::new(move || source.tools().names().map(str::to_owned).collect()),
        }
    }

    /// Adds the names that are not among these.
    pub(super) fn add_to(&self, names: &mut Vec<String>) {
        let more = (self.names)();
        let known: HashSet<&String> = names.iter().collect();
        let more: Vec<_> = more
            .into_iter()
            .filter(|name| !known.contains(name))
            .collect();
        names.extend(more);
    }
}

impl fmt::Debug for DeclaredTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((self.names)()).finish()
    }
}
