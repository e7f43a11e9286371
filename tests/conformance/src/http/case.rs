use std::{fmt, sync::Arc, time::Duration};

use crate::{
    http::{cases, fixture::HttpFixture, started::StartedSessions, target::HttpTarget},
    report::{CaseStop, Finding, Verdict},
};
use unbroken::store::BoxFuture;

/// One rule of the protocol, as a test.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct HttpCase {
    /// A sentence about a server's behaviour.
    pub name: &'static str,
    /// The rule that it rests on, in words.
    pub rule: &'static str,
    pub(super) order: CaseOrder,
    run: fn(HttpFixture) -> BoxFuture<'static, Result<(), CaseStop>>,
}

/// When a case may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CaseOrder {
    /// Beside others.
    Together,
    /// While no other runs.
    Alone,
    /// As the last one: the server is of no use after it.
    Last,
}

/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

impl HttpCase {
    /// The case with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Tests a server. A panic inside is a failure.
    pub async fn run(&self, target: Arc<HttpTarget>) -> Finding {
        self.run_after(target, StartedSessions::default()).await
    }

    /// The same where other cases have started this before.
    pub(super) async fn run_after(
        &self,
        target: Arc<HttpTarget>,
        started: StartedSessions,
    ) -> Finding {
        let Self { name, rule, .. } = *self;
        if let Some(reason) = target.waived(name) {
            let verdict = Verdict::NotApplicable(reason);
            return Finding {
                name,
                rule,
                verdict,
            };
        }
        Finding::of(
            name,
            rule,
            PATIENCE,
            (self.run)(HttpFixture::new(target, started)),
        )
        .await
    }
}

impl fmt::Debug for HttpCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCase")
            .field("name", &self.name)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

macro_rules! table {
    ($($part:ident::$name:ident $order:ident $rule:literal)*) => {
        /// Every case.
        pub const CASES: &[HttpCase] = &[$(HttpCase {
            name: stringify!($name),
            rule: $rule,
            order: CaseOrder::$order,
            run: |bed| Box::pin(cases::$part::$name(bed)),
        }),*];
    };
}

cases::all!(table);
