/// A metric that is not recorded: the feature is off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric;

#[expect(clippy::unused_self, reason = "the same methods as with the feature")]
impl Metric {
    pub(super) const fn counter(_: &str, _: &str, _: &str) -> Self {
        Self
    }

    pub(super) const fn gauge(_: &str, _: &str, _: &str) -> Self {
        Self
    }

    pub(super) const fn histogram(_: &str, _: &str, _: &str) -> Self {
        Self
    }

    pub(crate) fn count(self, _: usize, _: &[(&'static str, &str)]) {}

    pub(crate) fn up(self) {}

    pub(crate) fn down(self) {}

    pub(crate) fn time(self, _: tokio::time::Instant, _: &[(&'static str, &str)]) {}
}
