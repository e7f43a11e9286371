use super::{ToolLayer, Tools};

/// A source of tools that may change while the server runs, such as those of another program.
///
/// A layer asks for the tools once an answer, when it begins, also when another server continues
/// it: [`ToolLayer::source`](super::ToolLayer::source). A set of [`Tools`] is a source that doesn't
/// change, and a [`ToolLayer`] is the source of all its tools.
///
/// [`DurableLayer::tools`](crate::DurableLayer::tools) declares the tools of a source to clients.
pub trait ToolSource: Send + Sync + 'static {
    /// Returns the tools that there are now. It is called for each answer, before its response begins,
    /// so it must be cheap and wait for nothing: keep the set, and build another when the tools change.
    fn tools(&self) -> Tools;
}

impl ToolSource for Tools {
    fn tools(&self) -> Tools {
        self.clone()
    }
}

impl ToolSource for ToolLayer {
    fn tools(&self) -> Tools {
        self.current_tools()
    }
}
