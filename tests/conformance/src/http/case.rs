use std::{fmt, sync::Arc, time::Duration};

use crate::{
    http::{cases, fixture::HttpFixture, started::StartedSessions, target::HttpTarget},
    report::{CaseResult, Finding, Verdict},
};
use unbroken::BoxFuture;

/// A test of one rule of the protocol.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct HttpCase {
    /// The name: a sentence about the behaviour of a server, in snake case.
    pub name: &'static str,
    /// The rule in words.
    pub rule: &'static str,
    pub(super) order: CaseOrder,
    run: fn(HttpFixture) -> BoxFuture<'static, CaseResult>,
}

/// The order in which cases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CaseOrder {
    /// Concurrently with others.
    Together,
    /// While no other case runs.
    Alone,
    /// At the end, since the server shuts down in it.
    Last,
}

/// The time after which a case counts as hanging.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

impl HttpCase {
    /// Returns the case with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Runs the case against a server and returns the verdict.
    ///
    /// A panic in the case counts as a failure. A case that the target
    /// [waives](HttpTarget::waive) is not applicable.
    pub async fn run(&self, target: Arc<HttpTarget>) -> Finding {
        self.run_after(target, StartedSessions::default()).await
    }

    /// Runs the case after others, which have started these sessions.
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
        Finding::of_case(
            name,
            rule,
            CASE_TIMEOUT,
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
        /// All cases of the suite.
        pub const CASES: &[HttpCase] = &[$(HttpCase {
            name: stringify!($name),
            rule: $rule,
            order: CaseOrder::$order,
            run: |server| Box::pin(cases::$part::$name(server)),
        }),*];
    };
}

cases::all!(table);
