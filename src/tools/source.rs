use super::Tools;

/// A source of tools that may change while the server runs, such as those of another program.
///
/// A layer asks for the tools once an answer, when it begins, also when another server continues
/// it: [`ToolLayer::source`](super::ToolLayer::source). A set of [`Tools`] is a source that doesn't
/// change.
pub trait ToolSource: Send + Sync + 'static {
    /// Returns the tools that there are now. It is called for each answer, so it must be cheap:
    /// keep the set, and build another when the tools change.
    fn tools(&self) -> Tools;
}

impl ToolSource for Tools {
    fn tools(&self) -> Tools {
        self.clone()
    }
}
